"""The local system as the `mawja` command starts it: parts, carriers, services."""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from services.local.parts import Parts, Replaced
from services.local.progress import Progress
from services.local.system import System

PARTS_PER_SECOND = 1500
"""Pace of the local SMS centre's route: what a national aggregator sells to a ministry."""


def home_folder(given: Path | None) -> Path:
    """Where the state of a local run lives: the given folder, MAWJA_HOME, or ./.mawja."""
    return given or Path(os.environ.get("MAWJA_HOME") or ".mawja")


def smsc_record(home: Path) -> Path:
    """The SMS centre's own record of every submit."""
    return home.absolute() / "smsc" / "record.jsonl"


def make_parts(home: Path, *, brokers: int, profile: str, progress: Progress) -> Parts:
    """Kafka, Valkey and the SMS centre; what the environment replaces is not started."""
    record = smsc_record(home)
    replaced = Replaced.from_env()

    def smsc(port: int) -> list[str]:
        # The record tells of the messages of one log: a new Kafka begins a new one. Not before the
        # home is ours, or a run that has it would lose its witness.
        if replaced.kafka is None:
            record.unlink(missing_ok=True)
        record.parent.mkdir(parents=True, exist_ok=True)
        return [
            sys.executable,
            "-m",
            "services.local.smsc",
            f"--port={port}",
            f"--record={record}",
            f"--port-file={record.with_name('ports.json')}",
            f"--profile={profile}",
        ]

    return Parts(home, brokers=brokers, replaced=replaced, smsc=smsc, progress=progress)


def write_carriers(parts: Parts, pace: int = PARTS_PER_SECOND) -> Path:
    """The carriers file of the local run: the SMS centre, declared `test`."""
    if parts.smpp is None:
        raise AssertionError("the local system always has an SMS centre")
    host, _, port = parts.smpp.rpartition(":")
    path = parts.home / "carriers.yaml"
    (parts.home / "local.password").write_text("local\n")
    path.write_text(
        yaml.safe_dump(
            {
                "carriers": [
                    {
                        "name": "local",
                        "kind": "smpp",
                        "declared": "test",
                        "host": host,
                        "port": int(port),
                        "system_id": "mawja",
                        "password_file": "local.password",
                        "sender": "Mawja",
                        "parts_per_second": pace,
                    }
                ],
                # An SMS centre that somebody else runs may reach phones: only synthetic numbers.
                "routes": [{"prefix": "+" if parts.local_smsc else "+999", "carrier": "local"}],
            },
            sort_keys=False,
        )
    )
    return path


def make_system(
    parts: Parts,
    replicas: Mapping[str, int] | None = None,
    shared_numbers: Sequence[str] = (),
) -> System:
    """Every service on top of parts that have been started. `shared_numbers`: switchboards that
    the centre knows of."""
    shared = parts.home / "shared-numbers.txt"
    shared.write_text("\n".join(shared_numbers) + "\n")
    env = {"MAWJA_CARRIERS": str(write_carriers(parts)), "MAWJA_SHARED_NUMBERS": str(shared)}
    return System(parts, env=env, replicas=replicas or {})


def write_addresses(system: System) -> Path:
    """Where each service of this run listens, for people and for other commands."""
    path = system.parts.home / "services.json"
    path.write_text(
        json.dumps(
            {
                "kafka": system.parts.kafka,
                "redis_url": system.parts.redis_url,
                "smpp": system.parts.smpp,
                "keys": str(system.keys),
                "grpc": {room: system.target(room) for room in system.rooms},
                "metrics": system.metrics_urls(),
                "webhook": [
                    f"http://127.0.0.1:{r.address.webhook}/v1/webhooks/<source>"
                    for r in system.running
                    if r.room == "intake"
                ],
            },
            indent=2,
        )
    )
    return path
