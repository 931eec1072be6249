"""Long work in short turns: whoever waits for the event loop, waits milliseconds.

A refusal passes through the loop several times, so what it takes under load is the length of the
others' turns. And gRPC is told of its events through a pipe of which a pass of the loop reads one
byte, an event each: with fewer passes than events the pipe fills up, and gRPC stands still.
"""

import asyncio

from services.runtime.clock import monotonic_s

TURN_S = 0.0004


class Turns:
    """The turns of one task. Made when its work begins."""

    def __init__(self) -> None:
        self._since = monotonic_s()

    async def end(self) -> None:
        """Lets the others go on when this turn has lasted 0.4 ms."""
        if monotonic_s() - self._since >= TURN_S:
            await asyncio.sleep(0)
            self._since = monotonic_s()
