"""What intake accepted and what dedup decided: every contact, and the case it is in."""

from array import array
from collections import Counter
from collections.abc import Iterable

from mawja.dedup.v1 import events_pb2 as dedup_pb2
from mawja.intake.v1 import events_pb2 as intake_pb2

from loadtests.ledger.account import Account, Contacts, Problems
from loadtests.ledger.cases import Cases
from loadtests.ledger.columns import NONE, Numbers, Places, key_of
from loadtests.ledger.letters import Letters, Place
from services.runtime.own import Record
from services.runtime.topics import CONTACT_ACCEPTED

_OPENED = dedup_pb2.CASE_CHANGE_OPENED
_LINKED = dedup_pb2.CASE_CHANGE_LINKED
_SPLIT = dedup_pb2.CASE_CHANGE_SPLIT
# Decisions that change their case, and so raise its version by one.
CHANGING = frozenset(
    {
        _OPENED,
        _LINKED,
        dedup_pb2.CASE_CHANGE_CALL,
        dedup_pb2.CASE_CHANGE_ASSIGNED,
        dedup_pb2.CASE_CHANGE_TRIAGED,
        dedup_pb2.CASE_CHANGE_RESOLVED,
        dedup_pb2.CASE_CHANGE_REOPENED,
        dedup_pb2.CASE_CHANGE_NOTED,
        dedup_pb2.CASE_CHANGE_MERGED,
        dedup_pb2.CASE_CHANGE_SPLIT,
        dedup_pb2.CASE_CHANGE_HEARD,
        dedup_pb2.CASE_CHANGE_ASKED,
    }
)
"""Each of them makes the case another: its version goes up by one."""


class ContactBook:
    """Columns by contact. The first record of a contact counts. Times are Unix ms."""

    def __init__(self, cases: Cases, letters: Letters) -> None:
        self.numbers = Numbers()
        self.accepted = bytearray()
        self.drill = bytearray()
        self.accepted_ms = array("q")
        self.case = array("i")
        self.again = 0
        """Records of contacts that had been accepted before."""
        self._event_ms = array("q")
        self._changes: Counter[int] = Counter()
        self._decided: dict[tuple[str, int], int] = {}
        self._places = Places()
        self._begins: dict[int, int] = {}
        self._broken: Counter[str] = Counter()
        self._rearranged: set[int] = set()
        self._cases = cases
        self._letters = letters

    def begins(self, partition: int, offset: int) -> None:
        """What was accepted in `partition` below `offset` is not kept any more: there the decision
        itself is the witness of its contact."""
        self._begins[partition] = offset

    def _number(self, contact_id: str) -> int:
        number, new = self.numbers.add(key_of(contact_id))
        if new:
            self.accepted.append(0)
            self.drill.append(0)
            self.accepted_ms.append(0)
            self.case.append(NONE)
            self._event_ms.append(0)
        return number

    # Taking records up.

    def accept(self, contact: intake_pb2.ContactAccepted, record: Record | None) -> None:
        """Intake accepted a contact; without its `record` a person gave it again, mended."""
        number = self._number(contact.contact_id)
        if record is not None:
            self.again += self.accepted[number]
            self._places.add(record.topic, record.partition, record.offset, number)
        self._accept(number, contact.event_ms, contact.accepted_ms, contact.drill)

    def _accept(self, number: int, event_ms: int, accepted_ms: int, drill: bool) -> None:
        if self.accepted[number]:
            return
        self.accepted[number] = 1
        self.drill[number] = drill
        self.accepted_ms[number] = accepted_ms
        self._event_ms[number] = event_ms
        if self.case[number] != NONE:
            self._cases.arrived(self.case[number], event_ms)

    def decide(self, decision: dedup_pb2.CaseDecision, partition: int) -> None:
        """Dedup decided."""
        at, change = decision.input, decision.change
        if at.offset <= self._decided.get((at.topic, partition), -1):
            self._broken["records were decided on twice, or out of order"] += 1
        self._decided[at.topic, partition] = at.offset
        self._changes[change] += 1
        if not decision.HasField("case"):
            return
        case = self._stated(decision.case, change, new=change == _OPENED)
        if decision.HasField("other"):
            other = self._stated(decision.other, change, new=change == _SPLIT)
            if change in CHANGING:
                source, to = (case, other) if change == _SPLIT else (other, case)
                self._move(decision.moved, source, to)
        if change in (_OPENED, _LINKED):
            self._link(decision, partition, case)

    def _stated(
        self, stated: dedup_pb2.Case, change: dedup_pb2.CaseChange.ValueType, *, new: bool
    ) -> int:
        """A decision states a case, which begins with it or not. Its number."""
        cases = self._cases
        case = cases.number(stated.case_id)
        cases.decided[case] = 1
        if stated.version != cases.version[case] + (change in CHANGING):
            self._broken["decisions on a case are missing, or stand twice"] += 1
        if change not in CHANGING:
            return case
        cases.version[case] = stated.version
        cases.contacts[case] = stated.contacts
        cases.drill[case] = stated.drill
        if new:
            cases.opened[case] += 1
            cases.opening_ms[case] = cases.opening_ms[case] or stated.first_arrival_ms
        elif stated.first_arrival_ms > cases.first_ms[case] and change != _SPLIT:
            self._broken["cases moved their first arrival later"] += 1
        cases.first_ms[case] = stated.first_arrival_ms
        cases.lowest_ms[case] = min(cases.lowest_ms[case], stated.first_arrival_ms)
        return case

    def _move(self, moved: Iterable[str], source: int, to: int) -> None:
        """A person moved contacts from one case to another."""
        cases = self._cases
        for contact_id in moved:
            number = self._number(contact_id)
            if self.case[number] != source:
                self._broken["contacts were moved out of a case that they were not in"] += 1
                continue
            self.case[number] = to
            cases.linked[source] -= 1
            cases.linked[to] += 1
        cases.lowest_ms[to] = min(cases.lowest_ms[to], cases.lowest_ms[source])
        self._rearranged |= {source, to}

    def _link(self, decision: dedup_pb2.CaseDecision, partition: int, case: int) -> None:
        at, link = decision.input, decision.link
        number = self._number(link.contact_id)
        if at.topic == CONTACT_ACCEPTED.name and at.offset < self._begins.get(partition, 0):
            self._accept(number, link.event_ms, decision.case.accepted_ms, decision.case.drill)
        before = self.case[number]
        if before == NONE:
            self.case[number] = case
            self._cases.linked[case] += 1
            if self.accepted[number]:
                self._cases.arrived(case, self._event_ms[number])
        elif before != case:
            self._broken["contacts are in two cases"] += 1

    # The account.

    def decided_up_to(self, partition: int) -> int:
        """Offset of the last accepted contact of a partition that dedup has decided on."""
        return self._decided.get((CONTACT_ACCEPTED.name, partition), -1)

    def set_aside(self) -> set[int]:
        """Accepted contacts that are in a dead letter, and in no case."""
        return self._at(self._letters.waiting())

    def passed_over(self) -> set[int]:
        """Accepted contacts that are in no case and in no dead letter, while later ones of their
        partition are decided."""
        skipped = {
            number
            for topic, partition in self._places.partitions()
            for number in self._places.up_to(topic, partition, self.decided_up_to(partition))
            if self.case[number] == NONE
        }
        # What a person gave to dedup again is no more in its place among the others.
        return skipped - self.set_aside() - self._at(self._letters.given_again())

    def waiting(self) -> set[int]:
        """Accepted contacts that are in no case and in no dead letter, passed over or not."""
        undecided = {
            number
            for number, (accepted, case) in enumerate(zip(self.accepted, self.case, strict=True))
            if accepted and case == NONE
        }
        return undecided - self.set_aside()

    def _at(self, places: Iterable[Place]) -> set[int]:
        found = {self._places.find(*p) for p in places if p[0] == CONTACT_ACCEPTED.name}
        return {number for number in found if number != NONE and self.case[number] == NONE}

    def opened_and_linked(self) -> tuple[int, int]:
        """How many contacts opened a case and how many joined one, by the decisions."""
        return self._changes[_OPENED], self._changes[_LINKED]

    def count(self, account: Account) -> None:
        """Fills the account in."""
        account.accepted = self.accepted.count(1)
        account.cases = sum(map(bool, self._cases.opened))
        account.merged = self._changes[_LINKED]
        account.repeated = self._changes[dedup_pb2.CASE_CHANGE_REPEATED]
        # A contact has one case; a case opens once.
        account.duplicate_cases = (
            self._broken["contacts are in two cases"] + sum(self._cases.opened) - account.cases
        )
        # Opened and linked come from the decisions, the rest from the contacts: two sources that
        # must meet.
        account.contacts = Contacts(
            opened=self._changes[_OPENED],
            linked=self._changes[_LINKED],
            set_aside=len(self.set_aside()),
            waiting=len(self.waiting()),
        )

    def hold(self, account: Account, problems: Problems) -> None:
        """What must hold of contacts."""
        self._cases.anew(self._rearranged)
        for number, case in enumerate(self.case):
            if case in self._rearranged and self.accepted[number]:
                self._cases.arrived(case, self._event_ms[number])
        c = account.contacts
        problems.note(
            sum(case != NONE and not a for a, case in zip(self.accepted, self.case, strict=True)),
            "contacts are in a case and were never accepted",
        )
        problems.note(
            abs(account.accepted - (c.opened + c.linked + c.set_aside + c.waiting)),
            "contacts are in no bucket or in two",
        )
        problems.note(account.duplicate_cases, "duplicate cases")
        for sentence, count in self._broken.items():
            problems.note(count, sentence)
