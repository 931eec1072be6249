"""The whole system on one machine: the parts, the topics, and every service as a child process.

A service that crashes is started again at the same address, as a cluster would do it.
"""

import contextlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from services.local.child import Child
from services.local.children import Children
from services.local.errors import LocalPartError
from services.local.parts import Parts
from services.local.ports import LOOPBACK, free_ports
from services.local.supervised import RestartPolicy, Supervised
from services.runtime import clock, identity, privacy, token_keys, topics

ROOMS = ("broadcast", "outreach", "wave", "dedup", "intake")
"""In the order in which they start: what is later on a contact's way is ready first."""
REPORTS = "reports"
"""What makes papers from the log for the console: `mawja up` has it where it has the console."""
CONSOLE = "console"
"""The pages for people, which `mawja up` has beside the rooms: it is given where they are."""
_READY_S = 60.0
_GRACE_S = 30.0


@dataclass(frozen=True, slots=True)
class Address:
    """Where one replica of a room listens, all on 127.0.0.1. `webhook` is the port of what it
    serves to the outside: intake's webhook, broadcast's opt-out page and what carriers call, the
    console's pages."""

    grpc: int
    metrics: int
    webhook: int


@dataclass(slots=True)
class Replica:
    """One running service process."""

    room: str
    index: int
    address: Address
    ready_file: Path
    process: Supervised

    @property
    def name(self) -> str:
        """E.g. "dedup-0"."""
        return f"{self.room}-{self.index}"

    def ready(self) -> bool:
        """Whether the process that runs now has said that it serves."""
        try:
            announced = json.loads(self.ready_file.read_text())
        except (OSError, ValueError):
            return False
        return self.process.alive() and announced.get("pid") == self.process.pid

    def end(self) -> float:
        """Ends it in order (SIGTERM, drain, commit) and says after how many seconds it had ended.

        `process.start()` brings it back. Raises LocalPartError when it did not end with code 0
        within its grace.
        """
        asked_s = time.monotonic()
        self.process.stop()
        code = self.process.child.exit_code
        if code != 0:
            raise LocalPartError(
                f"{self.name} was asked to end and ended with code {code}; its last words "
                f"({self.process.child.log}):\n{self.process.child.log_tail(3)}"
            )
        return time.monotonic() - asked_s


@dataclass(slots=True)
class System:
    """Services on top of `parts`, which are started already.

    `env` adds to the environment of every service. `wrap` may change the command of a room, e.g. to
    run it under another program; `ports` has the port of what a room's first replica serves to the
    outside, where it must be a certain one. A replica keeps its address for good, and a channel
    its list of addresses: `most` says how many replicas of a room a channel knows of, running or
    not, when there may be more of them later than now. Raises LocalPartError when a service does
    not get ready.
    """

    parts: Parts
    env: Mapping[str, str] = field(default_factory=dict)
    rooms: Sequence[str] = ROOMS
    ports: Mapping[str, int] = field(default_factory=dict)
    replicas: Mapping[str, int] = field(default_factory=dict)
    most: Mapping[str, int] = field(default_factory=dict)
    wrap: Callable[[str, list[str]], list[str]] = lambda _room, command: command
    running: list[Replica] = field(default_factory=list)
    crashes: list[str] = field(default_factory=list)
    _children: Children = field(default_factory=Children)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _addresses: dict[tuple[str, int], Address] = field(default_factory=dict)
    _partitions: int = 0

    @property
    def keys(self) -> Path:
        """The key ring's folder."""
        return self.parts.home / "keys"

    @property
    def logs(self) -> Path:
        """The folder of the services' logs."""
        return self.parts.home / "logs"

    def start(self, partitions: int = 8) -> None:
        """Makes keys and topics, starts every service, and waits until all of them serve."""
        make_keys(self.keys)
        topics.ensure(self.parts.kafka, partitions, self.parts.brokers)
        self._partitions = partitions
        for room in self.rooms:
            for index in range(self.replicas.get(room, 1)):
                self._launch(room, index)
        self.wait_ready()

    def scale(self, room: str, count: int) -> None:
        """Brings `room` to `count` replicas: starts further ones and waits until they serve, or
        ends the last ones in order, together. See `most` for what clients know of them.

        Raises LocalPartError when one does not get ready, or does not end with code 0.
        """
        replicas = sorted((r for r in self.running if r.room == room), key=lambda r: r.index)
        for index in range(len(replicas), count):
            self._launch(room, index)
        if count > len(replicas):
            self.wait_ready()
        leaving = replicas[count:]
        if leaving:
            with self._lock:
                self.running = [r for r in self.running if r not in leaving]
            with ThreadPoolExecutor(len(leaving)) as pool:
                list(pool.map(Replica.end, leaving))
            for replica in leaving:
                self._children.forget(replica.process)

    def _address(self, room: str, index: int) -> Address:
        with self._lock:
            known = self._addresses.get((room, index))
            if known is None:
                grpc, metrics, webhook = free_ports(3)
                outside = self.ports.get(room, webhook) if index == 0 else webhook
                known = self._addresses[room, index] = Address(grpc, metrics, outside)
            return known

    def _launch(self, room: str, index: int) -> Replica:
        address = self._address(room, index)
        ready_file = self.parts.home / "ready" / f"{room}-{index}.json"
        ready_file.parent.mkdir(parents=True, exist_ok=True)
        ready_file.unlink(missing_ok=True)
        state = self.parts.home / "state" / f"{room}-{index}"
        state.mkdir(parents=True, exist_ok=True)
        outer = {k: v for k, v in os.environ.items() if not k.startswith("MAWJA_")}
        env = {
            **outer,
            "MAWJA_KAFKA": self.parts.kafka,
            "MAWJA_REDIS_URL": self.parts.redis_url,
            "MAWJA_KEYS": str(self.keys),
            "MAWJA_LISTEN": f"{LOOPBACK}:{address.grpc}",
            "MAWJA_METRICS": f"{LOOPBACK}:{address.metrics}",
            "MAWJA_WEBHOOK": f"{LOOPBACK}:{address.webhook}",
            "MAWJA_OPT_OUT": f"{LOOPBACK}:{address.webhook}",
            "MAWJA_PARTITIONS": str(self._partitions),
            "MAWJA_REPLICATION": str(self.parts.brokers),
            "MAWJA_READY_FILE": str(ready_file),
            "MAWJA_STATE": str(state),
            **self.env,
        }
        if room == CONSOLE:
            env["MAWJA_CONSOLE"] = f"{LOOPBACK}:{address.webhook}"
            env |= {f"MAWJA_{one.upper()}": self.target(one) for one in (*ROOMS, REPORTS)}
        command = self.wrap(room, [sys.executable, "-m", f"services.{room}"])
        child = Child(
            f"{room}-{index}",
            command,
            log=self.logs / f"{room}-{index}.log",
            env=env,
            grace_s=_GRACE_S,
        )
        process = self._children.add(
            Supervised(child, RestartPolicy(), lambda ended: self.crashes.append(ended.name))
        )
        replica = Replica(room, index, address, ready_file, process)
        process.start()
        with self._lock:
            self.running.append(replica)
        return replica

    def wait_ready(self, timeout_s: float = _READY_S) -> None:
        """Waits until every replica serves. Raises LocalPartError with the last words of one that
        does not."""
        deadline = time.monotonic() + timeout_s
        for replica in list(self.running):
            before = len(replica.process.exits)
            while not replica.ready():
                if time.monotonic() > deadline or len(replica.process.exits) >= before + 3:
                    tail = replica.process.child.log_tail(3)
                    raise LocalPartError(
                        f"{replica.name} did not get ready; its last words "
                        f"({replica.process.child.log}):\n{tail}"
                    )
                time.sleep(0.05)

    def target(self, room: str) -> str:
        """The gRPC target of a room: all its replicas, and those that may come, to be balanced
        over. A channel leaves out what it cannot connect to, and tries it again every 2 s."""
        indexes = {replica.index for replica in self.running if replica.room == room}
        indexes |= set(range(self.most.get(room, 0)))
        ports = [self._address(room, index).grpc for index in sorted(indexes)]
        return "ipv4:" + ",".join(f"{LOOPBACK}:{port}" for port in ports)

    def metrics_urls(self) -> dict[str, str]:
        """The /metrics address of every replica, by name."""
        return {r.name: f"http://{LOOPBACK}:{r.address.metrics}/metrics" for r in self.running}

    def rss_mb(self) -> dict[str, float]:
        """Resident memory of every process, MB, replicas of a room added up."""
        found = {name: size / 1e6 for name, size in self.parts.rss_bytes().items()}
        for replica in self.running:
            size = replica.process.rss_bytes() / 1e6
            found[replica.room] = found.get(replica.room, 0.0) + size
        return {name: round(size, 1) for name, size in found.items()}

    def cpu_s(self) -> dict[str, float]:
        """Seconds of processor time that each process has used since it was last started."""
        pids = [(replica.room, replica.process.pid) for replica in self.running]
        if self.parts.local_kafka is not None:
            pids += [("kafka", node.pid) for node in self.parts.local_kafka.nodes]
        if self.parts.local_valkey is not None:
            pids.append(("valkey", self.parts.local_valkey.pid))
        if self.parts.local_smsc is not None:
            pids.append(("smsc", self.parts.local_smsc.pid))
        found: dict[str, float] = {}
        for name, pid in pids:
            with contextlib.suppress(psutil.Error):
                times = psutil.Process(pid).cpu_times()
                found[name] = round(found.get(name, 0.0) + times.user + times.system, 1)
        return found

    def stop(self) -> None:
        """Stops every service, each with time to drain: intake first, then all others together."""
        for first in (True, False):
            cared_for = set(self._children)
            self._children.stop_together(
                [
                    replica.process
                    for replica in self.running
                    if replica.process in cared_for and (replica.room == "intake") is first
                ]
            )
        # One that was being started is in care and not yet among those that run.
        self._children.stop()

    def __enter__(self) -> "System":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def make_keys(folder: Path) -> None:
    """Makes what is missing of a local key ring: person key, this month's keys, a token key."""
    privacy.create(folder, clock.now_ms())
    if not any((folder / "tokens").glob(f"*{token_keys.PRIVATE}")):
        identity.create_token_key(folder)


def token(keys: Path, subject: str, *roles: identity.Role) -> str:
    """A local token of 12 hours."""
    return identity.issue(keys, subject, frozenset(roles), now=clock.now_ms())
