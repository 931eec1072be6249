"""Who reached out about something: a case's last decision says what it is, each contact when."""

from typing import Any

import pytest
from mawja.broadcast.v1 import audiences_pb2
from mawja.broadcast.v1.audiences_pb2 import Callers
from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2
from mawja.dedup.v1.events_pb2 import Case, CaseDecision

from services.broadcast.gathering.callers import Matching
from services.runtime import ids

OPENED, LINKED = events_pb2.CASE_CHANGE_OPENED, events_pb2.CASE_CHANGE_LINKED
MERGED, SPLIT = events_pb2.CASE_CHANGE_MERGED, events_pb2.CASE_CHANGE_SPLIT
NOON, MINUTE = 1_800_000_000_000, 60_000


def case_id(name: str) -> str:
    return ids.derive("case", name)


def case(name: str, person: str = "", **given: Any) -> Case:
    fields: dict[str, Any] = {
        "case_id": case_id(name),
        "person": (person or name).encode(),
        "sealed_number": b"sealed " + (person or name).encode(),
        "state": events_pb2.CASE_STATE_OPEN,
        "agency": "health",
        "topic": "appointments",
        "language": "ar",
        "accepted_ms": NOON,
        "last_contact_ms": NOON,
        **given,
    }
    return Case(**fields)


def contact(
    stands: Case, name: str, minute: float = 0, line: str = "109", opened: bool = False
) -> CaseDecision:
    link = events_pb2.Link(
        contact_id=ids.derive("contact", name), event_ms=NOON + int(minute * MINUTE), line=line
    )
    return CaseDecision(change=OPENED if opened else LINKED, case=stands, link=link)


def matching(asked: Callers, scope: str = "", members: Any = None, drill: bool = False) -> Matching:
    return Matching(asked, drill=drill, scope=scope, members=members)


def found(matched: Matching) -> str:
    return "".join(sorted(one.person.decode() for one in matched.callers()[0]))


def met(asked: Callers, *decisions: CaseDecision, **given: Any) -> str:
    matched = matching(asked, **given)
    for one in decisions:
        matched.take(one)
    return found(matched)


SURE = events_pb2.Triage(agency="water", topic="leaks")
UNSURE = events_pb2.Triage(agency="water", topic="leaks", unsure=True)
OPEN, RESOLVED = audiences_pb2.CALLER_STATE_OPEN, audiences_pb2.CALLER_STATE_RESOLVED
COMPLAINT = common_pb2.CONTACT_KIND_COMPLAINT


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ({"agency": "health"}, {}),
        ({"topic": "appointments"}, {}),
        ({"agency": "water", "topic": "leaks"}, {"agency": "", "topic": "", "triage": SURE}),
        ({"language": "AR"}, {}),
        ({"life_safety": True}, {"life_safety": True}),
        ({"kind": COMPLAINT}, {"kind": COMPLAINT}),
        ({"kind": COMPLAINT}, {"triage": events_pb2.Triage(kind=COMPLAINT)}),
        ({"state": OPEN}, {"state": events_pb2.CASE_STATE_ASSIGNED}),
        ({"state": RESOLVED}, {"state": events_pb2.CASE_STATE_RESOLVED}),
    ],
)
def test_what_is_asked_of_the_need(asked: dict[str, Any], meant: dict[str, Any]) -> None:
    assert met(Callers(**asked), contact(case("a", **meant), "1")) == "a"


@pytest.mark.parametrize(
    ("asked", "not_meant"),
    [
        ({"agency": "health"}, {"agency": "water"}),
        ({"topic": "appointments"}, {"topic": "vaccines"}),
        ({"agency": "water"}, {"agency": "", "topic": "", "triage": UNSURE}),
        # Another agency's case is not what a text says of it.
        ({"agency": "water"}, {"agency": "health", "topic": "", "triage": SURE}),
        ({"language": "ar"}, {"language": "en"}),
        ({"life_safety": True}, {}),
        ({"kind": COMPLAINT}, {"kind": common_pb2.CONTACT_KIND_REQUEST}),
        ({"state": OPEN}, {"state": events_pb2.CASE_STATE_RESOLVED}),
        ({"state": RESOLVED}, {}),
        ({"agency": "health"}, {"drill": True}),
    ],
)
def test_what_is_not_meant(asked: dict[str, Any], not_meant: dict[str, Any]) -> None:
    assert met(Callers(**asked), contact(case("a", **not_meant), "1")) == ""


def test_the_last_decision_on_a_case_says_what_it_is() -> None:
    health, water = Callers(agency="health"), Callers(agency="water")
    told = [
        contact(case("a", agency="health"), "1"),
        CaseDecision(change=events_pb2.CASE_CHANGE_TRIAGED, case=case("a", agency="water")),
        # Refused: nothing changed.
        CaseDecision(change=events_pb2.CASE_CHANGE_REFUSED, case=case("a", agency="health")),
    ]
    assert met(health, *told) == ""
    assert met(water, *told) == "a"


def test_time_and_line_are_of_one_contact_not_of_the_case() -> None:
    asked = Callers(line="16000", since_ms=NOON, until_ms=NOON + 10 * MINUTE)
    stands = case("a")
    assert met(asked, contact(stands, "1", -1, "16000"), contact(stands, "2", 5, "109")) == ""
    assert met(asked, contact(stands, "1", -1, "109"), contact(stands, "2", 5, "16000")) == "a"
    assert met(asked, contact(stands, "1", 10, "16000")) == ""
    # Before and after, but not in between.
    window = Callers(since_ms=NOON, until_ms=NOON + 10 * MINUTE)
    assert met(window, contact(stands, "1", -5), contact(stands, "2", 15)) == ""


def test_what_a_contact_said_counts_also_when_the_case_is_understood_later() -> None:
    asked = Callers(agency="water", since_ms=NOON)
    late = CaseDecision(change=events_pb2.CASE_CHANGE_TRIAGED, case=case("a", agency="water"))
    assert met(asked, contact(case("a", agency=""), "1"), late) == "a"
    # Said before: to be there is not enough.
    assert met(asked, late) == ""


def merge(into: Case, source: Case, *moved: str) -> CaseDecision:
    gone = Case()
    gone.CopyFrom(source)
    gone.state = events_pb2.CASE_STATE_MERGED
    gone.merged_into.into.case_id = into.case_id
    gone.sealed_number = b""
    names = [ids.derive("contact", one) for one in moved]
    return CaseDecision(change=MERGED, case=into, other=gone, moved=names)


def test_contacts_go_with_a_merge_and_a_split() -> None:
    asked = Callers(topic="vaccines", line="16000")
    stays, gone = case("a", "p", topic="vaccines"), case("b", "p", topic="appointments")
    told = [contact(stays, "1"), contact(gone, "2", 1, "16000")]
    assert met(asked, *told) == ""
    assert met(asked, *told, merge(stays, gone, "2")) == "p"
    parted = case("c", "p", topic="appointments")
    split = CaseDecision(change=SPLIT, case=stays, other=parted, moved=[ids.derive("contact", "2")])
    assert met(asked, *told, merge(stays, gone, "2"), split) == ""


def test_a_case_merged_across_people_is_of_a_caller_as_before() -> None:
    asked = Callers(agency="health", state=RESOLVED)
    gone = case("b", state=events_pb2.CASE_STATE_MERGED)
    gone.merged_into.across = True
    gone.merged_into.was = events_pb2.CASE_STATE_RESOLVED
    assert met(asked, CaseDecision(change=MERGED, case=gone)) == "b"
    gone.merged_into.was = events_pb2.CASE_STATE_OPEN
    assert met(asked, CaseDecision(change=MERGED, case=gone)) == ""


def test_a_person_is_meant_once_as_the_latest_case_has_them() -> None:
    matched = matching(Callers(agency="health"))
    newer = case("b", "p", language="en", sealed_number=b"new", last_contact_ms=NOON + 1)
    for one in (newer, case("a", "p")):
        matched.take(contact(one, one.case_id))
    [caller], left_out = matched.callers()
    assert (caller.language, caller.sealed_number) == ("en", b"new")
    assert left_out == {"duplicate": 1}


def test_who_is_left_out_is_counted_by_reason() -> None:
    matched = matching(Callers(language="ar"), scope="health")
    matched.take(contact(case("a"), "1"))
    matched.take(contact(case("b", agency="water"), "2"))
    # Understood from its texts alone: not yet the agency's to see.
    matched.take(contact(case("c", agency="", triage=SURE), "3"))
    matched.take(contact(case("d", person=" ", sealed_number=b""), "4"))
    matched.take(contact(case("e", language="en"), "5"))
    callers, left_out = matched.callers()
    assert [one.person for one in callers] == [b"a"]
    assert left_out == {"other-agency": 2, "withheld": 1}


def test_only_the_cases_of_an_incident() -> None:
    members = frozenset({bytes.fromhex(case_id("a").replace("-", ""))})
    told = [contact(case("a"), "1"), contact(case("b"), "2")]
    assert met(Callers(incident_id=case_id("i")), *told, members=members) == "a"


def placed(decision: CaseDecision, *places: str) -> CaseDecision:
    need = decision.needs.add(case_id=decision.case.case_id)
    need.places.extend(places)
    return decision


def test_places_are_said_once_and_may_stand_before_what_is_read() -> None:
    asked = Callers(place=" jahra ", since_ms=NOON)
    old = case("a", accepted_ms=NOON - 60 * MINUTE)
    redial = contact(old, "2", 5)
    matched = matching(asked)
    matched.take(redial)
    matched.take(placed(contact(case("b"), "3", 6), "Hawalli", "Jahra"))
    assert found(matched) == "b"
    assert matched.unplaced_since(NOON) == NOON - 60 * MINUTE
    matched.take_earlier(placed(contact(old, "1", -60, opened=True), "Jahra"))
    assert found(matched) == "ab"
    # What is known to have begun since needs no look back.
    assert met(asked, contact(case("c"), "4", 1)) == ""
    fresh = matching(asked)
    fresh.take(contact(case("c", accepted_ms=NOON + 1), "4", 1))
    assert fresh.unplaced_since(NOON) is None


def test_a_place_goes_with_a_merge_that_was_read_before_it() -> None:
    asked = Callers(place="Jahra", since_ms=NOON)
    stays, gone = case("a", "p"), case("b", "p")
    matched = matching(asked)
    matched.take(contact(stays, "1", 1))
    matched.take(merge(stays, gone, "0"))
    matched.take_earlier(placed(contact(gone, "0", -30, opened=True), "Jahra"))
    assert found(matched) == "p"
