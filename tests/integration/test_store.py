"""Views on a real Valkey: older never overwrites, a flush is noticed, a past owner stops."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

import pytest
import redis.asyncio as redis
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from services.local.valkey import LocalValkey
from services.runtime import stop, store
from services.runtime.errors import Away, Stop
from services.runtime.replies import Replies
from services.runtime.store import IndexOp, Item, PartitionView, sentinel_key
from services.runtime.views import Views

PARTITIONS = 2


@asynccontextmanager
async def connected(valkey: LocalValkey) -> AsyncIterator["redis.Redis"]:
    client = store.connect(valkey.url)
    try:
        yield client
    finally:
        await client.aclose()


class Owner:
    """An owner of partition 0 that keeps everything in memory, as rooms do."""

    def __init__(self, client: "redis.Redis", epoch: int, room: str = "room") -> None:
        self.memory: dict[str, Item] = {}
        self.view = PartitionView(client, room, 0, epoch, lambda: list(self.memory.values()))

    def settled(self) -> bool:
        return self.view.settled

    async def put(self, *items: Item) -> None:
        for item in items:
            self.memory[item.key] = item
        await self.view.put(items)


async def others_are_whole(client: "redis.Redis", room: str = "room") -> None:
    """The other partition's owner has written its (empty) view."""
    await PartitionView(client, room, 1, 1, lambda: ()).start()


def item(key: str, payload: str, offset: int, *index: IndexOp, ttl_s: int = 0) -> Item:
    return Item(key, payload.encode(), offset, index, ttl_s)


async def test_readers_get_away_until_every_partition_is_written(valkey: LocalValkey) -> None:
    async with connected(valkey) as client:
        await client.flushall()
        views = Views(client, "room", PARTITIONS)
        with pytest.raises(Away, match="rebuilt"):
            await views.get("a")
        owner = Owner(client, 1)
        await owner.view.start()
        with pytest.raises(Away):
            await views.get("a")
        assert not await views.whole()
        await others_are_whole(client)
        assert await views.get("a") == [None]
        assert await views.whole()
        await owner.put(item("a", "1", 5))
        assert await views.get("a", "b", "a") == [b"1", None, b"1"]


@hypothesis_settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(
        st.tuples(st.integers(1, 3), st.integers(0, 5), st.sampled_from("ab")),
        min_size=1,
        max_size=12,
    )
)
def test_in_any_order_the_highest_epoch_and_offset_stays(
    valkey: LocalValkey, writes: list[tuple[int, int, str]]
) -> None:
    async def run() -> None:
        async with connected(valkey) as client:
            await client.flushall()
            owners: dict[int, Owner] = {}
            newest = 0
            expected: dict[str, tuple[int, int]] = {}
            for epoch, offset, key in writes:
                owner = owners.setdefault(epoch, Owner(client, epoch))
                try:
                    await owner.put(item(key, f"{epoch}/{offset}", offset))
                except Stop:
                    assert epoch < newest, "only a past owner is stopped"
                    continue
                assert epoch >= newest
                newest = epoch
                expected[key] = max(expected.get(key, (0, 0)), (epoch, offset))
            views = Views(client, "room", 1)
            for key, (epoch, offset) in expected.items():
                assert await views.get(key) == [f"{epoch}/{offset}".encode()]

    asyncio.run(run())


async def test_a_past_owner_stops_and_changes_nothing(valkey: LocalValkey) -> None:
    async with connected(valkey) as client:
        await client.flushall()
        zombie, rightful = Owner(client, 0x1F), Owner(client, 0x20)
        await zombie.put(item("a", "zombie", 40))
        await rightful.put(item("a", "rightful", 33))
        for attempt in (zombie.view.flush(), zombie.put(item("a", "late", 99)), zombie.view.keep()):
            with pytest.raises(Stop, match="newer owner"):
                await attempt
        with pytest.raises(Stop):
            await Owner(client, 0x1F).view.start()
        assert await Views(client, "room", 1).get("a") == [b"rightful"]


async def test_index_operations_follow_their_entry(valkey: LocalValkey) -> None:
    async with connected(valkey) as client:
        await client.flushall()
        await others_are_whole(client)
        owner = Owner(client, 1)
        views = Views(client, "room", PARTITIONS)
        for i in range(5):
            await owner.put(item(f"k{i}", "x", i, IndexOp("open", f"k{i}".encode(), float(i))))
        await owner.put(item("k2", "y", 9, IndexOp("open", b"k2", None)))
        # An older write of the same key brings its index back no more than its payload.
        older = PartitionView(client, "room", 0, 1, lambda: ())
        await older.put([item("k2", "x", 2, IndexOp("open", b"k2", 2.0))])
        assert await views.range("open", 0, 10) == [b"k0", b"k1", b"k3", b"k4"]
        assert await views.range("open", 1, 2) == [b"k1", b"k3"]
        page = await views.after("open", None, 2)
        assert page == [(0.0, b"k0"), (1.0, b"k1")]
        await owner.put(item("k1", "y", 10, IndexOp("open", b"k1", None)))
        assert await views.after("open", page[-1], 2) == [(3.0, b"k3"), (4.0, b"k4")]


async def test_entries_may_end_by_themselves(valkey: LocalValkey) -> None:
    async with connected(valkey) as client:
        await client.flushall()
        await Owner(client, 1).put(item("a", "1", 1, ttl_s=100), item("b", "1", 2))
        assert 90 < await client.ttl("a") <= 100
        assert await client.ttl("b") == -1


@pytest.mark.parametrize("notices", ["put", "keep"])
async def test_a_flushed_view_is_written_again_whole(valkey: LocalValkey, notices: str) -> None:
    async with connected(valkey) as client:
        await client.flushall()
        owner = Owner(client, 1)
        await owner.put(*(item(f"k{i}", str(i), i) for i in range(1000)))
        await client.flushall()
        views = Views(client, "room", 1)
        with pytest.raises(Away):
            await views.get("k1")
        if notices == "put":
            await owner.put(item("new", "x", 2000))
        else:
            await owner.view.keep()
        found = await views.get(*(f"k{i}" for i in range(1000)))
        assert found == [str(i).encode() for i in range(1000)]


@pytest.mark.parametrize("spoilt", [b"zzzz", b"\xff" * 16, b""])
async def test_a_spoilt_sentinel_stops_nobody(valkey: LocalValkey, spoilt: bytes) -> None:
    async with connected(valkey) as client:
        await client.flushall()
        owner = Owner(client, 5)
        await owner.view.start()
        await owner.put(item("a", "one", 1))
        await client.set(sentinel_key("room", 0), spoilt)
        await owner.put(item("b", "two", 2))
        await owner.view.flush()
        assert await client.get(sentinel_key("room", 0)) == b"%016x" % 5
        assert await Views(client, "room", 1).get("a", "b") == [b"one", b"two"]


async def test_no_reader_ever_sees_a_view_that_is_being_rebuilt(valkey: LocalValkey) -> None:
    """Not even between the flush and the first entry: `not found` would be a lie."""
    async with connected(valkey) as client, connected(valkey) as other:
        await client.flushall()
        owner = Owner(client, 1)
        await owner.put(*(item(f"k{i}", "x", i) for i in range(3000)))
        views = Views(other, "room", 1)
        answers: list[bytes | None] = []
        refused = 0
        asked_enough = asyncio.Event()

        async def ask() -> None:
            nonlocal refused
            while not asked_enough.is_set():
                try:
                    answers.extend(await views.get("k2999"))
                except Away:
                    refused += 1

        asking = [asyncio.create_task(ask()) for _ in range(4)]
        for _ in range(10):
            await other.flushall()
            await owner.view.keep()
        asked_enough.set()
        await asyncio.gather(*asking)
        assert refused > 0
        assert answers
        assert None not in answers


async def test_a_flush_in_the_middle_of_a_rebuild_begins_it_again(valkey: LocalValkey) -> None:
    async with connected(valkey) as client, connected(valkey) as other:
        await client.flushall()
        memory = [item(f"k{i}", "x", i) for i in range(2000)]
        flushed = 0

        def everything() -> Iterable[Item]:
            nonlocal flushed
            for i, each in enumerate(memory):
                if i == 1500 and flushed < 2:
                    flushed += 1
                    _flush_now(valkey)
                yield each

        view = PartitionView(client, "room", 0, 1, everything)
        await view.start()
        assert flushed == 2
        assert view.settled
        assert None not in await Views(other, "room", 1).get(*(f"k{i}" for i in range(2000)))


def _flush_now(valkey: LocalValkey) -> None:
    import redis as blocking

    with blocking.Redis.from_url(valkey.url) as client:
        client.flushall()


async def test_a_zombies_rebuild_does_not_spoil_the_rightful_ones(valkey: LocalValkey) -> None:
    async with connected(valkey) as client:
        await client.flushall()
        rightful = Owner(client, 7)
        rightful.memory = {f"k{i}": item(f"k{i}", "r", i) for i in range(900)}
        stopped: list[Exception] = []

        def everything() -> Iterable[Item]:
            for i in range(900):
                if i == 500:
                    asyncio.get_running_loop().create_task(zombie_tries())
                yield rightful.memory[f"k{i}"]

        async def zombie_tries() -> None:
            try:
                await Owner(client, 3).view.start()
            except Stop as error:
                stopped.append(error)

        await PartitionView(client, "room", 0, 7, everything).start()
        await asyncio.sleep(0.1)
        assert len(stopped) == 1
        assert (await client.get(sentinel_key("room", 0))) == b"%016x" % 7
        found = await Views(client, "room", 1).get(*rightful.memory)
        assert found == [b"r"] * 900


async def test_a_waiting_entry_is_not_replaced_by_an_older_one(valkey: LocalValkey) -> None:
    async with connected(valkey) as client:
        await client.flushall()
        owner = Owner(client, 1)
        # Both wait, because Redis is told to be away for a moment.
        owner.view._not_before = time.monotonic() + 60
        await owner.view.put([item("a", "new", 9, IndexOp("i", b"a", None))])
        await owner.view.put([item("a", "old", 3, IndexOp("i", b"a", 1.0))])
        await owner.view.flush(force=True)
        assert await Views(client, "room", 1).get("a") == [b"new"]
        assert await client.zcard("i") == 0


async def test_the_outcome_of_a_command_reaches_the_replica_that_waits(
    valkey: LocalValkey,
) -> None:
    async with connected(valkey) as client:
        replies, owner = Replies(client, "r1"), Replies(client, "r2")
        with pytest.raises(Away):
            replies.expect("c")
        await replies.start()
        await _until(lambda: _subscribed(replies))
        one, two = replies.expect("c"), replies.expect("c")
        other = replies.expect("d")
        replies.forget("c")  # the first gave up; the second still waits
        await owner.tell(replies.channel, "c", b"done\nwith a line")
        assert await asyncio.wait_for(two, 5) == b"done\nwith a line"
        assert one.done()
        assert not other.done()
        await owner.tell(replies.channel, "nobody's", b"x")
        await client.publish(replies.channel, b"\xff\xfe")
        await owner.tell(replies.channel, "d", b"")
        assert await asyncio.wait_for(other, 5) == b""
        for command in ("c", "d", "unknown"):
            replies.forget(command)
        assert not replies._waiting
        await replies.stop()


def _subscribed(replies: Replies) -> bool:
    try:
        replies.expect("probe")
    except Away:
        return False
    replies.forget("probe")
    return True


async def _until(true: Callable[[], bool], timeout_s: float = 10) -> None:
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


async def test_a_task_in_a_call_to_redis_can_be_stopped(valkey: LocalValkey) -> None:
    """redis-py can lose a cancelling; a service that waits for its tasks must end all the same."""
    async with connected(valkey) as client:
        await client.flushall()

        async def for_ever() -> None:
            while True:
                await client.get("a")

        tasks = [asyncio.create_task(for_ever()) for _ in range(3)]
        await asyncio.sleep(0.2)
        for task in tasks:
            task.cancel()
        _, running = await asyncio.wait(tasks, timeout=2)
        await stop.cancelled(running)
        assert not running
        assert await client.get("a") is None


# From here on Valkey is killed: keep these last.


async def test_what_waits_while_redis_is_away_is_written_when_it_is_back(
    valkey: LocalValkey,
) -> None:
    async with connected(valkey) as client:
        owner = Owner(client, 1, "away")
        await owner.put(item("a", "1", 1))
        assert owner.settled()
        replies = Replies(client, "r3")
        await replies.start()
        await _until(lambda: _subscribed(replies))
        valkey.child.kill9()
        started = time.monotonic()
        await owner.put(item("b", "2", 2))
        await owner.put(item("a", "3", 3))
        assert time.monotonic() - started < 5
        assert not owner.settled()
        with pytest.raises(Away):
            await Views(client, "away", 1).get("a")
        await _until(lambda: not _subscribed(replies))
        await replies.tell("reply:r3", "c", b"best effort")
        valkey.restart()
        deadline = time.monotonic() + 10
        while not owner.settled():
            await owner.view.keep()
            await asyncio.sleep(0.1)
            assert time.monotonic() < deadline
        assert await Views(client, "away", 1).get("a", "b") == [b"3", b"2"]
        await _until(lambda: _subscribed(replies))
        await replies.stop()
