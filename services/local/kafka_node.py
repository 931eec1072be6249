"""One node of Apache Kafka: its settings, its process, and why it ended.

Made for a short life beside everything else on two cores: only the fast compiler and the serial
collector (a third less processor time for a surge than the server defaults), an ahead-of-time
cache for the start, small thread pools. What a client can observe is left as production has it:
no automatic topics, acknowledgements by min ISR, default flushing.
"""

import base64
import os
import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from services.local.child import Child, tail
from services.local.java import Java
from services.local.kafka_install import Installation
from services.local.ports import LOOPBACK

# What a person set for other Java programs must not change how Kafka runs here.
_FOREIGN = ("JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "JDK_JAVA_OPTIONS", "CLASSPATH")
FLAGS = (
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",
    "-XX:+ExitOnOutOfMemoryError",
    "-Xlog:disable",
    "-Xlog:all=error:stderr",
    "-Djava.awt.headless=true",
    "-Djava.net.preferIPv4Stack=true",
)
"""How Java runs it."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Where one node listens on 127.0.0.1."""

    client: int
    controller: int


def node_settings(node: int, all_ports: Mapping[int, Ports], data: Path) -> dict[str, str]:
    """The server.properties of node `node` (its id) of a cluster with these ports."""
    count = len(all_ports)
    voters = ",".join(f"{i}@{LOOPBACK}:{p.controller}" for i, p in sorted(all_ports.items()))
    ports = all_ports[node]
    # An acknowledged record is on two nodes of three; one node alone is all there is.
    in_sync = str(min(2, count))
    return {
        "process.roles": "broker,controller",
        "node.id": str(node),
        "controller.quorum.voters": voters,
        "controller.listener.names": "CONTROLLER",
        "listeners": (
            f"PLAINTEXT://{LOOPBACK}:{ports.client},CONTROLLER://{LOOPBACK}:{ports.controller}"
        ),
        "log.dirs": str(data),
        "auto.create.topics.enable": "false",
        "default.replication.factor": str(count),
        "min.insync.replicas": in_sync,
        "offsets.topic.num.partitions": "1" if count == 1 else "3",
        "offsets.topic.replication.factor": str(count),
        "transaction.state.log.num.partitions": "1",
        "transaction.state.log.replication.factor": str(count),
        "transaction.state.log.min.isr": in_sync,
        "share.coordinator.state.topic.num.partitions": "1",
        "share.coordinator.state.topic.replication.factor": str(count),
        "share.coordinator.state.topic.min.isr": in_sync,
        "group.initial.rebalance.delay.ms": "0",
        "num.network.threads": "2",
        "num.io.threads": "4",
        "background.threads": "2",
        "num.recovery.threads.per.data.dir": "1",
        "log.cleaner.dedupe.buffer.size": str(16 * 1024 * 1024),
        # With every core busy a controller is late now and then; that is no reason to elect.
        "controller.quorum.fetch.timeout.ms": "4000",
        "controller.quorum.election.timeout.ms": "2000",
    }


def kafka_uuid() -> str:
    """An id as Kafka writes it: 22 characters, not starting with a dash."""
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not text.startswith("-"):
            return text


class KafkaNode(Child):
    """One Kafka process. `kill9()` and then `start()` bring it back with its data and ports."""

    def __init__(
        self,
        node: int,
        folder: Path,
        installation: Installation,
        java: Java,
        *,
        heap_mib: int,
        start_flags: Sequence[str] = (),
        grace_s: float = 15.0,
    ) -> None:
        self.node = node
        self.folder = folder
        self.data = folder / "data"
        self.server_log = folder / "kafka.log"
        self._installation = installation
        scratch = folder / "tmp"
        command = [
            str(java.program),
            *start_flags,
            *FLAGS,
            f"-Xms{heap_mib // 2}m",
            f"-Xmx{heap_mib}m",
            # Native libraries are unpacked here: /tmp may forbid running them, and keeps them.
            f"-Djava.io.tmpdir={scratch}",
            f"-Dlog4j2.configurationFile={installation.log_settings}",
            f"-Dmawja.log={self.server_log}",
            "-cp",
            installation.class_path,
            "kafka.Kafka",
            str(folder / "server.properties"),
        ]
        super().__init__(
            f"Kafka node {node}",
            command,
            log=folder / "output.log",
            env={name: value for name, value in os.environ.items() if name not in _FOREIGN},
            cwd=folder,
            grace_s=grace_s,
        )

    def prepare(self, all_ports: Mapping[int, Ports], cluster: str) -> None:
        """Writes the settings, and formats the data folder if there is none."""
        self.folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self.folder / "tmp", ignore_errors=True)
        (self.folder / "tmp").mkdir()
        # One run, one log: what an earlier run said is no reason for anything now.
        for log in (self.log, self.server_log):
            log.unlink(missing_ok=True)
        if not (self.data / "meta.properties").exists():
            shutil.rmtree(self.data, ignore_errors=True)
            shutil.copytree(self._installation.formatted, self.data)
            (self.data / "meta.properties").write_text(
                f"version=1\nnode.id={self.node}\ncluster.id={cluster}\n"
                f"directory.id={kafka_uuid()}\n"
            )
        settings = node_settings(self.node, all_ports, self.data)
        (self.folder / "server.properties").write_text(
            "".join(f"{name}={value}\n" for name, value in settings.items())
        )

    def lost_port(self) -> bool:
        """True if it has ended because a port was taken between choice and use."""
        said = self._said()
        return "Address already in use" in said or "BindException" in said

    def why_ended(self) -> str:
        """One sentence: how it ended, and what its log says."""
        said = self._said()
        if "No space left on device" in said:
            return (
                f"{self.name} stopped because the disk is full: free some space and start again "
                f"(log: {self.server_log})"
            )
        if "OutOfMemoryError" in said:
            return f"{self.name} ran out of memory: close other programs and start again"
        reasons = [line for line in said.splitlines() if " ERROR " in line or " FATAL " in line]
        last = reasons[-1].split(" ", 1)[-1].strip() if reasons else self.log_tail(1)
        return f"{self.name} ended with code {self.exit_code}: {last} (log: {self.server_log})"

    def _said(self) -> str:
        return tail(self.server_log, 400) + "\n" + tail(self.log, 50)
