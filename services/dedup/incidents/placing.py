"""Where a case belongs: which cases it is linked with, and into which incident it goes. Pure.

A case fits an incident as well as the mean of its best fit and its average one among the members
looked at, so that one word too many in common joins nothing that is otherwise foreign. It may make
two incidents one when it fits both and they fit each other. Nothing goes where a person took it
out.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from mawja.dedup.v1 import events_pb2, incidents_pb2

from services.dedup.incidents.evidence import Common, Evidence, odds, weigh
from services.dedup.incidents.group import Group
from services.dedup.incidents.levels import (
    OTHER_PERSON,
    SAME_INCIDENT,
    SAME_QUESTION,
    Levels,
)
from services.dedup.incidents.need import Need

MOST_LINKS = 8
_MOST_GROUPS = 4
_LOOKED_AT = 4
_SAMPLE = 3
_WHOLE = 1.0
_RANK = (OTHER_PERSON, SAME_INCIDENT, SAME_QUESTION)


@dataclass(frozen=True, slots=True)
class Fit:
    """How well a case fits a group (or a case that stands alone): log-odds, 0 is as likely as not.

    `best`: the member that it fits best."""

    group: Group
    logit: float
    best: Need


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a case goes. `own`: how well it fits where it is already, None when it stands alone.
    `fits`: the groups that it may join, the best first. `links`: the best first."""

    own: Fit | None
    fits: tuple[Fit, ...]
    links: tuple[incidents_pb2.CaseLink, ...]


class Placer:
    """Holds cases against each other."""

    def __init__(self, evidence: Evidence, levels: Levels) -> None:
        self._evidence = evidence
        self._levels = levels
        self._weights = [levels.levels[level].weights for level in (SAME_INCIDENT, SAME_QUESTION)]

    def place(
        self,
        need: Need,
        found: Sequence[Need],
        group_of: Callable[[str], Group | None],
        barred: Callable[[str, Group], bool],
        parted: Callable[[str, str], bool],
    ) -> Placed:
        """Where `need` goes among `found`. `barred`: whether a person took the case of an id out of
        a group; `parted`: whether a person parted two cases."""
        common = {other.case_id: self._evidence.compare(need, other) for other in found}
        fits: list[Fit] = []
        own: Fit | None = None
        seen: set[str] = set()
        for other in found:
            group = group_of(other.case_id) or _alone(other)
            if group.incident_id in seen or (
                len(seen) == _MOST_GROUPS and need.case_id not in group.needs
            ):
                continue
            seen.add(group.incident_id)
            if barred(need.case_id, group):
                continue
            fit = self._fit(need, group, common)
            if fit is None:
                continue
            if need.case_id in group.needs:
                own = fit
            else:
                fits.append(fit)
        # Of nearly equals an incident goes before a case alone, whose mean is its best.
        fits.sort(key=lambda f: (-f.logit - _WHOLE * (len(f.group) > 1), f.group.incident_id))
        allowed = [n for n in found if not parted(need.case_id, n.case_id)]
        links = sorted(
            self._links(need, allowed, common), key=lambda link: (-link.score, link.case_id)
        )
        return Placed(own, tuple(fits), tuple(links[:MOST_LINKS]))

    def belong(self, one: Group, other: Group) -> float:
        """How well two groups fit each other: log-odds."""
        logits = [
            self._logit(self._evidence.compare(first, second))
            for first in one.latest(_SAMPLE)
            for second in other.latest(_SAMPLE)
        ]
        return (max(logits) + sum(logits) / len(logits)) / 2

    def bond(self, need: Need, other: Need) -> incidents_pb2.CaseLink:
        """Why `need` is where `other` is."""
        common = self._evidence.compare(need, other)
        return _link(other, SAME_INCIDENT, odds(self._logit(common)), common.reason)

    def _fit(self, need: Need, group: Group, common: dict[str, Common]) -> Fit | None:
        best, logits = None, []
        members = (
            [n for n in group.needs.values() if n.case_id in common]
            if len(group) < 64
            else [n for case in common if (n := group.needs.get(case)) is not None]
        )
        looked = {n.case_id: n for n in (*members, *group.latest(_LOOKED_AT))}
        looked.pop(need.case_id, None)
        for case, member in looked.items():
            held = common.get(case) or self._evidence.compare(need, member)
            logit = self._logit(held)
            if best is None or logit > best[0]:
                best = (logit, member)
            logits.append(logit)
        if best is None:
            return None
        return Fit(group, (best[0] + sum(logits) / len(logits)) / 2, best[1])

    def _logit(self, common: Common) -> float:
        """The better of one event and one question: both gather here."""
        return max(weigh(common.facts, weights) for weights in self._weights)

    def _links(
        self, need: Need, found: Iterable[Need], common: dict[str, Common]
    ) -> Iterator[incidents_pb2.CaseLink]:
        for other in found:
            held = common[other.case_id]
            # What one person's cases have to do with each other is decided where they are opened.
            if need.person and need.person == other.person:
                continue
            for number in _RANK:
                level = self._levels.levels[number]
                score = odds(weigh(held.facts, level.weights))
                if score >= level.threshold(need.agency):
                    yield _link(other, number, score, held.reason)
                    break


def _alone(need: Need) -> Group:
    """A case that is in no incident, as a group of its own, named by itself."""
    group = Group(need.case_id)
    group.put(need)
    return group


def _link(
    other: Need, level: events_pb2.LinkLevel.ValueType, score: float, reason: str
) -> incidents_pb2.CaseLink:
    return incidents_pb2.CaseLink(
        case_id=other.case_id, level=level, score=round(score, 2), reason=reason
    )
