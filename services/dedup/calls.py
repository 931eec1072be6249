"""The calls of one partition: which steps each has gone, and what they mean for its case. Pure.

A call event may come before its contact; it waits, and counts with the decision on the contact.
First-contact resolution: the first answered call of a case ended resolved, and nobody of the case
reached out again within the repeat window after it; a later repeat takes it back.
"""

from array import array
from bisect import bisect_left
from typing import NamedTuple

from mawja.dedup.v1 import events_pb2
from mawja.intake.v1 import events_pb2 as intake_pb2

from services.dedup import contacts as step
from services.dedup import tally
from services.dedup.case import MERGED, RESOLVED, Case
from services.dedup.contacts import NONE, Contacts
from services.dedup.known import uuid_of
from services.dedup.match import Rules
from services.dedup.tally import Tallies

_STEPS = {
    intake_pb2.CALL_STATE_OFFERED: step.OFFERED,
    intake_pb2.CALL_STATE_QUEUED: step.QUEUED,
    intake_pb2.CALL_STATE_ANSWERED: step.ANSWERED,
    intake_pb2.CALL_STATE_ABANDONED: step.ABANDONED,
    intake_pb2.CALL_STATE_ENDED: step.ENDED,
}
_EXCLUDED = {
    step.ANSWERED: step.ABANDONED,
    step.ABANDONED: step.ANSWERED | step.ENDED,
    step.ENDED: step.ABANDONED,
}


class Effect(NamedTuple):
    """What a call event means for its case."""

    answered: int = 0
    abandoned: int = 0
    reconnects: int = 0
    resolved_ms: int = 0


class Calls:
    """Counts the calls of `contacts` in, there and in `tallies`."""

    def __init__(self, rules: Rules, contacts: Contacts, tallies: Tallies) -> None:
        self.waiting: dict[bytes, list[bytes]] = {}
        """Serialised call events by the contact that they wait for."""
        # First-contact resolution, by case: the call that was answered first, and whether it counts
        # as one now.
        self.first_call = array("i")
        self.first_resolved = bytearray()
        self.reopened_ms: dict[int, int] = {}
        """When somebody last said that the need of a case is still there."""
        self._rules = rules
        self._contacts = contacts
        self._tallies = tallies

    # Call events.

    def wait(self, key: bytes, call: intake_pb2.CallEvent) -> bool:
        """Keeps a call event until its contact comes. False when one of its state waits already."""
        waiting = self.waiting.get(key, ())
        if any(intake_pb2.CallEvent.FromString(other).state == call.state for other in waiting):
            return False
        if key not in self.waiting and len(self.waiting) >= self._rules.waiting_limit:
            del self.waiting[next(iter(self.waiting))]
        self.waiting.setdefault(key, []).append(call.SerializeToString())
        return True

    def take_waited(
        self, key: bytes, contact: int, decision: events_pb2.CaseDecision
    ) -> list[Effect]:
        """Counts in the call events that waited for a contact, as the decision on it has them."""
        effects = [self.take(contact, call) for call in decision.waited]
        self.waiting.pop(key, None)
        return [effect for effect in effects if effect is not None]

    def take(self, contact: int, call: intake_pb2.CallEvent) -> Effect | None:
        """Counts a call event in. None when it says nothing new: it came before, or the call has
        already ended the other way."""
        steps = self._contacts.steps
        now = _STEPS[call.state]
        if steps[contact] & (now | _EXCLUDED.get(now, 0)):
            return None
        steps[contact] |= now
        number, row = self._contacts.case[contact], self._contacts.row[contact]
        count, at_ms = self._tallies.add, call.event_ms
        if now == step.OFFERED:
            count(at_ms, row, tally.OFFERED)
        elif now == step.ABANDONED:
            self._contacts.outcome_ms[contact] = at_ms
            count(at_ms, row, tally.ABANDONED)
            return Effect(abandoned=1)
        elif now == step.ANSWERED:
            count(at_ms, row, tally.ANSWERED)
            count(at_ms, row, tally.QUEUE_WAIT_MS, call.queue_wait_ms)
            if call.queue_wait_ms <= self._rules.answer_target:
                count(at_ms, row, tally.ANSWERED_IN_TARGET)
            self._contacts.outcome_ms[contact] = at_ms
            self._answered(number, contact, at_ms)
            return Effect(answered=1)
        elif now == step.ENDED:
            count(at_ms, row, tally.HANDLED)
            count(at_ms, row, tally.HANDLING_MS, call.handling_ms)
            if call.handling_ms <= self._rules.handling_target:
                count(at_ms, row, tally.HANDLED_IN_TARGET)
            self._contacts.ended_ms[contact] = at_ms
            resolved = call.disposition == intake_pb2.DISPOSITION_RESOLVED
            if resolved:
                steps[contact] |= step.RESOLVED
            self._judge(number)
            return Effect(
                reconnects=self._reconnected(number, at_ms),
                resolved_ms=at_ms if resolved else 0,
            )
        return Effect()

    def reconnects(self, number: int, event_ms: int) -> bool:
        """Whether a call at `event_ms` follows soon on an ended one of its case."""
        window = self._rules.reconnect_window
        ended = self._contacts.ended_ms
        return any(0 < event_ms - ended[c] <= window for c in self._contacts.recent(number))

    def _reconnected(self, number: int, ended_ms: int) -> int:
        """Marks the calls, decided earlier, that turn out to be reconnects of one that ended."""
        columns, found = self._contacts, 0
        for contact in columns.recent(number):
            marks = columns.steps[contact]
            soon = 0 < columns.event_ms[contact] - ended_ms <= self._rules.reconnect_window
            if soon and marks & step.VOICE and not marks & step.RECONNECT:
                columns.steps[contact] = marks | step.RECONNECT
                found += 1
        return found

    def apply(self, number: int, case: Case, effect: Effect) -> None:
        """States in the case what a call event meant for it."""
        case.answered += effect.answered
        case.abandoned += effect.abandoned
        case.reconnects += effect.reconnects
        # Not when somebody reached out after it, or said after it that the need is still there.
        if (
            case.state != MERGED
            and effect.resolved_ms > case.resolved_ms
            and effect.resolved_ms >= case.last_contact_ms
            and effect.resolved_ms > self.reopened_ms.get(number, 0)
        ):
            case.state = RESOLVED
            case.resolved_ms = effect.resolved_ms

    # Cases that people merge or split.

    def lift(self, number: int) -> None:
        """Takes back what is counted of a case as one, before its contacts change; then `lay`."""
        first = self.first_call[number]
        if first != NONE:
            self._unjudge(number)
            self._count_first(first, tally.FIRST_ANSWERED, -1)
            self.first_call[number] = NONE

    def lay(self, number: int) -> int:
        """Counts a case as one again, with the contacts that it has now. How many reconnects more
        there are among them than before."""
        columns = self._contacts
        chain = list(columns.of_case(number))
        answered = [c for c in chain if columns.steps[c] & step.ANSWERED]
        if answered:
            first = min(answered, key=lambda c: (columns.outcome_ms[c], columns.id[c]))
            self.first_call[number] = first
            self._count_first(first, tally.FIRST_ANSWERED, 1)
            self._judge(number)
        ended = sorted(columns.ended_ms[c] for c in chain if columns.ended_ms[c])
        more = 0
        for contact in chain:
            if columns.steps[contact] & step.VOICE:
                event_ms, before = columns.event_ms[contact], columns.steps[contact]
                last = bisect_left(ended, event_ms) - 1
                soon = last >= 0 and event_ms - ended[last] <= self._rules.reconnect_window
                columns.steps[contact] = (
                    before | step.RECONNECT if soon else before & ~step.RECONNECT
                )
                more += soon - bool(before & step.RECONNECT)
        return more

    def owed(self, number: int) -> events_pb2.OwedCall | None:
        """The call of a case that was abandoned last, when none was answered at or after it."""
        columns = self._contacts
        last = NONE
        for contact in columns.of_case(number):
            if columns.steps[contact] & step.ABANDONED and (
                last == NONE
                or (columns.outcome_ms[contact], columns.id[contact])
                > (columns.outcome_ms[last], columns.id[last])
            ):
                last = contact
        if last == NONE or any(
            columns.steps[c] & step.ANSWERED and columns.outcome_ms[c] >= columns.outcome_ms[last]
            for c in columns.of_case(number)
        ):
            return None
        return events_pb2.OwedCall(
            contact_id=uuid_of(columns.id[last]),
            arrival_ms=columns.event_ms[last],
            abandoned_ms=columns.outcome_ms[last],
        )

    # First-contact resolution.

    def case_opened(self) -> None:
        """There is one case more, the next by number."""
        self.first_call.append(NONE)
        self.first_resolved.append(0)

    def came_back(self, number: int, at_ms: int) -> None:
        """Somebody reached out again at `at_ms`: was the first contact a resolution?"""
        if self.first_resolved[number]:
            ended_ms = self._contacts.ended_ms[self.first_call[number]]
            if self._repeats(ended_ms, at_ms):
                self._unjudge(number)

    def reopened(self, number: int, at_ms: int) -> None:
        """Somebody said at `at_ms` that the need is still there."""
        self.reopened_ms[number] = at_ms
        self.came_back(number, at_ms)

    def _answered(self, number: int, contact: int, answered_ms: int) -> None:
        first = self.first_call[number]
        if first != NONE:
            # The id settles a tie, so that the order in which events come does not.
            ids, answered = self._contacts.id, self._contacts.outcome_ms
            if (answered[first], ids[first]) <= (answered_ms, ids[contact]):
                return
            self.lift(number)
        self.first_call[number] = contact
        self._count_first(contact, tally.FIRST_ANSWERED, 1)
        self._judge(number)

    def _judge(self, number: int) -> None:
        """Counts a first-contact resolution when there is one now."""
        first = self.first_call[number]
        both = step.ENDED | step.RESOLVED
        if first == NONE or self.first_resolved[number]:
            return
        if self._contacts.steps[first] & both != both:
            return
        ended_ms, event_ms = self._contacts.ended_ms[first], self._contacts.event_ms
        if self._repeats(ended_ms, self.reopened_ms.get(number, 0)) or any(
            self._repeats(ended_ms, event_ms[c]) for c in self._contacts.of_case(number)
        ):
            return
        self.first_resolved[number] = 1
        self._count_first(first, tally.FIRST_CONTACT_RESOLVED, 1)

    def _unjudge(self, number: int) -> None:
        if self.first_resolved[number]:
            self.first_resolved[number] = 0
            self._count_first(self.first_call[number], tally.FIRST_CONTACT_RESOLVED, -1)

    def _count_first(self, contact: int, field: int, amount: int) -> None:
        columns = self._contacts
        self._tallies.add(columns.outcome_ms[contact], columns.row[contact], field, amount)

    def _repeats(self, ended_ms: int, at_ms: int) -> bool:
        return 0 < at_ms - ended_ms <= self._rules.repeat_window
