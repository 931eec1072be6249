"""What a report of a campaign knows: counts and times, and what people decided. Nobody's number and
nobody's name is among it, but for the subjects of staff. Pure.

All times are Unix milliseconds.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from services.tools.effects.measuring import Effect

SHARES = (25, 50, 75, 95)
"""Percent of those who may be reached at which the report says when."""
BUCKETS = (
    "delivered",
    "failed",
    "expired",
    "unknown",
    "under_way",
    "waiting",
    "cancelled",
    "opted_out",
    "suppressed",
    "held_back",
    "duplicate",
    "invalid",
)
"""Where a recipient is, as the protos name it: each in exactly one."""
_APART = frozenset({"opted_out", "suppressed", "held_back", "duplicate", "invalid"})
"""Never meant to get a message."""
AGES_MS = (600_000, 3_600_000, 6 * 3_600_000, 24 * 3_600_000)
"""Upper ends of the ages by which the unknown are told apart; the last is open."""
LATENCIES_MS = (200, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000, 300_000, 3_600_000)
"""Upper ends of the times from carrier to handset; the last is open."""
_PEAK_S = 10


@dataclass(frozen=True, slots=True)
class Placed:
    """So many recipients, in one bucket for one reason. `reason`, `carrier`: "" where the bucket
    says it all."""

    bucket: str
    reason: str
    language: str
    carrier: str
    recipients: int
    parts: int


@dataclass(frozen=True, slots=True)
class Deed:
    """One line of the timeline. `what` is of the closed list that `words.yaml` tells. `subject`:
    "" where the log does not say who. `refused`: why it was not done. `count`: of what it is about,
    -1 of nothing."""

    at_ms: int
    what: str
    subject: str = ""
    reason: str = ""
    refused: str = ""
    count: int = -1


@dataclass(frozen=True, slots=True)
class Said:
    """A text as it was written, with its placeholders."""

    language: str
    template: str


@dataclass(frozen=True, slots=True)
class File:
    """A list of recipients: what was stated when it was whole, and how many of them the log has.
    `bad_rows`: by rule; `query`: what was asked, when it is no file."""

    name: str
    recipients: int
    in_log: int
    bad_rows: Mapping[str, int]
    query: str = ""


@dataclass(frozen=True, slots=True)
class Agreed:
    """Parts that a carrier was to get, and the pace agreed with it, as the rehearsal said."""

    carrier: str
    parts: int
    parts_per_second: float


@dataclass(frozen=True, slots=True)
class Pace:
    """What a carrier took, in parts per second: over the whole time that it was given something
    (pauses left out), and in its best 10 seconds."""

    carrier: str
    parts: int
    mean: float
    peak: float


@dataclass(frozen=True, slots=True)
class Reached:
    """When messages in one language by one carrier reached their handsets, in order."""

    language: str
    carrier: str
    at_ms: Sequence[int]


@dataclass(frozen=True, slots=True)
class Takeover:
    """Another process went on with a partition, at `epoch` of its log. `at_ms`: when it first wrote
    of this campaign; `claims`: messages of which nobody knew any more whether the carrier had
    them."""

    at_ms: int
    partition: int
    epoch: int
    claims: int


@dataclass(frozen=True, slots=True)
class Sending:
    """What became of a campaign's messages, or of its correction's. `latencies_ms`: from the claim
    to the handset, in order; `unknown_since`: since when and why, in order; `released`: claims
    that were given back, by reason; `forbidden`: changes that no state allows, which count for
    nothing."""

    buckets: Sequence[Placed] = ()
    first_ms: int = 0
    """The first claim; 0: none was made."""
    reached: Sequence[Reached] = ()
    latencies_ms: Sequence[int] = ()
    unknown_since: Sequence[tuple[int, str]] = ()
    released: Mapping[str, int] = field(default_factory=dict)
    takeovers: Sequence[Takeover] = ()
    taken: Mapping[str, Mapping[int, int]] = field(default_factory=dict)
    """By carrier and second (Unix), the parts that it took."""
    forbidden: int = 0

    @property
    def recipients(self) -> int:
        """All of them."""
        return sum(one.recipients for one in self.buckets)

    def by(self, key: Callable[[Placed], str]) -> dict[str, Counter[str]]:
        """Recipients by a key of theirs and bucket."""
        found: dict[str, Counter[str]] = {}
        for one in self.buckets:
            found.setdefault(key(one), Counter())[one.bucket] += one.recipients
        return found

    def totals(self) -> Counter[str]:
        """Recipients by bucket."""
        return self.by(lambda _: "").get("", Counter())

    def reasons(self, *buckets: str) -> Counter[str]:
        """Recipients of some buckets by reason."""
        found = Counter[str]()
        for one in self.buckets:
            if one.bucket in buckets:
                found[one.reason] += one.recipients
        return found

    def delivered_ms(self, language: str | None = None, carrier: str | None = None) -> list[int]:
        """When those of a language, a carrier, or all were reached, in order."""
        return sorted(
            at
            for one in self.reached
            if language in (None, one.language) and carrier in (None, one.carrier)
            for at in one.at_ms
        )


@dataclass(frozen=True, slots=True)
class Made:
    """What the report was made from: `through` holds, by topic and partition, one past the offset
    of the last record that counted. With the same the same report comes out."""

    at_ms: int
    through: Mapping[str, Mapping[int, int]]
    records: int


@dataclass(frozen=True, slots=True)
class Measured:
    """What a campaign that held a share back did to calls until `until_ms`, maybe yet to come."""

    effect: Effect
    until_ms: int


@dataclass(frozen=True, slots=True)
class Facts:
    """All of a campaign. `audience`: how its files are put together, in words of the protos;
    `files_meant`: how many they are, also where the log lacks one."""

    campaign_id: str
    name: str
    agency: str
    kind: str
    drill: bool
    state: str
    revision: int
    language: str
    starts_ms: int
    expires_ms: int
    legal_basis: str
    order: str
    most_parts_per_second: float
    audience: str
    files_meant: int
    files: Sequence[File]
    texts: Sequence[Said]
    corrections: Sequence[Said]
    timeline: Sequence[Deed]
    rehearsed: Sequence[Placed]
    cost_milli: Mapping[str, int]
    agreed: Sequence[Agreed]
    sending: Sending
    correction: Sending | None
    made: Made
    measured: Measured | None = None

    @property
    def problems(self) -> list[str]:
        """What does not add up, from the closed list that `words.yaml` tells."""
        found = []
        rows = sum(sum(file.bad_rows.values()) for file in self.files)
        if self.rehearsed:
            meant = sum(one.recipients for one in self.rehearsed) + rows
            if self.sending.recipients != meant:
                found.append("sum")
            alone = self.audience == "upload" and len(self.files) == 1
            if alone and meant != self.files[0].recipients + rows:
                found.append("audience")
        if len(self.files) < self.files_meant or any(
            file.in_log != file.recipients for file in self.files
        ):
            found.append("file")
        if any(one.recipients < 0 for one in self.sending.buckets):
            found.append("negative")
        if self.sending.forbidden or (self.correction and self.correction.forbidden):
            found.append("forbidden")
        return found


def may_be_reached(counts: Mapping[str, int]) -> int:
    """Those who were meant to get a message: none of the others can be reached."""
    return sum(count for bucket, count in counts.items() if bucket not in _APART)


def reached_at(delivered_ms: Sequence[int], meant: int) -> dict[int, int | None]:
    """By percent of `meant`, when so many were reached; None: they were not."""
    found: dict[int, int | None] = {}
    for share in SHARES:
        needed = max(1, -(-meant * share // 100))
        found[share] = delivered_ms[needed - 1] if needed <= len(delivered_ms) else None
    return found


def histogram(values: Sequence[int], ends: Sequence[int]) -> list[int]:
    """How many of some values lie up to each end, and beyond the last."""
    counts = [0] * (len(ends) + 1)
    for value in values:
        counts[bisect_left(ends, value)] += 1
    return counts


def middle(values: Sequence[int], share: int) -> int | None:
    """The value that `share` percent of ordered values do not pass; None of none."""
    return values[max(0, -(-len(values) * share // 100) - 1)] if values else None


def pauses(timeline: Iterable[Deed], until_ms: int) -> list[tuple[int, int]]:
    """From when to when the campaign was held."""
    found: list[tuple[int, int]] = []
    since: int | None = None
    for deed in timeline:
        if deed.refused:
            continue
        if deed.what in ("paused", "braked"):
            since = deed.at_ms
        elif since is not None and deed.what in ("resumed", "cancelled", "recalled", "completed"):
            found.append((since, deed.at_ms))
            since = None
    return [*found, (since, until_ms)] if since is not None else found


def paces(sending: Sending, held: Sequence[tuple[int, int]]) -> list[Pace]:
    """How fast each carrier took its parts, times at which the campaign was `held` left out."""
    found = []
    for carrier, taken in sorted(sending.taken.items()):
        first, last = min(taken), max(taken)
        idle = sum(
            max(0, min(last, end // 1000) - max(first, -(-start // 1000))) for start, end in held
        )
        parts = sum(taken.values())
        best = max(sum(taken.get(second + more, 0) for more in range(_PEAK_S)) for second in taken)
        over_s = max(1, last - first + 1 - idle)
        found.append(Pace(carrier, parts, parts / over_s, best / min(_PEAK_S, over_s)))
    return found


def pace_of(parts: int, takes_ms: int) -> float:
    """The pace (parts per second) at which so many parts take so long. The time was cut to whole
    milliseconds: of all paces that it may be, the roundest."""
    least, most = parts * 1000 / (takes_ms + 1), parts * 1000 / takes_ms
    return next(
        (pace for digits in range(-3, 4) if least < (pace := round(most, digits)) <= most), most
    )


def merged(sendings: Iterable[Sending | None]) -> list[Takeover]:
    """The takeovers of a campaign and its correction, each once, in order of time."""
    found: dict[tuple[int, int], Takeover] = {}
    for one in [one for sending in sendings if sending is not None for one in sending.takeovers]:
        key = (one.partition, one.epoch)
        before = found.get(key, replace(one, claims=0))
        found[key] = replace(
            before, at_ms=min(before.at_ms, one.at_ms), claims=before.claims + one.claims
        )
    return sorted(found.values(), key=lambda one: (one.at_ms, one.partition))


def grouped(takeovers: Sequence[Takeover], within_ms: int = 60_000) -> list[tuple[int, int, int]]:
    """Takeovers, in order of time, that belong together as (when, partitions, claims): each within
    `within_ms` of the one before."""
    breaks = [
        number
        for number, (one, other) in enumerate(pairwise(takeovers), start=1)
        if other.at_ms - one.at_ms > within_ms
    ]
    runs = [takeovers[start:end] for start, end in pairwise([0, *breaks, len(takeovers)])]
    return [(run[0].at_ms, len(run), sum(one.claims for one in run)) for run in runs if run]
