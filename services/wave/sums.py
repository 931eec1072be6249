"""The running sums of one kind of contact: real ones, or those of drills.

Each kind has its own newest event, and so its own horizons: a rehearsal played in the past or far
faster than life neither ages what really happens nor is aged by it, and what is usual is told of
either kind by itself. Pure.
"""

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from typing import NamedTuple

from mawja.wave.v1.events_pb2 import Dimension, Level

from services.wave import levels
from services.wave.windows import HOPS, HOUR, Hop

_EMPTY: Mapping[int, int] = {}


class Subject(NamedTuple):
    """What is counted: a line, agency, topic, language or the whole; `drill`: of drills only."""

    dimension: "Dimension.ValueType"
    name: str
    drill: bool = False


WHOLE = {drill: Subject(Dimension.DIMENSION_ALL, "", drill) for drill in (False, True)}


@dataclass(frozen=True, slots=True)
class Window:
    """What is counted for one subject in one window."""

    subject: Subject
    start_ms: int
    width_ms: int
    counts: int

    def level(self) -> Level:
        """The window as it is stated to others."""
        counts = levels.counts(self.counts)
        return Level(
            dimension=self.subject.dimension,
            subject=self.subject.name,
            start_ms=self.start_ms,
            width_ms=self.width_ms,
            counts=counts,
            service_levels=levels.service_levels(counts),
            drill=self.subject.drill,
        )


class TooMany(Exception):
    """A question has more windows than may be answered at once."""


@dataclass(slots=True)
class Slots:
    """Running sums of one kind of window: slot → subject's id → counts."""

    hop: Hop
    horizon: int = 0
    slots: dict[int, dict[int, int]] = field(default_factory=dict)


class Sums:
    """Adds differences, tells sums. `newest_ms`: the end of the newest bucket, 0 without any."""

    def __init__(self) -> None:
        self.newest_ms = 0
        self.by_width = {hop.width_ms: Slots(hop) for hop in HOPS}

    def reaches(self, end_ms: int) -> None:
        """A bucket that ends at `end_ms` is told of; what is too old by that is forgotten."""
        if end_ms <= self.newest_ms:
            return
        self.newest_ms = end_ms
        for sums in self.by_width.values():
            horizon = sums.hop.horizon(end_ms)
            if horizon > sums.horizon:
                sums.horizon = horizon
                for slot_ms in [slot_ms for slot_ms in sums.slots if slot_ms < horizon]:
                    del sums.slots[slot_ms]

    def add(self, bucket_ms: int, subjects: tuple[int, ...], change: int) -> None:
        """Adds `change` (packed counts, negative to take away) to each of `subjects`."""
        for sums in self.by_width.values():
            slot_ms = sums.hop.slot(bucket_ms)
            if slot_ms < sums.horizon:
                continue
            slot = sums.slots.get(slot_ms)
            if slot is None:
                slot = sums.slots[slot_ms] = {}
            for subject in subjects:
                slot[subject] = slot.get(subject, 0) + change

    def slot(self, width_ms: int, slot_ms: int) -> Mapping[int, int]:
        """Counts by subject's id of the slot that starts at `slot_ms`, of one kind of window."""
        return self.by_width[width_ms].slots.get(slot_ms, _EMPTY)

    def oldest_ms(self) -> int:
        """The start of the oldest slot in which anything was counted; the newest when none is."""
        return min(self.by_width[HOUR.width_ms].slots, default=self.newest_ms)

    def total(self, subject_id: int, width_ms: int, start_ms: int) -> int | None:
        """Packed counts of one subject in one window; None when it is no longer kept."""
        sums = self.by_width[width_ms]
        if start_ms < sums.horizon:
            return None
        return sum(
            self.slot(width_ms, slot).get(subject_id, 0) for slot in sums.hop.slots(start_ms)
        )

    def hopping(
        self, wanted: Set[int], width_ms: int, from_ms: int, until_ms: int, limit: int
    ) -> Iterator[tuple[int, int, int, int]]:
        """(subject's id, start, width, packed counts) of the windows of `width_ms` that overlap
        [from_ms, until_ms) and hold something. Raises TooMany when there are more than `limit`."""
        sums = self.by_width[width_ms]
        hop = sums.hop
        asked = hop.overlapping(max(from_ms, sums.horizon), until_ms)
        totals: dict[tuple[int, int], int] = {}
        for slot_ms, subject_id, value in _held(
            sums, wanted, asked.start, asked.stop + hop.width_ms
        ):
            for start in hop.covering(slot_ms):
                if start in asked and start >= sums.horizon:
                    totals[subject_id, start] = totals.get((subject_id, start), 0) + value
            if len(totals) > limit:
                raise TooMany
        for (subject_id, start), total in totals.items():
            if total:
                yield subject_id, start, width_ms, total

    def whole(
        self, wanted: Set[int], from_ms: int, until_ms: int
    ) -> Iterator[tuple[int, int, int, int]]:
        """As `hopping`, one window over the whole span, widened to whole slots of the finest kind
        that reaches back to `from_ms`."""
        reaching = [sums for sums in self.by_width.values() if sums.horizon <= from_ms]
        sums = reaching[0] if reaching else self.by_width[HOUR.width_ms]
        hop = sums.hop
        start = hop.slot(max(from_ms, sums.horizon))
        end = hop.slot(until_ms + hop.hop_ms - 1)
        totals: dict[int, int] = {}
        for _, subject_id, value in _held(sums, wanted, start, end):
            totals[subject_id] = totals.get(subject_id, 0) + value
        for subject_id, total in totals.items():
            if total:
                yield subject_id, start, end - start, total


def _held(
    sums: Slots, wanted: Set[int], from_ms: int, until_ms: int
) -> Iterator[tuple[int, int, int]]:
    """(slot, subject's id, counts) of the slots that start in [from_ms, until_ms)."""
    for slot_ms, slot in sums.slots.items():
        if from_ms <= slot_ms < until_ms:
            for subject_id in wanted & slot.keys():
                yield slot_ms, subject_id, slot[subject_id]
