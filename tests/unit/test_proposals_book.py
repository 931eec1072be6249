"""What becomes of proposals: one for an event, whatever it shows as; what people and time do."""

import random
from collections.abc import Sequence

import pytest
from google.rpc import code_pb2
from hypothesis import given
from hypothesis import strategies as st
from mawja.broadcast.v1.audiences_pb2 import CALLER_STATE_OPEN
from mawja.broadcast.v1.campaigns_pb2 import CampaignText
from mawja.common.v1 import common_pb2
from mawja.outreach.v1 import proposals_pb2
from mawja.outreach.v1.proposals_pb2 import Proposal, ProposalCommand, ProposalEdit
from mawja.wave.v1.events_pb2 import Burst, Dimension

from services.outreach.__main__ import load
from services.outreach.announcements.proposed import of_proposal
from services.outreach.proposals import assumptions_file
from services.outreach.proposals.book import (
    ACCEPTED,
    DECLINED,
    EXPIRED,
    OPEN,
    REFRESH_MS,
    SILENT_MS,
    Proposals,
)
from services.outreach.rules import Event, Rule, Where
from services.outreach.rules import Proposal as Lasting
from services.outreach.working import Refused
from services.runtime.knowledge import Knowledge
from tests.outreach_answers import knowledge as small
from tests.proposals_told import AGENCY, ALL, NOW, TOPIC, Town, burst

ASSUMED = assumptions_file.read(None)


class Desk:
    """One partition's proposals, and the log that they would be in."""

    def __init__(self, knowledge: Knowledge | None = None, rules: Sequence[Rule] = ()) -> None:
        self.knowledge = knowledge or small_now()
        self.rules = rules
        self.book = Proposals(self.knowledge, ASSUMED, rules)
        self.log: list[bytes] = []
        self.offset = 0

    def cause(self) -> common_pb2.Input:
        self.offset += 1
        return common_pb2.Input(topic="t", offset=self.offset)

    def put(self, proposal: Proposal | None) -> Proposal | None:
        if proposal is not None:
            self.book.take(proposal)
            self.log.append(proposal.SerializeToString())
        return proposal

    def hears(self, stated: Burst, town: Town, now_ms: int = NOW) -> Proposal | None:
        if self.book.wanted(stated, now_ms):
            facts = town.facts().since(stated)
            return self.put(self.book.proposed(stated, facts, self.cause(), now_ms))
        return self.put(self.book.heard(stated, self.cause(), now_ms))

    def asks(self, proposal: Proposal, now_ms: int = NOW, **action: object) -> Proposal | None:
        command = ProposalCommand(proposal_id=proposal.proposal_id, **action)  # type: ignore[arg-type]
        if not command.envelope.command_id:
            command.envelope.command_id = f"c{self.offset}"
            command.envelope.subject = "coordinator-1"
        return self.put(self.book.obey(command, self.cause(), now_ms))

    def again(self) -> "Desk":
        """A new owner, who folds the log."""
        after = Desk(self.knowledge, self.rules)
        for value in self.log:
            after.book.take(Proposal.FromString(value))
        after.log, after.offset = list(self.log), self.offset
        return after


def small_now(**given: object) -> Knowledge:
    times = {"valid_from_ms": NOW - 86_400_000, "valid_until_ms": NOW + 86_400_000}
    return small(**(times | given))  # type: ignore[arg-type]


def flood(count: int = 12) -> Town:
    town = Town()
    town.opens(count, question="roads")
    return town


def made(desk: Desk, town: Town | None = None, stated: Burst | None = None) -> Proposal:
    found = desk.hears(stated or burst(), town or flood())
    assert found is not None
    return found


def test_a_proposal_says_what_is_asked_by_how_many_and_suggests_whom_and_what() -> None:
    town = flood(9)
    town.opens(3, language="hi", place="Jahra")
    town.opens(2, language="ur")
    found = made(Desk(), town)
    assert (found.state, found.dimension, found.subject) == (OPEN, TOPIC, "roads-topic")
    assert (found.evidence.cases, found.evidence.people) == (14, 14)
    assert found.proposed_ms - found.bursts[0].start_ms <= 60_000
    suggested = found.suggestion
    callers = suggested.audience.callers
    assert (callers.topic, callers.since_ms) == ("roads-topic", found.bursts[0].start_ms)
    assert callers.state == CALLER_STATE_OPEN
    assert {text.language: text.template for text in suggested.texts} == {
        "ar": "جواب roads",
        "en": "answer roads",
        "hi": "उत्तर roads",
    }
    assert suggested.language == "ar"
    assert suggested.entry == "roads@1"
    assert suggested.agency == "roads-agency"
    assert list(suggested.languages_missing) == ["ur"]
    assert suggested.valid_until_ms == NOW + 86_400_000


def test_what_is_counted_are_all_who_would_be_written_to_not_those_by_whom_it_was_noticed() -> None:
    town = flood(9)
    town.opens(9, language="en", line="155")
    found = made(Desk(), town, burst(Dimension.DIMENSION_LANGUAGE, "ar"))
    assert (found.dimension, found.subject) == (TOPIC, "roads-topic")
    assert (found.evidence.people, found.estimate.people) == (18, 18)
    assert {text.language for text in found.suggestion.texts} == {"ar", "en"}
    assert Desk().hears(burst(Dimension.DIMENSION_LANGUAGE, "ur"), town) is None


def test_the_estimate_is_its_formula_and_says_what_it_assumes() -> None:
    found = made(Desk()).estimate
    assert found.people == 12
    assert found.calls_avoided == pytest.approx(12 * 0.6 * 0.9 * 0.5)
    assert "12 people" in found.formula
    assert {one.name for one in found.assumptions} == {"redial", "reach", "settles"}
    assert all(len(one.source) > 20 for one in found.assumptions)


@pytest.mark.parametrize(
    ("knowledge", "town", "why"),
    [
        (small_now(), Town(), "no entry"),
        (small_now(examples=True), None, "examples only"),
        (small_now(approval=""), None, "not approved"),
        (small_now(valid_until_ms=NOW - 1), None, "not approved, or not valid"),
    ],
)
def test_where_nobody_approved_words_none_are_proposed_and_it_says_so(
    knowledge: Knowledge, town: Town | None, why: str
) -> None:
    if town is not None:
        town.opens(12, topic="nothing-known")
    found = made(Desk(knowledge), town or flood(), burst(subject="nothing-known") if town else None)
    assert not found.suggestion.texts
    assert why in found.suggestion.text_missing


def test_a_topic_with_one_entry_has_its_text_where_nobody_wrote() -> None:
    town = Town()
    town.opens(12)
    assert made(Desk(), town).suggestion.entry == "roads@1"


def test_an_example_answers_a_drill() -> None:
    town = Town()
    town.opens(12, drill=True)
    found = made(Desk(small_now(examples=True)), town, burst(drill=True))
    assert found.drill
    assert found.suggestion.entry == "roads@1"


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


def test_accepted_it_names_the_draft_and_takes_nothing_more() -> None:
    desk = Desk()
    accepted = desk.asks(made(desk), accept="", agency="")
    assert accepted is not None
    assert accepted.state == ACCEPTED
    assert accepted.ended.subject == "coordinator-1"
    assert len({accepted.campaign_id, accepted.audience_id, accepted.proposal_id}) == 3
    with pytest.raises(Refused, match="accepted already"):
        desk.asks(accepted, decline="no")
    # It keeps its state when the burst is over.
    over = desk.hears(burst(ended=True), flood())
    assert over is not None
    assert (over.state, over.over) == (ACCEPTED, True)


def test_lines_play_the_words_of_an_accepted_one_if_the_coordinator_asks() -> None:
    desk = Desk()
    found = made(desk)
    lines = proposals_pb2.ProposalAnnouncement(lines=["109"], lasts_ms=3600_000)
    accepted = desk.asks(found, accept="", announce=lines)
    assert accepted is not None
    played = of_proposal(accepted)
    assert played is not None
    assert (list(played.lines), played.set_by) == (["109"], "coordinator-1")
    assert (played.from_ms, played.until_ms) == (NOW, NOW + 3600_000)
    assert [text.language for text in played.texts][:2] == ["ar", "en"]
    assert played.drill == accepted.drill
    # Also once the burst is over, and it is stated again: the same one.
    over = desk.hears(burst(ended=True), flood())
    assert over is not None
    assert of_proposal(over) == played
    accepted.ClearField("announce")
    assert of_proposal(accepted) is None


@pytest.mark.parametrize(
    ("texts", "why"),
    [
        ({"en": "Roads are closed."}, "need a text in ar"),
        ({"ar": "الطرق مغلقة {name}", "en": "Roads are closed."}, "in braces"),
        ({"ar": "م" * 1_001, "en": "Roads are closed."}, "at most 1,000 characters"),
    ],
)
def test_words_that_no_line_can_play_are_told_before_it_is_accepted(
    texts: dict[str, str], why: str
) -> None:
    desk = Desk()
    written = [CampaignText(language=one, template=said) for one, said in texts.items()]
    edited = desk.asks(made(desk), edit=ProposalEdit(texts=written))
    assert edited is not None
    lines = proposals_pb2.ProposalAnnouncement(lines=["109"], lasts_ms=3600_000)
    with pytest.raises(Refused, match=why):
        desk.asks(edited, accept="", announce=lines, envelope=command_of("second"))
    assert desk.asks(edited, accept="", envelope=command_of("third")) is not None


def command_of(name: str) -> common_pb2.CommandEnvelope:
    return common_pb2.CommandEnvelope(command_id=name, subject="coordinator-1")


def test_the_same_command_again_changes_nothing() -> None:
    desk = Desk()
    found = made(desk)
    envelope = common_pb2.CommandEnvelope(command_id="once", subject="coordinator-1")
    assert desk.asks(found, accept="yes", envelope=envelope) is not None
    assert desk.again().asks(found, accept="yes", envelope=envelope) is None


def test_without_words_it_can_not_be_accepted_until_somebody_writes_them() -> None:
    desk = Desk(small_now(approval=""))
    found = made(desk)
    with pytest.raises(Refused, match="it has no text") as refused:
        desk.asks(found, accept="")
    assert refused.value.code == code_pb2.FAILED_PRECONDITION
    edit = ProposalEdit(texts=[CampaignText(language="en", template="Stay home.")])
    edited = desk.asks(found, edit=edit)
    assert edited is not None
    assert (edited.suggestion.language, edited.suggestion.entry) == ("en", "")
    assert not edited.suggestion.text_missing
    assert edited.revision == found.revision + 1
    assert desk.asks(edited, accept="", revision=edited.revision) is not None


def test_who_accepts_names_what_they_saw() -> None:
    desk = Desk()
    found = made(desk)
    desk.asks(found, edit=ProposalEdit(name="Roads"))
    with pytest.raises(Refused, match="changed meanwhile"):
        desk.asks(found, accept="", revision=found.revision)


def test_an_edit_stays_when_the_figures_follow() -> None:
    desk, town = Desk(), flood()
    edit = ProposalEdit(name="Roads, north", texts=[CampaignText(language="ar", template="نص")])
    edit.audience.callers.place = "Jahra"
    edited = desk.asks(made(desk, town), edit=edit)
    assert edited is not None
    assert not edited.HasField("estimate")
    town.opens(20, question="roads")
    after = desk.book.refreshed(edited, town.facts().since(burst()), NOW + REFRESH_MS)
    assert after.evidence.cases == 32
    assert after.suggestion == edited.suggestion
    assert after.suggestion.audience.callers.place == "Jahra"


def test_who_speaks_for_another_agency_finds_nothing() -> None:
    desk = Desk()
    with pytest.raises(Refused) as refused:
        desk.asks(made(desk), decline="not ours", agency="other")
    assert refused.value.code == code_pb2.NOT_FOUND


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
