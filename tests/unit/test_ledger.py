"""The ledger must be able to fail: a consistent world gives an account without problems, and damage
to any one of the four records is named for what it is."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mawja.broadcast.v1 import events_pb2 as broadcast_pb2
from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2 as dedup_pb2

from loadtests.ledger import TOPICS, Ledger, Truth, percentile, standing
from services.broadcast.campaigns.people import message_id
from services.runtime import ids, topics
from tests.ledger_damage import (
    CALL,
    CARRIER_KNOWS_NOT,
    DAMAGES,
    NO_CASE,
    NO_STATUS_TELLS,
    Damage,
    acknowledged_for_nothing,
    drop_status_of,
    duplicate_case,
    known,
    sent_twice,
)
from tests.ledger_world import (
    CLAIMED,
    DELIVERED,
    FAILED,
    QUEUED,
    START_MS,
    SUBMITTED,
    UNKNOWN,
    WAYS,
    Read,
    World,
    sentences,
    submits,
    world,
)

# What adds up.


def test_a_consistent_world_has_no_problems() -> None:
    account = world(20).account()
    assert account.problems == []
    assert (account.lost, account.duplicate_cases, account.duplicate_messages) == (0, 0, 0)
    assert (account.false_merges, account.unacknowledged, account.dead_letters) == (0, 0, 0)
    assert account.accepted == len(world(20).truth) == account.cases + account.merged
    assert account.repeated == 1
    assert account.callbacks == 5


@given(st.integers(0, 45))
@settings(max_examples=20, deadline=None)
def test_buckets_add_up(people: int) -> None:
    made = world(people)
    account = made.account()
    m, c = account.messages, account.contacts
    assert account.problems == []
    assert account.accepted == c.opened + c.linked + c.set_aside + c.waiting
    assert m.requested == m.submitted + m.suppressed + m.expired + m.waiting == made.messages
    assert m.submitted == m.delivered + m.failed + m.unknown
    for name in ("delivered", "failed", "unknown", "suppressed", "expired"):
        assert getattr(m, name) > 0 or people < len(WAYS)


def test_records_may_come_in_rounds() -> None:
    made = world()
    ledger = Ledger()
    for record in made.records():
        ledger.take(record)
        ledger.account(running=True)
    assert ledger.account().contacts == made.account().contacts


def test_what_is_under_way_is_no_problem_while_it_runs() -> None:
    made = world()
    drop_status_of(made, made.states(DELIVERED)[0])
    made.decisions.pop()  # the redelivery, which says nothing new
    made.contact(Truth("+999577777777", "late", "late"))
    made.decisions.pop()
    ledger = made.ledger(carrier=False)
    running, ended = ledger.account(running=True), ledger.account()
    # Still: an acknowledged contact without a case is told as such, so that lag is not hidden.
    assert sentences(running) == {"acknowledged contacts are in no case"}
    assert sentences(ended) - sentences(running) == {
        "accepted contacts are in no case",
        "messages were asked for and have no end",
    }
    assert ledger.open_messages == len(made.states(SUBMITTED)) + 1


def test_latency_counts_from_acceptance_to_delivery() -> None:
    made = World()
    case = made.contact(Truth("+999500000000", "p", "n"))
    made.message(case, "acknowledge", (CLAIMED, SUBMITTED, DELIVERED), at_carrier=True)
    assert made.ledger().end_to_end_s() == [6.0]
    assert percentile([], 0.5) == 0.0
    assert [percentile([1.0, 2.0, 3.0], share) for share in (0, 0.5, 0.99, 1)] == [1, 2, 3, 3]


def test_what_a_campaign_asks_for_is_known_by_its_id() -> None:
    campaign_id, person = ids.derive("campaign", "c"), b"p" * 16

    def stated(name: str) -> World:
        made = world()
        made.status(
            broadcast_pb2.MessageChange(
                message_id=name,
                person=person,
                campaign_id=campaign_id,
                state=broadcast_pb2.MESSAGE_STATE_SUPPRESSED,
                reason="opt-out",
                drill=True,
            )
        )
        return made

    made = stated(message_id(campaign_id, person, correction=False))
    account = made.account()
    assert account.problems == []
    found = standing(made.ledger(), START_MS)
    assert (found.for_campaigns, found.by_hand, found.adds_up) == (1, 0, True)
    assert account.messages.suppressed == world().account().messages.suppressed + 1
    # Any other id is nobody's, whatever it says.
    assert sentences(stated(ids.derive("test", "another")).account()) >= {
        "messages have a status and were never requested"
    }


def test_it_reads_every_log_that_it_judges() -> None:
    assert {t.name for t in TOPICS} >= {
        topics.CONTACT_ACCEPTED.name,
        topics.CASE.name,
        topics.MESSAGE_REQUESTED.name,
        topics.CALLBACK.name,
        topics.MESSAGE_STATUS.name,
    }


# The identity rule.


def test_who_can_not_be_known_has_no_duplicate_cases() -> None:
    made = World()
    for _ in range(4):
        made.contact(Truth(None, "somebody", "need"))
    account = made.account()
    assert account.cases == 4
    assert account.duplicate_cases == 0
    assert account.problems == []


def test_a_family_shares_a_need_and_not_a_case() -> None:
    made = World()
    made.contact(Truth("+999500000001", "mother", "need"))
    made.contact(Truth("+999500000002", "son", "need"))
    assert made.account().duplicate_cases == 0
    assert made.account().false_merges == 0


def test_two_numbers_in_one_case_are_a_false_merge() -> None:
    made = World()
    case = made.contact(Truth("+999500000001", "mother", "need"))
    made.contact(Truth("+999500000002", "son", "need"), case)
    assert made.account().false_merges == 1


def test_the_same_person_and_need_in_three_cases_are_two_duplicates() -> None:
    made = World()
    mine = Truth("+999500000001", "p", "n")
    for _ in range(3):
        made.contact(mine)
    account = made.account()
    assert account.duplicate_cases == 2
    assert account.problems == ["2 duplicate cases"]


def test_a_false_merge_is_counted_for_each_need_too_many() -> None:
    made = World()
    case = made.contact(Truth("+999500000001", "p", "a"))
    made.contact(Truth("+999500000001", "p", "b"), case)
    made.contact(Truth("+999500000001", "p", "c"), case)
    account = made.account()
    assert account.false_merges == 2
    # It is told, and can be split; nothing was lost by it.
    assert account.problems == []


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_damage_is_named_for_what_it_is(damage: Damage) -> None:
    must, may = DAMAGES[damage]
    for seed in range(4):
        made = world()
        damage(made, random.Random(seed))
        found = sentences(made.account())
        assert found >= must, f"seed {seed}"
        assert found <= must | may, f"seed {seed}"


@given(
    people=st.integers(12, 40),
    damage=st.sampled_from(list(DAMAGES)),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=60, deadline=None)
def test_damage_is_caught_in_any_world(people: int, damage: Damage, seed: int) -> None:
    made = world(people)
    damage(made, random.Random(seed))
    assert sentences(made.account()) >= DAMAGES[damage][0]


def test_figures_tell_how_much() -> None:
    made = world()
    acknowledged_for_nothing(made, random.Random(1))
    acknowledged_for_nothing(made, random.Random(2))
    sent_twice(made, random.Random(1))
    duplicate_case(made, random.Random(1))
    account = made.account()
    assert (account.lost, account.duplicate_messages, account.duplicate_cases) == (2, 1, 1)
    assert f"2 {NO_CASE}" in account.problems
    made.acknowledged = []
    account = made.account()
    assert (account.lost, account.unacknowledged) == (0, len(made.truth))


def test_the_sms_centre_is_matched_one_by_one() -> None:
    """One delivery is invented and one message stands unexplained: the sums agree all the same."""
    made = World()
    for p in range(5):
        case = made.contact(Truth(f"+99950000000{p}", f"p{p}", f"n{p}"))
        made.message(case, "acknowledge", (CLAIMED, SUBMITTED, DELIVERED), at_carrier=True)
    assert made.account().problems == []
    made.submits[2:3] = submits("Somebody else's.", first_id=5000)
    account = made.account()
    assert account.carrier_messages == account.messages.delivered == 5
    assert sentences(account) == {CARRIER_KNOWS_NOT, NO_STATUS_TELLS}


def test_a_poison_record_that_was_set_aside_is_told_once() -> None:
    made = world()
    made.garbage.append(Read(topics.CONTACT_ACCEPTED.name, 3, 7, b"\xff\xff"))
    made.dead.append(
        common_pb2.DeadLetter(topic=topics.CONTACT_ACCEPTED.name, partition=3, offset=7)
    )
    assert made.account().problems == ["1 records were set aside as dead letters"]


# Damage, of any record.


@given(st.data())
@settings(max_examples=120, deadline=None)
def test_no_record_goes_or_comes_twice_unseen(data: st.DataObject) -> None:
    made = world(12)
    log = data.draw(
        st.sampled_from(["accepted", "decisions", "requests", "callbacks", "statuses", "submits"])
    )
    records = getattr(made, log)
    at = data.draw(st.integers(0, len(records) - 1))
    if data.draw(st.booleans(), label="twice"):
        innocent = may_stand_twice(made, log, at)
        records.insert(at, records[at])
    else:
        innocent = may_be_missing(made, log, at)
        del records[at]
    assert bool(made.account().problems) is not innocent


def may_stand_twice(made: World, log: str, at: int) -> bool:
    """A redelivery, a part's news, or a refusal means nothing the second time."""
    if log == "statuses":
        return made.statuses[at].changes[0].state in (SUBMITTED, UNKNOWN)
    if log == "submits":
        return not made.submits[at].accepted
    return log == "accepted"


def may_be_missing(made: World, log: str, at: int) -> bool:
    """Nothing that anybody else tells of, or promises, hangs on it."""
    if log == "accepted":
        contact = made.accepted[at].contact_id
        return sum(a.contact_id == contact for a in made.accepted) > 1
    if log == "decisions":
        decision = made.decisions[at]
        later = any(d.case.case_id == decision.case.case_id for d in made.decisions[at + 1 :])
        return decision.change == dedup_pb2.CASE_CHANGE_REPEATED or (
            decision.change == CALL and not later
        )
    if log == "callbacks":
        return made.callbacks[at].version == 2
    if log == "statuses":
        message = made.statuses[at].changes[0].message_id
        path = [
            (i, r.changes[0].state)
            for i, r in enumerate(made.statuses)
            if r.changes[0].message_id == message
        ]
        place = [i for i, _ in path].index(at)
        states = [0, *(state for _, state in path), 0]
        before, state, after = states[place : place + 3]
        # The news of a state that the message is in already, or the end that a receipt would bring,
        # or that the carrier had taken what failed or has no receipt, or that the receipt was late.
        return (
            state in (QUEUED, before, after)
            or (before in (SUBMITTED, UNKNOWN) and not after)
            or (state == SUBMITTED and after in (FAILED, UNKNOWN))
            or (before == SUBMITTED and state == UNKNOWN)
        )
    if log == "submits":
        told = {i for message in known(made) for i in made.ids_of(message)}
        return made.submits[at].carrier_id not in told
    return False
