"""What outreach decides: one message a step, one callback a case."""

import pytest
from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2 as dedup
from mawja.intake.v1 import events_pb2 as intake

from services.outreach.decide import Messages
from services.runtime import ids
from tests.outreach_told import (
    ABANDONED,
    ANSWERED,
    DUE,
    ENDED,
    NOW,
    RULES,
    T0,
    TWO_AT_ONCE,
    WITHDRAWN,
    Logs,
    Told,
    run,
)

# Messages.


def test_a_case_opened_by_text_is_acknowledged() -> None:
    case = Told(channel=common_pb2.CHANNEL_SMS, language="ur", drill=True)
    [request] = run(case.opened()).messages
    assert request.message_id == ids.message_id(case.case.case_id, "acknowledge")
    assert (request.case_id, request.step, request.rule) == (
        case.case.case_id,
        "acknowledge",
        "acknowledge@1",
    )
    assert (request.lane, request.language, request.agency) == (common_pb2.LANE_NORMAL, "ur", "moh")
    assert (request.person, request.sealed_number) == (case.case.person, b"sealed-a")
    assert (request.requested_ms, request.accepted_ms) == (NOW, T0 + 7)
    assert request.expires_ms == NOW + 3_600_000
    assert request.drill
    assert (request.input.topic, request.input.offset) == ("dedup.case.v1", 0)


def test_the_text_names_the_case_in_the_persons_language() -> None:
    case = Told(channel=common_pb2.CHANNEL_WEB, language="hi")
    [draft] = Messages().decide(RULES, case.opened(), common_pb2.Input(offset=3), NOW)
    assert case.case.case_number in draft.text
    assert "सरकारी" in draft.text


@pytest.mark.parametrize("channel", [common_pb2.CHANNEL_VOICE, 7])
def test_a_call_is_not_acknowledged(channel: int) -> None:
    assert run(Told(channel=channel).opened()).messages == []


@pytest.mark.parametrize("line", [common_pb2.LINE_FIXED, common_pb2.LINE_UNSPECIFIED])
def test_no_sms_without_a_mobile_number(line: int) -> None:
    case = Told(channel=common_pb2.CHANNEL_WEB, line=line)
    assert run(case.opened(), case.abandoned(10)).messages == []


def test_life_safety_is_urgent() -> None:
    case = Told(channel=common_pb2.CHANNEL_SMS)
    case.case.life_safety = True
    logs = run(case.opened(), case.abandoned(10))
    assert [r.lane for r in logs.messages] == [common_pb2.LANE_URGENT] * 2
    assert logs.callbacks[0].life_safety


def test_a_message_that_waited_too_long_here_expires_all_the_same() -> None:
    case = Told(channel=common_pb2.CHANNEL_SMS)
    later = NOW + 7_200_000
    [draft] = Messages().decide(RULES, case.opened(), common_pb2.Input(offset=0), later)
    assert draft.request.requested_ms == later
    assert draft.request.expires_ms == NOW + 3_600_000


def test_two_rules_of_one_event_survive_a_crash_between_their_records() -> None:
    inputs = [Told(channel=common_pb2.CHANNEL_SMS).opened()]
    logs = Logs().run(inputs, rules=TWO_AT_ONCE, stop_after=1, requests_kept=1)
    assert logs.steps() == ["first"]
    assert logs.run(inputs, rules=TWO_AT_ONCE).steps() == ["first", "second"]


# Callbacks.


def test_an_abandoned_call_is_offered_a_callback_that_keeps_the_place() -> None:
    case = Told(drill=True)
    logs = run(case.opened(), case.abandoned(400, wait_s=30))
    [callback], [request] = logs.callbacks, logs.messages
    assert request.step == "callback-offer"
    assert request.accepted_ms == T0 + 400_003
    assert callback.callback_id == ids.callback_id(case.case.case_id, "a-call-400")
    assert (callback.state, callback.version) == (DUE, 1)
    assert callback.place_ms == T0
    assert (callback.case_number, callback.line) == (case.case.case_number, "109")
    assert (callback.agency, callback.language) == ("moh", "ar")
    assert (callback.drill, callback.decided_ms) == (True, NOW)
    assert callback.sealed_number == b"sealed-a"


def test_the_place_is_when_the_call_came_if_that_is_earlier() -> None:
    case = Told()
    [callback] = run(case.abandoned(5, wait_s=60)).callbacks
    assert callback.place_ms == T0 - 55_000


def test_a_landline_gets_the_callback_only() -> None:
    case = Told(line=common_pb2.LINE_FIXED)
    logs = run(case.opened(), case.abandoned(10))
    assert (len(logs.callbacks), len(logs.messages)) == (1, 0)


def test_nobody_can_call_back_a_withheld_number() -> None:
    case = Told(line=common_pb2.LINE_UNSPECIFIED)
    logs = run(case.opened(), case.abandoned(10))
    assert (logs.callbacks, logs.messages) == ([], [])


@pytest.mark.parametrize("channel", [common_pb2.CHANNEL_VOICE, common_pb2.CHANNEL_SMS])
def test_nobody_hears_from_us_because_of_a_record_of_past_calls(channel: int) -> None:
    case = Told(channel=channel)
    case.case.recorded = True
    logs = run(case.opened(), case.abandoned(10))
    assert (logs.callbacks, logs.messages) == ([], [])


def test_redials_keep_the_first_place_and_one_callback() -> None:
    case = Told()
    logs = run(case.opened(), case.abandoned(10), case.abandoned(60), case.abandoned(900))
    assert len({c.callback_id for c in logs.callbacks}) == 1
    assert [c.version for c in logs.callbacks] == [1, 2, 3]
    assert {c.place_ms for c in logs.callbacks} == {T0}
    assert logs.steps() == ["callback-offer"]


def test_the_same_event_twice_changes_nothing() -> None:
    case = Told()
    logs = run(case.opened(), case.abandoned(10), case.abandoned(10))
    assert len(logs.callbacks) == 1


@pytest.mark.parametrize("end", ["answered", "resolved", "ended"])
def test_a_callback_is_withdrawn_when_it_is_not_needed(end: str) -> None:
    case = Told()
    start = [case.opened(), case.abandoned(10)]
    if end == "answered":
        last = case.answered(100)
    elif end == "resolved":
        last = case.resolved(100)
    else:
        # The answer itself was told before the call's contact came.
        event = case.event(ENDED, 160, "other", talk_s=60)
        last = case.told(dedup.CASE_CHANGE_LINKED, None, event)
    logs = run(*start, last, case.told(dedup.CASE_CHANGE_NOTED))
    assert [c.state for c in logs.callbacks] == [DUE, WITHDRAWN]
    assert logs.callbacks[1].version == 2
    assert logs.callbacks[1].callback_id == logs.callbacks[0].callback_id


def test_a_new_abandon_after_an_answer_makes_a_new_callback_but_no_second_message() -> None:
    case = Told()
    logs = run(case.opened(), case.abandoned(10), case.answered(100), case.abandoned(5000))
    assert [c.state for c in logs.callbacks] == [DUE, WITHDRAWN, DUE]
    first, _, second = logs.callbacks
    assert first.callback_id != second.callback_id
    assert second.place_ms == T0
    assert logs.steps() == ["callback-offer"]


def test_a_new_abandon_after_a_case_was_opened_again() -> None:
    case = Told()
    inputs = [case.opened(), case.abandoned(10), case.resolved(100), case.reopened()]
    logs = run(*inputs, case.abandoned(200))
    assert [c.state for c in logs.callbacks] == [DUE, WITHDRAWN, DUE]


def test_an_answer_learnt_late_does_not_withdraw_what_came_after_it() -> None:
    case = Told()
    inputs = [case.opened(), case.abandoned(10), case.abandoned(300), case.answered(100)]
    assert run(*inputs).callbacks[-1].state == DUE


def test_an_abandon_learnt_late_does_not_call_back_whom_we_answered() -> None:
    case = Told()
    inputs = [case.opened(), case.abandoned(10), case.answered(100), case.abandoned(50)]
    assert [c.state for c in run(*inputs).callbacks] == [DUE, WITHDRAWN]


def test_a_resolved_case_is_not_offered_a_callback() -> None:
    case = Told()
    inputs = [case.opened(), case.resolved(100), case.abandoned(50)]
    logs = run(*inputs)
    assert (logs.callbacks, logs.messages) == ([], [])


def test_a_withdrawn_callback_never_comes_back() -> None:
    case = Told()
    inputs = [case.opened(), case.abandoned(10, "same"), case.answered(100)]
    logs = run(*inputs, case.abandoned(900, "same"))
    assert [c.state for c in logs.callbacks] == [DUE, WITHDRAWN]


def test_danger_and_an_earlier_arrival_move_a_callback_forward() -> None:
    case = Told()
    inputs = [case.opened(), case.abandoned(10)]
    case.case.life_safety = True
    case.case.first_arrival_ms = T0 - 60_000
    case.case.agency = "police"
    case.case.sealed_number = b"sealed-later"
    inputs.append(case.told(dedup.CASE_CHANGE_LINKED))
    case.case.first_arrival_ms = T0
    inputs.append(case.told(dedup.CASE_CHANGE_LINKED))
    _, moved = run(*inputs).callbacks
    assert (moved.life_safety, moved.place_ms, moved.agency) == (True, T0 - 60_000, "police")
    assert moved.sealed_number == b"sealed-later"


def test_the_contact_may_come_after_the_end_of_its_call() -> None:
    case = Told()
    offered, abandoned = case.event(intake.CALL_STATE_OFFERED, 0), case.event(ABANDONED, 9)
    waiting = dedup.CaseDecision(change=dedup.CASE_CHANGE_CALL_WAITING, call=abandoned)
    logs = run(waiting, case.opened(offered, abandoned))
    [callback] = logs.callbacks
    assert callback.callback_id == ids.callback_id(case.case.case_id, "a-call")
    assert callback.input.offset == 1
    assert logs.steps() == ["callback-offer"]


def test_a_call_that_was_taken_after_all_is_not_called_back() -> None:
    case = Told()
    logs = run(case.opened(case.event(ABANDONED, 9), case.event(ANSWERED, 10)))
    assert (logs.callbacks, logs.messages) == ([], [])


def test_an_event_that_dedup_had_already_is_nothing() -> None:
    case = Told()
    again = case.told(dedup.CASE_CHANGE_REPEATED, case.event(ABANDONED, 9))
    logs = run(case.opened(), again)
    assert (logs.callbacks, logs.messages) == ([], [])


@pytest.mark.parametrize("change", dedup.CaseChange.values())
def test_any_decision_without_a_case_is_nothing(change: dedup.CaseChange.ValueType) -> None:
    logs = run(dedup.CaseDecision(change=change, decided_ms=NOW))
    assert (logs.callbacks, logs.messages) == ([], [])
