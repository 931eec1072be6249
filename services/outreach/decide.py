"""What a case decision asks of outreach: the messages of a case, and what it says of calls. Pure.

Each log is decided by itself from the case decisions and from what that log says already, never
from the other log: after a crash each goes on from where it stood. Callbacks are in `callbacks`,
what their state has the person told in `telling`.
"""

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass

from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2 as dedup
from mawja.intake.v1 import events_pb2 as intake
from mawja.outreach.v1 import events_pb2 as outreach

from services.outreach.answering import NO_KNOWLEDGE, Asked, asked, step_of
from services.outreach.limits import Got
from services.outreach.rules import Event, Message, Rule, facts_of
from services.runtime import ids
from services.runtime.knowledge import Knowledge

Position = tuple[int, int]
"""Where reading the case decisions goes on: offset, and the epoch that holds there."""


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


def resolved(decision: dedup.CaseDecision) -> bool:
    """Whether a decision met the need of its case."""
    case = decision.case
    if case.state != dedup.CASE_STATE_RESOLVED:
        return False
    return decision.change == dedup.CASE_CHANGE_RESOLVED or any(
        call.state == intake.CALL_STATE_ENDED and call.event_ms == case.resolved_ms
        for call in _calls(decision)
    )


def _events(
    decision: dedup.CaseDecision, abandoned: Abandonment | None
) -> Iterator[tuple[Event, int]]:
    """(what rules may ask for, when intake accepted its cause)."""
    if decision.change == dedup.CASE_CHANGE_OPENED:
        yield Event.CASE_OPENED, decision.case.accepted_ms
    if abandoned is not None:
        yield Event.CALL_ABANDONED, abandoned.accepted_ms
    if resolved(decision):
        yield Event.CASE_RESOLVED, decision.decided_ms


class Messages:
    """What one partition of the log of requested messages says, and what comes next in it."""

    def __init__(self, knowledge: Knowledge = NO_KNOWLEDGE, rules: Sequence[Rule] = ()) -> None:
        """`rules`: of those with a limit it is kept who got how many."""
        self._knowledge = knowledge
        self._got = Got(rules)
        # Two rules may write for one input, and a crash may part them: so the input of the last
        # record is decided again, and the ids tell what it said already.
        self._last: dict[str, Position] = {}
        self._ids: dict[str, int] = {}
        # Of messages that follow from a state: their steps can't be told from the case alone.
        self._of_states: dict[str, list[tuple[str, int]]] = {}

    def resume(self, topic: str) -> Position | None:
        """Where deciding goes on in `topic`; None when the log holds nothing of it."""
        return self._last.get(topic)

    def take(self, request: outreach.MessageRequested) -> None:
        """Takes up a record of the log, in order."""
        self._ids[request.message_id] = request.requested_ms
        if not request.HasField("input"):
            steps = self._of_states.setdefault(request.case_id, [])
            steps.append((request.step, request.requested_ms))
        self._got.take(request)
        if request.HasField("input"):
            self._last[request.input.topic] = (request.input.offset, request.input.epoch)

    def said(self, message_id: str) -> bool:
        """Whether the log has this message."""
        return message_id in self._ids

    def steps(self, case_id: str, rule: Rule) -> list[tuple[str, int]]:
        """(step, when it was asked for in Unix ms) of each message of a rule for a case."""
        names = [rule.name]
        if rule.event is Event.QUESTION_ANSWERED:
            names = [step_of(rule, name) for name in self._knowledge.entries]
        found = [
            (name, self._ids[message_id])
            for name in names
            if (message_id := ids.message_id(case_id, name)) in self._ids
        ]
        later = self._of_states.get(case_id, ())
        return [*found, *(step for step in later if step[0].partition(":")[0] == rule.name)]

    def question(self, decision: dedup.CaseDecision, now_ms: int) -> Asked | None:
        """What the contact of a decision asks, if it may be answered by itself."""
        return asked(self._knowledge, decision, now_ms)

    def answers(self, rules: Sequence[Rule], decision: dedup.CaseDecision, now_ms: int) -> bool:
        """Whether the question of a decision's contact is answered at once, or was."""
        question = asked(self._knowledge, decision, now_ms)
        if question is None or decision.case.number_line != common_pb2.LINE_MOBILE:
            return False
        facts = facts_of(decision.case, decision.link.channel)
        return any(rule.asked(question.event, facts) for rule in rules)

    def withheld(self, rule: Rule, person: bytes, at_ms: int) -> str:
        """Why the limits of a rule keep a person from its message at `at_ms`; "" when they don't.
        They look at when it was asked for, so that a new owner finds the same."""
        return self._got.withheld(rule, person, at_ms)

    def decide(
        self,
        rules: Sequence[Rule],
        decision: dedup.CaseDecision,
        input: common_pb2.Input,
        now_ms: int,
        put_off: Container[str] = (),
    ) -> list[Draft]:
        """The messages that `decision`, read at `input`, asks for; often none. `put_off`: names of
        playbooks whose message follows from a watch of the case."""
        last = self._last.get(input.topic)
        if last is not None and input.offset < last[0]:
            return []
        case = decision.case
        if case.number_line != common_pb2.LINE_MOBILE or not (case.sealed_number and case.person):
            return []
        if case.recorded:
            return []
        drafts = []
        question = asked(self._knowledge, decision, now_ms)
        taken = self._taken(rules, decision)
        for wanted in _wanted(rules, decision, question):
            message_id = ids.message_id(case.case_id, wanted.step)
            if message_id in self._ids or wanted.rule.name in taken:
                continue
            if wanted.rule.name in put_off:
                continue
            if self.withheld(wanted.rule, case.person, decision.decided_ms):
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
        facts = facts_of(case, channel)
        for rule in rules:
            if rule.message is not None and rule.asked(event, facts):
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
    lane = common_pb2.LANE_URGENT if case.life_safety else common_pb2.LANE_NORMAL
    if wanted.rule.score_ms:
        # Nobody waits for it.
        lane = common_pb2.LANE_BULK
    request = outreach.MessageRequested(
        input=input,
        message_id=message_id,
        case_id=case.case_id,
        step=wanted.step,
        rule=label,
        person=case.person,
        lane=lane,
        language=language,
        agency=agency,
        drill=case.drill,
        requested_ms=now_ms,
        expires_ms=expires_ms,
        accepted_ms=wanted.accepted_ms,
        sealed_number=case.sealed_number,
        score_until_ms=now_ms + wanted.rule.score_ms if wanted.rule.score_ms else 0,
    )
    return Draft(request, text)
