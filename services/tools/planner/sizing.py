"""Replicas of each service and partitions of a new system, from what a call costs. Pure."""

import math
from dataclasses import dataclass
from typing import Any

from services.tools.planner.measured import ROOMS, Rates

FILLED = 0.5
"""How full a process may be in the busiest half-hour: what is left takes bursts within it, and the
work of a replica that is away."""
_LEAST = {"intake": 2, "dedup": 2, "outreach": 2, "broadcast": 2, "wave": 1}
PARTITIONED = ("dedup", "outreach", "broadcast")
"""Services of which a replica without a partition stands by."""
_FEWEST_PARTITIONS = 8
_GROWTH = 2


@dataclass(frozen=True, slots=True)
class Sizing:
    """`replicas` by service, each of one core; `busy`: processor cores each service uses in all in
    the busiest half-hour; `partitions`: for a new system only, since a live count never changes.
    `calls_per_s`: dialled, `parts_per_s`: SMS parts, of the busiest half-hour."""

    replicas: dict[str, int]
    busy: dict[str, float]
    partitions: int
    calls_per_s: float
    parts_per_s: float
    rates: Rates

    @property
    def wave_is_full(self) -> bool:
        """Whether wave, which runs once, has more to do than `FILLED` of a core."""
        return self.busy["wave"] > FILLED


def sizing(calls_per_s: float, parts_per_s: float, rates: Rates) -> Sizing:
    """What a rate of dialled calls and of SMS parts needs. Each process works on one core."""
    busy = {
        room: rates.cpu_s[room] * (parts_per_s if room == "broadcast" else calls_per_s)
        for room in ROOMS
    }
    replicas = {room: max(_LEAST[room], math.ceil(busy[room] / FILLED - 1e-9)) for room in ROOMS}
    # Windows are counted in one process; it is off the critical path and catches up.
    replicas["wave"] = 1
    most = _GROWTH * max(replicas[room] for room in PARTITIONED)
    partitions = max(_FEWEST_PARTITIONS, 1 << (most - 1).bit_length())
    return Sizing(replicas, busy, partitions, calls_per_s, parts_per_s, rates)


def as_json(of: Sizing) -> dict[str, Any]:
    """`system` of the plan's JSON: replicas and busy cores by service, partitions_for_a_new_system,
    calls_per_s, parts_per_s, machine, measured_at (null: the documented machine), filled."""
    return {
        "replicas": of.replicas,
        "busy_cores": {room: round(cores, 4) for room, cores in of.busy.items()},
        "partitions_for_a_new_system": of.partitions,
        "calls_per_s": round(of.calls_per_s, 3),
        "parts_per_s": round(of.parts_per_s, 3),
        "machine": of.rates.machine,
        "measured_at": of.rates.measured_at or None,
        "filled": FILLED,
    }
