"""How a worker becomes an owner and stops being one, on real Kafka: failing, slow, in the middle
of its work, frozen. Each input is decided on once all the same.
"""

import asyncio
import time
from collections.abc import Sequence

import pytest
from mawja.common.v1 import common_pb2

from services.runtime import consume
from services.runtime.config import Settings
from services.runtime.consume import Worker
from services.runtime.errors import Away, Poison, Stop
from services.runtime.own import Entry, LogReader, OwnedLog, Record
from services.runtime.produce import Producer
from services.runtime.takeover import Taken, Takeover
from services.runtime.topics import (
    BROADCAST_COMMAND,
    CASE,
    DEDUP_COMMAND,
    MESSAGE_REQUESTED,
    MESSAGE_STATUS,
    QUEUED_URGENT,
    RECEIPT,
)
from services.runtime.work import Context, PartitionWork
from tests.worker_rig import (
    PARTITIONS,
    Room,
    Work,
    committed,
    decided,
    ends,
    plan,
    running,
    say,
    start,
    until,
)


async def test_a_worker_that_cannot_go_on_ends_with_the_reason(settings: Settings) -> None:
    room = Room(DEDUP_COMMAND, MESSAGE_STATUS)
    await say(settings, DEDUP_COMMAND, [b"x"] * 8)

    async def refuse(_: Sequence[Record]) -> None:
        raise Away("a part is away")

    room.before_append = refuse
    started = await start(settings, plan(room, "g9"), room)
    with pytest.raises(Away, match="a part is away"):
        await asyncio.wait_for(started.task, 30)
    assert not any(committed(settings, "g9", DEDUP_COMMAND))
    assert all(work.stopped for work in room.works)
    await started.producer.stop()


async def test_a_takeover_that_fails_ends_the_worker(settings: Settings) -> None:
    room = Room(DEDUP_COMMAND, MESSAGE_STATUS)

    def make(context: Context) -> PartitionWork:
        if context.partition == 3:
            raise Poison("the log is damaged")
        return room.make(context)

    producer = Producer(settings.kafka, "g10")
    await producer.start()
    worker = Worker(settings, plan(room, "g10"), producer, make, "r")
    with pytest.raises(Poison, match="damaged"):
        await asyncio.wait_for(worker.run(), 30)
    assert not worker.ready
    await producer.stop()


async def test_stopping_leaves_what_cannot_be_finished_to_the_next_owner(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consume, "_FINISH_S", 1.0)
    room = Room(DEDUP_COMMAND, MESSAGE_REQUESTED)

    async def wait(_: Sequence[Record]) -> None:
        await asyncio.Event().wait()

    room.before_append = wait
    made = plan(room, "g11")
    async with running(settings, made, room) as started:
        await until(lambda: bool(room.seen))
        began = time.monotonic()
        await started.stop()
        assert time.monotonic() - began < 10
    assert committed(settings, "g11", DEDUP_COMMAND) == {}
    room.before_append = None
    async with running(settings, made, room, "next"):
        await until(
            lambda: sum(o for o, _ in committed(settings, "g11", DEDUP_COMMAND).values()) > 0
        )


async def test_records_read_while_taking_over_are_not_worked_on_too_early(
    settings: Settings,
) -> None:
    """Kafka's client reads on from the committed offset while the takeover is still folding the
    log, which says that the work went further: those records must not be decided again."""
    base = (await ends(settings, RECEIPT))[0]
    await say(settings, RECEIPT, [b"%d" % i for i in range(300)], partitions=1)
    producer = Producer(settings.kafka, "last-owner")
    await producer.start()
    log = OwnedLog(producer, LogReader(settings.kafka, "t"), CASE, 0)
    await log.acquire("last owner")
    # It decided all of them, and died before it committed any.
    await log.append(
        [
            Entry(common_pb2.Input(topic=RECEIPT.name, offset=base + i).SerializeToString())
            for i in range(300)
        ]
    )
    await producer.stop()

    class Slow(Work):
        async def start(self) -> None:
            # The takeover lasts: a fetch that began meanwhile has time to bring records.
            await asyncio.sleep(1.0)

    room = Room(RECEIPT, CASE, kind=Slow)
    async with running(settings, plan(room, "g12"), room):
        await say(settings, RECEIPT, [b"new"], partitions=1)
        await until(lambda: (0, base + 300) in room.seen)
    assert dict(room.seen) == {(0, base + 300): 1}


async def test_a_takeover_may_last_longer_than_a_session(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the logs of a large campaign are folded the group must not think its member dead: it
    would take the partitions away, and the folding would begin again, for ever."""
    # The shortest that Kafka allows.
    monkeypatch.setattr(consume, "_SESSION_MS", 6_000)
    generations = []

    async def fold(self: Takeover, partitions: Sequence[int]) -> dict[int, Taken]:
        generations.append(list(partitions))
        await asyncio.sleep(8)
        return await take(self, partitions)

    take = Takeover.take
    monkeypatch.setattr(Takeover, "take", fold)
    room = Room(QUEUED_URGENT, MESSAGE_REQUESTED)
    async with running(settings, plan(room, "g13"), room):
        await say(settings, QUEUED_URGENT, [b"new"] * 8)
        await until(lambda: len(room.seen) >= 8)
    assert generations == [list(range(PARTITIONS))]


async def test_a_frozen_replica_that_wakes_decides_nothing(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replica stands still in the middle of its work for longer than its session; another takes
    over; the first wakes and writes. Its record is void, and it ends with Stop."""
    monkeypatch.setattr(consume, "_SESSION_MS", 6_000)
    room, rescuing = Room(BROADCAST_COMMAND, CASE), Room(BROADCAST_COMMAND, CASE)
    made = plan(room, "g13")
    frozen, woken = asyncio.Event(), asyncio.Event()

    async def freeze(_: Sequence[Record]) -> None:
        frozen.set()
        await woken.wait()

    first = await start(settings, made, room, "frozen")
    await first.until_ready()
    room.before_append = freeze
    await say(settings, BROADCAST_COMMAND, [b"x"] * 40)
    await asyncio.wait_for(frozen.wait(), 20)
    # Its heartbeats stop, as they would in a frozen process.
    coordinator = first.worker._consumer._coordinator
    await coordinator._stop_heartbeat_task()
    async with running(settings, made, rescuing, "rescuer") as second:
        await until(lambda: len(second.worker.partitions) == PARTITIONS, 60)
        await until(lambda: len(rescuing.seen) >= 40, 30)
        woken.set()
        with pytest.raises(Stop):
            await asyncio.wait_for(first.task, 60)
        await first.producer.stop()
    found = decided(settings, rescuing)
    assert len(found) == 40
    assert set(found.values()) == {1}
