"""From when on so many are more than usual, by one measure for lines and for incidents. Pure."""

from math import exp

LEAST = 8
TIMES = 3.0
CHANCE = 1e-5
_ASSUMED_CASES = 10.0
_ASSUMED_MINUTES = 10.0


def weighed(cases: int, minutes: float) -> float:
    """Cases a minute, weighed against what is assumed: one a minute, weighing as much as ten
    minutes of history."""
    return (cases + _ASSUMED_CASES) / (minutes + _ASSUMED_MINUTES)


def unusual(cases: int, usual: float) -> bool:
    """Whether so many in a span are a burst where `usual` are usual in it."""
    return cases >= max(LEAST, TIMES * usual) and _tail(cases, usual) < CHANCE


def _tail(cases: int, mean: float) -> float:
    """P(X ≥ cases) of a Poisson variable; an upper bound (Chernoff's) where it is tiny."""
    if mean > 50:
        # e^(k - m) (m / k)^k, for k > m.
        ratio = mean / cases
        return float((ratio * exp(1 - ratio)) ** min(cases, 10_000)) if cases > mean else 1.0
    term, below = exp(-mean), 0.0
    for n in range(cases):
        below += term
        term *= mean / (n + 1)
    return max(0.0, 1 - below)
