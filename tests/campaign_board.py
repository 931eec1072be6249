"""A board that hears decisions without Kafka."""

from types import SimpleNamespace
from typing import Any, cast

from mawja.broadcast.v1.campaigns_pb2 import CampaignDecision

from services.broadcast.campaigns.board import Board


class Heard(Board):
    """It has heard all there is. `asked`: how often it was asked for that."""

    def __init__(self) -> None:
        super().__init__(cast(Any, SimpleNamespace(partitions=1)), "test")
        self._following.whole = True
        self.asked = 0

    async def current(self) -> None:
        """It is."""
        self.asked += 1

    def hear(self, decision: CampaignDecision) -> None:
        self._record(cast(Any, SimpleNamespace(value=decision.SerializeToString())))
