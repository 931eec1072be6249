"""Dead letters on real Kafka: replayed once, whoever dies, and however many people ask for it."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar
from uuid import UUID

import pytest
from google.protobuf.message import DecodeError
from mawja.broadcast.v1 import events_pb2 as broadcast_pb2
from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2 as dedup_pb2
from mawja.intake.v1 import events_pb2 as intake_pb2

from services.runtime.config import Settings
from services.runtime.errors import ConfigError, NotFound, NotInState, Stop
from services.runtime.own import Entry, LogReader, OwnedLog, Record
from services.runtime.privacy import Keyring
from services.runtime.produce import Producer, acknowledged
from services.runtime.topics import (
    BROADCAST_DEAD,
    CALL_EVENT,
    CALLBACK,
    CASE,
    CONTACT_ACCEPTED,
    DEDUP_DEAD,
    INBOUND_MESSAGE,
    INTAKE_DEAD,
    MESSAGE_REQUESTED,
    MESSAGE_STATUS,
    OUTREACH_DEAD,
    QUEUED_NORMAL,
    QUEUED_URGENT,
    Topic,
)
from services.runtime.work import Plan
from services.tools.letters import Box, By, Letter
from tests.worker_rig import (
    PARTITIONS,
    Room,
    at,
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

BY = By("admin", "a test")
_T = TypeVar("_T")


@pytest.fixture
def keyring(settings: Settings) -> Keyring:
    return Keyring(settings.keys)


async def in_box(settings: Settings, room: str, deed: Callable[[Box], _T]) -> _T:
    """The tool is a process of its own, without a loop that runs."""

    def run() -> _T:
        with Box(settings, [room]) as box:
            return deed(box)

    return await asyncio.to_thread(run)


def of(box: Box, room: str, source: Topic) -> list[Letter]:
    return [letter for letter in box.letters(room) if letter.record.topic == source.name]


def contact(number: int, channel: common_pb2.Channel.ValueType) -> bytes:
    contact_id = str(UUID(int=number))
    return intake_pb2.ContactAccepted(contact_id=contact_id, channel=channel).SerializeToString()


def no_channel(value: bytes) -> bool:
    return not intake_pb2.ContactAccepted.FromString(value).channel


BAD = contact(1, common_pb2.CHANNEL_UNSPECIFIED)
GOOD = contact(1, common_pb2.CHANNEL_VOICE)


async def until_replayed(settings: Settings, room: Room, dead: Topic, count: int) -> None:
    await until_decided(settings, room, count, dead, timeout_s=30)


async def test_a_mended_letter_is_worked_once_and_a_second_replay_is_refused(
    settings: Settings, keyring: Keyring
) -> None:
    room = Room(CONTACT_ACCEPTED, CASE, poison=no_channel)
    made = plan(room, "d1", DEDUP_DEAD)
    await say(settings, CONTACT_ACCEPTED, [GOOD, BAD, GOOD, BAD])

    def mend(box: Box) -> int:
        first, _ = of(box, "dedup", CONTACT_ACCEPTED)
        assert (first.partition, first.record.value, first.state) == (1, BAD, "waiting")
        assert box.waiting("dedup") == {1: 1, 3: 1}
        offset = box.replay(first, GOOD, BY, keyring)
        with pytest.raises(NotInState, match="was replayed already, by admin"):
            box.replay(box.letter("dedup", 1, first.offset), GOOD, BY, keyring)
        assert box.waiting("dedup") == {3: 1}
        return offset

    async with running(settings, made, room):
        await until(lambda: len(dead_letters(settings, DEDUP_DEAD)) == 2)
        offset = await in_box(settings, "dedup", mend)
        await until_replayed(settings, room, DEDUP_DEAD, 1)
        await until(lambda: at(settings, "d1", DEDUP_DEAD, 1) == offset + 1)
    assert decided(settings, room, DEDUP_DEAD) == {(1, offset): 1}
    assert decided(settings, room) == {(0, 0): 1, (2, 0): 1}

    def account(box: Box) -> None:
        first, second = of(box, "dedup", CONTACT_ACCEPTED)
        assert (first.state, second.state) == ("replayed", "waiting")
        assert first.replay is not None
        assert first.replay.mended
        assert keyring.unseal("reason", first.replay.sealed_reason) == BY.reason
        with pytest.raises(NotFound, match="no dead letter of dedup stands at offset 99"):
            box.letter("dedup", 1, 99)
        # What cannot be a record of its topic, or of its partition, is not even tried.
        with pytest.raises(ConfigError, match="is not a ContactAccepted"):
            box.replay(second, b"\xff", BY, keyring)
        elsewhere = intake_pb2.ContactAccepted(person=bytes(16)).SerializeToString()
        with pytest.raises(ConfigError, match="a person of another partition"):
            box.replay(second, elsewhere, BY, keyring)

    await in_box(settings, "dedup", account)


async def test_two_people_replay_one_letter_and_it_is_worked_once(
    settings: Settings, keyring: Keyring
) -> None:
    room = Room(CONTACT_ACCEPTED, CASE, poison=no_channel)

    def both(box: Box) -> tuple[int, int]:
        [letter] = [x for x in of(box, "dedup", CONTACT_ACCEPTED) if x.state == "waiting"]
        with Box(settings, ["dedup"]) as slower:
            # Both have seen that it waits.
            offset = box.replay(letter, GOOD, BY, keyring)
            with pytest.raises(NotInState, match=r"somebody was faster: .* by admin"):
                slower.replay(letter, BAD, By("other", "too"), keyring)
        return letter.partition, offset

    # Nobody works meanwhile: the next owner finds both.
    first = await in_box(settings, "dedup", both)
    async with running(settings, plan(room, "d1", DEDUP_DEAD), room):
        await until_replayed(settings, room, DEDUP_DEAD, 2)
        await say(settings, CONTACT_ACCEPTED, [GOOD] * PARTITIONS)
        await until_decided(settings, room, 6)
    found = decided(settings, room, DEDUP_DEAD)
    assert found[first] == 1
    assert set(found.values()) == {1}
    assert len(found) == 2
    # A group that knows nothing of what was done.
    async with running(settings, plan(room, "d1-anew", DEDUP_DEAD), room):
        await say(settings, CONTACT_ACCEPTED, [GOOD] * PARTITIONS)
        await until_decided(settings, room, 10)
    assert decided(settings, room, DEDUP_DEAD) == found


async def test_a_kill_between_a_replays_effect_and_its_commit(
    settings: Settings, keyring: Keyring
) -> None:
    def no_state(value: bytes) -> bool:
        return not intake_pb2.CallEvent.FromString(value).state

    room = Room(CALL_EVENT, CASE, poison=no_state)
    made = plan(room, "d2", OUTREACH_DEAD)
    bad = intake_pb2.CallEvent(contact_id=str(UUID(int=1))).SerializeToString()
    good = intake_pb2.CallEvent(state=intake_pb2.CALL_STATE_ENDED).SerializeToString()
    await say(settings, CALL_EVENT, [bad] * 40)
    async with running(settings, made, room, "first"):
        await until(lambda: len(dead_letters(settings, OUTREACH_DEAD)) == 40)

    def mend(box: Box) -> list[Letter]:
        found = of(box, "outreach", CALL_EVENT)
        for letter in found[:8]:
            box.replay(letter, good, BY, keyring)
        return found

    waiting = await in_box(settings, "outreach", mend)
    assert len(waiting) == 40
    room.seen.clear()
    await die_at_each_stage(settings, made, room)
    async with running(settings, made, room, "last"):
        await until_replayed(settings, room, OUTREACH_DEAD, 8)
        await until(
            lambda: sum(at(settings, "d2", OUTREACH_DEAD, p) for p in range(PARTITIONS)) == 48
        )
    assert set(decided(settings, room, OUTREACH_DEAD).values()) == {1}
    assert max(room.seen.values()) > 1, "nothing was given twice, so nothing was tested"
    assert len(dead_letters(settings, OUTREACH_DEAD)) == 48, "a letter was written twice"


async def test_a_letter_is_written_once_when_its_writer_dies_before_the_commit(
    settings: Settings,
) -> None:
    room = Room(QUEUED_NORMAL, MESSAGE_STATUS)
    made = plan(room, "d3", BROADCAST_DEAD)
    before = len(dead_letters(settings, BROADCAST_DEAD))
    await say(settings, QUEUED_NORMAL, [b"poison", b"x"] * 8)
    reached = asyncio.Event()

    async def die(_: Sequence[Record]) -> None:
        reached.set()
        await asyncio.Event().wait()

    room.before_append = die
    started = await start(settings, made, room, "dies")
    await asyncio.wait_for(reached.wait(), 30)
    await until(lambda: len(dead_letters(settings, BROADCAST_DEAD)) > before)
    await started.kill()
    room.before_append = None
    room.seen.clear()
    async with running(settings, made, room, "next"):
        await until_decided(settings, room, 8)
        await until(lambda: sum(at(settings, "d3", QUEUED_NORMAL, p) for p in range(4)) == 16)
    written = dead_letters(settings, BROADCAST_DEAD)[before:]
    assert set(Counter((x.partition, x.offset) for x in written).values()) == {1}
    assert len(written) == 8
    # And the record that is in a letter is not tried again where it stood.
    room.poison = lambda _: False
    async with running(settings, plan(room, "d3-anew", BROADCAST_DEAD), room, "mended"):
        await until(lambda: sum(at(settings, "d3-anew", QUEUED_NORMAL, p) for p in range(4)) == 16)
    assert len(decided(settings, room)) == 8


async def test_the_limit_counts_what_waits_and_a_replay_frees_it(
    settings: Settings, keyring: Keyring
) -> None:
    def no_carrier(value: bytes) -> bool:
        return not broadcast_pb2.InboundMessage.FromString(value).carrier

    limited = replace(settings, dead_letter_limit=5)
    room = Room(INBOUND_MESSAGE, MESSAGE_REQUESTED, poison=no_carrier)
    made = plan(room, "d4", INTAKE_DEAD)
    bad = broadcast_pb2.InboundMessage(inbound_id="x").SerializeToString()
    good = broadcast_pb2.InboundMessage(carrier="c").SerializeToString()
    await say(settings, INBOUND_MESSAGE, [bad] * 8 + [good], partitions=1)

    async def stops() -> None:
        started = await start(limited, made, room)
        with pytest.raises(Stop, match=r"holds 5 dead letters.*mawja dlq"):
            await asyncio.wait_for(started.task, 30)
        await started.producer.stop()

    await stops()
    assert at(settings, "d4", INBOUND_MESSAGE, 0) <= 5

    def mend(box: Box) -> None:
        assert box.waiting("intake") == {0: 5}
        for letter in of(box, "intake", INBOUND_MESSAGE):
            box.replay(letter, good, BY, keyring)
        assert box.waiting("intake") == {}

    await in_box(settings, "intake", mend)
    async with running(limited, made, room):
        await until_decided(settings, room, 1)
        await until_replayed(settings, room, INTAKE_DEAD, 5)
    assert set(decided(settings, room, INTAKE_DEAD).values()) == {1}
    assert [x.offset for x in dead_letters(settings, INTAKE_DEAD) if not x.WhichOneof("deed")] == [
        *range(8)
    ]

    def again(box: Box) -> int:
        waiting = [x for x in of(box, "intake", INBOUND_MESSAGE) if x.state == "waiting"]
        assert [x.record.offset for x in waiting] == [5, 6, 7]
        return box.replay(waiting[0], None, BY, keyring)

    # As it was: it breaks its rule once more, and is a letter of its own.
    offset = await in_box(settings, "intake", again)
    async with running(limited, made, room):
        await until(lambda: at(settings, "d4", INTAKE_DEAD, 0) > offset + 1)

    def account(box: Box) -> None:
        found = of(box, "intake", INBOUND_MESSAGE)
        assert box.waiting("intake") == {0: 3}
        assert found[-1].record.replay_offset == offset
        assert found[-1].record.offset == 5
        box.replay(found[-1], good, BY, keyring)

    await in_box(settings, "intake", account)
    async with running(limited, made, room):
        await until_replayed(settings, room, INTAKE_DEAD, 6)


async def test_what_no_owner_wrote_is_never_replayed(settings: Settings, keyring: Keyring) -> None:
    room = Room(CALLBACK, MESSAGE_STATUS)
    made = plan(room, "d5", BROADCAST_DEAD)
    producer = Producer(settings.kafka, "foreign")
    await producer.start()
    [foreign] = await acknowledged([await producer.send(CALLBACK, 2, b"foreign")])
    garbage = await acknowledged([await producer.send(BROADCAST_DEAD, 2, b"\xff\xff")])
    async with running(settings, made, room):
        await until(lambda: at(settings, "d5", CALLBACK, 2) == foreign.offset + 1)

        def refused(box: Box) -> common_pb2.DeadLetter:
            [letter] = of(box, "broadcast", CALLBACK)
            assert letter.state == "foreign"
            with pytest.raises(NotInState, match=r"no owner of that log wrote.*nothing to replay"):
                box.replay(letter, None, BY, keyring)
            return common_pb2.DeadLetter(
                topic=CALLBACK.name,
                partition=2,
                offset=letter.record.offset,
                replay=common_pb2.Replay(letter_offset=letter.offset, subject="x", asked_ms=1),
            )

        forced = await in_box(settings, "broadcast", refused)
        # Somebody who does not ask the tool is not heard either.
        [sent] = await acknowledged(
            [await producer.send(BROADCAST_DEAD, 2, forced.SerializeToString())]
        )
        await until(lambda: at(settings, "d5", BROADCAST_DEAD, 2) == sent.offset + 1)
    assert garbage
    assert not room.seen
    assert not decided(settings, room, BROADCAST_DEAD)
    await producer.stop()


async def test_a_replay_of_a_record_of_a_decision_log(settings: Settings, keyring: Keyring) -> None:
    """What its owner wrote and a later room cannot read: its replay is no record of that log."""

    def no_case(value: bytes) -> bool:
        try:
            return not dedup_pb2.CaseDecision.FromString(value).case.case_id
        except DecodeError:
            # Other tests' rooms write what they like.
            return True

    room = Room(CASE, MESSAGE_STATUS, poison=no_case)
    made = plan(room, "d6", OUTREACH_DEAD)
    start_at = (await ends(settings, CASE))[3]
    producer = Producer(settings.kafka, "owner")
    await producer.start()
    log = OwnedLog(producer, LogReader(settings.kafka, "t"), CASE, 3)
    await log.acquire("owner")
    good = dedup_pb2.CaseDecision(case=dedup_pb2.Case(case_id="c")).SerializeToString()
    bad = dedup_pb2.CaseDecision(decided_ms=7).SerializeToString()
    await log.append([Entry(good), Entry(bad), Entry(good)])
    await producer.stop()
    async with running(settings, made, room):
        await until(lambda: at(settings, "d6", CASE, 3) == start_at + 4)

        def mend(box: Box) -> int:
            [letter] = [x for x in of(box, "outreach", CASE) if x.record.value == bad]
            return box.replay(letter, good, BY, keyring)

        offset = await in_box(settings, "outreach", mend)
        await until_replayed(settings, room, OUTREACH_DEAD, 1)
    assert decided(settings, room, OUTREACH_DEAD)[3, offset] == 1
    async with running(settings, made, room):
        await until(lambda: at(settings, "d6", OUTREACH_DEAD, 3) == offset + 1)
    assert set(decided(settings, room, OUTREACH_DEAD).values()) == {1}


class Before(Plan):
    """A plan of the version before, which read no dead letters."""

    @property
    def reads(self) -> tuple[Topic, ...]:
        return self.inputs


async def test_while_a_version_that_reads_more_joins_each_partition_has_one_owner(
    settings: Settings,
) -> None:
    """Its additional topic is then given to it whole, the others are not."""
    old, new = Room(QUEUED_URGENT, MESSAGE_STATUS), Room(QUEUED_URGENT, MESSAGE_STATUS)
    before = Before("d7", (QUEUED_URGENT,), (MESSAGE_STATUS,), INTAKE_DEAD)
    async with running(settings, before, old, "old") as first:
        await say(settings, QUEUED_URGENT, [b"x"] * 40)
        await until_decided(settings, old, 40)
        async with running(settings, plan(new, "d7", INTAKE_DEAD), new, "new") as second:
            await until_shared(first, second)
            await say(settings, QUEUED_URGENT, [b"x"] * 40)
            await until_decided(settings, old, 80)
    assert set(decided(settings, old).values()) == {1}
    assert new.seen
