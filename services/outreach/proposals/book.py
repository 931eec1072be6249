"""The proposals of one partition: what bursts, coordinators and time make of them. Pure.

    open ─▶ accepted · declined · expired (its bursts are over)

One event shows as a burst of its topic, its agency, its line and the whole centre, and as an
incident that grows: what is about the same joins the same proposal. While any of its bursts lasts,
nothing more is proposed of it, whatever became of the proposal. A burst that nobody speaks of any
more is over too.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from google.rpc import code_pb2
from mawja.common.v1 import common_pb2
from mawja.outreach.v1 import proposals_pb2
from mawja.outreach.v1.proposals_pb2 import (
    Proposal,
    ProposalCommand,
    ProposalDeed,
    ProposalEdit,
)
from mawja.wave.v1.events_pb2 import Burst

from services.outreach.announcements.proposed import why_not
from services.outreach.proposals.allowing import allowed
from services.outreach.proposals.assumptions import Assumptions, estimate
from services.outreach.proposals.evidence import (
    INCIDENT,
    Fact,
    Subject,
    counted,
    evidence,
    same_event,
    subject_of,
    within,
)
from services.outreach.proposals.suggesting import suggestion
from services.outreach.rules import Rule
from services.outreach.working import Refused
from services.runtime import ids
from services.runtime.knowledge import Knowledge

OPEN, ACCEPTED = proposals_pb2.PROPOSAL_STATE_OPEN, proposals_pb2.PROPOSAL_STATE_ACCEPTED
DECLINED, EXPIRED = proposals_pb2.PROPOSAL_STATE_DECLINED, proposals_pb2.PROPOSAL_STATE_EXPIRED
SILENT_MS = 15 * 60_000
"""A burst that was not spoken of for so long is over: wave looks at bursts only as calls come."""
REFRESH_MS = 60_000
"""How often the figures of one that waits follow its burst."""
_NOT_ANY_MORE = {
    ACCEPTED: "it was accepted already: see the campaign",
    DECLINED: "it was declined: make a campaign by hand",
    EXPIRED: "its burst, or the time to decide, is over: make a campaign by hand",
}
Key = tuple[int, str, int, bool]
_About = tuple[bool, int, str]
NONE = -1


def key_of(burst: Burst) -> Key:
    """What tells bursts apart: dimension, subject, start, and whether it is of a drill."""
    return burst.dimension, burst.subject, burst.start_ms, burst.drill


class Proposals:
    """All of a partition, as far as the log is kept."""

    def __init__(
        self, knowledge: Knowledge, assumed: Assumptions, rules: Sequence[Rule] = ()
    ) -> None:
        self._knowledge = knowledge
        self._rules = rules
        self._assumed = assumed
        self._all: dict[str, Proposal] = {}
        self._of: dict[Key, str] = {}
        self._going: dict[_About, str] = {}
        # As they were stated last, and when (Unix ms) that was heard.
        self._heard: dict[Key, tuple[Burst, int]] = {}
        self._decided: dict[str, int] = {}

    def get(self, proposal_id: str) -> Proposal | None:
        """A proposal as it stands."""
        return self._all.get(proposal_id)

    def all(self) -> Iterable[Proposal]:
        """All, in no order."""
        return self._all.values()

    def decided(self, topic: str) -> int:
        """Offset of the last record of an input that the log has decided on; NONE when of none."""
        return self._decided.get(topic, NONE)

    def take(self, proposal: Proposal) -> None:
        """Takes up a decision, in the order of the log."""
        self._all[proposal.proposal_id] = proposal
        if proposal.HasField("input"):
            at = proposal.input
            self._decided[at.topic] = max(at.offset, self.decided(at.topic))
        for burst in proposal.bursts:
            self._of[key_of(burst)] = proposal.proposal_id
            self._heard.setdefault(key_of(burst), (burst, proposal.decided_ms))
        about = _about(proposal)
        if not proposal.over:
            self._going[about] = proposal.proposal_id
        elif self._going.get(about) == proposal.proposal_id:
            del self._going[about]

    # Bursts.

    def wanted(self, burst: Burst, now_ms: int) -> bool:
        """Whether a burst has no proposal and may get one: then `proposed` asks for its cases."""
        fresh = not burst.ended and burst.until_ms > now_ms - SILENT_MS
        return fresh and key_of(burst) not in self._of

    def heard(self, burst: Burst, cause: common_pb2.Input | None, now_ms: int) -> Proposal | None:
        """Takes up what is stated of a burst that has a proposal; gives the proposal when that ends
        it."""
        key = key_of(burst)
        found = self._all.get(self._of.get(key, ""))
        if found is None:
            return None
        self._heard[key] = burst, now_ms
        if found.over or not all(self._heard[key_of(one)][0].ended for one in found.bursts):
            return None
        return self._following(found, now_ms, cause, over=True)

    def proposed(
        self, burst: Burst, facts: Sequence[Fact], cause: common_pb2.Input | None, now_ms: int
    ) -> Proposal | None:
        """The proposal that a burst makes, or that it joins. `facts`: the cases since it began. Its
        own say what it is about; all that are about that are who would be written to. None while no
        case of it is known, or no playbook would have it proposed."""
        own = counted(burst, facts)
        if not own:
            return None
        self._heard[key_of(burst)] = burst, now_ms
        subject, drill = subject_of(burst, own), burst.drill
        found = self._same(subject, drill, own)
        if found is not None:
            joined = self._following(found, now_ms, cause)
            joined.bursts.append(burst)
            return joined
        dimension, name = subject
        made = Proposal(
            input=cause,
            proposal_id=ids.derive(
                "proposal", str(dimension), name, "drill" if drill else "", str(burst.start_ms)
            ),
            version=1,
            revision=1,
            state=OPEN,
            dimension=dimension,
            subject=name,
            drill=drill,
            proposed_ms=now_ms,
            decided_ms=now_ms,
            bursts=[burst],
        )
        if made.proposal_id in self._all:
            # The same burst once more, after all that was known of it was over.
            return None
        self._reckon(made, within(facts, subject), now_ms)
        may = allowed(self._rules, made.evidence)
        if may is None:
            return None
        made.rule = may.rule
        made.until_ms = now_ms + may.lasts_ms if may.lasts_ms else 0
        return made

    def _same(self, subject: Subject, drill: bool, facts: Sequence[Fact]) -> Proposal | None:
        """The proposal of the event that `facts` are about."""
        if (found := self._all.get(self._going.get((drill, *subject), ""))) is not None:
            return found
        most = 0
        for one in (self._all[name] for name in self._going.values()):
            if one.drill is drill:
                stated = max(self._heard[key_of(burst)][0].cases for burst in one.bursts)
                cases = max(one.evidence.cases, stated)
                shared = same_event(facts, subject, (one.dimension, one.subject), cases)
                if shared > most:
                    most, found = shared, one
        return found

    def incidents(self) -> Mapping[str, Burst]:
        """The bursts of incidents whose proposals are not over, as they were heard last, by
        incident."""
        going = (self._all[name] for name in self._going.values())
        return {
            burst.subject: self._heard[key_of(burst)][0]
            for one in going
            for burst in one.bursts
            if burst.dimension == INCIDENT
        }

    def due(self, now_ms: int) -> list[Proposal]:
        """Those that wait and whose bursts have gone on since their figures were reckoned."""
        return [
            one
            for one in self._waiting()
            if one.evidence.until_ms <= now_ms - REFRESH_MS
            and any(self._heard[key_of(burst)][0] != burst for burst in one.bursts)
        ]

    def refreshed(self, before: Proposal, facts: Sequence[Fact], now_ms: int) -> Proposal:
        """A proposal with the figures of now. `facts`: the cases since its bursts began. What a
        person has edited stays."""
        after = self._following(before, now_ms, None)
        self._reckon(after, within(facts, (after.dimension, after.subject)), now_ms)
        if after.suggestion != before.suggestion:
            after.revision += 1
        return after

    def passed(self, now_ms: int) -> Iterator[Proposal]:
        """Those whose bursts nobody speaks of any more, and that nobody decided on in time."""
        for name in list(self._going.values()):
            one = self._all[name]
            if one.state == OPEN and 0 < one.until_ms <= now_ms:
                late = self._following(one, now_ms, None)
                late.state = EXPIRED
                yield late
                continue
            latest = max(self._heard[key_of(burst)][1] for burst in one.bursts)
            if latest <= now_ms - SILENT_MS:
                yield self._following(one, now_ms, None, over=True)

    def first_ms(self, proposal: Proposal) -> int:
        """When the first of its bursts began: Unix ms."""
        return min(burst.start_ms for burst in proposal.bursts)

    def _waiting(self) -> Iterator[Proposal]:
        found = (self._all[name] for name in self._going.values())
        return (one for one in found if one.state == OPEN)

    def _reckon(self, proposal: Proposal, facts: Sequence[Fact], now_ms: int) -> None:
        subject: Subject = proposal.dimension, proposal.subject
        found = evidence(facts, self.first_ms(proposal), now_ms)
        proposal.evidence.CopyFrom(found)
        if not proposal.HasField("edited"):
            suggested = suggestion(subject, found, self._knowledge, proposal.drill)
            proposal.suggestion.CopyFrom(suggested)
            proposal.estimate.CopyFrom(estimate(found.writable, self._assumed))

    def _following(
        self,
        before: Proposal,
        now_ms: int,
        cause: common_pb2.Input | None,
        *,
        over: bool = False,
    ) -> Proposal:
        after = Proposal()
        after.CopyFrom(before)
        after.version += 1
        after.decided_ms = now_ms
        after.ClearField("input")
        if cause is not None:
            after.input.CopyFrom(cause)
        del after.bursts[:]
        after.bursts.extend(self._heard[key_of(one)][0] for one in before.bursts)
        if over:
            after.over = True
            if after.state == OPEN:
                after.state = EXPIRED
        return after

    # People.

    def obey(
        self, command: ProposalCommand, cause: common_pb2.Input, now_ms: int
    ) -> Proposal | None:
        """The proposal after a command; None when the same command stands in it already. Raises
        Refused."""
        before = self._all.get(command.proposal_id)
        foreign = before is not None and command.agency not in ("", before.suggestion.agency)
        if before is None or foreign:
            raise Refused(code_pb2.NOT_FOUND, "there is no such proposal that you may see")
        if before.command_id == command.envelope.command_id:
            return None
        if before.state != OPEN:
            raise Refused(code_pb2.FAILED_PRECONDITION, _NOT_ANY_MORE[before.state])
        if command.revision not in (0, before.revision):
            raise Refused(
                code_pb2.FAILED_PRECONDITION, "it was changed meanwhile: look at it again"
            )
        after = self._following(before, now_ms, cause)
        after.command_id = command.envelope.command_id
        deed = ProposalDeed(subject=command.envelope.subject, done_ms=now_ms, agency=command.agency)
        action = command.WhichOneof("action")
        if action == "edit":
            _edit(after, command.edit, deed)
        elif action == "decline":
            deed.reason = command.decline
            after.state = DECLINED
            after.ended.CopyFrom(deed)
        else:
            deed.reason = command.accept
            _accept(after, deed)
            _announce(after, command)
        return after


def _about(proposal: Proposal) -> _About:
    return proposal.drill, proposal.dimension, proposal.subject


def _accept(after: Proposal, deed: ProposalDeed) -> None:
    if not after.suggestion.texts:
        raise Refused(
            code_pb2.FAILED_PRECONDITION,
            f"it has no text ({after.suggestion.text_missing}): write one (`mawja proposal edit`)",
        )
    after.state = ACCEPTED
    after.ended.CopyFrom(deed)
    after.campaign_id = ids.derive("campaign", "proposal", after.proposal_id)
    after.audience_id = ids.derive("audience", "proposal", after.proposal_id)


def _announce(after: Proposal, command: ProposalCommand) -> None:
    if not command.HasField("announce"):
        return
    if found := why_not(after.suggestion.texts, command.announce.lasts_ms):
        raise Refused(code_pb2.INVALID_ARGUMENT, found)
    after.announce.CopyFrom(command.announce)


def _edit(after: Proposal, edit: ProposalEdit, deed: ProposalDeed) -> None:
    suggested = after.suggestion
    if edit.name:
        suggested.name = edit.name
    if edit.HasField("audience"):
        suggested.audience.CopyFrom(edit.audience)
        # Nobody has looked yet who they are.
        after.ClearField("estimate")
    if edit.texts:
        del suggested.texts[:]
        suggested.texts.extend(edit.texts)
        suggested.ClearField("entry")
        suggested.ClearField("text_missing")
        suggested.ClearField("valid_until_ms")
        known = {text.language for text in edit.texts}
        missing = [one.value for one in after.evidence.languages if one.value not in known]
        del suggested.languages_missing[:]
        suggested.languages_missing.extend(missing)
    if edit.language or edit.texts:
        suggested.language = edit.language or suggested.language
    languages = {text.language for text in suggested.texts}
    if suggested.texts and suggested.language not in languages:
        if edit.language:
            raise Refused(code_pb2.INVALID_ARGUMENT, "edit.language: must be one of the texts'")
        suggested.language = suggested.texts[0].language
    after.revision += 1
    after.edited.CopyFrom(deed)
