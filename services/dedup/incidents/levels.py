"""From when on two cases are linked, and a case belongs into an incident. Pure; levels.yaml says
why.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import mul

from mawja.dedup.v1 import events_pb2

from services.dedup.trees import Trees

OTHER_PERSON = events_pb2.LINK_LEVEL_OTHER_PERSON
SAME_INCIDENT = events_pb2.LINK_LEVEL_SAME_INCIDENT
SAME_QUESTION = events_pb2.LINK_LEVEL_SAME_QUESTION


@dataclass(frozen=True, slots=True)
class Level:
    """One level: the score (0 to 1) from which on cases are linked, by agency where one has
    another; what the facts about two cases say of it, and what is added to that for each fact."""

    link_at: float
    agencies: Mapping[str, float]
    weights: tuple[float, ...]
    trees: Trees

    def log_odds(self, facts: Sequence[tuple[float, ...]]) -> list[float]:
        """For each pair of cases; 0 is as likely as not."""
        learnt = self.trees.log_odds(facts)
        return [
            odds + sum(map(mul, self.weights, one)) for odds, one in zip(learnt, facts, strict=True)
        ]

    def threshold(self, agency: str) -> float:
        """The score from which on a case of this agency is linked."""
        return self.agencies.get(agency, self.link_at)


@dataclass(frozen=True, slots=True)
class Levels:
    """levels.yaml. Times in milliseconds, scores 0 to 1.

    `refined`: what is said of two groups by what their texts mean, of the facts in `refining`.
    `fields`: the field of an agency whose cases are never of one event with those of all others.
    """

    window: int
    keep: int
    most_cases: int
    join_at: float
    stay_at: float
    refine_at: float
    question_share: float
    levels: Mapping[events_pb2.LinkLevel.ValueType, Level]
    fields: Mapping[str, str]
    refined: Trees

    def field_of(self, agency: str) -> str:
        """What the cases of an agency are partitioned by."""
        return self.fields.get(agency, "")
