"""Where the recipients of one partition are, over all campaigns that are not over, as a metric.

By bucket only: who asks about one campaign asks broadcast, and a campaign's name as a label would
grow the metrics for ever.
"""

from collections import Counter

from mawja.broadcast.v1 import campaigns_pb2
from mawja.broadcast.v1.campaigns_pb2 import CampaignShare

from services.broadcast.campaigns.board import Board
from services.broadcast.campaigns.counts import Bucket, placed
from services.broadcast.campaigns.life import PAUSED, RUNNING
from services.broadcast.campaigns.tally import Tally
from services.runtime import metrics
from services.runtime.clock import monotonic_s

_EVERY_S = 5.0
_BUCKETS = {
    bucket: campaigns_pb2.Bucket.Name(bucket).removeprefix("BUCKET_").lower().replace("_", "-")
    for bucket in campaigns_pb2.Bucket.values()
    if bucket
}
_DRILLS = {False: "false", True: "true"}


class Gauges:
    """Of one partition."""

    def __init__(self, partition: int, board: Board, tally: Tally) -> None:
        self._partition = partition
        self._board = board
        self._tally = tally
        self._due_s = 0.0

    def look(self) -> None:
        """Counts, if that was not done in the last 5 s."""
        if monotonic_s() < self._due_s:
            return
        self._due_s = monotonic_s() + _EVERY_S
        found = Counter[tuple[Bucket, bool]]()
        for name, campaign in self._board.campaigns.items():
            if campaign.state not in (RUNNING, PAUSED):
                continue
            share = self._board.rehearsed.get((name, self._partition), CampaignShare())
            for one in placed(share.buckets, self._tally.stated(name), ended=False):
                found[one.bucket, campaign.plan.drill] += one.recipients
        for bucket, said in _BUCKETS.items():
            for drill, marked in _DRILLS.items():
                metrics.CAMPAIGN_RECIPIENTS.labels(self._partition, said, marked).set(
                    found[bucket, drill]
                )

    def leave(self) -> None:
        """The partition is somebody else's to count."""
        self._due_s = 0.0
        for said in _BUCKETS.values():
            for marked in _DRILLS.values():
                metrics.CAMPAIGN_RECIPIENTS.remove(self._partition, said, marked)
