"""Hands what a carrier delivered to broadcast's callback, and acknowledges only after it returned.

Everything that arrived while a callback ran is the next callback's batch, and while more keeps
coming it is waited for a moment: a batch of many costs little more than one. A batch whose callback
failed is refused for the moment, so that the carrier delivers it again.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from services.runtime.smpp import Status

_log = logging.getLogger(__name__)

_DELIVERIES_PER_BATCH = 1000
_STEP_S, _STEPS = 0.004, 5
"""What comes is looked at so often: a carrier that waits for its acknowledgements brings nothing
more, and is not kept waiting for longer than one step."""
_PAUSE_AFTER_FAILED_CALLBACK_S = 0.1

_Event = TypeVar("_Event")


class Courier(Generic[_Event]):
    """Hands deliveries to a callback, one batch at a time, and answers each after its batch."""

    def __init__(
        self, what: str, callback: Callable[[list[_Event]], Awaitable[None]], limit: int
    ) -> None:
        self._what = what
        self._callback = callback
        self._limit = limit
        self._held: deque[tuple[_Event, Callable[[int], None]]] = deque()
        self._arrived = asyncio.Event()
        self._handing_over = False
        self._task = asyncio.create_task(self._run())

    @property
    def busy(self) -> bool:
        return bool(self._held) or self._handing_over

    def put(self, event: _Event, reply: Callable[[int], None]) -> None:
        if len(self._held) >= self._limit:
            reply(Status.ESME_RX_T_APPN)
            return
        self._held.append((event, reply))
        self._arrived.set()

    def cancel(self) -> None:
        self._task.cancel()

    async def _gather(self) -> None:
        for _ in range(_STEPS):
            before = len(self._held)
            await asyncio.sleep(_STEP_S)
            if len(self._held) == before or before >= _DELIVERIES_PER_BATCH:
                return

    async def _run(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._held:
                await self._gather()
                size = min(len(self._held), _DELIVERIES_PER_BATCH)
                batch = [self._held.popleft() for _ in range(size)]
                self._handing_over = True
                status = Status.ESME_ROK
                try:
                    await self._callback([event for event, _ in batch])
                except Exception as error:
                    # The type only: an error's text may quote a number.
                    _log.error(
                        "%d %s could not be stored (%s); the carrier will deliver them again",
                        size, self._what, type(error).__name__,
                    )  # fmt: skip
                    status = Status.ESME_RX_T_APPN
                finally:
                    self._handing_over = False
                for _, reply in batch:
                    reply(status)
                if status != Status.ESME_ROK:
                    await asyncio.sleep(_PAUSE_AFTER_FAILED_CALLBACK_S)
