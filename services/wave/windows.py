"""Hopping windows: which windows an instant falls into, and for how long they can still change.

A window is an exact sum of slots, and a slot is one hop wide: a 60 s window is 6 slots of 10 s. So
a count is added once, to one slot of each kind, however many windows overlap. Each kind keeps its
slots for a span of event time, and fine windows for the shortest one; that bounds the memory. All
times are Unix milliseconds of event time, windows are half open: [start, start + width).
"""

from collections.abc import Iterator
from dataclasses import dataclass

SECOND_MS = 1_000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
# How many steps a horizon takes while a kind's whole span passes: it moves seldom, so that
# forgetting costs little.
_HORIZON_STEPS = 24


@dataclass(frozen=True, slots=True)
class Hop:
    """One kind of hopping window: `width_ms` wide, a new one every `hop_ms`, and its slots kept
    until event time is `keep_ms` further. `width_ms` is a multiple of `hop_ms`."""

    width_ms: int
    hop_ms: int
    keep_ms: int

    def slot(self, at_ms: int) -> int:
        """The start of the slot that holds the instant `at_ms`."""
        return at_ms - at_ms % self.hop_ms

    def covering(self, slot_ms: int) -> range:
        """The starts of the windows that hold the slot starting at `slot_ms`, earliest first."""
        return range(slot_ms - self.width_ms + self.hop_ms, slot_ms + self.hop_ms, self.hop_ms)

    def slots(self, start_ms: int) -> range:
        """The starts of the slots of the window that starts at `start_ms`."""
        return range(start_ms, start_ms + self.width_ms, self.hop_ms)

    def overlapping(self, from_ms: int, until_ms: int) -> range:
        """The starts of the windows that overlap the span [from_ms, until_ms)."""
        first = self.slot(from_ms) - self.width_ms + self.hop_ms
        return range(first, max(first, until_ms), self.hop_ms)

    def horizon(self, newest_ms: int) -> int:
        """The start of the oldest slot that is kept when `newest_ms` is the newest instant.

        A multiple of both the hop and a 24th of the span, at least `keep_ms` back.
        """
        step = self.keep_ms // _HORIZON_STEPS
        step -= step % self.hop_ms
        oldest = newest_ms - self.keep_ms
        return oldest - oldest % step


MINUTE = Hop(MINUTE_MS, 10 * SECOND_MS, 2 * HOUR_MS)
QUARTER = Hop(15 * MINUTE_MS, MINUTE_MS, 26 * HOUR_MS)
HOUR = Hop(HOUR_MS, 5 * MINUTE_MS, 31 * DAY_MS)
# Finest first.
HOPS = (MINUTE, QUARTER, HOUR)


def windows(at_ms: int) -> Iterator[tuple[int, int]]:
    """Every window, as (width, start), that holds the instant `at_ms`."""
    for hop in HOPS:
        for start in hop.covering(hop.slot(at_ms)):
            yield hop.width_ms, start
