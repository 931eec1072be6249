"""What is due is stated once for each window, is not lost with Kafka away, and waits for nobody."""

import asyncio
from typing import Any, cast

import pytest
from aiokafka.structs import RecordMetadata, TopicPartition
from mawja.dedup.v1.events_pb2 import Tally, TallyRow
from mawja.wave.v1.events_pb2 import Dimension, Level

from services.runtime.errors import Away, Overloaded
from services.runtime.produce import Producer
from services.runtime.topics import LEVEL
from services.wave import publish
from services.wave.book import Book
from services.wave.publish import Publisher, Watcher, key_of

BASE = 1_750_000_000_000


class Kafka:
    """Takes records, or is away: at an instant that no real one could be told to."""

    def __init__(self) -> None:
        self.away = False
        self.taken: list[tuple[bytes, Level]] = []

    async def send(
        self, topic: object, partition: int, value: bytes, *, key: bytes
    ) -> "asyncio.Future[RecordMetadata]":
        future: asyncio.Future[RecordMetadata] = asyncio.get_running_loop().create_future()
        if self.away:
            raise Away("away")
        self.taken.append((key, Level.FromString(value)))
        place = TopicPartition(LEVEL.name, partition)
        stands = len(self.taken) - 1
        future.set_result(RecordMetadata(LEVEL.name, partition, place, stands, 0, 0, 0))
        return future


def tally(through: int, contacts: int) -> Tally:
    return Tally(
        partition=1,
        bucket_ms=BASE,
        bucket_width_ms=10_000,
        through_offset=through,
        rows=[TallyRow(line="109", contacts=contacts)],
    )


def parts() -> tuple[Kafka, Book, Publisher]:
    kafka, book = Kafka(), Book()
    return kafka, book, Publisher(book, cast(Producer, cast(Any, kafka)), 4)


async def test_many_changes_of_a_window_are_stated_once() -> None:
    kafka, book, publisher = parts()
    for through in range(50):
        publisher.changed(BASE, book.take(tally(through, through + 1), BASE))
    # The whole centre and one line, in 33 windows each.
    assert await publisher.state() == 66
    assert {level.counts.contacts for _, level in kafka.taken} == {50}
    assert len({key for key, _ in kafka.taken}) == 66
    assert await publisher.state() == 0


async def test_a_level_that_was_not_taken_stays_due() -> None:
    kafka, book, publisher = parts()
    publisher.changed(BASE, book.take(tally(1, 1), BASE))
    kafka.away = True
    assert await publisher.state() == 0
    publisher.changed(BASE, book.take(tally(2, 7), BASE))
    kafka.away = False
    assert await publisher.state() == 66
    assert {level.counts.contacts for _, level in kafka.taken} == {7}


async def test_a_burst_is_stated_a_batch_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish, "_BATCH", 40)
    kafka, book, publisher = parts()
    publisher.changed(BASE, book.take(tally(1, 1), BASE))
    assert [await publisher.state() for _ in range(3)] == [40, 26, 0]
    assert len({key for key, _ in kafka.taken}) == 66


async def test_a_watcher_is_given_the_latest_of_what_it_wants() -> None:
    _, book, publisher = parts()
    watcher = publisher.watch(lambda level: level.dimension == Dimension.DIMENSION_LINE)
    for through in (1, 2):
        publisher.changed(BASE, book.take(tally(through, through), BASE))
        await publisher.state()
    seen = await watcher.some()
    assert len(seen) == 33
    assert {(level.subject, level.counts.contacts) for level in seen} == {("109", 2)}
    publisher.leave(watcher)
    publisher.changed(BASE, book.take(tally(3, 3), BASE))
    await publisher.state()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(watcher.some(), 0.05)


async def test_a_watcher_too_far_behind_is_told_so_and_keeps_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(publish, "_BEHIND", 10)
    watcher = Watcher(lambda _: True)
    for start in range(1000):
        level = Level(dimension=Dimension.DIMENSION_ALL, start_ms=start)
        watcher.offer(key_of(level), level)
    assert len(watcher._waiting) == 11
    with pytest.raises(Overloaded):
        await watcher.some()


def test_keys_tell_windows_apart() -> None:
    levels = [
        Level(dimension=Dimension.DIMENSION_LINE, subject="109", start_ms=1, width_ms=60_000),
        Level(dimension=Dimension.DIMENSION_TOPIC, subject="109", start_ms=1, width_ms=60_000),
        Level(dimension=Dimension.DIMENSION_LINE, subject="155", start_ms=1, width_ms=60_000),
        Level(dimension=Dimension.DIMENSION_LINE, subject="109", start_ms=2, width_ms=60_000),
        Level(dimension=Dimension.DIMENSION_LINE, subject="109", start_ms=1, width_ms=900_000),
    ]
    assert len({key_of(level) for level in levels}) == len(levels)
    assert key_of(levels[0]) == b"2|109|1|60000"
