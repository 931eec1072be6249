"""A campaign's counts as the pages show them: buckets that add up, who has it, what a rehearsal
found. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mawja.broadcast.v1 import campaigns_pb2 as pb
from mawja.broadcast.v1.campaigns_pb2 import BucketCount, Campaign, RecipientSample, Rehearsal

GOT_IT = frozenset({pb.BUCKET_UNDER_WAY, pb.BUCKET_DELIVERED, pb.BUCKET_UNKNOWN})
"""Buckets of those who got the message or may have: whom a recall corrects."""
GIVEN = GOT_IT | {pb.BUCKET_FAILED}
"""Buckets of those whose message a carrier was given."""
_ORDER = (
    pb.BUCKET_DELIVERED,
    pb.BUCKET_UNDER_WAY,
    pb.BUCKET_WAITING,
    pb.BUCKET_UNKNOWN,
    pb.BUCKET_FAILED,
    pb.BUCKET_EXPIRED,
    pb.BUCKET_HELD_BACK,
    pb.BUCKET_OPTED_OUT,
    pb.BUCKET_SUPPRESSED,
    pb.BUCKET_DUPLICATE,
    pb.BUCKET_INVALID,
    pb.BUCKET_CANCELLED,
)
_EXAMPLES = 6
_TOGETHER = "+"
_GAP = "field-missing"


@dataclass(frozen=True, slots=True)
class Slice:
    """One bucket: its name ("under_way"), recipients, share (0 to 1) of all, where its bar begins
    (0 to 1), and its reasons with how many of each, the most first."""

    name: str
    recipients: int
    share: float
    start: float
    reasons: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Whole:
    """Where all recipients are: slices that add up to `total`."""

    slices: tuple[Slice, ...]
    total: int
    waiting: int
    reached: int
    given: int
    unknown: int
    held_back: int
    oldest_ms: int
    """Since when the oldest unknown is, Unix ms; 0: there is none."""


def whole(counts: Iterable[BucketCount]) -> Whole:
    """The buckets, those with nobody left out, in the order in which they are read."""
    sums, reasons = Counter[int](), Counter[tuple[int, str]]()
    oldest = 0
    for one in counts:
        sums[one.bucket] += one.recipients
        if one.reason and one.recipients:
            reasons[one.bucket, one.reason] += one.recipients
        if one.oldest_ms:
            oldest = min(oldest or one.oldest_ms, one.oldest_ms)
    total = sum(sums.values())
    slices: list[Slice] = []
    before = 0
    for bucket in _ORDER:
        if not sums[bucket]:
            continue
        ranked = [(reason, count) for (of, reason), count in reasons.most_common() if of == bucket]
        slices.append(
            Slice(
                bucket_name(bucket),
                sums[bucket],
                sums[bucket] / total,
                before / total,
                tuple(ranked),
            )
        )
        before += sums[bucket]
    return Whole(
        tuple(slices),
        total,
        waiting=sums[pb.BUCKET_WAITING],
        reached=sum(sums[one] for one in GOT_IT),
        given=sum(sums[one] for one in GIVEN),
        unknown=sums[pb.BUCKET_UNKNOWN],
        held_back=sums[pb.BUCKET_HELD_BACK],
        oldest_ms=oldest,
    )


def bucket_name(bucket: int) -> str:
    """E.g. "under_way"."""
    return pb.Bucket.Name(bucket).removeprefix("BUCKET_").lower()  # type: ignore[arg-type]


def state_name(state: int) -> str:
    """E.g. "approved"."""
    return pb.CampaignState.Name(state).removeprefix("CAMPAIGN_STATE_").lower()  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Row:
    """Who would get it in one language by one carrier; `later`: held at the start, why."""

    carrier: str
    language: str
    recipients: int
    parts: int
    later: str


@dataclass(frozen=True, slots=True)
class Gap:
    """A placeholder that some rows can't fill: of `recipients` of `of`."""

    field: str
    language: str
    recipients: int
    of: int
    too_long: bool
    correction: bool


@dataclass(frozen=True, slots=True)
class Found:
    """What a rehearsal found. `goes`: messages that would go; `audience`: all recipients;
    `out`: who gets nothing, by reason; `cost`: by currency, in thousandths; `takes`: milliseconds
    by carrier; `slowest_ms`: of all of it, by the plan's own pace too; `back_ms`: in how long the
    agents could take all calls back, None when nobody can tell."""

    goes: int
    parts: int
    audience: int
    rows: tuple[Row, ...]
    out: tuple[tuple[str, int], ...]
    gaps: tuple[Gap, ...]
    cost: tuple[tuple[str, int], ...]
    takes: tuple[tuple[str, int, int], ...]
    slowest_ms: int
    back_ms: int | None
    samples: tuple[RecipientSample, ...]
    without_text: tuple[tuple[str, int], ...]


def found(campaign: Campaign) -> Found | None:
    """What the latest rehearsal found; None when there is none."""
    if not campaign.HasField("rehearsal"):
        return None
    seen = campaign.rehearsal
    out = Counter[str]()
    rows: list[Row] = []
    for one in seen.buckets:
        if one.bucket == pb.BUCKET_WAITING:
            rows.append(Row(one.carrier, one.language, one.recipients, one.parts, one.reason))
        else:
            out[one.reason or bucket_name(one.bucket)] += one.recipients
    parts = sum(one.parts for one in rows)
    takes = [(one.carrier, one.parts, one.takes_ms) for one in seen.etas if not one.language]
    slowest = max((ms for _, _, ms in takes), default=0)
    if most := campaign.plan.most_parts_per_second:
        slowest = max(slowest, int(parts / most * 1000))
    back = seen.calls_back
    free = back.room_per_minute if back.HasField("room_per_minute") else 0.0
    return Found(
        goes=sum(one.recipients for one in rows),
        parts=parts,
        audience=sum(one.recipients for one in seen.buckets),
        rows=tuple(rows),
        out=tuple(out.most_common()),
        gaps=tuple(_gaps(seen)),
        cost=tuple(sorted(seen.cost_milli.items())),
        takes=tuple(takes),
        slowest_ms=slowest,
        back_ms=int(back.calls / free * 60_000) if free and back.calls else None,
        samples=_of_each(seen.samples),
        without_text=tuple(sorted(seen.without_text.items())),
    )


def _gaps(seen: Rehearsal) -> Iterable[Gap]:
    for one in seen.gaps:
        of = sum(
            bucket.recipients
            for bucket in seen.buckets
            if one.language in bucket.language.split(_TOGETHER)
            and (
                bucket.bucket == pb.BUCKET_WAITING or (bucket.reason == _GAP and not one.correction)
            )
        )
        yield Gap(
            one.field,
            one.language,
            one.recipients,
            max(of, one.recipients),
            one.too_long,
            one.correction,
        )


def _of_each(samples: Sequence[RecipientSample]) -> tuple[RecipientSample, ...]:
    """Some examples, of every language in turn."""
    turn = Counter[str]()
    ranked = []
    for number, sample in enumerate(samples):
        turn[sample.language] += 1
        ranked.append((turn[sample.language], number, sample))
    ranked.sort(key=lambda one: one[:2])
    return tuple(sample for _, _, sample in ranked[:_EXAMPLES])
