"""The part of OutreachService that shows proposals, and has coordinators' decisions made."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mawja.common.v1 import common_pb2
from mawja.outreach.v1 import proposals_pb2
from mawja.outreach.v1.proposals_pb2 import Proposal, ProposalCommand, ProposalReply

from services.outreach.proposals.book import OPEN
from services.runtime import ids, rpc
from services.runtime.clock import now_ms
from services.runtime.errors import Invalid, NotFound, Violation
from services.runtime.topics import PROPOSAL_COMMAND

if TYPE_CHECKING:
    import grpc

    from services.outreach.proposals.board import Board
    from services.runtime.produce import Producer
    from services.runtime.replies import Replies

    Context = grpc.aio.ServicerContext[Any, Any]

_PAGE = 50
_LOOK_S = 0.25


@dataclass(frozen=True, slots=True)
class Proposing:
    """Where proposals are looked up, and how they are decided on."""

    board: Board
    producer: Producer
    replies: Replies


class ProposalRpcs:
    """See protos/mawja/outreach/v1/service.proto. `ending`: set when the process begins to stop."""

    def __init__(self, proposing: Proposing, ending: asyncio.Event) -> None:
        self._board = proposing.board
        self._proposing = proposing
        self._ending = ending

    async def GetProposal(
        self, request: proposals_pb2.GetProposalRequest, context: Context
    ) -> proposals_pb2.GetProposalResponse:
        """One proposal."""
        found, _ = self._seen(request.proposal_id)
        return proposals_pb2.GetProposalResponse(proposal=found)

    async def ListProposals(
        self, request: proposals_pb2.ListProposalsRequest, context: Context
    ) -> proposals_pb2.ListProposalsResponse:
        """A page, the latest first."""
        begin = _begin(request.page_token)
        size = request.page_size or _PAGE
        found = [
            one
            for one in self._board.all()
            if _sees(one) and request.state in (proposals_pb2.PROPOSAL_STATE_UNSPECIFIED, one.state)
        ]
        token = str(begin + size) if begin + size < len(found) else ""
        return proposals_pb2.ListProposalsResponse(
            proposals=found[begin : begin + size], next_page_token=token
        )

    async def WatchProposals(
        self, request: proposals_pb2.WatchProposalsRequest, context: Context
    ) -> AsyncIterator[proposals_pb2.WatchProposalsResponse]:
        """Those that wait, then every change, until the caller leaves or the process ends."""
        told = {one.proposal_id: one.version for one in self._board.all() if one.state != OPEN}
        while not self._ending.is_set():
            # As they were made, so that the newest stands last on a screen.
            for one in reversed(self._board.all()):
                if told.get(one.proposal_id, 0) < one.version and _sees(one):
                    told[one.proposal_id] = one.version
                    yield proposals_pb2.WatchProposalsResponse(proposal=one)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), _LOOK_S)

    async def AcceptProposal(
        self, request: proposals_pb2.AcceptProposalRequest, context: Context
    ) -> proposals_pb2.AcceptProposalResponse:
        """Has a draft made."""
        command = ProposalCommand(revision=request.revision, accept=request.reason)
        if request.HasField("announce"):
            command.announce.CopyFrom(request.announce)
        return proposals_pb2.AcceptProposalResponse(
            proposal=await self._have("AcceptProposal", request, command)
        )

    async def EditProposal(
        self, request: proposals_pb2.EditProposalRequest, context: Context
    ) -> proposals_pb2.EditProposalResponse:
        """Changes what is suggested."""
        if found := _problems(request.edit, now_ms()):
            raise Invalid(found)
        command = ProposalCommand(revision=request.revision, edit=request.edit)
        return proposals_pb2.EditProposalResponse(
            proposal=await self._have("EditProposal", request, command)
        )

    async def DeclineProposal(
        self, request: proposals_pb2.DeclineProposalRequest, context: Context
    ) -> proposals_pb2.DeclineProposalResponse:
        """Declines."""
        command = ProposalCommand(decline=request.reason)
        return proposals_pb2.DeclineProposalResponse(
            proposal=await self._have("DeclineProposal", request, command)
        )

    def _seen(self, proposal_id: str) -> tuple[Proposal, int]:
        found = self._board.get(proposal_id.lower())
        if found is None or not _sees(found[0]):
            raise NotFound("there is no such proposal that you may see")
        return found

    async def _have(self, method: str, request: Any, command: ProposalCommand) -> Proposal:
        """The proposal after a command. Raises what it was refused with, Away."""
        found, partition = self._seen(request.proposal_id)
        caller = rpc.CALLER.get()
        # With the proposal: a request_id used again for another one is another request.
        command_id = ids.command_id(
            caller.subject, method, f"{found.proposal_id}/{request.request_id}"
        )
        command.proposal_id, command.agency = found.proposal_id, caller.agency
        command.envelope.CopyFrom(
            common_pb2.CommandEnvelope(
                command_id=command_id,
                reply_to=self._proposing.replies.channel,
                subject=caller.subject,
                asked_ms=now_ms(),
            )
        )
        told = await self._proposing.replies.ask(
            self._proposing.producer,
            PROPOSAL_COMMAND,
            partition,
            command_id,
            command.SerializeToString(),
        )
        reply = ProposalReply.FromString(told)
        rpc.raise_refusal(reply.code, reply.message)
        # Whoever looks next at this replica sees what was decided.
        self._board.take(reply.proposal, partition)
        return reply.proposal


def _begin(token: str) -> int:
    """Raises Invalid."""
    if token and not (token.isascii() and token.isdigit()):
        raise Invalid([Violation("page_token", "must be the next_page_token of an answer")])
    return int(token or 0)


def _sees(proposal: Proposal) -> bool:
    return rpc.CALLER.get().sees(proposal.suggestion.agency)


def _problems(edit: proposals_pb2.ProposalEdit, at_ms: int) -> list[Violation]:
    """What is wrong with an edit beyond what the protos say; broadcast asks the same of a query."""
    found: list[Violation] = []
    callers = edit.audience.callers
    if edit.HasField("audience") and edit.audience.WhichOneof("of") is None:
        found.append(Violation("edit.audience.of", "must say whom to find: callers or subscribers"))
    elif edit.audience.WhichOneof("of") == "callers":
        if not callers.ByteSize():
            rule = "must say something of them: agency, topic, incident, line, place, time…"
            found.append(Violation("edit.audience.callers", rule))
        if callers.since_ms > at_ms:
            rule = "must not be ahead of now"
            found.append(Violation("edit.audience.callers.since_ms", rule))
        if callers.until_ms and callers.until_ms <= callers.since_ms:
            rule = "must be after since_ms"
            found.append(Violation("edit.audience.callers.until_ms", rule))
    languages = [text.language for text in edit.texts]
    for language in sorted({one for one in languages if languages.count(one) > 1}):
        found.append(Violation("edit.texts", f"{language} stands twice"))
    if not edit.ByteSize():
        found.append(Violation("edit", "must change something"))
    return found
