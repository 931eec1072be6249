"""What a worker can't use, on real Kafka: poison up to a limit, void and foreign records."""

import asyncio
from dataclasses import replace

import pytest

from services.runtime.config import Settings
from services.runtime.errors import Stop
from services.runtime.own import Entry, LogReader, OwnedLog
from services.runtime.produce import Producer, acknowledged
from services.runtime.topics import (
    BROADCAST_DEAD,
    CALLBACK,
    CASE,
    DEDUP_DEAD,
    MESSAGE_REQUESTED,
    MESSAGE_STATUS,
    OUTREACH_DEAD,
    QUEUED_URGENT,
    TALLY,
)
from tests.worker_rig import (
    Room,
    at,
    committed,
    dead_letters,
    decided,
    ends,
    plan,
    running,
    say,
    start,
    until,
)


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
