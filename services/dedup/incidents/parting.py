"""What people took apart, never to be put together again; what falls apart by itself. Pure."""

from collections.abc import Mapping, Sequence

from mawja.dedup.v1 import incidents_pb2

from services.dedup.commands import NOT_FOUND, NOT_IN_STATE
from services.dedup.incidents.group import Group
from services.dedup.incidents.need import Need

Links = Sequence[incidents_pb2.CaseLink]
_MOST_APART = 1_000
_MOST_TOLD = 20_000
_MOST_JOINED = 2_000
"""Members of an incident up to which it is looked at whether it still hangs together."""


class Partings:
    """What people parted, by case. A case that was taken out of an incident is kept from it under
    every name it gets, and from its (latest thousand) members wherever they go."""

    def __init__(self) -> None:
        self.told: dict[str, tuple[int, str]] = {}
        self.of_case: dict[str, list[incidents_pb2.Unlinked]] = {}
        self._from: dict[str, set[str]] = {}
        self._apart: dict[str, set[str]] = {}
        self._not_linked: dict[str, set[str]] = {}

    def take(self, decision: incidents_pb2.IncidentDecision, group: Group | None) -> None:
        """A person parted a case from something. `group`: the incident it was in."""
        unlinked = decision.unlinked
        case, other = unlinked.case_id, unlinked.other_id
        self.of_case.setdefault(case, []).append(unlinked)
        self.tell(decision)
        if not unlinked.incident:
            self._not_linked.setdefault(case, set()).add(other)
            self._not_linked.setdefault(other, set()).add(case)
            return
        self._from.setdefault(case, set()).add(other)
        members = [need.case_id for need in group.latest(_MOST_APART)] if group else []
        for member in members:
            if member != case:
                self._apart.setdefault(case, set()).add(member)
                self._apart.setdefault(member, set()).add(case)

    def tell(self, decision: incidents_pb2.IncidentDecision) -> None:
        """The first outcome of a command."""
        outcome = decision.outcome
        if len(self.told) >= _MOST_TOLD:
            del self.told[next(iter(self.told))]
        self.told.setdefault(outcome.command_id, (outcome.code, outcome.message))

    def renamed(self, name: str, into: str) -> None:
        """An incident, or a part of it, has another name from now on."""
        for names in self._from.values():
            if name in names:
                names.add(into)

    def barred(self, case: str, group: Group) -> bool:
        """Whether the case may not be in this group."""
        if group.incident_id in self._from.get(case, ()):
            return True
        return any(other in group.needs for other in self._apart.get(case, ()))

    def parted(self, case: str, other: str) -> bool:
        """Whether the two may not be linked."""
        return other in self._not_linked.get(case, ()) or other in self._apart.get(case, ())

    def between(self, one: Group, other: Group) -> bool:
        """Whether two groups may not be one, because of any of their cases."""
        return any(
            (case in one.needs and self.barred(case, other))
            or (case in other.needs and self.barred(case, one))
            for case in self._from
        )


def refusal(
    command: incidents_pb2.IncidentCommand,
    needs: Mapping[str, Need],
    links: Mapping[str, Links],
    group: Group | None,
) -> tuple[int, str] | None:
    """Why a command is refused, as a code and a sentence; None when it is not."""
    case, asked = command.case_id, command.unlink
    if case not in needs:
        return NOT_FOUND, "the case is in no incident and linked with nothing"
    if asked.incident:
        if group is None or group.incident_id != asked.other_id:
            return NOT_IN_STATE, "the case is not in this incident"
    elif not (_linked(links, case, asked.other_id) or _linked(links, asked.other_id, case)):
        return NOT_IN_STATE, "the two cases are not linked"
    return None


def pieces(cases: Sequence[str], links: Mapping[str, Links]) -> list[list[str]]:
    """What hangs together by links among `cases`, the largest first (of equals the one with the
    earliest case), each in their order. Of more than 2,000 all hang together."""
    if len(cases) > _MOST_JOINED:
        return [list(cases)]
    above = {case: case for case in cases}

    def top(case: str) -> str:
        while above[case] != case:
            above[case] = above[above[case]]
            case = above[case]
        return case

    for case in cases:
        for link in links.get(case, ()):
            if link.case_id in above:
                above[top(case)] = top(link.case_id)
    found: dict[str, list[str]] = {}
    for case in cases:
        found.setdefault(top(case), []).append(case)
    return sorted(found.values(), key=lambda piece: -len(piece))


def _linked(links: Mapping[str, Links], case: str, other: str) -> bool:
    return any(link.case_id == other for link in links.get(case, ()))
