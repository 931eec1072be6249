"""What people do with a proposal: accept, edit, decline it, and have lines play its words."""

import pytest
from google.rpc import code_pb2
from mawja.broadcast.v1.campaigns_pb2 import CampaignText
from mawja.common.v1 import common_pb2
from mawja.outreach.v1 import proposals_pb2
from mawja.outreach.v1.proposals_pb2 import ProposalEdit

from services.outreach.announcements.proposed import of_proposal
from services.outreach.proposals.book import (
    ACCEPTED,
    REFRESH_MS,
)
from services.outreach.working import Refused
from tests.proposals_desk import Desk, flood, made, small_now
from tests.proposals_told import NOW, burst


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
