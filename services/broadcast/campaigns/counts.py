"""Recipients by bucket: each is in exactly one, and they add up to the audience. Pure."""

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

from mawja.broadcast.v1 import campaigns_pb2
from mawja.broadcast.v1.campaigns_pb2 import BucketCount, CarrierEta

from services.broadcast.carriers.specs import Price

Bucket: TypeAlias = campaigns_pb2.Bucket.ValueType
Key: TypeAlias = tuple[Bucket, str, str, str]
"""Bucket, reason, language, carrier."""
_SET_APART = frozenset({campaigns_pb2.BUCKET_DUPLICATE, campaigns_pb2.BUCKET_INVALID})
"""What a rehearsal finds once and for all: such a recipient becomes no message."""


def added(shares: Iterable[Iterable[BucketCount]]) -> list[BucketCount]:
    """What several partitions count, together, in a fixed order."""
    recipients, parts = Counter[Key](), Counter[Key]()
    oldest: dict[Key, int] = {}
    for share in shares:
        for one in share:
            key = (one.bucket, one.reason, one.language, one.carrier)
            recipients[key] += one.recipients
            parts[key] += one.parts
            if one.oldest_ms:
                oldest[key] = min(one.oldest_ms, oldest.get(key, one.oldest_ms))
    return list(counted(recipients, parts, oldest))


def placed(
    found: Iterable[BucketCount], stated: Sequence[BucketCount], ended: bool
) -> list[BucketCount]:
    """Every recipient that a rehearsal `found`, in exactly one bucket: what was set apart there,
    what the status log `stated`, and what is left of each language, which waits, or never goes when
    the campaign has `ended`."""
    left, apart = Counter[str](), []
    for one in found:
        if one.bucket in _SET_APART:
            apart.append(one)
        else:
            left[one.language] += one.recipients
    for one in stated:
        left[one.language] -= one.recipients
    bucket: Bucket = campaigns_pb2.BUCKET_CANCELLED if ended else campaigns_pb2.BUCKET_WAITING
    waiting = [
        BucketCount(bucket=bucket, language=language, recipients=count)
        for language, count in sorted(left.items())
        if count
    ]
    return added([apart, waiting, stated])


def waiting_for(found: Iterable[BucketCount], buckets: Sequence[BucketCount]) -> Counter[str]:
    """How many of those who wait in `buckets` wait for which carrier, as the rehearsal `found`
    them: exact where a language has one carrier, else in the order of what it gave to each."""
    carriers: dict[str, Counter[str]] = {}
    for one in found:
        if one.bucket == campaigns_pb2.BUCKET_WAITING:
            carriers.setdefault(one.language, Counter())[one.carrier] += one.recipients
    for one in buckets:
        if one.carrier and one.language in carriers:
            carriers[one.language][one.carrier] -= one.recipients
    waiting = Counter[str]()
    for one in buckets:
        if one.bucket == campaigns_pb2.BUCKET_WAITING:
            left = one.recipients
            for carrier, owed in carriers.get(one.language, Counter[str]()).most_common():
                waiting[carrier] += min(left, max(0, owed))
                left -= min(left, max(0, owed))
    return +waiting


def recipients_of(counts: Iterable[BucketCount]) -> int:
    """All recipients in some buckets."""
    return sum(one.recipients for one in counts)


def etas(found: Iterable[BucketCount], paces: Mapping[str, float]) -> Iterator[CarrierEta]:
    """How long each carrier would take for what waits: for all of it first, then for each language
    alone. `paces`: parts per second that were agreed with it, for one process of the service."""
    parts = Counter[tuple[str, str]]()
    for one in found:
        if one.bucket == campaigns_pb2.BUCKET_WAITING:
            parts[one.carrier, ""] += one.parts
            parts[one.carrier, one.language] += one.parts if one.language else 0
    for (carrier, language), count in sorted(parts.items()):
        if pace := paces.get(carrier):
            takes_ms = int(count / pace * 1000)
            yield CarrierEta(carrier=carrier, language=language, parts=count, takes_ms=takes_ms)


def costs(parts: Mapping[Key, int], prices: Mapping[str, Price]) -> dict[str, int]:
    """What parts by bucket cost, in thousandths, by currency; those of carriers whose price nobody
    knows cost nothing here."""
    found = Counter[str]()
    for (_, _, _, carrier), count in parts.items():
        if (price := prices.get(carrier)) is not None:
            found[price.currency] += count * price.milli
    return dict(found)


_TAKEN = frozenset(
    {
        campaigns_pb2.BUCKET_UNDER_WAY,
        campaigns_pb2.BUCKET_DELIVERED,
        campaigns_pb2.BUCKET_FAILED,
        campaigns_pb2.BUCKET_UNKNOWN,
    }
)
_OVER_S = 5.0


class Pace:
    """How fast carriers take a campaign, over the last 5 seconds."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def take(self, buckets: Iterable[BucketCount], now_s: float) -> tuple[float, int]:
        """(recipients a second, milliseconds until none waits), -1 where that can't be told.
        `now_s`: of a clock that never steps."""
        taken = waits = 0
        for one in buckets:
            taken += one.recipients if one.bucket in _TAKEN else 0
            waits += one.recipients if one.bucket == campaigns_pb2.BUCKET_WAITING else 0
        self._seen.append((now_s, taken))
        while len(self._seen) > 1 and self._seen[0][0] < now_s - _OVER_S:
            self._seen.popleft()
        since_s, before = self._seen[0]
        rate = max(0, taken - before) / (now_s - since_s) if since_s < now_s else 0.0
        return rate, int(waits / rate * 1000) if rate else -1


def counted(
    recipients: Mapping[Key, int],
    parts: Mapping[Key, int],
    oldest: Mapping[Key, int] | None = None,
) -> Iterator[BucketCount]:
    """Counts by key, in a fixed order. `oldest`: since when (Unix ms) the oldest of each are so."""
    for key in sorted(recipients):
        bucket, reason, language, carrier = key
        yield BucketCount(
            bucket=bucket,
            reason=reason,
            language=language,
            carrier=carrier,
            recipients=recipients[key],
            parts=parts[key],
            oldest_ms=0 if oldest is None else oldest.get(key, 0),
        )
