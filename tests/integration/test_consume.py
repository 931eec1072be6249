"""Workers on real Kafka: each input once in the log, whatever dies, freezes, moves or is poison."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from kafka import TopicPartition
from kafka.structs import OffsetAndMetadata
from mawja.common.v1 import common_pb2

from services.local.parts import Parts
from services.runtime import consume, offsets
from services.runtime.config import Settings
from services.runtime.consume import Worker
from services.runtime.errors import Away, Poison, Stop
from services.runtime.own import Entry, LogReader, OwnedLog, Record
from services.runtime.produce import Producer, acknowledged
from services.runtime.takeover import Taken, Takeover
from services.runtime.topics import (
    BROADCAST_COMMAND,
    BROADCAST_DEAD,
    CALL_EVENT,
    CALLBACK,
    CASE,
    CONTACT_ACCEPTED,
    DEDUP_COMMAND,
    DEDUP_DEAD,
    INBOUND_MESSAGE,
    INCIDENT_COMMAND,
    MESSAGE_REQUESTED,
    MESSAGE_STATUS,
    OPT_OUT,
    OUTREACH_DEAD,
    QUEUED_BULK,
    QUEUED_NORMAL,
    QUEUED_URGENT,
    RECEIPT,
    TALLY,
)
from services.runtime.work import Context, PartitionWork
from tests.worker_rig import (
    PARTITIONS,
    Room,
    Work,
    admin,
    at,
    committed,
    dead_letters,
    decided,
    die_at_each_stage,
    ends,
    plan,
    running,
    say,
    start,
    until,
    until_decided,
    until_shared,
)


async def test_each_input_once_through_1_2_1_replicas(settings: Settings) -> None:
    room = Room(CONTACT_ACCEPTED, CASE, pause_s=0.01)
    made = plan(room, "g1")
    await say(settings, CONTACT_ACCEPTED, [b"%d" % i for i in range(400)])
    async with running(settings, made, room, "a") as first:
        await until(lambda: sum(room.seen.values()) > 20)
        async with running(settings, made, room, "b") as second:
            await until_shared(first, second)
            await say(settings, CONTACT_ACCEPTED, [b"x"] * 400)
            await asyncio.sleep(0.3)
        await until(lambda: len(first.worker.partitions) == 4, 40)
        await until_decided(settings, room, 800)
    found = decided(settings, room)
    assert set(found.values()) == {1}
    assert len(found) == 800
    assert {
        p: o for p, (o, _) in committed(settings, "g1", CONTACT_ACCEPTED).items()
    } == dict.fromkeys(range(4), 200)


async def test_a_kill_between_append_and_commit_decides_nothing_twice(settings: Settings) -> None:
    room = Room(CALL_EVENT, CASE)
    made = plan(room, "g2")
    await say(settings, CALL_EVENT, [b"%d" % i for i in range(200)])
    await die_at_each_stage(settings, made, room)
    async with running(settings, made, room, "last"):
        await until_decided(settings, room, 200)
    assert set(decided(settings, room).values()) == {1}
    assert max(room.seen.values()) > 1, "nothing was given twice, so nothing was tested"


async def test_what_is_held_back_is_not_committed_until_given_up(settings: Settings) -> None:
    room = Room(QUEUED_NORMAL, MESSAGE_STATUS, hold=7)
    await say(settings, QUEUED_NORMAL, [b"x"] * 80)
    async with running(settings, plan(room, "g3"), room):
        await until_decided(settings, room, 80)
        await until(
            lambda: committed(settings, "g3", QUEUED_NORMAL) == dict.fromkeys(range(4), (13, "")),
            10,
        )
    # Stopping lets go of what was held, and the last commit still counts.
    assert committed(settings, "g3", QUEUED_NORMAL) == dict.fromkeys(range(4), (20, "-1"))
    assert all(work.stopped for work in room.works)


async def test_while_records_keep_coming_a_commit_is_for_many(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = Room(INCIDENT_COMMAND, MESSAGE_STATUS)
    commits: list[int] = []
    commit = offsets.commit

    async def counted(consumer: Any, due: Any, partitions: Any) -> None:
        if due:
            commits.append(len(due))
        await commit(consumer, due, partitions)

    async with running(settings, plan(room, "g14"), room):
        monkeypatch.setattr(offsets, "commit", counted)
        producer = Producer(settings.kafka, "test-trickle")
        await producer.start()
        began_s = time.monotonic()
        for number in range(100):
            await acknowledged([await producer.send(INCIDENT_COMMAND, number % PARTITIONS, b"x")])
        took_s = time.monotonic() - began_s
        await producer.stop()
        await until_decided(settings, room, 100)
        await until(
            lambda: sum(o for o, _ in committed(settings, "g14", INCIDENT_COMMAND).values()) == 100,
            10,
        )
    assert 1 <= len(commits) <= took_s / 0.1 + 5, "one for each step would be a hundred"


async def test_what_is_not_wanted_is_not_read(settings: Settings) -> None:
    room = Room(QUEUED_BULK, MESSAGE_REQUESTED)
    async with running(settings, plan(room, "g4"), room):
        await say(settings, QUEUED_BULK, [b"x"] * 40)
        await until_decided(settings, room, 40)
        room.welcome = False
        await say(settings, QUEUED_BULK, [b"y"] * 400)
        # One read may be on its way already.
        await asyncio.sleep(1.5)
        given = sum(room.seen.values())
        assert given <= 40 + 4 * 50
        await asyncio.sleep(1)
        assert sum(room.seen.values()) == given
        room.welcome = True
        await until_decided(settings, room, 440)
    assert set(decided(settings, room).values()) == {1}


async def test_resetting_the_group_to_earliest_decides_nothing_again(settings: Settings) -> None:
    room = Room(CONTACT_ACCEPTED, CASE)
    before = decided(settings, room)
    assert len(before) == 800, "the first test's log"
    earliest = {
        TopicPartition(CONTACT_ACCEPTED.name, p): OffsetAndMetadata(0, "", -1) for p in range(4)
    }
    with admin(settings) as client:
        client.alter_group_offsets("g1", earliest)
    assert {o for o, _ in committed(settings, "g1", CONTACT_ACCEPTED).values()} == {0}
    async with running(settings, plan(room, "g1"), room):
        await say(settings, CONTACT_ACCEPTED, [b"new"] * 4)
        await until_decided(settings, room, 804)
    assert set(decided(settings, room).values()) == {1}
    assert not room.seen or min(offset for _, offset in room.seen) >= 200


async def test_a_lost_group_decides_nothing_again(settings: Settings) -> None:
    """Another group id knows of no commit at all."""
    room = Room(CONTACT_ACCEPTED, CASE)
    async with running(settings, plan(room, "g1-anew"), room):
        await say(settings, CONTACT_ACCEPTED, [b"newer"] * 4)
        await until_decided(settings, room, 808)
    assert set(decided(settings, room).values()) == {1}


async def test_one_in_a_hundred_is_poison_and_the_rest_goes_on(settings: Settings) -> None:
    room = Room(TALLY, CASE)
    values = [b"poison" if i % 100 == 0 else b"%d" % i for i in range(800)]
    await say(settings, TALLY, values)
    async with running(settings, plan(room, "g5", DEDUP_DEAD), room):
        await until(lambda: sum(o for o, _ in committed(settings, "g5", TALLY).values()) == 800)
    letters = dead_letters(settings, DEDUP_DEAD)
    assert len(letters) == 8
    assert {(letter.topic, letter.value, letter.reason) for letter in letters} == {
        (TALLY.name, b"poison", "poison")
    }
    assert {(letter.partition, letter.offset) for letter in letters} == {
        (i % 4, i // 4) for i in range(0, 800, 100)
    }
    assert sum(room.seen.values()) == 800
    assert len(decided(settings, room)) == 792


async def test_at_the_limit_it_stops_and_commits_nothing_past_it(settings: Settings) -> None:
    limited = replace(settings, dead_letter_limit=5)
    room = Room(QUEUED_URGENT, MESSAGE_REQUESTED)
    made = plan(room, "g6", OUTREACH_DEAD)
    values = [b"%d" % i for i in range(20)] + [b"poison"] * 20 + [b"after"] * 10
    await say(settings, QUEUED_URGENT, values, partitions=1)
    for attempt in range(2):
        started = await start(limited, made, room, f"r{attempt}")
        with pytest.raises(Stop, match=r"holds 5 dead letters.*MAWJA_DEAD_LETTER_LIMIT"):
            await asyncio.wait_for(started.task, 30)
        await started.producer.stop()
        letters = dead_letters(settings, OUTREACH_DEAD)
        assert [letter.offset for letter in letters] == [20, 21, 22, 23, 24]
        assert at(settings, "g6", QUEUED_URGENT, 0) <= 25, "records behind the limit would be lost"
    # With a higher limit everything is either decided or a dead letter.
    roomy = replace(settings, dead_letter_limit=100)
    async with running(roomy, made, room, "roomy"):
        await until(lambda: at(settings, "g6", QUEUED_URGENT, 0) == 50)
    dead = {letter.offset for letter in dead_letters(settings, OUTREACH_DEAD)}
    assert dead == set(range(20, 40))
    lived = decided(settings, room)
    assert set(lived.values()) == {1}
    assert {offset for _, offset in lived} == set(range(20)) | set(range(40, 50))


async def test_void_and_foreign_records_of_a_log_never_reach_the_work(settings: Settings) -> None:
    """A room that reads another's decision log: a zombie's late records, markers, and garbage. And
    after a restart in the middle the void ones stay void, because the epoch was kept."""
    base = await ends(settings, CALLBACK)
    room = Room(CALLBACK, MESSAGE_STATUS)
    made = plan(room, "g7", BROADCAST_DEAD)
    old, new = Producer(settings.kafka, "old"), Producer(settings.kafka, "new")
    await old.start()
    await new.start()
    reader = LogReader(settings.kafka, "t")
    zombie = OwnedLog(old, reader, CALLBACK, 1)
    rightful = OwnedLog(new, reader, CALLBACK, 1)
    counted: list[int] = []

    async def write(log: OwnedLog, count: int = 3) -> None:
        try:
            first = await log.append([Entry(b"x")] * count)
        except Stop:
            assert log is zombie
        else:
            counted.extend(range(first, first + count))

    await zombie.acquire("old")
    await write(zombie)
    await rightful.acquire("new")
    await write(rightful)
    await write(zombie)
    await write(rightful)
    foreign = await acknowledged([await new.send(CALLBACK, 1, b"foreign")])

    async with running(settings, made, room, "before"):
        await until(lambda: len(room.seen) >= len(counted))
        await until(lambda: at(settings, "g7", CALLBACK, 1) == foreign[0].offset + 1)
    assert committed(settings, "g7", CALLBACK)[1][1] == str(rightful.epoch)
    # While nobody reads, the zombie writes once more, right behind what was committed.
    await write(zombie, 5)
    await write(rightful, 2)
    async with running(settings, made, room, "after"):
        await until(lambda: len(room.seen) >= len(counted))
        await asyncio.sleep(0.5)
    assert sorted(offset for p, offset in room.seen if p == 1) == sorted(counted)
    assert set(room.seen.values()) == {1}
    assert [(x.offset, x.value) for x in dead_letters(settings, BROADCAST_DEAD)] == [
        (foreign[0].offset, b"foreign")
    ]
    assert base[1] < foreign[0].offset
    await old.stop()
    await new.stop()


async def test_a_table_is_read_whole_before_work_and_followed_afterwards(
    settings: Settings,
) -> None:
    await say(settings, OPT_OUT, [b"t%d" % i for i in range(12)])
    handed: list[bytes] = []
    worked = Work.work

    class Follows(Work):
        async def work(self, records: Sequence[Record]) -> None:
            handed.extend(r.value or b"" for r in records if r.topic == OPT_OUT.name)
            await worked(self, records)

    room = Room(INBOUND_MESSAGE, MESSAGE_STATUS, kind=Follows)
    async with running(settings, plan(room, "g8", tables=(OPT_OUT,)), room):
        assert sorted(r.value or b"" for r in room.tables) == sorted(b"t%d" % i for i in range(12))
        await say(settings, OPT_OUT, [b"later"] * 4)
        await until(lambda: len(handed) == 4)
        assert handed == [b"later"] * 4
    assert committed(settings, "g8", OPT_OUT) == {}, "a table has no position of its own"


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


# From here on Kafka is frozen: keep this last.


async def test_a_frozen_replica_that_wakes_decides_nothing(
    settings: Settings, parts: Parts, monkeypatch: pytest.MonkeyPatch
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
