"""Workers on real Kafka: each input once in the log, whatever dies, moves or is asked again."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import pytest
from kafka import TopicPartition
from kafka.structs import OffsetAndMetadata

from services.runtime import offsets
from services.runtime.config import Settings
from services.runtime.own import Record
from services.runtime.produce import Producer, acknowledged
from services.runtime.topics import (
    CALL_EVENT,
    CASE,
    CONTACT_ACCEPTED,
    INBOUND_MESSAGE,
    INCIDENT_COMMAND,
    MESSAGE_REQUESTED,
    MESSAGE_STATUS,
    OPT_OUT,
    QUEUED_BULK,
    QUEUED_NORMAL,
)
from tests.worker_rig import (
    PARTITIONS,
    Room,
    Work,
    admin,
    committed,
    decided,
    die_at_each_stage,
    plan,
    running,
    say,
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
