"""One input, one decision: what becomes of calls, and when a case is resolved and comes back."""

import pytest
from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2
from mawja.intake.v1 import events_pb2 as intake_pb2

from tests.dedup_desk import (
    ABANDONED,
    ANSWERED,
    DAY,
    ENDED,
    HOUR,
    MIN,
    NOW,
    OFFERED,
    QUEUED,
    RESOLVED,
    RULES,
    Desk,
    S,
)


@pytest.fixture
def desk() -> Desk:
    return Desk()


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
