"""What was decided on the incidents of one partition, made true. Pure, deterministic.

A decision says its outcome, so that `take` needs no rules: it makes it true whether it was made a
moment ago or is read from the log. What is remembered is bounded: cases leave `keep` after they
were last heard of, and the oldest give way.
"""

from collections import deque
from collections.abc import Iterable

from mawja.dedup.v1 import incidents_pb2

from services.dedup.incidents import need as needs
from services.dedup.incidents.evidence import Evidence
from services.dedup.incidents.group import Group
from services.dedup.incidents.index import Index
from services.dedup.incidents.levels import Levels
from services.dedup.incidents.need import Need, NeedStated
from services.dedup.incidents.parting import Partings

Decision = incidents_pb2.IncidentDecision
NONE = -1
_FORGET_EVERY_MS = 600_000
_MOST_GONE = 2_000
_MOST_LINKED_BY = 16
_MOST_LEFT = 3
Changed = tuple[set[str], set[str]]
"""What a decision changed: incidents and cases, by id."""


class Folded:
    """The state of one partition, as its log says."""

    def __init__(self, evidence: Evidence, levels: Levels) -> None:
        self.levels = levels
        self.needs: dict[str, Need] = {}
        self.groups: dict[str, Group] = {}
        self.group_of: dict[str, Group] = {}
        self.links: dict[str, tuple[incidents_pb2.CaseLink, ...]] = {}
        self.linked_by: dict[str, deque[str]] = {}
        """The latest cases that have a link to a case."""
        self.gone: dict[str, str] = {}
        """The latest incidents that are no more, and what they became part of ("": nothing)."""
        self.partings = Partings()
        self.through = NONE
        self.decided: dict[str, int] = {}
        self.changed: Changed = (set(), set())
        """What the last decision changed."""
        self.forgotten: dict[str, list[str]] = {}
        """The cases that were forgotten with it, and the incidents that may still list them."""
        self.thinned: set[str] = set()
        """The incidents they were in: stated by no decision, a sweep may concern thousands."""
        self.evidence = evidence
        self._index = Index()
        self._left: dict[str, list[str]] = {}
        self.newest_ms = self._forgotten_ms = 0

    def fold(self, decision: Decision, offset: int) -> Changed:
        """Takes up a decision of the log, in order of offset."""
        self.through = offset
        return self.take(decision)

    def statement(self, incident_id: str) -> incidents_pb2.Incident:
        """An incident as it stands; of one that is no more, its id and what it became part of."""
        if (group := self.groups.get(incident_id)) is not None:
            return group.stated(self.levels.question_share)
        into = self.gone.get(incident_id, "")
        return incidents_pb2.Incident(incident_id=incident_id, joined_into=into)

    def take(self, decision: Decision) -> Changed:
        """Makes a decision true."""
        self.forgotten, self.thinned = {}, set()
        incidents, cases = set[str](), {decision.case_id}
        case = decision.case_id
        if decision.HasField("unlinked"):
            self.partings.take(decision, self.group_of.get(case))
        elif decision.HasField("outcome"):
            self.partings.tell(decision)
        if decision.HasField("need"):
            self._know(decision.need, alone=not decision.incident_id)
        if decision.change in _SETTLES and case in self.needs:
            self._link(case, decision.links, cases)
        if decision.change == incidents_pb2.INCIDENT_CHANGE_JOINED:
            self._join(decision, incidents, cases)
        elif decision.change in _PARTS:
            self._part(decision, incidents, cases)
        here = self.group_of.get(case)
        if here is not None and decision.HasField("need"):
            here.put(self.needs[case])
            incidents.add(here.incident_id)
        if decision.HasField("need"):
            self._forget([case] if decision.need.merged_into else ())
            # Last: a late case may be among the oldest, and what it joined with it.
            self._forget_old()
        at = decision.input
        self.decided[at.topic] = max(at.offset, self.decided.get(at.topic, NONE))
        return incidents, cases

    def _link(self, case: str, links: Iterable[incidents_pb2.CaseLink], cases: set[str]) -> None:
        before = {link.case_id for link in self.links.get(case, ())}
        self.links[case] = tuple(links)
        now = {link.case_id for link in self.links[case]}
        for other in now - before:
            by = self.linked_by.setdefault(other, deque(maxlen=_MOST_LINKED_BY))
            if case not in by:
                by.append(case)
        cases |= now ^ before

    def _join(self, decision: Decision, incidents: set[str], cases: set[str]) -> None:
        name = decision.incident_id
        if (group := self.groups.get(name)) is None:
            group = self.groups[name] = Group(name)
            self.gone.pop(name, None)
        group.by_meaning |= any(link.by_meaning for link in decision.links)
        moving = [*decision.alone, decision.case_id]
        for other in decision.joined:
            gone = self.groups.get(other)
            if gone is not None and gone is not group:
                group.by_meaning |= gone.by_meaning
                self.partings.renamed(other, name)
                moving += gone.needs
        for case in moving:
            self._move(case, group, incidents)
        cases.update(moving)
        for other in decision.joined:
            self._is_gone(other, name)
            incidents.add(other)
        incidents.add(name)

    def _part(self, decision: Decision, incidents: set[str], cases: set[str]) -> None:
        here = self.group_of.get(decision.case_id)
        if decision.change == incidents_pb2.INCIDENT_CHANGE_UNLINKED:
            if not decision.unlinked.incident:
                self._drop_link(decision.unlinked.other_id, decision.case_id)
                cases.add(decision.unlinked.other_id)
                return
            for other in list(here.needs) if here is not None else ():
                if self._drop_link(other, decision.case_id):
                    cases.add(other)
        self._move(decision.case_id, None, incidents)
        for part in decision.parts:
            group = None
            if part.incident_id:
                group = self.groups[part.incident_id] = Group(part.incident_id)
                incidents.add(part.incident_id)
                if here is not None:
                    group.by_meaning = here.by_meaning
                    self.partings.renamed(here.incident_id, part.incident_id)
            for case in part.case_ids:
                self._move(case, group, incidents)
            cases.update(part.case_ids)

    def _drop_link(self, case: str, other: str) -> bool:
        links = self.links.get(case, ())
        if not any(link.case_id == other for link in links):
            return False
        self.links[case] = tuple(link for link in links if link.case_id != other)
        return True

    def _move(self, case: str, to: Group | None, incidents: set[str]) -> None:
        at = self.group_of.get(case)
        if at is to:
            return
        if at is not None:
            at.take(case)
            incidents.add(at.incident_id)
            self._left[case] = [*self._left.get(case, ())[-_MOST_LEFT:], at.incident_id]
            if not at.needs:
                self.groups.pop(at.incident_id, None)
                self._is_gone(at.incident_id, "")
            self.group_of.pop(case)
        need = self.needs.get(case)
        if to is not None and need is not None:
            to.put(need)
            self.group_of[case] = to

    def _is_gone(self, incident_id: str, into: str) -> None:
        self.gone[incident_id] = into
        if len(self.gone) > _MOST_GONE:
            del self.gone[next(iter(self.gone))]

    def left(self, case: str, group: Group | None) -> list[str]:
        """The incidents that a case left, the one it is in now not among them."""
        here = group.incident_id if group is not None else ""
        return [name for name in self._left.get(case, ()) if name != here]

    def _know(self, stated: NeedStated, alone: bool) -> None:
        before = self.needs.get(stated.case_id)
        if before is not None and before.version >= stated.case_version:
            return
        need = needs.of(stated) if before is None else needs.added(before, stated)
        if before is not None:
            self._index.remove(before)
        said = self.evidence.said(need)
        self._index.add(need, said)
        self.needs[need.case_id] = need
        if before is None and alone:
            # An event once, however many tell of it.
            self.evidence.ordinary.learn({*said.words, *said.sounds})
        self.newest_ms = max(self.newest_ms, need.last_ms)

    def _forget_old(self) -> None:
        crowded = len(self.needs) > self.levels.most_cases
        if self.newest_ms < self._forgotten_ms + _FORGET_EVERY_MS and not crowded:
            return
        self._forgotten_ms = self.newest_ms
        oldest = self.newest_ms - self.levels.keep
        self._forget(needs.outlived(self.needs, oldest, self.levels.most_cases))

    def _forget(self, cases: Iterable[str]) -> None:
        for case in cases:
            if (need := self.needs.pop(case, None)) is None:
                continue
            self._index.remove(need)
            self._move(case, None, self.thinned)
            self.forgotten[case] = self._left.pop(case, [])
            for known in (self.links, self.linked_by):
                known.pop(case, None)

    def everything(self) -> Iterable[Group]:
        """All incidents."""
        return self.groups.values()


_PARTS = (incidents_pb2.INCIDENT_CHANGE_PARTED, incidents_pb2.INCIDENT_CHANGE_UNLINKED)
_SETTLES = (
    incidents_pb2.INCIDENT_CHANGE_ALONE,
    incidents_pb2.INCIDENT_CHANGE_JOINED,
    incidents_pb2.INCIDENT_CHANGE_KNOWN,
    *_PARTS,
)
