"""The books of a running system as they are counted continuously: what is under way contradicts
nothing at any moment, what is broken is told by its kind, and little is remembered."""

import random
from collections.abc import Callable, Sequence

import pytest
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st
from mawja.broadcast.v1 import events_pb2 as broadcast_pb2
from mawja.common.v1 import common_pb2
from mawja.outreach.v1 import events_pb2 as outreach_pb2

from loadtests.ledger import Truth
from services.reports import balance
from services.reports.balance import (
    AFTER_END,
    BUCKETS_OF,
    CONTACTS,
    KINDS,
    MESSAGES,
    PASSED_OVER,
    TOPICS,
    TWICE,
    UNCAUSED,
    Balance,
    Kind,
    Standing,
)
from services.runtime import topics
from services.runtime.topics import Topic
from tests import ledger_damage
from tests.ledger_world import CLAIMED, DELIVERED, EXPIRED, START_MS, SUBMITTED, Read, World, world

LOGS = {
    topics.MESSAGE_STATUS: "statuses",
    topics.MESSAGE_REQUESTED: "requests",
    topics.CASE: "decisions",
    topics.DEDUP_DEAD: "dead",
    topics.CONTACT_ACCEPTED: "accepted",
}
HOUR_MS = 3600_000


class Counted:
    """A balance that reads a world on, round by round."""

    def __init__(self, made: World, since_ms: int = START_MS) -> None:
        self.made = made
        self.balance = Balance(since_ms)
        self.at = dict.fromkeys(LOGS, 0)
        for request in made.requests:
            request.expires_ms = START_MS + HOUR_MS

    def round(self, ends: Sequence[int] | None = None, now_ms: int = START_MS + 1) -> Standing:
        """Reads on to `ends`: a time of the world's history for each topic; None: to the end."""
        for place, topic in enumerate(t for t in TOPICS if t in LOGS):
            values: list[Message] = getattr(self.made, LOGS[topic])
            end = len(values)
            if ends is not None:
                end = self.made.history[: ends[place]].count(LOGS[topic])
            self.give(topic, values[self.at[topic] : end], self.at[topic])
            self.at[topic] = max(end, self.at[topic])
        return self.balance.settle(now_ms)

    def give(self, topic: Topic, values: Sequence[Message], start: int) -> None:
        for offset, value in enumerate(values, start):
            self.balance.take(Read(topic.name, 0, offset, value.SerializeToString(), START_MS))

    def twice(self) -> Standing:
        """What is missing counts when two rounds miss it."""
        self.round()
        return self.round()


def wrong(standing: Standing) -> set[Kind]:
    return {kind for kind, count in standing.wrong.items() if count}


def total(standing: Standing, thing: str) -> int:
    return sum(count for (of, _), count in standing.buckets.items() if of == thing)


def message(name: str, offset: int, expires_ms: int = START_MS + HOUR_MS) -> Read:
    """A request of outreach."""
    asked = outreach_pb2.MessageRequested(message_id=name, expires_ms=expires_ms)
    return Read(topics.MESSAGE_REQUESTED.name, 0, offset, asked.SerializeToString(), START_MS)


def lane(name: str, of: Topic = topics.QUEUED_NORMAL) -> Read:
    queued = broadcast_pb2.QueuedMessage(message_id=name)
    return Read(of.name, 0, 0, queued.SerializeToString(), START_MS)


def status(name: str, state: "broadcast_pb2.MessageState.ValueType", **fields: object) -> Read:
    change = broadcast_pb2.MessageChange(message_id=name, state=state, **fields)  # type: ignore[arg-type]
    record = broadcast_pb2.StatusRecord(changes=[change])
    return Read(topics.MESSAGE_STATUS.name, 0, 0, record.SerializeToString(), START_MS)


@given(people=st.integers(1, 24), rounds=st.integers(1, 4), data=st.data())
@settings(max_examples=80, deadline=None)
def test_what_is_under_way_contradicts_nothing(
    people: int, rounds: int, data: st.DataObject
) -> None:
    made = world(people)
    counted = Counted(made)
    time = st.integers(0, len(made.history))
    ends = sorted(data.draw(time) for _ in range(rounds * len(LOGS)))
    for at in range(rounds):
        standing = counted.round(ends[at * len(LOGS) : (at + 1) * len(LOGS)])
        assert wrong(standing) == set()
        assert total(standing, CONTACTS) == counted.at[topics.CONTACT_ACCEPTED]
        assert total(standing, MESSAGES) == counted.at[topics.MESSAGE_REQUESTED]
    whole = counted.twice()
    assert wrong(whole) == set()
    assert whole.buckets[CONTACTS, "decided"] == len(made.accepted)
    assert whole.buckets.get((MESSAGES, "waiting"), 0) == 0


@pytest.mark.parametrize(
    ("damage", "kind"),
    [
        (ledger_damage.link_lost, (CONTACTS, PASSED_OVER)),
        (ledger_damage.opening_lost, (CONTACTS, PASSED_OVER)),
        (ledger_damage.decided_twice, (CONTACTS, TWICE)),
        (ledger_damage.status_lost, (MESSAGES, PASSED_OVER)),
        (ledger_damage.sent_blindly, (MESSAGES, TWICE)),
        (ledger_damage.left_final, (MESSAGES, AFTER_END)),
        (ledger_damage.back_from_final, (MESSAGES, AFTER_END)),
        (ledger_damage.sent_without_claim, (MESSAGES, AFTER_END)),
        (ledger_damage.unknown_state, (MESSAGES, AFTER_END)),
    ],
)
@pytest.mark.parametrize("seed", range(4))
def test_damage_is_told_by_its_kind(
    damage: Callable[[World, random.Random], None], kind: Kind, seed: int
) -> None:
    made = world(24)
    damage(made, random.Random(seed))
    # Something that is whole comes after it.
    case = made.contact(Truth("+999577777777", "after", "after"))
    made.message(case, "acknowledge", (CLAIMED, SUBMITTED, DELIVERED), at_carrier=True)
    assert wrong(Counted(made).twice()) == {kind}


def test_what_nobody_came_to_yet_is_not_passed_over() -> None:
    made = world(8)
    made.decisions = made.decisions[:-3]
    standing = Counted(made).twice()
    assert wrong(standing) == set()
    assert standing.buckets[CONTACTS, "waiting"] == 3


def test_a_dead_letter_is_a_bucket_of_its_own() -> None:
    made = world(8)
    lost = made.decisions.pop(0).input.offset
    made.dead.append(
        common_pb2.DeadLetter(topic=topics.CONTACT_ACCEPTED.name, partition=0, offset=lost)
    )
    standing = Counted(made).twice()
    assert wrong(standing) == set()
    assert standing.buckets[CONTACTS, "set-aside"] == 1


def test_what_is_missed_once_only_may_stand_beyond_an_end() -> None:
    made = world(24)
    ledger_damage.link_lost(made, random.Random(1))
    counted = Counted(made)
    assert wrong(counted.round()) == set()
    assert wrong(counted.round()) == {(CONTACTS, PASSED_OVER)}


def test_a_request_that_stands_in_its_lane_is_judged() -> None:
    held = Balance(START_MS)
    for record in (message("a", 0), message("b", 1), lane("b"), message("c", 2)):
        held.take(record)
    held.settle(START_MS)
    standing = held.settle(START_MS)
    assert standing.wrong[MESSAGES, PASSED_OVER] == 1
    assert standing.buckets[MESSAGES, "queued"] == 1
    held.take(lane("a", topics.QUEUED_URGENT))
    assert wrong(held.settle(START_MS)) == set()


def test_a_request_whose_time_was_over_is_nobodys_to_judge() -> None:
    held = Balance(START_MS)
    for record in (message("a", 0, expires_ms=START_MS - 1), message("b", 1), lane("b")):
        held.take(record)
    held.settle(START_MS)
    assert wrong(held.settle(START_MS)) == set()


def test_a_message_that_nobody_asked_for_is_told() -> None:
    held = Balance(START_MS)
    later = START_MS + balance.SLACK_MS + 1
    held.take(status("a", CLAIMED, attempt=1, accepted_ms=later))
    assert wrong(held.settle(later)) == {(MESSAGES, UNCAUSED)}


@pytest.mark.parametrize(
    "fields",
    [
        {"attempt": 1, "accepted_ms": START_MS},
        {"attempt": 2, "accepted_ms": START_MS + HOUR_MS},
        {"attempt": 1, "accepted_ms": 0},
        {"attempt": 1, "accepted_ms": START_MS + HOUR_MS, "campaign_id": "c"},
    ],
)
def test_what_may_be_of_before_or_is_a_campaigns_is_no_wonder(fields: dict[str, object]) -> None:
    held = Balance(START_MS)
    held.take(status("a", CLAIMED, **fields))
    standing = held.settle(START_MS + HOUR_MS)
    assert wrong(standing) == set()
    assert total(standing, MESSAGES) == 0


def test_what_was_tried_before_and_ends_is_no_wonder() -> None:
    held = Balance(START_MS)
    held.take(status("a", EXPIRED, attempt=1, accepted_ms=START_MS + HOUR_MS))
    assert wrong(held.settle(START_MS + HOUR_MS)) == set()
    held.take(status("b", EXPIRED, accepted_ms=START_MS + HOUR_MS))
    assert wrong(held.settle(START_MS + HOUR_MS)) == {(MESSAGES, UNCAUSED)}


def test_what_was_accepted_before_it_began_is_left_to_others() -> None:
    made = world(24)
    ledger_damage.link_lost(made, random.Random(1))
    assert total(Counted(made, since_ms=START_MS + 1).twice(), CONTACTS) == 0


def test_a_mended_request_is_asked_for() -> None:
    held = Balance(START_MS)
    later = START_MS + balance.SLACK_MS + 1
    mended = outreach_pb2.MessageRequested(message_id="a")
    letter = common_pb2.DeadLetter(
        topic=topics.MESSAGE_REQUESTED.name,
        value=mended.SerializeToString(),
        replay=common_pb2.Replay(letter_offset=0),
    )
    held.take(Read(topics.BROADCAST_DEAD.name, 0, 1, letter.SerializeToString(), later))
    held.take(status("a", CLAIMED, attempt=1, accepted_ms=later))
    assert wrong(held.settle(later)) == set()


def test_what_is_no_record_of_its_topic_is_its_rooms_to_set_aside() -> None:
    held = Balance(START_MS)
    for topic in TOPICS:
        held.take(Read(topic.name, 0, 0, b"\xff\xff garbage", START_MS))
    assert wrong(held.settle(START_MS)) == set()


def test_what_happened_is_told_for_an_hour() -> None:
    made = world(24)
    ledger_damage.sent_blindly(made, random.Random(1))
    counted = Counted(made)
    assert wrong(counted.round()) == {(MESSAGES, TWICE)}
    assert wrong(counted.round(now_ms=START_MS + HOUR_MS)) == {(MESSAGES, TWICE)}
    assert wrong(counted.round(now_ms=START_MS + HOUR_MS + 2)) == set()


def test_little_is_remembered_and_all_stays_counted() -> None:
    made = world(24)
    counted = Counted(made)
    before = counted.round()
    counted.round(now_ms=START_MS + HOUR_MS + 2)
    kept = len(counted.balance._messages)
    assert 0 < kept < len(made.requests)
    after = counted.round(now_ms=START_MS + 25 * HOUR_MS)
    assert len(counted.balance._messages) == 0
    assert after.buckets == before.buckets


def test_what_waited_for_days_and_is_decided_on_after_all_is_no_second_decision() -> None:
    made = world(24)
    counted = Counted(made)
    decisions, made.decisions = made.decisions, []
    counted.round()
    days = START_MS + 72 * HOUR_MS
    waiting = counted.round(now_ms=days).buckets
    assert waiting[CONTACTS, "waiting"] == len(made.accepted)
    counted.give(topics.CASE, decisions, 0)
    after = counted.balance.settle(days)
    assert wrong(after) == set()
    assert (after.buckets[CONTACTS, "waiting"], after.buckets[CONTACTS, "decided"]) == (
        0,
        len(made.accepted),
    )
    # A second decision is one all the same.
    counted.give(topics.CASE, decisions[:1], len(decisions))
    assert wrong(counted.balance.settle(days)) == {(CONTACTS, TWICE)}


def test_every_kind_and_bucket_is_one_that_is_listed() -> None:
    made = world(24)
    for damage in (ledger_damage.link_lost, ledger_damage.left_final, ledger_damage.decided_twice):
        damage(made, random.Random(1))
    standing = Counted(made).twice()
    assert wrong(standing) <= set(KINDS)
    assert set(standing.buckets) <= {
        (thing, bucket) for thing, buckets in BUCKETS_OF.items() for bucket in buckets
    }
