"""The wave room on real Kafka: tallies in any order, a kill, a stop, watchers, callers."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from mawja.dedup.v1.events_pb2 import Tally, TallyRow
from mawja.wave.v1 import service_pb2, service_pb2_grpc
from mawja.wave.v1.events_pb2 import Burst, Dimension, Level

from services.local.system import token
from services.runtime import clock, rpc
from services.runtime.config import Settings
from services.runtime.identity import Role, issue
from services.runtime.own import LogReader
from services.runtime.produce import Producer, acknowledged
from services.runtime.topics import BURST, LEVEL, TALLY
from tests.room_process import Room, room

# Five minutes ago, on a slot: fine windows are kept, and nothing is ahead of the clock.
NOW = clock.now_ms()
BASE = NOW - NOW % 60_000 - 300_000


# What Faust reads when it is left to itself.
FAUST = {
    "BROKER_URL": "kafka://127.0.0.1:1",
    "APP_WEB_ENABLED": "yes",
    "TOPIC_ALLOW_DECLARE": "yes",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("wave")


@pytest.fixture(scope="module")
def running(settings: Settings, folder: Path) -> Iterator[Room]:
    with room("wave", settings, folder, "shared", **FAUST) as started:
        yield started


@asynccontextmanager
async def caller(
    target: str, settings: Settings, agency: str = ""
) -> AsyncIterator[tuple[service_pb2_grpc.WaveServiceAsyncStub, tuple[tuple[str, str], ...]]]:
    if agency:
        shown = issue(
            settings.keys, "liaison", frozenset({Role.LIAISON}), now=clock.now_ms(), agency=agency
        )
    else:
        shown = token(settings.keys, "coordinator", Role.COORDINATOR)
    async with rpc.channel(target) as channel:
        stub: service_pb2_grpc.WaveServiceAsyncStub = service_pb2_grpc.WaveServiceStub(channel)
        yield stub, rpc.bearer(shown)


@asynccontextmanager
async def producing(settings: Settings) -> AsyncIterator[Producer]:
    producer = Producer(settings.kafka, "test-wave")
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def say(settings: Settings, tallies: list[Tally]) -> None:
    async with producing(settings) as producer:
        await acknowledged(
            [await producer.send(TALLY, t.partition, t.SerializeToString()) for t in tallies]
        )


def tally(partition: int, bucket: int, through: int, **counts: int) -> Tally:
    row = TallyRow(line="109", agency="moh", topic="visa", language="ar", channel=1, **counts)  # type: ignore[arg-type]
    return Tally(
        partition=partition,
        bucket_ms=BASE + bucket * 10_000,
        bucket_width_ms=10_000,
        through_offset=through,
        rows=[row],
    )


def history(partitions: int) -> list[Tally]:
    """Three statements of each bucket of two minutes, the last one counting."""
    return [
        tally(
            partition,
            bucket,
            10 * through + bucket,
            contacts=through,
            answered=through,
            answered_in_target=through - 1,
            abandoned=1,
        )
        for partition in range(partitions)
        for bucket in range(12)
        for through in (1, 2, 3)
    ]


async def eventually(check: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while True:
            if await check():
                return
            await asyncio.sleep(0.1)


async def all_levels(target: str, settings: Settings) -> list[Level]:
    async with caller(target, settings) as (stub, metadata):
        found: list[Level] = []
        for width in (0, 60_000, 900_000, 3_600_000):
            answer = await stub.GetLevels(
                service_pb2.GetLevelsRequest(
                    dimension=Dimension.DIMENSION_LINE,
                    subject="109",
                    width_ms=width,
                    from_ms=BASE,
                    until_ms=BASE + 120_000,
                ),
                metadata=metadata,
            )
            found.extend(answer.levels)
        return found


async def stated(settings: Settings) -> dict[bytes, Level]:
    """What wave.level.v1 says in the end, by key."""
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka, auto_offset_reset="earliest")
    await consumer.start()
    try:
        partitions = [TopicPartition(LEVEL.name, p) for p in range(settings.partitions)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        found: dict[bytes, Level] = {}
        while any([await consumer.position(tp) < ends[tp] for tp in partitions]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    found[record.key] = Level.FromString(record.value)
        return found
    finally:
        await consumer.stop()


async def test_kill_and_restart_give_the_same_levels(settings: Settings, folder: Path) -> None:
    said = history(settings.partitions)
    chance = random.Random(7)
    said += chance.sample(said, 40)
    chance.shuffle(said)
    half = len(said) // 2
    await say(settings, [*said[:half], Tally(), tally(0, -100_000_000, 1)])
    first = Room("wave", settings, folder, "killed", **FAUST)
    try:
        target = await asyncio.to_thread(first.target)
        # What comes while it follows counts like what it read up.
        await say(settings, said[half:])

        async def all_counted() -> bool:
            [whole, *_] = await all_levels(target, settings)
            return whole.counts.contacts == 12 * settings.partitions * 3

        await eventually(all_counted)
        levels = await all_levels(target, settings)
    finally:
        first.kill()
    whole = levels[0]
    assert (whole.start_ms, whole.width_ms) == (BASE, 120_000)
    assert whole.service_levels.answered == 3 / 4
    assert whole.service_levels.answered_in_target == 2 / 4
    assert not whole.service_levels.HasField("handled_in_target")
    with room("wave", settings, folder, "again", **FAUST) as second:
        target = await asyncio.to_thread(second.target)
        assert await all_levels(target, settings) == levels
        # What the killed one did not state, this one states; the last record of a window counts.
        expected_levels = {
            (level.start_ms, level.width_ms): level for level in levels if level != whole
        }

        async def all_stated() -> bool:
            on_topic = {
                (level.start_ms, level.width_ms): level
                for level in (await stated(settings)).values()
                if level.dimension == Dimension.DIMENSION_LINE and level.subject == "109"
            }
            return expected_levels.items() <= on_topic.items()

        await eventually(all_stated)
        second.process.send_signal(signal.SIGTERM)
        started = time.monotonic()
        assert await asyncio.to_thread(second.process.wait, 30) == 0, second.said
        assert time.monotonic() - started < 10
        assert "Traceback" not in second.said


async def test_watchers_see_what_changes_and_are_told_when_it_stops(
    settings: Settings, folder: Path
) -> None:
    with room("wave", settings, folder, "watched", **FAUST) as watched:
        target = await asyncio.to_thread(watched.target)
        async with (
            caller(target, settings) as (stub, metadata),
            caller(target, settings, agency="moi") as (liaison, liaison_metadata),
        ):
            everything = stub.WatchLevels(service_pb2.WatchLevelsRequest(), metadata=metadata)
            own = liaison.WatchLevels(service_pb2.WatchLevelsRequest(), metadata=liaison_metadata)
            # The call reaches the server before the change.
            seen: list[Level] = []

            async def look() -> None:
                async for response in everything:
                    # The last two minutes of the other test, stated again at the start, are not it.
                    if response.level.start_ms >= BASE + 120_000:
                        seen.append(response.level)

            async def look_at_own() -> None:
                async for response in own:
                    assert response.level.subject == "moi"

            looking = asyncio.create_task(look())
            looking_at_own = asyncio.create_task(look_at_own())
            await asyncio.sleep(0.5)
            await say(settings, [tally(0, 20, 1000, contacts=5)])

            async def everything_seen() -> bool:
                return {level.dimension for level in seen} == {1, 2, 3, 4, 5, 7}

            await eventually(everything_seen)
            assert {level.counts.contacts for level in seen} == {5}
            watched.process.send_signal(signal.SIGTERM)
            for task in (looking, looking_at_own):
                with pytest.raises(grpc.aio.AioRpcError) as ended:
                    await asyncio.wait_for(task, 10)
                assert ended.value.code() == grpc.StatusCode.UNAVAILABLE
        assert await asyncio.to_thread(watched.process.wait, 30) == 0, watched.said


async def test_who_may_ask_what(settings: Settings, running: Room) -> None:
    target = await asyncio.to_thread(running.target)
    await say(settings, [tally(0, 20, 2000, contacts=5)])

    def question(**fields: object) -> service_pb2.GetLevelsRequest:
        asked = {"dimension": Dimension.DIMENSION_AGENCY, "from_ms": BASE, **fields}
        return service_pb2.GetLevelsRequest(**asked)  # type: ignore[arg-type]

    async with caller(target, settings, agency="moh") as (stub, metadata):

        async def own() -> set[str]:
            answer = await stub.GetLevels(question(), metadata=metadata)
            return {level.subject for level in answer.levels}

        async def counted() -> bool:
            return bool(await own())

        await eventually(counted)
        assert await own() == {"moh"}
        for refused in (question(subject="moi"), question(dimension=Dimension.DIMENSION_ALL)):
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await stub.GetLevels(refused, metadata=metadata)
            assert error.value.code() == grpc.StatusCode.PERMISSION_DENIED
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await stub.GetLevels(question())
        assert error.value.code() == grpc.StatusCode.UNAUTHENTICATED
    async with caller(target, settings) as (stub, metadata):
        for wrong in (question(width_ms=7), question(until_ms=BASE), question(dimension=0)):
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await stub.GetLevels(wrong, metadata=metadata)
            assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_faust_makes_no_topic_and_commits_nothing(settings: Settings, running: Room) -> None:
    from kafka.admin import KafkaAdminClient

    from services.runtime.topics import BY_NAME

    await asyncio.to_thread(running.target)
    admin = KafkaAdminClient(bootstrap_servers=settings.kafka)
    try:
        made = {name for name in admin.list_topics() if not name.startswith("__")}
        assert made == set(BY_NAME)
        groups = [g["group_id"] for g in admin.list_groups() if g["group_id"].startswith("wave-")]
        assert groups
        offsets = admin.list_group_offsets(dict.fromkeys(groups))
        assert not any(offsets.values())
    finally:
        admin.close()


async def test_a_burst_is_raised_within_a_minute_without_any_history(
    settings: Settings, running: Room
) -> None:
    target = await asyncio.to_thread(running.target)
    begun = clock.now_ms()
    bucket = begun - begun % 10_000

    def flood(cases: int, through: int) -> Tally:
        row = TallyRow(agency="municipality", topic="flooded-underpass", cases=cases)
        return Tally(
            partition=3,
            bucket_ms=bucket,
            bucket_width_ms=10_000,
            through_offset=through,
            rows=[row],
        )

    async with caller(target, settings) as (stub, metadata):

        async def topics() -> dict[str, Burst]:
            asked = service_pb2.ListBurstsRequest(active=True)
            answer = await stub.ListBursts(asked, metadata=metadata)
            of_topic = Dimension.DIMENSION_TOPIC
            return {b.subject: b for b in answer.bursts if b.dimension == of_topic}

        async def raised() -> bool:
            return "flooded-underpass" in await topics()

        await say(settings, [flood(5, 10_000)])
        await asyncio.sleep(2)
        assert not await raised()
        await say(settings, [flood(12, 10_001)])
        await eventually(raised)
        burst = (await topics())["flooded-underpass"]
        assert clock.now_ms() - begun < 60_000
        assert (burst.start_ms, burst.cases) == (bucket, 12)
    found: list[Burst] = []
    reader = LogReader(settings.kafka, "test-bursts")
    ends = await reader.end(BURST, range(settings.partitions))
    await reader.read_many(
        {(BURST, p): (0, end) for p, end in ends.items()},
        lambda record: found.append(Burst.FromString(record.value or b"")),
    )
    assert any(burst.subject == "flooded-underpass" for burst in found)
    async with caller(target, settings, agency="moh") as (stub, metadata):
        answer = await stub.ListBursts(service_pb2.ListBurstsRequest(), metadata=metadata)
        assert not [b for b in answer.bursts if b.subject != "moh"]
