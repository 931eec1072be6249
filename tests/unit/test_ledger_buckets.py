"""Every contact and message of a running system is in the bucket that says where it is and why:
also what was queued by hand, is in a dead letter or is kept no more."""

import random

import pytest
from google.protobuf.message import Message
from mawja.broadcast.v1 import events_pb2 as broadcast_pb2
from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2 as dedup_pb2
from mawja.outreach.v1 import events_pb2 as outreach_pb2

from loadtests.ledger import Ledger, Standing, Truth, standing
from services.runtime import ids, topics
from services.runtime.topics import Topic
from tests.ledger_damage import changed, drop_status_of, set_aside
from tests.ledger_world import (
    CLAIMED,
    DELIVERED,
    EXPIRED,
    FAILED,
    RELEASED,
    START_MS,
    SUBMITTED,
    SUPPRESSED,
    UNKNOWN,
    Read,
    World,
    problems,
    sentences,
    take,
    topics_only,
    world,
)

DAY_MS = 86_400_000


def counts(found: Standing) -> dict[str, int]:
    """Buckets that are not empty."""
    return {name: bucket.count for name, bucket in found.messages.items() if bucket.count}


# Buckets.


def one_message(*way: broadcast_pb2.MessageState.ValueType) -> tuple[World, str]:
    made = World()
    case = made.contact(Truth("+999500000000", "p", "n"))
    return made, made.message(case, "acknowledge", way, at_carrier=SUBMITTED in way)


@pytest.mark.parametrize(
    ("way", "bucket"),
    [
        ((), "waiting"),
        ((CLAIMED,), "claimed"),
        ((CLAIMED, RELEASED), "queued"),
        ((CLAIMED, SUBMITTED), "submitted"),
        ((CLAIMED, SUBMITTED, UNKNOWN), "unknown"),
        ((CLAIMED, SUBMITTED, DELIVERED), "delivered"),
        ((CLAIMED, FAILED), "failed"),
        ((SUPPRESSED,), "suppressed"),
        ((EXPIRED,), "expired"),
    ],
)
def test_each_state_has_its_bucket(
    way: tuple[broadcast_pb2.MessageState.ValueType, ...], bucket: str
) -> None:
    made = World()
    case = made.contact(Truth("+999500000000", "p", "n"))
    if way:
        made.message(case, "acknowledge", way, at_carrier=False)
    else:
        made.message(case, "acknowledge", (SUPPRESSED,), at_carrier=False)
        made.statuses.clear()
    assert counts(standing(topics_only(made), START_MS)) == {bucket: 1}


def test_what_is_in_a_lane_is_queued() -> None:
    made, message = one_message(SUPPRESSED)
    drop_status_of(made, message)
    ledger = topics_only(made)
    take(ledger, topics.QUEUED_NORMAL, [broadcast_pb2.QueuedMessage(message_id=message)])
    assert counts(standing(ledger, START_MS)) == {"queued": 1}
    assert problems(ledger) == set()
    take(ledger, topics.QUEUED_BULK, [broadcast_pb2.QueuedMessage(message_id=ids.derive("x"))])
    assert problems(ledger) == {"messages are in a lane and were never requested"}


def test_reasons_and_ages_are_told() -> None:
    made, message = one_message(CLAIMED, UNKNOWN)
    made.statuses[-1].changes[0].reason = "timeout"
    at_ms = made.statuses[-1].decided_ms + 11 * 60_000
    # More of it became known, and it is as old as before.
    made.status(made.statuses[-1].changes[0], at_ms - 1_000)
    case = made.requests[0].case_id
    made.message(case, "another", (SUPPRESSED,), at_carrier=False)
    made.statuses[-1].changes[0].reason = "opt-out"
    found = standing(topics_only(made), at_ms)
    assert found.messages["unknown"].reasons == {"timeout": 1}
    assert found.messages["unknown"].oldest_ms == 11 * 60_000
    assert found.unknown_for["up to an hour"] == sum(found.unknown_for.values()) == 1
    assert found.messages["suppressed"].reasons == {"opt-out": 1}
    assert found.messages["delivered"].oldest_ms is None
    changed(made, message, DELIVERED)
    assert sum(standing(topics_only(made), at_ms).unknown_for.values()) == 0


def test_every_callback_is_in_one_state() -> None:
    made = world(9)
    ends = [callback for callback in made.callbacks if callback.version == 2]
    states = (outreach_pb2.CALLBACK_STATE_CLAIMED, outreach_pb2.CALLBACK_STATE_GIVEN_UP)
    for callback, state in zip(ends, states, strict=False):
        callback.state = state
    found = standing(topics_only(made), START_MS).callbacks
    assert {name: count for name, count in found.items() if count} == {
        "claimed": 1,
        "given up": 1,
        "withdrawn": len(ends) - 2,
    }
    assert sum(found.values()) == len(ends) == 3


# Queued by hand.


def by_hand(message: str) -> broadcast_pb2.BroadcastCommand:
    return broadcast_pb2.BroadcastCommand(
        queue=broadcast_pb2.QueuedMessage(message_id=message, drill=True)
    )


def test_messages_queued_by_hand_count_once_however_often_they_are_asked_for() -> None:
    made = world()
    message = ids.derive("message", "by hand")
    made.status(broadcast_pb2.MessageChange(message_id=message, state=SUPPRESSED, drill=True))
    ledger = topics_only(made)
    assert "messages have a status and were never requested" in problems(ledger)
    take(ledger, topics.BROADCAST_COMMAND, [by_hand(message), by_hand(message)])
    found = standing(ledger, START_MS)
    assert problems(ledger) == set()
    assert (found.by_hand, found.by_outreach, found.adds_up) == (1, made.messages, True)
    assert ledger.account(running=True).messages.requested == made.messages + 1


def test_commands_that_are_kept_no_more_still_asked() -> None:
    message = ids.derive("message", "by hand")
    kept_since_ms = START_MS + 40 * DAY_MS

    def heard(expires_ms: int) -> Ledger:
        ledger = Ledger()
        ledger.begins(topics.BROADCAST_COMMAND.name, 0, 12)
        change = broadcast_pb2.MessageChange(
            message_id=message, state=EXPIRED, drill=True, expires_ms=expires_ms
        )
        take(ledger, topics.MESSAGE_STATUS, [broadcast_pb2.StatusRecord(changes=[change])])
        other = by_hand(ids.derive("message", "another")).SerializeToString()
        ledger.take(Read(topics.BROADCAST_COMMAND.name, 0, 12, other, timestamp=kept_since_ms))
        return ledger

    assert problems(heard(START_MS)) == set()
    assert standing(heard(START_MS), kept_since_ms).by_hand == 2
    # It can only have been asked for after what is kept began.
    assert problems(heard(kept_since_ms + 8 * DAY_MS)) == {
        "messages have a status and were never requested",
        "messages are in no bucket or in two",
    }


def test_contacts_that_are_kept_no_more_were_accepted() -> None:
    made = world()
    ledger = Ledger()
    gone = 7
    ledger.begins(topics.CONTACT_ACCEPTED.name, 0, gone)
    for decision, contact in zip(made.decisions, made.accepted, strict=False):
        if decision.HasField("link"):
            decision.link.event_ms = contact.event_ms
    for record in made.records():
        if record.topic != topics.CONTACT_ACCEPTED.name or record.offset >= gone:
            if record.topic == topics.CASE.name:
                decision = dedup_pb2.CaseDecision.FromString(record.value or b"")
                if decision.HasField("link"):
                    decision.link.event_ms = made.accepted[decision.input.offset].event_ms
                record.value = decision.SerializeToString()
            ledger.take(record)
    assert problems(ledger) == set()
    assert standing(ledger, START_MS).accepted == len(made.truth)


# Dead letters.


def test_a_contact_in_a_dead_letter_is_set_aside() -> None:
    made = world()
    set_aside(made, random.Random(1))
    ledger = topics_only(made)
    found = standing(ledger, START_MS)
    assert found.contacts["set aside"].count == 1
    assert found.dead_letters == {"dedup": 1}
    assert found.adds_up
    assert problems(ledger) == set()


def letter(topic: Topic, offset: int, value: Message | None = None) -> common_pb2.DeadLetter:
    content = b"" if value is None else value.SerializeToString()
    return common_pb2.DeadLetter(topic=topic.name, offset=offset, value=content)


def replay(of: common_pb2.DeadLetter, at: int, value: Message) -> common_pb2.DeadLetter:
    made = common_pb2.DeadLetter(topic=of.topic, offset=of.offset, value=value.SerializeToString())
    made.replay.letter_offset = at
    return made


def test_a_letter_that_was_given_again_waits_no_longer() -> None:
    made = world()
    set_aside(made, random.Random(1))
    last = made.accepted[-1]
    ledger = topics_only(made)
    take(ledger, topics.DEDUP_DEAD, [replay(made.dead[0], 0, last)], start=1)
    found = standing(ledger, START_MS)
    assert found.dead_letters == {}
    assert found.contacts["waiting"].count == 1, "until dedup has worked it"
    assert found.adds_up
    assert problems(ledger) == set()
    # A second replay of the same letter is nothing; what it broke again is another letter.
    again = letter(topics.CONTACT_ACCEPTED, made.dead[0].offset)
    again.replay_offset = 1
    take(ledger, topics.DEDUP_DEAD, [again, replay(made.dead[0], 0, last)], start=2)
    assert standing(ledger, START_MS).dead_letters == {"dedup": 1}


def test_a_mended_contact_is_accepted_by_its_replay() -> None:
    made = world()
    offset = len(made.accepted)
    mended = made.accepted[0].__class__(
        contact_id=ids.contact_id("x", "y"), event_ms=START_MS, drill=True
    )
    of = letter(topics.CONTACT_ACCEPTED, offset)
    ledger = topics_only(made)
    ledger.take(Read(topics.CONTACT_ACCEPTED.name, 0, offset, b"\xff"))
    take(ledger, topics.DEDUP_DEAD, [of])
    before = standing(ledger, START_MS).accepted
    take(ledger, topics.DEDUP_DEAD, [replay(of, 0, mended)], start=1)
    assert standing(ledger, START_MS).accepted == before + 1
    assert problems(ledger) == set()


def test_a_message_in_a_dead_letter_is_set_aside() -> None:
    made, message = one_message(SUPPRESSED)
    drop_status_of(made, message)
    ledger = topics_only(made)
    take(ledger, topics.BROADCAST_DEAD, [letter(topics.MESSAGE_REQUESTED, 0, made.requests[0])])
    assert counts(standing(ledger, START_MS)) == {"set aside": 1}
    assert ledger.open_messages == 0
    assert problems(ledger) == set()
    account = ledger.account()
    assert (account.messages.set_aside, account.messages.waiting) == (1, 0)
    assert sentences(account) == {"records were set aside as dead letters"}


def test_what_can_not_be_read_may_still_be_set_aside() -> None:
    made = world()
    ledger = topics_only(made)
    next_one = Read(topics.CONTACT_ACCEPTED.name, 0, len(made.accepted), b"\xff")
    ledger.take(next_one)
    ledger.take(Read(topics.CASE.name, 0, len(made.decisions), b"\xff"))
    assert problems(ledger) == set()
    assert standing(ledger, START_MS).unreadable == 2
    # Not when dedup is past it.
    made.contact(Truth(None, "late", "late"))
    later = made.decisions[-1]
    later.input.offset = len(made.accepted)
    take(ledger, topics.CONTACT_ACCEPTED, made.accepted[-1:], start=later.input.offset)
    take(ledger, topics.CASE, [later], start=len(made.decisions))
    assert problems(ledger) == {"records can't be read and no room set them aside"}
    take(ledger, topics.DEDUP_DEAD, [letter(topics.CONTACT_ACCEPTED, next_one.offset)])
    assert problems(ledger) == set()
