"""A coordinator who decides what is proposed, asked while everything is killed."""

from collections.abc import Awaitable, Callable
from typing import Any

from mawja.outreach.v1 import proposals_pb2, service_pb2_grpc

from services.local.system import System
from services.runtime import rpc


async def decline(system: System, answered: Callable[..., Awaitable[Any]], index: int) -> None:
    """Declines the latest open proposal, where there is one."""
    async with rpc.channel(system.target("outreach")) as channel:
        stub = service_pb2_grpc.OutreachServiceStub(channel)
        asked = proposals_pb2.ListProposalsRequest(
            state=proposals_pb2.PROPOSAL_STATE_OPEN, page_size=1
        )
        for one in (await answered(stub.ListProposals, asked)).proposals:
            request = proposals_pb2.DeclineProposalRequest(
                request_id=f"{index}", proposal_id=one.proposal_id, reason=f"rehearsal {index}"
            )
            await answered(stub.DeclineProposal, request)
