"""The local parts, as they are: real Kafka, Valkey and SMS centre, started, killed and refused."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.admin import NewTopic
from redis import Redis
from redis.exceptions import ResponseError

from services.local.errors import LocalPartError
from services.local.java import Java, find_java
from services.local.kafka import LocalKafka, wait_ready
from services.local.kafka_cache import start_cache
from services.local.kafka_install import Installation, cache_home, install, installed
from services.local.kafka_jars import JARS, VERSION
from services.local.parts import FixedPorts, Parts, Replaced, running
from services.local.ports import answers, free_ports
from services.local.progress import Progress, Silent

_REPOSITORY = Path(__file__).parents[2]
# So small that fetching it again costs nothing.
_SMALL = sorted(JARS, key=lambda jar: jar.size)[:2]


@dataclass(frozen=True, slots=True)
class Kit:
    """What every Kafka of these tests is started with."""

    installation: Installation
    java: Java
    flags: tuple[str, ...]

    def kafka(self, folder: Path, *, brokers: int = 1, **more: object) -> LocalKafka:
        return LocalKafka(
            folder,
            self.installation,
            self.java,
            brokers=brokers,
            start_flags=self.flags,
            **more,  # type: ignore[arg-type]
        )


@pytest.fixture(scope="module")
def kit() -> Kit:
    java = find_java()
    installation = install(cache_home(), java, Progress())
    return Kit(installation, java, start_cache(cache_home(), installation, java, Progress()))


@pytest.fixture
def keep_stopped() -> Iterator[contextlib.ExitStack]:
    """Stops what a test started, however the test ends."""
    with contextlib.ExitStack() as stack:
        yield stack


def gone(pid: int) -> bool:
    """True if no such process runs (an orphan that nobody has collected yet does not run)."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def until(true: Callable[[], bool], timeout_s: float = 30.0) -> bool:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if true():
            return True
        time.sleep(0.05)
    return False


def create_topic(bootstrap: str, name: str, replicas: int = 1) -> None:
    with contextlib.closing(KafkaAdminClient(bootstrap_servers=bootstrap.split(","))) as admin:
        admin.create_topics([NewTopic(name, num_partitions=3, replication_factor=replicas)])


def produce(bootstrap: str, topic: str, count: int) -> None:
    """Sends `count` records and fails unless every one is acknowledged by all in-sync replicas."""
    with contextlib.closing(
        KafkaProducer(bootstrap_servers=bootstrap.split(","), acks="all", request_timeout_ms=10_000)
    ) as producer:
        sent = [producer.send(topic, str(number).encode()) for number in range(count)]
        for one in sent:
            one.get(60)


def consume(bootstrap: str, topic: str, count: int) -> int:
    """How many of `count` records a fresh group reads before nothing comes for 20 s."""
    with contextlib.closing(
        KafkaConsumer(
            topic,
            bootstrap_servers=bootstrap.split(","),
            group_id=f"{topic}-readers",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            consumer_timeout_ms=20_000,
        )
    ) as consumer:
        read = 0
        for read, _ in enumerate(consumer, start=1):
            if read == count:
                consumer.commit()
                break
        return read


def smsc(record: Path) -> Callable[[int], list[str]]:
    return lambda port: [
        *(sys.executable, "-m", "services.local.smsc", "--port", str(port)),
        *("--record", str(record)),
    ]


# --- start, serve, stop -------------------------------------------------------------------------


def test_the_parts_serve_and_leave_nothing_behind(tmp_path: Path, kit: Kit) -> None:
    home = tmp_path / "home"
    record = tmp_path / "record.jsonl"
    with Parts(home, smsc=smsc(record), progress=Silent()) as parts:
        assert parts.local_kafka is not None
        assert parts.local_valkey is not None
        assert parts.local_smsc is not None
        pids = [
            parts.local_kafka.nodes[0].pid,
            parts.local_valkey.pid,
            parts.local_smsc.pid,
        ]
        create_topic(parts.kafka, "things")
        produce(parts.kafka, "things", 300)
        assert consume(parts.kafka, "things", 300) == 300
        with Redis.from_url(parts.redis_url) as redis:
            assert redis.set("key", "value")
            assert redis.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
            assert redis.config_get("save") == {"save": ""}
        assert parts.smpp is not None
        host, _, port = parts.smpp.rpartition(":")
        assert answers(host, int(port))
        place = running(home)
        assert place == parts.place
        assert {name: size > 1_000_000 for name, size in parts.rss_bytes().items()} == {
            "kafka": True,
            "valkey": True,
            "smsc": True,
        }
        parts.check()
    assert all(map(gone, pids))
    assert running(home) is None
    assert not list(home.glob("kafka/node-*/data"))


def test_the_second_start_is_ready_in_seconds(
    tmp_path: Path, kit: Kit, capsys: pytest.CaptureFixture[str]
) -> None:
    started = time.monotonic()
    with Parts(tmp_path, progress=Silent()):
        took = time.monotonic() - started
    with capsys.disabled():
        print(f"\nKafka and Valkey ready after {took:.1f} s")
    assert kit.flags, "the start-up cache could not be made: see *.failed in the cache folder"
    # 1.5 s alone on two cores; the limit leaves room for a machine that is busy with more.
    assert took < 10


async def test_it_starts_from_asyncio_and_a_cancelled_start_leaves_nothing(
    tmp_path: Path, kit: Kit
) -> None:
    async with Parts(tmp_path, progress=Silent()) as parts:
        wait_ready(parts.kafka, 1, 10)
    parts = Parts(tmp_path, progress=Silent())
    starting = asyncio.ensure_future(parts.__aenter__())
    assert await asyncio.to_thread(
        until, lambda: parts.local_kafka is not None and bool(parts.local_kafka.nodes)
    )
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert parts.local_kafka is not None
    assert not parts.local_kafka.alive()
    assert running(tmp_path) is None


def test_topics_are_never_made_by_themselves(tmp_path: Path, kit: Kit) -> None:
    with Parts(tmp_path, progress=Silent()) as parts:
        with (
            contextlib.closing(
                KafkaProducer(bootstrap_servers=parts.kafka, max_block_ms=2_000)
            ) as producer,
            pytest.raises(Exception, match=r"(?i)topic|metadata|timed? ?out"),
        ):
            producer.send("unheard-of", b"x").get(5)
        with contextlib.closing(KafkaAdminClient(bootstrap_servers=parts.kafka)) as admin:
            assert "unheard-of" not in admin.list_topics()


def test_data_is_kept_from_run_to_run_only_when_asked(tmp_path: Path, kit: Kit) -> None:
    with Parts(tmp_path, keep=True, progress=Silent()) as parts:
        create_topic(parts.kafka, "kept")
        produce(parts.kafka, "kept", 50)
    with Parts(tmp_path, keep=True, progress=Silent()) as parts:
        assert consume(parts.kafka, "kept", 50) == 50
    with (
        Parts(tmp_path, progress=Silent()) as parts,
        contextlib.closing(KafkaAdminClient(bootstrap_servers=parts.kafka)) as admin,
    ):
        assert "kept" not in admin.list_topics()


def test_valkey_refuses_when_full_instead_of_forgetting(tmp_path: Path, kit: Kit) -> None:
    with Parts(tmp_path, progress=Silent()) as parts, Redis.from_url(parts.redis_url) as redis:
        redis.set("first", "value")
        redis.config_set("maxmemory", int(redis.info("memory")["used_memory"]) + 1_000_000)
        with pytest.raises(ResponseError, match="maxmemory"):
            redis.mset({"much": "x" * 2_000_000, "more": "x"})
        assert redis.get("first") == b"value"


# --- the parent dies ----------------------------------------------------------------------------

_PARENT = """
import json, sys, time
from pathlib import Path
from services.local.parts import Parts
from services.local.progress import Silent
record = str(Path(sys.argv[1]) / "record.jsonl")
smsc = lambda port: [sys.executable, "-m", "services.local.smsc", "--port", str(port),
                     "--record", record]
with Parts(Path(sys.argv[1]) / "home", smsc=smsc, progress=Silent()) as parts:
    pids = [parts.local_kafka.nodes[0].pid, parts.local_valkey.pid, parts.local_smsc.pid]
    print(json.dumps(pids), flush=True)
    time.sleep(600)
"""


@contextlib.contextmanager
def parent(tmp_path: Path) -> Iterator[tuple["subprocess.Popen[str]", list[int]]]:
    """A Python that has started all parts, and the pids of those."""
    with subprocess.Popen(
        [sys.executable, "-c", _PARENT, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=_REPOSITORY,
        start_new_session=True,
    ) as process:
        try:
            assert process.stdout is not None
            pids = json.loads(process.stdout.readline())
            assert len(pids) == 3
            assert not any(map(gone, pids))
            yield process, pids
        finally:
            process.kill()


def test_kill9_of_the_parent_leaves_no_part(tmp_path: Path, kit: Kit) -> None:
    with parent(tmp_path) as (process, pids):
        process.kill()
        process.wait(10)
        assert until(lambda: all(map(gone, pids)), 10)
    # What it left on the disk does not hinder the next run, and its data is not taken over.
    assert running(tmp_path / "home") is None
    with Parts(tmp_path / "home", progress=Silent()) as parts:
        parts.check()


def test_ctrl_c_stops_the_parts_in_order(tmp_path: Path, kit: Kit) -> None:
    with parent(tmp_path) as (process, pids):
        # As a terminal does it: to the whole group, which the parts are not in.
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(30) != 0
        assert all(map(gone, pids))
    assert running(tmp_path / "home") is None


# --- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["Kafka", "Valkey", "the SMS centre"])
def test_a_chosen_port_that_is_taken_is_one_clear_line(tmp_path: Path, kit: Kit, part: str) -> None:
    with socket.create_server(("127.0.0.1", free_ports(1)[0])) as taken:
        port = taken.getsockname()[1]
        ports = {
            "Kafka": FixedPorts(kafka=port),
            "Valkey": FixedPorts(redis=port),
            "the SMS centre": FixedPorts(smpp=port),
        }[part]
        parts = Parts(tmp_path, ports=ports, smsc=smsc(tmp_path / "r"), progress=Silent())
        with pytest.raises(LocalPartError) as raised:
            parts.start()
    message = str(raised.value)
    assert message.startswith(f"port {port} for {part} is taken")
    assert "\n" not in message
    assert parts.local_kafka is None or not parts.local_kafka.alive()
    assert running(tmp_path) is None


def test_a_chosen_port_is_used(tmp_path: Path, kit: Kit) -> None:
    kafka, redis = free_ports(2)
    with Parts(tmp_path, ports=FixedPorts(kafka, redis), progress=Silent()) as parts:
        assert parts.kafka == f"127.0.0.1:{kafka}"
        assert parts.redis_url == f"redis://127.0.0.1:{redis}/0"


def test_a_free_port_lost_before_its_use_is_replaced(
    tmp_path: Path, kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", free_ports(1)[0])) as taken:
        lost = taken.getsockname()[1]
        chosen = iter([[lost], [lost - 1, lost - 2], [lost]])

        def first_the_lost_one(count: int) -> list[int]:
            return next(chosen, None) or free_ports(count)

        monkeypatch.setattr("services.local.kafka.free_ports", first_the_lost_one)
        with Parts(tmp_path, progress=Silent()) as parts:
            assert parts.kafka != f"127.0.0.1:{lost}"
            wait_ready(parts.kafka, 1, 10)
        chosen = iter([[lost]])
        monkeypatch.setattr("services.local.listener.free_ports", first_the_lost_one)
        with Parts(tmp_path, progress=Silent()) as parts, Redis.from_url(parts.redis_url) as redis:
            assert f":{lost}/" not in parts.redis_url
            assert redis.ping()


def test_parts_that_exist_already_are_used_and_not_started(tmp_path: Path, kit: Kit) -> None:
    with Parts(tmp_path / "one", progress=Silent()) as one:
        replaced = Replaced(kafka=one.kafka, redis_url=one.redis_url)
        with Parts(tmp_path / "two", replaced=replaced, progress=Silent()) as two:
            assert (two.kafka, two.redis_url, two.smpp) == (one.kafka, one.redis_url, None)
            assert two.local_kafka is None
            assert two.rss_bytes() == {}
        one.check()


def test_one_home_is_one_run(tmp_path: Path, kit: Kit) -> None:
    with Parts(tmp_path, progress=Silent()) as parts:
        with pytest.raises(LocalPartError, match=f"already runs in .*process {os.getpid()}"):
            Parts(tmp_path, progress=Silent()).start()
        parts.check()
        assert running(tmp_path) == parts.place


def test_a_part_that_dies_is_named_with_its_log(tmp_path: Path, kit: Kit) -> None:
    with Parts(tmp_path, progress=Silent()) as parts:
        assert parts.local_valkey is not None
        parts.local_valkey.kill9()
        with pytest.raises(LocalPartError, match=r"Valkey ended with code -9.*output\.log"):
            parts.check()
        parts.local_valkey.restart()
        assert parts.local_kafka is not None
        parts.local_kafka.nodes[0].kill9()
        with pytest.raises(LocalPartError, match=r"Kafka node 1 ended with code -9.*kafka\.log"):
            parts.check()


def test_a_kafka_that_can_not_start_says_why(
    tmp_path: Path, kit: Kit, keep_stopped: contextlib.ExitStack
) -> None:
    kafka = kit.kafka(tmp_path)
    keep_stopped.callback(kafka.stop)
    kafka.start_flags = (*kit.flags, "-XX:+NoSuchFlagEver")
    kafka.start()
    with pytest.raises(LocalPartError, match="Kafka node 1 ended with code 1") as raised:
        kafka.ready(20)
    assert "\n" not in str(raised.value)


# --- the cache ----------------------------------------------------------------------------------


def half_a_cache(cache: Path, kit: Kit) -> Path:
    """A download that was killed: one jar half written, one missing, the others there."""
    partial = cache / f"kafka-{VERSION}.partial"
    (partial / "jars").mkdir(parents=True)
    for jar in JARS:
        there = kit.installation.folder / "jars" / jar.file_name
        if jar == _SMALL[0]:
            (partial / "jars" / jar.file_name).write_bytes(there.read_bytes()[: jar.size // 2])
        elif jar != _SMALL[1]:
            shutil.copy2(there, partial / "jars" / jar.file_name)
    return partial / "jars"


def test_half_a_cache_is_never_taken_for_a_whole_one_and_without_network_that_is_said(
    tmp_path: Path, kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    half_a_cache(tmp_path, kit)
    closed = free_ports(1)[0]
    monkeypatch.setenv("PATH", "/nowhere")
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{closed}")
    with pytest.raises(LocalPartError) as raised:
        install(tmp_path, kit.java, Silent())
    message = str(raised.value)
    assert "it can't be reached" in message
    assert "connect this machine to the network" in message
    assert "\n" not in message
    assert installed(tmp_path) is None
    assert not (tmp_path / f"kafka-{VERSION}").exists()


def test_an_interrupted_download_goes_on_and_two_at_once_share_it(tmp_path: Path, kit: Kit) -> None:
    jars = half_a_cache(tmp_path, kit)
    before = {file.name: file.stat().st_ino for file in jars.iterdir()}
    script = (
        "import sys; from pathlib import Path; from services.local.java import find_java\n"
        "from services.local.kafka_install import install; from services.local.progress import *\n"
        "print(install(Path(sys.argv[1]), find_java(), Progress(sys.stdout)).is_complete())"
    )
    # As on the bare machine: neither Java nor Maven on the PATH.
    env = {**os.environ, "PATH": "/nowhere", "JAVA_HOME": ""}
    both = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=_REPOSITORY,
            env=env,
        )
        for _ in range(2)
    ]
    said = [process.communicate(timeout=120)[0] for process in both]
    assert [text.splitlines()[-1] for text in said] == ["True", "True"]
    assert "".join(said).count("fetching Apache Kafka") == 1
    assert "2 jars" in "".join(said)
    whole = installed(tmp_path)
    assert whole is not None
    after = {file.name: file.stat().st_ino for file in (whole.folder / "jars").iterdir()}
    kept = set(before) - {_SMALL[0].file_name}
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
    assert not list(tmp_path.glob("*.partial"))

    # Damaged later, it is no longer whole, and only what is missing is fetched again.
    os.truncate(whole.folder / "jars" / _SMALL[0].file_name, 1)
    assert installed(tmp_path) is None
    assert install(tmp_path, kit.java, Silent()) == whole


# --- three nodes --------------------------------------------------------------------------------


@pytest.mark.timeout(240)
def test_three_nodes_serve_with_one_killed_and_take_it_back(
    tmp_path: Path, kit: Kit, keep_stopped: contextlib.ExitStack
) -> None:
    kafka = kit.kafka(tmp_path, brokers=3)
    keep_stopped.callback(kafka.stop)
    kafka.start()
    kafka.ready()
    assert len(kafka.bootstrap.split(",")) == 3
    create_topic(kafka.bootstrap, "copied", replicas=3)
    produce(kafka.bootstrap, "copied", 100)

    with contextlib.closing(
        KafkaAdminClient(bootstrap_servers=kafka.bootstrap.split(","))
    ) as admin:
        leader = admin.describe_topics(["copied"])[0]["partitions"][0]["leader_id"]
    victim = kafka.nodes[leader - 1]
    victim.kill9()
    with pytest.raises(LocalPartError, match=f"Kafka node {leader} ended with code -9"):
        kafka.check()
    produce(kafka.bootstrap, "copied", 100)
    assert consume(kafka.bootstrap, "copied", 200) == 200

    victim.start()
    kafka.ready(60)

    def in_sync() -> bool:
        with contextlib.closing(
            KafkaAdminClient(bootstrap_servers=kafka.bootstrap.split(","))
        ) as admin:
            partitions = admin.describe_topics(["copied"])[0]["partitions"]
            return all(len(partition["isr_nodes"]) == 3 for partition in partitions)

    assert until(in_sync, 60)
    kafka.check()
