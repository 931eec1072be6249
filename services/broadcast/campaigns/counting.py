"""Where the recipients of campaigns are, as the owners of all partitions last told in their view.

The view is in Redis, which may hang: who looks at a campaign waits for it a moment, and is then
told what it said before and how old that is, or that it is not known.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mawja.broadcast.v1.campaigns_pb2 import BucketCount, Campaign, CampaignShare

from services.broadcast.campaigns.counts import added
from services.broadcast.campaigns.tally import counts_key
from services.runtime.latest import Latest
from services.runtime.views import Views

NOT_KNOWN = -1
_PATIENCE_S = 0.4


@dataclass(frozen=True, slots=True)
class Counted:
    """Of a campaign's recipients and of those of its correction, what the status log says.
    `at_ms`: 0 when that is so now, NOT_KNOWN when nothing is known, else as of when (Unix ms)."""

    stated: Sequence[BucketCount] = ()
    corrections: Sequence[BucketCount] = ()
    at_ms: int = 0


class Counting:
    """`views`: that of broadcast. Keeps the last of each campaign that somebody looked at, some
    kilobytes each."""

    def __init__(self, views: Views, partitions: int) -> None:
        self._views = views
        self._partitions = partitions
        self._latest: dict[str, Latest[Counted]] = {}

    async def of(self, campaign: Campaign) -> Counted:
        """Takes half a second at most."""
        if not campaign.HasField("started"):
            # Nothing of it was sent.
            return Counted()
        name = campaign.campaign_id
        if name not in self._latest:
            self._latest[name] = Latest(lambda: self._read(name), _PATIENCE_S)
        found = await self._latest[name].get()
        if found is None:
            return Counted(at_ms=NOT_KNOWN)
        counted, at_ms = found
        return Counted(counted.stated, counted.corrections, at_ms)

    async def _read(self, campaign_id: str) -> Counted:
        keys = [counts_key(campaign_id, p) for p in range(self._partitions)]
        found = await self._views.get(*keys)
        shares = [CampaignShare.FromString(payload) for payload in found if payload is not None]
        return Counted(
            added(share.buckets for share in shares), added(share.corrections for share in shares)
        )
