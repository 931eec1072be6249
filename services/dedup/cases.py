"""The cases of one partition: what was decided, and what is decided next. Pure and deterministic.

Every input gives exactly one decision; a decision changes this state, and folding the log of
decisions into an empty state gives the same state again. The log is the truth: a folded case is
taken as it stands there, whatever today's rules would say.
"""

from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2
from mawja.intake.v1 import events_pb2 as intake_pb2

from services.dedup import across, answers, commands, reversing, tally
from services.dedup import case as stating
from services.dedup import contacts as step
from services.dedup.calls import Calls, Effect
from services.dedup.case import VOICE, Case
from services.dedup.choice import chosen
from services.dedup.commands import NOT_FOUND, NOT_IN_STATE, OK, Memory, Told
from services.dedup.contacts import NONE, Contacts
from services.dedup.known import Known, key_of, uuid_of
from services.dedup.linking import Linking
from services.dedup.match import Rules
from services.dedup.reading import NOTHING, Reading
from services.dedup.reversing import Reversing
from services.dedup.signs import unpack
from services.dedup.tally import Row, Tallies
from services.dedup.trees import Trees
from services.runtime.cases import about
from services.runtime.erased import ErasedPersons

Decision = events_pb2.CaseDecision
_CHANGES_NOTHING = (
    events_pb2.CASE_CHANGE_REPEATED,
    events_pb2.CASE_CHANGE_REFUSED,
    events_pb2.CASE_CHANGE_SHOWN,
)


class Cases:
    """The state of one partition. `shared`: hashes of numbers that are known to be shared.
    Without `trees` texts are compared by their words alone. `erased`: who was erased until when."""

    def __init__(
        self,
        rules: Rules,
        shared: frozenset[bytes] = frozenset(),
        trees: Trees | None = None,
        erased: ErasedPersons | None = None,
    ) -> None:
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
        self.known = Known(erased)
        self.calls = Calls(rules, self.contacts, self.tallies)
        self.memory = Memory(rules.command_memory)
        self._reversing = Reversing(self.known, self.contacts, self.calls, self.tallies, self.notes)
        self.apart = self._reversing.apart
        """Which cases a person has parted."""
        self._linking = {
            agency: Linking(rules.of(agency), self.known, shared, trees)
            for agency in ("", *rules.agencies)
        }

    def __len__(self) -> int:
        return len(self.known)

    @property
    def waiting(self) -> int:
        """Contacts that call events wait for."""
        return len(self.calls.waiting)

    def case(self, number: int) -> Case:
        """A case as it stands."""
        return Case.FromString(self.known.serialised(number))

    def number_of(self, case_id: str) -> int | None:
        """The number of a case, or None when there is none of this id."""
        return self.known.number_of(case_id)

    def notes_of(self, case_id: str) -> list[bytes]:
        """The notes of a case, in order."""
        number = self.number_of(case_id)
        return [] if number is None else self.notes.get(number, [])

    def link(self, contact: int) -> events_pb2.Link:
        """Why a contact is in its case."""
        columns = self.contacts
        row = self.tallies.rows[columns.row[contact]]
        been = columns.been.get(contact)
        came_to = columns.case[contact] if been is None else been[0]
        return events_pb2.Link(
            contact_id=uuid_of(columns.id[contact]),
            level=events_pb2.LinkLevel.ValueType(columns.level[contact]),
            score=columns.percent[contact] / 100,
            reason=columns.reasons[columns.reason[contact]],
            event_ms=columns.event_ms[contact],
            channel=common_pb2.Channel.ValueType(row.channel),
            line=row.line,
            agency=row.agency,
            topic=row.topic,
            language=row.language,
            came_to="" if came_to == columns.case[contact] else self.case(came_to).case_id,
        )

    # Deciding.

    def contact(
        self,
        contact: intake_pb2.ContactAccepted,
        reading: Reading,
        at: common_pb2.Input,
        now_ms: int,
    ) -> Decision:
        """Decides on a contact, whose text was read."""
        key = key_of(contact.contact_id)
        known = self.contacts.number_of.get(key)
        if known is not None:
            return self._repeated_contact(known, at, now_ms)
        language = contact.language or reading.language
        agency = _agency(contact, reading, self.rules)
        linking = self._linking.get(agency, self._linking[""])
        reply = reading.reply
        asked = answers.asked(contact, reply, self._cases_of(contact.person)) if reply else None
        if asked is None:
            number, link = linking.place(contact, reading, language)
        else:
            # Its words are about us: they tell nothing of a need.
            number, link, reading = asked, answers.linked(contact, reply), NOTHING
            language = contact.language
        opened = number == len(self.known)
        decision = Decision(
            input=at,
            change=events_pb2.CASE_CHANGE_OPENED if opened else events_pb2.CASE_CHANGE_LINKED,
            link=link,
            decided_ms=now_ms,
            shape=reading.shape,
            signs=reading.signs.pack(),
        )
        case, before = decision.case, None
        if opened:
            stating.begin(case, contact, language)
        else:
            case.MergeFromString(self.known.serialised(number))
            before = stating.listing(case)
            stating.join(case, contact, language, reopens=asked is None or reply < 0)
            across.heard(contact, case, decision)
            if asked is not None:
                answers.state(decision, reply)
        triage = reading.triage or chosen(reading.choice, case.triage)
        if triage is not None:
            decision.triage.CopyFrom(triage)
            stating.told(case, triage)
        link = decision.link
        link.line = contact.line
        agency, topic = about(case)
        link.agency = contact.agency or agency
        link.topic = contact.topic or topic
        link.language = language or case.language
        waited = self.calls.waiting.get(key, ())
        decision.waited.extend(intake_pb2.CallEvent.FromString(call) for call in waited)
        for effect in self._take_contact(number, key, decision):
            self.calls.apply(number, case, effect)
        case.version += 1
        self.moved = stating.listing(case) != before
        self.known.store(number, case)
        self._mark(at)
        return decision

    def call(self, call: intake_pb2.CallEvent, at: common_pb2.Input, now_ms: int) -> Decision:
        """Decides on a call event."""
        key = key_of(call.contact_id)
        decision = Decision(input=at, call=call, decided_ms=now_ms)
        self.moved = False
        contact = self.contacts.number_of.get(key)
        if contact is None:
            waits = self.calls.wait(key, call)
            decision.change = (
                events_pb2.CASE_CHANGE_CALL_WAITING if waits else events_pb2.CASE_CHANGE_REPEATED
            )
        else:
            number = self.contacts.case[contact]
            case = decision.case
            case.MergeFromString(self.known.serialised(number))
            effect = self.calls.take(contact, call)
            if effect is None:
                decision.change = events_pb2.CASE_CHANGE_REPEATED
            else:
                decision.change = events_pb2.CASE_CHANGE_CALL
                before = case.state
                self.calls.apply(number, case, effect)
                self.moved = case.state != before
                case.version += 1
                self.known.store(number, case)
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
        told = self.memory.get(key)
        if told is None:
            told = self._obey(command, decision)
            self.memory.keep(key, told)
        else:
            decision.change = events_pb2.CASE_CHANGE_REPEATED
            for number, field in ((told.case, decision.case), (told.other, decision.other)):
                if number != NONE:
                    field.MergeFromString(self.known.serialised(number))
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
            number = len(self.known) if number is None else number
            self._take_contact(number, key_of(decision.link.contact_id), decision)
            self.known.store(number, decision.case)
        elif change == events_pb2.CASE_CHANGE_CALL:
            contact = self.contacts.number_of.get(key_of(decision.call.contact_id))
            if contact is not None:
                self.calls.take(contact, decision.call)
            self._fold_case(decision)
        elif change == events_pb2.CASE_CHANGE_CALL_WAITING:
            self.calls.wait(key_of(decision.call.contact_id), decision.call)
        elif change in reversing.CHANGES:
            told = self._reversing.fold(decision)
            self.memory.keep(key_of(decision.outcome.command_id), told)
        elif decision.HasField("outcome"):
            if change in _CHANGES_NOTHING:
                found = self.number_of(decision.case.case_id)
            else:
                found = self._fold_case(decision)
            if found is not None:
                self._take_note(found, decision)
            number = NONE if found is None else found
            other = self.number_of(decision.other.case_id)
            told = Told(
                number,
                decision.outcome.code,
                decision.outcome.message,
                NONE if other is None else other,
            )
            self.memory.keep(key_of(decision.outcome.command_id), told)
        self._mark(decision.input)

    def _fold_case(self, decision: Decision) -> int | None:
        """The case stands as the decision says. Its number; None when the log no longer keeps the
        decision that opened it."""
        number = self.number_of(decision.case.case_id)
        if number is not None:
            self.known.store(number, decision.case)
        return number

    # What deciding and folding share.

    def _cases_of(self, person: bytes) -> list[tuple[int, Case]]:
        """The latest cases of a person, by number."""
        return [(number, self.case(number)) for number in self.known.candidates(person)]

    def _repeated_contact(self, contact: int, at: common_pb2.Input, now_ms: int) -> Decision:
        link = self.link(contact)
        link.level = events_pb2.LINK_LEVEL_SAME_DELIVERY
        link.score = 1.0
        link.reason = "the same delivery again"
        self.moved = False
        decision = Decision(
            input=at, change=events_pb2.CASE_CHANGE_REPEATED, link=link, decided_ms=now_ms
        )
        decision.case.MergeFromString(self.known.serialised(self.contacts.case[contact]))
        self._mark(at)
        return decision

    def _take_contact(self, number: int, key: bytes, decision: Decision) -> list[Effect]:
        """Counts the contact of a decision in; what it and its waiting calls mean for the case."""
        link, signs = decision.link, unpack(decision.signs)
        opened = number == len(self.known)
        # Of a case that was split or merged the log may keep no contact before this one.
        first = opened or next(self.contacts.of_case(number), NONE) == NONE
        if opened:
            self.known.add(decision.case, decision.shape, signs)
            self.calls.case_opened()
        else:
            self.known.add_words(number, decision.shape, signs)
        drill = decision.case.drill
        row = self.tallies.row(
            Row(link.line, link.agency, link.topic, link.language, link.channel, drill)
        )
        voice = link.channel in VOICE
        reconnect = voice and not opened and self.calls.reconnects(number, link.event_ms)
        contact = self.contacts.add(
            key, number, link.event_ms, row, voice, link.level, link.score, link.reason
        )
        if reconnect:
            self.contacts.steps[contact] |= step.RECONNECT
        self.tallies.add(link.event_ms, row, tally.CONTACTS)
        if first:
            self.tallies.add(link.event_ms, row, tally.CASES)
        if not decision.score:
            self.calls.came_back(number, link.event_ms)
        waited = self.calls.take_waited(key, contact, decision)
        return [Effect(reconnects=int(reconnect)), *waited]

    def _obey(self, command: events_pb2.CaseCommand, decision: Decision) -> Told:
        found = self.number_of(command.case_id)
        if found is None:
            decision.change = events_pb2.CASE_CHANGE_REFUSED
            across.unknown(command, decision)
            return Told(NONE, NOT_FOUND, "there is no such case")
        decision.case.MergeFromString(self.known.serialised(found))
        if command.WhichOneof("action") in reversing.ACTIONS:
            return self._reversing.obey(found, command, decision)
        if command.HasField("tell_number") and decision.case.sealed_number:
            decision.change = events_pb2.CASE_CHANGE_SHOWN
            self.moved = False
            return Told(found, OK, "")
        merged = decision.case.state == stating.MERGED
        refusal = self._reversing.went(decision.case) if merged else ""
        refusal = refusal or commands.refusal(command, decision.case)
        if refusal:
            decision.change = events_pb2.CASE_CHANGE_REFUSED
            return Told(found, NOT_IN_STATE, refusal)
        commands.obey(command, decision)
        across.settled(command, decision)
        self._take_note(found, decision)
        decision.case.version += 1
        self.known.store(found, decision.case)
        return Told(found, OK, "")

    def _take_note(self, number: int, decision: Decision) -> None:
        if not decision.HasField("note"):
            return
        note = decision.note
        self.notes.setdefault(number, []).append(note.SerializeToString())
        if note.reopens:
            self.calls.reopened(number, note.noted_ms)

    def _mark(self, at: common_pb2.Input) -> None:
        if at.offset > self.decided.get(at.topic, NONE):
            self.decided[at.topic] = at.offset


def _agency(contact: intake_pb2.ContactAccepted, reading: Reading, rules: Rules) -> str:
    """Whose contact it is: as it was told, or as its text surely says; else empty."""
    if contact.agency or reading.triage is None:
        return contact.agency
    sure = reading.triage.topic_confidence >= rules.topic_enough
    return reading.triage.agency if sure else ""
