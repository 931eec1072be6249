"""What a decision on a case says to those who look at the cases of many people."""

import pytest
from mawja.dedup.v1 import events_pb2

from services.dedup import stating
from tests.dedup_desk import ANSWERED, ENDED, RESOLVED, Desk


def test_a_text_becomes_a_sample_unless_it_is_long() -> None:
    desk = Desk()
    for name, sealed, kept in (("a", b"s" * 4_096, b"s" * 4_096), ("b", b"s" * 4_097, b"")):
        decision = desk.contact(name, 0, person=name.encode() * 16)
        assert decision.change == events_pb2.CASE_CHANGE_OPENED
        decision.triage.language = "ar"
        stating.state(decision, stating.NOTHING_HEARD, sealed)
        [need] = stating.stated(decision)
        assert need.sealed_text == kept
        assert need.case_id == decision.case.case_id


def test_of_many_contacts_the_first_are_told_and_any_that_tells_of_danger() -> None:
    desk = Desk()
    told = []
    for number in range(6):
        decision = desk.contact(f"c{number}", number)
        assert not stating.hears(decision), "a contact without words tells nothing of an event"
        decision.triage.language = "ar"
        told.append(stating.hears(decision))
    assert told == [True] * 4 + [False] * 2
    late = desk.contact("late", 20)
    late.triage.life_safety = True
    assert stating.hears(late)


@pytest.mark.parametrize(
    ("told", "unsure", "counted"),
    [
        (("", ""), False, ("civil-defence", "flood")),
        (("", ""), True, ("", "")),
        (("civil-defence", ""), False, ("civil-defence", "flood")),
        (("civil-defence", "smoke"), False, ("civil-defence", "smoke")),
        # What another agency was told of is not a service of this one.
        (("health", ""), False, ("health", "")),
    ],
)
def test_a_contact_counts_for_what_was_told_or_what_its_text_surely_says(
    told: tuple[str, str], unsure: bool, counted: tuple[str, str]
) -> None:
    triage = events_pb2.Triage(agency="civil-defence", topic="flood", unsure=unsure)
    desk = Desk()
    link = desk.contact("a", agency=told[0], topic=told[1], triage=triage).link
    assert (link.agency, link.topic) == counted
    [tallied] = desk.cases.tallies.take(1, 1)
    [count] = tallied.rows
    assert (count.agency, count.topic) == counted


def test_what_a_person_said_it_is_about_is_told_of_cases_with_a_text() -> None:
    desk = Desk()
    case_id = desk.contact("a", agency="").case.case_id
    topic = events_pb2.SetTopic(agency="civil-defence", topic="flood")
    said = desk.command("1", case_id, set_topic=topic)
    stating.state(said, stating.NOTHING_HEARD, b"")
    assert not said.needs
    said.case.triage.topic, said.case.triage.topic_confidence = "clinic", 0.2
    stating.state(said, stating.NOTHING_HEARD, b"")
    [need] = said.needs
    assert (need.agency, need.topic, need.topic_confidence) == ("civil-defence", "flood", 1.0)
    assert (need.case_version, need.resolved) == (said.case.version, False)


def test_a_need_that_a_call_met_is_told_of_cases_with_a_text() -> None:
    desk = Desk()
    desk.contact("a")
    desk.call("a", ANSWERED, 1_000)
    met = desk.call("a", ENDED, 5_000, RESOLVED)
    stating.state(met, stating.NOTHING_HEARD, b"")
    assert not met.needs
    met.case.triage.topic = "flood"
    stating.state(met, stating.NOTHING_HEARD, b"")
    [need] = met.needs
    assert need.resolved
    assert need.case_version == met.case.version
