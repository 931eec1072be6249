"""What the cases of a burst say: who, where, about what, how fast. Pure.

A burst is a number; what is behind it stands in dedup's decisions. They are folded from the start
of the burst on: the cases that were opened since, each as it stands now.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2 as dedup
from mawja.dedup.v1.incidents_pb2 import CaseCount
from mawja.outreach.v1.proposals_pb2 import Evidence
from mawja.wave.v1.events_pb2 import Burst, Dimension

from services.runtime.cases import about

ALL, LINE = Dimension.DIMENSION_ALL, Dimension.DIMENSION_LINE
AGENCY, TOPIC = Dimension.DIMENSION_AGENCY, Dimension.DIMENSION_TOPIC
LANGUAGE, INCIDENT = Dimension.DIMENSION_LANGUAGE, Dimension.DIMENSION_INCIDENT
HALF = 0.5
"""What so large a share of the cases has in common, the burst is about."""
_MOST = 8
_SPAN_MS = 5 * 60_000
_NOTHING = (dedup.CASE_CHANGE_REFUSED, dedup.CASE_CHANGE_CALL_WAITING)


@dataclass(frozen=True, slots=True)
class Fact:
    """One case that was opened, as it stands. `person` is empty when the number is withheld;
    `writable`: its need is not met and an SMS reaches its person; `incident`: the one it is in,
    empty when it stands alone."""

    case_id: str
    opened_ms: int
    person: bytes
    line: str
    agency: str
    topic: str
    language: str
    question: str
    places: tuple[str, ...]
    life_safety: bool
    writable: bool
    drill: bool
    incident: str = ""


class Facts:
    """Folds decisions of all partitions, each partition in the order of its log.

    `since_ms`: only cases opened at or after it, event time. `sure`: from which confidence on a
    text counts as asking what an entry of the knowledge file answers.
    """

    def __init__(self, since_ms: int, sure: float) -> None:
        self.since_ms = since_ms
        self._sure = sure
        self._cases: dict[str, Fact] = {}

    def take(self, decision: dedup.CaseDecision) -> None:
        """Takes up one decision."""
        case = decision.case
        if decision.change in _NOTHING or not case.case_id:
            return
        before = self._cases.get(case.case_id)
        if before is None:
            opened = decision.change == dedup.CASE_CHANGE_OPENED
            if not opened or decision.link.event_ms < self.since_ms:
                return
        if case.state == dedup.CASE_STATE_MERGED and not case.merged_into.across:
            # One of its person's other cases has all that it had.
            self._cases.pop(case.case_id, None)
            return
        fact = self._fact(decision, before)
        self._cases[case.case_id] = fact

    def _fact(self, decision: dedup.CaseDecision, before: Fact | None) -> Fact:
        case = decision.case
        agency, topic = about(case)
        places = () if before is None else before.places
        for need in decision.needs:
            if need.case_id == case.case_id:
                places = (*places, *(one for one in need.places if one not in places))
        read = decision.triage
        asks = read.question if read.question_confidence >= self._sure else ""
        return Fact(
            case_id=case.case_id,
            opened_ms=decision.link.event_ms if before is None else before.opened_ms,
            person=case.person,
            line=case.line,
            agency=agency,
            topic=topic,
            language=case.language,
            question=asks or ("" if before is None else before.question),
            places=places,
            life_safety=case.life_safety,
            writable=bool(case.person and case.sealed_number)
            and case.number_line == common_pb2.LINE_MOBILE
            and case.state != dedup.CASE_STATE_RESOLVED
            and not case.recorded,
            drill=case.drill,
        )

    def place(self, incidents: Mapping[str, str]) -> None:
        """Takes up which incident each case is in, by case."""
        for name in incidents.keys() & self._cases.keys():
            self._cases[name] = replace(self._cases[name], incident=incidents[name])

    def since(self, burst: Burst) -> list[Fact]:
        """The cases opened since a burst began, whatever they are about; a drill's for a drill."""
        return [
            fact
            for fact in self._cases.values()
            if fact.drill is burst.drill and fact.opened_ms >= burst.start_ms
        ]

    def of(self, burst: Burst) -> list[Fact]:
        """The cases of a burst."""
        return counted(burst, self.since(burst))


_OF: dict[int, Callable[[Fact], str]] = {
    ALL: lambda _: "",
    LINE: lambda fact: fact.line,
    AGENCY: lambda fact: fact.agency,
    TOPIC: lambda fact: fact.topic,
    LANGUAGE: lambda fact: fact.language,
    INCIDENT: lambda fact: fact.incident,
}
Subject = tuple["Dimension.ValueType", str]


def counted(burst: Burst, facts: Iterable[Fact]) -> list[Fact]:
    """Those of the cases since a burst began that it counts."""
    return within(facts, (burst.dimension, burst.subject))


def subject_of(burst: Burst, facts: Sequence[Fact]) -> Subject:
    """What a burst is about: the first of topic, incident, agency and line that half of its cases
    have in common, else what it was counted by."""
    if burst.dimension in (TOPIC, INCIDENT):
        return burst.dimension, burst.subject
    for dimension in (TOPIC, INCIDENT, AGENCY, LINE):
        if dimension == burst.dimension:
            break
        values = Counter(_OF[dimension](fact) for fact in facts)
        values.pop("", None)
        for value, count in values.most_common(1):
            if count >= HALF * len(facts):
                return dimension, value
    return burst.dimension, burst.subject


def within(facts: Iterable[Fact], subject: Subject) -> list[Fact]:
    """Those that are about a subject."""
    dimension, value = subject
    return [fact for fact in facts if _OF[dimension](fact) == value]


def same_event(facts: Sequence[Fact], subject: Subject, other: Subject, cases: int) -> int:
    """How many of `facts` show that what they are about and another proposal's subject, one of them
    an incident, are one event; 0 when they are not. `cases`: how many that proposal is about.

    They are when half of either is in the other; an incident in what has no more in common than a
    line, an agency or a language only when it is half of that.
    """
    if (subject[0] == INCIDENT) is (other[0] == INCIDENT):
        return 0
    own = within(facts, subject)
    shared = len(within(own, other))
    inner, inside = (len(own), other) if subject[0] == INCIDENT else (cases, subject)
    whole = cases if subject[0] == INCIDENT else len(own)
    part = inside[0] == TOPIC and shared >= HALF * inner
    return shared if part or shared >= HALF * whole else 0


def evidence(facts: Sequence[Fact], since_ms: int, until_ms: int) -> Evidence:
    """What cases say together. Times are Unix ms, event time."""
    writable = {fact.person for fact in facts if fact.writable}
    named = {fact.person for fact in facts if fact.person}
    return Evidence(
        since_ms=since_ms,
        until_ms=until_ms,
        cases=len(facts),
        people=len(named) + sum(not fact.person for fact in facts),
        writable=len(writable),
        life_safety=sum(fact.life_safety for fact in facts),
        recent=sum(fact.opened_ms > until_ms - _SPAN_MS for fact in facts),
        before=sum(
            until_ms - 2 * _SPAN_MS < fact.opened_ms <= until_ms - _SPAN_MS for fact in facts
        ),
        questions=_counts(fact.question for fact in facts),
        topics=_counts(fact.topic for fact in facts),
        agencies=_counts(fact.agency for fact in facts),
        lines=_counts(fact.line for fact in facts),
        languages=_counts(fact.language for fact in facts),
        places=_counts(place for fact in facts for place in fact.places),
    )


def _counts(values: Iterable[str]) -> list[CaseCount]:
    counts = Counter(values)
    counts.pop("", None)
    ranked = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    return [CaseCount(value=value, cases=count) for value, count in ranked[:_MOST]]
