"""The cases of one partition: what was decided, and what is decided next. Pure and deterministic.

Every input gives exactly one decision; a decision changes this state, and folding the log of
decisions into an empty state gives the same state again. The log is the truth: a folded case is
taken as it stands there, whatever today's rules would say.

A call event may come before its contact; it waits, and counts with the decision on the contact.
First-contact resolution: the first answered call of a case ended resolved, and nobody of the case
reached out again within the repeat window after it; a later repeat takes it back.
"""

from array import array
from collections.abc import Sequence
from typing import NamedTuple

from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2
from mawja.intake.v1 import events_pb2 as intake_pb2

from services.dedup import contacts as step
from services.dedup import match, tally, words
from services.dedup.contacts import NONE, Contacts
from services.dedup.match import Rules, Side
from services.dedup.tally import Row, Tallies
from services.runtime import ids

Case = events_pb2.Case
Decision = events_pb2.CaseDecision

OK = 0
NOT_FOUND = 5
NOT_IN_STATE = 9

_OPEN = events_pb2.CASE_STATE_OPEN
_ASSIGNED = events_pb2.CASE_STATE_ASSIGNED
_RESOLVED = events_pb2.CASE_STATE_RESOLVED
_VOICE = (common_pb2.CHANNEL_VOICE, common_pb2.CHANNEL_SIGN_LANGUAGE_VIDEO)
# A person's cases that a contact is held against, the latest first.
_CANDIDATES = 32

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


class _Effect(NamedTuple):
    """What a call event means for its case."""

    answered: int = 0
    abandoned: int = 0
    reconnects: int = 0
    resolved_ms: int = 0


class _Told(NamedTuple):
    """The first outcome of a command."""

    case: int
    code: int
    message: str


def key_of(uuid: str) -> bytes:
    """The 16 bytes of a UUID in canonical text form. Raises ValueError for anything else."""
    if len(uuid) != 36 or uuid.count("-") != 4:
        raise ValueError("not a UUID")
    return bytes.fromhex(uuid.replace("-", ""))


class Cases:
    """The state of one partition. `shared`: hashes of numbers that are known to be shared."""

    def __init__(self, rules: Rules, shared: frozenset[bytes] = frozenset()) -> None:
        self.rules = rules
        self.contacts = Contacts()
        self.tallies = Tallies(rules.tally_keep)
        self.through = NONE
        """Offset of the last decision in the log."""
        self.decided: dict[str, int] = {}
        """Highest decided offset of each input topic."""
        self.moved = False
        """Whether the last decision changed where its case is listed: state, agency, place."""
        self.notes: dict[int, list[bytes]] = {}
        """Sealed notes by case."""
        self._shared = shared
        self._cases: list[bytes] = []
        self._shapes: list[bytes] = []
        self._number_of: dict[bytes, int] = {}
        self._of_person: dict[bytes, int | list[int]] = {}
        self._waiting: dict[bytes, list[bytes]] = {}
        self._told: dict[bytes, _Told] = {}
        # First-contact resolution, by case: the call that was answered first, when, and whether it
        # counts as one now.
        self._first_call = array("i")
        self._first_ms = array("q")
        self._first_resolved = bytearray()
        self._reopened_ms: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._cases)

    @property
    def waiting(self) -> int:
        """Contacts that call events wait for."""
        return len(self._waiting)

    def case(self, number: int) -> Case:
        """A case as it stands."""
        return Case.FromString(self._cases[number])

    def number_of(self, case_id: str) -> int | None:
        """The number of a case, or None when there is none of this id."""
        try:
            return self._number_of.get(key_of(case_id))
        except ValueError:
            return None

    def notes_of(self, case_id: str) -> list[bytes]:
        """The notes of a case, in order."""
        number = self.number_of(case_id)
        return [] if number is None else self.notes.get(number, [])

    def link(self, contact: int) -> events_pb2.Link:
        """Why a contact is in its case."""
        columns = self.contacts
        row = self.tallies.rows[columns.row[contact]]
        key = columns.id[contact].hex()
        return events_pb2.Link(
            contact_id=f"{key[:8]}-{key[8:12]}-{key[12:16]}-{key[16:20]}-{key[20:]}",
            level=events_pb2.LinkLevel.ValueType(columns.level[contact]),
            score=columns.percent[contact] / 100,
            reason=columns.reasons[columns.reason[contact]],
            event_ms=columns.event_ms[contact],
            channel=common_pb2.Channel.ValueType(row.channel),
            line=row.line,
            agency=row.agency,
            topic=row.topic,
            language=row.language,
        )

    # Deciding.

    def contact(
        self,
        contact: intake_pb2.ContactAccepted,
        shape: Sequence[int],
        language: str,
        at: common_pb2.Input,
        now_ms: int,
    ) -> Decision:
        """Decides on a contact. `shape` and `language`: of its text, "" when it does not show."""
        key = key_of(contact.contact_id)
        known = self.contacts.number_of.get(key)
        if known is not None:
            return self._repeated_contact(known, at, now_ms)
        language = contact.language or language
        number, link = self._place(contact, frozenset(shape), language)
        opened = number == len(self._cases)
        decision = Decision(
            input=at,
            change=events_pb2.CASE_CHANGE_OPENED if opened else events_pb2.CASE_CHANGE_LINKED,
            link=link,
            decided_ms=now_ms,
            shape=shape,
        )
        case, before = decision.case, None
        if opened:
            _open(case, contact, language)
        else:
            case.MergeFromString(self._cases[number])
            before = _listing(case)
            _join(case, contact, language)
        link = decision.link
        link.line = contact.line
        link.agency = contact.agency or case.agency
        link.topic = contact.topic or case.topic
        link.language = language or case.language
        waited = self._waiting.get(key, ())
        decision.waited.extend(intake_pb2.CallEvent.FromString(call) for call in waited)
        for effect in self._take_contact(number, key, decision):
            self._effect(number, case, effect)
        case.version += 1
        self.moved = _listing(case) != before
        self._store(number, case)
        self._mark(at)
        return decision

    def call(self, call: intake_pb2.CallEvent, at: common_pb2.Input, now_ms: int) -> Decision:
        """Decides on a call event."""
        key = key_of(call.contact_id)
        decision = Decision(input=at, call=call, decided_ms=now_ms)
        self.moved = False
        contact = self.contacts.number_of.get(key)
        if contact is None:
            waits = self._wait(key, call)
            decision.change = (
                events_pb2.CASE_CHANGE_CALL_WAITING if waits else events_pb2.CASE_CHANGE_REPEATED
            )
        else:
            number = self.contacts.case[contact]
            case = decision.case
            case.MergeFromString(self._cases[number])
            effect = self._take_call(contact, call)
            if effect is None:
                decision.change = events_pb2.CASE_CHANGE_REPEATED
            else:
                decision.change = events_pb2.CASE_CHANGE_CALL
                before = case.state
                self._effect(number, case, effect)
                self.moved = case.state != before
                case.version += 1
                self._store(number, case)
        self._mark(at)
        return decision

    def command(
        self, command: events_pb2.CaseCommand, at: common_pb2.Input, now_ms: int
    ) -> Decision:
        """Decides on a command. The same command again gets its first outcome."""
        envelope = command.envelope
        key = key_of(envelope.command_id)
        decision = Decision(input=at, decided_ms=now_ms)
        self.moved = True
        told = self._told.get(key)
        if told is None:
            told = self._obey(command, decision)
            self._remember(key, told)
        else:
            decision.change = events_pb2.CASE_CHANGE_REPEATED
            if told.case != NONE:
                decision.case.MergeFromString(self._cases[told.case])
        decision.outcome.command_id = envelope.command_id
        decision.outcome.code = told.code
        decision.outcome.message = told.message
        self._mark(at)
        return decision

    # Folding.

    def fold(self, decision: Decision, offset: int) -> None:
        """Takes up a decision of the log. In order of offset."""
        self.through = offset
        change = decision.change
        if change in (events_pb2.CASE_CHANGE_OPENED, events_pb2.CASE_CHANGE_LINKED):
            number = self.number_of(decision.case.case_id)
            number = len(self._cases) if number is None else number
            self._take_contact(number, key_of(decision.link.contact_id), decision)
            self._store(number, decision.case)
        elif change == events_pb2.CASE_CHANGE_CALL:
            contact = self.contacts.number_of[key_of(decision.call.contact_id)]
            self._take_call(contact, decision.call)
            self._store(self.contacts.case[contact], decision.case)
        elif change == events_pb2.CASE_CHANGE_CALL_WAITING:
            self._wait(key_of(decision.call.contact_id), decision.call)
        elif decision.HasField("outcome"):
            found = self.number_of(decision.case.case_id)
            number = NONE if found is None else found
            if change not in (events_pb2.CASE_CHANGE_REPEATED, events_pb2.CASE_CHANGE_REFUSED):
                self._store(number, decision.case)
                if decision.HasField("note"):
                    self._take_note(number, decision.note)
            told = _Told(number, decision.outcome.code, decision.outcome.message)
            self._remember(key_of(decision.outcome.command_id), told)
        self._mark(decision.input)

    # Contacts.

    def _repeated_contact(self, contact: int, at: common_pb2.Input, now_ms: int) -> Decision:
        link = self.link(contact)
        link.level = events_pb2.LINK_LEVEL_SAME_DELIVERY
        link.score = 1.0
        link.reason = "the same delivery again"
        self.moved = False
        decision = Decision(
            input=at, change=events_pb2.CASE_CHANGE_REPEATED, link=link, decided_ms=now_ms
        )
        decision.case.MergeFromString(self._cases[self.contacts.case[contact]])
        self._mark(at)
        return decision

    def _place(
        self, contact: intake_pb2.ContactAccepted, shape: frozenset[int], language: str
    ) -> tuple[int, events_pb2.Link]:
        """The case that the contact joins, or the number of the next one, and why."""
        found, why = None, "no number: a case of its own"
        candidates = self._candidates(contact.person)
        if contact.person:
            why = "first contact of this number"
        if candidates:
            sides = [self._side(number) for number in candidates]
            side = Side(
                agency=contact.agency,
                topic=contact.topic,
                line=contact.line,
                language=language,
                feedback=_feedback(contact.kind),
                organisation=contact.party == common_pb2.PARTY_ORGANISATION,
                life_safety=contact.life_safety,
                drill=contact.drill,
                open=True,
                first_ms=contact.event_ms,
                last_ms=contact.event_ms,
                shape=shape,
            )
            shared = contact.person in self._shared or self._looks_shared(sides, contact.event_ms)
            found, refusal = match.best(side, sides, self.rules, shared)
            why = f"a need of its own: {refusal}"
        link = events_pb2.Link(
            contact_id=contact.contact_id,
            level=events_pb2.LINK_LEVEL_SAME_NEED if found else events_pb2.LINK_LEVEL_FIRST,
            score=found.score if found else 1.0,
            reason=found.reason if found else why,
            event_ms=contact.event_ms,
            channel=contact.channel,
        )
        return candidates[found.index] if found else len(self._cases), link

    def _candidates(self, person: bytes) -> list[int]:
        cases = self._of_person.get(person) if person else None
        if cases is None:
            return []
        return [cases] if isinstance(cases, int) else cases[-_CANDIDATES:]

    def _looks_shared(self, sides: Sequence[Side], event_ms: int) -> bool:
        rules = self.rules
        near = sum(abs(event_ms - side.first_ms) <= rules.shared_window for side in sides)
        return near >= rules.shared_cases

    def _side(self, number: int) -> Side:
        case = self.case(number)
        return Side(
            agency=case.agency,
            topic=case.topic,
            line=case.line,
            language=case.language,
            feedback=_feedback(case.kind),
            organisation=case.party == common_pb2.PARTY_ORGANISATION,
            life_safety=case.life_safety,
            drill=case.drill,
            open=case.state != _RESOLVED,
            first_ms=case.first_arrival_ms,
            last_ms=case.last_contact_ms,
            shape=frozenset(words.unpack(self._shapes[number])),
        )

    def _take_contact(self, number: int, key: bytes, decision: Decision) -> list[_Effect]:
        """Counts the contact of a decision in; what it and its waiting calls mean for the case."""
        link = decision.link
        opened = number == len(self._cases)
        if opened:
            self._cases.append(b"")
            self._shapes.append(words.pack(decision.shape))
            self._first_call.append(NONE)
            self._first_ms.append(0)
            self._first_resolved.append(0)
            self._number_of[key_of(decision.case.case_id)] = number
            self._add_to_person(decision.case.person, number)
        elif decision.shape:
            merged = words.bounded([*words.unpack(self._shapes[number]), *decision.shape])
            self._shapes[number] = words.pack(merged)
        row = self.tallies.row(Row(link.line, link.agency, link.topic, link.language, link.channel))
        voice = link.channel in _VOICE
        reconnect = voice and not opened and self._reconnects(number, link.event_ms)
        contact = self.contacts.add(
            key, number, link.event_ms, row, voice, link.level, link.score, link.reason
        )
        if reconnect:
            self.contacts.steps[contact] |= step.RECONNECT
        self.tallies.add(link.event_ms, row, tally.CONTACTS)
        if opened:
            self.tallies.add(link.event_ms, row, tally.CASES)
        self._came_back(number, link.event_ms)
        effects = [_Effect(reconnects=int(reconnect))]
        for call in decision.waited:
            effect = self._take_call(contact, call)
            if effect is not None:
                effects.append(effect)
        self._waiting.pop(key, None)
        return effects

    def _add_to_person(self, person: bytes, number: int) -> None:
        if not person:
            return
        cases = self._of_person.get(person)
        if cases is None:
            self._of_person[person] = number
        elif isinstance(cases, int):
            self._of_person[person] = [cases, number]
        else:
            cases.append(number)

    def _reconnects(self, number: int, event_ms: int) -> bool:
        window = self.rules.reconnect_window
        ended = self.contacts.ended_ms
        return any(0 < event_ms - ended[c] <= window for c in self.contacts.recent(number))

    # Calls.

    def _wait(self, key: bytes, call: intake_pb2.CallEvent) -> bool:
        """Keeps a call event until its contact comes. False when one of its state waits already."""
        waiting = self._waiting.get(key, ())
        if any(intake_pb2.CallEvent.FromString(other).state == call.state for other in waiting):
            return False
        if key not in self._waiting and len(self._waiting) >= self.rules.waiting_limit:
            del self._waiting[next(iter(self._waiting))]
        self._waiting.setdefault(key, []).append(call.SerializeToString())
        return True

    def _take_call(self, contact: int, call: intake_pb2.CallEvent) -> _Effect | None:
        """Counts a call event in. None when it says nothing new: it came before, or the call has
        already ended the other way."""
        steps = self.contacts.steps
        now = _STEPS[call.state]
        if steps[contact] & (now | _EXCLUDED.get(now, 0)):
            return None
        steps[contact] |= now
        number, row = self.contacts.case[contact], self.contacts.row[contact]
        count, at_ms = self.tallies.add, call.event_ms
        if now == step.OFFERED:
            count(at_ms, row, tally.OFFERED)
        elif now == step.ABANDONED:
            count(at_ms, row, tally.ABANDONED)
            return _Effect(abandoned=1)
        elif now == step.ANSWERED:
            count(at_ms, row, tally.ANSWERED)
            count(at_ms, row, tally.QUEUE_WAIT_MS, call.queue_wait_ms)
            if call.queue_wait_ms <= self.rules.answer_target:
                count(at_ms, row, tally.ANSWERED_IN_TARGET)
            self._answered(number, contact, at_ms)
            return _Effect(answered=1)
        elif now == step.ENDED:
            count(at_ms, row, tally.HANDLED)
            count(at_ms, row, tally.HANDLING_MS, call.handling_ms)
            if call.handling_ms <= self.rules.handling_target:
                count(at_ms, row, tally.HANDLED_IN_TARGET)
            self.contacts.ended_ms[contact] = at_ms
            resolved = call.disposition == intake_pb2.DISPOSITION_RESOLVED
            if resolved:
                steps[contact] |= step.RESOLVED
            self._judge(number)
            return _Effect(
                reconnects=self._reconnected(number, at_ms),
                resolved_ms=at_ms if resolved else 0,
            )
        return _Effect()

    def _reconnected(self, number: int, ended_ms: int) -> int:
        """Marks the calls, decided earlier, that turn out to be reconnects of one that ended."""
        columns, found = self.contacts, 0
        for contact in columns.recent(number):
            marks = columns.steps[contact]
            soon = 0 < columns.event_ms[contact] - ended_ms <= self.rules.reconnect_window
            if soon and marks & step.VOICE and not marks & step.RECONNECT:
                columns.steps[contact] = marks | step.RECONNECT
                found += 1
        return found

    def _effect(self, number: int, case: Case, effect: _Effect) -> None:
        case.answered += effect.answered
        case.abandoned += effect.abandoned
        case.reconnects += effect.reconnects
        # Not when somebody reached out after it, or said after it that the need is still there.
        if (
            effect.resolved_ms > case.resolved_ms
            and effect.resolved_ms >= case.last_contact_ms
            and effect.resolved_ms > self._reopened_ms.get(number, 0)
        ):
            case.state = _RESOLVED
            case.resolved_ms = effect.resolved_ms

    # First-contact resolution.

    def _answered(self, number: int, contact: int, answered_ms: int) -> None:
        first, first_ms = self._first_call[number], self._first_ms[number]
        if first != NONE:
            # The id settles a tie, so that the order in which events come does not.
            if (first_ms, self.contacts.id[first]) <= (answered_ms, self.contacts.id[contact]):
                return
            self._unjudge(number)
            self.tallies.add(first_ms, self.contacts.row[first], tally.FIRST_ANSWERED, -1)
        self._first_call[number], self._first_ms[number] = contact, answered_ms
        self.tallies.add(answered_ms, self.contacts.row[contact], tally.FIRST_ANSWERED)
        self._judge(number)

    def _judge(self, number: int) -> None:
        """Counts a first-contact resolution when there is one now."""
        first = self._first_call[number]
        both = step.ENDED | step.RESOLVED
        if first == NONE or self._first_resolved[number]:
            return
        if self.contacts.steps[first] & both != both:
            return
        ended_ms, event_ms = self.contacts.ended_ms[first], self.contacts.event_ms
        if self._repeats(ended_ms, self._reopened_ms.get(number, 0)) or any(
            self._repeats(ended_ms, event_ms[c]) for c in self.contacts.of_case(number)
        ):
            return
        self._first_resolved[number] = 1
        self._count_first_resolved(number, 1)

    def _unjudge(self, number: int) -> None:
        if self._first_resolved[number]:
            self._first_resolved[number] = 0
            self._count_first_resolved(number, -1)

    def _count_first_resolved(self, number: int, amount: int) -> None:
        row = self.contacts.row[self._first_call[number]]
        self.tallies.add(self._first_ms[number], row, tally.FIRST_CONTACT_RESOLVED, amount)

    def _came_back(self, number: int, at_ms: int) -> None:
        """Somebody reached out again at `at_ms`: was the first contact a resolution?"""
        if self._first_resolved[number]:
            ended_ms = self.contacts.ended_ms[self._first_call[number]]
            if self._repeats(ended_ms, at_ms):
                self._unjudge(number)

    def _repeats(self, ended_ms: int, at_ms: int) -> bool:
        return 0 < at_ms - ended_ms <= self.rules.repeat_window

    # Commands.

    def _obey(self, command: events_pb2.CaseCommand, decision: Decision) -> _Told:
        envelope, action = command.envelope, command.WhichOneof("action")
        found = self.number_of(command.case_id)
        if found is None:
            decision.change = events_pb2.CASE_CHANGE_REFUSED
            return _Told(NONE, NOT_FOUND, "there is no such case")
        case = decision.case
        case.MergeFromString(self._cases[found])
        resolved = case.state == _RESOLVED
        refusal = ""
        if action == "assign":
            refusal = "the case is resolved: reopen it first" if resolved else ""
        elif action == "resolve":
            refusal = "the case is resolved already" if resolved else ""
        elif action == "reopen":
            refusal = "" if resolved else "the case is not resolved: nothing to reopen"
        if refusal:
            decision.change = events_pb2.CASE_CHANGE_REFUSED
            return _Told(found, NOT_IN_STATE, refusal)
        if action == "assign":
            decision.change = events_pb2.CASE_CHANGE_ASSIGNED
            case.state, case.assignee = _ASSIGNED, command.assign.assignee
        elif action == "resolve":
            decision.change = events_pb2.CASE_CHANGE_RESOLVED
            case.state, case.resolved_ms = _RESOLVED, envelope.asked_ms
        elif action == "reopen":
            decision.change = events_pb2.CASE_CHANGE_REOPENED
            _reopen(case)
        else:
            decision.change = events_pb2.CASE_CHANGE_NOTED
        if action in ("reopen", "add_note"):
            note = decision.note
            note.author, note.noted_ms = envelope.subject, envelope.asked_ms
            note.reopens = action == "reopen"
            note.sealed_text = (
                command.reopen.sealed_reason if note.reopens else command.add_note.sealed_text
            )
            self._take_note(found, note)
        case.version += 1
        self._store(found, case)
        return _Told(found, OK, "")

    def _take_note(self, number: int, note: events_pb2.Note) -> None:
        self.notes.setdefault(number, []).append(note.SerializeToString())
        if note.reopens:
            self._reopened_ms[number] = note.noted_ms
            self._came_back(number, note.noted_ms)

    def _remember(self, key: bytes, told: _Told) -> None:
        if key in self._told:
            return
        if len(self._told) >= self.rules.command_memory:
            del self._told[next(iter(self._told))]
        self._told[key] = told

    def _store(self, number: int, case: Case) -> None:
        self._cases[number] = case.SerializeToString()

    def _mark(self, at: common_pb2.Input) -> None:
        if at.offset > self.decided.get(at.topic, NONE):
            self.decided[at.topic] = at.offset


def _open(case: Case, contact: intake_pb2.ContactAccepted, language: str) -> None:
    case.case_id = ids.case_id(contact.contact_id)
    case.case_number = ids.case_number(case.case_id)
    case.person = contact.person
    case.state = _OPEN
    case.first_arrival_ms = case.last_contact_ms = contact.event_ms
    case.channel = contact.channel
    case.kind = contact.kind
    case.party = contact.party
    case.number_line = contact.number_line
    case.line = contact.line
    case.agency = contact.agency
    case.topic = contact.topic
    case.language = language
    case.life_safety = contact.life_safety
    case.drill = contact.drill
    case.contacts = 1
    case.dialled = int(contact.channel in _VOICE)
    case.sealed_number = contact.sealed_number
    case.accepted_ms = contact.accepted_ms


def _join(case: Case, contact: intake_pb2.ContactAccepted, language: str) -> None:
    if contact.event_ms >= case.last_contact_ms:
        # The last one is kept longest: an open case must stay reachable when a month is erased.
        case.sealed_number = contact.sealed_number or case.sealed_number
    if case.state == _RESOLVED and contact.event_ms > case.resolved_ms:
        _reopen(case)
    case.first_arrival_ms = min(case.first_arrival_ms, contact.event_ms)
    case.last_contact_ms = max(case.last_contact_ms, contact.event_ms)
    case.kind = case.kind or contact.kind
    case.party = case.party or contact.party
    case.line = case.line or contact.line
    case.agency = case.agency or contact.agency
    case.topic = case.topic or contact.topic
    case.language = case.language or language
    case.life_safety = case.life_safety or contact.life_safety
    case.contacts += 1
    case.dialled += contact.channel in _VOICE


def _listing(case: Case) -> tuple[int, str, int]:
    return case.state, case.agency, case.first_arrival_ms


def _feedback(kind: common_pb2.ContactKind.ValueType) -> bool | None:
    return kind == common_pb2.CONTACT_KIND_FEEDBACK if kind else None


def _reopen(case: Case) -> None:
    case.state = _OPEN
    case.resolved_ms = 0
    case.assignee = ""
