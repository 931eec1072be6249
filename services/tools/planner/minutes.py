"""The last minutes of a wave, of the levels that WaveService tells. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from mawja.wave.v1.events_pb2 import Level

from services.tools.planner.forecast import Minute
from services.tools.planner.queueing import PlanError

WIDTH_MS = 60_000
_HOP_MS = 10_000
_ENOUGH_HANDLED = 30


@dataclass(frozen=True, slots=True)
class Seen:
    """The last minutes of a wave in order, up to `until_ms` (Unix ms, event time). `aht_s`: mean
    handling time in seconds of the calls that ended in them; None when too few did."""

    minutes: tuple[Minute, ...]
    until_ms: int
    aht_s: float | None


def of_levels(levels: Iterable[Level], most: int) -> Seen:
    """The minutes of windows of 60 s, a new one every 10 s. The newest 10 s are left out: not every
    partition may have told them yet. Raises PlanError when no call was seen."""
    by_start = {level.start_ms: level.counts for level in levels}
    called = [start for start, counts in by_start.items() if counts.offered]
    if not called:
        raise PlanError("wave has seen no call yet: ask again when some came")
    until_ms = max(by_start)
    # The first window with a call ends with the 10 s in which it came.
    first_ms = min(called) + WIDTH_MS - _HOP_MS
    minutes, handled, handling_ms = [], 0, 0
    for back in range(1, most + 1):
        start_ms = until_ms - back * WIDTH_MS
        if start_ms < first_ms:
            break
        counts = by_start.get(start_ms)
        minutes.append(Minute(counts.offered, counts.abandoned) if counts else Minute(0, 0))
        if counts:
            handled += counts.handled
            handling_ms += counts.handling_ms
    aht_s = handling_ms / handled / 1000 if handled >= _ENOUGH_HANDLED and handling_ms else None
    return Seen(tuple(reversed(minutes)), until_ms, aht_s)
