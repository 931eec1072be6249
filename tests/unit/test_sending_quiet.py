"""Quiet hours by the clock on the recipient's wall, against a minute-by-minute reading of it."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.broadcast.rules.book import Kind, Period, Quiet
from services.broadcast.rules.quiet import open_from
from services.broadcast.rules.zones import place_of, zone
from tests.sending_rules import DAY_MS, RULES, at, shown

MINUTE_MS = 60_000
ALL = frozenset(range(7))


def quiet(
    begin: int,
    end: int,
    days: frozenset[int] = ALL,
    during: Period | None = None,
    outside: Period | None = None,
) -> Quiet:
    kinds = frozenset(Kind)
    return Quiet(frozenset({"AE"}), kinds, days, begin, end, during, outside, ())


NIGHT = quiet(21 * 60, 32 * 60)


@pytest.mark.parametrize(
    ("now", "opens"),
    [
        ("2026-11-22 20:59", "2026-11-22 20:59"),
        ("2026-11-22 21:00", "2026-11-23 08:00"),
        ("2026-11-23 00:00", "2026-11-23 08:00"),
        ("2026-11-23 07:59", "2026-11-23 08:00"),
        ("2026-11-23 08:00", "2026-11-23 08:00"),
    ],
)
def test_a_night_runs_past_midnight(now: str, opens: str) -> None:
    found = open_from([NIGHT], [zone("Asia/Dubai")], at(now, "Asia/Dubai"))
    assert shown(found, "Asia/Dubai") == opens


def test_the_day_is_the_one_on_which_the_hours_begin() -> None:
    friday_night = quiet(21 * 60, 32 * 60, frozenset({4}))
    dubai = zone("Asia/Dubai")
    saturday = at("2026-11-28 03:00", "Asia/Dubai")
    assert shown(open_from([friday_night], [dubai], saturday), "Asia/Dubai") == "2026-11-28 08:00"
    friday = at("2026-11-27 03:00", "Asia/Dubai")
    assert open_from([friday_night], [dubai], friday) == friday


def test_days_that_follow_each_other_add_up() -> None:
    weekend = quiet(0, 24 * 60, frozenset({4, 5}))
    thursday = at("2026-11-26 21:00", "Asia/Dubai")
    found = open_from([NIGHT, weekend], [zone("Asia/Dubai")], thursday)
    assert shown(found, "Asia/Dubai") == "2026-11-29 08:00"


def test_a_period_changes_the_hours_on_its_days_only() -> None:
    ramadan = Period("ramadan", [(datetime(2027, 2, 8).date(), datetime(2027, 3, 9).date())])
    fast = quiet(17 * 60, 20 * 60, during=ramadan)
    usual = quiet(19 * 60, 21 * 60, outside=ramadan)
    dubai = zone("Asia/Dubai")
    for day, time, opens in (
        ("2027-02-07", "17:00", "17:00"),
        ("2027-02-07", "19:00", "21:00"),
        ("2027-02-08", "17:00", "20:00"),
        ("2027-03-09", "17:00", "20:00"),
        ("2027-03-10", "17:00", "17:00"),
    ):
        found = open_from([fast, usual], [dubai], at(f"{day} {time}", "Asia/Dubai"))
        assert shown(found, "Asia/Dubai") == f"{day} {opens}"


def test_what_never_opens_says_so() -> None:
    assert open_from([quiet(0, 24 * 60)], [zone("Asia/Dubai")], at("2026-11-22 12:00")) is None


def test_of_two_zones_it_must_be_day_in_both() -> None:
    east, west = zone("America/New_York"), zone("America/Los_Angeles")
    now = at("2026-11-22 08:30", "America/New_York")
    found = open_from([NIGHT], [east, west], now)
    assert shown(found, "America/Los_Angeles") == "2026-11-22 08:00"
    evening = at("2026-11-22 18:00", "America/Los_Angeles")
    found = open_from([NIGHT], [east, west], evening)
    assert shown(found, "America/Los_Angeles") == "2026-11-23 08:00"


@pytest.mark.parametrize(
    ("now", "opens_utc"),
    [
        # Clocks went back at 06:00 UTC on 2026-11-01, and forward at 07:00 UTC on 2026-03-08.
        ("2026-11-01 00:30", "2026-11-01 13:00"),
        ("2026-03-08 00:30", "2026-03-08 12:00"),
    ],
)
def test_a_night_in_which_the_clocks_change(now: str, opens_utc: str) -> None:
    found = open_from([NIGHT], [zone("America/New_York")], at(now, "America/New_York"))
    assert shown(found) == opens_utc


def test_an_hour_that_comes_twice_is_quiet_both_times() -> None:
    half_past_one = quiet(60, 90)
    new_york = zone("America/New_York")
    first = at("2026-11-01 05:15")
    assert shown(open_from([half_past_one], [new_york], first)) == "2026-11-01 05:30"
    assert shown(open_from([half_past_one], [new_york], first + 3_600_000)) == "2026-11-01 06:30"


@settings(max_examples=60)
@given(
    st.lists(
        st.builds(
            lambda begin, length, days: quiet(begin, begin + length, frozenset(days)),
            st.integers(0, 1439),
            st.integers(1, 1440),
            st.sets(st.integers(0, 6), min_size=1),
        ),
        min_size=1,
        max_size=3,
    ),
    st.sampled_from(["Asia/Dubai", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]),
    st.integers(at("2026-03-01 00:00") // MINUTE_MS, at("2026-11-30 00:00") // MINUTE_MS),
)
def test_it_opens_at_the_first_minute_that_is_not_quiet(
    rules: list[Quiet], name: str, minute: int
) -> None:
    now, where = minute * MINUTE_MS, ZoneInfo(name)

    def is_quiet(at_ms: int) -> bool:
        local = datetime.fromtimestamp(at_ms / 1000, where).replace(tzinfo=None)
        midnight = local.replace(hour=0, minute=0)
        return any(
            one.begins_on(day.date())
            and day + timedelta(minutes=one.begin) <= local
            and local < day + timedelta(minutes=one.end)
            for one in rules
            for day in (midnight, midnight - timedelta(days=1))
        )

    found = open_from(rules, [zone(name)], now)
    first = next((t for t in range(now, now + 9 * DAY_MS, MINUTE_MS) if not is_quiet(t)), None)
    if first is None:
        assert found is None
        return
    assert found is not None
    assert not is_quiet(found)
    # An hour that the clocks skip is counted by the time before: late by the change, never early.
    skipped = (
        datetime.fromtimestamp(first / 1000, where).utcoffset()
        != datetime.fromtimestamp((first - MINUTE_MS) / 1000, where).utcoffset()
    )
    assert 0 <= found - first <= (60 * MINUTE_MS if skipped else 0)


@pytest.mark.parametrize(
    ("number", "country", "zones"),
    [
        ("+971501234567", "AE", ["Asia/Dubai"]),
        ("+12125550123", "US", ["America/New_York"]),
        ("+14155550123", "US", ["America/Los_Angeles"]),
        # A prefix that tells nothing: all of the country's.
        ("+18005550123", "US", ["America/New_York", "America/Los_Angeles"]),
        ("+919812345678", "abroad", ["Asia/Calcutta"]),
        ("+3545812345", "abroad", ["Atlantic/Reykjavik"]),
        ("+999512345678", "abroad", ["Asia/Dubai"]),
    ],
)
def test_where_a_number_belongs(number: str, country: str, zones: list[str]) -> None:
    place = place_of(RULES, number)
    assert place.country.code == country
    assert [one.key for one in place.zones] == zones


def test_a_range_that_the_plan_does_not_know_may_be_anywhere_in_its_country() -> None:
    assert {one.key for one in place_of(RULES, "+447700900123").zones} >= {"Europe/London"}
    assert len(place_of(RULES, "+79991234567").zones) > 5


def test_zones_come_from_the_package_and_not_from_the_machine() -> None:
    with pytest.raises(KeyError):
        zone("../../etc/passwd")
    with pytest.raises(KeyError):
        zone("Asia/Nowhere")
    with pytest.raises(KeyError):
        zone("zone.tab")
