"""How long Kafka has not answered this process, as a metric.

A room that has nothing to write would not notice that Kafka is away: its consumer tries again for
ever. So Kafka is asked for its metadata now and then, by the connection that is there anyway.
"""

import asyncio
from collections.abc import Awaitable, Callable

from prometheus_client import Gauge

from services.runtime.clock import monotonic_s

_EVERY_S = 2.0
_ANSWER_S = 5.0


class Silence:
    """Since when a part has not answered; `metric` tells it in seconds."""

    def __init__(self, metric: Gauge) -> None:
        self._answered_s = monotonic_s()
        metric.set_function(lambda: monotonic_s() - self._answered_s)

    def answered(self) -> None:
        """It has answered now."""
        self._answered_s = monotonic_s()


async def watch(ask: Callable[[], Awaitable[bool]], silence: Silence) -> None:
    """Asks every 2 s for ever; an answer that takes more than 5 s is none."""
    while True:
        try:
            if await asyncio.wait_for(ask(), _ANSWER_S):
                silence.answered()
        except TimeoutError:
            pass
        await asyncio.sleep(_EVERY_S)
