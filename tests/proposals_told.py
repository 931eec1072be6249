"""Bursts as wave states them, and the cases behind them as dedup decides on them."""

from dataclasses import dataclass, field

from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2 as dedup
from mawja.wave.v1.events_pb2 import Burst, Dimension

from services.outreach.proposals.evidence import Facts
from services.runtime import ids

NOW = 1_800_000_000_000
TOPIC, ALL = Dimension.DIMENSION_TOPIC, Dimension.DIMENSION_ALL
AGENCY, LINE = Dimension.DIMENSION_AGENCY, Dimension.DIMENSION_LINE


def burst(
    dimension: "Dimension.ValueType" = TOPIC,
    subject: str = "roads-topic",
    start_ms: int = NOW - 40_000,
    *,
    until_ms: int = NOW,
    last_minute: int = 30,
    ended: bool = False,
    drill: bool = False,
) -> Burst:
    """A burst that was raised within its first minute."""
    return Burst(
        dimension=dimension,
        subject=subject,
        start_ms=start_ms,
        raised_ms=start_ms + 40_000,
        usual=2.0,
        known=True,
        last_minute=last_minute,
        until_ms=until_ms,
        ended=ended,
        drill=drill,
    )


@dataclass
class Town:
    """People who reach out, one case each."""

    since_ms: int = NOW - 60_000
    people: int = 0
    decisions: list[dedup.CaseDecision] = field(default_factory=list)

    def opens(
        self,
        count: int = 1,
        *,
        topic: str = "roads-topic",
        agency: str = "roads-agency",
        language: str = "ar",
        line: str = "109",
        question: str = "",
        confidence: float = 0.9,
        place: str = "",
        at_ms: int = NOW - 20_000,
        withheld: bool = False,
        landline: bool = False,
        life_safety: bool = False,
        drill: bool = False,
    ) -> list[dedup.Case]:
        """So many cases that are alike."""
        made = []
        for _ in range(count):
            self.people += 1
            name = ids.case_id(f"p{self.people}")
            case = dedup.Case(
                case_id=name,
                case_number=ids.case_number(name),
                person=b"" if withheld else self.people.to_bytes(16, "big"),
                sealed_number=b"" if withheld else b"sealed",
                state=dedup.CASE_STATE_OPEN,
                first_arrival_ms=at_ms,
                number_line=common_pb2.LINE_FIXED if landline else common_pb2.LINE_MOBILE,
                line=line,
                agency=agency,
                topic=topic,
                language=language,
                life_safety=life_safety,
                drill=drill,
            )
            decision = dedup.CaseDecision(change=dedup.CASE_CHANGE_OPENED, case=case)
            decision.link.event_ms = at_ms
            decision.triage.question = question
            decision.triage.question_confidence = confidence if question else 0
            if place:
                decision.needs.add(case_id=name, places=[place])
            self.decisions.append(decision)
            made.append(case)
        return made

    def says(self, change: "dedup.CaseChange.ValueType", case: dedup.Case) -> None:
        """A later decision on a case."""
        self.decisions.append(dedup.CaseDecision(change=change, case=case))

    def facts(self) -> Facts:
        """All of it, folded."""
        facts = Facts(self.since_ms, 0.5)
        for decision in self.decisions:
            facts.take(decision)
        return facts
