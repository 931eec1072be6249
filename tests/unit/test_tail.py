"""Watchers of a topic: each gets everything, and a slow one holds nobody up."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from services.runtime.config import Settings
from services.runtime.errors import Away, Overloaded
from services.runtime.own import EPOCH, MARKER, Epochs, counted_from_here
from services.runtime.tail import Tail
from services.runtime.topics import CASE

SETTINGS = Settings.from_env(
    {
        "MAWJA_KAFKA": "127.0.0.1:1",
        "MAWJA_REDIS_URL": "redis://127.0.0.1:1/0",
        "MAWJA_KEYS": str(Path()),
    }
)


@dataclass
class Told:
    """A record, as far as watching looks at it."""

    value: bytes | None
    offset: int = 0
    headers: Sequence[tuple[str, bytes]] = ()
    topic: str = CASE.name
    partition: int = 0
    timestamp: int = 0
    key: bytes | None = None


def followed(limit: int) -> Tail[bytes]:
    tail = Tail(SETTINGS, CASE, "test", lambda record: record.value or None, limit)
    tail._following.set()
    return tail


async def test_every_watcher_gets_every_item_that_is_read() -> None:
    tail = followed(10)
    with tail.watch() as one, tail.watch() as other:
        tail._hand_out([Told(b"1"), Told(b""), Told(b"2")])
        for items in (one, other):
            assert [await anext(items), await anext(items)] == [b"1", b"2"]


async def test_a_slow_watcher_is_let_go_and_told_so() -> None:
    tail = followed(2)
    with tail.watch() as slow, tail.watch() as quick:
        for value in (b"1", b"2", b"3", b"4"):
            tail._hand_out([Told(value)])
            assert await anext(quick) == value
        assert [await anext(slow), await anext(slow)] == [b"1", b"2"]
        with pytest.raises(Overloaded, match="more than 2 changes wait"):
            await anext(slow)


async def test_whoever_left_gets_nothing_more() -> None:
    tail = followed(1)
    with tail.watch():
        pass
    tail._hand_out([Told(b"1")])
    assert not tail._watchers


def test_nobody_can_watch_what_is_not_followed() -> None:
    tail = Tail(SETTINGS, CASE, "test", lambda record: record.value)
    with pytest.raises(Away), tail.watch():
        pass


def test_what_a_past_owner_writes_late_is_left_out() -> None:
    def epoch(number: int) -> list[tuple[str, bytes]]:
        return [(EPOCH, number.to_bytes(8, "big"))]

    epochs = Epochs()
    # Reading began behind the marker at 50: the first record tells of it.
    assert counted_from_here(epochs, Told(b"", 100, epoch(50)))
    assert not counted_from_here(epochs, Told(b"", 101, epoch(20)))
    assert not counted_from_here(epochs, Told(b"", 102, [(MARKER, b"next")]))
    assert not counted_from_here(epochs, Told(b"", 103, epoch(50)))
    assert counted_from_here(epochs, Told(b"", 104, epoch(102)))
    assert not counted_from_here(epochs, Told(b"", 105))
