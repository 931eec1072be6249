"""What becomes of callbacks when people merge or split cases: none is lost, none is made twice."""

import pytest
from mawja.dedup.v1 import events_pb2 as dedup
from mawja.outreach.v1 import events_pb2 as outreach

from services.runtime import ids
from tests.outreach_told import CASES, DUE, T0, WITHDRAWN, Logs, Told, run

LATER = T0 + 60_000


def owed(case: Told, contact: str, at_s: int) -> dedup.OwedCall:
    at_ms = case.arrival_ms + at_s * 1000
    return dedup.OwedCall(
        contact_id=f"{case.name}-{contact}", arrival_ms=at_ms - 10_000, abandoned_ms=at_ms
    )


def merged(into: Told, source: Told, call: dedup.OwedCall | None) -> dedup.CaseDecision:
    into.case.first_arrival_ms = min(into.case.first_arrival_ms, source.case.first_arrival_ms)
    into.case.life_safety = into.case.life_safety or source.case.life_safety
    decision = into.told(dedup.CASE_CHANGE_MERGED)
    source.case.state = dedup.CASE_STATE_MERGED
    decision.other.CopyFrom(source.case)
    if call is not None:
        decision.owed.CopyFrom(call)
    return decision


def split(
    case: Told, other: Told, call: dedup.OwedCall | None, other_call: dedup.OwedCall | None
) -> dedup.CaseDecision:
    decision = case.told(dedup.CASE_CHANGE_SPLIT)
    decision.other.CopyFrom(other.case)
    if call is not None:
        decision.owed.CopyFrom(call)
    if other_call is not None:
        decision.other_owed.CopyFrom(other_call)
    return decision


def standing(logs: Logs) -> dict[str, outreach.Callback]:
    """The callbacks as they stand."""
    return {callback.callback_id: callback for callback in logs.callbacks}


def due(logs: Logs) -> list[outreach.Callback]:
    return [callback for callback in standing(logs).values() if callback.state == DUE]


def test_of_two_callbacks_one_stays_with_the_earliest_place() -> None:
    late, early = Told("late", arrival_ms=LATER), Told("early")
    early.case.life_safety = True
    inputs = [late.opened(), early.opened(), late.abandoned(10), early.abandoned(10)]
    logs = run(*inputs, merged(late, early, owed(late, "call-10", 10)))
    [kept] = due(logs)
    assert kept.callback_id == ids.callback_id(late.case.case_id, "late-call-10")
    assert (kept.case_id, kept.case_number) == (late.case.case_id, late.case.case_number)
    assert (kept.place_ms, kept.life_safety, kept.version) == (T0, True, 2)
    assert kept.abandoned_ms == LATER + 10_000
    assert sorted(c.state for c in standing(logs).values()) == [DUE, WITHDRAWN]


def test_the_only_callback_goes_with_its_case() -> None:
    into, source = Told("into", arrival_ms=LATER), Told("source")
    inputs = [into.opened(), source.opened(), source.abandoned(10)]
    logs = run(*inputs, merged(into, source, owed(source, "call-10", 10)))
    [moved] = due(logs)
    assert moved.callback_id == ids.callback_id(source.case.case_id, "source-call-10")
    assert (moved.case_id, moved.place_ms) == (into.case.case_id, T0)
    # What comes of the case that stays settles it.
    logs = run(*inputs, merged(into, source, owed(source, "call-10", 10)), into.answered(100))
    assert due(logs) == []
    logs = run(*inputs, merged(into, source, owed(source, "call-10", 10)), into.resolved(100))
    assert due(logs) == []


def test_a_callback_that_goes_with_its_case_is_not_made_again() -> None:
    into, source = Told("into", arrival_ms=LATER), Told("source")
    inputs = [into.opened(), source.opened(), source.abandoned(10)]
    inputs.append(merged(into, source, owed(source, "call-10", 10)))
    logs = run(*inputs, into.abandoned(300))
    [one] = due(logs)
    assert one.callback_id == ids.callback_id(source.case.case_id, "source-call-10")
    assert one.abandoned_ms == LATER + 300_000


@pytest.mark.parametrize("which", ["into", "source", "both"])
def test_whom_the_other_case_had_answered_since_is_not_called(which: str) -> None:
    into, source = Told("into"), Told("source")
    inputs = [into.opened(), source.opened()]
    if which in ("into", "both"):
        inputs.append(into.abandoned(10))
    if which in ("source", "both"):
        inputs.append(source.abandoned(10))
    logs = run(*inputs, merged(into, source, None))
    assert due(logs) == []
    assert {c.state for c in standing(logs).values()} == {WITHDRAWN}


def test_merging_cases_without_callbacks_is_nothing() -> None:
    into, source = Told("into"), Told("source")
    logs = run(into.opened(), source.opened(), merged(into, source, owed(into, "x", 1)))
    assert logs.callbacks == []
    inputs = [into.opened(), into.abandoned(10), into.answered(20)]
    logs = run(*inputs, merged(into, source, owed(into, "x", 1)))
    assert [c.state for c in logs.callbacks] == [DUE, WITHDRAWN]


def test_a_callback_goes_with_the_call_that_nobody_answered() -> None:
    case, other = Told("case"), Told("other", arrival_ms=LATER)
    inputs = [case.opened(), case.abandoned(10)]
    went = run(*inputs, split(case, other, None, owed(case, "call-10", 10)), case.resolved(200))
    [callback] = due(went)
    assert (callback.case_id, callback.place_ms) == (other.case.case_id, T0)
    assert callback.callback_id == ids.callback_id(case.case.case_id, "case-call-10")
    case = Told("case")
    inputs = [case.opened(), case.abandoned(10)]
    stays = run(*inputs, split(case, other, owed(case, "call-10", 10), None))
    assert [c.case_id for c in due(stays)] == [case.case.case_id]
    assert len(stays.callbacks) == 1


def test_two_needs_that_wait_are_two_calls() -> None:
    case, other = Told("case"), Told("other", arrival_ms=LATER)
    inputs = [case.opened(), case.abandoned(10), case.abandoned(20)]
    calls = owed(case, "call-20", 20), owed(case, "call-10", 10)
    logs = run(*inputs, split(case, other, *calls))
    assert {c.case_id for c in due(logs)} == {case.case.case_id, other.case.case_id}
    [new] = [c for c in due(logs) if c.case_id == other.case.case_id]
    assert new.callback_id == ids.callback_id(other.case.case_id, "case-call-10")
    assert (new.place_ms, new.version, new.abandoned_ms) == (T0, 1, T0 + 10_000)


def test_an_answer_to_one_need_is_none_to_the_other() -> None:
    case, other = Told("case"), Told("other")
    answered = [case.opened(), case.abandoned(10), case.answered(20)]
    assert due(run(*answered)) == []
    for calls in ((None, owed(case, "call-10", 10)), (owed(case, "call-10", 10), None)):
        logs = run(*answered, split(case, other, *calls))
        [call] = due(logs)
        assert call.case_id == (case if calls[0] else other).case.case_id
        assert call.callback_id == ids.callback_id(other.case.case_id, "case-call-10")
        assert (call.person, call.sealed_number) == (case.case.person, b"sealed-case") or calls[1]
    # What an agent resolved is settled, whatever is split off later.
    resolved = [case.opened(), case.abandoned(10), case.resolved(20)]
    assert due(run(*resolved, split(case, other, None, owed(case, "call-10", 10)))) == []


def test_nobody_can_call_back_a_withheld_number_after_a_split() -> None:
    case, other = Told("case"), Told("other", line=0)
    inputs = [case.opened(), split(case, other, None, owed(case, "call-10", 10))]
    assert run(*inputs).callbacks == []


def test_people_who_were_merged_keep_their_callbacks() -> None:
    """Their cases are each told without the other, in a partition of its own."""
    case = Told("case")
    inputs = [case.opened(), case.abandoned(10)]
    case.case.state = dedup.CASE_STATE_MERGED
    logs = run(*inputs, case.told(dedup.CASE_CHANGE_MERGED), case.told(dedup.CASE_CHANGE_SPLIT))
    assert len(due(logs)) == 1
    assert len(logs.callbacks) == 1
    # An agent who resolves the one settles what was promised for the other.
    logs = run(*inputs, case.told(dedup.CASE_CHANGE_MERGED), case.told(dedup.CASE_CHANGE_RESOLVED))
    assert due(logs) == []


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_a_crash_between_the_records_of_a_merge(kept: int) -> None:
    late, early = Told("late", arrival_ms=LATER), Told("early")
    inputs = [late.opened(), early.opened(), late.abandoned(10), early.abandoned(10)]
    inputs.append(merged(late, early, owed(late, "call-10", 10)))
    crash(inputs, 2, kept)


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_a_crash_between_the_records_of_a_split(kept: int) -> None:
    case, other = Told("case"), Told("other")
    inputs = [case.opened(), case.abandoned(10), case.abandoned(15), case.answered(20)]
    calls = owed(case, "call-15", 15), owed(case, "call-10", 10)
    inputs.append(split(case, other, *calls))
    crash(inputs, 3, kept)
    assert len(due(run(*inputs))) == 2


def test_a_callback_that_went_is_not_made_again_after_a_crash() -> None:
    case, other = Told("case"), Told("other")
    inputs = [
        case.opened(),
        case.abandoned(10),
        split(case, other, None, owed(case, "call-10", 10)),
    ]
    logs = Logs().run(inputs, stop_after=1)
    logs.run(inputs)
    assert len(due(logs)) == 1
    assert len(logs.callbacks) == 2


def crash(inputs: list[dedup.CaseDecision], before: int, kept: int) -> None:
    """In the last of `inputs`, which asks for two records after `before`, of which Kafka gets
    `kept`."""
    logs = Logs().run(inputs[:-1])
    logs.run(inputs, stop_after=1, calls_kept=kept)
    assert len(logs.callbacks) == before + kept
    logs.run(inputs)
    logs.committed = 0
    logs.run(inputs)
    assert logs.callbacks == Logs().run(inputs).callbacks
    assert len(logs.callbacks) == before + 2
    assert all(callback.input.topic == CASES for callback in logs.callbacks)
