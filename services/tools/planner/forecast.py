"""What the first minutes of a wave say of its next hours, without any history. Pure.

Calls a minute are taken as Poisson counts whose logarithm grows evenly, fitted by likelihood
(P. McCullagh, J. Nelder, "Generalized Linear Models", 1989, chapter 6), with more spread than
Poisson where the counts have it; of as many of the last minutes as one growth explains. What
chance alone might have shown of it is taken off, and what is left dies away, as growth does:
E. Gardner, E. McKenzie, "Forecasting trends in time series", Management Science 31, 1985 (damped
trend). How fast is a guess, and said as one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from services.tools.planner.demand import HALF_HOUR_S, Demand, HalfHour
from services.tools.planner.queueing import PlanError

FEWEST_MINUTES = 5
_FEWEST_CALLS = 20.0
DAMPING_MIN = 30.0
"""Growth goes on as if for so many minutes in all: a guess, in the middle of the shapes' ramps."""
MOST_GROWTH = 10.0
"""More than this many times today's rate nobody can know from minutes."""
_MISFIT = 2.326
"""More spread than that chance shows once in a hundred fits (normal distribution)."""
_NONE = 1e-3
"""For a minute without calls: the likelihood has no mean of nothing."""
_HIGH = 1.2816
"""Nine of ten rates lie below: the normal distribution's 90 % point."""
_STEPS = 50


@dataclass(frozen=True, slots=True)
class Minute:
    """Calls offered in a minute, redials too, and calls abandoned in it."""

    offered: float
    abandoned: float


@dataclass(frozen=True, slots=True)
class Fit:
    """`minutes`: how many of the last ones it is of; `per_minute`: fresh calls in the last of them,
    by the fit; `growth`: of its logarithm a minute; `spread`: variance over that of Poisson;
    `level_error`, `growth_error`: standard errors of the logarithm and its growth."""

    minutes: int
    per_minute: float
    growth: float
    spread: float
    level_error: float
    growth_error: float


def fit(minutes: Sequence[Minute], redial: float) -> Fit:
    """The fit of minutes in order. Of the abandoned calls the share `redial` is taken to be among
    the offered ones again. Raises PlanError when there is too little to see."""
    fresh = [max(0.0, minute.offered - redial * minute.abandoned) for minute in minutes]
    if len(fresh) < FEWEST_MINUTES or sum(fresh) < _FEWEST_CALLS:
        raise PlanError(
            f"{sum(fresh):,.0f} calls in {len(fresh)} minutes say nothing yet: it takes "
            f"{FEWEST_MINUTES} minutes and {_FEWEST_CALLS:,.0f} calls; ask again in a moment"
        )
    found = _fitted(fresh)
    while found.minutes > FEWEST_MINUTES and found.spread > 1.0 + _MISFIT * math.sqrt(
        2.0 / (found.minutes - 2)
    ):
        found = _fitted(fresh[1 - found.minutes :])
    return found


def _fitted(fresh: Sequence[float]) -> Fit:
    # Time 0 is the last minute, so that the level is that of now.
    times = [float(at - len(fresh) + 1) for at in range(len(fresh))]
    counts = [max(count, _NONE) for count in fresh]
    level, growth = _likeliest(counts, times)
    means = [math.exp(level + growth * at) for at in times]
    pearson = sum((count - mean) ** 2 / mean for count, mean in zip(counts, means, strict=True))
    spread = max(1.0, pearson / (len(counts) - 2))
    level_error, growth_error = _errors(means, times, spread)
    # Of growth that is no larger than its error, half is chance.
    sure = growth * growth / (growth * growth + growth_error * growth_error)
    growth *= sure
    per_minute = sum(counts) / sum(math.exp(growth * at) for at in times)
    return Fit(len(counts), per_minute, growth, spread, level_error, growth_error)


def ahead(found: Fit, over_s: float, *, high: bool = False) -> Demand:
    """The demand of the next `over_s` seconds. `high`: nine of ten waves that look like this stay
    below, as far as the fit can tell; how the growth ends it can't."""
    error = _HIGH if high else 0.0

    def rate(minutes: float) -> float:
        """Calls a second so many minutes from now."""
        going = DAMPING_MIN * -math.expm1(-minutes / DAMPING_MIN)
        # The two errors are taken as apart, which is on the careful side.
        off = error * math.hypot(found.level_error, found.growth_error * going)
        more = min(math.log(MOST_GROWTH), found.growth * going)
        return found.per_minute / 60.0 * math.exp(more + min(off, math.log(MOST_GROWTH)))

    half_hours = []
    start_s = 0.0
    while start_s < over_s - 1e-6:
        width_s = min(HALF_HOUR_S, over_s - start_s)
        steps = max(1, round(width_s / 60.0))
        rates = [rate((start_s + width_s * (step + 0.5) / steps) / 60.0) for step in range(steps)]
        half_hours.append(HalfHour(start_s, width_s, sum(rates) / steps * width_s, max(rates)))
        start_s += width_s
    return Demand("live", sum(one.calls for one in half_hours), over_s, tuple(half_hours))


def _likeliest(counts: Sequence[float], times: Sequence[float]) -> tuple[float, float]:
    """Level and growth of the logarithm, by Newton's steps on the likelihood."""
    level, growth = math.log(sum(counts) / len(counts)), 0.0
    for _ in range(_STEPS):
        means = [math.exp(level + growth * at) for at in times]
        off = [count - mean for count, mean in zip(counts, means, strict=True)]
        first, second = sum(off), sum(o * at for o, at in zip(off, times, strict=True))
        a, b, c = _information(means, times)
        by = a * c - b * b
        step = (c * first - b * second) / by, (a * second - b * first) / by
        # A step of Newton's can be too long where the counts begin with nothing.
        short = min(1.0, 1.0 / max(abs(step[0]), len(times) * abs(step[1]), 1e-12))
        level, growth = level + short * step[0], growth + short * step[1]
        if max(abs(step[0]), abs(step[1])) < 1e-10:
            break
    return level, growth


def _information(means: Sequence[float], times: Sequence[float]) -> tuple[float, float, float]:
    return (
        sum(means),
        sum(mean * at for mean, at in zip(means, times, strict=True)),
        sum(mean * at * at for mean, at in zip(means, times, strict=True)),
    )


def _errors(means: Sequence[float], times: Sequence[float], spread: float) -> tuple[float, float]:
    a, b, c = _information(means, times)
    by = a * c - b * b
    return math.sqrt(spread * c / by), math.sqrt(spread * a / by)
