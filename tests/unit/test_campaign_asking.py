"""Who asks for a deed is answered from the decision on it; the same request again changes
nothing."""

import asyncio
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from mawja.broadcast.v1 import campaigns_pb2
from mawja.broadcast.v1.campaigns_pb2 import (
    BUCKET_UNKNOWN,
    BucketCount,
    Campaign,
    CampaignCommand,
    ResendUnknownRequest,
)
from mawja.common.v1 import common_pb2

from services.broadcast.campaigns import life
from services.broadcast.campaigns.asking import Asking
from services.broadcast.campaigns.counting import Counted
from services.broadcast.campaigns.looking import Looking
from services.broadcast.campaigns.server import CampaignServicer
from services.runtime import rpc
from services.runtime.clock import now_ms
from services.runtime.errors import Away, NotInState
from services.runtime.identity import Caller, Role
from services.runtime.topics import CAMPAIGN_COMMAND
from tests.campaign_board import Heard
from tests.campaign_office import CAMPAIGN_ID, MAKER, PARTITIONS, TERMS, Office


class Counts:
    """Where recipients are: `unknown` of them nobody knows where."""

    def __init__(self) -> None:
        self.unknown = 0
        self.at_ms = 0

    async def of(self, campaign: Campaign) -> Counted:
        rows = [BucketCount(bucket=BUCKET_UNKNOWN, language="ar", recipients=self.unknown)]
        return Counted(rows, (), self.at_ms)


class Desk:
    """A replica and the owner of the campaign's partition, with the log between them."""

    def __init__(self) -> None:
        self.office = Office().running()
        self.board = Heard()
        for decision in self.office.log:
            self.board.hear(decision)
        self.counts = Counts()
        self.lost = False
        self.commands: list[CampaignCommand] = []
        producer = cast(Any, SimpleNamespace(send=self._send))
        standings = cast(Any, SimpleNamespace(all=self._standings))
        nothing = cast(Any, None)
        self.servicer = CampaignServicer(
            nothing,
            producer,
            Asking(producer, self.board, PARTITIONS),
            Looking(self.board, cast(Any, self.counts), TERMS, standings),
            nothing,
            nothing,
            PARTITIONS,
        )

    async def _standings(self) -> tuple[()]:
        return ()

    async def _send(self, topic: Any, partition: int, value: bytes) -> "asyncio.Future[Any]":
        command = CampaignCommand.FromString(value)
        self.commands.append(command)
        at = common_pb2.Input(topic=CAMPAIGN_COMMAND.name, offset=1_000 + len(self.commands))
        decision = self.office.register.decide(command, at, now_ms())
        if not self.lost:
            asyncio.get_running_loop().call_soon(self.board.hear, decision)
        future = asyncio.get_running_loop().create_future()
        future.set_result(SimpleNamespace(offset=at.offset))
        return future

    async def resend(self, request_id: str, recipients: int) -> Campaign:
        request = ResendUnknownRequest(
            request_id=request_id,
            campaign_id=CAMPAIGN_ID.upper(),
            recipients=recipients,
            reason="the carrier lost them",
        )
        return (await self.servicer.ResendUnknown(request, cast(Any, None))).campaign


@pytest.fixture
def desk() -> Iterator[Desk]:
    token = rpc.CALLER.set(Caller(MAKER, frozenset({Role.COORDINATOR}), "", 0))
    yield Desk()
    rpc.CALLER.reset(token)


async def test_the_same_request_to_send_again_is_answered_again(desk: Desk) -> None:
    desk.counts.unknown = 2
    first = await desk.resend("r", 2)
    assert [one.recipients for one in first.resends] == [2]
    # More became unknown since; and again, while nobody can count them.
    for desk.counts.unknown, desk.counts.at_ms in ((4, 0), (4, -1)):
        assert await desk.resend("r", 2) == first
    assert len(desk.commands) == 1
    desk.counts.at_ms = 0
    with pytest.raises(NotInState, match="4 are unknown by now"):
        await desk.resend("other", 2)
    assert [one.recipients for one in (await desk.resend("other", 4)).resends] == [2, 4]


async def test_nothing_is_sent_again_while_nobody_can_count(desk: Desk) -> None:
    for at_ms in (-1, 5):
        desk.counts.at_ms = at_ms
        with pytest.raises(Away, match="can't be told"):
            await desk.resend("r", 5)
    assert not desk.commands


async def test_refusals_come_from_the_log_and_a_lost_outcome_is_said_to_be_unknown(
    desk: Desk,
) -> None:
    resume = campaigns_pb2.ResumeCampaignRequest(request_id="r", campaign_id=CAMPAIGN_ID)
    with pytest.raises(NotInState, match="only a paused campaign can be resumed"):
        await desk.servicer.ResumeCampaign(resume, cast(Any, None))
    desk.lost = True
    rpc.DEADLINE.set(asyncio.get_running_loop().time() + 0.2)
    pause = campaigns_pb2.PauseCampaignRequest(request_id="p", campaign_id=CAMPAIGN_ID)
    with pytest.raises(Away, match="ask again with the same request_id"):
        await desk.servicer.PauseCampaign(pause, cast(Any, None))
    desk.lost = False
    rpc.DEADLINE.set(None)
    paused = await desk.servicer.PauseCampaign(pause, cast(Any, None))
    assert paused.campaign.state == life.PAUSED
    # The board's own is not touched by what is told of it.
    assert paused.campaign.waits
    assert not desk.board.campaigns[CAMPAIGN_ID].waits
