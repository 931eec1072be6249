"""Writing to Kafka: idempotent producer, every record acknowledged by all in-sync replicas."""

import asyncio
from collections.abc import Sequence

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.structs import RecordMetadata

from services.runtime.errors import Away
from services.runtime.topics import Topic

Header = tuple[str, bytes]


class Producer:
    """Appends records. One for each process; safe to use from many tasks of its loop."""

    def __init__(self, bootstrap: str, client_id: str) -> None:
        self._inner = AIOKafkaProducer(
            bootstrap_servers=bootstrap,
            client_id=client_id,
            acks="all",
            enable_idempotence=True,
            linger_ms=2,
            max_batch_size=256 * 1024,
            max_request_size=2 * 1024 * 1024,
            # How long an append may stay unanswered before its caller is told UNAVAILABLE.
            request_timeout_ms=20_000,
            metadata_max_age_ms=60_000,
        )

    async def start(self) -> None:
        """Connects. Raises Away when Kafka does not answer."""
        try:
            await self._inner.start()
        except KafkaError as error:
            raise Away(f"Kafka does not answer: {type(error).__name__}") from error

    async def stop(self) -> None:
        """Writes what is waiting, then closes."""
        await self._inner.stop()

    async def send(
        self,
        topic: Topic,
        partition: int,
        value: bytes,
        *,
        key: bytes | None = None,
        headers: Sequence[Header] = (),
    ) -> "asyncio.Future[RecordMetadata]":
        """Queues one record; the future is done when Kafka has it. Raises Away."""
        try:
            future: asyncio.Future[RecordMetadata] = await self._inner.send(
                topic.name, value, key=key, partition=partition, headers=list(headers)
            )
        except KafkaError as error:
            raise Away(f"Kafka does not take records: {type(error).__name__}") from error
        return future


async def acknowledged(
    futures: Sequence["asyncio.Future[RecordMetadata]"],
) -> list[RecordMetadata]:
    """Waits until Kafka has every record. Raises Away if it may not have one of them."""
    try:
        # gather leaves no future unretrieved when one fails.
        results = await asyncio.gather(*futures, return_exceptions=True)
    except asyncio.CancelledError:
        for future in futures:
            future.cancel()
        raise
    done: list[RecordMetadata] = []
    for result in results:
        if isinstance(result, KafkaError):
            raise Away(f"Kafka did not acknowledge: {type(result).__name__}") from result
        if isinstance(result, BaseException):
            raise result
        done.append(result)
    return done
