"""What a case decision asks of outreach: messages, and the callback of a case. Pure.

Each log is decided by itself from the case decisions and from what that log says already, never
from the other log: after a crash each goes on from where it stood. Order of learning does not
matter for a callback: it is owed as long as the last abandoned call is later, by event time, than
the last answer. Its place is the earliest arrival that any decision told, and never moves later.
What becomes of callbacks when people merge or split cases is in `reversal`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2 as dedup
from mawja.intake.v1 import events_pb2 as intake
from mawja.outreach.v1 import events_pb2 as outreach

from services.outreach import reversal
from services.outreach.answering import NO_KNOWLEDGE, Asked, asked, step_of
from services.outreach.rules import Event, Message, Rule
from services.runtime import ids
from services.runtime.knowledge import Knowledge

Position = tuple[int, int]
"""Where reading the case decisions goes on: offset, and the epoch that holds there."""
_DUE, _WITHDRAWN = outreach.CALLBACK_STATE_DUE, outreach.CALLBACK_STATE_WITHDRAWN


@dataclass(frozen=True, slots=True)
class Abandonment:
    """A call whose caller hung up before an agent answered. Times are Unix ms."""

    contact_id: str
    arrival_ms: int
    at_ms: int
    accepted_ms: int


@dataclass(frozen=True, slots=True)
class Draft:
    """A message to be requested, its text not yet sealed."""

    request: outreach.MessageRequested
    text: str


def _calls(decision: dedup.CaseDecision) -> Sequence[intake.CallEvent]:
    """The call events that a decision counted in. Events of a call may come before its contact:
    then the decision on the contact brings them."""
    if decision.change == dedup.CASE_CHANGE_CALL:
        return (decision.call,)
    if decision.change in (dedup.CASE_CHANGE_OPENED, dedup.CASE_CHANGE_LINKED):
        return decision.waited
    return ()


def settled_ms(decision: dedup.CaseDecision) -> int:
    """When the person was answered or the case resolved, as far as a decision tells: Unix ms, event
    time; 0 when it does not."""
    settled = 0
    for call in _calls(decision):
        if call.state == intake.CALL_STATE_ANSWERED:
            settled = max(settled, call.event_ms)
        elif call.state == intake.CALL_STATE_ENDED:
            settled = max(settled, call.event_ms - max(0, call.handling_ms))
    if decision.case.state == dedup.CASE_STATE_RESOLVED:
        settled = max(settled, decision.case.resolved_ms)
    return settled


def abandonment(decision: dedup.CaseDecision) -> Abandonment | None:
    """The abandoned call that a decision tells of, if it does and does not settle it at once."""
    if not decision.HasField("case"):
        return None
    for call in _calls(decision):
        if call.state == intake.CALL_STATE_ABANDONED:
            if settled_ms(decision) >= call.event_ms:
                return None
            arrival_ms = call.event_ms - max(0, call.queue_wait_ms)
            return Abandonment(call.contact_id, arrival_ms, call.event_ms, call.accepted_ms)
    return None


def _events(
    decision: dedup.CaseDecision, abandoned: Abandonment | None
) -> Iterator[tuple[Event, int]]:
    """(what rules may ask for, when intake accepted its cause)."""
    if decision.change == dedup.CASE_CHANGE_OPENED:
        yield Event.CASE_OPENED, decision.case.accepted_ms
    if abandoned is not None:
        yield Event.CALL_ABANDONED, abandoned.accepted_ms


class Messages:
    """What one partition of the log of requested messages says, and what comes next in it."""

    def __init__(self, knowledge: Knowledge = NO_KNOWLEDGE) -> None:
        self._knowledge = knowledge
        # Two rules may write for one input, and a crash may part them: so the input of the last
        # record is decided again, and the ids tell what it said already.
        self._last: dict[str, Position] = {}
        self._ids: set[str] = set()

    def resume(self, topic: str) -> Position | None:
        """Where deciding goes on in `topic`; None when the log holds nothing of it."""
        return self._last.get(topic)

    def take(self, request: outreach.MessageRequested) -> None:
        """Takes up a record of the log, in order."""
        self._ids.add(request.message_id)
        self._last[request.input.topic] = (request.input.offset, request.input.epoch)

    def decide(
        self,
        rules: Sequence[Rule],
        decision: dedup.CaseDecision,
        input: common_pb2.Input,
        now_ms: int,
    ) -> list[Draft]:
        """The messages that `decision`, read at `input`, asks for; often none."""
        last = self._last.get(input.topic)
        if last is not None and input.offset < last[0]:
            return []
        case = decision.case
        if case.number_line != common_pb2.LINE_MOBILE or not (case.sealed_number and case.person):
            return []
        drafts = []
        question = asked(self._knowledge, decision, now_ms)
        taken = self._taken(rules, decision)
        for wanted in _wanted(rules, decision, question):
            message_id = ids.message_id(case.case_id, wanted.step)
            if message_id in self._ids or wanted.rule.name in taken:
                continue
            taken.add(wanted.rule.instead)
            drafts.append(_draft(decision, wanted, message_id, input, now_ms))
        return drafts

    def _taken(self, rules: Sequence[Rule], decision: dedup.CaseDecision) -> set[str]:
        """The rules whose place was taken, before a crash, by what was said to this contact:
        whatever has become of the answer since."""
        case_id, question = decision.case.case_id, decision.triage.question
        return {
            rule.instead
            for rule in rules
            if rule.instead and ids.message_id(case_id, step_of(rule, question)) in self._ids
        }


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A message that a rule asks for. `about`: the question that it is on, None for another event.
    `accepted_ms`: when intake accepted its cause."""

    rule: Rule
    message: Message
    about: Asked | None
    accepted_ms: int

    @property
    def step(self) -> str:
        if self.about is None:
            return self.rule.name
        return step_of(self.rule, self.about.entries[0].name)


def _wanted(
    rules: Sequence[Rule], decision: dedup.CaseDecision, question: Asked | None
) -> Iterator[_Wanted]:
    """What the rules ask for; of questions first, which may take the place of others."""
    case = decision.case
    found: list[tuple[Event, int, Asked | None, int]] = []
    if question is not None:
        # Of a further contact dedup does not tell when intake accepted it: a moment before this.
        opened = decision.change == dedup.CASE_CHANGE_OPENED
        accepted_ms = case.accepted_ms if opened else decision.decided_ms
        found.append((question.event, decision.link.channel, question, accepted_ms))
    for event, accepted_ms in _events(decision, abandonment(decision)):
        found.append((event, case.channel, None, accepted_ms))
    for event, channel, about, accepted_ms in found:
        for rule in rules:
            if rule.message is not None and rule.applies(event, channel):
                yield _Wanted(rule, rule.message, about, accepted_ms)


def _draft(
    decision: dedup.CaseDecision,
    wanted: _Wanted,
    message_id: str,
    input: common_pb2.Input,
    now_ms: int,
) -> Draft:
    case, about = decision.case, wanted.about
    # Counted from the event's decision: what waited here too long is not sent.
    expires_ms = decision.decided_ms + wanted.message.expires_ms
    label, agency = wanted.rule.label, case.agency
    if about is None:
        language, text = wanted.message.render(case.language, case.case_number)
    else:
        language, text = wanted.message.render(
            decision.link.language or case.language, case.case_number, about.words
        )
        label, agency = about.label(wanted.rule), about.agency or case.agency
        expires_ms = min(expires_ms, about.valid_until_ms)
    request = outreach.MessageRequested(
        input=input,
        message_id=message_id,
        case_id=case.case_id,
        step=wanted.step,
        rule=label,
        person=case.person,
        lane=common_pb2.LANE_URGENT if case.life_safety else common_pb2.LANE_NORMAL,
        language=language,
        agency=agency,
        drill=case.drill,
        requested_ms=now_ms,
        expires_ms=expires_ms,
        accepted_ms=wanted.accepted_ms,
        sealed_number=case.sealed_number,
    )
    return Draft(request, text)


class Callbacks:
    """What one partition of the log of callbacks says, and what comes next in it."""

    def __init__(self) -> None:
        self._last: dict[str, Position] = {}
        self._by_id: dict[str, outreach.Callback] = {}
        self._of_case: dict[str, outreach.Callback] = {}

    def resume(self, topic: str) -> Position | None:
        """Where deciding goes on in `topic`; None when the log holds nothing of it."""
        # Merged cases may change two callbacks, and a crash may part the records: so the input of
        # the last one is decided again. What stands as it asks for is left as it is.
        return self._last.get(topic)

    def take(self, callback: outreach.Callback) -> None:
        """Takes up a record of the log, in order."""
        before = self._by_id.get(callback.callback_id)
        if before is not None and before.case_id != callback.case_id:
            held = self._of_case.get(before.case_id)
            if held is not None and held.callback_id == callback.callback_id:
                del self._of_case[before.case_id]
        self._by_id[callback.callback_id] = callback
        self._of_case[callback.case_id] = callback
        self._last[callback.input.topic] = (callback.input.offset, callback.input.epoch)

    def decide(
        self,
        rules: Sequence[Rule],
        decision: dedup.CaseDecision,
        input: common_pb2.Input,
        now_ms: int,
    ) -> list[outreach.Callback]:
        """The callbacks that `decision`, read at `input`, changes, as it leaves them; of one case
        there is one at most."""
        last = self._last.get(input.topic)
        if not decision.HasField("case") or (last is not None and input.offset < last[0]):
            return []
        if decision.HasField("other"):
            changed = reversal.changed(decision, self._due, lambda case: _offered(case, rules))
            new = [callback for callback in changed if not self._stands(callback)]
            return [_decided(callback, input, now_ms) for callback in new]
        held = self._of_case.get(decision.case.case_id)
        if held is not None and held.state == _DUE:
            following = self._go_on(held, decision, input, now_ms)
        else:
            following = self._begin(held, rules, decision, input, now_ms)
        return [] if following is None else [following]

    def _due(self, case_id: str) -> outreach.Callback | None:
        held = self._of_case.get(case_id)
        return held if held is not None and held.state == _DUE else None

    def _stands(self, callback: outreach.Callback) -> bool:
        """Whether it stands like this already, or was decided on and is past."""
        held = self._by_id.get(callback.callback_id)
        return held is not None and (held == callback or held.state != _DUE or not callback.version)

    def _begin(
        self,
        held: outreach.Callback | None,
        rules: Sequence[Rule],
        decision: dedup.CaseDecision,
        input: common_pb2.Input,
        now_ms: int,
    ) -> outreach.Callback | None:
        case = decision.case
        abandoned = abandonment(decision)
        if abandoned is None or not _offered(case, rules):
            return None
        if held is not None and abandoned.at_ms <= held.settled_ms:
            return None
        callback_id = ids.callback_id(case.case_id, abandoned.contact_id)
        if callback_id in self._by_id:
            return None
        return outreach.Callback(
            input=input,
            callback_id=callback_id,
            case_id=case.case_id,
            case_number=case.case_number,
            person=case.person,
            state=_DUE,
            place_ms=_earliest(case.first_arrival_ms, abandoned.arrival_ms),
            life_safety=case.life_safety,
            agency=case.agency,
            language=case.language,
            line=case.line,
            drill=case.drill,
            decided_ms=now_ms,
            version=1,
            sealed_number=case.sealed_number,
            abandoned_ms=abandoned.at_ms,
        )

    def _go_on(
        self,
        held: outreach.Callback,
        decision: dedup.CaseDecision,
        input: common_pb2.Input,
        now_ms: int,
    ) -> outreach.Callback | None:
        case = decision.case
        abandoned = abandonment(decision)
        following = outreach.Callback()
        following.CopyFrom(held)
        following.place_ms = _earliest(held.place_ms, case.first_arrival_ms)
        following.life_safety = held.life_safety or case.life_safety
        following.agency = case.agency or held.agency
        following.language = case.language or held.language
        if abandoned is not None:
            following.place_ms = _earliest(following.place_ms, abandoned.arrival_ms)
            following.abandoned_ms = max(held.abandoned_ms, abandoned.at_ms)
        settled = settled_ms(decision)
        if decision.change == dedup.CASE_CHANGE_RESOLVED or settled >= following.abandoned_ms:
            following.state = _WITHDRAWN
            # An agent's word settles what was known then, whatever the agent's clock said.
            following.settled_ms = (
                following.abandoned_ms if decision.change == dedup.CASE_CHANGE_RESOLVED else settled
            )
        if following == held:
            return None
        following.input.CopyFrom(input)
        # Dedup keeps the one that was sealed last: its month's key lives longest.
        following.sealed_number = case.sealed_number or held.sealed_number
        following.decided_ms = now_ms
        following.version = held.version + 1
        return following


def _offered(case: dedup.Case, rules: Sequence[Rule]) -> bool:
    """Whether callers of this case can be, and are, called back."""
    return bool(case.sealed_number and case.person) and any(
        rule.callback and rule.applies(Event.CALL_ABANDONED, case.channel) for rule in rules
    )


def _decided(
    callback: outreach.Callback, input: common_pb2.Input, now_ms: int
) -> outreach.Callback:
    """A callback that changed, as one more decision on it."""
    callback.input.CopyFrom(input)
    callback.decided_ms = now_ms
    callback.version += 1
    return callback


def _earliest(*times_ms: int) -> int:
    """The earliest of `times_ms`, of which at least one is known (above 0)."""
    return min((time_ms for time_ms in times_ms if time_ms > 0), default=0)
