"""What a store last said that may be slow or away: asked once for all who want it, waited for only
a moment, and then what it said before stands."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from services.runtime.clock import monotonic_s, now_ms
from services.runtime.errors import Away

_T = TypeVar("_T")


class Latest(Generic[_T]):
    """`read` asks the store, and raises Away when it does not answer. Nobody waits longer than
    `patience_s` for it."""

    def __init__(self, read: Callable[[], Awaitable[_T]], patience_s: float) -> None:
        self._read = read
        self._patience_s = patience_s
        self._said: tuple[_T, int] | None = None
        self._asking: asyncio.Task[bool] | None = None
        self._since_s = 0.0

    async def get(self) -> tuple[_T, int] | None:
        """What the store says and 0; or while it does not answer, what it said last and when it was
        asked for that (Unix ms); None when it has said nothing yet."""
        called_s = monotonic_s()
        while True:
            if self._asking is None or self._asking.done():
                self._asking, self._since_s = asyncio.create_task(self._ask()), monotonic_s()
            asking, since_s = self._asking, self._since_s
            # Of a question that hangs everybody waits for the same end.
            left_s = min(called_s, since_s) + self._patience_s - monotonic_s()
            await asyncio.wait((asking,), timeout=max(0.0, left_s))
            answered = asking.done() and asking.result()
            # An answer to who asked before may be older than what this one has been told since.
            if not asking.done() or since_s >= called_s:
                return self._said and (self._said[0], 0 if answered else self._said[1])

    async def _ask(self) -> bool:
        asked_ms = now_ms()
        try:
            self._said = await self._read(), asked_ms
        except Away:
            return False
        return True
