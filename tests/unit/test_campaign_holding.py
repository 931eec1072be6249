"""A share is held back: always the same people of a campaign, as many as were asked for, never of
an emergency, and what that measures.
"""

import random
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mawja.broadcast.v1 import events_pb2
from mawja.broadcast.v1.campaigns_pb2 import Campaign, CampaignDeed, CampaignPlan
from mawja.broadcast.v1.events_pb2 import MessageChange, MessageState
from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2 as dedup

from services.broadcast.campaigns.holding import held_back
from services.broadcast.campaigns.plans import problems
from services.runtime import ids
from services.tools.effects.measuring import Effect, Measuring, Part
from tests.campaign_office import NOW, plan

ONE, OTHER = ids.derive("campaign", "one"), ids.derive("campaign", "other")
PEOPLE = [sha256(b"%d" % number).digest()[:16] for number in range(20_000)]
HOUR = 3_600_000


def share(campaign_id: str, held: float, **given: object) -> set[bytes]:
    asked = plan(held_back=held, **given)
    return {person for person in PEOPLE if held_back(asked, campaign_id, person)}


@pytest.mark.parametrize("wanted", [0.05, 0.1, 0.5])
def test_as_many_are_held_back_as_were_asked_for(wanted: float) -> None:
    found = len(share(ONE, wanted)) / len(PEOPLE)
    assert abs(found - wanted) < 4 * (wanted * (1 - wanted) / len(PEOPLE)) ** 0.5


def test_nobody_is_without_a_share_or_of_an_emergency() -> None:
    assert not share(ONE, 0.0)
    emergency = {"kind": events_pb2.CAMPAIGN_KIND_EMERGENCY}
    assert not share(ONE, 0.5, **emergency)
    assert [one.field for one in problems(plan(held_back=0.1, **emergency), NOW)] == [
        "plan.held_back"
    ]
    assert not problems(plan(held_back=0.1), NOW)


def test_another_campaign_holds_others_back_whatever_partition_they_are_in() -> None:
    one, other = share(ONE, 0.5), share(OTHER, 0.5)
    assert abs(len(one & other) / len(PEOPLE) - 0.25) < 0.02
    for partition in range(4):
        here = [person for person in PEOPLE if person[3] % 4 == partition]
        assert abs(sum(person in one for person in here) / len(here) - 0.5) < 0.03


def test_more_are_the_same_and_others() -> None:
    assert share(ONE, 0.1) < share(ONE, 0.2)


def test_a_share_that_no_plan_may_have_holds_half_back_at_most() -> None:
    asked = CampaignPlan(held_back=0.9, kind=events_pb2.CAMPAIGN_KIND_INFORMATION)
    found = sum(held_back(asked, ONE, person) for person in PEOPLE)
    assert found / len(PEOPLE) < 0.53


# What it measures.


def measuring(within_ms: int = HOUR) -> Measuring:
    found = Measuring(ONE, within_ms)
    started = CampaignDeed(subject="maryam", done_ms=NOW)
    found.decided(Campaign(campaign_id=ONE, started=started, plan=plan()))
    found.decided(Campaign(campaign_id=OTHER, plan=plan(name="Another")))
    return found


def change(person: bytes, state: int, reason: str = "", **given: object) -> MessageChange:
    return MessageChange(
        campaign_id=ONE,
        person=person,
        state=state,  # type: ignore[arg-type]
        reason=reason,
        **given,  # type: ignore[arg-type]
    )


def calls(person: bytes, name: str, after_ms: int = 1, channel: int = 1) -> dedup.CaseDecision:
    decision = dedup.CaseDecision(change=dedup.CASE_CHANGE_LINKED)
    decision.case.person = person
    decision.link.contact_id = ids.derive("contact", name)
    decision.link.event_ms = NOW + after_ms
    decision.link.channel = channel  # type: ignore[assignment]
    return decision


def test_callers_are_counted_once_in_their_part_and_their_time() -> None:
    found = measuring()
    for person in PEOPLE[:10]:
        found.change(change(person, MessageState.MESSAGE_STATE_CLAIMED))
    for person in PEOPLE[:7]:
        found.change(change(person, MessageState.MESSAGE_STATE_DELIVERED))
    suppressed = MessageState.MESSAGE_STATE_SUPPRESSED
    for person in PEOPLE[10:14]:
        found.change(change(person, suppressed, "held-back"))
    found.change(change(PEOPLE[14], suppressed, "opt-out"))
    found.change(change(PEOPLE[15], MessageState.MESSAGE_STATE_CLAIMED, correction=True))
    said = [
        calls(PEOPLE[0], "a"),
        calls(PEOPLE[0], "a"),
        calls(PEOPLE[0], "b"),
        calls(PEOPLE[10], "c"),
        calls(PEOPLE[11], "d", HOUR),
        calls(PEOPLE[12], "e", -1),
        calls(PEOPLE[13], "f", channel=common_pb2.CHANNEL_SMS),
        calls(PEOPLE[14], "g"),
        calls(PEOPLE[15], "h"),
    ]
    for decision in said:
        found.case(decision)
    effect = found.effect()
    assert effect.sent == Part(10, 1, 2)
    assert effect.held == Part(4, 1, 1)
    assert effect.delivered == 7


def test_the_interval_is_newcombes() -> None:
    # His example: 56 of 70 against 48 of 80, method 10: 0.0524 to 0.3339.
    found, least, most = Effect(Part(80, 48, 48), Part(70, 56, 56), 80).fewer
    assert found == pytest.approx(0.2)
    assert least == pytest.approx(0.0524, abs=5e-4)
    assert most == pytest.approx(0.3339, abs=5e-4)


def test_the_interval_holds_the_truth_nearly_always() -> None:
    pick, met = random.Random(5), 0
    for _ in range(400):
        sent = sum(pick.random() < 0.06 for _ in range(900))
        held = sum(pick.random() < 0.10 for _ in range(100))
        _, least, most = Effect(Part(900, sent, sent), Part(100, held, held), 900).fewer
        met += least <= 0.04 <= most
    assert met >= 370


@given(st.integers(0, 500), st.integers(0, 500), st.integers(0, 500), st.integers(0, 500))
def test_it_never_says_more_than_can_be(a: int, b: int, c: int, d: int) -> None:
    sent, held = Part(max(a, b), min(a, b), 0), Part(max(c, d), min(c, d), 0)
    effect = Effect(sent, held, 0)
    found, least, most = effect.fewer
    assert -1.0000001 <= least <= found <= most <= 1.0000001
    assert effect.known is bool(sent.people and held.people)
