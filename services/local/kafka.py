"""Apache Kafka itself on loopback: one node, or three that replicate, in KRaft combined mode."""

import contextlib
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from services.local import disk
from services.local.errors import LocalPartError
from services.local.java import Java
from services.local.kafka_install import Installation
from services.local.kafka_node import KafkaNode, Ports, kafka_uuid
from services.local.ports import LOOPBACK, answers, free_ports, require_free

READY_S = 90.0
_BIND_TRIES = 4


@dataclass(slots=True)
class LocalKafka:
    """A Kafka of 1 or 3 nodes in `folder`. It is stopped and started as one part.

    `port` fixes the client port of the first node (the others follow it); None takes free ones.
    `keep` keeps the data from run to run; otherwise every start is an empty Kafka.
    """

    folder: Path
    installation: Installation
    java: Java
    brokers: int = 1
    port: int | None = None
    keep: bool = False
    start_flags: Sequence[str] = ()
    nodes: list[KafkaNode] = field(default_factory=list)
    ports: dict[int, Ports] = field(default_factory=dict)
    name: str = "Kafka"

    @property
    def bootstrap(self) -> str:
        """host:port of every node, as clients want it."""
        return ",".join(f"{LOOPBACK}:{self.ports[node].client}" for node in sorted(self.ports))

    def start(self) -> None:
        """Starts every node, without waiting for it to be ready. See `ready`."""
        if self.brokers not in (1, 3):
            raise LocalPartError(f"{self.brokers} Kafka nodes: choose 1 or 3")
        self.folder = self.folder.absolute()
        disk.require_space(self.folder)
        if not self.keep:
            self._wipe()
        self._check_count()
        self._launch()

    def _check_count(self) -> None:
        kept = len(list(self.folder.glob("node-*/data/meta.properties")))
        if kept not in (0, self.brokers):
            raise LocalPartError(
                f"{self.folder} keeps the data of {kept} Kafka nodes, not {self.brokers}: "
                f"use --brokers {kept}, or remove that folder to begin anew"
            )

    def _launch(self) -> None:
        ids = range(1, self.brokers + 1)
        if self.port is None:
            clients = free_ports(self.brokers)
        else:
            clients = [self.port + step for step in range(self.brokers)]
            for port in clients:
                require_free(port, "Kafka")
        controllers = [p for p in free_ports(2 * self.brokers) if p not in clients][: self.brokers]
        self.ports = {
            node: Ports(client, controller)
            for node, client, controller in zip(ids, clients, controllers, strict=True)
        }
        cluster = self._cluster_id()
        self.nodes = [
            KafkaNode(
                node,
                self.folder / f"node-{node}",
                self.installation,
                self.java,
                heap_mib=768 if self.brokers == 1 else 512,
                start_flags=self.start_flags,
            )
            for node in ids
        ]
        for node in self.nodes:
            node.prepare(self.ports, cluster)
            node.start()

    def _cluster_id(self) -> str:
        for meta in sorted(self.folder.glob("node-*/data/meta.properties")):
            for line in meta.read_text().splitlines():
                if line.startswith("cluster.id="):
                    return line.partition("=")[2]
        return kafka_uuid()

    def ready(self, timeout_s: float = READY_S, go_on: Callable[[], None] = lambda: None) -> None:
        """Waits until every node serves. `go_on` is called often and may raise to give up.

        Raises LocalPartError saying why a node ended, or that the time is over.
        """

        def still_alive() -> None:
            go_on()
            self.check()

        for attempt in range(1, _BIND_TRIES + 1):
            try:
                wait_ready(self.bootstrap, self.brokers, timeout_s, still_alive)
                return
            except LocalPartError:
                lost = any(not node.alive() and node.lost_port() for node in self.nodes)
                if not lost or self.port is not None or attempt == _BIND_TRIES:
                    raise
                self._end()
                self._launch()

    def check(self) -> None:
        """Raises LocalPartError saying why, if a node has ended."""
        for node in self.nodes:
            if not node.alive():
                raise LocalPartError(node.why_ended())

    def alive(self) -> bool:
        """True while every node runs."""
        return bool(self.nodes) and all(node.alive() for node in self.nodes)

    def rss_bytes(self) -> int:
        """Resident memory of all nodes in bytes."""
        return sum(node.rss_bytes() for node in self.nodes)

    def stop(self) -> None:
        """Stops all nodes at once; data that is not kept is removed, logs stay."""
        self._end()
        if not self.keep:
            self._wipe()

    def destroy(self) -> None:
        """Ends all nodes with SIGKILL."""
        for node in self.nodes:
            node.kill9()

    def _end(self) -> None:
        if self.keep:
            # All together: the last one alone would wait for a quorum that is gone.
            for node in self.nodes:
                node.terminate()
            for node in self.nodes:
                node.stop()
        else:
            self.destroy()

    def _wipe(self) -> None:
        for data in self.folder.glob("node-*/data"):
            shutil.rmtree(data)


def wait_ready(
    bootstrap: str,
    brokers: int = 1,
    timeout_s: float = READY_S,
    go_on: Callable[[], None] = lambda: None,
) -> None:
    """Waits until Kafka at `bootstrap` shows at least `brokers` nodes and serves consumer groups.

    `go_on` is called several times a second and may raise to give up. Raises LocalPartError after
    `timeout_s` seconds.
    """
    from kafka import KafkaAdminClient
    from kafka.errors import KafkaError

    deadline = time.monotonic() + timeout_s
    addresses = [address.rpartition(":") for address in bootstrap.split(",")]
    seen = 0
    while time.monotonic() < deadline:
        go_on()
        # The client logs every refused connection; it is asked only when somebody listens.
        listening = sum(answers(host.strip("[]"), int(port)) for host, _, port in addresses)
        if listening < min(brokers, len(addresses)):
            time.sleep(0.05)
            continue
        try:
            with contextlib.closing(
                KafkaAdminClient(
                    bootstrap_servers=bootstrap.split(","),
                    request_timeout_ms=5_000,
                    # Another program may listen there, and never answer.
                    bootstrap_timeout_ms=3_000,
                )
            ) as admin:
                while time.monotonic() < deadline:
                    go_on()
                    shown = admin.describe_cluster()["brokers"]
                    seen = sum(not broker.get("is_fenced", False) for broker in shown)
                    if seen >= brokers:
                        # Finding a coordinator makes the offsets topic: the first consumer of a
                        # fresh Kafka would otherwise be told to come back later, several times.
                        admin.describe_groups(["mawja-ready"])
                        return
                    time.sleep(0.1)
        except KafkaError:
            time.sleep(0.1)
    raise LocalPartError(
        f"Kafka at {bootstrap} shows {seen} of {brokers} nodes after {timeout_s:g} s: "
        "look at its log, or start again with fewer programs running"
    )
