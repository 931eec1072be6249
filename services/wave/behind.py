"""How far wave is behind the tallies, as the other rooms tell it of what they read.

Where the topic ends is asked of Kafka here, not of Faust: a stream that hangs must not be what says
that nothing waits.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress

from services.runtime import metrics
from services.runtime.clock import Millis, now_ms
from services.runtime.errors import Away
from services.runtime.oldest import Oldest
from services.runtime.own import LogReader
from services.runtime.topics import TALLY

GROUP = "wave"
_EVERY_S = 2.0


class Behind:
    """Of all partitions: each replica of wave reads every one."""

    def __init__(self, reader: LogReader, partitions: int, clock: Millis = now_ms) -> None:
        self._reader = reader
        self._partitions = range(partitions)
        self._clock = clock
        self._next: dict[int, int] = {}
        self._oldest = Oldest()

    def counted(self, partition: int, offset: int, written_ms: int) -> None:
        """A tally was taken up that was written at `written_ms` (Unix ms)."""
        self.read(partition, offset + 1)
        self._oldest.worked(partition, written_ms)

    def read(self, partition: int, end: int) -> None:
        """Nothing that is kept below `end` waits any more."""
        self._next[partition] = max(end, self._next.get(partition, 0))

    def look(self, ends: Mapping[int, int]) -> None:
        """The partitions end there now."""
        now = self._clock()
        for partition, end in ends.items():
            behind = max(0, end - self._next.get(partition, 0))
            metrics.LAG.labels(GROUP, TALLY.name, partition).set(behind)
            self._oldest.look(partition, behind, now)

    async def run(self) -> None:
        """Looks every 2 s for ever. While Kafka does not answer, what waited waits on."""
        while True:
            # That Kafka is away is told by a metric of its own.
            with suppress(Away):
                self.look(await self._reader.end(TALLY, self._partitions))
            metrics.OLDEST_S.labels(GROUP).set(self._oldest.age_s(self._clock()))
            await asyncio.sleep(_EVERY_S)
