"""Which incidents are one by what texts in them mean, though they share hardly a word. Pure.

One text stands for a group: an incident, or a case that stands alone. Groups whose texts lie near
are held against it by all that is known of their cases; what comes out is a command, so that it is
decided in the log like what people ask, and a person's word goes before it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import incidents_pb2

from services.dedup.incidents.evidence import FACTS, Common, odds
from services.dedup.incidents.group import Group
from services.dedup.incidents.levels import SAME_INCIDENT, SAME_QUESTION
from services.dedup.incidents.need import Need
from services.dedup.incidents.state import Incidents
from services.dedup.meaning.points import Point, Points
from services.runtime import ids

REFINED = (*FACTS, "meaning", "best", "mean")
"""What learnt trees look at: the facts about two cases, how near the texts of their groups lie, and
the best and the mean of what words say of the two groups."""
SUBJECT = "dedup"
"""Who asks: the service itself."""
_NEAREST = 48
"""Texts that are looked at for groups to hold against one: many are of one group."""
_MOST_HELD = 5
_SAMPLE = 3
_MIDDLE = 32
"""Cases of a group, the latest, whose texts make its middle as far as they were looked at."""
Command = incidents_pb2.IncidentCommand
_Pair = tuple[Need, Group, Need, Group]
"""A case and its group, another case and its group."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """Another group, its case whose text lies nearest, and what the two groups have in common.
    `facts`: in the order of REFINED; `score`: how sure it is that they are one, 0 to 1."""

    group: Group
    case: Need
    facts: tuple[float, ...]
    score: float
    reason: str


class Refiner:
    """Of one partition: where the texts lie that were looked at, and what follows from it."""

    def __init__(self, state: Incidents) -> None:
        self.points = Points()
        self._state = state

    def group(self, name: str) -> Group | None:
        """The incident, or the case that stands alone and says something, of this id."""
        state = self._state
        if (group := state.groups.get(name)) is not None:
            return group
        need = state.needs.get(name)
        if need is None or name in state.group_of or not state.evidence.speaks(need):
            return None
        return state.of(name)

    def groups(self) -> Iterator[Group]:
        """The groups that something which comes now may belong to."""
        state = self._state
        since_ms = state.newest_ms - state.levels.window
        for group in state.groups.values():
            if any(need.last_ms >= since_ms for need in group.latest(_SAMPLE)):
                yield group
        for case, need in state.needs.items():
            if need.last_ms >= since_ms and case not in state.group_of:
                group_alone = self.group(case)
                if group_alone is not None:
                    yield group_alone

    def representative(self, group: Group) -> Need | None:
        """The case whose text stands for a group: the last that has one."""
        return next((need for need in group.latest(len(group)) if need.sealed_text), None)

    def nearest(self, points: Sequence[Point]) -> list[list[tuple[str, float]]]:
        """The cases whose texts lie near each point, the nearest first, and how near. Takes up to
        30 ms for 16 points: belongs into a thread, while nothing is put in."""
        return self.points.nearest(points, _NEAREST)

    def commands(
        self, case: str, near: Sequence[tuple[str, float]], at_ms: int
    ) -> Iterator[Command]:
        """What is to be made one with the group of a case. `near`: other cases and how near their
        texts lie, the nearest first. Each must fit those that come before it, too."""
        if (need := self._state.needs.get(case)) is None:
            return
        here, enough = self._state.of(case), self._state.levels.refine_at
        taken: list[Candidate] = []
        for other in self.candidates(case, near):
            if other.score < enough:
                continue
            between = [(other.case, other.group, before.case, before.group) for before in taken]
            if all(held.score >= enough for held in self._held(between)):
                taken.append(other)
                yield _command(need, here, other, at_ms)

    def candidates(self, case: str, near: Sequence[tuple[str, float]]) -> list[Candidate]:
        """The groups that lie nearest to a case and may become one with its own, at most five."""
        if (need := self._state.needs.get(case)) is None:
            return []
        here = self._state.of(case)
        seen = {here.incident_id}
        pairs: list[_Pair] = []
        for name, _ in near:
            if len(seen) > _MOST_HELD:
                break
            if (other := self._state.needs.get(name)) is None:
                continue
            group = self._state.of(name)
            if group.incident_id in seen:
                continue
            asked = Command(case_id=case, join=incidents_pb2.Join(other_id=name))
            if self._state.refusal(asked) is None:
                seen.add(group.incident_id)
                pairs.append((need, here, other, group))
        return self._held(pairs)

    def _held(self, pairs: Sequence[_Pair]) -> list[Candidate]:
        """What the two groups of each pair have in common: the facts about the two cases, what
        words say of these and the latest of their groups, and how near the middles of the two lie:
        of several texts chance is less than of one. Trees are asked once for all: most groups are
        small, and they say of a few rows what they say of one in nearly the same time."""
        if not pairs:
            return []
        common = [self._compared(*pair) for pair in pairs]
        said = iter(self._said([found.facts for each in common for found in each]))
        alike = [
            self.points.alike(self._texts(need, here), self._texts(other, there))
            for need, here, other, there in pairs
        ]
        facts = []
        for each, near in zip(common, alike, strict=True):
            logits = list(islice(said, len(each)))
            facts.append((*each[0].facts, near, max(logits), sum(logits) / len(logits)))
        scores = self._state.levels.refined.log_odds(facts)
        return [
            Candidate(
                group=there,
                case=other,
                facts=facts[at],
                score=odds(scores[at]),
                reason=f"the texts mean the same ({alike[at]:.2f}), {common[at][0].reason}",
            )
            for at, (_, _, other, there) in enumerate(pairs)
        ]

    def _compared(self, need: Need, here: Group, other: Need, there: Group) -> list[Common]:
        """The two cases, and then all others that stand for their groups."""
        ones = {n.case_id: n for n in (need, *here.latest(_SAMPLE))}.values()
        others = {n.case_id: n for n in (other, *there.latest(_SAMPLE))}.values()
        return [self._state.evidence.compare(one, two) for one in ones for two in others]

    def _said(self, facts: Sequence[tuple[float, ...]]) -> list[float]:
        """What words say of each two cases, as log-odds."""
        levels = self._state.levels.levels
        both = [levels[level].log_odds(facts) for level in (SAME_INCIDENT, SAME_QUESTION)]
        return list(map(max, *both))

    def _texts(self, need: Need, group: Group) -> list[str]:
        """The cases whose texts say where a group lies."""
        return [need.case_id, *(n.case_id for n in group.latest(_MIDDLE) if n is not need)]


def _command(need: Need, here: Group, other: Candidate, at_ms: int) -> Command:
    """Named by the groups and their sizes, so that to find it again is to say it again. The
    smaller one's case holds the link: of one case there are never many."""
    smaller, larger = sorted(
        ((here, need), (other.group, other.case)), key=lambda one: (len(one[0]), one[0].incident_id)
    )
    about = "/".join(f"{group.incident_id}/{len(group)}" for group, _ in (smaller, larger))
    return Command(
        envelope=common_pb2.CommandEnvelope(
            command_id=ids.command_id(SUBJECT, "Join", about), subject=SUBJECT, asked_ms=at_ms
        ),
        case_id=smaller[1].case_id,
        join=incidents_pb2.Join(other_id=larger[1].case_id, score=other.score, reason=other.reason),
    )
