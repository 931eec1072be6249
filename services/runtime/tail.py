"""Follows a topic, from its end for people who watch, or from its beginning for who must know all
of it: nothing is owned, nothing committed.

One consumer serves all watchers of a process. A watcher that reads too slowly is told so and let
go; it never slows the others down. What a past owner of a partition writes late is left out.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Generic, TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from services.runtime import kafka_tls, log
from services.runtime.config import Settings
from services.runtime.errors import Away, MawjaError, Overloaded
from services.runtime.own import Epochs, Record, counted, counted_from_here
from services.runtime.topics import Topic

_log = log.get("tail")
_T = TypeVar("_T")
_PAUSE_S = 1.0
_TOGETHER = 64 * 1024
"""Bytes that are worth a fetch at once. Nobody looks at a change within 0.1 s, and many changes a
second would be fetched one by one, by every process, also while nobody watches."""
_GATHERED_MS = 100
"""So long changes gather at most."""
_WAIT_MS = 500
"""How long Kafka keeps a question whose answer may be a single byte: it is answered at once when
there is a record, and while there is none each costs both sides a third of a millisecond."""
_LOOK_BACK = 500
"""Records before the end in which the owner of a partition is looked for."""


@asynccontextmanager
async def reading(
    settings: Settings,
    topic: Topic,
    client_id: str,
    least: int = 1,
    wait_ms: int = _WAIT_MS,
) -> AsyncIterator["tuple[AIOKafkaConsumer[bytes, bytes], list[TopicPartition]]"]:
    """A consumer for every partition of `topic`, and the partitions, which are to be assigned; it
    is given records when there are `least` bytes of them, or after `wait_ms`. What Kafka fails with
    within becomes Away.

    It begins at the beginning. Who wants to begin elsewhere seeks right after assigning, with
    nothing awaited in between: aiokafka asks for the place to begin as soon as it comes to it, and
    the answer to that also ends a seek that was made meanwhile. Offsets are asked for before:
    behind a fetch that waits for records an answer would wait, too.
    """
    consumer: AIOKafkaConsumer[bytes, bytes] = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka,
        **kafka_tls.options(),
        client_id=client_id,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=wait_ms,
        fetch_min_bytes=least,
    )
    try:
        await consumer.start()
        yield consumer, [TopicPartition(topic.name, p) for p in range(settings.partitions)]
    except KafkaError as error:
        raise Away(f"Kafka does not give records: {type(error).__name__}") from error
    finally:
        await consumer.stop()


async def tail(
    settings: Settings, topic: Topic, client_id: str, since_ms: int = 0
) -> AsyncIterator[list[Record]]:
    """The records of every partition of `topic` from now on, in batches as they come; or those that
    were written at `since_ms` (Unix ms) or later.

    The first batch is empty: from then on nothing is missed. Raises Away when Kafka fails; records
    may then have been missed.
    """
    epochs = Epochs() if topic.log else None
    async with reading(settings, topic, client_id, _TOGETHER, _GATHERED_MS) as (consumer, tps):
        begin = await consumer.beginning_offsets(tps)
        ends = await consumer.end_offsets(tps)
        if since_ms:
            found_at = await consumer.offsets_for_times(dict.fromkeys(tps, since_ms))
            ends |= {tp: at.offset for tp, at in found_at.items() if at is not None}
        consumer.assign(tps)
        for tp in tps:
            start = max(begin[tp], ends[tp] - _LOOK_BACK) if topic.log else ends[tp]
            consumer.seek(tp, start)
        yield []
        while True:
            found: list[Record] = []
            for tp, records in (await consumer.getmany(timeout_ms=1_000)).items():
                fresh = (r for r in records if epochs is None or counted_from_here(epochs, r))
                found += (record for record in fresh if record.offset >= ends[tp])
            if found:
                yield found


async def whole(
    settings: Settings, topic: Topic, client_id: str, since_ms: int = 0
) -> AsyncGenerator[tuple[list[Record], bool], None]:
    """The records of every partition of a topic from the beginning, then as they come; and whether
    all that stood there at first has been given. A caller that begins again gets all of them again.

    `since_ms`: begins with what was written at this Unix time in milliseconds or later; not for a
    log, whose markers may stand before. Raises Away when Kafka fails.
    """
    epochs = Epochs() if topic.log else None
    async with reading(settings, topic, client_id) as (consumer, tps):
        ends = await consumer.end_offsets(tps)
        starts = await consumer.offsets_for_times(dict.fromkeys(tps, since_ms)) if since_ms else {}
        consumer.assign(tps)
        for tp, found in starts.items():
            consumer.seek(tp, found.offset if found else ends[tp])
        left = {tp: end for tp, end in ends.items() if end}
        fresh: list[Record] = []
        while True:
            for tp in [tp for tp, end in left.items() if await consumer.position(tp) >= end]:
                del left[tp]
            # Where nothing stands that is known at once.
            if fresh or not left:
                yield fresh, not left
            fresh = []
            for records in (await consumer.getmany(timeout_ms=1_000 if not left else 50)).values():
                fresh += (record for record in records if epochs is None or counted(epochs, record))


class _Watcher(Generic[_T]):
    def __init__(self, limit: int) -> None:
        self.queue: asyncio.Queue[_T | MawjaError] = asyncio.Queue(limit + 1)
        self.limit = limit
        self.gone = False

    def give(self, item: _T) -> None:
        if self.gone:
            return
        if self.queue.qsize() >= self.limit:
            self.end(
                Overloaded(
                    f"more than {self.limit} changes wait for this watcher; watch fewer, or faster",
                    retry_after_ms=1_000,
                )
            )
        else:
            self.queue.put_nowait(item)

    def end(self, error: MawjaError) -> None:
        if not self.gone:
            self.gone = True
            self.queue.put_nowait(error)

    async def items(self) -> AsyncIterator[_T]:
        while True:
            item = await self.queue.get()
            if isinstance(item, MawjaError):
                raise item
            yield item


class Tail(Generic[_T]):
    """Hands every record of a topic, read once by `read` (None: leave it out), to all watchers.

    Run `run` as a task of the service. `limit`: items that may wait for one watcher.
    """

    def __init__(
        self,
        settings: Settings,
        topic: Topic,
        client_id: str,
        read: Callable[[Record], _T | None],
        limit: int = 10_000,
    ) -> None:
        self._settings = settings
        self._topic = topic
        self._client_id = client_id
        self._read = read
        self._limit = limit
        self._watchers: set[_Watcher[_T]] = set()
        self._following = asyncio.Event()

    async def run(self) -> None:
        """Follows the topic until cancelled. When Kafka fails, watchers are told and it goes on."""
        while True:
            try:
                async for records in tail(self._settings, self._topic, self._client_id):
                    self._following.set()
                    self._hand_out(records)
            except Away as error:
                self._following.clear()
                _log.warning("watching is interrupted", topic=self._topic.name, why=str(error))
                for watcher in self._watchers:
                    watcher.end(Away("changes may have been missed; watch again"))
                await asyncio.sleep(_PAUSE_S)

    def _hand_out(self, records: Iterable[Record]) -> None:
        if not self._watchers:
            return
        for record in records:
            item = self._read(record)
            if item is not None:
                for watcher in self._watchers:
                    watcher.give(item)

    @contextmanager
    def watch(self) -> Iterator[AsyncIterator[_T]]:
        """The items from now on. Iterating raises Overloaded for a watcher that is too slow, Away
        when some may have been missed; entering raises Away while Kafka is away."""
        if not self._following.is_set():
            raise Away("changes can't be followed right now; try again in a moment")
        watcher = _Watcher[_T](self._limit)
        self._watchers.add(watcher)
        try:
            yield watcher.items()
        finally:
            self._watchers.discard(watcher)
