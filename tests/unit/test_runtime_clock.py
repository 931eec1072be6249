"""Steady time, and what is made of a clock that disagrees."""

import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.runtime import clock
from services.runtime.skew import LIMIT_MS, Verdict, ahead_ms, judge

HOUR_MS = 3_600_000


@pytest.fixture
def _restored() -> Iterator[None]:
    yield
    clock.follow(clock.read())


@pytest.mark.usefixtures("_restored")
def test_a_step_of_the_wall_clock_is_not_seen_until_it_is_followed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = clock.now_ms()
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() + HOUR_MS * 1_000_000)
    assert 0 <= clock.now_ms() - before < 1000
    reading = clock.read()
    assert reading.wall_ms - reading.steady_ms + 1000 >= HOUR_MS
    clock.follow(reading)
    assert HOUR_MS <= clock.now_ms() - before < HOUR_MS + 1000


@given(
    true_ms=st.integers(0, 10**13),
    wrong_by_ms=st.integers(-(10**8), 10**8),
    asked_for_ms=st.integers(0, 60_000),
    share=st.floats(0, 1),
)
def test_a_slow_answer_never_makes_a_clock_look_wronger_than_it_is(
    true_ms: int, wrong_by_ms: int, asked_for_ms: int, share: float
) -> None:
    read_ms = true_ms - int(asked_for_ms * share)
    found = ahead_ms(true_ms + wrong_by_ms, asked_for_ms, read_ms)
    assert abs(found) <= abs(wrong_by_ms)
    assert abs(found) >= abs(wrong_by_ms) - asked_for_ms
    assert found == 0 or (found > 0) is (wrong_by_ms > 0)


@pytest.mark.parametrize(
    ("wall", "steady", "verdict"),
    [
        (0, 0, Verdict.FOLLOW),
        (LIMIT_MS, 0, Verdict.FOLLOW),
        # The process was frozen with its machine: the wall clock has been set since.
        (0, -HOUR_MS, Verdict.FOLLOW),
        (HOUR_MS, 0, Verdict.HOLD),
        (-HOUR_MS, LIMIT_MS, Verdict.HOLD),
        # Redis's clock has stepped: one wrong clock must not end every service.
        (HOUR_MS, HOUR_MS, Verdict.DOUBT),
        (-HOUR_MS, LIMIT_MS - HOUR_MS, Verdict.DOUBT),
        (HOUR_MS, -HOUR_MS, Verdict.LOST),
        (2 * HOUR_MS, HOUR_MS, Verdict.LOST),
        (-LIMIT_MS - 1, LIMIT_MS + 1, Verdict.LOST),
    ],
)
def test_what_follows(wall: int, steady: int, verdict: Verdict) -> None:
    assert judge(wall, steady) is verdict
