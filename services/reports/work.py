"""One piece of long work at a time, in a thread, with its progress told as it goes.

Reading a log is work of the processor, and a thread of it leaves the server able to answer. Who
stops listening ends it: the thread learns of that when it next tells how far it is.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from typing import Generic, TypeVar

from mawja.reports.v1.service_pb2 import Progress

T = TypeVar("T")
Tell = Callable[[int, int], None]
"""Records read, and to be read."""
_EVERY = 2_000


class Unheard(Exception):
    """Nobody waits for the work any more."""


class Work(Generic[T]):
    """`do`, begun when `turn` is free. Iterate over it for the progress; then `done` holds what it
    came to. Raises what `do` raised."""

    def __init__(self, turn: asyncio.Lock, do: Callable[[Tell], T]) -> None:
        self._turn = turn
        self._do = do
        self._left = threading.Event()
        self.done: T | None = None

    async def progress(self) -> AsyncIterator[Progress]:
        """How far it is, until it is done."""
        if self._turn.locked():
            yield Progress(waiting=True)
        async with self._turn:
            told: asyncio.Queue[Progress | None] = asyncio.Queue()
            loop = asyncio.get_running_loop()
            last = -_EVERY

            def tell(read: int, total: int) -> None:
                nonlocal last
                if self._left.is_set():
                    raise Unheard
                if read - last >= _EVERY:
                    last = read
                    loop.call_soon_threadsafe(told.put_nowait, Progress(read=read, total=total))

            working = asyncio.create_task(asyncio.to_thread(self._do, tell))
            working.add_done_callback(lambda _: told.put_nowait(None))
            try:
                while (progress := await told.get()) is not None:
                    yield progress
                self.done = await working
            finally:
                self._left.set()
                # The turn is free only when the thread is.
                await asyncio.wait([working])
