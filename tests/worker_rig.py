"""A small room under a real worker: for every input it writes one decision that names the input, in
the partition's log, and keeps nothing else. Its log tells what was decided, and how often.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

from kafka.admin import KafkaAdminClient
from mawja.common.v1 import common_pb2

from services.runtime.config import Settings
from services.runtime.consume import Worker
from services.runtime.letters import source_of
from services.runtime.own import NO_EPOCH, Entry, LogReader, OwnedLog, Record, epoch_of
from services.runtime.produce import Producer, acknowledged
from services.runtime.scan import Scan
from services.runtime.topics import INTAKE_DEAD, Topic
from services.runtime.work import Context, PartitionWork, Plan

PARTITIONS = 4


@dataclass
class Room:
    """What all replicas of the room share: how it behaves, and what it was given."""

    input: Topic
    log: Topic
    pause_s: float = 0.0
    kind: type["Work"] | None = None
    """What works, where it is not `Work` itself."""
    works: list["Work"] = field(default_factory=list)
    seen: Counter[tuple[int, int]] = field(default_factory=Counter)
    before_append: Callable[[Sequence[Record]], Awaitable[None]] | None = None
    after_append: Callable[[Sequence[Record]], Awaitable[None]] | None = None
    hold: int = 0
    welcome: bool = True
    poison: Callable[[bytes], bool] = lambda value: value.startswith(b"poison")
    tables: list[Record] = field(default_factory=list)

    def make(self, context: Context) -> "Work":
        work = (self.kind or Work)(self, context)
        self.works.append(work)
        return work


class Work:
    """One decision for each input; resumes behind the highest input in the log."""

    def __init__(self, room: Room, context: Context) -> None:
        self.room = room
        self.context = context
        self.next: dict[str, tuple[int, int]] = {}
        self.folded = 0
        self.started = self.stopped = False
        self.log: OwnedLog = context.logs[room.log.name]

    def fold(self, record: Record) -> None:
        if record.topic != self.room.log.name:
            self.room.tables.append(record)
            return
        self.folded += 1
        done = common_pb2.Input.FromString(record.value or b"")
        at = (done.offset + 1, done.epoch if done.epoch else NO_EPOCH)
        self.next[done.topic] = max(self.resume(done.topic), at)

    def resume(self, topic: str) -> tuple[int, int]:
        return self.next.get(topic, (0, NO_EPOCH))

    async def start(self) -> None:
        self.started = True

    async def work(self, records: Sequence[Record]) -> None:
        assert not self.stopped
        records = [r for r in records if source_of(r) == self.room.input.name]
        entries = []
        for record in records:
            self.room.seen[record.partition, record.offset] += 1
            if self.room.poison(record.value or b""):
                await self.context.dead(record, "poison")
                continue
            epoch = epoch_of(record) if self.room.input.log else 0
            done = common_pb2.Input(topic=record.topic, offset=record.offset, epoch=epoch)
            entries.append(Entry(done.SerializeToString()))
        if self.room.before_append is not None:
            await self.room.before_append(records)
        await self.log.append(entries)
        if self.room.after_append is not None:
            await self.room.after_append(records)
        if self.room.pause_s:
            await asyncio.sleep(self.room.pause_s)

    def committable(self, topic: str, offset: int) -> int:
        return max(0, offset - self.room.hold) if not self.stopped else offset

    def wants(self, topic: str) -> bool:
        return self.room.welcome

    async def stop(self) -> None:
        self.stopped = True


def plan(room: Room, group: str, dead: Topic = INTAKE_DEAD, tables: tuple[Topic, ...] = ()) -> Plan:
    return Plan(group, (room.input,), (room.log,), dead, tables, max_records=50)


@dataclass
class Running:
    worker: Worker
    task: asyncio.Task[None]
    producer: Producer

    async def until_ready(self, timeout_s: float = 30) -> None:
        await until(lambda: self.worker.ready or self.task.done(), timeout_s)
        if self.task.done():
            await self.task

    async def kill(self) -> None:
        """The process dies: nothing is given up, committed, or left."""
        self.worker._broken = True
        self.worker._owned.clear()
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await self.producer.stop()

    async def stop(self) -> None:
        self.worker.stop()
        try:
            await self.task
        finally:
            await self.producer.stop()


async def start(settings: Settings, made: Plan, room: Room, name: str = "r0") -> Running:
    producer = Producer(settings.kafka, f"{made.group}-{name}")
    await producer.start()
    make: Callable[[Context], PartitionWork] = room.make
    worker = Worker(settings, made, producer, make, name)
    return Running(worker, asyncio.create_task(worker.run()), producer)


@asynccontextmanager
async def running(
    settings: Settings, made: Plan, room: Room, name: str = "r0"
) -> AsyncIterator[Running]:
    started = await start(settings, made, room, name)
    try:
        await started.until_ready()
        yield started
    finally:
        if not started.task.done():
            await started.stop()
        else:
            await started.producer.stop()


async def die_at_each_stage(settings: Settings, made: Plan, room: Room) -> None:
    """Kills a worker that was given something before it appends, and the next one after it: neither
    commits."""
    killed = asyncio.Event()

    async def die(records: Sequence[Record]) -> None:
        if records and not killed.is_set():
            killed.set()
            await asyncio.Event().wait()

    for stage in ("before_append", "after_append"):
        killed.clear()
        setattr(room, stage, die)
        started = await start(settings, made, room, stage)
        await asyncio.wait_for(killed.wait(), 30)
        await started.kill()
        setattr(room, stage, None)


async def until_shared(first: Running, second: Running) -> None:
    """Waits until each has its half of the partitions."""
    # Each takes its own over when it is ready: not at the same moment.
    await until(
        lambda: (
            len(second.worker.partitions) == 2
            and sorted(first.worker.partitions + second.worker.partitions) == [0, 1, 2, 3]
        ),
        40,
    )


async def until(true: Callable[[], bool], timeout_s: float = 30) -> None:
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline, "it did not come about"
        await asyncio.sleep(0.02)


async def say(
    settings: Settings, topic: Topic, values: Sequence[bytes], partitions: int = PARTITIONS
) -> None:
    producer = Producer(settings.kafka, "test-say")
    await producer.start()
    try:
        await acknowledged(
            [
                await producer.send(topic, i % partitions, value, key=b"k%d" % i)
                for i, value in enumerate(values)
            ]
        )
    finally:
        await producer.stop()


def decided(settings: Settings, room: Room, topic: Topic | None = None) -> Counter[tuple[int, int]]:
    """(partition, offset of the input) of every decision that counts on an input of `topic`, or of
    the room's own input."""
    found: Counter[tuple[int, int]] = Counter()

    def each(record: Record) -> None:
        done = common_pb2.Input.FromString(record.value or b"")
        if done.topic == (topic or room.input).name:
            found[record.partition, done.offset] += 1

    with Scan(settings.kafka, [room.log]) as scan:
        scan.advance(each)
    return found


async def until_decided(
    settings: Settings, room: Room, count: int, topic: Topic | None = None, timeout_s: float = 40
) -> None:
    """Waits for as many decisions on inputs of `topic`, or of the room's own input."""
    deadline = time.monotonic() + timeout_s
    while (found := len(decided(settings, room, topic))) < count:
        assert time.monotonic() < deadline, f"{found} of {count}"
        await asyncio.sleep(0.1)


@contextmanager
def admin(settings: Settings) -> Iterator[KafkaAdminClient]:
    client = KafkaAdminClient(bootstrap_servers=settings.kafka)
    try:
        yield client
    finally:
        client.close()


def committed(settings: Settings, group: str, topic: Topic) -> dict[int, tuple[int, str]]:
    with admin(settings) as client:
        found = client.list_group_offsets({group: None})[group]
    return {
        tp.partition: (value.offset, value.metadata or "")
        for tp, value in found.items()
        if tp.topic == topic.name
    }


def at(settings: Settings, group: str, topic: Topic, partition: int) -> int:
    return committed(settings, group, topic).get(partition, (0, ""))[0]


def dead_letters(settings: Settings, topic: Topic) -> list[common_pb2.DeadLetter]:
    letters: list[common_pb2.DeadLetter] = []
    with Scan(settings.kafka, [topic]) as scan:
        scan.advance(lambda r: letters.append(common_pb2.DeadLetter.FromString(r.value or b"")))
    return letters


async def ends(settings: Settings, topic: Topic) -> dict[int, int]:
    return await LogReader(settings.kafka, "t").end(topic, range(PARTITIONS))
