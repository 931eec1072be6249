"""How far wave is behind, as a metric tells it."""

import asyncio
from contextlib import suppress
from types import SimpleNamespace
from typing import Any, cast

from prometheus_client import REGISTRY

from services.runtime.errors import Away
from services.runtime.topics import TALLY
from services.wave.behind import Behind


class Clock:
    def __init__(self) -> None:
        self.ms = 1_000_000

    def __call__(self) -> int:
        return self.ms


class Ends:
    """Where Kafka says that the partitions end, or that it is away."""

    def __init__(self) -> None:
        self.at: dict[int, int] | None = {}

    async def end(self, topic: object, partitions: object) -> dict[int, int]:
        if self.at is None:
            raise Away("away")
        return self.at


def lag(partition: int) -> float | None:
    labels = {"group": "wave", "topic": TALLY.name, "partition": str(partition)}
    return REGISTRY.get_sample_value("mawja_worker_lag_records", labels)


async def oldest_s(behind: Behind) -> float:
    """After one more look."""
    looking = asyncio.create_task(behind.run())
    await asyncio.sleep(0.02)
    looking.cancel()
    with suppress(asyncio.CancelledError):
        await looking
    found = REGISTRY.get_sample_value("mawja_worker_oldest_unprocessed_seconds", {"group": "wave"})
    assert found is not None
    return found


def parts() -> tuple[Ends, Clock, Behind]:
    ends, clock = Ends(), Clock()
    reader = cast(Any, SimpleNamespace(end=ends.end))
    return ends, clock, Behind(reader, 2, clock)


async def test_what_nobody_took_up_waits_and_grows_older() -> None:
    ends, clock, behind = parts()
    ends.at = {0: 10, 1: 0}
    behind.read(0, 10)
    assert await oldest_s(behind) == 0
    assert (lag(0), lag(1)) == (0, 0)
    ends.at = {0: 13, 1: 0}
    assert await oldest_s(behind) == 0
    clock.ms += 90_000
    assert await oldest_s(behind) == 90
    assert (lag(0), lag(1)) == (3, 0)


async def test_it_falls_with_what_is_taken_up() -> None:
    ends, clock, behind = parts()
    ends.at = {0: 2}
    await oldest_s(behind)
    clock.ms += 60_000
    behind.counted(0, 0, clock.ms - 10_000)
    assert await oldest_s(behind) == 10
    assert lag(0) == 1
    behind.counted(0, 1, clock.ms)
    assert await oldest_s(behind) == 0
    assert lag(0) == 0


async def test_what_retention_removed_waits_for_nobody() -> None:
    ends, _, behind = parts()
    ends.at = {0: 5_000}
    behind.read(0, 5_000)
    behind.counted(0, 3, 0)
    assert await oldest_s(behind) == 0
    assert lag(0) == 0


async def test_while_kafka_is_away_what_waited_waits_on() -> None:
    ends, clock, behind = parts()
    ends.at = {0: 1}
    await oldest_s(behind)
    ends.at = None
    clock.ms += 30_000
    assert await oldest_s(behind) == 30
