"""What every process knows of every campaign and file of recipients: all of
`broadcast.campaign.v1`, as it comes. A pause is known everywhere within a moment, people look here,
and who waits for the outcome of a command waits here: nothing else has to answer on the day on
which much does not.

Without all of it nothing of a campaign is sent: what can't be known to run does not.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from mawja.broadcast.v1.campaigns_pb2 import (
    AudienceFile,
    Campaign,
    CampaignDecision,
    CampaignShare,
)

from services.broadcast.campaigns.life import REHEARSAL
from services.runtime import log
from services.runtime.config import Settings
from services.runtime.errors import Away
from services.runtime.follow import Following
from services.runtime.own import Record
from services.runtime.topics import CAMPAIGN

_log = log.get("campaigns")
_PAUSE_S = 1.0


class Board:
    """All campaigns and files of recipients, which nobody may change. `watch` has somebody told of
    each campaign that is decided on, in order; while the board is not whole, of all of them."""

    def __init__(self, settings: Settings, client_id: str) -> None:
        self.campaigns: dict[str, Campaign] = {}
        self.audiences: dict[str, AudienceFile] = {}
        self.rehearsed: dict[tuple[str, int], CampaignShare] = {}
        """By campaign and partition, what the latest rehearsal found."""
        self.stated: set[tuple[str, int, int, int]] = set()
        """Campaign, revision, stage and partition of the shares that were stated."""
        self._changed_ms: dict[str, int] = {}
        self._following = Following(settings, CAMPAIGN, client_id, self._record)
        self._watchers: list[Callable[[Campaign], None]] = []
        self._outcomes: dict[str, asyncio.Future[CampaignDecision]] = {}
        self._askers: Counter[str] = Counter()

    @property
    def whole(self) -> bool:
        """Whether all that was decided before this process began is known, and Kafka answers."""
        return self._following.whole

    async def ready(self) -> bool:
        """The same, for who is asked whether it serves."""
        return self.whole

    async def current(self) -> None:
        """Returns when everything is known that was decided when this was called, by whomever.
        Raises Away."""
        try:
            await self._following.current()
        except Away as error:
            raise Away(f"campaigns can't be looked at here: {error}") from None

    def watch(self, changed: Callable[[Campaign], None]) -> None:
        """Has `changed` called with every campaign, now and from now on."""
        self._watchers.append(changed)
        for campaign in list(self.campaigns.values()):
            changed(campaign)

    def leave(self, changed: Callable[[Campaign], None]) -> None:
        """No more."""
        if changed in self._watchers:
            self._watchers.remove(changed)

    @contextmanager
    def expect(self, command_id: str) -> "Iterator[asyncio.Future[CampaignDecision]]":
        """A future of the decision on a command, refusals too; begin before it is appended. Those
        who expect the same one share it: wait with asyncio.shield. Raises Away."""
        if not self.whole:
            raise Away(
                "campaigns can't be followed here, so the outcome could not be told; try again in "
                "a moment"
            )
        self._askers[command_id] += 1
        try:
            yield self._outcomes.setdefault(command_id, asyncio.get_running_loop().create_future())
        finally:
            self._askers[command_id] -= 1
            if not self._askers[command_id]:
                del self._askers[command_id], self._outcomes[command_id]

    def latest(self) -> Iterable[tuple[int, Campaign]]:
        """All campaigns and when each changed last (Unix ms), the latest first."""
        found = ((at_ms, self.campaigns[name]) for name, at_ms in self._changed_ms.items())
        return sorted(found, key=lambda one: (-one[0], one[1].campaign_id))

    async def run(self) -> None:
        """Follows the log until cancelled."""
        while True:
            try:
                await self._following.run()
            except Away as error:
                _log.warning("campaigns can't be followed; none is sent", why=str(error))
                await asyncio.sleep(_PAUSE_S)

    def _record(self, record: Record) -> None:
        decision = CampaignDecision.FromString(record.value or b"")
        self.take(decision)
        outcome = self._outcomes.get(decision.command_id)
        if outcome is not None and not outcome.done():
            outcome.set_result(decision)

    def take(self, decision: CampaignDecision) -> None:
        """Takes up one decision of the log."""
        if decision.code:
            return
        if decision.HasField("audience"):
            self.audiences.setdefault(decision.audience.audience_id, decision.audience)
        if decision.HasField("share"):
            share, name = decision.share, decision.campaign.campaign_id
            self.stated.add((name, share.revision, share.stage, share.partition))
            if share.stage == REHEARSAL and share.revision == decision.campaign.revision:
                self.rehearsed[name, share.partition] = share
        if decision.HasField("campaign"):
            campaign = decision.campaign
            before = self.campaigns.get(campaign.campaign_id)
            if before is None or before.version < campaign.version:
                self.campaigns[campaign.campaign_id] = campaign
                self._changed_ms[campaign.campaign_id] = decision.decided_ms
                for changed in self._watchers:
                    changed(campaign)
