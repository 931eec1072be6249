"""What Redis holds of incidents, so that any replica can show them. Pure: keys and entries.

incidents:incident:<id>   the incident (Incident)
incidents:case:<id>       where a case stands among others (CasePlaceView)
incidents:cases:<id>      sorted set: an incident's cases by first arrival
incidents:list:<agency>   sorted set: incidents, the one last heard of first; "*" for all
"""

from collections.abc import Iterable, Iterator, Mapping

from mawja.dedup.v1 import incidents_pb2

from services.dedup.incidents.state import Incidents
from services.dedup.known import key_of
from services.runtime.store import IndexOp, Item

ROOM = "incidents"
ANY = "*"
_KEPT_S = 30 * 24 * 3600
"""What people said of a case is in the log for as long."""
_NOBODY: Mapping[str, Iterable[str]] = {}


def incident_key(incident_id: str) -> str:
    """Where an incident is kept."""
    return f"{ROOM}:incident:{incident_id}"


def case_key(case_id: str) -> str:
    """Where a case's place is kept."""
    return f"{ROOM}:case:{case_id}"


def cases_index(incident_id: str) -> str:
    """The cases of an incident, as UUID bytes, by first arrival."""
    return f"{ROOM}:cases:{incident_id}"


def list_index(agency: str) -> str:
    """Incidents with cases of an agency (ANY: all), as UUID bytes, latest first."""
    return f"{ROOM}:list:{agency}"


class Shown:
    """What is listed where, so that it can be taken out again."""

    def __init__(self, partition: int) -> None:
        self._partition = partition
        self._listed: dict[str, set[str]] = {}

    def known(self, state: Incidents, changed: Iterable[str], shown: bool) -> None:
        """Where incidents that a folded decision changed are listed: a past owner listed them.
        `shown`: it showed them as they are now; otherwise perhaps only as they were before too."""
        for incident_id in changed:
            if (group := state.groups.get(incident_id)) is not None:
                before = set() if shown else self._listed.get(incident_id, set())
                self._listed[incident_id] = {ANY, *group.agencies(), *before}
            elif shown:
                self._listed.pop(incident_id, None)

    def items(
        self,
        state: Incidents,
        changed: Iterable[str],
        cases: Iterable[str],
        offset: int,
        forgotten: Mapping[str, Iterable[str]] = _NOBODY,
    ) -> Iterator[Item]:
        """The entries of incidents and cases that changed, as they stand at `offset`. `forgotten`:
        cases, and the incidents that may still list them."""
        for incident_id in dict.fromkeys(changed):
            yield self._incident(state, incident_id, offset)
        for case_id in dict.fromkeys(cases):
            if case_id in state.needs:
                yield self._case(state, case_id, offset)
        for case_id, names in forgotten.items():
            if case_id not in state.needs:
                yield self._without(state, case_id, names, offset)

    def everything(self, state: Incidents) -> Iterator[Item]:
        """The whole view."""
        changed = [group.incident_id for group in state.everything()]
        yield from self.items(state, [*changed, *state.gone], state.needs, state.through)

    def _incident(self, state: Incidents, incident_id: str, offset: int) -> Item:
        group = state.groups.get(incident_id)
        stated = state.statement(incident_id)
        stated.through_offset = offset
        listed = self._listed.pop(incident_id, set())
        member, ops = key_of(incident_id), []
        if group is not None:
            self._listed[incident_id] = places = {ANY, *group.agencies()}
            ops = [IndexOp(list_index(one), member, -float(stated.last_ms)) for one in places]
            listed -= places
        ops += [IndexOp(list_index(one), member, None) for one in sorted(listed)]
        return Item(
            incident_key(incident_id), stated.SerializeToString(), max(offset, 0), tuple(ops)
        )

    def _case(self, state: Incidents, case_id: str, offset: int) -> Item:
        group, need = state.group_of.get(case_id), state.needs[case_id]
        view = incidents_pb2.CasePlaceView(
            incident_id=group.incident_id if group else "",
            links=links_of(state, case_id),
            unlinked=state.partings.of_case.get(case_id, ()),
            partition=self._partition,
        )
        ops = [
            IndexOp(cases_index(name), key_of(case_id), None) for name in state.left(case_id, group)
        ]
        if group is not None:
            ops.append(
                IndexOp(cases_index(group.incident_id), key_of(case_id), float(need.first_ms))
            )
        return Item(case_key(case_id), view.SerializeToString(), max(offset, 0), tuple(ops))

    def _without(self, state: Incidents, case_id: str, names: Iterable[str], offset: int) -> Item:
        """What is left of a case that is not remembered: what people said of it, for a while."""
        view = incidents_pb2.CasePlaceView(
            unlinked=state.partings.of_case.get(case_id, ()), partition=self._partition
        )
        ops = tuple(IndexOp(cases_index(name), key_of(case_id), None) for name in names)
        at = max(offset, 0)
        return Item(case_key(case_id), view.SerializeToString(), at, ops, ttl_s=_KEPT_S)


def links_of(state: Incidents, case_id: str) -> Iterator[incidents_pb2.CaseLink]:
    """A case's links, its own and those that later cases have to it, once each."""
    seen = set()
    for link in state.links.get(case_id, ()):
        seen.add(link.case_id)
        yield link
    for other in state.linked_by.get(case_id, ()):
        if other in seen:
            continue
        for link in state.links.get(other, ()):
            if link.case_id == case_id:
                mirrored = incidents_pb2.CaseLink()
                mirrored.CopyFrom(link)
                mirrored.case_id = other
                yield mirrored
