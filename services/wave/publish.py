"""States the windows that changed: on `wave.level.v1` and to those who watch.

A level is absolute, like the tally it comes from: a later record of the same window and subject
replaces an earlier one. So several replicas may state the same window, and what may not have been
acknowledged is simply stated again. Nobody waits for a level; what is due is kept by window, not by
change, so that a burst of tallies costs one record for each window and second.
"""

import asyncio
import zlib
from collections import Counter
from collections.abc import Callable, Set
from itertools import islice

from mawja.wave.v1.events_pb2 import Dimension, Level

from services.runtime import log, metrics
from services.runtime.errors import Away, Overloaded
from services.runtime.produce import Producer, acknowledged
from services.runtime.topics import LEVEL
from services.wave import levels
from services.wave.book import Book
from services.wave.sums import WHOLE
from services.wave.windows import MINUTE, QUARTER, windows

# At most so many levels a second; what is more waits for the next one.
_BATCH = 5_000
# A watcher that is so many windows behind is told to watch again.
_BEHIND = 20_000
_RETRY_MS = 1_000
_log = log.get("wave.publish")

# (id of the subject, width, start)
_Due = tuple[int, int, int]


def key_of(level: Level) -> bytes:
    """The Kafka key of a level: dimension|subject|start|width, and |drill of one of a drill."""
    mark = "|drill" if level.drill else ""
    return f"{level.dimension}|{level.subject}|{level.start_ms}|{level.width_ms}{mark}".encode()


class Watcher:
    """The levels that one caller has not been given yet, the latest of each window."""

    def __init__(self, wanted: Callable[[Level], bool]) -> None:
        self._wanted = wanted
        self._waiting: dict[bytes, Level] = {}
        self._some = asyncio.Event()

    def offer(self, key: bytes, level: Level) -> None:
        """Takes up a level if it is wanted."""
        if self._wanted(level) and len(self._waiting) <= _BEHIND:
            self._waiting[key] = level
            self._some.set()

    async def some(self) -> list[Level]:
        """Waits until there are some, and gives them. Raises Overloaded when too far behind."""
        await self._some.wait()
        if len(self._waiting) > _BEHIND:
            raise Overloaded("too far behind the levels; watch again", _RETRY_MS)
        self._some.clear()
        given, self._waiting = list(self._waiting.values()), {}
        return given


class Publisher:
    """Keeps what is due and states it."""

    def __init__(self, book: Book, producer: Producer, partitions: int) -> None:
        self._book = book
        self._producer = producer
        self._partitions = partitions
        self._changed: dict[int, set[int]] = {}
        self._due: dict[_Due, None] = {}
        self._watchers: set[Watcher] = set()
        for target in levels.TARGETS:
            metrics.SERVICE_LEVEL_TARGET.labels(target.level).set(target.share)

    def changed(self, bucket_ms: int, subjects: Set[int]) -> None:
        """Notes that counts of `subjects` (ids of the book) changed in a bucket."""
        self._changed.setdefault(MINUTE.slot(bucket_ms), set()).update(subjects)

    def watch(self, wanted: Callable[[Level], bool]) -> Watcher:
        """Starts to keep, for a caller, the levels that are `wanted`. End it with `leave`."""
        watcher = Watcher(wanted)
        self._watchers.add(watcher)
        return watcher

    def leave(self, watcher: Watcher) -> None:
        """The caller is gone."""
        self._watchers.discard(watcher)

    async def state(self) -> int:
        """States what is due, once, and returns how many levels Kafka has taken.

        When Kafka is away everything that was due stays due.
        """
        self._find_due()
        now = list(islice(self._due, _BATCH))
        stated: list[tuple[bytes, Dimension.ValueType, bytes]] = []
        for due in now:
            window = self._book.window(*due)
            if window is None:
                continue
            level = window.level()
            key = key_of(level)
            for watcher in self._watchers:
                watcher.offer(key, level)
            stated.append((key, level.dimension, level.SerializeToString()))
        for due in now:
            del self._due[due]
        try:
            await acknowledged(
                [
                    await self._producer.send(
                        LEVEL, zlib.crc32(key) % self._partitions, value, key=key
                    )
                    for key, _, value in stated
                ]
            )
        except Away as error:
            self._due = dict.fromkeys(now) | self._due
            _log.warning("levels wait: Kafka does not take them", why=str(error))
            return 0
        finally:
            metrics.LEVELS_DUE.set(len(self._due))
        for dimension, times in Counter(dimension for _, dimension, _ in stated).items():
            metrics.LEVELS.labels(Dimension.Name(dimension)).inc(times)
        if stated:
            self._show()
        return len(stated)

    def _find_due(self) -> None:
        changed, self._changed = self._changed, {}
        for slot, subjects in changed.items():
            for width, start in windows(slot):
                for subject in subjects:
                    self._due[subject, width, start] = None

    def _show(self) -> None:
        """Sets the service levels of the whole centre's last full 15 minutes as metrics; those of
        drills have a name of their own, so that no alarm takes them for real."""
        for drill, gauge in (
            (False, metrics.SERVICE_LEVEL),
            (True, metrics.DRILL_SERVICE_LEVEL),
        ):
            newest = self._book.newest_ms(drill)
            since = newest - QUARTER.width_ms
            whole = WHOLE[drill].dimension
            for found in self._book.windows(whole, "", 0, since, newest, limit=1, drill=drill):
                shown = levels.service_levels(levels.counts(found.counts))
                for measured, value in shown.ListFields():
                    gauge.labels(measured.name).set(value)
