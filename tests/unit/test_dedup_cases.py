"""One input, one decision: what becomes of contacts, calls and commands."""

from collections.abc import Sequence
from typing import Any

import pytest
from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2
from mawja.intake.v1 import events_pb2 as intake_pb2

from services.dedup import data, tally
from services.dedup.cases import Cases, Decision
from services.runtime import ids

RULES = data.rules()
NOW = 1_800_000_000_000
S, MIN, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
ALI, MONA = b"a" * 16, b"m" * 16
OFFERED, QUEUED, ANSWERED, ABANDONED, ENDED = (
    intake_pb2.CALL_STATE_OFFERED,
    intake_pb2.CALL_STATE_QUEUED,
    intake_pb2.CALL_STATE_ANSWERED,
    intake_pb2.CALL_STATE_ABANDONED,
    intake_pb2.CALL_STATE_ENDED,
)
RESOLVED = intake_pb2.DISPOSITION_RESOLVED


class Desk:
    """A partition's cases with a log, as the worker keeps them."""

    def __init__(self, shared: frozenset[bytes] = frozenset()) -> None:
        self.cases = Cases(RULES, shared)
        self.log: list[Decision] = []
        self.offsets: dict[str, int] = {}

    def _at(self, topic: str) -> common_pb2.Input:
        self.offsets[topic] = self.offsets.get(topic, -1) + 1
        return common_pb2.Input(topic=topic, offset=self.offsets[topic])

    def _took(self, decision: Decision) -> Decision:
        self.log.append(Decision.FromString(decision.SerializeToString()))
        self.cases.through = len(self.log) - 1
        return decision

    def contact(
        self,
        name: str,
        at_ms: int = 0,
        person: bytes = ALI,
        shape: Sequence[int] = (),
        language: str = "",
        **given: Any,
    ) -> Decision:
        fields: dict[str, Any] = {
            "contact_id": ids.contact_id("test", name),
            "person": person,
            "channel": common_pb2.CHANNEL_VOICE,
            "agency": "health",
            "line": "109",
            "event_ms": NOW + at_ms,
            "accepted_ms": NOW + at_ms + 5,
            "sealed_number": b"sealed",
            **given,
        }
        contact = intake_pb2.ContactAccepted(**fields)
        return self._took(self.cases.contact(contact, shape, language, self._at("contact"), NOW))

    def call(
        self,
        name: str,
        state: intake_pb2.CallState.ValueType,
        at_ms: int = 0,
        disposition: intake_pb2.Disposition.ValueType = intake_pb2.DISPOSITION_UNSPECIFIED,
        **given: Any,
    ) -> Decision:
        call = intake_pb2.CallEvent(
            contact_id=ids.contact_id("test", name),
            state=state,
            event_ms=NOW + at_ms,
            disposition=disposition,
            **given,
        )
        return self._took(self.cases.call(call, self._at("call"), NOW))

    def answered(self, name: str, at_ms: int, until_ms: int, resolved: bool = True) -> None:
        self.call(name, ANSWERED, at_ms)
        ended = RESOLVED if resolved else intake_pb2.DISPOSITION_UNRESOLVED
        self.call(name, ENDED, until_ms, ended)

    def command(self, name: str, case_id: str, at_ms: int = 0, **action: Any) -> Decision:
        command = events_pb2.CaseCommand(
            envelope=common_pb2.CommandEnvelope(
                command_id=ids.command_id("agent", "x", name), subject="agent", asked_ms=NOW + at_ms
            ),
            case_id=case_id,
            **action,
        )
        return self._took(self.cases.command(command, self._at("command"), NOW))

    def total(self, field: str) -> int:
        return sum(getattr(row, field) for t in self.cases.tallies.every(0, 0) for row in t.rows)

    def folded(self) -> Cases:
        cases = Cases(RULES)
        for offset, decision in enumerate(self.log):
            cases.fold(decision, offset)
        return cases


def snapshot(cases: Cases) -> dict[str, Any]:
    columns = cases.contacts
    return {
        "cases": [cases.case(n).SerializeToString(deterministic=True) for n in range(len(cases))],
        "links": [cases.link(n).SerializeToString() for n in range(len(columns.id))],
        "steps": columns.steps.tolist(),
        "ended": columns.ended_ms.tolist(),
        "notes": cases.notes,
        "waiting": cases.calls.waiting,
        "told": cases.memory.told,
        "shapes": cases.known.shapes,
        "first": (
            cases.calls.first_call.tolist(),
            cases.calls.first_ms.tolist(),
            cases.calls.first_resolved,
        ),
        "reopened": cases.calls.reopened_ms,
        "people": cases.known.of_person,
        "decided": cases.decided,
        "through": cases.through,
        "tallies": [t.SerializeToString() for t in cases.tallies.every(0, 0)],
    }


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_the_first_contact_opens_a_case(desk: Desk) -> None:
    decision = desk.contact("a", language="ar")
    case = decision.case
    assert decision.change == events_pb2.CASE_CHANGE_OPENED
    assert decision.link.level == events_pb2.LINK_LEVEL_FIRST
    assert decision.link.reason == "first contact of this number"
    assert case.case_id == ids.case_id(ids.contact_id("test", "a"))
    assert case.case_number == ids.case_number(case.case_id)
    assert (case.contacts, case.dialled, case.version, case.language) == (1, 1, 1, "ar")
    assert case.first_arrival_ms == case.last_contact_ms == NOW
    assert case.accepted_ms == NOW + 5


def test_a_redial_joins_and_keeps_the_place(desk: Desk) -> None:
    first = desk.contact("a")
    again = desk.contact("b", 4 * MIN)
    assert again.change == events_pb2.CASE_CHANGE_LINKED
    assert again.link.level == events_pb2.LINK_LEVEL_SAME_NEED
    assert again.link.reason == "same number, same agency, 4 min later"
    assert again.case.case_id == first.case.case_id
    assert (again.case.contacts, again.case.dialled) == (2, 2)
    assert again.case.first_arrival_ms == NOW
    assert again.case.last_contact_ms == NOW + 4 * MIN


def test_an_earlier_arrival_that_comes_late_moves_the_place_forward(desk: Desk) -> None:
    desk.contact("a")
    late = desk.contact("b", -3 * MIN)
    assert late.case.first_arrival_ms == NOW - 3 * MIN
    assert late.case.last_contact_ms == NOW
    assert desk.contact("c", MIN).case.first_arrival_ms == NOW - 3 * MIN


def test_another_need_is_another_case(desk: Desk) -> None:
    one = desk.contact("a")
    other = desk.contact("b", agency="interior")
    assert other.change == events_pb2.CASE_CHANGE_OPENED
    assert other.case.case_id != one.case.case_id
    assert "another agency" in other.link.reason
    assert desk.contact("c", agency="health").case.case_id == one.case.case_id
    assert desk.contact("d", agency="interior").case.case_id == other.case.case_id


def test_no_number_is_a_case_of_its_own(desk: Desk) -> None:
    cases = {desk.contact(name, person=b"").case.case_id for name in "abc"}
    assert len(cases) == 3


def test_people_are_never_merged(desk: Desk) -> None:
    assert desk.contact("a").case.case_id != desk.contact("b", person=MONA).case.case_id


def test_a_redelivery_changes_nothing(desk: Desk) -> None:
    desk.contact("a", shape=[1, 2, 3])
    before = desk.cases.case(0).SerializeToString()
    again = desk.contact("a", at_ms=HOUR, agency="interior")
    assert again.change == events_pb2.CASE_CHANGE_REPEATED
    assert again.link.level == events_pb2.LINK_LEVEL_SAME_DELIVERY
    assert again.case.SerializeToString() == before == desk.cases.case(0).SerializeToString()
    assert desk.total("contacts") == 1


def test_what_the_first_contact_left_out_a_later_one_fills_in(desk: Desk) -> None:
    desk.contact("a", agency="", line="109", language="", kind=0)
    case = desk.contact("b", MIN, agency="health", language="ur", life_safety=False, kind=2).case
    assert (case.agency, case.language, case.kind) == ("health", "ur", 2)
    assert desk.cases.link(0).agency == ""
    assert desk.cases.link(1).agency == "health"


def test_an_open_case_keeps_the_newest_sealed_number(desk: Desk) -> None:
    desk.contact("a")
    assert desk.contact("b", MIN, sealed_number=b"newer").case.sealed_number == b"newer"
    assert desk.contact("c", -MIN, sealed_number=b"older").case.sealed_number == b"newer"


def test_a_number_with_many_cases_is_learned_to_be_shared(desk: Desk) -> None:
    for n in range(RULES.shared_cases):
        desk.contact(f"a{n}", n * MIN, agency=f"agency-{n}")
    one = desk.contact("b", HOUR, agency="agency-1")
    assert one.change == events_pb2.CASE_CHANGE_OPENED
    assert "shared number" in one.link.reason


def test_a_number_said_to_be_shared_is(desk: Desk) -> None:
    shared = Desk(frozenset([ALI]))
    assert shared.contact("a").case.case_id != shared.contact("b", MIN).case.case_id
    assert desk.contact("a").case.case_id == desk.contact("b", MIN).case.case_id


# Calls.


def test_a_call_is_counted_step_by_step(desk: Desk) -> None:
    desk.contact("a")
    desk.call("a", OFFERED, 0)
    desk.call("a", QUEUED, S)
    desk.call("a", ANSWERED, 15 * S, queue_wait_ms=15 * S)
    ended = desk.call("a", ENDED, 5 * MIN, RESOLVED, handling_ms=4 * MIN + 1)
    case = ended.case
    assert ended.change == events_pb2.CASE_CHANGE_CALL
    assert (case.answered, case.abandoned) == (1, 0)
    assert case.state == events_pb2.CASE_STATE_RESOLVED
    assert case.resolved_ms == NOW + 5 * MIN
    assert case.version == 5
    counted = {
        name: desk.total(name)
        for name in ("offered", "answered", "answered_in_target", "abandoned", "handled")
    }
    assert counted == {
        "offered": 1,
        "answered": 1,
        "answered_in_target": 1,
        "abandoned": 0,
        "handled": 1,
    }
    assert desk.total("handled_in_target") == 0
    assert desk.total("queue_wait_ms") == 15 * S
    assert desk.total("handling_ms") == 4 * MIN + 1


def test_a_call_event_that_comes_twice_counts_once(desk: Desk) -> None:
    desk.contact("a")
    desk.call("a", ABANDONED, 30 * S)
    again = desk.call("a", ABANDONED, 30 * S)
    assert again.change == events_pb2.CASE_CHANGE_REPEATED
    assert again.case.abandoned == 1
    assert desk.total("abandoned") == 1


def test_a_call_that_was_given_up_is_not_answered_too(desk: Desk) -> None:
    desk.contact("a")
    desk.call("a", ABANDONED, 30 * S)
    assert desk.call("a", ANSWERED, 31 * S).change == events_pb2.CASE_CHANGE_REPEATED
    assert (desk.total("abandoned"), desk.total("answered")) == (1, 0)


def test_call_events_wait_for_their_contact_and_then_count_once(desk: Desk) -> None:
    kept = [desk.call("a", OFFERED), desk.call("a", ABANDONED, 30 * S)]
    assert {d.change for d in kept} == {events_pb2.CASE_CHANGE_CALL_WAITING}
    assert not kept[0].HasField("case")
    assert desk.call("a", OFFERED).change == events_pb2.CASE_CHANGE_REPEATED
    assert desk.cases.waiting == 1
    assert desk.total("offered") == 0
    opened = desk.contact("a")
    assert opened.case.abandoned == 1
    assert [call.state for call in opened.waited] == [OFFERED, ABANDONED]
    assert desk.cases.waiting == 0
    assert (desk.total("offered"), desk.total("abandoned")) == (1, 1)
    assert desk.call("a", ABANDONED, 30 * S).change == events_pb2.CASE_CHANGE_REPEATED


def test_waiting_calls_are_bounded(desk: Desk) -> None:
    limit = RULES.waiting_limit
    for n in range(limit + 3):
        desk.cases.calls.wait(n.to_bytes(16, "big"), intake_pb2.CallEvent(state=OFFERED))
    assert desk.cases.waiting == limit


def test_a_call_soon_after_an_ended_one_is_a_reconnect(desk: Desk) -> None:
    desk.contact("a")
    desk.answered("a", 10 * S, 3 * MIN, resolved=False)
    assert desk.contact("b", 4 * MIN).case.reconnects == 1
    assert desk.contact("c", 6 * MIN).case.reconnects == 1
    assert desk.contact("d", 4 * MIN, channel=common_pb2.CHANNEL_SMS).case.reconnects == 1


def test_a_reconnect_is_found_when_the_end_comes_late(desk: Desk) -> None:
    desk.contact("a")
    desk.contact("b", 4 * MIN)
    desk.answered("a", 10 * S, 3 * MIN, resolved=False)
    assert desk.cases.case(0).reconnects == 1


# Resolved, and back.


def test_whoever_comes_back_opens_the_case_again(desk: Desk) -> None:
    desk.contact("a")
    desk.answered("a", 10 * S, 3 * MIN)
    assert desk.cases.case(0).state == events_pb2.CASE_STATE_RESOLVED
    back = desk.contact("b", DAY)
    assert back.change == events_pb2.CASE_CHANGE_LINKED
    assert (back.case.state, back.case.resolved_ms) == (events_pb2.CASE_STATE_OPEN, 0)


def test_a_contact_from_before_the_resolution_leaves_it(desk: Desk) -> None:
    desk.contact("a")
    desk.answered("a", 10 * S, 3 * MIN)
    assert desk.contact("b", MIN).case.state == events_pb2.CASE_STATE_RESOLVED
    assert desk.total("first_contact_resolved") == 1


def test_an_end_that_comes_late_does_not_resolve_what_came_after_it(desk: Desk) -> None:
    desk.contact("a")
    desk.contact("b", HOUR)
    desk.answered("a", 10 * S, 3 * MIN)
    assert desk.cases.case(0).state == events_pb2.CASE_STATE_OPEN
    assert desk.total("first_contact_resolved") == 0


def test_after_the_window_a_need_is_new(desk: Desk) -> None:
    desk.contact("a")
    desk.answered("a", 10 * S, 3 * MIN)
    assert desk.contact("b", 8 * DAY).change == events_pb2.CASE_CHANGE_OPENED
    assert desk.total("first_contact_resolved") == 1


def test_a_repeat_takes_the_first_contact_resolution_back(desk: Desk) -> None:
    desk.contact("a")
    desk.answered("a", 10 * S, 3 * MIN)
    assert (desk.total("first_answered"), desk.total("first_contact_resolved")) == (1, 1)
    desk.contact("b", 3 * DAY)
    assert (desk.total("first_answered"), desk.total("first_contact_resolved")) == (1, 0)
    desk.answered("b", 3 * DAY + S, 3 * DAY + MIN)
    assert (desk.total("first_answered"), desk.total("first_contact_resolved")) == (1, 0)


def test_redials_before_the_first_answer_are_no_repeat(desk: Desk) -> None:
    desk.contact("a")
    desk.call("a", ABANDONED, 30 * S)
    desk.contact("b", MIN)
    desk.answered("b", 2 * MIN, 5 * MIN)
    assert (desk.total("first_answered"), desk.total("first_contact_resolved")) == (1, 1)


def test_the_first_answered_call_may_be_learned_of_last(desk: Desk) -> None:
    desk.contact("a")
    desk.contact("b", HOUR)
    desk.answered("b", HOUR, HOUR + MIN)
    assert desk.total("first_contact_resolved") == 1
    desk.answered("a", MIN, 2 * MIN, resolved=False)
    assert (desk.total("first_answered"), desk.total("first_contact_resolved")) == (1, 0)


# Commands.


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


@pytest.mark.parametrize(
    ("action", "code"),
    [({"resolve": events_pb2.Resolve()}, 9), ({"reopen": events_pb2.Reopen()}, 0)],
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


def test_folding_the_log_gives_the_same_state(desk: Desk) -> None:
    desk.call("b", ABANDONED, HOUR)
    desk.call("z", OFFERED)
    case_id = desk.contact("a", shape=[1, 2, 3]).case.case_id
    desk.answered("a", 10 * S, 3 * MIN)
    desk.contact("b", HOUR, shape=[3, 4])
    desk.contact("b", HOUR)
    desk.contact("c", person=b"")
    desk.command("1", case_id, assign=events_pb2.Assign(assignee="ag-7"))
    desk.command("1", case_id, assign=events_pb2.Assign(assignee="ag-7"))
    desk.command("2", case_id, add_note=events_pb2.AddNote(sealed_text=b"text"))
    desk.command("3", case_id, reopen=events_pb2.Reopen())
    assert snapshot(desk.folded()) == snapshot(desk.cases)


def test_the_log_is_believed_over_todays_rules(desk: Desk) -> None:
    desk.contact("a")
    desk.log[0].case.agency = "as-it-was-decided"
    assert desk.folded().case(0).agency == "as-it-was-decided"


def test_tallies_are_dealt_out_once_and_given_back(desk: Desk) -> None:
    desk.contact("a")
    desk.contact("b", HOUR)
    tallies = desk.cases.tallies
    taken = tallies.take(3, 1)
    assert [t.bucket_ms for t in taken] == [NOW, NOW + HOUR]
    assert {(t.partition, t.through_offset, t.bucket_width_ms) for t in taken} == {
        (3, 1, tally.BUCKET_MS)
    }
    assert tallies.take(3, 1) == []
    tallies.give_back(taken)
    assert tallies.take(3, 1) == taken


def test_a_bucket_outside_the_window_is_left_as_it_was_stated(desk: Desk) -> None:
    desk.contact("a")
    desk.contact("b", 9 * DAY, person=MONA)
    desk.cases.tallies.take(0, 0)
    desk.contact("c", S, person=b"c" * 16)
    assert not desk.cases.tallies.changed
    assert len(desk.cases.tallies._buckets) == 1


def test_nothing_is_marked_while_folding_what_was_stated() -> None:
    cases = Cases(RULES)
    cases.tallies.marking = False
    desk = Desk()
    desk.contact("a")
    cases.fold(desk.log[0], 0)
    assert not cases.tallies.changed
    assert [t.rows[0].contacts for t in cases.tallies.every(0, 0)] == [1]


def test_a_log_whose_beginning_is_no_longer_kept_is_folded() -> None:
    """Retention takes the first decision on a contact away, and leaves later ones on it."""
    desk = Desk()
    old = desk.contact("one").case.case_id
    desk.call("one", OFFERED, 1 * S)
    kept = desk.contact("two", 2 * S, person=MONA).case
    asked = desk.command("noted", old, 3 * S, add_note=events_pb2.AddNote(sealed_text=b"x"))
    cases = Cases(RULES)
    for offset, decision in enumerate(desk.log[1:], start=1):
        cases.fold(decision, offset)
    assert [cases.case(n) for n in range(len(cases))] == [kept]
    assert not cases.notes
    assert cases.decided == {"contact": 1, "call": 0, "command": 0}
    # The same command again is told what it was told.
    [told] = cases.memory.told.values()
    assert told.code == asked.outcome.code
