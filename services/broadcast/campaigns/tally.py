"""Where the recipients of one partition are, campaign by campaign. Pure.

What was given to a carrier, or came to its end, is counted from the status log, as it is decided
and as it is folded. What waits is what is left of the recipients that the rehearsal found
(`counts.placed`).
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from mawja.broadcast.v1 import campaigns_pb2
from mawja.broadcast.v1.campaigns_pb2 import BucketCount, CampaignShare
from mawja.broadcast.v1.events_pb2 import MessageChange

from services.broadcast.campaigns.counts import Bucket, Key, counted
from services.broadcast.campaigns.holding import HELD_BACK
from services.broadcast.messages import (
    CLAIMED,
    DELIVERED,
    EXPIRED,
    FAILED,
    FINAL,
    SUBMITTED,
    SUPPRESSED,
    UNKNOWN,
    State,
)
from services.runtime.store import Item

WAITING = campaigns_pb2.BUCKET_WAITING
_TTL_S = 400 * 24 * 3600
"""As long as the log is kept that they are counted from."""
_BUCKETS: dict[State, Bucket] = {
    CLAIMED: campaigns_pb2.BUCKET_UNDER_WAY,
    SUBMITTED: campaigns_pb2.BUCKET_UNDER_WAY,
    UNKNOWN: campaigns_pb2.BUCKET_UNKNOWN,
    DELIVERED: campaigns_pb2.BUCKET_DELIVERED,
    FAILED: campaigns_pb2.BUCKET_FAILED,
    EXPIRED: campaigns_pb2.BUCKET_EXPIRED,
}
_SAYS_IT_ALL = frozenset({_BUCKETS[CLAIMED], _BUCKETS[DELIVERED]})
"""Buckets that need no reason."""
_REASONS: dict[str, Bucket] = {
    "opt-out": campaigns_pb2.BUCKET_OPTED_OUT,
    "invalid-number": campaigns_pb2.BUCKET_INVALID,
    HELD_BACK: campaigns_pb2.BUCKET_HELD_BACK,
}


def counts_key(campaign_id: str, partition: int) -> str:
    """Where a CampaignShare with the buckets of one partition stands, in broadcast's own view."""
    return f"broadcast:campaign:{campaign_id}:{partition}"


def bucket_of(state: State, reason: str) -> Bucket:
    """Where a message in a state is; WAITING for one that may be claimed (again)."""
    if state == SUPPRESSED:
        return _REASONS.get(reason, campaigns_pb2.BUCKET_SUPPRESSED)
    return _BUCKETS.get(state, WAITING)


def key_of(change: MessageChange) -> Key:
    """As what a change is counted."""
    bucket = bucket_of(change.state, change.reason)
    if bucket == WAITING and change.resend:
        # The carrier may have it from the attempt before.
        bucket = _BUCKETS[UNKNOWN]
    reason = change.reason if bucket not in _SAYS_IT_ALL else ""
    return bucket, reason, change.language, change.carrier


@dataclass(slots=True)
class _Counts:
    """Of one campaign, or of its correction: recipients and parts that left WAITING."""

    recipients: Counter[Key] = field(default_factory=Counter)
    parts: Counter[Key] = field(default_factory=Counter)
    # Where the messages are that may still go elsewhere.
    at: dict[str, tuple[Key, int]] = field(default_factory=dict)
    # Since when (Unix ms) the unknown ones are.
    unknown: dict[str, int] = field(default_factory=dict)


class Tally:
    """The counts of one partition."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, bool], _Counts] = {}
        self.changed: set[str] = set()
        """Campaigns whose counts changed since somebody emptied this."""
        self.through = 0
        """Offset of the last record of the status log that is counted."""

    def take(self, change: MessageChange, decided_ms: int) -> None:
        """Takes up a change of a message, decided at `decided_ms` (Unix ms), in the order of the
        log."""
        if not change.campaign_id:
            return
        self.changed.add(change.campaign_id)
        of = change.campaign_id, change.correction
        counts = self._counts.get(of)
        if counts is None:
            counts = self._counts[of] = _Counts()
        self._leave(counts, change.message_id)
        key = key_of(change)
        if key[0] == _BUCKETS[UNKNOWN]:
            counts.unknown.setdefault(change.message_id, decided_ms)
        else:
            counts.unknown.pop(change.message_id, None)
        if key[0] == WAITING:
            return
        counts.recipients[key] += 1
        counts.parts[key] += change.parts
        if change.state not in FINAL:
            counts.at[change.message_id] = key, change.parts

    def _leave(self, counts: _Counts, message_id: str) -> None:
        before = counts.at.pop(message_id, None)
        if before is None:
            return
        key, parts = before
        counts.recipients[key] -= 1
        counts.parts[key] -= parts
        if not counts.recipients[key]:
            del counts.recipients[key], counts.parts[key]

    @property
    def campaigns(self) -> set[str]:
        """All campaigns that are counted."""
        return {name for name, _ in self._counts}

    def items(self, partition: int, campaigns: Iterable[str]) -> Iterator[Item]:
        """What the view has of campaigns: a CampaignShare each."""
        for name in campaigns:
            share = CampaignShare(
                partition=partition,
                buckets=self.stated(name),
                corrections=self.stated(name, correction=True),
            )
            yield Item(
                counts_key(name, partition), share.SerializeToString(), self.through, ttl_s=_TTL_S
            )

    def under_way(self, campaign_id: str, correction: bool = False) -> int:
        """Messages that a sender or a carrier has, and that somebody will hear of."""
        counts = self._counts.get((campaign_id, correction))
        if counts is None:
            return 0
        return sum(
            count
            for key, count in counts.recipients.items()
            if key[0] == campaigns_pb2.BUCKET_UNDER_WAY
        )

    def stated(self, campaign_id: str, correction: bool = False) -> list[BucketCount]:
        """What the status log says of a campaign's recipients, or of its correction."""
        counts = self._counts.get((campaign_id, correction))
        if counts is None:
            return []
        oldest: dict[Key, int] = {}
        for name, since_ms in counts.unknown.items():
            key = counts.at[name][0]
            oldest[key] = min(since_ms, oldest.get(key, since_ms))
        return list(counted(counts.recipients, counts.parts, oldest))
