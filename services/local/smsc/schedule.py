"""What the SMS centre does later: everything due in the same 2 ms runs together, then one flush."""

import asyncio
import heapq
from collections.abc import Callable

_TICK_S = 0.002


class Schedule:
    """Calls to come, by the loop's clock. `flush` is called after those of a moment were made."""

    def __init__(self, flush: Callable[[], None]) -> None:
        self._flush = flush
        self._due: dict[int, list[Callable[[], None]]] = {}
        self._ticks: list[int] = []
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return sum(map(len, self._due.values()))

    def after(self, delay_s: float, what: Callable[[], None]) -> None:
        """Call `what` in `delay_s` seconds, to the next 2 ms."""
        loop = asyncio.get_running_loop()
        tick = int((loop.time() + delay_s) / _TICK_S) + 1
        bucket = self._due.get(tick)
        if bucket is not None:
            bucket.append(what)
            return
        self._due[tick] = [what]
        heapq.heappush(self._ticks, tick)
        if self._ticks[0] == tick:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = loop.call_at(tick * _TICK_S, self._run_due)

    def stop(self) -> None:
        """Nothing more is called."""
        if self._timer is not None:
            self._timer.cancel()

    def _run_due(self) -> None:
        loop = asyncio.get_running_loop()
        now = int(loop.time() / _TICK_S)
        while self._ticks and self._ticks[0] <= now:
            for what in self._due.pop(heapq.heappop(self._ticks)):
                what()
        self._timer = None
        if self._ticks:
            self._timer = loop.call_at(self._ticks[0] * _TICK_S, self._run_due)
        self._flush()
