"""Agents at their telephones: one number for good, or by half-hour as a plan has them. Pure."""

import json
from bisect import bisect_right
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.runtime.errors import ConfigError

MOST = 100_000


@dataclass(frozen=True, slots=True)
class Staff:
    """`agents[i]` from `starts_ms[i]` (Unix ms, ascending) on, until the next one or `ends_ms`.
    Nothing in it: nobody says how many there are."""

    starts_ms: tuple[int, ...] = ()
    agents: tuple[int, ...] = ()
    ends_ms: int = 0

    def at(self, now_ms: int) -> int | None:
        """Agents at `now_ms`; None when nobody says, as before and after a plan."""
        if now_ms >= self.ends_ms:
            return None
        at = bisect_right(self.starts_ms, now_ms) - 1
        return self.agents[at] if at >= 0 else None


UNTOLD = Staff()
"""Nobody says."""


def always(agents: int) -> Staff:
    """The same number at any time; 0: nobody says."""
    return Staff((0,), (agents,), 1 << 62) if agents else UNTOLD


def parse(text: str, file: str) -> Staff:
    """The agents of a plan, the JSON of `mawja plan --json`: `begins` (ISO 8601 with a zone), and
    of its `half_hours` start_s, width_s and agents. Raises ConfigError that names `file` and
    field."""
    try:
        plan = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"{file}: is not JSON ({error})") from None
    if not isinstance(plan, dict):
        raise ConfigError(f"{file}: is no plan; make it with `mawja plan --json`")
    begins_ms = _begins_ms(plan.get("begins"), file)
    half_hours = plan.get("half_hours")
    if not isinstance(half_hours, list) or not half_hours:
        raise ConfigError(f"{file}: half_hours: are missing; make it with `mawja plan --json`")
    starts, agents, ends = [], [], 0
    for i, one in enumerate(half_hours):
        at = f"{file}: half_hours[{i}]"
        start_s, width_s = (_number(one, name, at, 400 * 86_400) for name in ("start_s", "width_s"))
        number = _number(one, "agents", at, MOST)
        if not number.is_integer():
            raise ConfigError(f"{at}.agents: must be a whole number from 0 to {MOST:,}")
        start = begins_ms + round(start_s * 1000)
        if start < ends or width_s <= 0:
            raise ConfigError(f"{at}: must begin where the one before ends, and last")
        starts.append(start)
        agents.append(int(number))
        ends = start + round(width_s * 1000)
    return Staff(tuple(starts), tuple(agents), ends)


def _begins_ms(value: object, file: str) -> int:
    try:
        begins = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        begins = None
    if begins is None or begins.tzinfo is None:
        raise ConfigError(
            f"{file}: begins: must say when the plan begins, with its zone; make it with "
            "`mawja plan --begins 2026-11-23T08:00+04:00 --json`"
        )
    return int(begins.timestamp() * 1000)


def _number(one: Any, name: str, at: str, most: int) -> float:
    value = one.get(name) if isinstance(one, dict) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise ConfigError(f"{at}.{name}: must be a number from 0 to {most:,}")
    return float(value)
