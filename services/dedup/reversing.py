"""Merging cases and parting them again, as people ask for it. Pure.

Cases of one person stand in one partition: there the contacts go from one to the other, and what is
counted by case (demand, first answers, reconnects) is counted anew. Cases of two people never share
contacts: one is linked to the other, which is told by a command that follows from the decision
(`across`). A merge is never a deletion: the case that was merged stays known, with where it went.
"""

from collections.abc import Sequence

from mawja.dedup.v1 import events_pb2

from services.dedup import across, joining, tally
from services.dedup import contacts as step
from services.dedup.apart import Apart
from services.dedup.calls import Calls
from services.dedup.case import MERGED, Case
from services.dedup.commands import NOT_FOUND, NOT_IN_STATE, OK, Told
from services.dedup.contacts import NONE, Contacts
from services.dedup.known import Known, key_of, uuid_of
from services.dedup.tally import Tallies

ACTIONS = frozenset({"merge", "split", *across.ACTIONS})
CHANGES = frozenset(
    {
        events_pb2.CASE_CHANGE_MERGED,
        events_pb2.CASE_CHANGE_SPLIT,
        events_pb2.CASE_CHANGE_HEARD,
    }
)
_MOST_MOVED = 10_000
"""Contacts that one decision moves: it names each, and Kafka takes records of 2 MB."""


class Reversing:
    """Merges and splits the cases of one partition. `notes`: sealed notes by case number."""

    def __init__(
        self,
        known: Known,
        contacts: Contacts,
        calls: Calls,
        tallies: Tallies,
        notes: dict[int, list[bytes]],
    ) -> None:
        self.apart = Apart()
        self._known = known
        self._contacts = contacts
        self._calls = calls
        self._tallies = tallies
        self._notes = notes

    def went(self, case: Case) -> str:
        """Where a case that was merged went, in a sentence."""
        at, number = case, NONE
        while at.state == MERGED:
            found = self._known.number_of(at.merged_into.into.case_id)
            if found is None or found == number:
                break
            number = found
            following = Case.FromString(self._known.serialised(found))
            if following.state != MERGED:
                break
            at = following
        return f"the case was merged into {at.merged_into.case_number}: ask for that one"

    # Deciding.

    def obey(
        self, number: int, command: events_pb2.CaseCommand, decision: events_pb2.CaseDecision
    ) -> Told:
        """Does what a command of ACTIONS asks of a case, which stands in the decision."""
        action, case = command.WhichOneof("action"), decision.case
        if action == "merge" and case.state != MERGED:
            told = self._merge(number, command, decision)
        elif action == "split" and case.state != MERGED:
            told = self._split(number, command, decision)
        elif action == "merge" or (action == "split" and command.split.contact_ids):
            told = Told(number, NOT_IN_STATE, self.went(case))
        else:
            before = Case()
            before.CopyFrom(case)
            refusal = across.obey(command, decision)
            told = Told(number, NOT_IN_STATE if refusal else OK, refusal)
            if not refusal:
                self._across(number, before, decision)
        if told.code != OK:
            decision.change = events_pb2.CASE_CHANGE_REFUSED
        return told

    def _merge(
        self, number: int, command: events_pb2.CaseCommand, decision: events_pb2.CaseDecision
    ) -> Told:
        case, asked = decision.case, command.merge
        found = self._known.number_of(asked.source.case_id)
        if found is None and asked.source.partition == asked.partition:
            return Told(number, NOT_FOUND, "there is no such case to merge into this one")
        source = Case() if found is None else Case.FromString(self._known.serialised(found))
        if found is None or not case.person or source.person != case.person:
            before = Case()
            before.CopyFrom(case)
            refusal = across.merge(command, decision)
            if not refusal:
                self._across(number, before, decision)
            return Told(number, NOT_IN_STATE if refusal else OK, refusal)
        moved = sorted(self._contacts.of_case(found))
        refusal = across.unlike(case, source)
        if len(moved) > _MOST_MOVED:
            refusal = f"it has more than {_MOST_MOVED} contacts: merge the smaller case into it"
        if refusal:
            return Told(number, NOT_IN_STATE, refusal)
        joining.absorb(case, source)
        joining.empty(source, case, command.envelope.command_id)
        decision.change = events_pb2.CASE_CHANGE_MERGED
        decision.other.CopyFrom(source)
        decision.moved.extend(uuid_of(self._contacts.id[contact]) for contact in moved)
        across.note(decision, command.envelope, asked.sealed_reason, source.case_number)
        more, _ = self._take(number, found, decision)
        case.reconnects += more
        self._stand(number, found, decision)
        return Told(number, OK, "", found)

    def _split(
        self, number: int, command: events_pb2.CaseCommand, decision: events_pb2.CaseDecision
    ) -> Told:
        case, asked, columns = decision.case, command.split, self._contacts
        moving = {columns.number_of.get(key_of(contact), NONE) for contact in asked.contact_ids}
        kept = [contact for contact in columns.of_case(number) if contact not in moving]
        if not moving:
            return Told(number, NOT_IN_STATE, "name the contacts that become a case of their own")
        if any(contact == NONE or columns.case[contact] != number for contact in moving):
            return Told(number, NOT_IN_STATE, "one of these contacts is not in the case: ask again")
        if not kept:
            return Told(number, NOT_IN_STATE, "at least one contact must stay: leave one out")
        moved = sorted(moving)
        reconnects = sum(bool(columns.steps[contact] & step.RECONNECT) for contact in moved)
        other = joining.part(case, moved, kept, columns, self._tallies)
        first = uuid_of(columns.id[joining.earliest(moved, columns)])
        joining.name(other, first, command.envelope.command_id)
        decision.change = events_pb2.CASE_CHANGE_SPLIT
        decision.other.CopyFrom(other)
        decision.moved.extend(uuid_of(columns.id[contact]) for contact in moved)
        across.note(decision, command.envelope, asked.sealed_reason, other.case_number)
        found = len(self._known)
        more, other_more = self._take(number, found, decision)
        case.reconnects += more - reconnects
        decision.other.reconnects = reconnects + other_more
        self._stand(number, found, decision)
        return Told(number, OK, "", found)

    def _stand(self, number: int, other: int, decision: events_pb2.CaseDecision) -> None:
        """Both cases stand as the decision says, which says what is owed."""
        for case, at in ((decision.case, number), (decision.other, other)):
            case.version += 1
            self._known.store(at, case)
        owed, other_owed = self._calls.owed(number), self._calls.owed(other)
        if owed is not None:
            decision.owed.CopyFrom(owed)
        if other_owed is not None:
            decision.other_owed.CopyFrom(other_owed)

    # Folding.

    def fold(self, decision: events_pb2.CaseDecision) -> Told:
        """Takes up a decision of CHANGES."""
        number = self._number(decision.case)
        code, message = decision.outcome.code, decision.outcome.message
        if not decision.HasField("other"):
            before = Case.FromString(self._known.serialised(number))
            self._across(number, before, decision)
            return Told(number, code, message)
        found = self._known.number_of(decision.other.case_id)
        if found is None and decision.change == events_pb2.CASE_CHANGE_MERGED:
            found = self._number(decision.other)
        found = len(self._known) if found is None else found
        self._take(number, found, decision)
        self._known.store(number, decision.case)
        self._known.store(found, decision.other)
        return Told(number, code, message, found)

    def _number(self, case: Case) -> int:
        """The number of a case; of one whose opening the log no longer keeps, a new one."""
        number = self._known.number_of(case.case_id)
        if number is None:
            number = len(self._known)
            self._open(number, case)
            self._known.store(number, case)
        return number

    # What deciding and folding share.

    def _open(self, number: int, case: Case) -> None:
        self._known.add(case, ())
        self._contacts.room_for(number)
        self._calls.case_opened()

    def _take(self, number: int, other: int, decision: events_pb2.CaseDecision) -> tuple[int, int]:
        """Moves the contacts and what goes with them. How many reconnects more `number` and `other`
        have among their contacts than the same contacts had."""
        moved = [self._contacts.number_of.get(key_of(contact), NONE) for contact in decision.moved]
        # The log may no longer keep the decisions on some of them.
        moved = [contact for contact in moved if contact != NONE]
        reopened, case, second = self._calls.reopened_ms, decision.case, decision.other
        if decision.change == events_pb2.CASE_CHANGE_MERGED:
            if other in reopened:
                reopened[number] = max(reopened.get(number, 0), reopened[other])
            self._known.went[other] = number
            notes = [*self._notes.get(number, ()), *self._notes.get(other, ())]
            if notes:
                self._notes[number] = sorted(notes, key=_noted_ms)
            self.apart.merged(second.case_id, case.case_id)
            _, more = self._carry(moved, other, number)
            counted = more, 0
        else:
            self._open(other, second)
            self._known.copy_words(other, number)
            if number in reopened:
                # Nobody can say about which of the two needs it was said.
                reopened[other] = reopened[number]
            self.apart.split(case.case_id, second.case_id)
            self._go_on(moved, number, other)
            counted = self._carry(moved, number, other)
        for at, of in ((number, second), (other, case)):
            self._note(at, decision.note, of.case_number)
        return counted

    def _go_on(self, moved: Sequence[int], number: int, other: int) -> None:
        """Cases whose contacts all leave `number` for `other` went there from now on."""
        gone, been = set(moved), self._contacts.been
        stay = [contact for contact in self._contacts.of_case(number) if contact not in gone]
        left = {case for contact in stay for case in been.get(contact, ())}
        went = self._known.went
        for case in {case for contact in moved for case in been.get(contact, ())} - left:
            if self._known.stays(case) == number:
                went[case] = other

    def _carry(self, moved: Sequence[int], source: int, to: int) -> tuple[int, int]:
        """Hangs contacts into another case, with all that is counted by case."""
        for number in (source, to):
            self._calls.lift(number)
            self._count(number, -1)
        self._contacts.move(moved, to)
        for number in (source, to):
            self._count(number, 1)
        return self._calls.lay(source), self._calls.lay(to)

    def _count(self, number: int, amount: int) -> None:
        """Counts a case as demand where its first decided contact is counted; none without one."""
        first = min(self._contacts.of_case(number), default=NONE)
        if first != NONE:
            columns = self._contacts
            self._tallies.add(columns.event_ms[first], columns.row[first], tally.CASES, amount)

    def _across(self, number: int, before: Case, decision: events_pb2.CaseDecision) -> None:
        """A case was linked to, or parted from, one of another person; `before`: as it stood."""
        case = decision.case
        for linked in across.others(case) - across.others(before):
            self.apart.linked(linked, case.case_id)
        if decision.note.about == events_pb2.CASE_CHANGE_SPLIT:
            for parted in across.others(before) - across.others(case):
                self.apart.parted(parted, case.case_id)
        self._known.store(number, case)
        if decision.HasField("note"):
            self._note(number, decision.note, decision.note.other_number)

    def _note(self, number: int, note: events_pb2.Note, other_number: str) -> None:
        kept = events_pb2.Note()
        kept.CopyFrom(note)
        kept.other_number = other_number
        self._notes.setdefault(number, []).append(kept.SerializeToString())


def _noted_ms(note: bytes) -> int:
    return events_pb2.Note.FromString(note).noted_ms
