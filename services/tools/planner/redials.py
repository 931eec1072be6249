"""Redials that come soon: Erlang A with an orbit of those who will dial again. Pure.

Who hung up and will redial does so after an exponential time. The floor and the orbit together are
a Markov chain of two numbers, calls in the floor and people in the orbit, that moves one call at a
time, so it is solved level by level (M. Neuts, "Matrix-geometric solutions in stochastic models",
1981, for chains that are block tridiagonal; G. Falin, J. Templeton, "Retrial queues", 1997, for the
orbit), cut where the rest is below a ten-thousandth. As the time grows it comes to the fixed point
of `queueing`; for short ones redials meet the busy spell that caused them, and fewer calls are
answered in time than by the fixed point.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_TAIL = 1e-5
_BELOW = 1e-9
_SPREADS = 6.5
_MOST_WORK = 2e9
"""Levels times the cube of the orbit's size: some seconds."""


class TooLarge(Exception):
    """The chain would take too long; the fixed point has to do."""


@dataclass(frozen=True, slots=True)
class Soon:
    """Of all dialled calls: `dialled`, their load in erlangs; shares 0 to 1 answered in time and
    abandoned."""

    dialled: float
    in_target: float
    abandoned: float


def soon(
    agents: int,
    load: float,
    aht_s: float,
    patience_s: float,
    redial: float,
    after_s: float,
    in_time: NDArray[np.float64],
    orbit: float,
) -> Soon:
    """The floor of `agents` under `load` erlangs of fresh calls, of whose abandoned ones the share
    `redial` comes back after `after_s` seconds in the mean. `in_time`: probability that a call with
    0, 1, 2 … waiting before it is answered in time, for as many as may ever wait; `orbit`: about
    how many will be in the orbit. Raises TooLarge."""
    # Redialling at once makes the longest queue: who leaves it comes back to its end.
    waiting, term = 0, 1.0
    while term > _BELOW:
        waiting += 1
        term *= load / (agents + waiting * aht_s * (1.0 - redial) / patience_s)
        if waiting >= len(in_time):
            raise TooLarge
    most = agents + waiting
    busy = min(load / (1.0 - redial), agents)
    least = max(0, math.floor(min(load, busy) - _SPREADS * math.sqrt(min(load, busy)) - 4))
    people = math.ceil(1.5 * orbit + 5.0 * math.sqrt(orbit) + 10)
    while True:
        if (most - least) * float(people) ** 3 > _MOST_WORK:
            raise TooLarge
        shares = _stationary(
            (least, agents, most), people, load / aht_s, 1 / aht_s, 1 / patience_s, redial, after_s
        )
        if shares[:, -1].sum() < _TAIL:
            break
        people = math.ceil(people * 1.5)
    rates = shares * (load / aht_s + np.arange(people + 1) / after_s)
    arriving = rates.sum(axis=1)
    levels = np.arange(least, most + 1)
    answered = np.where(levels < agents, 1.0, in_time[np.maximum(levels - agents, 0)])
    queue = float((shares.sum(axis=1) * np.maximum(levels - agents, 0)).sum())
    total = float(arriving.sum())
    return Soon(
        total * aht_s, float((arriving * answered).sum()) / total, queue / patience_s / total
    )


def _stationary(
    levels: tuple[int, int, int],
    people: int,
    arriving: float,
    ending: float,
    leaving: float,
    redial: float,
    after_s: float,
) -> NDArray[np.float64]:
    """Shares of (calls in the floor, people in the orbit). From the highest level down, what a
    level has is that of the one below times a matrix; the lowest is then solved alone."""
    least, agents, most = levels
    orbit = np.arange(people + 1)
    up = np.diag(np.full(people + 1, arriving))
    up[orbit[1:], orbit[1:] - 1] = orbit[1:] / after_s

    def down(level: int) -> NDArray[np.float64]:
        gone = max(0, level - agents) * leaving
        moves = np.diag(np.full(people + 1, min(level, agents) * ending + gone * (1 - redial)))
        moves[orbit[:-1], orbit[:-1] + 1] = gone * redial
        moves[-1, -1] += gone * redial
        return moves

    ratios: list[NDArray[np.float64]] = []
    above = np.zeros((people + 1, people + 1))
    for level in range(most, least, -1):
        leaves = min(level, agents) * ending + max(0, level - agents) * leaving
        stays = _leaving_of(above, leaves)
        ratio = np.asarray(np.linalg.solve(stays.T, up.T).T, np.float64)
        above = ratio @ down(level)
        ratios.append(ratio)
    # Of the lowest level: what leaves it comes back; one equation says that it is not nothing.
    balance = _leaving_of(above, 0.0).T
    balance[0] = 1.0
    first = np.zeros(people + 1)
    first[0] = 1.0
    shares = [np.linalg.solve(balance, first)]
    for ratio in reversed(ratios):
        shares.append(shares[-1] @ ratio)
        # The lowest levels are the rarest: the likely ones must not overflow.
        if (highest := float(shares[-1].max())) > 1e200:
            shares = [one / highest for one in shares]
    found = np.maximum(np.array(shares), 0.0)
    return found / float(found.sum())


def _leaving_of(above: NDArray[np.float64], leaves: float) -> NDArray[np.float64]:
    """Rates out of a level's states for good: what goes up comes back by `above`, `leaves` go down.
    The diagonal is what the rest adds up to (W. Grassmann, M. Taksar, D. Heyman, "Regenerative
    analysis and steady state distributions for Markov chains", Operations Research 33, 1985), or
    rounding would grow from level to level."""
    found = -above
    np.fill_diagonal(found, 0.0)
    np.fill_diagonal(found, leaves - found.sum(axis=1))
    return found
