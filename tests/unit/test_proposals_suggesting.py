"""What a proposal says: who asks, how many, whom to write to in which words, what that saves."""

import pytest
from mawja.broadcast.v1.audiences_pb2 import CALLER_STATE_OPEN
from mawja.wave.v1.events_pb2 import Dimension

from services.outreach.proposals.book import (
    OPEN,
)
from services.runtime.knowledge import Knowledge
from tests.proposals_desk import Desk, flood, made, small_now
from tests.proposals_told import NOW, TOPIC, Town, burst


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
