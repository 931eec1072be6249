"""Where a case belongs: which cases it is linked with, and into which incident it goes. Pure.

A case fits an incident as well as the mean of its best fit and its average one among the members
looked at, so that one word too many in common joins nothing that is otherwise foreign. It may make
two incidents one when it fits both and they fit each other. Nothing goes where a person took it
out.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from mawja.dedup.v1 import events_pb2, incidents_pb2

from services.dedup.incidents.evidence import Common, Evidence, odds
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
        held = self._hold(need, found)
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
            fit = self._fit(need, group, held)
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
            self._links(need, allowed, held), key=lambda link: (-link.score, link.case_id)
        )
        return Placed(own, tuple(fits), tuple(links[:MOST_LINKS]))

    def belong(self, one: Group, other: Group) -> float:
        """How well two groups fit each other: log-odds."""
        others = list(other.latest(_SAMPLE))
        logits = [
            held.gathers
            for first in one.latest(_SAMPLE)
            for held in self._hold(first, others).values()
        ]
        return (max(logits) + sum(logits) / len(logits)) / 2

    def bond(self, need: Need, other: Need) -> incidents_pb2.CaseLink:
        """Why `need` is where `other` is."""
        held = self._hold(need, [other])[other.case_id]
        return _link(other, SAME_INCIDENT, odds(held.gathers), held.common.reason)

    def _fit(self, need: Need, group: Group, held: Mapping[str, "_Held"]) -> Fit | None:
        members = (
            [n for n in group.needs.values() if n.case_id in held]
            if len(group) < 64
            else [n for case in held if (n := group.needs.get(case)) is not None]
        )
        looked = {n.case_id: n for n in (*members, *group.latest(_LOOKED_AT))}
        looked.pop(need.case_id, None)
        if not looked:
            return None
        every = {**held, **self._hold(need, [n for c, n in looked.items() if c not in held])}
        logits = {case: every[case].gathers for case in looked}
        best = max(logits, key=lambda case: logits[case])
        return Fit(group, (logits[best] + sum(logits.values()) / len(logits)) / 2, looked[best])

    def _hold(self, need: Need, others: Sequence[Need]) -> dict[str, "_Held"]:
        """What is in common with each of other cases, and what it says: many at once, since that
        takes hardly longer than one."""
        if not others:
            return {}
        common = [self._evidence.compare(need, other) for other in others]
        facts = [one.facts for one in common]
        logits = zip(*(self._levels.levels[level].log_odds(facts) for level in _RANK), strict=True)
        return {
            other.case_id: _Held(one, dict(zip(_RANK, of, strict=True)))
            for other, one, of in zip(others, common, logits, strict=True)
        }

    def _links(
        self, need: Need, found: Iterable[Need], held: Mapping[str, "_Held"]
    ) -> Iterator[incidents_pb2.CaseLink]:
        for other in found:
            one = held[other.case_id]
            # What one person's cases have to do with each other is decided where they are opened.
            if need.person and need.person == other.person:
                continue
            for number in _RANK:
                score = odds(one.logits[number])
                if score >= self._levels.levels[number].threshold(need.agency):
                    yield _link(other, number, score, one.common.reason)
                    break


@dataclass(frozen=True, slots=True)
class _Held:
    """What two cases have in common, and the log-odds of each level."""

    common: Common
    logits: Mapping[events_pb2.LinkLevel.ValueType, float]

    @property
    def gathers(self) -> float:
        """The better of one event and one question: both gather here."""
        return max(self.logits[SAME_INCIDENT], self.logits[SAME_QUESTION])


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
