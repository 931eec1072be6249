"""The worker of proposals: reads bursts and what coordinators ask, and decides.

What is decided stands in `outreach.proposal.v1` before anybody is answered or a later room hears of
it. A burst is stated again and again: what was not decided on before a crash is decided on the next
time, and what was is known by its burst.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from google.protobuf.message import DecodeError
from mawja.common.v1 import common_pb2
from mawja.outreach.v1.proposals_pb2 import Proposal, ProposalCommand, ProposalReply
from mawja.wave.v1.events_pb2 import Burst, Dimension

from services.outreach.proposals.book import Key, Proposals, key_of
from services.outreach.proposals.evidence import Facts
from services.outreach.proposals.growing import Growing
from services.outreach.proposals.reading import Reading
from services.outreach.working import Refused
from services.runtime import log, metrics
from services.runtime.clock import Millis, monotonic_s, now_ms
from services.runtime.errors import Poison
from services.runtime.letters import source_of
from services.runtime.own import NO_EPOCH, Entry, Record
from services.runtime.replies import Replies
from services.runtime.topics import BURST, OUTREACH_DEAD, PROPOSAL, PROPOSAL_COMMAND
from services.runtime.work import Context, Plan

PLAN = Plan(
    group="outreach-proposals",
    inputs=(BURST, PROPOSAL_COMMAND),
    logs=(PROPOSAL,),
    dead=OUTREACH_DEAD,
)
_log = log.get("proposals")
_LATER_S = 5.0
"""A burst is stated each second: its cases are not read as often for nothing."""
_WITH_BURSTS = 0
"""The partition in which wave states bursts: there, one event is one proposal."""
_REST = 10
"""Reading the cases again waits so many times as long as it took last: a tenth of one core."""


@dataclass(slots=True)
class _Decided:
    """What a batch comes to: records in order, and whom to answer."""

    proposals: list[Proposal] = field(default_factory=list)
    answers: list[tuple[str, str, ProposalReply]] = field(default_factory=list)


class ProposalWork:
    """The work of one partition (a `PartitionWork`)."""

    def __init__(
        self,
        context: Context,
        proposals: Proposals,
        reading: Reading,
        replies: Replies,
        growing: Growing,
        clock: Millis = now_ms,
    ) -> None:
        self._context = context
        self._proposals = proposals
        self._reading = reading
        self._replies = replies
        self._growing = growing
        self._clock = clock
        self._busy = asyncio.Lock()
        self._working = False
        self._rested_s = 0.0
        # Bursts of which nothing was proposed yet: not looked at again before then (monotonic).
        self._later: dict[Key, float] = {}

    def fold(self, record: Record) -> None:
        """Takes up one proposal of the log."""
        try:
            self._proposals.take(Proposal.FromString(record.value or b""))
        except DecodeError:
            raise Poison(
                f"offset {record.offset} of {record.topic} partition {record.partition} is no "
                "proposal; somebody else wrote into its log"
            ) from None

    def resume(self, topic: str) -> tuple[int, int]:
        """One after the highest record that is decided on."""
        return self._proposals.decided(topic) + 1, NO_EPOCH

    async def start(self) -> None:
        """What is folded is all there is."""
        self._working = True

    async def stop(self) -> None:
        """Nothing is decided after this."""
        async with self._busy:
            self._working = False

    def committable(self, topic: str, offset: int) -> int:
        """All: what was worked on stands in the log."""
        return offset

    def wants(self, topic: str) -> bool:
        """Always: there are few."""
        return True

    async def keep(self) -> None:
        """Decides what time asks for: figures that follow a burst, bursts that went silent. To be
        called every second or so. Raises Stop for a past owner, Away."""
        async with self._busy:
            if not self._working:
                return
            decided = _Decided()
            for one in list(self._proposals.passed(self._clock())):
                self._take(one, decided)
            if self._context.partition == _WITH_BURSTS:
                # They are no input: what was not decided on before a crash is raised again.
                grown = self._growing.bursts(self._proposals.incidents(), self._clock())
                await self._hear([(burst, None) for burst in grown], decided)
            await self._refresh(decided)
            await self._effect(decided)

    async def work(self, records: Sequence[Record]) -> None:
        """Decides `records`; returns when the log has it. Raises Stop for a past owner, Away."""
        async with self._busy:
            decided = _Decided()
            stated: dict[Key, tuple[Burst, common_pb2.Input]] = {}
            for record in records:
                cause = common_pb2.Input(topic=record.topic, offset=record.offset)
                try:
                    if source_of(record) == BURST.name:
                        burst = _burst(record)
                        # Of one that was stated several times the last statement.
                        stated[key_of(burst)] = burst, cause
                    else:
                        self._obey(record, cause, decided)
                except Poison as error:
                    await self._context.dead(record, str(error))
            await self._hear(stated.values(), decided)
            await self._effect(decided)

    async def _hear(
        self, stated: Iterable[tuple[Burst, common_pb2.Input | None]], decided: _Decided
    ) -> None:
        now, moment_s = self._clock(), monotonic_s()
        self._later = {key: at_s for key, at_s in self._later.items() if at_s > moment_s}
        wanted: list[tuple[Burst, common_pb2.Input | None]] = []
        for burst, cause in stated:
            if self._proposals.wanted(burst, now):
                if key_of(burst) not in self._later:
                    wanted.append((burst, cause))
            elif (ended := self._proposals.heard(burst, cause, now)) is not None:
                self._take(ended, decided)
        if not wanted:
            return
        facts = await self._facts(min(burst.start_ms for burst, _ in wanted), now)
        # The narrow ones first: they say what the others are about. Topics before incidents, which
        # are rarely all of an event.
        for burst, cause in sorted(wanted, key=_narrow, reverse=True):
            made = self._proposals.proposed(burst, facts.since(burst), cause, self._clock())
            if made is not None:
                self._take(made, decided)
            else:
                self._later[key_of(burst)] = monotonic_s() + _LATER_S

    async def _refresh(self, decided: _Decided) -> None:
        due = self._proposals.due(self._clock())
        if not due or monotonic_s() < self._rested_s:
            return
        began_s, now = monotonic_s(), self._clock()
        facts = await self._facts(min(self._proposals.first_ms(one) for one in due), now)
        for one in due:
            found = {fact.case_id: fact for burst in one.bursts for fact in facts.since(burst)}
            if found:
                after = self._proposals.refreshed(one, list(found.values()), self._clock())
                self._take(after, decided)
        self._rested_s = monotonic_s() + _REST * (monotonic_s() - began_s)

    async def _facts(self, since_ms: int, now_ms: int) -> Facts:
        facts = await self._reading.facts(since_ms, now_ms)
        facts.place(self._growing.incident_of(self._proposals.incidents()))
        return facts

    def _obey(self, record: Record, cause: common_pb2.Input, decided: _Decided) -> None:
        """Decides a command. Raises Poison."""
        try:
            command = ProposalCommand.FromString(record.value or b"")
        except DecodeError:
            raise Poison("not a ProposalCommand") from None
        envelope = command.envelope
        if not (envelope.command_id and envelope.subject and command.WhichOneof("action")):
            raise Poison("a command without id, asker or action")
        reply = ProposalReply()
        try:
            following = self._proposals.obey(command, cause, self._clock())
            if following is not None:
                self._take(following, decided)
            proposal = self._proposals.get(command.proposal_id)
            assert proposal is not None
            reply.proposal.CopyFrom(proposal)
        except Refused as refused:
            reply.code, reply.message = refused.code, str(refused)
        if envelope.reply_to:
            decided.answers.append((envelope.reply_to, envelope.command_id, reply))

    def _take(self, proposal: Proposal, decided: _Decided) -> None:
        self._proposals.take(proposal)
        decided.proposals.append(proposal)

    async def _effect(self, decided: _Decided) -> None:
        """Appends and answers."""
        await self._context.logs[PROPOSAL.name].append(
            [Entry(one.SerializeToString()) for one in decided.proposals]
        )
        for one in decided.proposals:
            if one.version == 1:
                metrics.PROPOSALS.inc()
                _log.info(
                    "a campaign is proposed",
                    proposal=one.proposal_id,
                    after_s=round((one.proposed_ms - one.bursts[0].start_ms) / 1000, 1),
                )
        for channel, command_id, reply in decided.answers:
            await self._replies.tell(channel, command_id, reply.SerializeToString())


def _narrow(stated: tuple[Burst, common_pb2.Input | None]) -> tuple[bool, int]:
    return stated[0].dimension == Dimension.DIMENSION_TOPIC, stated[0].dimension


def _burst(record: Record) -> Burst:
    """Raises Poison."""
    try:
        burst = Burst.FromString(record.value or b"")
    except DecodeError:
        raise Poison("not a Burst") from None
    if burst.dimension not in Dimension.values() or not burst.dimension or burst.start_ms <= 0:
        raise Poison("a burst of nothing that this version knows, or without a start")
    return burst
