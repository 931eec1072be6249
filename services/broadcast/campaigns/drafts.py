"""Makes drafts of the proposals that coordinators accepted, as outreach's log tells them.

Ids of list, campaign and commands are derived from the proposal, so that what is done twice after a
crash is done once. Nothing of the input is committed before its draft is asked for. A draft is
rehearsed at once: that is where its cost is known.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from google.protobuf.message import DecodeError
from mawja.broadcast.v1 import events_pb2
from mawja.broadcast.v1.campaigns_pb2 import (
    Audience,
    AudienceFile,
    CampaignCommand,
    CampaignDeed,
    CampaignPlan,
    Rehearse,
)
from mawja.common.v1 import common_pb2
from mawja.outreach.v1 import proposals_pb2
from mawja.outreach.v1.proposals_pb2 import Proposal

from services.broadcast.campaigns import plans
from services.broadcast.campaigns.board import Board
from services.broadcast.campaigns.packing import Packing
from services.broadcast.campaigns.register import partition_of_campaign
from services.broadcast.gathering.gather import Gathering
from services.broadcast.gathering.query import canonical, problems
from services.runtime import ids, log
from services.runtime.clock import now_ms
from services.runtime.errors import Away, MawjaError, NotFound, NotInState, Poison, Violation
from services.runtime.own import NO_EPOCH, LogReader, Record
from services.runtime.privacy import Keyring
from services.runtime.produce import Producer, acknowledged
from services.runtime.topics import BROADCAST_DEAD, CAMPAIGN_COMMAND, PROPOSAL
from services.runtime.work import Context, Plan

PLAN = Plan(group="broadcast-proposals", inputs=(PROPOSAL,), logs=(), dead=BROADCAST_DEAD)
LASTS_MS = 24 * 3_600_000
"""A draft's end, from when it was accepted, unless its texts are approved for less."""
_log = log.get("campaigns")
_MOST = 100
_PAUSE_S = 1.0
_LOOK_S, _LOOKS = 0.1, 300
_ACCEPTED = proposals_pb2.PROPOSAL_STATE_ACCEPTED


@dataclass(frozen=True, slots=True)
class Drafting:
    """What it takes to make a draft. `partitions`: of the whole service."""

    board: Board
    keyring: Keyring
    reader: LogReader
    producer: Producer
    partitions: int

    async def draft(self, proposal: Proposal) -> None:
        """Has the draft made, unless it was. Raises Poison for a proposal of which none can be
        made, Away."""
        await self._until(lambda: self.board.whole)
        campaign = self.board.campaigns.get(proposal.campaign_id)
        if campaign is None:
            await self._make(proposal)
            await self._until(
                lambda: (
                    proposal.campaign_id in self.board.campaigns
                    and proposal.audience_id in self.board.audiences
                )
            )
        command = CampaignCommand(campaign_id=proposal.campaign_id, version=1, rehearse=Rehearse())
        await self._ask(command, proposal, "rehearse")

    async def _make(self, proposal: Proposal) -> None:
        plan = plan_of(proposal)
        wrong = problems(proposal.suggestion.audience, now_ms()) + plans.problems(plan, now_ms())
        if wrong:
            raise Poison(f"no draft can be made of it: {_told(wrong)}")
        if proposal.audience_id not in self.board.audiences:
            file = await self._gathered(proposal)
            command = CampaignCommand(campaign_id=proposal.audience_id, audience=file)
            await self._ask(command, proposal, "audience")
        command = CampaignCommand(campaign_id=proposal.campaign_id, create=plan)
        await self._ask(command, proposal, "create")

    async def _gathered(self, proposal: Proposal) -> AudienceFile:
        suggested = proposal.suggestion
        gathering = Gathering(
            suggested.audience,
            drill=proposal.drill,
            scope=proposal.ended.agency,
            reader=self.reader,
            keyring=self.keyring,
            packing=Packing(proposal.audience_id, self.producer, self.partitions),
            partitions=self.partitions,
        )
        try:
            found = await gathering.run()
        except (NotFound, NotInState) as error:
            raise Poison(f"its audience can't be found: {error}") from error
        file = AudienceFile(
            audience_id=proposal.audience_id,
            name=suggested.name,
            agency=suggested.agency,
            drill=proposal.drill,
            query=canonical(suggested.audience),
            uploaded=CampaignDeed(subject=proposal.ended.subject, done_ms=now_ms()),
        )
        file.MergeFrom(found)
        return file

    async def _ask(self, command: CampaignCommand, proposal: Proposal, what: str) -> None:
        """Puts a command in the name of who accepted before the owner, who decides on it once."""
        command.agency = proposal.ended.agency
        command.envelope.CopyFrom(
            common_pb2.CommandEnvelope(
                command_id=ids.derive("command", "proposal", proposal.proposal_id, what),
                subject=proposal.ended.subject,
                asked_ms=now_ms(),
            )
        )
        future = await self.producer.send(
            CAMPAIGN_COMMAND,
            partition_of_campaign(command.campaign_id, self.partitions),
            command.SerializeToString(),
        )
        await acknowledged([future])

    async def _until(self, known: Callable[[], bool]) -> None:
        for _ in range(_LOOKS):
            if known():
                return
            await asyncio.sleep(_LOOK_S)
        raise Away("what was decided on campaigns is not known here yet")


def plan_of(proposal: Proposal) -> CampaignPlan:
    """The plan that an accepted proposal makes: no corrections, which somebody has to write before
    it can be approved."""
    suggested = proposal.suggestion
    expires_ms = proposal.ended.done_ms + LASTS_MS
    if suggested.valid_until_ms:
        expires_ms = min(expires_ms, suggested.valid_until_ms)
    return CampaignPlan(
        name=suggested.name,
        agency=suggested.agency,
        kind=events_pb2.CAMPAIGN_KIND_INFORMATION,
        drill=proposal.drill,
        audience=Audience(upload=proposal.audience_id),
        texts=suggested.texts,
        language=suggested.language,
        # The proposal says which, and what they get.
        accept_missing=True,
        expires_ms=expires_ms,
    )


def _told(wrong: Sequence[Violation]) -> str:
    return "; ".join(f"{one.field}: {one.rule}" for one in wrong)


class DraftWork:
    """The work of one partition of the proposals (a `PartitionWork`): in a task of its own, since
    finding people takes as long as reading does. `fail` ends the worker."""

    def __init__(
        self, context: Context, drafting: Drafting, fail: Callable[[BaseException], None]
    ) -> None:
        self._context = context
        self._drafting = drafting
        self._fail = fail
        self._waiting: deque[tuple[Record, Proposal]] = deque()
        self._task: asyncio.Task[None] | None = None

    def fold(self, record: Record) -> None:
        """There is nothing to fold."""

    def resume(self, topic: str) -> tuple[int, int]:
        """Where the group stands."""
        return 0, NO_EPOCH

    async def start(self) -> None:
        """Nothing is left from before."""

    async def work(self, records: Sequence[Record]) -> None:
        """Takes up those that were accepted."""
        for record in records:
            try:
                proposal = Proposal.FromString(record.value or b"")
            except DecodeError:
                await self._context.dead(record, "not a Proposal")
                continue
            if proposal.state == _ACCEPTED and proposal.ended.subject:
                self._waiting.append((record, proposal))
        if self._waiting and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._run())

    def committable(self, topic: str, offset: int) -> int:
        """Up to the first that waits for its draft."""
        own = (one.offset for one, _ in self._waiting if one.topic == topic)
        return min(offset, min(own, default=offset))

    def wants(self, topic: str) -> bool:
        """While not too many wait."""
        return len(self._waiting) < _MOST

    async def stop(self) -> None:
        """The next owner makes what waits."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while self._waiting:
            record, proposal = self._waiting[0]
            try:
                await self._drafting.draft(proposal)
            except Poison as error:
                _log.warning("a proposal makes no draft", proposal=proposal.proposal_id)
                try:
                    await self._context.dead(record, str(error))
                except MawjaError as ending:
                    self._fail(ending)
                    return
            except Away as error:
                _log.warning("a draft waits", proposal=proposal.proposal_id, why=str(error))
                await asyncio.sleep(_PAUSE_S)
                continue
            except Exception as error:
                self._fail(error)
                return
            self._waiting.popleft()
