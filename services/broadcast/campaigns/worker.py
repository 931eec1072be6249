"""The worker of campaigns: one decision for every command of a partition.

A batch is decided in memory and appended at once. What is known of campaigns, and what becomes of a
command, every process reads in the log (`board.py`); a new owner folds the log and goes on after
the highest command that is decided in it.
"""

import asyncio
from collections.abc import Sequence

from mawja.broadcast.v1.campaigns_pb2 import CampaignDecision
from mawja.common.v1 import common_pb2

from services.broadcast.campaigns.register import NONE, Register, command_of
from services.runtime.clock import now_ms
from services.runtime.errors import Poison
from services.runtime.own import NO_EPOCH, Entry, Record
from services.runtime.topics import BROADCAST_DEAD, CAMPAIGN, CAMPAIGN_COMMAND
from services.runtime.work import Context, Plan

PLAN = Plan(
    group="broadcast-campaigns",
    inputs=(CAMPAIGN_COMMAND,),
    logs=(CAMPAIGN,),
    dead=BROADCAST_DEAD,
)


class CampaignWork:
    """The work of one partition (a `PartitionWork`)."""

    def __init__(self, context: Context, register: Register) -> None:
        self._register = register
        self._context = context
        self._log = context.logs[CAMPAIGN.name]

    def fold(self, record: Record) -> None:
        """Takes up one decision."""
        self._register.fold(CampaignDecision.FromString(record.value or b""))

    def resume(self, topic: str) -> tuple[int, int]:
        """One after the highest command that is decided."""
        return self._register.decided.get(topic, NONE) + 1, NO_EPOCH

    async def start(self) -> None:
        """Nothing is left over from the last owner."""

    async def work(self, records: Sequence[Record]) -> None:
        """Decides `records` and appends the decisions."""
        decisions: list[CampaignDecision] = []
        poison: list[asyncio.Future[None]] = []
        at_ms = now_ms()
        for record in records:
            if record.offset <= self._register.decided.get(record.topic, NONE):
                continue
            at = common_pb2.Input(topic=record.topic, offset=record.offset)
            try:
                command = command_of(
                    record.value or b"", record.partition, self._register.partitions
                )
            except Poison as error:
                poison.append(self._context.dead(record, str(error)))
                continue
            decisions.append(self._register.decide(command, at, at_ms))
        # Before the log says that these offsets are done with.
        await asyncio.gather(*poison)
        await self._log.append([Entry(d.SerializeToString()) for d in decisions])

    def committable(self, topic: str, offset: int) -> int:
        """All of it: what was worked on stands in the log."""
        return offset

    def wants(self, topic: str) -> bool:
        """Always: nothing waits in memory."""
        return True

    async def stop(self) -> None:
        """Nothing is under way."""
