"""The account of a running system: at any moment everything is in exactly one bucket, what is under
way contradicts nothing, and what is broken is named all the same."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mawja.dedup.v1 import events_pb2 as dedup_pb2

from loadtests.ledger import RUNNING, Ledger, standing
from services.runtime import topics
from services.runtime.topics import Topic
from tests.ledger_damage import DAMAGES, Damage, decided_twice
from tests.ledger_world import (
    START_MS,
    World,
    problems,
    take,
    topics_only,
    world,
)

LOGS = {
    topics.MESSAGE_STATUS: "statuses",
    topics.MESSAGE_REQUESTED: "requests",
    topics.CALLBACK: "callbacks",
    topics.CASE: "decisions",
    topics.CONTACT_ACCEPTED: "accepted",
}
PASSED_OVER = "accepted contacts were passed over: later ones are decided, and they are not"


@dataclass
class Moment:
    """A system as it is read while it runs: each log up to a time of the world's history."""

    made: World

    def read(self, ends: Sequence[int], order: Sequence[Topic] = RUNNING) -> Ledger:
        """`ends`: a time for the SMS centre's record, each topic in `order`, and that record once
        more, as they are asked one after the other."""
        ledger = Ledger()
        times = dict(zip(order, ends[1:], strict=False))
        self.early = self.made.submits[: self.until("submits", ends[0])]
        self.late = self.made.submits[len(self.early) : self.until("submits", ends[-1])]
        ledger.carrier_accepted(self.early)
        for topic, name in LOGS.items():
            kept = getattr(self.made, name)[: self.until(name, times[topic])]
            take(ledger, topic, kept)
        return ledger

    def until(self, log: str, time: int) -> int:
        return self.made.history[:time].count(log)


# One moment.


@given(people=st.integers(1, 24), data=st.data())
@settings(max_examples=80, deadline=None)
def test_what_is_under_way_contradicts_nothing(people: int, data: st.DataObject) -> None:
    made = world(people)
    time = st.integers(0, len(made.history))
    ends = sorted(data.draw(time) for _ in range(len(RUNNING) + 2))
    moment = Moment(made)
    ledger = moment.read(ends)
    account = ledger.account(running=True, late=moment.late)
    assert account.problems == []
    assert standing(ledger, START_MS).adds_up


def test_causes_read_before_effects_would_contradict() -> None:
    """It is the order that keeps the account whole."""
    made = world(12)
    half, whole = len(made.history) // 2, len(made.history)
    backwards = [*reversed(RUNNING)]
    ends = [half, *(half if topic is topics.CONTACT_ACCEPTED else whole for topic in backwards)]
    ledger = Moment(made).read([*ends, whole], backwards)
    assert "contacts are in a case and were never accepted" in problems(ledger)


def test_the_sms_centre_is_read_before_and_after() -> None:
    made = world(20)
    whole = len(made.history)
    moment = Moment(made)
    half = [whole // 2] * (len(RUNNING) + 1)
    assert moment.read([*half, whole]).account(running=True, late=moment.late).problems == []
    # Only before: the topics speak of what came later. Only after: they know not of it yet.
    asked_first = moment.read([0, *[whole] * (len(RUNNING) + 1)])
    assert any("which knows not of them" in p for p in asked_first.account(running=True).problems)
    asked_last = moment.read([whole, *[whole // 2] * len(RUNNING), whole])
    assert any("no status tells" in p for p in asked_last.account(running=True).problems)


def test_the_order_of_reading_is_that_of_effects_before_causes() -> None:
    at = {topic: place for place, topic in enumerate(RUNNING)}
    for effect, cause in (
        (topics.MESSAGE_STATUS, topics.QUEUED_NORMAL),
        (topics.QUEUED_URGENT, topics.MESSAGE_REQUESTED),
        (topics.QUEUED_BULK, topics.BROADCAST_COMMAND),
        (topics.BROADCAST_DEAD, topics.QUEUED_NORMAL),
        (topics.MESSAGE_REQUESTED, topics.CASE),
        (topics.CALLBACK, topics.CASE),
        (topics.OUTREACH_DEAD, topics.CASE),
        # A room is past a record only when what it could not process is set aside.
        (topics.CASE, topics.DEDUP_DEAD),
        (topics.DEDUP_DEAD, topics.CONTACT_ACCEPTED),
        (topics.CASE, topics.CONTACT_ACCEPTED),
    ):
        assert at[effect] < at[cause], (effect.name, cause.name)


# Damage.

# What only the generator or the client can know, or what time may still mend.
UNSEEN = {
    "acknowledged_for_nothing",
    "acknowledged_by_another_name",
    "mark_of_contact_lost",
    "duplicate_case",
    "contact_never_decided",
    "status_lost",
    "set_aside",
    # Whoever reads it next sets it aside.
    "unreadable",
}


@pytest.mark.parametrize(
    "damage", [d for d in DAMAGES if d.__name__ not in UNSEEN], ids=lambda d: d.__name__
)
def test_damage_is_named_while_it_runs(damage: Damage) -> None:
    must, _ = DAMAGES[damage]
    needs_more = ("acknowledged", "accepted contacts are in no case", "have no end")
    for seed in range(3):
        made = world()
        damage(made, random.Random(seed))
        found = problems(topics_only(made))
        assert found >= {s for s in must if not any(more in s for more in needs_more)}
        assert found, f"seed {seed}"


@pytest.mark.parametrize("damage", [d for d in DAMAGES if d.__name__ in UNSEEN])
def test_what_only_a_client_knows_is_no_problem_while_it_runs(damage: Damage) -> None:
    made = world()
    damage(made, random.Random(1))
    assert problems(topics_only(made)) == set()


def test_a_contact_that_dedup_went_past_is_passed_over() -> None:
    made = world()
    at = next(i for i, d in enumerate(made.decisions) if d.change == dedup_pb2.CASE_CHANGE_LINKED)
    del made.decisions[at]
    ledger = topics_only(made)
    assert PASSED_OVER in problems(ledger)
    assert standing(ledger, START_MS).contacts["passed over"].count == 1
    assert standing(ledger, START_MS).adds_up


def test_sums_that_do_not_agree_are_told() -> None:
    made = world()
    assert standing(topics_only(made), START_MS).adds_up
    decided_twice(made, random.Random(1))
    assert not standing(topics_only(made), START_MS).adds_up
