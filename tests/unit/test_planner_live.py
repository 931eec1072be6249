"""A plan from the first minutes of a wave: what they say, how sure that is, and when too little."""

import math
import random
from statistics import mean

import pytest
from mawja.wave.v1.events_pb2 import Counts, Dimension, Level

from loadtests import shapes
from services.tools.planner.forecast import DAMPING_MIN, MOST_GROWTH, Minute, ahead, fit
from services.tools.planner.minutes import of_levels
from services.tools.planner.plan import plan
from services.tools.planner.queueing import Callers, PlanError, Target
from services.tools.planner.running import Running
from services.tools.planner.staffing import Saving

BEGAN = 1_800_000_000_000


def poisson(rng: random.Random, most: float) -> int:
    count, left = 0, math.exp(-most)
    product = rng.random()
    while product > left:
        count, product = count + 1, product * rng.random()
    return count


def counts(seed: int, level: float, growth: float, minutes: int = 15) -> list[Minute]:
    """Minutes of a wave that has `level` calls in its last one."""
    rng = random.Random(seed)
    return [
        Minute(poisson(rng, level * math.exp(growth * (at - minutes + 1))), 0)
        for at in range(minutes)
    ]


@pytest.mark.parametrize("growth", [0.12, -0.08])
def test_growth_is_found_within_its_own_error(growth: float) -> None:
    fits = [fit(counts(seed, 90.0, growth), 0.6) for seed in range(200)]
    assert mean(one.growth for one in fits) == pytest.approx(growth, rel=0.03)
    assert mean(one.per_minute for one in fits) == pytest.approx(90.0, rel=0.02)
    within = [abs(one.growth - growth) < 1.96 * one.growth_error for one in fits]
    assert 0.9 < mean(within) <= 1.0


def test_what_chance_alone_shows_of_growth_is_mostly_taken_off() -> None:
    fits = [fit(counts(seed, 40.0, 0.0), 0.6) for seed in range(300)]
    assert mean(one.growth for one in fits) == pytest.approx(0.0, abs=0.001)
    assert mean(abs(one.growth) for one in fits) < 0.5 * mean(one.growth_error for one in fits)
    calls = [ahead(one, 3600.0).calls for one in fits]
    assert mean(0.7 < one / 2_400 < 1.4 for one in calls) > 0.9


def test_redials_are_not_demand() -> None:
    dialled = [Minute(100, 50)] * 15
    assert fit(dialled, 0.6).per_minute == pytest.approx(70)
    assert fit(dialled, 0.0).per_minute == pytest.approx(100)


def test_growth_dies_away_and_is_bounded() -> None:
    found = fit(counts(1, 50.0, 0.03), 0.0)
    demand = ahead(found, 6 * 3600.0)
    rates = [one.rate for one in demand.half_hours]
    assert rates == sorted(rates)
    most = found.per_minute / 60 * math.exp(found.growth * DAMPING_MIN)
    assert 0.97 * most < rates[-1] < most
    assert demand.calls == pytest.approx(sum(one.calls for one in demand.half_hours))
    wild = fit(counts(1, 400.0, 0.5), 0.0)
    assert max(one.rate for one in ahead(wild, 7200.0).half_hours) <= (
        wild.per_minute / 60 * MOST_GROWTH * (1 + 1e-9)
    )


def test_the_high_one_lies_above_and_further_where_less_is_known() -> None:
    def apart(minutes: list[Minute]) -> float:
        found = fit(minutes, 0.0)
        return ahead(found, 7200.0, high=True).calls / ahead(found, 7200.0).calls

    little, much = apart(counts(3, 10.0, 0.0)), apart(counts(3, 1_000.0, 0.0))
    assert little > much > 1.0
    # Counts that jump more than chance does make it less sure.
    steady = [Minute(60, 0)] * 15
    jumping = [Minute(20 if at % 2 else 100, 0) for at in range(15)]
    assert apart(jumping) > apart(steady)


@pytest.mark.parametrize(
    "minutes", [[], [Minute(50, 0)] * 4, [Minute(1, 0)] * 15, [Minute(0, 0)] * 15]
)
def test_too_little_says_nothing_yet(minutes: list[Minute]) -> None:
    with pytest.raises(PlanError, match="ask again"):
        fit(minutes, 0.6)


def levels(offered: list[int], handled: int = 0) -> list[Level]:
    """As wave tells them: windows of 60 s, a new one every 10 s, of calls in slots of 10 s."""
    windows: dict[int, Counts] = {}
    for slot, calls in enumerate(offered):
        for back in range(6):
            of = windows.setdefault(BEGAN + (slot - back) * 10_000, Counts())
            of.offered += calls
            of.handled += handled
            of.handling_ms += handled * 200_000
    return [
        Level(dimension=Dimension.DIMENSION_ALL, start_ms=start, width_ms=60_000, counts=of)
        for start, of in sorted(windows.items())
        if of.offered or of.handled
    ]


def test_minutes_are_counted_once_from_the_first_call_without_the_newest_slot() -> None:
    # 12 slots in which nothing happened, then 6 minutes of 6 slots, then one that is not whole.
    offered = [0] * 12 + list(range(1, 37)) + [1]
    seen = of_levels(levels(offered, handled=1), 15)
    assert [minute.offered for minute in seen.minutes] == [
        sum(range(at, at + 6)) for at in range(1, 37, 6)
    ]
    assert seen.until_ms == BEGAN + 48 * 10_000
    assert seen.aht_s == pytest.approx(200.0)
    assert len(of_levels(levels(offered), 3).minutes) == 3
    assert of_levels(levels(offered), 3).aht_s is None


def test_a_wave_without_calls_is_no_wave_yet() -> None:
    with pytest.raises(PlanError, match="no call yet"):
        of_levels([], 15)


def test_a_quiet_minute_in_between_counts_as_quiet() -> None:
    offered = [10] * 12 + [0] * 12 + [10] * 7
    assert [m.offered for m in of_levels(levels(offered), 15).minutes] == [60, 60, 0, 0, 60]


@pytest.mark.parametrize(
    ("name", "minutes", "factor", "as_it_is"),
    [("covid-78k", 30, 1.5, 0.5), ("flash", 10, 2.0, 5.0), ("flash", 15, 4.0, 7.0)],
)
def test_the_hour_after_the_first_minutes_of_a_shape_nobody_told_it_of(
    name: str, minutes: int, factor: float, as_it_is: float
) -> None:
    """Off by a factor at most, where going on as it is would be off by `as_it_is` (too much above
    1, too little below)."""
    shape = shapes.load(name)
    off, still = [], []
    for seed in range(5):
        arrivals = list(shape.profile.arrivals(shape.calls, shape.duration_s, random.Random(seed)))
        known = [
            Minute(sum(at * 60 <= t < at * 60 + 60 for t in arrivals), 0) for at in range(minutes)
        ]
        found = Running.seen(of_levels(levels(_slots(known)), 60), 0.6, 3_600.0)
        came = sum(minutes * 60 <= t < minutes * 60 + 3_600 for t in arrivals)
        off.append(found.ahead.calls / came)
        still.append(known[-1].offered * 60 / came)
    assert 1 / factor < mean(off) < factor
    assert mean(still) < as_it_is if as_it_is < 1 else mean(still) > as_it_is


def _slots(minutes: list[Minute]) -> list[int]:
    found = [int(m.offered) // 6 + (at < m.offered % 6) for m in minutes for at in range(6)]
    return [*found, 1]


def test_what_a_person_is_told_of_it() -> None:
    running = Running.seen(of_levels(levels(_slots(counts(2, 90.0, 0.1)), 1), 15), 0.6, 7200.0)
    made = plan(
        running.ahead,
        Callers(running.aht_s or 0.0, 120.0, 0.6),
        Target(0.9, 20.0),
        Saving(0.0, 0.0),
    )
    said = " ".join(running.notes(made))
    assert "double in" in said
    assert "200 s" in said
    found = running.as_json(made)
    assert found["minutes"] == 15
    assert found["doubles_in_s"] == pytest.approx(math.log(2) / 0.1 * 60, rel=0.15)
    assert len(found["agents_high"]) == 4
    for high, agents in zip(found["agents_high"], made.staffing.agents, strict=True):
        assert high > agents
