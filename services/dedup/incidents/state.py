"""The incidents of one partition: what was decided, and what is decided next. Pure, deterministic.

Every input gives one decision, and the decision says the outcome: `take` makes it true, whether it
was made a moment ago or is read from the log; what today's rules would say of it does not matter.
What is remembered is bounded: cases leave `keep` after they were last heard of, and the oldest give
way.
"""

from collections import deque
from collections.abc import Iterable

from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import incidents_pb2

from services.dedup.incidents import need as needs
from services.dedup.incidents import parting
from services.dedup.incidents.evidence import Evidence, odds
from services.dedup.incidents.group import Group
from services.dedup.incidents.index import Index
from services.dedup.incidents.levels import Levels
from services.dedup.incidents.need import Need, NeedStated
from services.dedup.incidents.parting import Partings
from services.dedup.incidents.placing import Fit, Placer
from services.runtime import ids

Decision = incidents_pb2.IncidentDecision
NONE = -1
_FORGET_EVERY_MS = 600_000
_MOST_JOINED = 4
_MOST_GONE = 2_000
_MOST_LINKED_BY = 16
_MOST_LEFT = 3
Changed = tuple[set[str], set[str]]
"""What a decision changed: incidents and cases, by id."""


class Incidents:
    """The state of one partition."""

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
        self._evidence = evidence
        self._placer = Placer(evidence, levels)
        self._index = Index()
        self._left: dict[str, list[str]] = {}
        self._newest_ms = self._forgotten_ms = 0

    # Deciding.

    def stated(self, stated: NeedStated, at: common_pb2.Input, now_ms: int) -> Decision:
        """Decides on what a case states."""
        decision = Decision(input=at, case_id=stated.case_id, decided_ms=now_ms)
        before = self.needs.get(stated.case_id)
        if before is not None and before.version >= stated.case_version:
            decision.change = incidents_pb2.INCIDENT_CHANGE_REPEATED
            self._say_where(decision)
            return self._done(decision)
        decision.need.CopyFrom(stated)
        need = needs.of(stated) if before is None else needs.added(before, stated)
        if need.merged_into:
            self._leave(decision)
        elif before is not None and needs.says_the_same(before, need):
            decision.change = incidents_pb2.INCIDENT_CHANGE_KNOWN
            decision.links.extend(self.links.get(need.case_id, ()))
            self._say_where(decision)
        else:
            self._settle(decision, need)
        return self._done(decision)

    def part(
        self, command: incidents_pb2.IncidentCommand, at: common_pb2.Input, now_ms: int
    ) -> Decision:
        """Decides on what a person parts. The same command again gets its first outcome."""
        envelope, asked = command.envelope, command.unlink
        decision = Decision(input=at, case_id=command.case_id, decided_ms=now_ms)
        decision.outcome.command_id = envelope.command_id
        if (told := self.partings.told.get(envelope.command_id)) is not None:
            decision.change = incidents_pb2.INCIDENT_CHANGE_REPEATED
            decision.outcome.code, decision.outcome.message = told
            decision.links.extend(self.links.get(command.case_id, ()))
            self._say_where(decision)
            return self._done(decision)
        group = self.group_of.get(command.case_id)
        refusal = parting.refusal(command, self.needs, self.links, group)
        if refusal is not None:
            decision.change = incidents_pb2.INCIDENT_CHANGE_REFUSED
            decision.outcome.code, decision.outcome.message = refusal
            self._say_where(decision)
            return self._done(decision)
        decision.unlinked.CopyFrom(
            incidents_pb2.Unlinked(
                case_id=command.case_id,
                other_id=asked.other_id,
                incident=asked.incident,
                author=envelope.subject,
                unlinked_ms=envelope.asked_ms,
                sealed_reason=asked.sealed_reason,
            )
        )
        if asked.incident:
            self._leave(decision)
        else:
            links = self.links.get(command.case_id, ())
            decision.links.extend(link for link in links if link.case_id != asked.other_id)
            self._say_where(decision)
        decision.change = incidents_pb2.INCIDENT_CHANGE_UNLINKED
        return self._done(decision)

    def _settle(self, decision: Decision, need: Need) -> None:
        said = self._evidence.said(need)
        found = [
            other
            for case in (self._index.find(need, said) if self._evidence.speaks(need) else ())
            if (other := self.needs[case]).drill == need.drill
            and needs.apart_ms(need, other) <= self.levels.window
            and self._evidence.speaks(other)
        ]
        placed = self._placer.place(
            need, found, self.group_of.get, self.partings.barred, self.partings.parted
        )
        decision.links.extend(placed.links)
        here = self.group_of.get(need.case_id)
        join_at = self.levels.join_at
        if here is not None and (
            placed.own is None or odds(placed.own.logit) < self.levels.stay_at
        ):
            links = list(decision.links)
            self._leave(decision)
            decision.links.extend(links)
            here = None
        fits = [fit for fit in placed.fits if odds(fit.logit) >= join_at]
        # What lost its place finds another with what is stated next: one decision does one thing.
        if decision.change == incidents_pb2.INCIDENT_CHANGE_PARTED:
            return
        joined = self._joined(need, here, fits)
        if not joined:
            decision.change = (
                incidents_pb2.INCIDENT_CHANGE_ALONE
                if here is None
                else incidents_pb2.INCIDENT_CHANGE_KNOWN
            )
            self._say_where(decision)
            self._bond(decision, need, placed.own)
            return
        decision.change = incidents_pb2.INCIDENT_CHANGE_JOINED
        groups = [fit.group for fit in joined] + ([here] if here is not None else [])
        whole = [group for group in groups if group.incident_id in self.groups]
        if whole:
            # The oldest keeps its name.
            stays = min(whole, key=lambda g: (next(iter(g.needs.values())).first_ms, g.incident_id))
            decision.incident_id = stays.incident_id
            decision.joined.extend(g.incident_id for g in whole if g is not stays)
        else:
            first = next(iter(joined[0].group.needs))
            decision.incident_id = ids.derive("incident", first)
        # A group that is no incident yet is one case, and is named by it.
        decision.alone.extend(g.incident_id for g in groups if g.incident_id not in self.groups)
        for fit in joined:
            self._bond(decision, need, fit)
        self._bond(decision, need, placed.own)

    def _joined(self, need: Need, here: Group | None, fits: list[Fit]) -> list[Fit]:
        """The groups that become one with the case: each must fit what is joined already."""
        taken: list[Fit] = []
        for fit in fits:
            if len(taken) == _MOST_JOINED:
                break
            others = [one.group for one in taken] + ([here] if here is not None else [])
            if all(
                odds(self._placer.belong(fit.group, other)) >= self.levels.join_at
                and not self.partings.between(fit.group, other)
                for other in others
            ):
                taken.append(fit)
        return taken

    def _bond(self, decision: Decision, need: Need, fit: Fit | None) -> None:
        """The case is linked with what it fits best there: that is what holds an incident."""
        if fit is None or any(link.case_id == fit.best.case_id for link in decision.links):
            return
        if not self.partings.parted(need.case_id, fit.best.case_id):
            decision.links.append(self._placer.bond(need, fit.best))

    def _leave(self, decision: Decision) -> None:
        """The case leaves its incident; what no longer hangs together falls apart."""
        decision.change = incidents_pb2.INCIDENT_CHANGE_PARTED
        del decision.links[:]
        group = self.group_of.get(decision.case_id)
        if group is None:
            return
        rest = [case for case in group.needs if case != decision.case_id]
        pieces = parting.pieces(rest, self.links)
        # The largest keeps the name, unless nothing of two is left.
        for piece in pieces[1:] if pieces and len(pieces[0]) > 1 else pieces:
            name = ids.derive(
                "incident", piece[0], decision.input.topic, str(decision.input.offset)
            )
            decision.parts.add(incident_id=name if len(piece) > 1 else "", case_ids=piece)

    def _say_where(self, decision: Decision) -> None:
        group = self.group_of.get(decision.case_id)
        decision.incident_id = "" if group is None else group.incident_id

    def _done(self, decision: Decision) -> Decision:
        self.changed = self.take(decision)
        decision.incidents.extend(self.statement(one) for one in sorted(self.changed[0]))
        return decision

    # Folding.

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
        moving = [*decision.alone, decision.case_id]
        for other in decision.joined:
            gone = self.groups.get(other)
            if gone is not None and gone is not group:
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
        said = self._evidence.said(need)
        self._index.add(need, said)
        self.needs[need.case_id] = need
        if before is None and alone:
            # An event once, however many tell of it.
            self._evidence.ordinary.learn({*said.words, *said.sounds})
        self._newest_ms = max(self._newest_ms, need.last_ms)

    # Forgetting.

    def _forget_old(self) -> None:
        crowded = len(self.needs) > self.levels.most_cases
        if self._newest_ms < self._forgotten_ms + _FORGET_EVERY_MS and not crowded:
            return
        self._forgotten_ms = self._newest_ms
        oldest = self._newest_ms - self.levels.keep
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
