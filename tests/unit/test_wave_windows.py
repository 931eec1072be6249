"""Hopping windows are exact sums of slots, the same windows that Faust knows."""

import faust
from hypothesis import given, settings
from hypothesis import strategies as st

from services.wave.windows import HOPS, MINUTE, Hop, windows

INSTANT = st.integers(0, 4_000_000_000_000)
HOP = st.sampled_from(HOPS)


@settings(deadline=None)
@given(INSTANT, HOP)
def test_the_windows_of_an_instant_are_fausts(at_ms: int, hop: Hop) -> None:
    theirs = faust.HoppingWindow(hop.width_ms / 1000, hop.hop_ms / 1000).ranges(at_ms / 1000)
    assert list(hop.covering(hop.slot(at_ms))) == [round(start * 1000) for start, _ in theirs]


@given(INSTANT, HOP)
def test_a_window_holds_exactly_the_instants_of_its_slots(at_ms: int, hop: Hop) -> None:
    slot = hop.slot(at_ms)
    for start in hop.covering(slot):
        assert start <= at_ms < start + hop.width_ms
        assert slot in hop.slots(start)
    assert slot not in hop.slots(hop.covering(slot).start - hop.hop_ms)
    assert slot not in hop.slots(hop.covering(slot).stop)


@given(INSTANT, st.integers(1, 10_000_000), HOP)
def test_overlapping_windows_are_all_that_share_an_instant(
    start: int, width: int, hop: Hop
) -> None:
    found = hop.overlapping(start, start + width)
    for window in (found.start, found[-1]):
        assert window < start + width
        assert window + hop.width_ms > start
    assert found.start - hop.hop_ms + hop.width_ms <= start
    assert found[-1] + hop.hop_ms >= start + width


@given(INSTANT, st.integers(0, 10_000_000), HOP)
def test_a_horizon_keeps_its_span_and_never_moves_back(at_ms: int, later: int, hop: Hop) -> None:
    horizon = hop.horizon(at_ms)
    assert horizon % hop.hop_ms == 0
    assert at_ms - hop.keep_ms * 25 / 24 - hop.hop_ms <= horizon <= at_ms - hop.keep_ms
    assert hop.horizon(at_ms + later) >= horizon


def test_an_instant_is_in_thirty_three_windows() -> None:
    found = list(windows(1_750_000_000_000))
    assert len(found) == len(set(found)) == 6 + 15 + 12
    assert (MINUTE.width_ms, 1_750_000_000_000) in found
