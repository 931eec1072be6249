"""The slow path: looks at one text of each group, in a thread of its own, and says what it found.

Nothing waits for it. What a process knew is lost with it, and costs only that its groups are looked
at again: whoever adds groups adds those of the partition that it takes over.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from services.dedup.meaning import kept
from services.dedup.meaning.backlog import Backlog
from services.dedup.meaning.embed import SIZE, Embedder
from services.dedup.meaning.pairs import Likeness, contacts_alike, likeness, wanted
from services.dedup.meaning.reading import read
from services.runtime import metrics

Point = NDArray[np.float32]
"""Where a text lies, of length 1; the dot product of two points is how alike they are."""
Textual = Callable[[bytes], str | None]
"""The text that stands for a group; None when the group is no more."""
Found = Callable[[Sequence[tuple[bytes, Point]]], Awaitable[None]]
"""Takes the points of groups."""
_PAUSE_S = 0.2


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


class Slow:
    """Works a backlog off beside the event loop. `text_of` gives a group's text, `found` takes
    what was seen; both are called on the loop."""

    def __init__(
        self,
        meaning: Meaning,
        backlog: Backlog[bytes],
        text_of: Textual,
        found: Found,
        now_ms: Callable[[], int],
    ) -> None:
        self._meaning = meaning
        self._backlog = backlog
        self._text_of = text_of
        self._found = found
        self._now_ms = now_ms

    async def run(self) -> None:
        """Until it is cancelled. Raises ConfigError when the model is not installed."""
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, thread_name_prefix="meaning") as thread:
            while True:
                groups = self._backlog.next_batch()
                metrics.SLOW_BACKLOG.set(self._backlog.age_ms(self._now_ms()) / 1000)
                texts = [(group, text) for group in groups if (text := self._text_of(group))]
                if not texts:
                    await asyncio.sleep(_PAUSE_S if not groups else 0)
                    continue
                points = await loop.run_in_executor(
                    thread, self._meaning.points, [text for _, text in texts]
                )
                await self._found([(group, p) for (group, _), p in zip(texts, points, strict=True)])
