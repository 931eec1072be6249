"""Two incidents become one, by what is stated of a case or by what texts mean. Pure.

That texts mean the same is found beside the fast path and comes as a command, which may be late or
come twice: it is refused when the two are one by then, or when they may not be.
"""

from collections.abc import Callable, Mapping, Sequence

from mawja.dedup.v1 import incidents_pb2

from services.dedup.commands import NOT_FOUND, NOT_IN_STATE
from services.dedup.incidents import need as needs
from services.dedup.incidents.group import Group
from services.dedup.incidents.levels import SAME_INCIDENT
from services.dedup.incidents.need import Need
from services.dedup.incidents.parting import Partings
from services.runtime import ids

Decision = incidents_pb2.IncidentDecision
GroupOf = Callable[[str], Group | None]


def alone(need: Need) -> Group:
    """A case that is in no incident, as a group of its own, named by itself."""
    group = Group(need.case_id)
    group.put(need)
    return group


def refusal(
    case_id: str,
    other_id: str,
    known: Mapping[str, Need],
    group_of: GroupOf,
    partings: Partings,
    window_ms: int,
) -> tuple[int, str] | None:
    """Why the incidents of two cases are not made one, as a code and a sentence; None when they
    are."""
    one, other = known.get(case_id), known.get(other_id)
    if one is None or other is None:
        return NOT_FOUND, "one of the two cases is not remembered"
    first, second = group_of(case_id) or alone(one), group_of(other_id) or alone(other)
    if first.incident_id == second.incident_id:
        return NOT_IN_STATE, "the two cases are in one incident already"
    if one.drill != other.drill:
        return NOT_IN_STATE, "one of the two cases is a rehearsal"
    if needs.apart_ms(one, other) > window_ms:
        return NOT_IN_STATE, "the two cases are too far apart in time"
    if partings.parted(case_id, other_id) or partings.between(first, second):
        return NOT_IN_STATE, "a person parted them"
    return None


def bond(asked: incidents_pb2.Join) -> incidents_pb2.CaseLink:
    """The link that holds the case in one incident with the other."""
    return incidents_pb2.CaseLink(
        case_id=asked.other_id,
        level=SAME_INCIDENT,
        score=round(asked.score, 2),
        reason=asked.reason,
        by_meaning=True,
    )


def unite(decision: Decision, groups: Sequence[Group], taken: Callable[[str], bool]) -> None:
    """Says in a decision that `groups`, one of which may be its case, become one: of those that are
    incidents the oldest keeps its name. `taken`: whether an incident has or had a name."""
    decision.change = incidents_pb2.INCIDENT_CHANGE_JOINED
    # A group that is no incident yet is one case, and is named by it.
    whole = [group for group in groups if not _single(group)]
    singles = [group.incident_id for group in groups if _single(group)]
    if whole:
        stays = min(whole, key=lambda g: (next(iter(g.needs.values())).first_ms, g.incident_id))
        decision.incident_id = stays.incident_id
        decision.joined.extend(g.incident_id for g in whole if g is not stays)
    else:
        decision.incident_id = ids.derive("incident", singles[0])
        if taken(decision.incident_id):
            # The case made an incident before, and left it.
            at = decision.input
            decision.incident_id = ids.derive("incident", singles[0], at.topic, str(at.offset))
    decision.alone.extend(case for case in singles if case != decision.case_id)


def _single(group: Group) -> bool:
    return group.incident_id in group.needs
