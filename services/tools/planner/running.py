"""The plan of a wave that runs: what was seen, what follows from it, and how sure that is. Pure."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from services.tools.planner.demand import Demand
from services.tools.planner.forecast import DAMPING_MIN, Fit, ahead, fit
from services.tools.planner.minutes import Seen
from services.tools.planner.plan import Plan, lasting
from services.tools.planner.staffing import staffed

_SLOW_S = 7200.0


@dataclass(frozen=True, slots=True)
class Running:
    """`ahead`: the demand that is likeliest; `high`: nine of ten such waves stay below it."""

    found: Fit
    ahead: Demand
    high: Demand
    until_ms: int
    aht_s: float | None

    @classmethod
    def seen(cls, seen: Seen, redial: float, over_s: float) -> Self:
        """From the minutes of a wave. Raises PlanError where they say too little."""
        found = fit(seen.minutes, redial)
        return cls(
            found, ahead(found, over_s), ahead(found, over_s, high=True), seen.until_ms, seen.aht_s
        )

    @property
    def until(self) -> datetime:
        """Until when was seen, and from when on is planned."""
        return datetime.fromtimestamp(self.until_ms / 1000, UTC)

    def agents_high(self, made: Plan) -> list[int]:
        """Agents by half-hour for `high`."""
        return staffed(self.high, made.callers, made.target).agents

    def as_json(self, made: Plan) -> dict[str, Any]:
        """`live` of the plan's JSON: minutes (seen), until_ms (Unix ms, event time), and of fresh
        calls per_minute, growth_per_minute (of the logarithm), doubles_in_s (null: they don't),
        spread (1: as chance alone); aht_s (measured; null: not); calls_high and agents_high: nine
        of ten such waves stay below."""
        found = self.found
        return {
            "minutes": found.minutes,
            "until_ms": self.until_ms,
            "per_minute": round(found.per_minute, 3),
            "growth_per_minute": round(found.growth, 5),
            "doubles_in_s": self._doubles_s(),
            "spread": round(found.spread, 3),
            "aht_s": None if self.aht_s is None else round(self.aht_s, 1),
            "calls_high": round(self.high.calls, 1),
            "agents_high": self.agents_high(made),
        }

    def notes(self, made: Plan) -> list[str]:
        """What a person must know of it, a sentence each."""
        found, doubles_s = self.found, self._doubles_s()
        going = "hardly change"
        if doubles_s is not None and doubles_s < _SLOW_S:
            going = f"double in {lasting(doubles_s)}"
        elif found.growth < 0 and math.log(2) / -found.growth * 60 < _SLOW_S:
            going = f"halve in {lasting(math.log(2) / -found.growth * 60)}"
        said = [
            f"times are hours from {self.until:%Y-%m-%d %H:%M} UTC: the {found.minutes} minutes "
            f"until then show {found.per_minute:,.0f} fresh calls a minute, which {going}",
            f"how growth goes on nobody can know from minutes: it is taken to die away, as if it "
            f"went on for {DAMPING_MIN:.0f} minutes; ask again every few minutes",
            f"nine of ten waves that begin so need at most "
            f"{max(self.agents_high(made), default=0):,} agents, if that is so",
        ]
        if self.aht_s is not None and self.aht_s == made.callers.aht_s:
            said.append(
                f"handling time is what was measured, {self.aht_s:,.0f} s: the first calls to end "
                "are the short ones, so it may still rise"
            )
        return said

    def _doubles_s(self) -> float | None:
        if self.found.growth <= 0:
            return None
        return round(math.log(2) / self.found.growth * 60, 1)
