"""One input, one decision: what becomes of commands."""

from typing import Any

import pytest
from mawja.dedup.v1 import events_pb2

from services.runtime import ids
from tests.dedup_desk import HOUR, MIN, NOW, Desk, S


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_commands_change_the_case_and_are_answered(desk: Desk) -> None:
    case_id = desk.contact("a").case.case_id
    assigned = desk.command("1", case_id, assign=events_pb2.Assign(assignee="ag-7"))
    assert assigned.change == events_pb2.CASE_CHANGE_ASSIGNED
    assert (assigned.case.assignee, assigned.outcome.code) == ("ag-7", 0)
    resolved = desk.command("2", case_id, MIN, resolve=events_pb2.Resolve())
    assert resolved.case.state == events_pb2.CASE_STATE_RESOLVED
    assert resolved.case.resolved_ms == NOW + MIN
    refused = desk.command("3", case_id, assign=events_pb2.Assign(assignee="ag-8"))
    assert (refused.change, refused.outcome.code) == (events_pb2.CASE_CHANGE_REFUSED, 9)
    reopened = desk.command("4", case_id, reopen=events_pb2.Reopen(sealed_reason=b"why"))
    assert reopened.case.state == events_pb2.CASE_STATE_OPEN
    assert reopened.note.sealed_text == b"why"
    noted = desk.command("5", case_id, add_note=events_pb2.AddNote(sealed_text=b"text"))
    assert noted.change == events_pb2.CASE_CHANGE_NOTED
    assert len(desk.cases.notes_of(case_id)) == 2
    assert noted.case.version == 5


def topic(agency: str, code: str) -> dict[str, Any]:
    return {"set_topic": events_pb2.SetTopic(agency=agency, topic=code)}


def test_a_person_says_what_a_case_is_about(desk: Desk) -> None:
    case_id = desk.contact("a", agency="").case.case_id
    said = desk.command("1", case_id, **topic("health", "clinic"))
    assert (said.change, said.outcome.code) == (events_pb2.CASE_CHANGE_TRIAGED, 0)
    assert (said.case.agency, said.case.topic, said.case.version) == ("health", "clinic", 2)
    assert said.case.state == events_pb2.CASE_STATE_OPEN
    # What was said wrongly can be put right, but a case is not given away.
    mended = desk.command("2", case_id, **topic("health", "ambulance"))
    assert (mended.case.topic, mended.case.version) == ("ambulance", 3)
    refused = desk.command("3", case_id, **topic("interior", "passport"))
    assert (refused.change, refused.outcome.code) == (events_pb2.CASE_CHANGE_REFUSED, 9)
    assert "the case is with health" in refused.outcome.message
    assert (refused.case.topic, refused.case.version) == ("ambulance", 3)
    # A further contact about the same joins it; one about something else does not.
    assert desk.contact("b", MIN, topic="ambulance").case.case_id == case_id
    assert desk.contact("c", MIN, agency="interior").case.case_id != case_id
    assert desk.folded().case(0) == desk.cases.case(0)


@pytest.mark.parametrize(
    ("action", "code"),
    [
        ({"resolve": events_pb2.Resolve()}, 9),
        (topic("health", "clinic"), 9),
        ({"reopen": events_pb2.Reopen()}, 0),
    ],
)
def test_what_a_resolved_case_allows(desk: Desk, action: dict[str, Any], code: int) -> None:
    case_id = desk.contact("a").case.case_id
    desk.command("1", case_id, resolve=events_pb2.Resolve())
    assert desk.command("2", case_id, **action).outcome.code == code


def test_a_case_that_is_not_there_is_not_found(desk: Desk) -> None:
    refused = desk.command("1", ids.case_id("x"), resolve=events_pb2.Resolve())
    assert (refused.change, refused.outcome.code) == (events_pb2.CASE_CHANGE_REFUSED, 5)
    assert not refused.HasField("case")


def test_a_command_again_gets_its_first_outcome(desk: Desk) -> None:
    case_id = desk.contact("a").case.case_id
    desk.command("1", case_id, resolve=events_pb2.Resolve())
    again = desk.command("1", case_id, resolve=events_pb2.Resolve())
    assert (again.change, again.outcome.code) == (events_pb2.CASE_CHANGE_REPEATED, 0)
    assert again.case.version == 2
    refused = desk.command("2", case_id, resolve=events_pb2.Resolve())
    desk.command("3", case_id, reopen=events_pb2.Reopen())
    again = desk.command("2", case_id, resolve=events_pb2.Resolve())
    assert again.outcome == refused.outcome


def test_a_person_who_opens_a_case_again_takes_the_resolution_back(desk: Desk) -> None:
    case_id = desk.contact("a").case.case_id
    desk.answered("a", 10 * S, 3 * MIN)
    desk.command("1", case_id, HOUR, reopen=events_pb2.Reopen())
    assert desk.total("first_contact_resolved") == 0
    assert desk.cases.case(0).state == events_pb2.CASE_STATE_OPEN


def test_a_call_that_ended_before_the_reopening_does_not_undo_it(desk: Desk) -> None:
    case_id = desk.contact("a").case.case_id
    desk.command("1", case_id, MIN, resolve=events_pb2.Resolve())
    desk.command("2", case_id, HOUR, reopen=events_pb2.Reopen())
    desk.answered("a", 10 * S, 3 * MIN)
    assert desk.cases.case(0).state == events_pb2.CASE_STATE_OPEN
