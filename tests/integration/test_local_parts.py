"""The local parts, as they are: real Kafka, Valkey and SMS centre, started, killed and refused."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka import KafkaAdminClient, KafkaProducer
from redis import Redis
from redis.exceptions import ResponseError

from services.local.errors import LocalPartError
from services.local.kafka import wait_ready
from services.local.parts import FixedPorts, Parts, Replaced, running
from services.local.ports import answers, free_ports
from services.local.progress import Silent
from tests.parts_rig import Kit, consume, create_topic, produce, smsc
from tests.processes import gone, until

_REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def keep_stopped() -> Iterator[contextlib.ExitStack]:
    """Stops what a test started, however the test ends."""
    with contextlib.ExitStack() as stack:
        yield stack


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
        until, lambda: parts.local_kafka is not None and bool(parts.local_kafka.nodes), 30
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
        assert until(lambda: parts.tend() != [])
        parts.local_valkey.ready()
        assert parts.tend() == []
        assert parts.local_kafka is not None
        parts.local_kafka.nodes[0].kill9()
        with pytest.raises(LocalPartError, match=r"Kafka node 1 ended with code -9.*kafka\.log"):
            parts.tend()


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
