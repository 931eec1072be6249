"""A question reads its logs to the end, or says that Kafka is away."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from services.broadcast.gathering.reading import Reading
from services.runtime.errors import Away
from services.runtime.own import LogReader
from services.runtime.topics import SUBSCRIPTION


class Kafka:
    """Gives so many records, each after a while; then nothing more."""

    def __init__(self, gives: int, pause_s: float = 0.0) -> None:
        self.gives = gives
        self.pause_s = pause_s
        self.let_go = False

    async def read(self, topic: Any, partition: int, start: int, end: int, each: Any) -> None:
        try:
            for offset in range(start, end):
                if offset >= start + self.gives:
                    await asyncio.Event().wait()
                await asyncio.sleep(self.pause_s)
                record = SimpleNamespace(offset=offset, value=str(offset).encode())
                if (turn := each(record)) is not None:
                    await turn
        finally:
            self.let_go = True


async def test_all_of_a_span_is_read_however_slowly_it_comes() -> None:
    reading, met = Reading(cast(LogReader, Kafka(10, 0.02)), silent_s=0.1), list[bytes]()
    await reading.log(SUBSCRIPTION, 0, (5, 15), met.append)
    assert met == [str(offset).encode() for offset in range(5, 15)]
    assert reading.read == 10


async def test_when_nothing_comes_kafka_is_away_and_the_connection_is_let_go() -> None:
    kafka = Kafka(3)
    reading = Reading(cast(LogReader, kafka), silent_s=0.05)
    with pytest.raises(Away, match="does not give"):
        await reading.log(SUBSCRIPTION, 0, (0, 10), lambda value: None)
    await asyncio.sleep(0)
    assert kafka.let_go
