"""Which proposals there are: one for an event, whatever it shows as, until time ends it."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mawja.outreach.v1.proposals_pb2 import Proposal

from services.outreach.__main__ import load
from services.outreach.proposals.book import (
    DECLINED,
    EXPIRED,
    REFRESH_MS,
    SILENT_MS,
)
from services.outreach.rules import Event, Rule, Where
from services.outreach.rules import Proposal as Lasting
from services.outreach.working import Refused
from tests.proposals_desk import Desk, flood, made
from tests.proposals_told import AGENCY, ALL, NOW, Town, burst


def test_one_event_that_shows_as_several_bursts_is_one_proposal() -> None:
    desk, town = Desk(), flood()
    first = made(desk, town)
    for stated in (burst(AGENCY, "roads-agency"), burst(ALL, "", NOW - 50_000)):
        joined = desk.hears(stated, town)
        assert joined is not None
        assert joined.proposal_id == first.proposal_id
    assert len(list(desk.book.all())) == 1
    assert len(next(iter(desk.book.all())).bursts) == 3
    # Stated again it says nothing new.
    assert desk.hears(burst(ALL, "", NOW - 50_000), town) is None


def test_another_event_at_the_same_time_is_another_proposal() -> None:
    desk, town = Desk(), flood()
    town.opens(12, topic="shelters-topic", agency="shelters-agency")
    one = made(desk, town)
    other = made(desk, town, burst(subject="shelters-topic"))
    assert one.proposal_id != other.proposal_id


def test_the_same_burst_never_proposes_twice_and_a_decline_holds_while_it_lasts() -> None:
    desk, town = Desk(), flood()
    declined = desk.asks(made(desk, town), decline="known, the agency is writing")
    assert declined is not None
    assert (declined.state, declined.ended.reason) == (DECLINED, "known, the agency is writing")
    for owner in (desk, desk.again()):
        assert owner.hears(burst(last_minute=60), town) is None
        # The whole centre shows it too by now.
        joined = owner.hears(burst(ALL, ""), town)
        assert joined is not None
        assert joined.state == DECLINED
        assert len(list(owner.book.all())) == 1


def test_it_expires_when_all_its_bursts_are_over_and_a_new_one_proposes_anew() -> None:
    desk, town = Desk(), flood()
    first = made(desk, town)
    desk.hears(burst(ALL, ""), town)
    assert desk.hears(burst(ended=True), town) is None
    over = desk.hears(burst(ALL, "", ended=True), town)
    assert over is not None
    assert (over.state, over.over) == (EXPIRED, True)
    # What is stated late of it makes nothing.
    assert desk.hears(burst(), town) is None
    assert desk.hears(burst(ended=True), town) is None
    later = desk.hears(burst(start_ms=NOW + 1_800_000, until_ms=NOW + 1_830_000), _later(town))
    assert later is not None
    assert later.proposal_id != first.proposal_id


def _later(town: Town) -> Town:
    town.opens(12, at_ms=NOW + 1_810_000)
    return town


def test_a_burst_that_nobody_speaks_of_any_more_is_over() -> None:
    desk = Desk()
    made(desk)
    assert list(desk.book.passed(NOW + SILENT_MS - 1)) == []
    for owner in (desk, desk.again()):
        [over] = owner.book.passed(NOW + SILENT_MS)
        assert over.state == EXPIRED


def test_bursts_of_the_past_propose_nothing() -> None:
    desk = Desk()
    old = burst(start_ms=NOW - SILENT_MS - 60_000, until_ms=NOW - SILENT_MS)
    assert not desk.book.wanted(old, NOW)
    assert not desk.book.wanted(burst(ended=True), NOW)
    assert desk.book.proposed(burst(), [], desk.cause(), NOW) is None


def test_its_figures_follow_the_burst_and_a_suggestion_that_changes_is_another_revision() -> None:
    desk, town = Desk(), flood()
    found = made(desk, town)
    later = NOW + REFRESH_MS
    assert desk.book.due(later) == []
    desk.hears(burst(last_minute=90, until_ms=later), town, later)
    assert desk.book.due(later - 1) == []
    [due] = desk.book.due(later)
    town.opens(20, at_ms=NOW + 30_000, question="roads")
    after = desk.book.refreshed(due, town.facts().since(burst()), later)
    assert (after.evidence.cases, after.bursts[0].last_minute) == (32, 90)
    assert after.revision == found.revision
    town.opens(40, at_ms=NOW + 30_000, question="sandbags")
    after = desk.book.refreshed(after, town.facts().since(burst()), later)
    assert after.suggestion.entry == "sandbags@4"
    assert after.revision == found.revision + 1


def playbook(lasts_ms: int = 0, **where: object) -> Rule:
    return Rule(
        name="proposing",
        version=3,
        event=Event.BURST,
        channels=None,
        callback=False,
        message=None,
        where=Where(**where),  # type: ignore[arg-type]
        proposal=Lasting(lasts_ms),
    )


def test_playbooks_say_which_bursts_are_proposed() -> None:
    roads, many = playbook(agencies=frozenset({"roads-agency"})), playbook(people=13)
    assert made(Desk(rules=[many, roads])).rule == "proposing@3"
    assert Desk(rules=[many]).hears(burst(), flood(12)) is None
    other = playbook(agencies=frozenset({"other"}), lines=frozenset({"109"}))
    assert Desk(rules=[other]).hears(burst(), flood()) is None
    # It is looked at again as it grows.
    desk = Desk(rules=[many])
    assert desk.hears(burst(), flood(12)) is None
    assert desk.hears(burst(), flood(13)) is not None


def test_coordinators_have_as_long_as_the_playbook_gives_and_it_is_proposed_once() -> None:
    desk = Desk(rules=[playbook(lasts_ms=60_000)])
    found = made(desk)
    assert found.until_ms == NOW + 60_000
    desk.hears(burst(last_minute=50), flood(), NOW + 50_000)
    assert list(desk.book.passed(NOW + 59_999)) == []
    [late] = desk.book.passed(NOW + 60_000)
    assert (late.state, late.over) == (EXPIRED, False)
    desk.put(late)
    for owner in (desk, desk.again()):
        assert list(owner.book.passed(NOW + 60_001)) == []
        joined = owner.hears(burst(ALL, ""), flood(), NOW + 60_001)
        assert joined is not None
        assert joined.state == EXPIRED
    with pytest.raises(Refused, match="time to decide"):
        desk.asks(late, accept="")


def test_the_shipped_playbook_proposes_a_burst_of_eight() -> None:
    rules = load(None).rules
    assert made(Desk(rules=rules), flood(8)).rule.startswith("burst-proposal@")
    assert Desk(rules=rules).hears(burst(), flood(7)) is None


@given(st.integers(0, 10_000))
def test_whatever_is_stated_in_whatever_order_an_event_is_proposed_once(seed: int) -> None:
    """Bursts come again, in any order, from several replicas; owners come and go."""
    pick, town, desk = random.Random(seed), flood(), Desk()
    stated = [burst(), burst(AGENCY, "roads-agency"), burst(ALL, "")]
    for _ in range(30):
        desk.hears(pick.choice(stated), town)
        if pick.random() < 0.2:
            desk = desk.again()
    assert len(list(desk.book.all())) == 1
    assert [one.version for one in map(Proposal.FromString, desk.log)] == list(
        range(1, len(desk.log) + 1)
    )
