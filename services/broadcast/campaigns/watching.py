"""Watches how full the agents are while campaigns run that bring calls back, and has those slowed
or let go again: a decision in the campaign's log, by its owner.

Nothing is read while no such campaign runs. Where nobody tells how full the agents are, nothing is
slowed: a campaign must not stop because wave is away.
"""

import asyncio
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from mawja.broadcast.v1.campaigns_pb2 import Campaign, CampaignCommand, Slowed
from mawja.broadcast.v1.events_pb2 import CAMPAIGN_KIND_EMERGENCY
from mawja.common.v1 import common_pb2

from services.broadcast.campaigns.board import Board
from services.broadcast.campaigns.life import APPROVED, REHEARSED, RUNNING
from services.broadcast.campaigns.register import partition_of_campaign
from services.broadcast.campaigns.returning import Shares, differs, parse, slowed
from services.runtime import ids, log
from services.runtime.clock import now_ms
from services.runtime.config import Settings
from services.runtime.errors import Away, ConfigError
from services.runtime.floors import Floors
from services.runtime.produce import Producer, acknowledged
from services.runtime.topics import CAMPAIGN_COMMAND

_log = log.get("campaigns")
_LOOK_S = 1.0
_PAUSE_S = 1.0
_WATCHED = frozenset({REHEARSED, APPROVED, RUNNING})
BY = "service"
"""Who asks that a campaign is slowed."""


class Watching:
    """Run `run` as a task of the service. `owned`: partitions whose campaigns this process decides
    on; `fastest`: parts a second that carriers take at most; `floors`: how full the agents are."""

    def __init__(
        self,
        settings: Settings,
        board: Board,
        producer: Producer,
        shares: Shares,
        fastest: float,
        owned: Callable[[], Collection[int]],
        floors: Floors,
    ) -> None:
        self._settings = settings
        self._board = board
        self._producer = producer
        self._shares = shares
        self._fastest = fastest
        self._owned = owned
        self._floors = floors

    async def run(self) -> None:
        """Watches until cancelled."""
        while True:
            await asyncio.sleep(_PAUSE_S)
            if not any(self._campaigns()):
                continue
            following = asyncio.create_task(self._floors.follow())
            try:
                while any(self._campaigns()):
                    await asyncio.sleep(_LOOK_S)
                    await self._decide()
            finally:
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)

    def _campaigns(self) -> Iterator[Campaign]:
        """Those that run or may be started, and may be slowed."""
        now = now_ms()
        return (
            one
            for one in self._board.campaigns.values()
            if one.state in _WATCHED
            and one.plan.kind != CAMPAIGN_KIND_EMERGENCY
            and one.plan.expires_ms > now
        )

    def room(self, campaign: Campaign) -> float | None:
        """Calls a minute that the agents can take now beside what comes; None when nobody can tell,
        or where it does not matter."""
        if campaign.state not in _WATCHED or campaign.plan.kind == CAMPAIGN_KIND_EMERGENCY:
            return None
        return self._floors.room(campaign.plan.drill)

    async def _decide(self) -> None:
        running = [one for one in self._campaigns() if one.state == RUNNING]
        owned = self._owned()
        for campaign in running:
            partition = partition_of_campaign(campaign.campaign_id, self._settings.partitions)
            if partition not in owned:
                continue
            drill = campaign.plan.drill
            sharing = sum(one.plan.drill is drill for one in running)
            after = slowed(
                campaign.plan,
                self._shares,
                self._floors.floor(drill),
                sharing,
                self._fastest,
                now_ms(),
            )
            before = campaign.slowed if campaign.HasField("slowed") else None
            if differs(before, after):
                await self._ask(campaign, partition, after)

    async def _ask(self, campaign: Campaign, partition: int, after: Slowed | None) -> None:
        command = CampaignCommand(campaign_id=campaign.campaign_id, slow=after or Slowed())
        command.envelope.CopyFrom(
            common_pb2.CommandEnvelope(
                command_id=ids.derive(
                    "command", "slow", campaign.campaign_id, str(campaign.version)
                ),
                subject=BY,
                asked_ms=now_ms(),
            )
        )
        try:
            future = await self._producer.send(
                CAMPAIGN_COMMAND, partition, command.SerializeToString()
            )
            await acknowledged([future])
        except Away as error:
            _log.warning("a campaign can't be slowed now", why=str(error))


def shares_of(path: Path | None) -> Shares:
    """Those of the file at `path`, or the shipped ones. Raises ConfigError."""
    at = path or Path(__file__).with_name("calls_back.yaml")
    try:
        return parse(at.read_text("utf-8"), at.name)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"MAWJA_CALLS_BACK: {at} cannot be read as UTF-8 text ({type(error).__name__})"
        ) from None
