"""What people ask of campaigns goes to the owner of the campaign's partition, as a command, and is
answered from the decision on it, as this process reads it in the log."""

import asyncio

from mawja.broadcast.v1.campaigns_pb2 import CampaignCommand, CampaignDecision
from mawja.common.v1 import common_pb2

from services.broadcast.campaigns.board import Board
from services.broadcast.campaigns.register import partition_of_campaign
from services.runtime import ids, rpc
from services.runtime.clock import now_ms
from services.runtime.errors import Away
from services.runtime.produce import Producer, acknowledged
from services.runtime.topics import CAMPAIGN_COMMAND


class Asking:
    """Has commands decided, in the name of the caller."""

    def __init__(self, producer: Producer, board: Board, partitions: int) -> None:
        self._producer = producer
        self._board = board
        self._partitions = partitions

    def deed_id(self, command: CampaignCommand, method: str, request_id: str) -> str:
        """The id of a deed that the caller asks for with `method`, in whose name it is from now
        on. With another body it is another."""
        caller = rpc.CALLER.get()
        command.agency = caller.agency
        body = command.SerializeToString(deterministic=True).hex()
        return ids.derive("command", ids.command_id(caller.subject, method, request_id), body)

    async def deed(
        self, command: CampaignCommand, method: str, request_id: str, checked: int = 0
    ) -> CampaignDecision:
        """Has a deed decided that the caller asked for with `method`. `checked`: the version whose
        plan was looked at, for a command that is only right for that one. Raises what it was
        refused with, Away."""
        command_id = self.deed_id(command, method, request_id)
        # After the id: the same request again is the same command, whatever has changed since.
        command.version = command.version or checked
        return await self.decided(command, command_id)

    async def decided(self, command: CampaignCommand, command_id: str) -> CampaignDecision:
        """Has a command decided under its own id. Raises what it was refused with, Away."""
        command.envelope.CopyFrom(
            common_pb2.CommandEnvelope(
                command_id=command_id, subject=rpc.CALLER.get().subject, asked_ms=now_ms()
            )
        )
        partition = partition_of_campaign(command.campaign_id, self._partitions)
        with self._board.expect(command_id) as outcome:
            sent = await self._producer.send(
                CAMPAIGN_COMMAND, partition, command.SerializeToString()
            )
            try:
                async with asyncio.timeout(rpc.time_left_s()):
                    await acknowledged([sent])
                    decision = await asyncio.shield(outcome)
            except TimeoutError:
                raise Away(
                    "the change is under way, its outcome is not known yet; ask again with the "
                    "same request_id"
                ) from None
        rpc.raise_refusal(decision.code, decision.message)
        return decision
