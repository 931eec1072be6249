"""The figures of the wave page: sums and shares of what the rooms say, no decision. Pure.

What is usual is the mean of the same hour on those of the last seven days on which anybody reached
the centre, or, where no such day is known, the median minute of the last two hours without the
last ten: the room `wave` has its own measure for bursts, of cases, which is shown with each burst.
"""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mawja.wave.v1 import contracts_pb2 as contracts
from mawja.wave.v1.events_pb2 import Counts, Dimension, Level

from services.console.wave.picture import (
    CHART_MS,
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    Picture,
    last_window,
)

_RECENT_MS = 10 * MINUTE_MS
_LEAST_USUAL_MS = 10 * MINUTE_MS
ANSWER_TARGET_S = 20
HANDLING_TARGET_S = 240


@dataclass(frozen=True, slots=True)
class Rate:
    """Of the last whole minute. `usual`: contacts a minute, None where it is not known; `days`: of
    how many earlier days it is, 0 when it is of the last two hours."""

    contacts: int
    cases: int
    dialled: int
    usual: float | None
    days: int

    @property
    def times(self) -> float | None:
        """How many times the usual; None where that is not known or nothing."""
        return self.contacts / self.usual if self.usual else None


@dataclass(frozen=True, slots=True)
class Gauge:
    """One of the four service levels: `share` 0 to 1, None where nothing was measured; `target`
    what is promised; `mean_s` the mean behind it in seconds, where there is one."""

    name: str
    share: float | None
    target: float
    mean_s: float | None = None

    @property
    def met(self) -> bool:
        """Whether the promise is kept; also where nothing was measured."""
        return self.share is None or self.share >= self.target

    @property
    def near(self) -> bool:
        """Whether it is not kept, but for less than a tenth."""
        return not self.met and self.share is not None and self.share >= self.target - 0.1


@dataclass(frozen=True, slots=True)
class Row:
    """What was counted of one subject in the last 15 minutes."""

    subject: str
    contacts: int
    cases: int
    dialled: int
    gauges: tuple[Gauge, ...]


@dataclass(frozen=True, slots=True)
class Share:
    """A part of the whole: `share` 0 to 1."""

    subject: str
    contacts: int
    share: float


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic of the last 15 minutes: cases, and in the 15 before."""

    subject: str
    cases: int
    before: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """Who waits. `ours`: calls in our queue, None where that is not known; `limit` 0 for none."""

    ours: int | None
    limit: int
    open: bool


@dataclass(frozen=True, slots=True)
class Point:
    """A minute of the chart: its start (Unix ms), contacts and cases."""

    at_ms: int
    contacts: int
    cases: int


def rate(picture: Picture) -> Rate:
    """How much comes in now."""
    level = picture.minutes.get(last_window(picture.counted_ms))
    counts = level.counts if level is not None else Counts()
    usual, days = usually(picture)
    return Rate(counts.contacts, counts.cases, counts.offered, usual, days)


def usually(picture: Picture) -> tuple[float | None, int]:
    """Contacts a minute that are usual now, and from how many days; see the module."""
    begin = picture.counted_ms - HOUR_MS // 2
    begin -= begin % (5 * MINUTE_MS)
    by_start = {level.start_ms: level.counts.contacts for level in picture.hours}
    held = [by_start.get(begin - day * DAY_MS, 0) for day in range(1, 8)]
    # A day on which nobody came at all is no measure of the others.
    days = [
        contacts
        for day, contacts in enumerate(held, start=1)
        if contacts or _anything(by_start, begin - day * DAY_MS)
    ]
    if days:
        return sum(days) / len(days) / (HOUR_MS / MINUTE_MS), len(days)
    until = picture.counted_ms - _RECENT_MS
    early = [
        level for start, level in picture.minutes.items() if not start % MINUTE_MS and start < until
    ]
    if not early:
        return None, 0
    span_ms = until - min(level.start_ms for level in early)
    if span_ms < _LEAST_USUAL_MS:
        return None, 0
    # The middle, not the mean: a surge of less than an hour must not become what is usual.
    counted = sorted(level.counts.contacts for level in early)
    nobody = max(0, span_ms // MINUTE_MS - len(counted))
    return float(statistics.median([0] * nobody + counted)), 0


def _anything(by_start: Mapping[int, int], begin_ms: int) -> bool:
    half = DAY_MS // 2
    return any(
        contacts and begin_ms - half <= start < begin_ms + half
        for start, contacts in by_start.items()
    )


def chart(picture: Picture) -> list[Point]:
    """The whole minutes of the last two hours, from the first in which anybody came."""
    end = picture.counted_ms - 3_000
    end -= end % MINUTE_MS
    known = [start for start in picture.minutes if not start % MINUTE_MS and start < end]
    begin = max(min(known, default=end - 15 * MINUTE_MS), end - CHART_MS)
    begin = min(begin, end - 15 * MINUTE_MS)
    points = []
    for start in range(begin, end, MINUTE_MS):
        level = picture.minutes.get(start)
        counts = level.counts if level is not None else Counts()
        points.append(Point(start, counts.contacts, counts.cases))
    return points


def gauges(level: Level | None) -> tuple[Gauge, ...]:
    """The four service levels of a window."""
    found = level.service_levels if level is not None else None
    counts = level.counts if level is not None else Counts()

    measured = {} if found is None else {one.name: value for one, value in found.ListFields()}

    wait = counts.queue_wait_ms / counts.answered / 1000 if counts.answered else None
    handling = counts.handling_ms / counts.handled / 1000 if counts.handled else None
    return (
        Gauge("answered", measured.get("answered"), 0.90),
        Gauge("answered_in_target", measured.get("answered_in_target"), 0.90, wait),
        Gauge("handled_in_target", measured.get("handled_in_target"), 0.90, handling),
        Gauge("first_contact_resolved", measured.get("first_contact_resolved"), 0.90),
    )


def whole(picture: Picture) -> Level | None:
    """The last 15 minutes of the whole scope."""
    agency = picture.scope.agency
    wanted = Dimension.DIMENSION_AGENCY if agency else Dimension.DIMENSION_ALL
    return next(
        (one for one in picture.quarter if (one.dimension, one.subject) == (wanted, agency)), None
    )


def rows(picture: Picture, dimension: "Dimension.ValueType") -> list[Row]:
    """Subjects of a dimension, the one with most contacts first."""
    found = [
        Row(
            one.subject,
            one.counts.contacts,
            one.counts.cases,
            one.counts.offered,
            gauges(one),
        )
        for one in picture.quarter
        if one.dimension == dimension and one.counts.contacts
    ]
    return sorted(found, key=lambda row: (-row.contacts, row.subject))


def shares(picture: Picture, dimension: "Dimension.ValueType") -> list[Share]:
    """The subjects of a dimension as parts of what all of them have, the largest first."""
    found = rows(picture, dimension)
    total = sum(row.contacts for row in found)
    return [Share(row.subject, row.contacts, row.contacts / total) for row in found]


def topics(picture: Picture, most: int) -> list[Topic]:
    """What people ask, the most first."""
    before = {level.subject: level.counts.cases for level in picture.before}
    found = [
        Topic(one.subject, one.counts.cases, before.get(one.subject, 0))
        for one in picture.quarter
        if one.dimension == Dimension.DIMENSION_TOPIC and one.counts.cases
    ]
    return sorted(found, key=lambda topic: (-topic.cases, topic.subject))[:most]


def waiting(picture: Picture) -> Waiting:
    """Who waits in our queue."""
    for queue in picture.queues:
        if queue.holder == contracts.QUEUE_HOLDER_CENTRE and not queue.agency:
            takes = queue.state in (
                contracts.QUEUE_CONDITION_ACTIVE,
                contracts.QUEUE_CONDITION_STANDBY,
            )
            return Waiting(queue.queue_length, queue.queue_max_length, takes)
    return Waiting(None, 0, True)


def of_agency(queues: Sequence[contracts.QueueState], agency: str) -> contracts.QueueState | None:
    """An agency's own queue as its telephone system tells it."""
    return next(_own(queues, agency), None)


def _own(queues: Sequence[contracts.QueueState], agency: str) -> Iterator[contracts.QueueState]:
    for queue in queues:
        if queue.holder == contracts.QUEUE_HOLDER_AGENCY and queue.agency == agency:
            yield queue
