"""The only source of time. Rooms take these functions; tests may pass others."""

import time
from collections.abc import Callable

Millis = Callable[[], int]
"""A clock: Unix time in milliseconds."""


def now_ms() -> int:
    """Wall-clock Unix time in milliseconds. May step: never use it to measure a duration."""
    return time.time_ns() // 1_000_000


def monotonic_s() -> float:
    """Seconds from an arbitrary start; never steps. For durations and timeouts."""
    return time.monotonic()
