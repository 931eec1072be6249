"""The view of a partition is written behind the log, also when Redis was away."""

import asyncio
from collections.abc import Iterable
from typing import Any, cast

import pytest

from services.broadcast import shown
from services.broadcast.shown import Shown
from services.runtime.store import Item


class View:
    """A view whose Redis is away until it is told otherwise."""

    def __init__(self) -> None:
        self.away = True
        self.waits: list[Item] = []
        self.there: list[Item] = []

    @property
    def settled(self) -> bool:
        """Whether nothing waits."""
        return not self.waits

    async def put(self, items: Iterable[Item]) -> None:
        """Takes items, and writes them when it can."""
        self.waits += items
        await self.keep()

    async def keep(self) -> None:
        """Writes what waits when it can."""
        if not self.away:
            self.there += self.waits
            self.waits.clear()


async def test_what_was_written_by_another_hand_is_known_to_stand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who sweeps may find Redis back before who writes does: a campaign waits for its counts to be
    seen before it says that it is over, and nothing else may come."""
    monkeypatch.setattr(shown, "_GATHER_S", 0.05)
    view, failed = View(), list[BaseException]()
    writing = Shown(cast(Any, view), cast(Any, None), 0, failed.append)
    turn = writing.queued([Item("broadcast:counts", b"60", 1)], ())
    await asyncio.sleep(0.07)
    assert (len(view.waits), writing.has(turn)) == (1, False)
    view.away = False
    await writing.keep()
    assert view.settled
    await asyncio.sleep(0.5)
    assert writing.has(turn)
    await writing.stop()
    assert failed == []
