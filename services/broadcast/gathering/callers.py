"""Who reached out about something, as dedup's decisions tell it. Pure, of one partition.

The last decision on a case says what it is; what a contact says (when, to which line) is said once,
where it was linked, and goes with the contact when people merge or split cases. A case that was
merged into another of the same person has no contacts any more; one that was merged across people
keeps its own, and its person is a caller as before.

Memory holds the cases that match, some 350 bytes each, and the contacts of the time and line that
were asked for, some 200.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from mawja.broadcast.v1 import audiences_pb2
from mawja.broadcast.v1.audiences_pb2 import Callers
from mawja.dedup.v1 import events_pb2
from mawja.dedup.v1.events_pb2 import Case, CaseDecision

from services.broadcast.gathering.query import language_of, place_of
from services.runtime.cases import about

_NOTHING = (events_pb2.CASE_CHANGE_REFUSED, events_pb2.CASE_CHANGE_CALL_WAITING)
_LINKS = (events_pb2.CASE_CHANGE_OPENED, events_pb2.CASE_CHANGE_LINKED)
WITHHELD = "withheld"
OTHER_AGENCY = "other-agency"
DUPLICATE = "duplicate"


@dataclass(frozen=True, slots=True)
class Person:
    """A person who is meant. `sealed_number` as the latest of their cases has it."""

    person: bytes
    sealed_number: bytes
    language: str


@dataclass(frozen=True, slots=True)
class _Found:
    person: bytes
    sealed_number: bytes
    language: str
    last_ms: int
    accepted_ms: int
    excluded: str


class Matching:
    """Finds the callers of one partition.

    `drill`: only cases of rehearsals; else none of them. `scope`: the agency that the caller speaks
    for, whose cases only count; empty for all. `members`: the cases of the incident that was asked
    for, as UUID bytes; None when none was.
    """

    def __init__(
        self, asked: Callers, *, drill: bool, scope: str, members: frozenset[bytes] | None
    ) -> None:
        self._asked = asked
        self._drill = drill
        self._scope = scope
        self._members = members
        self._place = place_of(asked.place)
        self._by_contact = bool(asked.line or asked.since_ms or asked.until_ms)
        self._cases: dict[bytes, _Found] = {}
        self._contacts: dict[bytes, bytes] = {}
        self._named: set[bytes] = set()
        self._went: list[tuple[bytes, bytes]] = []
        self._went_earlier: list[tuple[bytes, bytes]] = []

    def take(self, decision: CaseDecision) -> None:
        """Takes up a decision, in the order of the log."""
        if decision.change in _NOTHING or not decision.case.case_id:
            return
        self._state(decision.case)
        case = _key(decision.case.case_id)
        if decision.HasField("other"):
            self._state(decision.other)
            merged = decision.change == events_pb2.CASE_CHANGE_MERGED
            to = case if merged else _key(decision.other.case_id)
            for contact in map(_key, decision.moved):
                if contact in self._contacts:
                    self._contacts[contact] = to
        if self._by_contact and decision.change in _LINKS and self._means(decision.link):
            self._contacts[_key(decision.link.contact_id)] = case
        if self._place:
            self._name(decision, self._went)

    def take_earlier(self, decision: CaseDecision) -> None:
        """Takes up a decision that stands before all that were taken: only what it says of places,
        which is said once (`unplaced_since`)."""
        self._name(decision, self._went_earlier)

    def unplaced_since(self, from_ms: int) -> int | None:
        """When the earliest of the cases that match, but for a place that may have been named
        before `from_ms`, was accepted: Unix time in milliseconds. None when there is none."""
        if not self._place:
            return None
        named = self._all_named()
        early = [
            found.accepted_ms
            for case, found in self._meant()
            if case not in named and found.accepted_ms < from_ms
        ]
        return min(early, default=None)

    def callers(self) -> tuple[list[Person], Counter[str]]:
        """They, each once, and how many cases are left out, by reason."""
        named = self._all_named() if self._place else None
        left_out = Counter[str]()
        people: dict[bytes, _Found] = {}
        for case, found in self._meant():
            if named is not None and case not in named:
                continue
            reason = found.excluded
            if not reason and found.person in people:
                reason = DUPLICATE
                if found.last_ms >= people[found.person].last_ms:
                    people[found.person] = found
            elif not reason:
                people[found.person] = found
            if reason:
                left_out[reason] += 1
        callers = [Person(one.person, one.sealed_number, one.language) for one in people.values()]
        return callers, left_out

    def _meant(self) -> Iterator[tuple[bytes, _Found]]:
        """The cases that match but for their place."""
        if not self._by_contact:
            yield from self._cases.items()
            return
        reached = set(self._contacts.values())
        yield from ((case, found) for case, found in self._cases.items() if case in reached)

    def _state(self, case: Case) -> None:
        key = _key(case.case_id)
        if not self._matches(key, case):
            self._cases.pop(key, None)
            return
        excluded = ""
        if self._scope and case.agency != self._scope:
            excluded = OTHER_AGENCY
        elif not case.person or not case.sealed_number:
            excluded = WITHHELD
        self._cases[key] = _Found(
            person=b"" if excluded else case.person,
            sealed_number=b"" if excluded else case.sealed_number,
            language=case.language,
            last_ms=case.last_contact_ms,
            accepted_ms=case.accepted_ms,
            excluded=excluded,
        )

    def _matches(self, key: bytes, case: Case) -> bool:
        asked = self._asked
        merged = case.state == events_pb2.CASE_STATE_MERGED
        if case.drill is not self._drill or (merged and not case.merged_into.across):
            return False
        if self._members is not None and key not in self._members:
            return False
        if asked.life_safety and not case.life_safety:
            return False
        if asked.language and language_of(case.language) != language_of(asked.language):
            return False
        if asked.kind and (case.kind or case.triage.kind) != asked.kind:
            return False
        if asked.state and asked.state != _state_of(case):
            return False
        agency, topic = about(case)
        return asked.agency in ("", agency) and asked.topic in ("", topic)

    def _means(self, link: events_pb2.Link) -> bool:
        asked = self._asked
        return (
            asked.line in ("", link.line)
            and asked.since_ms <= link.event_ms
            and (not asked.until_ms or link.event_ms < asked.until_ms)
        )

    def _name(self, decision: CaseDecision, went: list[tuple[bytes, bytes]]) -> None:
        for need in decision.needs:
            if any(place_of(name) == self._place for name in need.places):
                self._named.add(_key(need.case_id))
        if decision.HasField("other"):
            pair = _key(decision.case.case_id), _key(decision.other.case_id)
            # Words belong to no contact: both parts of a split have said them.
            merged = decision.change == events_pb2.CASE_CHANGE_MERGED
            went.append((pair[1], pair[0]) if merged else pair)

    def _all_named(self) -> set[bytes]:
        named = set(self._named)
        for case, to in (*self._went_earlier, *self._went):
            if case in named:
                named.add(to)
        return named


def _state_of(case: Case) -> audiences_pb2.CallerState.ValueType:
    state = case.state
    if state == events_pb2.CASE_STATE_MERGED:
        state = case.merged_into.was
    if state == events_pb2.CASE_STATE_RESOLVED:
        return audiences_pb2.CALLER_STATE_RESOLVED
    return audiences_pb2.CALLER_STATE_OPEN


def _key(uuid: str) -> bytes:
    return bytes.fromhex(uuid.replace("-", ""))
