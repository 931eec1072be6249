"""What waves and campaigns far beyond one machine take, and where more machines stop helping. Pure.

It takes what was measured on one small machine and multiplies: waves by the plan of `mawja plan`,
campaigns by the bench's processor time of a part. What does not multiply is reckoned here too: what
runs once, partitions that can't be halved, and how long a dead process is waited for.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from loadtests.shapes import seconds
from services.runtime.topics import TOPICS
from services.tools.planner.arrivals import named
from services.tools.planner.measured import (
    ANSWERED,
    JOINED,
    MESSAGES_PER_CALL,
    documented,
)
from services.tools.planner.plan import Plan
from services.tools.planner.queueing import Callers, Target
from services.tools.planner.sizing import FILLED, Sizing, sizing
from services.tools.planner.sms import Order, sending
from services.tools.planner.staffing import Saving, staffed

INPUTS = Path(__file__).with_name("scale.yaml")
PART = "broadcast, an SMS part"
BULK_SHARE = 0.75
"""Of a bind's window, the most that bulk messages fill (services/broadcast/sender.py)."""
_LEAST = 2
_STEP_S = 0.1


def inputs() -> Mapping[str, Any]:
    """What the page is reckoned from: scale.yaml, with its comments as its form."""
    said: Mapping[str, Any] = yaml.safe_load(INPUTS.read_text("utf-8"))
    return said


@dataclass(frozen=True, slots=True)
class Carriers:
    """For a rate of SMS parts a second: `binds` in all whose windows hold what is under way;
    `accounts`: carriers' accounts by the rate agreed for each (parts a second)."""

    binds: int
    accounts: Mapping[float, int]


@dataclass(frozen=True, slots=True)
class Kafka:
    """`brokers`, and `replicas`: of partitions on each of them."""

    brokers: int
    replicas: int


@dataclass(frozen=True, slots=True)
class Wave:
    """`agents`: of the busiest half-hour; `sizing`: of that half-hour; `parts`: SMS parts of it
    all; `kafka_cores` and `valkey_cores`: busy in that half-hour, Kafka's for every replica."""

    name: str
    calls: float
    dialled: float
    agents: int
    sizing: Sizing
    parts: float
    kafka_cores: float
    valkey_cores: float


@dataclass(frozen=True, slots=True)
class National:
    """A campaign to a nation, through in `within_h` hours. `cores`: busy in broadcast, by the
    bench's median and by its worst run, for which `replicas` and `partitions` are. `lists`: files
    of people. `calls_per_s`: that it brings back, as assumed."""

    within_h: float
    parts: float
    parts_per_s: float
    cores: float
    cores_worst: float
    replicas: int
    partitions: int
    lists: int
    calls_per_s: float


@dataclass(frozen=True, slots=True)
class Death:
    """One of several processes died. `away_s`: so long nobody works on its partitions; `again_s`:
    until nothing of them waits any more, after the death; None: never."""

    away_s: float
    waiting: float
    again_s: float | None


def waves(said: Mapping[str, Any]) -> list[Wave]:
    """Each wave of the inputs, as `mawja plan` reckons it with the documented machine's rates."""
    asked, target = said["callers"], said["target"]
    callers = Callers(asked["aht_s"], asked["patience_s"], asked["redial"])
    return [
        _wave(said, one, callers, Target(target["share"], target["within_s"]))
        for one in said["waves"]
    ]


def _wave(
    said: Mapping[str, Any], one: Mapping[str, Any], callers: Callers, target: Target
) -> Wave:
    demand = named(one["shape"], one["calls"], seconds(one["over"]))
    made = Plan(
        demand, callers, target, Saving(ANSWERED, JOINED), staffed(demand, callers, target), ()
    )
    order = Order(MESSAGES_PER_CALL, said["carrier"]["parts_of_a_message"], 1500.0, 1, 0, 600.0)
    sent = sending(order, made.dialled(), made.dialled_per_s())
    per_call = {part: used / said["surge_dialled"] for part, used in said["surge_s"].items()}
    return Wave(
        one["name"],
        demand.calls,
        made.dialled(),
        made.staffing.most,
        sizing(made.dialled_per_s(), sent.peak, documented()),
        sent.parts,
        made.dialled_per_s() * per_call["kafka"] * said["brokers"]["replication"],
        made.dialled_per_s() * per_call["valkey"],
    )


def nationals(said: Mapping[str, Any]) -> list[National]:
    """The national campaign, for each time within which it may have to be through."""
    asked = said["national"]
    _, usual_us, worst_us = said["bench_us"][PART]
    parts = asked["messages"] * said["carrier"]["parts_of_a_message"]
    found = []
    for within_h in asked["within_h"]:
        rate = parts / (within_h * 3600)
        replicas = max(_LEAST, math.ceil(rate * worst_us / 1e6 / FILLED))
        found.append(
            National(
                within_h,
                parts,
                rate,
                rate * usual_us / 1e6,
                rate * worst_us / 1e6,
                replicas,
                max(8, 1 << (2 * replicas - 1).bit_length()),
                math.ceil(asked["messages"] / asked["rows_of_a_list"]),
                asked["messages"] * asked["calls_back"] / (within_h * 3600),
            )
        )
    return found


def carriers(said: Mapping[str, Any], parts_per_s: float) -> Carriers:
    """Binds by Little's law (what is under way = rate × time to the answer), and accounts."""
    of = said["carrier"]
    return Carriers(
        max(1, math.ceil(parts_per_s * of["answer_s"] / (of["window"] * BULK_SHARE))),
        {agreed: max(1, math.ceil(parts_per_s / agreed)) for agreed in of["agreed_per_s"]},
    )


def money(said: Mapping[str, Any], parts: float) -> float:
    """What the parts cost, in the currency of the price."""
    return float(parts * said["carrier"]["price"]["milli"] / 1000)


def kafka(said: Mapping[str, Any], partitions: int) -> Kafka:
    """Brokers that hold every topic of the table with so many partitions."""
    of = said["brokers"]
    held = len(TOPICS) * partitions * of["replication"]
    brokers = max(of["least"], math.ceil(held / of["replicas_of_a_broker"]))
    return Kafka(brokers, math.ceil(held / brokers))


def worth(partitions: int, replicas: int) -> float:
    """As how many processes so many replicas work: whoever has most partitions is the slowest, and
    a partition has one owner."""
    return partitions / math.ceil(partitions / replicas)


def ceilings(partitions: Sequence[int], said: Mapping[str, Any]) -> list[tuple[str, float]]:
    """(what, dialled calls a second at which it is full) of what more machines don't help."""
    cpu_s = documented().cpu_s
    found = [
        (f"dedup, {count} partitions with an owner each", count / cpu_s["dedup"])
        for count in partitions
    ]
    found.append(("incidents (one process)", float(said["incident_cases_per_s"])))
    found.append(("wave (one process)", 1 / cpu_s["wave"]))
    found.append(
        ("Valkey (one thread, one primary)", said["surge_dialled"] / said["surge_s"]["valkey"])
    )
    return sorted(found, key=lambda one: one[1])


def death(calls_per_s: float, cpu_s: float, partitions: int, replicas: int, away_s: float) -> Death:
    """One of `replicas` dies (at least two) and its partitions go to the others, evenly, after
    `away_s`. Simulated in steps of 0.1 s: the busiest survivor works at one core, on what comes and
    on what waits. `waiting`: most calls that wait in all."""
    orphans = math.ceil(partitions / replicas)
    kept = math.ceil((partitions - orphans) / (replicas - 1))
    taken = math.ceil(orphans / (replicas - 1))
    rate = calls_per_s / partitions
    # The one who takes most works on its own partitions alone until it has the others.
    waiting = rate * taken * away_s
    most = rate * orphans * away_s
    spare = 1 / cpu_s - rate * (kept + taken)
    at_s = away_s
    while waiting > 1e-9 and spare > 0:
        waiting -= spare * _STEP_S
        at_s += _STEP_S
    return Death(away_s, most, at_s if spare > 0 else None)
