"""What a partition's work may commit, on a real Valkey: never more than is written of it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

import pytest
import redis.asyncio as redis

from services.local.valkey import LocalValkey
from services.runtime import keeping, store
from services.runtime.errors import Away, Stop
from services.runtime.keeping import Keeping
from services.runtime.store import Item, PartitionView
from tests.worker_rig import until

ROOM, TOPIC = "room", "topic"


@pytest.fixture
async def client(valkey: LocalValkey) -> AsyncIterator["redis.Redis"]:
    """An empty Valkey."""
    connected = store.connect(valkey.url)
    await connected.flushall()
    yield connected
    await connected.aclose()


class Stated:
    """Tallies of a kind: how often they were written; `failing` has the next ones fail."""

    def __init__(self) -> None:
        self.times = 0
        self.failing = False

    async def __call__(self) -> None:
        if self.failing:
            raise Away("nothing can be stated")
        self.times += 1


class Owner:
    """Keeps partition 0 and notes what ended it."""

    def __init__(
        self, client: "redis.Redis", state: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        self.ended: list[BaseException] = []
        view = partial(PartitionView, client, ROOM, 0)
        self.kept = Keeping(view, self.ended.append, state)

    async def start(self, committed: int = 0, resumed: int = 0) -> None:
        at = {TOPIC: committed} if committed else {}
        await self.kept.start(1, lambda: (), [], at, {TOPIC: resumed})

    async def put(self, offset: int) -> None:
        await self.kept.put([Item(f"k{offset}", b"x", offset)], {TOPIC: offset + 1})

    @property
    def committable(self) -> int:
        return self.kept.committable(TOPIC, 1_000)


async def test_what_the_view_has_is_committable_at_once(client: "redis.Redis") -> None:
    owner = Owner(client)
    await owner.start(committed=3, resumed=5)
    assert owner.committable == 5
    await owner.put(9)
    assert owner.committable == 10
    assert owner.kept.committable("another", 1_000) == 0
    await owner.kept.stop()


async def test_nothing_is_committable_before_it_is_stated(
    client: "redis.Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "KEEP_EVERY_S", 0.05)
    stated = Stated()
    owner = Owner(client, stated)
    await owner.start(resumed=5)
    assert (owner.committable, stated.times) == (5, 1)
    async with owner.kept.busy:
        await owner.put(9)
        await asyncio.sleep(0.2)
        assert (owner.committable, stated.times) == (5, 1)
    await until(lambda: owner.committable != 5)
    assert owner.committable == 10
    assert stated.times > 1
    await owner.kept.stop()


async def test_what_is_left_is_stated_in_the_end(client: "redis.Redis") -> None:
    stated = Stated()
    owner = Owner(client, stated)
    await owner.start()
    await owner.put(9)
    assert (owner.committable, stated.times) == (0, 1)
    await owner.kept.stop()
    assert (owner.committable, stated.times) == (10, 2)


async def test_what_may_not_be_in_the_log_is_not_stated(client: "redis.Redis") -> None:
    stated = Stated()
    owner = Owner(client, stated)
    await owner.start()
    await owner.put(9)
    owner.kept.unsure = True
    await owner.kept.stop()
    assert (owner.committable, stated.times) == (0, 1)


async def test_who_cannot_state_is_ended_and_commits_nothing(
    client: "redis.Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "KEEP_EVERY_S", 0.05)
    stated = Stated()
    owner = Owner(client, stated)
    await owner.start()
    stated.failing = True
    await owner.put(9)
    await until(lambda: bool(owner.ended))
    with pytest.raises(Away):
        await owner.kept.stop()
    assert owner.committable == 0


async def test_a_partition_that_was_not_taken_over_is_not_written(client: "redis.Redis") -> None:
    owner = Owner(client)
    with pytest.raises(Stop, match="before it was taken over"):
        await owner.put(9)
    await owner.kept.stop()
