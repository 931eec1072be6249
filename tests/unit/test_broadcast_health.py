"""How much a carrier gets after what it answered."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.broadcast.health import FLOOR, WINDOW_S, Health, stepped


def ill(until_s: float = 10.0) -> Health:
    """A carrier that failed every tenth of a second, from 0 on."""
    health = Health()
    for tenth in range(int(until_s * 10)):
        health.note(False, tenth / 10)
    return health


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 30)), max_size=300))
def test_a_share_is_never_nothing_and_never_more_than_all(steps: list[tuple[bool, float]]) -> None:
    health, now = Health(), 0.0
    for well, passed in steps:
        now += passed
        health.note(well, now)
        assert FLOOR <= health.share(now) <= 1.0
        assert FLOOR <= stepped(health.share(now)) <= 1.0


def test_who_fails_always_is_only_probed_within_seconds() -> None:
    assert ill(3.0).share(3.0) == pytest.approx(FLOOR, abs=0.01)


def test_a_few_failures_among_many_answers_are_nothing() -> None:
    health = Health()
    for number in range(1_000):
        health.note(number % 10 != 0, number / 50)
    assert stepped(health.share(20.0)) == 1.0


def test_four_answers_say_nothing() -> None:
    health = Health()
    for second in range(4):
        health.note(False, float(second))
    assert health.share(3.0) == 1.0


def test_good_answers_heal_once_the_bad_ones_are_past() -> None:
    health, now = ill(), 10.0
    for _ in range(20):
        health.note(True, now)
    assert health.share(now) < 0.1, "too many bad ones are still in the window"
    now += WINDOW_S + 1
    answers = 0
    while stepped(health.share(now)) < 1.0:
        health.note(True, now)
        answers += 1
    assert answers < 100


def test_time_alone_heals_slowly() -> None:
    health = ill()
    assert health.share(40.0) < 0.15
    assert health.share(400.0) == 1.0


def test_time_that_goes_back_changes_nothing() -> None:
    health = ill()
    share = health.share(20.0)
    assert health.share(5.0) == share
