"""What outreach promises to each person, through any history, crash and replay."""

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st
from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2 as dedup

from tests.outreach_answers import asks, knowledge
from tests.outreach_told import ABANDONED, DUE, T0, Logs, Told

KNOWN = knowledge()
_CASES = 3
_STEPS = st.lists(
    st.tuples(
        st.integers(0, _CASES - 1),
        st.sampled_from(
            ["abandoned", "answered", "resolved", "reopened", "noted", "again", "asks", "unclear"]
        ),
    ),
    max_size=25,
)


@st.composite
def histories(draw: st.DrawFn) -> list[dedup.CaseDecision]:
    """Decisions on a few cases, each case's events in the order of their time."""
    cases = [
        Told(
            name,
            channel=draw(st.sampled_from([common_pb2.CHANNEL_VOICE, common_pb2.CHANNEL_SMS])),
            line=draw(st.sampled_from([common_pb2.LINE_MOBILE, common_pb2.LINE_FIXED])),
            arrival_ms=T0 + draw(st.integers(0, 50_000)),
        )
        for name in "abc"
    ]
    inputs = [asks(c.opened()) if draw(st.booleans()) else c.opened() for c in cases]
    for at_s, (which, what) in enumerate(draw(_STEPS), start=1):
        case = cases[which]
        resolved = case.case.state == dedup.CASE_STATE_RESOLVED
        if what == "abandoned":
            inputs.append(case.abandoned(at_s * 100))
        elif what == "answered":
            inputs.append(case.answered(at_s * 100))
        elif what == "resolved" and not resolved:
            inputs.append(case.resolved(at_s * 100))
        elif what == "reopened" and resolved:
            inputs.append(case.reopened())
        elif what == "asks":
            told = case.told(dedup.CASE_CHANGE_LINKED)
            inputs.append(asks(told, draw(st.sampled_from(["roads", "sandbags", "unknown"]))))
        elif what == "unclear":
            told = case.told(dedup.CASE_CHANGE_LINKED)
            inputs.append(
                asks(told, "roads", 0.7, draw(st.sampled_from(["sandbags", "unknown"])), 0.65)
            )
        elif what == "again" and (
            calls := [
                d.call for d in inputs if d.case.case_id == case.case.case_id and d.call.state
            ]
        ):
            # The telephone system tells of the same step of a call once more.
            inputs.append(case.told(dedup.CASE_CHANGE_CALL, draw(st.sampled_from(calls))))
        else:
            inputs.append(case.told(dedup.CASE_CHANGE_NOTED))
    return inputs


@dataclass(frozen=True)
class Life:
    """How one owner of the partition works and dies."""

    batch: int
    stop_after: int
    calls_kept: int
    requests_kept: int
    reset: bool


_LIVES = st.lists(
    st.builds(
        Life,
        st.integers(1, 9),
        st.integers(1, 4),
        st.integers(0, 4),
        st.integers(0, 4),
        st.booleans(),
    ),
    max_size=8,
)


@settings(max_examples=400, deadline=None)
@given(histories(), _LIVES)
def test_crashes_and_replays_change_nothing(
    inputs: list[dedup.CaseDecision], lives: list[Life]
) -> None:
    undisturbed = Logs(known=KNOWN).run(inputs)
    logs = Logs(known=KNOWN)
    for life in lives:
        if life.reset:
            logs.committed = 0
        logs.run(
            inputs,
            batch=life.batch,
            stop_after=life.stop_after,
            calls_kept=life.calls_kept,
            requests_kept=life.requests_kept,
        )
    logs.run(inputs)
    assert logs.callbacks == undisturbed.callbacks
    assert logs.messages == undisturbed.messages
    logs.committed = 0
    logs.run(inputs)
    assert logs.callbacks == undisturbed.callbacks
    assert logs.messages == undisturbed.messages


@settings(max_examples=400, deadline=None)
@given(histories())
def test_promises_to_each_person(inputs: list[dedup.CaseDecision]) -> None:
    logs = Logs(known=KNOWN).run(inputs)
    assert len({r.message_id for r in logs.messages}) == len(logs.messages)
    for case_id in {decision.case.case_id for decision in inputs}:
        own = [c for c in logs.callbacks if c.case_id == case_id]
        told = [decision for decision in inputs if decision.case.case_id == case_id]
        arrival = told[0].case.first_arrival_ms
        assert all(c.place_ms == arrival for c in own)
        due = set()
        for callback in own:
            due.discard(callback.callback_id)
            if callback.state == DUE:
                due.add(callback.callback_id)
            assert len(due) <= 1
        # Said apart from the code: who abandoned last, and was not answered since, is owed a call.
        owed = offered = False
        calls = set()
        for decision in told:
            if decision.change == dedup.CASE_CHANGE_RESOLVED:
                owed = False
            elif decision.HasField("call") and decision.call.contact_id not in calls:
                calls.add(decision.call.contact_id)
                owed = decision.call.state == ABANDONED
                offered = offered or owed
        assert bool(due) == owed
        steps = {r.step for r in logs.messages if r.case_id == case_id}
        mobile = told[0].case.number_line == common_pb2.LINE_MOBILE
        text = told[0].case.channel == common_pb2.CHANNEL_SMS
        # Who asks with the first contact is answered in place of the acknowledgement.
        asked = bool(told[0].triage.question)
        assert ("acknowledge" in steps) == (mobile and text and not asked)
        answers = {step for step in steps if step.startswith("answer:")}
        sure = {d.triage.question for d in told if d.triage.question_confidence > 0.8}
        assert answers == {f"answer:{name}" for name in sure - {"unknown"} if mobile}
        assert ("clarify" in steps) == (
            mobile and any(d.triage.next_question == "sandbags" for d in told)
        )
        assert ("callback-offer" in steps) == (mobile and offered)
