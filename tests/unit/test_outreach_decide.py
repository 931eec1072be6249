"""What outreach decides: one message a step, one callback a case, through any crash and replay."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2 as dedup
from mawja.intake.v1 import events_pb2 as intake
from mawja.outreach.v1 import events_pb2 as outreach

from services.outreach.__main__ import load_rules
from services.outreach.decide import Callbacks, Messages
from services.outreach.rules import Rule, parse
from services.runtime import ids

RULES = load_rules(None)
TWO_AT_ONCE = parse(
    """
centre: {ar: م, en: c}
rules:
  - name: first
    version: 1
    when: {event: case-opened}
    message: {expires: 1h, texts: {ar: "{centre} {case_number}", en: "{centre} {case_number}"}}
  - name: second
    version: 1
    when: {event: case-opened}
    message: {expires: 1h, texts: {ar: "{centre} {case_number}", en: "{centre} {case_number}"}}
  - name: call
    version: 1
    when: {event: call-abandoned}
    callback: true
""",
    "two.yaml",
)
T0 = 1_800_000_000_000
CASES = "dedup.case.v1"
NOW = T0 + 5_000
DUE, WITHDRAWN = outreach.CALLBACK_STATE_DUE, outreach.CALLBACK_STATE_WITHDRAWN
ABANDONED, ANSWERED = intake.CALL_STATE_ABANDONED, intake.CALL_STATE_ANSWERED
ENDED = intake.CALL_STATE_ENDED


@dataclass
class Told:
    """One case as dedup tells it: the decisions, each with the case whole."""

    name: str = "a"
    channel: int = common_pb2.CHANNEL_VOICE
    line: int = common_pb2.LINE_MOBILE
    language: str = "ar"
    drill: bool = False
    arrival_ms: int = T0
    case: dedup.Case = field(init=False)

    def __post_init__(self) -> None:
        case_id = ids.case_id(self.name)
        withheld = self.line == common_pb2.LINE_UNSPECIFIED
        self.case = dedup.Case(
            case_id=case_id,
            case_number=ids.case_number(case_id),
            person=b"" if withheld else self.name.encode().ljust(16, b"."),
            state=dedup.CASE_STATE_OPEN,
            first_arrival_ms=self.arrival_ms,
            last_contact_ms=self.arrival_ms,
            channel=self.channel,  # type: ignore[arg-type]
            number_line=self.line,  # type: ignore[arg-type]
            line="109",
            agency="moh",
            language=self.language,
            drill=self.drill,
            accepted_ms=self.arrival_ms + 7,
            sealed_number=b"" if withheld else b"sealed-" + self.name.encode(),
        )

    def told(
        self, change: int, call: intake.CallEvent | None = None, *waited: intake.CallEvent
    ) -> dedup.CaseDecision:
        self.case.version += 1
        decision = dedup.CaseDecision(change=change, decided_ms=NOW)  # type: ignore[arg-type]
        decision.case.CopyFrom(self.case)
        decision.link.contact_id = f"{self.name}-first"
        if call is not None:
            decision.call.CopyFrom(call)
        decision.waited.extend(waited)
        return decision

    def opened(self, *waited: intake.CallEvent) -> dedup.CaseDecision:
        return self.told(dedup.CASE_CHANGE_OPENED, None, *waited)

    def event(
        self, state: int, at_s: int, contact: str = "call", wait_s: int = 0, talk_s: int = 0
    ) -> intake.CallEvent:
        return intake.CallEvent(
            contact_id=f"{self.name}-{contact}",
            state=state,  # type: ignore[arg-type]
            event_ms=self.arrival_ms + at_s * 1000,
            queue_wait_ms=wait_s * 1000,
            handling_ms=talk_s * 1000,
            accepted_ms=self.arrival_ms + at_s * 1000 + 3,
        )

    def abandoned(self, at_s: int, contact: str = "", wait_s: int = 10) -> dedup.CaseDecision:
        self.case.abandoned += 1
        event = self.event(ABANDONED, at_s, contact or f"call-{at_s}", wait_s)
        return self.told(dedup.CASE_CHANGE_CALL, event)

    def answered(self, at_s: int) -> dedup.CaseDecision:
        self.case.answered += 1
        return self.told(dedup.CASE_CHANGE_CALL, self.event(ANSWERED, at_s, f"call-{at_s}"))

    def resolved(self, at_s: int) -> dedup.CaseDecision:
        self.case.state = dedup.CASE_STATE_RESOLVED
        self.case.resolved_ms = self.arrival_ms + at_s * 1000
        return self.told(dedup.CASE_CHANGE_RESOLVED)

    def reopened(self) -> dedup.CaseDecision:
        self.case.state = dedup.CASE_STATE_OPEN
        self.case.resolved_ms = 0
        return self.told(dedup.CASE_CHANGE_REOPENED)


@dataclass
class Logs:
    """The two logs as Kafka has them, and the group's committed offset."""

    messages: list[outreach.MessageRequested] = field(default_factory=list)
    callbacks: list[outreach.Callback] = field(default_factory=list)
    committed: int = 0

    def run(
        self,
        inputs: Sequence[dedup.CaseDecision],
        *,
        rules: Sequence[Rule] = RULES,
        batch: int = 1000,
        calls_kept: int = 1000,
        requests_kept: int = 1000,
        stop_after: int = 1000,
    ) -> "Logs":
        """An owner takes over, works through batches and dies: in its last batch only so many
        records of each log reach Kafka, and nothing is committed."""
        messages, callbacks = Messages(), Callbacks()
        for request in self.messages:
            messages.take(request)
        for logged in self.callbacks:
            callbacks.take(logged)
        start = (0, -1)
        resume = min(messages.resume(CASES) or start, callbacks.resume(CASES) or start)
        # Here every input is its own epoch: never one from behind the place to go on at.
        assert 0 <= resume[0] - resume[1] <= 1
        position = max(self.committed, resume[0])
        for number in range(stop_after):
            called, requested = [], []
            for offset in range(position, min(position + batch, len(inputs))):
                cause = common_pb2.Input(topic=CASES, offset=offset, epoch=offset)
                callback = callbacks.decide(rules, inputs[offset], cause, NOW)
                if callback is not None:
                    callbacks.take(callback)
                    called.append(callback)
                for draft in messages.decide(rules, inputs[offset], cause, NOW):
                    messages.take(draft.request)
                    requested.append(draft.request)
            last = number == stop_after - 1
            self.callbacks += called[:calls_kept] if last else called
            # Nothing is requested before Kafka has the callbacks of the batch.
            if not last or calls_kept >= len(called):
                self.messages += requested[:requests_kept] if last else requested
            position += batch
            if last:
                break
            self.committed = min(position, len(inputs))
            if position >= len(inputs):
                break
        return self

    def steps(self) -> list[str]:
        return [request.step for request in self.messages]


def run(*inputs: dedup.CaseDecision) -> Logs:
    return Logs().run(inputs)


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


# Whatever happens.

_CASES = 3
_STEPS = st.lists(
    st.tuples(
        st.integers(0, _CASES - 1),
        st.sampled_from(["abandoned", "answered", "resolved", "reopened", "noted", "again"]),
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
    inputs = [case.opened() for case in cases]
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
    undisturbed = Logs().run(inputs)
    logs = Logs()
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
    logs = Logs().run(inputs)
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
        assert ("acknowledge" in steps) == (mobile and text)
        assert ("callback-offer" in steps) == (mobile and offered)
