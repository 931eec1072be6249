"""Apache Kafka itself on loopback: one node, or three that replicate, in KRaft combined mode.

Made for a short life beside everything else on two cores: only the fast compiler and the serial
collector (a third less processor time for a surge than the server defaults), an ahead-of-time
cache for the start, small thread pools. What a client can observe is left as production has it:
no automatic topics, acknowledgements by min ISR, default flushing.
"""

import base64
import contextlib
import hashlib
import os
import shutil
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from services.local import disk
from services.local.children import Child, tail
from services.local.errors import LocalPartError
from services.local.java import Java
from services.local.kafka_install import Installation
from services.local.kafka_jars import VERSION
from services.local.lock import locked
from services.local.ports import LOOPBACK, answers, free_ports, require_free
from services.local.progress import Progress

READY_S = 90.0
_BIND_TRIES = 4
_ARCHIVES_KEPT = 4
_TRAINING_TOPIC = "training"
# What a person set for other Java programs must not change how Kafka runs here.
_FOREIGN = ("JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "JDK_JAVA_OPTIONS", "CLASSPATH")
_FLAGS = (
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",
    "-XX:+ExitOnOutOfMemoryError",
    "-Xlog:disable",
    "-Xlog:all=error:stderr",
    "-Djava.awt.headless=true",
    "-Djava.net.preferIPv4Stack=true",
)


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


def _kafka_uuid() -> str:
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
            *_FLAGS,
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
                f"directory.id={_kafka_uuid()}\n"
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
        return _kafka_uuid()

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


def start_cache(
    cache: Path, installation: Installation, java: Java, progress: Progress
) -> tuple[str, ...]:
    """Java flags that start Kafka fast: its ahead-of-time cache, made first if there is none.

    Without it everything works, 2–3 s slower a start; so a failure to make it is remembered and
    not raised.
    """
    cache = cache.absolute()
    archive = cache / f"kafka-{VERSION}-{_archive_key(installation, java)}.aot"
    given_up = archive.with_suffix(".failed")
    use, record = _archive_flags(java, archive)
    if not archive.exists() and not given_up.exists():
        with locked(
            cache / f"kafka-{VERSION}.lock",
            waiting=lambda pid: progress.say(f"process {pid} is preparing Kafka: waiting for it"),
        ):
            if not archive.exists() and not given_up.exists():
                progress.say("preparing Kafka for fast starts, once (about 20 s)")
                _train(archive, given_up, record, installation, java)
    return use if archive.exists() else ()


def _archive_key(installation: Installation, java: Java) -> str:
    """Changes with everything the archive depends on."""
    parts = [str(java.program), java.version, installation.class_path, *_FLAGS]
    # Java refuses an archive of another copy of itself, even of the same version.
    with contextlib.suppress(OSError):
        runtime = (java.program.resolve().parent.parent / "lib" / "modules").stat()
        parts += [str(runtime.st_size), str(runtime.st_mtime_ns)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def _archive_flags(java: Java, archive: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(flags that use the archive, flags that record it into `<archive>.new`)."""
    new = archive.with_suffix(".new")
    if java.major >= 25:
        return (f"-XX:AOTCache={archive}",), (f"-XX:AOTCacheOutput={new}",)
    return (f"-XX:SharedArchiveFile={archive}",), (f"-XX:ArchiveClassesAtExit={new}",)


def _train(
    archive: Path, given_up: Path, record: tuple[str, ...], installation: Installation, java: Java
) -> None:
    new = archive.with_suffix(".new")
    new.unlink(missing_ok=True)
    folder = archive.with_suffix(".training")
    shutil.rmtree(folder, ignore_errors=True)
    kafka = LocalKafka(folder, installation, java, start_flags=record)
    try:
        kafka.start()
        kafka.ready()
        _exercise(kafka.bootstrap)
        # Java writes the archive when it is asked to end, and needs its time for it.
        kafka.nodes[0].grace_s = 120.0
        kafka.nodes[0].stop()
        new.rename(archive)
        _forget_old_archives(archive.parent)
    except (LocalPartError, OSError) as error:
        given_up.write_text(f"{error}\n{kafka.nodes[0].log_tail(20) if kafka.nodes else ''}\n")
    finally:
        kafka.stop()
        shutil.rmtree(folder, ignore_errors=True)
        new.unlink(missing_ok=True)


def _forget_old_archives(cache: Path) -> None:
    """Keeps the latest few; one of 70 MB is made for every copy of Java there ever was."""
    made = sorted(cache.glob("kafka-*.aot"), key=lambda file: file.stat().st_mtime)
    for old in made[:-_ARCHIVES_KEPT]:
        old.unlink(missing_ok=True)


def _exercise(bootstrap: str) -> None:
    """A little of everything, so that the classes of everyday work are in the archive."""
    from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
    from kafka.admin import NewTopic
    from kafka.errors import KafkaError

    try:
        with contextlib.closing(KafkaAdminClient(bootstrap_servers=bootstrap)) as admin:
            admin.create_topics([NewTopic(_TRAINING_TOPIC, num_partitions=4, replication_factor=1)])
        with contextlib.closing(KafkaProducer(bootstrap_servers=bootstrap, acks="all")) as producer:
            for number in range(2_000):
                producer.send(_TRAINING_TOPIC, key=str(number).encode(), value=b"x" * 300)
            producer.flush(30)
        with contextlib.closing(
            KafkaConsumer(
                _TRAINING_TOPIC,
                bootstrap_servers=bootstrap,
                group_id=_TRAINING_TOPIC,
                auto_offset_reset="earliest",
                enable_auto_commit=False,
                consumer_timeout_ms=10_000,
            )
        ) as consumer:
            for count, _ in enumerate(consumer, start=1):
                if count == 2_000:
                    break
            consumer.commit()
    except KafkaError as error:
        raise LocalPartError(f"Kafka did not do its exercise: {type(error).__name__}") from error
