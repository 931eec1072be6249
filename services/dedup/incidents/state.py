"""The incidents of one partition: what is decided next. Pure, deterministic.

Every input gives one decision, and the decision says the outcome; what was decided stands
(`folded`), whatever today's rules would say of it.
"""

from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import incidents_pb2

from services.dedup.incidents import joining, parting
from services.dedup.incidents import need as needs
from services.dedup.incidents.evidence import Evidence, odds
from services.dedup.incidents.folded import Folded
from services.dedup.incidents.group import Group
from services.dedup.incidents.levels import Levels
from services.dedup.incidents.need import Need, NeedStated
from services.dedup.incidents.placing import Fit, Placer
from services.runtime import ids

Decision = incidents_pb2.IncidentDecision
_MOST_JOINED = 4


class Incidents(Folded):
    """The state of one partition, and its decisions."""

    def __init__(self, evidence: Evidence, levels: Levels) -> None:
        super().__init__(evidence, levels)
        self._placer = Placer(evidence, levels)

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

    def command(
        self, command: incidents_pb2.IncidentCommand, at: common_pb2.Input, now_ms: int
    ) -> Decision:
        """Decides on a command. The same one again gets its first outcome."""
        decision = Decision(input=at, case_id=command.case_id, decided_ms=now_ms)
        decision.outcome.command_id = command.envelope.command_id
        if (told := self.partings.told.get(command.envelope.command_id)) is not None:
            decision.change = incidents_pb2.INCIDENT_CHANGE_REPEATED
            decision.outcome.code, decision.outcome.message = told
            decision.links.extend(self.links.get(command.case_id, ()))
            self._say_where(decision)
        elif (refusal := self.refusal(command)) is not None:
            decision.change = incidents_pb2.INCIDENT_CHANGE_REFUSED
            decision.outcome.code, decision.outcome.message = refusal
            self._say_where(decision)
        elif command.HasField("join"):
            self._make_one(decision, command.join)
        else:
            self._unlink(decision, command)
        return self._done(decision)

    def refusal(self, command: incidents_pb2.IncidentCommand) -> tuple[int, str] | None:
        """Why a command is refused, as a code and a sentence; None when it is not."""
        if command.HasField("join"):
            return joining.refusal(
                command.case_id,
                command.join.other_id,
                self.needs,
                self.group_of.get,
                self.partings,
                self.levels.window,
            )
        group = self.group_of.get(command.case_id)
        return parting.refusal(command, self.needs, self.links, group)

    def _make_one(self, decision: Decision, asked: incidents_pb2.Join) -> None:
        case, other = decision.case_id, asked.other_id
        links = self.links.get(case, ())
        decision.links.extend(link for link in links if link.case_id != other)
        decision.links.append(joining.bond(asked))
        groups = sorted((self.of(case), self.of(other)), key=lambda g: g.first_ms)
        joining.unite(decision, groups, self._taken)

    def _unlink(self, decision: Decision, command: incidents_pb2.IncidentCommand) -> None:
        envelope, asked = command.envelope, command.unlink
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

    def _settle(self, decision: Decision, need: Need) -> None:
        said = self.evidence.said(need)
        found = [
            other
            for case in (self._index.find(need, said) if self.evidence.speaks(need) else ())
            if (other := self.needs[case]).drill == need.drill
            and needs.apart_ms(need, other) <= self.levels.window
            and self.evidence.speaks(other)
        ]
        placed = self._placer.place(
            need, found, self.group_of.get, self.partings.barred, self.partings.parted
        )
        here = self.group_of.get(need.case_id)
        meant = self._meant(need.case_id, here)
        decision.links.extend(meant)
        named = {link.case_id for link in meant}
        decision.links.extend(link for link in placed.links if link.case_id not in named)
        join_at = self.levels.join_at
        if here is not None and not self._stays(need, here, placed.own):
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
        groups = [fit.group for fit in joined] + ([here] if here is not None else [])
        joining.unite(decision, groups, self._taken)
        for fit in joined:
            self._bond(decision, need, fit)
        self._bond(decision, need, placed.own)

    def _stays(self, need: Need, here: Group, own: Fit | None) -> bool:
        """Whether a case of which more is known still belongs where it is."""
        if own is not None and odds(own.logit) >= self.levels.stay_at:
            return True
        if not here.by_meaning:
            return False
        case = need.case_id
        if any(
            link.case_id == case
            for by in self.linked_by.get(case, ())
            for link in self._meant(by, here)
        ) or self._meant(case, here):
            return True
        # What meaning put together has few words in common: one that it fits is enough.
        return own is not None and self._placer.bond(need, own.best).score >= self.levels.stay_at

    def _meant(self, case: str, here: Group | None) -> list[incidents_pb2.CaseLink]:
        """The links of a case that what texts mean holds, and that still hold."""
        return [
            link
            for link in self.links.get(case, ())
            if link.by_meaning and here is not None and self.group_of.get(link.case_id) is here
        ]

    def of(self, case: str) -> Group:
        """The incident of a case that is known; the case by itself when it is in none."""
        return self.group_of.get(case) or joining.alone(self.needs[case])

    def _taken(self, name: str) -> bool:
        return name in self.groups or name in self.gone

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
