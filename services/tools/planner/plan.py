"""A plan as one object: what was asked, agents by half-hour, what fewer calls would save. Pure.

Keys of its JSON. `calls`, `dialled` (with redials), `over_s`, `arrivals` (name of the shape or
file), `aht_s`, `target` {share, within_s}, `patience_s`, `redial`, `redial_after_s` (null: long
after), `shrinkage`; `model`: erlang-c, erlang-a, erlang-a-redial, or erlang-a-redial-soon;
`agents`: at their telephones, by half-hour; `rostered`: the same with shrinkage; `agents_most`;
`agent_hours`; `half_hours`: by half-hour {at, start_s, width_s, calls, load, dialled_load, agents,
in_target, answered, wait_s, busy, erlang_c, erlang_a}, loads in erlangs, shares 0 to 1 of dialled
calls, `erlang_c` and `erlang_a`: agents by these models alone;
`savings`: {answered, joined (the assumed shares), answers, joining, both}, each {left (share of
calls), agents, agents_most, agent_hours, hours_saved};
`assumptions`: sentences. Parts that other modules add: `begins` (when the first half-hour begins,
ISO 8601; null: not said), `sms`, `system`, `live`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from services.tools.planner.demand import Demand
from services.tools.planner.queueing import Callers, Target
from services.tools.planner.staffing import Saving, Staffed, Staffing, saved, staffed


@dataclass(frozen=True, slots=True)
class Plan:
    """What was asked, and what it takes."""

    demand: Demand
    callers: Callers
    target: Target
    saving: Saving
    staffing: Staffing
    savings: Sequence[tuple[str, float, Staffing]]

    @property
    def model(self) -> str:
        """By which model the agents were reckoned."""
        if self.callers.patience_s is None:
            return "erlang-c"
        if not self.callers.redial:
            return "erlang-a"
        return "erlang-a-redial" + ("" if self.callers.redial_after_s is None else "-soon")

    def dialled(self) -> float:
        """Calls of the whole wave, redials counted."""
        return sum(
            one.half_hour.calls * one.floor.dialled / one.floor.load
            for one in self.staffing.half_hours
            if one.floor.load
        )

    def dialled_per_s(self) -> float:
        """Calls a second with redials, of the half-hour with most."""
        return max(
            one.half_hour.rate * one.floor.dialled / one.floor.load if one.floor.load else 0.0
            for one in self.staffing.half_hours
        )


def plan(
    demand: Demand, callers: Callers, target: Target, saving: Saving, shrinkage: float = 0.0
) -> Plan:
    """The plan of a demand."""
    return Plan(
        demand,
        callers,
        target,
        saving,
        staffed(demand, callers, target, shrinkage=shrinkage),
        saved(demand, callers, target, saving),
    )


def as_json(made: Plan) -> dict[str, Any]:
    """See the module's docstring."""
    return {
        "calls": round(made.demand.calls, 3),
        "dialled": round(made.dialled(), 3),
        "over_s": made.demand.over_s,
        "arrivals": made.demand.name,
        "aht_s": made.callers.aht_s,
        "target": {"share": made.target.share, "within_s": made.target.within_s},
        "patience_s": made.callers.patience_s,
        "redial": made.callers.redial,
        "redial_after_s": made.callers.redial_after_s,
        "shrinkage": made.staffing.shrinkage,
        "model": made.model,
        "agents": made.staffing.agents,
        "rostered": made.staffing.rostered,
        "agents_most": made.staffing.most,
        "agent_hours": round(made.staffing.hours, 1),
        "half_hours": [_half_hour(made.demand, one) for one in made.staffing.half_hours],
        "savings": {
            "answered": made.saving.answered,
            "joined": made.saving.joined,
            **{name: _saved(made, left, then) for name, left, then in made.savings},
        },
        "assumptions": assumptions(made),
    }


def _half_hour(demand: Demand, one: Staffed) -> dict[str, Any]:
    floor = one.floor
    return {
        "at": demand.at(one.half_hour),
        "start_s": round(one.half_hour.start_s, 3),
        "width_s": round(one.half_hour.width_s, 3),
        "calls": round(one.half_hour.calls, 3),
        "load": round(floor.load, 6),
        "dialled_load": round(floor.dialled, 6),
        "agents": one.agents,
        "in_target": round(floor.in_target, 6),
        "answered": round(floor.answered, 6),
        "wait_s": round(floor.wait_s, 3) if math.isfinite(floor.wait_s) else None,
        "busy": round(floor.busy, 6),
        "erlang_c": one.erlang_c,
        "erlang_a": one.erlang_a,
    }


def _saved(made: Plan, left: float, then: Staffing) -> dict[str, Any]:
    return {
        "left": round(left, 6),
        "agents": then.agents,
        "agents_most": then.most,
        "agent_hours": round(then.hours, 1),
        "hours_saved": round(made.staffing.hours - then.hours, 1),
    }


def assumptions(made: Plan) -> list[str]:
    """What the agents rest on, a sentence each."""
    said = [
        "every half-hour is staffed as if it went on for ever; calls come by chance (Poisson), and "
        "any agent takes any call",
    ]
    if made.callers.patience_s is None:
        said.append("nobody hangs up (Erlang C); with --patience fewer agents do")
    else:
        said.append(
            "who hangs up, however soon, counts as not answered; patience is exponential (Erlang A)"
        )
    if made.callers.redial and made.callers.redial_after_s is None:
        said.append(
            "redials come long after the busy spell that caused them; within two minutes they fall "
            "into it, and up to 5 in 100 fewer calls than said here are answered in time: give "
            "--redial-after"
        )
    elif made.callers.redial_after_s is not None:
        said.append(
            f"redials come after {lasting(made.callers.redial_after_s)} in the mean, exponentially"
        )
    return said


def lasting(seconds: float) -> str:
    """A length of time for people: 12 h, 1 h 30 min, 8 min, 45 s."""
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    minutes = round(whole / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    if hours >= 48:
        days, hours = divmod(hours, 24)
        return f"{days} days" + (f" {hours} h" if hours else "")
    return f"{hours} h" + (f" {rest} min" if rest else "")
