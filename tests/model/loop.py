"""An event loop without a clock or a network: what is ready runs, time passes when it is told to.

A process that runs on it is a function of what has reached it, and of nothing else.
"""

import asyncio
import heapq
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from unittest import mock

from services.runtime import clock

_SOON_S = 0.3
"""Timers within this are part of one step: lingering, gathering, a part offered once more."""


@contextmanager
def wall_clock_at(now_ms: int) -> Iterator[None]:
    """The clock of the services stands at `now_ms`; what measures durations has its loop's time."""

    def monotonic() -> float:
        return asyncio.get_running_loop().time()

    still = SimpleNamespace(
        time_ns=lambda: now_ms * 1_000_000,
        monotonic_ns=lambda: now_ms * 1_000_000,
        monotonic=monotonic,
    )
    with mock.patch.multiple(clock, time=still, _ahead_ns=0):
        yield


class Loop(asyncio.BaseEventLoop):
    """Runs tasks until they all wait for something from outside."""

    _ready: deque[Any]
    _scheduled: list[Any]

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 1_000.0
        # What is left when a process is dropped in the middle of things is no error here.
        self.set_exception_handler(lambda *_: None)

    def time(self) -> float:
        """Seconds, by the only clock there is."""
        return self.now_s

    def settle(self, passing_s: float = 0.0) -> None:
        """Lets `passing_s` pass, and a moment more, and runs all that is due meanwhile."""
        until_s = self.now_s + passing_s + _SOON_S
        asyncio._set_running_loop(self)
        try:
            while True:
                while self._ready:
                    handle = self._ready.popleft()
                    if not handle.cancelled():
                        handle._run()
                if not self._scheduled or self._scheduled[0].when() > until_s:
                    break
                timer = heapq.heappop(self._scheduled)
                timer._scheduled = False
                if not timer.cancelled():
                    self.now_s = max(self.now_s, timer.when())
                    self._ready.append(timer)
            if passing_s:
                self.now_s = max(self.now_s, until_s)
        finally:
            asyncio._set_running_loop(None)

    def _check_closed(self) -> None:
        # What still waits when the process is dropped may look at the loop once more.
        return

    def drop(self) -> None:
        """Forgets everything that still waits."""
        self._ready.clear()
        self._scheduled.clear()
        self.close()
