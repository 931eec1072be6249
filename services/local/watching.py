"""Prometheus beside a local run: Debian's own program with the rules that production has.

It is not installed by Mawja: who has it watches the local stack with it, who has not is told how.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path

import yaml

from services.local.errors import LocalPartError
from services.local.listener import Listener
from services.local.ports import LOOPBACK
from services.local.system import System

RULES = Path(__file__).resolve().parents[2] / "deploy" / "monitoring" / "rules"
SCRAPE_S = 5
"""How often each service is asked; every window of the rules holds at least four times that."""


def configuration(targets: Mapping[str, str], rules: Path) -> dict[str, object]:
    """The configuration of Prometheus. `targets`: host:port of /metrics by replica ("dedup-0");
    the label `room` is the replica's name without its number."""
    return {
        "global": {"scrape_interval": f"{SCRAPE_S}s", "evaluation_interval": f"{SCRAPE_S}s"},
        "rule_files": [f"{rules}/*.yaml"],
        "scrape_configs": [
            {
                "job_name": "mawja",
                "static_configs": [
                    {
                        "targets": [address],
                        "labels": {"room": name.rpartition("-")[0], "replica": name},
                    }
                    for name, address in sorted(targets.items())
                ],
            }
        ],
    }


def installed() -> str:
    """The program, and the rules are there. Raises LocalPartError saying what to do."""
    program = shutil.which("prometheus")
    if program is None:
        raise LocalPartError(
            "there is no Prometheus: install it (Debian: apt-get install prometheus), "
            "or start without --watch"
        )
    if not RULES.is_dir():
        raise LocalPartError(f"the rules are not in {RULES}: --watch needs the whole repository")
    return program


def prometheus(system: System, port: int | None = None) -> Listener:
    """Prometheus for a system that runs, empty and not started yet. Raises LocalPartError when it
    is not installed."""
    program = installed()
    folder = system.parts.home / "prometheus"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    written = folder / "prometheus.yaml"
    targets = {
        name: url.removeprefix("http://").removesuffix("/metrics")
        for name, url in system.metrics_urls().items()
    }
    written.write_text(yaml.safe_dump(configuration(targets, RULES), sort_keys=False))
    return Listener(
        "Prometheus",
        lambda chosen: [
            program,
            f"--config.file={written}",
            f"--storage.tsdb.path={folder / 'data'}",
            "--storage.tsdb.retention.time=1d",
            f"--web.listen-address={LOOPBACK}:{chosen}",
        ],
        folder,
        port=port,
    )


class Beside:
    """Prometheus beside a system, once it is asked for."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._started: Listener | None = None

    def start(self) -> str:
        """Starts it, waits until it answers, and says where. Raises LocalPartError."""
        self._started = prometheus(self._system)
        self._started.start()
        self._started.ready()
        return f"\nPrometheus: http://{self._started.address}/alerts"

    def stop(self) -> None:
        """Stops it if it was started."""
        if self._started is not None:
            self._started.stop()


def pids(system: System) -> dict[str, int]:
    """The process of every part and replica, by name: kafka (with several brokers kafka-0, …),
    valkey, smsc, dedup-0, …"""
    parts = system.parts
    found = {replica.name: replica.process.pid for replica in system.running}
    if parts.local_kafka is not None:
        nodes = parts.local_kafka.nodes
        for number, node in enumerate(nodes):
            found["kafka" if len(nodes) == 1 else f"kafka-{number}"] = node.pid
    for name, part in (("valkey", parts.local_valkey), ("smsc", parts.local_smsc)):
        if part is not None:
            found[name] = part.pid
    return found
