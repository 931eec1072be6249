"""What the cases of a burst say, and what a burst is about."""

from mawja.dedup.v1 import events_pb2 as dedup

from services.outreach.proposals.evidence import evidence, subject_of, within
from tests.proposals_told import AGENCY, ALL, LINE, NOW, TOPIC, Town, burst


def test_cases_are_counted_by_what_they_say_and_people_once() -> None:
    town = Town()
    town.opens(6, question="roads", place="Jahra", language="ar")
    town.opens(3, language="hi", place="Jahra")
    town.opens(2, withheld=True)
    town.opens(1, landline=True, life_safety=True)
    # The same person with another need.
    [again] = town.opens(1)
    again.person = town.decisions[0].case.person
    town.decisions[-1].case.person = again.person
    found = evidence(town.facts().of(burst()), NOW - 40_000, NOW)
    assert (found.cases, found.people, found.writable) == (13, 12, 9)
    assert found.life_safety == 1
    assert [(one.value, one.cases) for one in found.questions] == [("roads", 6)]
    assert [(one.value, one.cases) for one in found.places] == [("Jahra", 9)]
    assert [(one.value, one.cases) for one in found.languages] == [("ar", 10), ("hi", 3)]
    assert (found.recent, found.before) == (13, 0)


def test_growth_is_told_by_two_spans_of_five_minutes() -> None:
    town = Town(since_ms=NOW - 1_200_000)
    for minutes, count in ((1, 9), (4, 3), (6, 2), (11, 5)):
        town.opens(count, at_ms=NOW - minutes * 60_000)
    facts = town.facts().of(burst(start_ms=NOW - 1_200_000))
    found = evidence(facts, NOW - 1_200_000, NOW)
    assert (found.cases, found.recent, found.before) == (19, 12, 2)


def test_a_question_counts_only_when_the_text_surely_asks_it() -> None:
    town = Town()
    town.opens(5, question="roads", confidence=0.3)
    assert not evidence(town.facts().of(burst()), NOW, NOW).questions


def test_a_case_is_as_it_stands_now() -> None:
    town = Town()
    resolved, merged, across, *_ = town.opens(5)
    resolved.state = dedup.CASE_STATE_RESOLVED
    town.says(dedup.CASE_CHANGE_RESOLVED, resolved)
    merged.state = dedup.CASE_STATE_MERGED
    town.says(dedup.CASE_CHANGE_MERGED, merged)
    across.state = dedup.CASE_STATE_MERGED
    across.merged_into.across = True
    town.says(dedup.CASE_CHANGE_MERGED, across)
    found = evidence(town.facts().of(burst()), NOW, NOW)
    # Merged with another of the same person it is that one; across people it is its own person's.
    assert (found.cases, found.people, found.writable) == (4, 4, 3)


def test_what_was_opened_before_is_no_part_of_it() -> None:
    town = Town()
    [old] = town.opens(1, at_ms=NOW - 3_600_000)
    town.says(dedup.CASE_CHANGE_LINKED, old)
    town.opens(1, at_ms=NOW - 50_000)
    town.opens(1, topic="water-topic")
    assert town.facts().of(burst()) == []


def test_a_drill_and_the_rest_are_apart() -> None:
    town = Town()
    town.opens(3, drill=True)
    town.opens(2)
    assert len(town.facts().of(burst(drill=True))) == 3
    assert len(town.facts().of(burst())) == 2


def test_a_burst_is_about_the_narrowest_that_half_of_its_cases_share() -> None:
    town = Town()
    town.opens(6)
    town.opens(6, topic="water-topic", agency="roads-agency")
    whole = town.facts().of(burst(ALL, ""))
    assert subject_of(burst(ALL, ""), whole) == (TOPIC, "roads-topic")
    town.opens(2, topic="other-topic", agency="other-agency")
    whole = town.facts().of(burst(ALL, ""))
    assert subject_of(burst(ALL, ""), whole) == (AGENCY, "roads-agency")
    assert len(within(whole, (AGENCY, "roads-agency"))) == 12


def test_calls_that_say_nothing_are_of_their_line_and_else_of_the_whole_centre() -> None:
    town = Town()
    town.opens(9, topic="", agency="", line="109")
    assert subject_of(burst(ALL, ""), town.facts().of(burst(ALL, ""))) == (LINE, "109")
    town.opens(10, topic="", agency="", line="")
    town.opens(9, topic="", agency="", line="155")
    assert subject_of(burst(ALL, ""), town.facts().of(burst(ALL, ""))) == (ALL, "")


def test_a_burst_of_a_topic_is_about_it_whatever_else_is_shared() -> None:
    town = Town()
    town.opens(9, line="16000")
    assert subject_of(burst(), town.facts().of(burst())) == (TOPIC, "roads-topic")


def test_what_a_text_surely_says_counts_where_nobody_named_it() -> None:
    town = Town()
    for case in town.opens(9, topic="", agency=""):
        case.triage.agency, case.triage.topic = "roads-agency", "roads-topic"
        town.says(dedup.CASE_CHANGE_TRIAGED, case)
    assert subject_of(burst(ALL, ""), town.facts().of(burst(ALL, ""))) == (TOPIC, "roads-topic")
