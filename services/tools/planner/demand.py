"""When the calls of a wave come, by half-hour: what the staffing is for. Pure.

A shape's rate is known, so a half-hour is staffed for its busiest moment: on a steep ramp the mean
would leave its second half short (L. Green, P. Kolesar, J. Soares, "Improving the SIPP approach for
staffing service systems that have cyclic demands", Operations Research 49, 2001: "SIPP max"). Of
counts only chance makes the busiest few minutes, so there the mean of the half-hour counts.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loadtests.shapes import Shape

HALF_HOUR_S = 1800.0
FLAT = "flat"


@dataclass(frozen=True, slots=True)
class HalfHour:
    """Calls of a half-hour (the last one may be shorter): `start_s` after the wave's beginning,
    `rate` in calls a second for which it is staffed."""

    start_s: float
    width_s: float
    calls: float
    rate: float


@dataclass(frozen=True, slots=True)
class Demand:
    """Fresh calls, without redials. `begins`: when, if that is known."""

    name: str
    calls: float
    over_s: float
    half_hours: tuple[HalfHour, ...]
    begins: datetime | None = None

    def at(self, half_hour: HalfHour) -> str:
        """When a half-hour begins, for people: the clock's time, or hours and minutes since."""
        if self.begins is not None:
            at = self.begins + timedelta(seconds=half_hour.start_s)
            return f"{at:%Y-%m-%d %H:%M}" if self.over_s > 86_400 else f"{at:%H:%M}"
        hours, rest = divmod(round(half_hour.start_s), 3600)
        return f"{hours}:{rest // 60:02d}"


def by_half_hour(
    shape: "Shape", *, known: bool, begins: datetime | None = None, calls: float | None = None
) -> Demand:
    """The half-hours of a shape. `known`: its rate is one, not counts. With `begins` they start
    at full and half hours. `calls`: its exact sum where that is not a whole number."""
    count = float(shape.calls) if calls is None else calls
    lead_s = 0.0
    if begins is not None:
        lead_s = (begins.minute % 30) * 60.0 + begins.second + begins.microsecond / 1e6
        begins -= timedelta(seconds=lead_s)
    return Demand(
        shape.name,
        count,
        shape.duration_s,
        tuple(_cut(shape, count, lead_s, known)),
        begins,
    )


def _cut(shape: "Shape", count: float, lead_s: float, known: bool) -> Iterator[HalfHour]:
    total = sum(shape.profile.weights)
    pieces = [
        (lead_s + a * shape.duration_s, lead_s + b * shape.duration_s, count * weight / total)
        for weight, (a, b) in zip(shape.profile.weights, pairwise(shape.profile.edges), strict=True)
    ]
    end_s = lead_s + shape.duration_s
    start_s, first = 0.0, 0
    # A rounding error of a duration is no half-hour.
    while start_s < end_s - 1e-6:
        until_s = min(start_s + HALF_HOUR_S, end_s)
        calls = rate = 0.0
        at = first
        while at < len(pieces) and pieces[at][0] < until_s:
            a, b, weight = pieces[at]
            overlap = min(b, until_s) - max(a, start_s)
            if overlap > 1e-6:
                calls += weight * overlap / (b - a)
                rate = max(rate, weight / (b - a))
            if b <= until_s:
                first = at + 1
            at += 1
        width_s = until_s - start_s
        yield HalfHour(start_s, width_s, calls, rate if known else calls / width_s)
        start_s = until_s
