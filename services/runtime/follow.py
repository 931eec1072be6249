"""Follows all of a topic for who must know the whole of it: nothing is owned, nothing committed.

What was taken is behind the log by a moment, and by more when Kafka is away. `current` ends that
doubt: it asks Kafka where the log ends and waits until all before that has been taken, so whoever
looks after it sees everything that anybody had been told of before, by whichever replica.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from services.runtime import kafka_tls
from services.runtime.config import Settings
from services.runtime.errors import Away
from services.runtime.own import Epochs, Record, counted
from services.runtime.tail import reading
from services.runtime.topics import Topic

PATIENCE_S = 5.0
"""So long `current` waits for Kafka."""


class Following:
    """`take` is called with each record that counts, in order within its partition; after Kafka has
    failed, with all of them again. What a past owner of a partition wrote late is left out."""

    def __init__(
        self, settings: Settings, topic: Topic, client_id: str, take: Callable[[Record], None]
    ) -> None:
        self._settings = settings
        self._topic = topic
        self._client_id = client_id
        self._take = take
        # Asked for ends only.
        self._asked: AIOKafkaConsumer[bytes, bytes] | None = None
        self._taken: dict[TopicPartition, int] = {}
        self._moved = asyncio.Event()
        # The question that is under way, and the one that begins after it.
        self._question: asyncio.Task[None] | None = None
        self._next: asyncio.Task[None] | None = None
        self.whole = False
        """Whether all that stood in the log when this began has been taken, and Kafka has not
        failed since."""

    async def run(self) -> None:
        """Follows until Kafka fails: raises Away."""
        epochs = Epochs() if self._topic.log else None
        try:
            async with (
                reading(self._settings, self._topic, self._client_id) as (consumer, tps),
                self._asking() as self._asked,
            ):
                first = await self._asked.end_offsets(tps)
                consumer.assign(tps)
                while True:
                    wait_ms = 1_000 if self.whole else 50
                    for records in (await consumer.getmany(timeout_ms=wait_ms)).values():
                        for record in records:
                            if epochs is None or counted(epochs, record):
                                self._take(record)
                    self._taken = {tp: await consumer.position(tp) for tp in tps}
                    self.whole = self.whole or not self._behind(first)
                    self._moved.set()
        finally:
            self.whole, self._asked, self._taken = False, None, {}

    async def current(self) -> None:
        """Returns when everything has been taken that stood in the log when this was called. Raises
        Away."""
        if self._next is None:
            self._next = asyncio.create_task(self._ask(self._question))
            # All who asked may have left before it fails.
            self._next.add_done_callback(lambda task: task.cancelled() or task.exception())
        try:
            async with asyncio.timeout(PATIENCE_S):
                # One question serves all who came before it was asked.
                await asyncio.shield(self._next)
        except TimeoutError:
            raise Away(
                f"{self._topic.name} can't be followed to its end right now; try again in a moment"
            ) from None

    async def _ask(self, before: "asyncio.Task[None] | None") -> None:
        if before is not None:
            await asyncio.wait((before,))
        self._question, self._next = self._next, None
        if not self.whole or self._asked is None:
            raise Away(f"{self._topic.name} is not read to its end yet; try again in a moment")
        try:
            ends = await self._asked.end_offsets(list(self._taken))
        except KafkaError as error:
            raise Away(f"Kafka does not answer: {type(error).__name__}") from error
        while self._behind(ends):
            self._moved.clear()
            await self._moved.wait()

    def _behind(self, ends: Mapping[TopicPartition, int]) -> bool:
        return any(self._taken.get(tp, 0) < end for tp, end in ends.items())

    @asynccontextmanager
    async def _asking(self) -> "AsyncIterator[AIOKafkaConsumer[bytes, bytes]]":
        # Behind a fetch that waits for records an answer would wait, too.
        consumer: AIOKafkaConsumer[bytes, bytes] = AIOKafkaConsumer(
            bootstrap_servers=self._settings.kafka,
            **kafka_tls.options(),
            client_id=f"{self._client_id}-ends",
            enable_auto_commit=False,
            request_timeout_ms=int(PATIENCE_S * 1000),
        )
        try:
            await consumer.start()
            yield consumer
        finally:
            await consumer.stop()
