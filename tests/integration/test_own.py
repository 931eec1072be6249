"""Owned logs on real Kafka: one rightful writer, void late records, and a Kafka that goes away."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.errors import OutOfOrderSequenceNumber
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from services.local.kafka import wait_ready
from services.local.parts import Parts
from services.runtime import follow, stop, topics
from services.runtime.config import Settings
from services.runtime.errors import Away, ConfigError, Stop
from services.runtime.follow import Following
from services.runtime.own import EPOCH, MARKER, Entry, Epochs, LogReader, OwnedLog, Record, admitted
from services.runtime.produce import Producer, acknowledged
from services.runtime.scan import Scan
from services.runtime.tail import whole
from services.runtime.topics import CALLBACK, CASE, CONTACT_ACCEPTED, ERASED, MESSAGE_STATUS
from tests.conftest import PARTITIONS
from tests.freezing import frozen


@asynccontextmanager
async def producing(kafka: str, name: str = "test-own") -> AsyncIterator[Producer]:
    producer = Producer(kafka, name)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


@asynccontextmanager
async def owners(
    kafka: str, partition: int, count: int
) -> AsyncIterator[tuple[list[OwnedLog], LogReader]]:
    """Several owners of one partition, each with a producer of its own as processes have."""
    reader = LogReader(kafka, "test-own")
    producers = [Producer(kafka, f"owner-{i}") for i in range(count)]
    for producer in producers:
        await producer.start()
    try:
        yield [OwnedLog(p, reader, CASE, partition) for p in producers], reader
    finally:
        for producer in producers:
            await producer.stop()


def entries(*values: str) -> list[Entry]:
    return [Entry(value.encode(), key=b"k") for value in values]


async def read(kafka: str, partition: int) -> tuple[list[bytes], list[bytes]]:
    """(what counts, what is void) of a partition of the log, from its beginning."""
    reader = LogReader(kafka, "test-read")
    counted: list[bytes] = []
    void: list[bytes] = []
    epochs = Epochs()

    def each(record: Record) -> None:
        if admitted(epochs, record):
            counted.append(record.value or b"")
        elif not any(name == MARKER for name, _ in record.headers):
            void.append(record.value or b"")

    end = (await reader.end(CASE, [partition]))[partition]
    await reader.read(CASE, partition, 0, end, each)
    return counted, void


async def test_append_confirms_where_records_stand(kafka: str) -> None:
    async with owners(kafka, 0, 1) as ([log], _):
        await log.acquire("a")
        first = await log.append(entries("1", "2", "3"))
        assert first == log.epoch + 1
        assert await log.append(entries("4")) == first + 3
        assert await log.append([]) == first + 4
    assert await read(kafka, 0) == ([b"1", b"2", b"3", b"4"], [])


async def test_a_second_owner_stops_the_first(kafka: str) -> None:
    async with owners(kafka, 1, 2) as ([first, second], _):
        await first.acquire("a")
        await first.append(entries("a1"))
        await second.acquire("b")
        with pytest.raises(Stop, match="newer owner"):
            await first.append(entries("a2"))
        # And again: it does not become the owner by trying.
        with pytest.raises(Stop):
            await first.append(entries("a3"))
        await second.append(entries("b1"))
    assert await read(kafka, 1) == ([b"a1", b"b1"], [b"a2", b"a3"])


async def test_a_zombies_late_record_is_void_and_stops_nobody(kafka: str) -> None:
    async with owners(kafka, 2, 2) as ([zombie, rightful], _):
        await zombie.acquire("a")
        await rightful.acquire("b")
        await rightful.append(entries("b1"))
        with pytest.raises(Stop):
            await zombie.append(entries("late"))
        # The rightful owner sees an offset that it did not expect, looks, and goes on.
        assert await rightful.append(entries("b2", "b3")) > 0
        await rightful.append(entries("b4"))
    assert await read(kafka, 2) == ([b"b1", b"b2", b"b3", b"b4"], [b"late"])


async def test_an_owner_that_acquires_again_is_its_own_successor(kafka: str) -> None:
    async with owners(kafka, 3, 1) as ([log], _):
        await log.acquire("a")
        before = log.epoch
        await log.acquire("a")
        assert log.epoch > before
        await log.append(entries("1"))
    assert (await read(kafka, 3))[0] == [b"1"]


@hypothesis_settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.tuples(st.integers(0, 2), st.booleans()), min_size=4, max_size=14))
def test_whatever_owners_do_what_counts_was_confirmed_to_its_writer(
    kafka: str, done: list[tuple[int, bool]]
) -> None:
    """Any interleaving of three owners on one partition of real Kafka. A record counts if and only
    if its writer was told so: nobody acts on a void record, nothing that counts was disowned."""

    async def run() -> None:
        start = (await LogReader(kafka, "t").end(MESSAGE_STATUS, [0]))[0]
        confirmed: list[bytes] = []
        reader = LogReader(kafka, "t")
        async with (
            producing(kafka, "o0") as p0,
            producing(kafka, "o1") as p1,
            producing(kafka, "o2") as p2,
        ):
            logs = [OwnedLog(p, reader, MESSAGE_STATUS, 0) for p in (p0, p1, p2)]
            owning: set[int] = set()
            for number, (owner, takes_over) in enumerate(done):
                if takes_over:
                    await logs[owner].acquire(str(owner))
                    owning.add(owner)
                elif owner in owning:
                    value = b"%d" % number
                    try:
                        await logs[owner].append([Entry(value)])
                    except Stop:
                        owning.discard(owner)
                    else:
                        confirmed.append(value)
        epochs = Epochs()
        counted: list[bytes] = []

        def each(record: Record) -> None:
            if admitted(epochs, record):
                counted.append(record.value or b"")

        end = (await reader.end(MESSAGE_STATUS, [0]))[0]
        await reader.read(MESSAGE_STATUS, 0, start, end, each)
        assert counted == confirmed

    asyncio.run(run())


async def test_a_foreign_record_in_a_log_does_not_count(kafka: str) -> None:
    """Also not for the ledger, which reads the topic whole."""
    async with producing(kafka) as producer:
        await acknowledged([await producer.send(MESSAGE_STATUS, 2, b"foreign")])
        await acknowledged([await producer.send(MESSAGE_STATUS, 2, b"e", headers=[(EPOCH, b"")])])
        log = OwnedLog(producer, LogReader(kafka, "t"), MESSAGE_STATUS, 2)
        await log.acquire("a")
        await acknowledged([await producer.send(MESSAGE_STATUS, 2, b"foreign")])
        await log.append(entries("mine"))
    found: list[bytes] = []
    with Scan(kafka, [MESSAGE_STATUS]) as scan:
        scan.advance(lambda r: found.append(r.value or b"") if r.partition == 2 else None)
    assert found == [b"mine"]


async def test_the_reader_reads_spans_and_single_records(kafka: str) -> None:
    reader = LogReader(kafka, "test-reader")
    async with producing(kafka) as producer:
        at = [
            (await acknowledged([await producer.send(CONTACT_ACCEPTED, p, b"%d" % i)]))[0]
            for i in range(6)
            for p in (0, 1)
        ]
    seen: list[tuple[int, int]] = []
    await reader.read_many(
        {
            (CONTACT_ACCEPTED, 0): (1, 4),
            (CONTACT_ACCEPTED, 1): (5, 99),
            (CONTACT_ACCEPTED, 2): (0, 9),
        },
        lambda r: seen.append((r.partition, r.offset)),
    )
    assert sorted(seen) == [(0, 1), (0, 2), (0, 3), (1, 5)]
    for metadata in reversed(at):
        record = await reader.one(CONTACT_ACCEPTED, metadata.partition, metadata.offset)
        assert record is not None
        assert (record.partition, record.offset) == (metadata.partition, metadata.offset)
    assert await reader.depth(CONTACT_ACCEPTED, [0, 1, 2]) == {0: 6, 1: 6, 2: 0}
    ends = await reader.offsets_at(CONTACT_ACCEPTED, [0, 2], at[-1].timestamp + 3_600_000)
    assert ends == {0: 6, 2: 0}
    assert (await reader.offsets_at(CONTACT_ACCEPTED, [0], at[0].timestamp - 1)) == {0: 0}
    with pytest.raises(Away):
        await reader.one(CONTACT_ACCEPTED, 2, 5, timeout_s=0.5)
    # It connects anew after a failure.
    assert await reader.one(CONTACT_ACCEPTED, 0, 0) is not None
    await reader.close()
    await reader.close()


async def test_a_partition_that_is_not_there_names_the_setting(kafka: str) -> None:
    async with producing(kafka) as producer:
        with pytest.raises(ConfigError, match="MAWJA_PARTITIONS"):
            await producer.send(CASE, 4, b"x")


def test_topics_are_made_once_and_never_with_another_count(kafka: str, settings: Settings) -> None:
    assert topics.ensure(kafka, settings.partitions, 1) == []
    with pytest.raises(ConfigError, match=r"4 partitions, MAWJA_PARTITIONS says 8"):
        topics.ensure(kafka, 8, 1)


async def test_after_a_refused_batch_writing_goes_on(kafka: str) -> None:
    """A refused batch leaves a gap in the sequence: the broker refuses all that follow it."""
    async with producing(kafka) as producer:
        await acknowledged([await producer.send(CASE, 0, b"1")])
        # What a batch does that expired without a leader: its numbers were used and not written.
        manager = producer._inner._txn_manager
        for tp in list(manager._sequence_numbers):
            manager.increment_sequence_number(tp, 5)
        with pytest.raises(Away, match=OutOfOrderSequenceNumber.__name__):
            await acknowledged([await producer.send(CASE, 0, b"lost")])
        await acknowledged([await producer.send(CASE, 0, b"2")])


async def test_who_follows_a_log_has_all_that_was_acknowledged_before_they_asked(
    kafka: str, settings: Settings, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bytes] = []
    following = Following(
        settings, CALLBACK, "test", lambda record: seen.append(record.value or b"")
    )
    with pytest.raises(Away, match="not read to its end yet"):
        await following.current()
    async with producing(kafka) as producer:
        logs = [OwnedLog(producer, LogReader(kafka, "t"), CALLBACK, p) for p in range(PARTITIONS)]
        for log in logs:
            await log.acquire("a")
        await logs[0].append(entries("before"))
        running = asyncio.create_task(following.run())
        try:
            async with asyncio.timeout(10):
                while not following.whole:  # noqa: ASYNC110 - a task of its own does it
                    await asyncio.sleep(0.01)
            assert seen == [b"before"]
            for number in range(30):
                await logs[number % PARTITIONS].append(entries(str(number)))
                await asyncio.gather(*(following.current() for _ in range(5)))
                assert seen[1:] == [str(n).encode() for n in range(number + 1)]
            assert parts.local_kafka is not None
            [node] = parts.local_kafka.nodes
            monkeypatch.setattr(follow, "PATIENCE_S", 0.5)
            with (
                frozen(node.pid),
                pytest.raises(Away, match="can't be followed to its end right now"),
            ):
                await following.current()
            monkeypatch.setattr(follow, "PATIENCE_S", 5.0)
            await following.current()
        finally:
            await stop.cancelled([running])
    with pytest.raises(Away, match="not read to its end yet"):
        await following.current()


async def test_that_nothing_stands_in_a_topic_is_known_at_once(settings: Settings) -> None:
    began_s = time.monotonic()
    for _ in range(10):
        # No service begins before it has read the list of who was erased.
        async with aclosing(whole(settings, ERASED, "test-nobody")) as batches:
            assert await anext(batches) == ([], True)
    # Each would have waited for a second.
    assert time.monotonic() - began_s < 9, "it waited for a first record"


async def test_who_follows_a_log_begins_at_its_beginning_though_kafka_answers_slowly(
    kafka: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was asked for at the assignment is answered after the seek, and ends it."""
    started, asked = AIOKafkaConsumer.start, Fetcher._proc_offset_request

    async def start(consumer: "AIOKafkaConsumer[bytes, bytes]") -> None:
        await started(consumer)
        await asyncio.sleep(0.2)

    async def late(*args: object) -> object:
        answer = await asked(*args)
        await asyncio.sleep(0.5)
        return answer

    monkeypatch.setattr(AIOKafkaConsumer, "start", start)
    monkeypatch.setattr(Fetcher, "_proc_offset_request", late)
    seen: list[bytes] = []
    following = Following(
        settings, CALLBACK, "test", lambda record: seen.append(record.value or b"")
    )
    async with producing(kafka) as producer:
        log = OwnedLog(producer, LogReader(kafka, "t"), CALLBACK, 1)
        await log.acquire("b")
        await log.append(entries("long before"))
        running = asyncio.create_task(following.run())
        try:
            async with asyncio.timeout(10):
                while not following.whole:  # noqa: ASYNC110 - a task of its own does it
                    await asyncio.sleep(0.01)
            assert b"long before" in seen
        finally:
            await stop.cancelled([running])


# From here on Kafka is killed: keep these last.


async def test_kafka_away_is_told_in_time_and_the_log_goes_on_when_it_is_back(
    kafka: str, parts: Parts
) -> None:
    assert parts.local_kafka is not None
    [node] = parts.local_kafka.nodes
    async with producing(kafka) as producer:
        log = OwnedLog(producer, LogReader(kafka, "t"), CASE, 3)
        await log.acquire("a")
        node.kill9()
        sent = await producer.send(CASE, 2, b"while away")
        started = time.monotonic()
        with pytest.raises(Away, match="within 1 s"):
            await acknowledged([sent], timeout_s=1)
        assert time.monotonic() - started < 2
        with pytest.raises(Away):
            await LogReader(kafka, "t").end(CASE, [0])
        with pytest.raises(Away):
            await LogReader(kafka, "t").one(CASE, 0, 0)
        with pytest.raises(Away):
            await Producer(kafka, "t").start()
        node.start()
        await asyncio.to_thread(wait_ready, kafka, 1, 60.0, lambda: None)
        # What was told as away may stand all the same, and here it does.
        [metadata] = await acknowledged([sent])
        assert metadata.offset > 0
        before = log.epoch
        await log.acquire("a")
        assert log.epoch == before + 1
        await log.append(entries("back"))
    counted, _ = await read(kafka, 3)
    assert counted[-1] == b"back"


async def test_stopping_does_not_wait_for_a_kafka_that_is_away(kafka: str, parts: Parts) -> None:
    assert parts.local_kafka is not None
    [node] = parts.local_kafka.nodes
    producer = Producer(kafka, "test-stop")
    await producer.start()
    await acknowledged([await producer.send(CASE, 0, b"x")])
    node.kill9()
    sent = await producer.send(CASE, 0, b"y")
    started = time.monotonic()
    await producer.stop()
    assert time.monotonic() - started < 8
    assert not sent.done() or sent.cancelled() or sent.exception() is not None
