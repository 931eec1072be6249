"""How often a campaign would have been proposed over the past: hardly ever on ordinary weeks, and
on the day of a flood within a minute.
"""

import random
from pathlib import Path

import pytest

from services.tools.proposals.replay import Interval, read, replay

BANK = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "bank_calls.csv"
WIDTH_MS, DAY_MS = 300_000, 86_400_000
BEGIN = 1_799_971_200_000  # A Monday at 00:00 UTC.


def ordinary(days: int, seed: int = 1) -> list[Interval]:
    """Weekdays from 07:00 to 21:00, most calls in the late morning; some days are missing."""
    pick, found = random.Random(seed), []
    for day in range(days):
        if day % 7 > 4 or pick.random() < 0.1:
            continue
        busy = pick.uniform(0.7, 1.4)
        for slot in range(14 * 12):
            mean = busy * (90 + 190 * max(0.0, 1 - abs(slot - 44) / 60))
            at_ms = BEGIN + day * DAY_MS + 7 * 3_600_000 + slot * WIDTH_MS
            found.append(Interval(at_ms, WIDTH_MS, max(0, round(pick.gauss(mean, mean**0.5 * 2)))))
    return found


def test_ordinary_weeks_propose_at_most_once_a_week_and_only_while_nothing_is_known() -> None:
    found = replay(ordinary(14))
    assert found.per_week <= 1
    assert all(one.bursts[0].start_ms < BEGIN + 2 * DAY_MS for one in found.proposals)


def test_a_flood_is_proposed_within_a_minute_and_once() -> None:
    intervals = ordinary(9)
    day = [one for one in intervals if one.start_ms > BEGIN + 8 * DAY_MS]
    start_ms = day[30].start_ms
    flooded = [
        Interval(one.start_ms, one.width_ms, one.calls * 6)
        if start_ms <= one.start_ms < start_ms + 6 * WIDTH_MS
        else one
        for one in intervals
    ]
    [found] = [
        one for one in replay(flooded).proposals if one.bursts[0].start_ms > BEGIN + 8 * DAY_MS
    ]
    # Of the whole centre, and of its line.
    assert 1 <= len(found.bursts) <= 2
    for shown in found.bursts:
        assert abs(shown.start_ms - start_ms) <= 60_000
        assert shown.raised_ms - start_ms <= 60_000


@pytest.mark.skipif(not BANK.exists(), reason="the public counts are not here")
def test_a_real_call_centre_is_proposed_something_at_most_once_a_week() -> None:
    """The first five weeks: without any history at first, when most is proposed."""
    intervals = read(BANK)
    first = [one for one in intervals if one.start_ms < intervals[0].start_ms + 35 * DAY_MS]
    found = replay(first)
    assert found.weeks > 4
    assert found.per_week <= 1
