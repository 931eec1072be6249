"""How a floor of agents meets a load: Erlang C when nobody hangs up, else Erlang A with redials.

Decides what the plan's service level is and the fewest agents that reach it. A service level is
the share of *dialled* calls that an agent answers within so many seconds: who hangs up, however
soon, was not answered. Everything is summed in logarithms, so that a hundred thousand erlangs are
as exact as ten. Pure.

Sources: A. K. Erlang, "Solution of some problems in the theory of probabilities of significance in
automatic telephone exchanges", 1917, for the B and C formulae; C. Palm, "Research on telephone
traffic carried by full availability groups", Tele 1, 1957, for M/M/n+M, today Erlang A, as in
A. Mandelbaum, S. Zeltyn, "The Palm/Erlang-A queue, with applications to call centers", 2005;
M. S. Aguir, F. Karaesmen, O. Z. Aksin, F. Chauvet, "The impact of retrials on call center
performance", OR Spectrum 26, 2004, and S. Ding, M. Remerova, R. van der Mei, B. Zwart, "Fluid
approximation of a call center model with redials and reconnects", Performance Evaluation 92, 2015,
for redials as a fixed point whose load is then given to Erlang A.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.runtime import erlang
from services.tools.planner.redials import TooLarge, soon

_NOTHING = -45.0
"""Logarithm of a share of the likeliest state below which states add nothing (3e-20)."""
_CHUNK = 512
_CLOSE = 1e-11
_LONGEST_QUEUE = 4096
LONGEST_PATIENCE_S = 86_400.0
"""Above that nobody hangs up during a wave, and Erlang C is meant."""


class PlanError(ValueError):
    """What can't be planned; the sentence says why."""


@dataclass(frozen=True, slots=True)
class Callers:
    """How people call. Times in seconds; `redial`: probability (0 to below 1) that who hung up
    dials again. `patience_s`: mean of an exponential patience; None: nobody hangs up.
    `redial_after_s`: mean of the exponential time until who redials does; None: long after."""

    aht_s: float
    patience_s: float | None = None
    redial: float = 0.0
    redial_after_s: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.aht_s < math.inf:
            raise PlanError("the handling time must be more than 0 seconds")
        if self.patience_s is not None and not 0 < self.patience_s <= LONGEST_PATIENCE_S:
            raise PlanError("patience must be more than 0 seconds, and at most a day")
        if not 0 <= self.redial < 1:
            raise PlanError("redial must be at least 0 and below 1, or calls would never end")
        if self.redial and self.patience_s is None:
            raise PlanError("who redials has hung up: redial needs patience")
        if self.redial_after_s is not None and not self.redial:
            raise PlanError("redial-after says when who redials does: it needs redial")
        if self.redial_after_s is not None and not 0 < self.redial_after_s <= LONGEST_PATIENCE_S:
            raise PlanError("redials come after more than 0 seconds, and at most a day")


@dataclass(frozen=True, slots=True)
class Target:
    """The share (0 to below 1) of dialled calls to answer within `within_s` seconds."""

    share: float
    within_s: float

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise PlanError("the target is a share above 0 and below 1")
        if not 0 <= self.within_s < math.inf:
            raise PlanError("the target's seconds must be 0 or more")


@dataclass(frozen=True, slots=True)
class Floor:
    """What `agents` make of a load, in steady state. Loads in erlangs, shares 0 to 1 of dialled
    calls; `dialled` counts redials, `wait_s` is the mean wait of all dialled calls in seconds
    (infinite in overload when nobody hangs up), `busy` the share of their time that agents talk."""

    agents: int
    load: float
    dialled: float
    in_target: float
    answered: float
    wait_s: float
    busy: float


@dataclass(frozen=True, slots=True)
class _Leaving:
    """Erlang A: shares of calls that are answered in time, and that hang up."""

    in_target: float
    abandoned: float


def floor(agents: int, load: float, callers: Callers, within_s: float) -> Floor:
    """What `agents` (at least 1) make of `load` erlangs of fresh calls."""
    if agents < 1:
        raise PlanError(f"a floor needs at least 1 agent, not {agents}")
    if load <= 0:
        return Floor(agents, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0)
    if callers.patience_s is None:
        level = erlang.service_level(agents, load, callers.aht_s, within_s)
        wait = erlang.mean_wait_s(agents, load, callers.aht_s)
        answered = min(1.0, agents / load)
        return Floor(agents, load, load, level, answered, wait, min(1.0, load / agents))
    dialled, left = _with_redials(agents, load, callers, callers.patience_s, within_s)
    if callers.redial and callers.redial_after_s is not None:
        dialled, left = _soon(agents, load, callers, callers.patience_s, within_s, dialled)
    return Floor(
        agents,
        load,
        dialled,
        left.in_target,
        1.0 - left.abandoned,
        # Who waits leaves at rate 1 / patience, so P(leaves) = E(wait) / patience.
        left.abandoned * callers.patience_s,
        dialled * (1.0 - left.abandoned) / agents,
    )


def fewest(load: float, callers: Callers, target: Target) -> Floor:
    """The floor of the fewest agents that meet the target on `load` erlangs of fresh calls; of
    none on no load."""
    if load <= 0:
        return Floor(0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0)
    if callers.patience_s is None:
        agents = erlang.agents_for(load, callers.aht_s, target.share, target.within_s)
        return floor(agents, load, callers, target.within_s)

    def meets(agents: int) -> Floor | None:
        found = floor(agents, load, callers, target.within_s)
        return found if found.in_target >= target.share else None

    # Fewer than these answer too small a share at all.
    low, step = max(1, math.ceil(target.share * load)) - 1, 1
    if callers.redial and callers.redial_after_s is not None:
        # Redials that come soon take more agents, but for targets that hardly anybody meets.
        later = Callers(callers.aht_s, callers.patience_s, callers.redial)
        enough = fewest(load, later, target).agents - 1
        if enough > low and meets(enough) is None:
            low = enough
    found = meets(low + step)
    while found is None:
        low, step = low + step, step * 2
        found = meets(low + step)
    high = low + step
    while high - low > 1:
        middle = (low + high) // 2
        better = meets(middle)
        if better is None:
            low = middle
        else:
            high, found = middle, better
    return found


def _with_redials(
    agents: int, load: float, callers: Callers, patience_s: float, within_s: float
) -> tuple[float, _Leaving]:
    """The load dialled and its floor: L = load + redial * abandoned(L) * L, by false position
    (Illinois), redials taken as one more Poisson stream (see `loadtests.erlang.redial_load` for how
    far that is from the truth when people redial soon)."""

    def left(dialled: float) -> _Leaving:
        return _leaving(agents, dialled, callers.aht_s, patience_s, within_s)

    now = left(load)
    over = load * callers.redial * now.abandoned
    if over <= _CLOSE * load:
        return load, now
    low, above = load, over
    high = load / (1.0 - callers.redial)
    below = load + callers.redial * left(high).abandoned * high - high
    side, dialled = 0, high
    while high - low > _CLOSE * load and below < 0:
        dialled = min(max((low * below - high * above) / (below - above), low), high)
        now = left(dialled)
        over = load + callers.redial * now.abandoned * dialled - dialled
        if abs(over) <= _CLOSE * load:
            return dialled, now
        if over > 0:
            low, above = dialled, over
            below = below / 2 if side > 0 else below
            side = 1
        else:
            high, below = dialled, over
            above = above / 2 if side < 0 else above
            side = -1
    return high, left(high)


def _soon(
    agents: int,
    load: float,
    callers: Callers,
    patience_s: float,
    within_s: float,
    dialled: float,
) -> tuple[float, _Leaving]:
    """The same with redials that come soon, `dialled` erlangs by the fixed point."""
    assert callers.redial_after_s is not None
    orbit = (dialled - load) / callers.aht_s * callers.redial_after_s
    try:
        found = soon(
            agents,
            load,
            callers.aht_s,
            patience_s,
            callers.redial,
            callers.redial_after_s,
            _in_time(agents * patience_s / callers.aht_s, _LONGEST_QUEUE, within_s / patience_s),
            orbit,
        )
    except TooLarge:
        raise PlanError(
            f"{load:,.0f} erlangs are too many to follow who redials when: leave out --redial-after"
        ) from None
    return found.dialled, _Leaving(found.in_target, found.abandoned)


def _leaving(
    agents: int, load: float, aht_s: float, patience_s: float, within_s: float
) -> _Leaving:
    """Erlang A without redials.

    A call that finds all agents busy and j waiting is next after j + 1 departures, at rates
    n·mu + i·theta for i = j … 0: a sum of exponentials that is -ln(X) / theta with X of
    Beta(c, j + 1) and c = n·mu / theta. So it is answered at all with probability c / (c + j + 1),
    and within t with that times P(Beta(c + 1, j + 1) > e^(-theta·t)), whose complement is a sum of
    negative binomial terms.
    """
    per_agent = aht_s / patience_s
    busy = np.cumsum(np.log(load / (agents + per_agent * np.arange(1, _CHUNK + 1))))
    while not (busy[-1] < max(0.0, float(busy.max())) + _NOTHING and busy[-1] < busy[-2]):
        more = np.arange(len(busy) + 1, 2 * len(busy) + 1)
        busy = np.concatenate(
            (busy, busy[-1] + np.cumsum(np.log(load / (agents + per_agent * more))))
        )
    idle = np.cumsum(np.log(np.arange(agents, 0, -1) / load))
    full = np.concatenate((np.zeros(1), busy))
    highest = max(float(full.max()), float(idle.max()))
    # What is beyond adds nothing; most of a chunk is.
    some = np.flatnonzero(full - highest > _NOTHING)
    waiting = np.exp(full[: int(some[-1]) + 1 if len(some) else 1] - highest)
    free = float(np.exp(idle - highest).sum())
    total = free + float(waiting.sum())
    ahead = np.arange(len(waiting))
    rate = agents / per_agent
    abandoned = float((waiting * (ahead + 1) / (rate + ahead + 1)).sum()) / total
    in_time = _in_time(rate, len(waiting), within_s / patience_s)
    in_target = (free + float((waiting * in_time).sum())) / total
    return _Leaving(min(1.0, in_target), min(1.0, abandoned))


def _in_time(rate: float, count: int, times: float) -> NDArray[np.float64]:
    """Probability to be answered within `times` patiences with 0 … count - 1 waiting before, when
    agents get free at `rate` a patience."""
    reached = rate / (rate + np.arange(1, count + 1, dtype=np.float64))
    found: NDArray[np.float64] = np.multiply(reached, -np.expm1(_late(rate + 1.0, count, times)))
    return found


def _late(shape: float, count: int, times: float) -> NDArray[np.float64]:
    """ln P(Beta(shape, j + 1) < e^-times) for j = 0 … count - 1, never above 0."""
    ahead = np.arange(1, count)
    left = math.log(-math.expm1(-times)) if times > 0 else -math.inf
    terms = np.concatenate((np.zeros(1), np.cumsum(np.log((shape + ahead - 1) / ahead) + left)))
    found: NDArray[np.float64] = np.logaddexp.accumulate(terms - shape * times)
    return np.minimum(found, 0.0)
