"""The only source of time. Rooms take these functions; tests may pass others.

A room's time is *steady*: the wall clock as it was when it was last found right, and from there on
what the clock that never steps has counted. A step of the machine's wall clock (a wrong time
server, somebody's hand) therefore reaches no decision; `services.runtime.skew` judges it first.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

Millis = Callable[[], int]
"""A clock: Unix time in milliseconds."""
_NS_PER_MS = 1_000_000
_ahead_ns = time.time_ns() - time.monotonic_ns()


@dataclass(frozen=True, slots=True)
class Reading:
    """Both clocks at one moment, Unix time in milliseconds."""

    steady_ms: int
    wall_ms: int


def now_ms() -> int:
    """Steady Unix time in milliseconds. May be set right: never use it to measure a duration."""
    return (time.monotonic_ns() + _ahead_ns) // _NS_PER_MS


def monotonic_s() -> float:
    """Seconds from an arbitrary start; never steps. For durations and timeouts."""
    return time.monotonic()


def read() -> Reading:
    """Steady time and the machine's wall clock, now."""
    return Reading(now_ms(), time.time_ns() // _NS_PER_MS)


def follow(reading: Reading) -> None:
    """The wall clock was right at `reading`: steady time goes on from it."""
    global _ahead_ns
    _ahead_ns += (reading.wall_ms - reading.steady_ms) * _NS_PER_MS
