"""How often a campaign would have been proposed over the past: hardly ever on ordinary weeks, and
on the day of a flood within a minute.
"""

from datetime import UTC, datetime
from pathlib import Path

from services.tools.proposals.replay import Interval, read, replay
from tests.call_counts import counts, drawn, write

WIDTH_MS, DAY_MS = 300_000, 86_400_000
BEGIN = 1_799_971_200_000  # A Monday at 00:00 UTC.


def ordinary(days: int) -> list[Interval]:
    """A call centre's weeks, drawn."""
    monday = datetime.fromtimestamp(BEGIN / 1000, UTC)
    return [
        Interval(int(at.timestamp() * 1000), WIDTH_MS, calls) for at, calls in drawn(monday, days)
    ]


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


def test_five_weeks_of_a_call_centre_propose_at_most_once_a_week(tmp_path: Path) -> None:
    """Without any history at first, when most is proposed."""
    path = tmp_path / "counts.csv"
    write(path, counts(35))
    found = replay(read(path))
    assert found.weeks > 4
    assert found.per_week <= 1
