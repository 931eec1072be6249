"""What follows from a proposal, for a terminal and for a page alike."""

from mawja.broadcast.v1.campaigns_pb2 import CampaignText
from mawja.dedup.v1.incidents_pb2 import CaseCount
from mawja.outreach.v1.proposals_pb2 import Proposal
from mawja.wave.v1.events_pb2 import Burst

from services.runtime.proposed import cost_asked, fastest, people_by_language, place, since_ms


def made(cases: int = 10, people: int = 9) -> Proposal:
    proposal = Proposal(proposed_ms=50)
    proposal.evidence.cases = cases
    proposal.estimate.people = people
    return proposal


def test_it_began_with_its_first_burst_and_shows_the_one_that_comes_fastest() -> None:
    proposal = made()
    assert (since_ms(proposal), fastest(proposal)) == (50, Burst())
    proposal.bursts.extend([Burst(start_ms=40, last_minute=2), Burst(start_ms=20, last_minute=1)])
    assert (since_ms(proposal), fastest(proposal).start_ms) == (20, 40)


def test_a_place_is_named_when_half_of_the_cases_name_it() -> None:
    proposal = made()
    assert place(proposal) == ""
    proposal.evidence.places.append(CaseCount(value="Jahra", cases=4))
    assert place(proposal) == ""
    proposal.evidence.places[0].cases = 5
    assert place(proposal) == "Jahra"


def test_people_are_divided_as_the_cases_are_and_none_is_left_out() -> None:
    proposal = made()
    some = [CaseCount(value="ar", cases=6), CaseCount(value="ur", cases=2)]
    proposal.evidence.languages.extend(some)
    assert people_by_language(proposal) == {"ar": 5, "ur": 2, "": 2}
    assert people_by_language(made()) == {"": 9}
    assert people_by_language(made(cases=0, people=0)) == {}


def test_what_texts_cost_is_asked_while_no_draft_tells_it() -> None:
    assert cost_asked(made()) is None
    proposal = made()
    proposal.suggestion.texts.append(CampaignText(language="ar", template="نص"))
    proposal.suggestion.language, proposal.drill = "ar", True
    asked = cost_asked(proposal)
    assert asked is not None
    assert (asked.language, asked.drill, dict(asked.people)) == ("ar", True, {"": 9})
    assert [one.template for one in asked.texts] == ["نص"]
    proposal.estimate.people = 0
    assert cost_asked(proposal) is None
    proposal.estimate.people, proposal.campaign_id = 9, "c"
    assert cost_asked(proposal) is None
