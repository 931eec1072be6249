"""Who may write a decision log, and whose records count: ownership without transactions.

The owner of partition p appends an *owner marker* to each of its logs; the marker's offset is its
epoch, and every later record carries it. A reader ignores a record whose epoch is below the highest
marker that stands before it. As the only rightful writer, the owner knows the offset that its next
record must get; another offset means that somebody else wrote, and if that was a newer owner's
marker, this process stops. (`design.md`, Effectively once, rules 1 to 4.)
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from services.runtime import kafka_tls, log, metrics
from services.runtime.clock import monotonic_s
from services.runtime.errors import Away, Poison, Stop
from services.runtime.produce import Header, Producer, acknowledged
from services.runtime.topics import Topic

_log = log.get("own")


class Record(Protocol):
    """A record as it was read from Kafka."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[Header]


EPOCH = "e"
MARKER = "m"
NO_EPOCH = -1
_TURN_S = 0.05
"""How long records are handed over before others of the process have a turn."""


class Epochs:
    """Tells which records of a log count. Pure; one for each reader.

    Feed it every record of a partition in order, from an offset whose epoch is known (or 0).
    """

    def __init__(self) -> None:
        self._highest: dict[int, int] = {}

    def start(self, partition: int, epoch: int) -> None:
        """Reading of `partition` goes on where `epoch` was the highest marker."""
        self._highest[partition] = epoch

    def epoch(self, partition: int) -> int:
        """The highest marker seen so far, or NO_EPOCH."""
        return self._highest.get(partition, NO_EPOCH)

    def admits(self, partition: int, offset: int, headers: Sequence[Header]) -> bool:
        """True for a record that counts; False for a marker and for a past owner's late record.

        Raises Poison for a record that carries neither.
        """
        for name, value in headers:
            if name == EPOCH and value:
                return int.from_bytes(value, "big") >= self.epoch(partition)
            if name == MARKER:
                self._highest[partition] = offset
                return False
        raise Poison("a record of a decision log carries no epoch")


def epoch_of(record: Record) -> int:
    """The epoch that a record of a log carries: for one that counts, the highest marker before it.

    Raises Poison for a record without one.
    """
    for name, value in record.headers:
        if name == EPOCH and value:
            return int.from_bytes(value, "big")
    raise Poison("a record of a decision log carries no epoch")


@dataclass(frozen=True, slots=True)
class Entry:
    """One record to append to a decision log."""

    value: bytes
    key: bytes | None = None
    traceparent: str | None = None


class OwnedLog:
    """The write side of one partition of a decision log, held by its owner."""

    def __init__(
        self, producer: Producer, reader: "LogReader", topic: Topic, partition: int
    ) -> None:
        self._producer = producer
        self._reader = reader
        self.topic = topic
        self.partition = partition
        self.epoch = NO_EPOCH
        self._next = NO_EPOCH

    async def acquire(self, owner: str) -> None:
        """Appends the owner marker. Everything before it can now be read and will not change.

        Raises Away.
        """
        future = await self._producer.send(
            self.topic, self.partition, b"", headers=[(MARKER, owner.encode())]
        )
        [metadata] = await acknowledged([future])
        self.epoch = metadata.offset
        self._next = metadata.offset + 1

    async def append(self, entries: Sequence[Entry]) -> int:
        """Appends `entries` in order and confirms that they count. Returns the first offset.

        Raises Stop when a newer owner has taken over: none of the entries may be acted upon. Raises
        Away when Kafka did not acknowledge: they may or may not stand, and this process must not
        go on as the owner (the worker stops it).
        """
        if not entries:
            return self._next
        epoch: Header = (EPOCH, self.epoch.to_bytes(8, "big"))
        futures = [
            await self._producer.send(
                self.topic,
                self.partition,
                entry.value,
                key=entry.key,
                headers=[epoch]
                if entry.traceparent is None
                else [epoch, ("traceparent", entry.traceparent.encode())],
            )
            for entry in entries
        ]
        acknowledgements = await acknowledged(futures)
        first, last = acknowledgements[0].offset, acknowledgements[-1].offset
        if first != self._next or last != self._next + len(entries) - 1:
            await self._confirm_alone(last)
        self._next = last + 1
        return int(first)

    async def _confirm_alone(self, last: int) -> None:
        # Somebody else wrote between our records. A frozen past owner's late record is void and
        # changes nothing; a marker means that we are the past owner.
        def look(record: Record) -> None:
            if any(name == MARKER for name, _ in record.headers):
                raise Stop(
                    f"partition {self.partition} of {self.topic.name} has a newer owner; "
                    "this process leaves it"
                )

        await self._reader.read(self.topic, self.partition, self._next, last + 1, look)


class LogReader:
    """Reads spans of partitions from Kafka, outside any consumer group.

    Every method raises Away when Kafka does not answer.
    """

    def __init__(self, bootstrap: str, client_id: str) -> None:
        self._bootstrap = bootstrap
        self._client_id = client_id
        self._kept: AIOKafkaConsumer[bytes, bytes] | None = None
        self._one_at_a_time = asyncio.Lock()

    def _consumer(self, chunk: int = 4 * 1024 * 1024) -> "AIOKafkaConsumer[bytes, bytes]":
        return AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap,
            **kafka_tls.options(),
            client_id=self._client_id,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=50,
            max_partition_fetch_bytes=chunk,
        )

    @asynccontextmanager
    async def _connected(self) -> "AsyncIterator[AIOKafkaConsumer[bytes, bytes]]":
        consumer = self._consumer()
        try:
            await consumer.start()
            yield consumer
        except KafkaError as error:
            raise Away(f"Kafka does not give records: {type(error).__name__}") from error
        finally:
            await consumer.stop()

    async def read(
        self,
        topic: Topic,
        partition: int,
        start: int,
        end: int,
        each: "Callable[[Record], object]",
    ) -> None:
        """Calls `each` (a function or coroutine function) with the records of [start, end)."""
        await self.read_many({(topic, partition): (start, end)}, each)

    async def read_many(
        self,
        spans: Mapping[tuple[Topic, int], tuple[int, int]],
        each: "Callable[[Record], object]",
    ) -> None:
        """Like `read`, for several partitions at once; order holds within each partition."""
        wanted = {
            TopicPartition(topic.name, partition): span
            for (topic, partition), span in spans.items()
            if span[0] < span[1]
        }
        if not wanted:
            return
        async with self._connected() as consumer:
            consumer.assign(list(wanted))
            begin = await consumer.beginning_offsets(list(wanted))
            # A span may end in records that retention has removed, or not reach the end of the log.
            ends = await consumer.end_offsets(list(wanted))
            left = {tp: min(end, ends[tp]) for tp, (_, end) in wanted.items()}
            for tp, (start, _) in wanted.items():
                consumer.seek(tp, max(start, begin[tp]))
                if max(start, begin[tp]) >= left[tp]:
                    del left[tp]
                    consumer.pause(tp)
            turned_s = monotonic_s()
            while left:
                for tp, records in (await consumer.getmany(timeout_ms=500)).items():
                    if tp not in left:
                        continue
                    for record in records:
                        if monotonic_s() - turned_s > _TURN_S:
                            # What is there already comes without a pause, and a group forgets a
                            # member whose heart does not beat for the time of a long fold.
                            await asyncio.sleep(0)
                            turned_s = monotonic_s()
                        if record.offset >= left[tp]:
                            break
                        result = each(record)
                        if result is not None and hasattr(result, "__await__"):
                            await result
                for tp in list(left):
                    if await consumer.position(tp) >= left[tp]:
                        del left[tp]
                        consumer.pause(tp)

    async def one(
        self, topic: Topic, partition: int, offset: int, timeout_s: float = 5.0
    ) -> Record | None:
        """The record at an offset; None when retention has removed it.

        Keeps its connection for the next time, because connecting costs ten times the reading; one
        is read at a time. See `close`.
        """
        tp = TopicPartition(topic.name, partition)
        async with self._one_at_a_time:
            if self._kept is None:
                self._kept = self._consumer(chunk=64 * 1024)
                starting = self._kept.start()
            else:
                starting = None
            consumer = self._kept
            try:
                async with asyncio.timeout(timeout_s):
                    if starting is not None:
                        await starting
                    consumer.assign([tp])
                    consumer.seek(tp, offset)
                    record: Record = await consumer.getone(tp)
                    # What follows it is not wanted: without this it would be fetched all the time.
                    consumer.pause(tp)
            except BaseException as error:
                self._kept = None
                await consumer.stop()
                if isinstance(error, KafkaError | TimeoutError):
                    raise Away(f"Kafka does not give a record: {type(error).__name__}") from error
                raise
            return record if record.offset == offset else None

    async def close(self) -> None:
        """Lets go of the connection that `one` keeps."""
        async with self._one_at_a_time:
            kept, self._kept = self._kept, None
            if kept is not None:
                await kept.stop()

    async def end(self, topic: Topic, partitions: Sequence[int]) -> dict[int, int]:
        """The end offset (one past the last record) of each partition."""
        async with self._connected() as consumer:
            found = await consumer.end_offsets([TopicPartition(topic.name, p) for p in partitions])
            return {tp.partition: offset for tp, offset in found.items()}

    async def held(self, topic: Topic, partitions: Sequence[int]) -> dict[int, tuple[int, int]]:
        """The lowest offset that is kept and the end offset of each partition."""
        async with self._connected() as consumer:
            tps = [TopicPartition(topic.name, p) for p in partitions]
            begin = await consumer.beginning_offsets(tps)
            end = await consumer.end_offsets(tps)
            return {tp.partition: (begin[tp], end[tp]) for tp in tps}

    async def offsets_at(
        self, topic: Topic, partitions: Sequence[int], at_ms: int
    ) -> dict[int, int]:
        """The first offset of each partition at or after a Kafka timestamp; its end if none is."""
        async with self._connected() as consumer:
            tps = [TopicPartition(topic.name, p) for p in partitions]
            ends = await consumer.end_offsets(tps)
            found = await consumer.offsets_for_times(dict.fromkeys(tps, at_ms))
            return {tp.partition: found[tp].offset if found[tp] else ends[tp] for tp in tps}

    async def depth(self, topic: Topic, partitions: Sequence[int]) -> dict[int, int]:
        """How many offsets each partition spans now."""
        held = await self.held(topic, partitions)
        return {partition: end - begin for partition, (begin, end) in held.items()}


def admitted(epochs: Epochs, record: Record) -> bool:
    """Whether a record of a log counts; counts the void ones. Raises Poison."""
    if epochs.admits(record.partition, record.offset, record.headers):
        return True
    if not any(name == MARKER for name, _ in record.headers):
        metrics.VOID_RECORDS.labels(record.topic).inc()
    return False


def counted(epochs: Epochs, record: Record) -> bool:
    """Like `admitted`, for a log as it stands: what is no decision never counted either."""
    try:
        return admitted(epochs, record)
    except Poison:
        # Nobody who may write here wrote it.
        metrics.VOID_RECORDS.labels(record.topic).inc()
        _log.warning("a foreign record", topic=record.topic, offset=record.offset)
        return False


def counted_from_here(epochs: Epochs, record: Record) -> bool:
    """Like `counted`, for a reader that begins in the middle: the marker may stand before it, and a
    record that carries an epoch is proof that its marker does."""
    for name, value in record.headers:
        if name == EPOCH and value:
            epoch = int.from_bytes(value, "big")
            if epoch > epochs.epoch(record.partition):
                epochs.start(record.partition, epoch)
    return counted(epochs, record)
