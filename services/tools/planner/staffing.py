"""Agents by half-hour for a demand, and what fewer calls would save of them. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from services.tools.planner.demand import Demand, HalfHour
from services.tools.planner.queueing import Callers, Floor, PlanError, Target, fewest


@dataclass(frozen=True, slots=True)
class Staffed:
    """A half-hour and the floor that meets its target. Beside it what Erlang C (nobody hangs up)
    and Erlang A (who hangs up does not dial again; None without patience) would ask for."""

    half_hour: HalfHour
    floor: Floor
    erlang_c: int
    erlang_a: int | None

    @property
    def agents(self) -> int:
        """Agents at their telephones."""
        return self.floor.agents


@dataclass(frozen=True, slots=True)
class Staffing:
    """The half-hours of a wave. `shrinkage`: share of paid time not at the telephone."""

    half_hours: tuple[Staffed, ...]
    shrinkage: float = 0.0

    @property
    def agents(self) -> list[int]:
        """By half-hour, at their telephones."""
        return [one.agents for one in self.half_hours]

    @property
    def most(self) -> int:
        """Of the busiest half-hour."""
        return max(self.agents, default=0)

    @property
    def hours(self) -> float:
        """Agents times hours at the telephone."""
        return sum(one.agents * one.half_hour.width_s / 3600 for one in self.half_hours)

    @property
    def rostered(self) -> list[int]:
        """By half-hour, with those who are on a break, in training or ill."""
        return [math.ceil(agents / (1.0 - self.shrinkage) - 1e-9) for agents in self.agents]

    def busiest(self) -> Staffed:
        """The half-hour that needs most agents."""
        return max(self.half_hours, key=lambda one: one.agents)


@dataclass(frozen=True, slots=True)
class Saving:
    """Assumed shares (0 to below 1) of calls that no agent needs to take: `answered` by SMS before,
    `joined` to one that is owed already. They hold apart: of what is not answered, so many join."""

    answered: float
    joined: float

    def __post_init__(self) -> None:
        for what in ("answered", "joined"):
            if not 0 <= getattr(self, what) < 1:
                raise PlanError(f"the share {what} must be at least 0 and below 1")


def staffed(
    demand: Demand, callers: Callers, target: Target, *, left: float = 1.0, shrinkage: float = 0.0
) -> Staffing:
    """The fewest agents of each half-hour, each in its own steady state, when the share `left` of
    the calls is left to be taken."""
    if not 0 <= shrinkage < 1:
        raise PlanError("shrinkage is a share of at least 0 and below 1")
    patient = Callers(callers.aht_s)
    leaving = Callers(callers.aht_s, callers.patience_s)

    def one(half_hour: HalfHour) -> Staffed:
        load = half_hour.rate * left * callers.aht_s
        return Staffed(
            half_hour,
            _fewest(load, callers, target),
            _fewest(load, patient, target).agents,
            None if callers.patience_s is None else _fewest(load, leaving, target).agents,
        )

    return Staffing(tuple(map(one, demand.half_hours)), shrinkage)


def saved(
    demand: Demand, callers: Callers, target: Target, saving: Saving
) -> Sequence[tuple[str, float, Staffing]]:
    """(what is done, share of calls left, agents then), for each way and both."""
    ways = (
        ("answers", 1.0 - saving.answered),
        ("joining", 1.0 - saving.joined),
        ("both", (1.0 - saving.answered) * (1.0 - saving.joined)),
    )
    return [(name, left, staffed(demand, callers, target, left=left)) for name, left in ways]


# Half-hours of a flat wave, or of a month of counts, are often the same.
_fewest = lru_cache(maxsize=65_536)(fewest)
