"""The slow path: looks at one text of each group, in a thread of its own, and says what it found.

Nothing waits for it. What a process knew is lost with it, and costs only that its groups are looked
at again: whoever adds groups adds those of the partition that it takes over.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import get_native_id
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from services.dedup.meaning import kept
from services.dedup.meaning.backlog import Backlog
from services.dedup.meaning.embed import SIZE, Embedder
from services.dedup.meaning.pairs import Likeness, contacts_alike, likeness, wanted
from services.dedup.meaning.points import Point
from services.dedup.meaning.reading import read
from services.runtime import log, metrics
from services.runtime.clock import monotonic_s
from services.runtime.errors import ConfigError

Group = TypeVar("Group", bound=Hashable)
_PAUSE_S = 0.2
_AFTER_FAILURE_S = 5.0
_FAILED = (
    "looking at what texts mean failed; incidents are found by words alone until it works. If it "
    "goes on: pip install --force-reinstall 'mawja[meaning]'. Said once"
)
_log = log.get("meaning")


class Meaning:
    """What texts mean. Loads the model with the first text; blocks while it works (15 ms a
    question, up to 35 ms a long contact), so that it belongs into a thread. Raises ConfigError when
    the model is not installed."""

    def __init__(self, embedder: Embedder | None = None) -> None:
        self._embedder = embedder or Embedder()
        self._asking = kept.asking()
        self._learnt = kept.learnt()
        self._levels = kept.levels()

    def points(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Where contacts lie: texts × SIZE. A text without words lies nowhere (length 0)."""
        if not texts:
            return np.zeros((0, SIZE), dtype=np.float32)
        vectors = self._embedder.vectors(texts)
        return self._learnt.contacts.points(np.array([vectors[text] for text in texts]))

    def alike(self, a: Point, b: Point) -> float:
        """How sure it is that two contacts tell of one thing, 0 to 1, from their points."""
        return contacts_alike(a, b, self._learnt)

    def similar(self, a: str, b: str) -> Likeness:
        """How sure it is that one answer serves two questions, 0 to 1, and why."""
        left, right = read(a, self._asking), read(b, self._asking)
        vectors = self._embedder.vectors(sorted(wanted(left, right)))
        return likeness(left, right, vectors, self._learnt, self._levels)

    def same(self, likeness: Likeness) -> bool:
        """Whether one answer serves both."""
        return likeness.score >= self._levels.same


class Slow(Generic[Group]):
    """Works a backlog off beside the event loop. `text_of` gives a group's text, `found` takes
    what was seen; both are called on the loop."""

    def __init__(
        self,
        meaning: Meaning,
        backlog: Backlog[Group],
        text_of: Callable[[Group], str | None],
        found: Callable[[Sequence[tuple[Group, Point]]], Awaitable[None]],
        now_ms: Callable[[], int],
    ) -> None:
        """`text_of`: the text that stands for a group; None when the group is no more."""
        self._meaning = meaning
        self._backlog = backlog
        self._text_of = text_of
        self._found = found
        self._now_ms = now_ms
        self._failed = False

    async def run(self) -> None:
        """Until it is cancelled. Raises ConfigError when the model is not installed."""
        with ThreadPoolExecutor(1, thread_name_prefix="meaning", initializer=gives_way) as thread:
            while True:
                begun = monotonic_s()
                groups = self._backlog.next_batch()
                age_ms = self._backlog.age_ms(self._now_ms())
                metrics.SLOW_BACKLOG.set(age_ms / 1000)
                try:
                    await self._look(groups, thread)
                except ConfigError:
                    raise
                except Exception as error:
                    # What went wrong may quote the text; its kind does not.
                    if not self._failed:
                        self._failed = True
                        _log.error(_FAILED, kind=type(error).__name__)
                    await asyncio.sleep(_AFTER_FAILURE_S)
                # Cases are decided on the same cores: what need not be in time takes half of one.
                rest_s = monotonic_s() - begun if not age_ms else 0.0
                await asyncio.sleep(rest_s if groups else _PAUSE_S)

    async def _look(self, groups: Sequence[Group], thread: ThreadPoolExecutor) -> None:
        texts = [(group, text) for group in groups if (text := self._text_of(group))]
        if not texts:
            return
        loop = asyncio.get_running_loop()
        points = await loop.run_in_executor(
            thread, self._meaning.points, [text for _, text in texts]
        )
        await self._found([(group, p) for (group, _), p in zip(texts, points, strict=True)])


def gives_way() -> None:
    """On a busy machine what answers people goes first. Linux knows a niceness of a single thread;
    where that is not so, the rests have to do."""
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, get_native_id(), 19)
