"""The pace of a carrier, and who goes when it is short."""

from itertools import pairwise
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.broadcast.lanes import BULK, URGENT
from services.broadcast.pace import BURST_S, Bucket
from services.broadcast.routes import parse
from services.broadcast.sender import Out
from tests.broadcast_parts import FILE


@given(
    st.floats(0.5, 5_000),
    st.lists(st.tuples(st.floats(0, 0.5), st.integers(1, 8), st.booleans()), max_size=80),
)
def test_never_more_than_the_rate_and_one_burst(
    rate: float, steps: list[tuple[float, int, bool]]
) -> None:
    now, taken, largest = 100.0, 0, 1
    bucket = Bucket(rate, now)
    for passed, parts, throttle in steps:
        now += passed
        if throttle:
            bucket.throttled(now)
        if bucket.take(parts, now):
            taken += parts
            largest = max(largest, parts)
        allowed = rate * (now - 100.0) + max(1.0, rate * BURST_S)
        # A message of more parts than the bucket holds is paid for afterwards.
        assert taken <= allowed + largest + 1e-6


def test_the_agreed_rate_is_reached() -> None:
    bucket, now, sent = Bucket(200, 0.0), 0.0, 0
    while now < 10:
        sent += bucket.take(1, now)
        now += 0.002
    assert sent == pytest.approx(2_000, rel=0.02)


def test_what_has_gone_already_is_paid_for_before_the_next() -> None:
    bucket, now, sent = Bucket(20, 0.0), 0.0, 0
    while now < 10:
        if bucket.wait_s(1, now) == 0:
            bucket.spend(5, now)
            sent += 5
        now += 0.01
    assert sent == pytest.approx(200, abs=7)


def test_throttling_slows_down_once_a_burst_and_passes() -> None:
    bucket = Bucket(100, 0.0)
    for _ in range(50):
        bucket.throttled(1.0)
    assert bucket.current_rate == pytest.approx(50)
    assert not bucket.take(1, 1.0)
    assert bucket.take(1, 1.0 + bucket.wait_s(1, 1.0))
    bucket.throttled(1.6)
    assert bucket.current_rate < 30
    bucket.take(1, 60.0)
    assert bucket.current_rate == 100


def test_time_that_goes_back_gives_nothing() -> None:
    bucket = Bucket(10, 5.0)
    assert bucket.take(1, 5.0)
    assert not bucket.take(1, 1.0)
    assert not bucket.take(1, 5.05)


def test_what_has_begun_is_completed_before_anything_new() -> None:
    spec = parse(FILE, "carriers.yaml").carriers["arabic"]
    out = Out(cast(Any, SimpleNamespace(bound=True)), spec, Bucket(spec.parts_per_second, 0.0))
    assert (out.room(URGENT), out.room(BULK)) == (10, 7)
    out.owed = 1
    assert (out.room(URGENT), out.room(BULK)) == (0, 0)
    out.owed = 0
    out.under_way = 10
    assert out.room(URGENT) == 0


def test_a_message_larger_than_the_bucket_goes_while_the_pace_recovers() -> None:
    bucket = Bucket(40, 0.0)
    gone = []
    for tick in range(4_000):
        now_s = tick * 0.005
        if bucket.take(3, now_s):
            gone.append(now_s)
            bucket.throttled(now_s)
    waits = [after - before for before, after in pairwise(gone)]
    # Three tokens at the pace it has then, which is 2 parts a second at the least here.
    assert max(waits) < 3 / 2 + 0.5
    assert len(gone) > 10
