"""Writing to Kafka: idempotent producer, every record acknowledged by all in-sync replicas."""

import asyncio
import contextlib
from collections.abc import Sequence

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.structs import RecordMetadata

from services.runtime import kafka_tls, log
from services.runtime.clock import now_ms
from services.runtime.errors import Away, ConfigError
from services.runtime.topics import Topic

Header = tuple[str, bytes]

ANSWER_S = 20.0
"""How long an append may stay unanswered before its caller is told that Kafka is away."""
_STOP_S = 5.0
_log = log.get("produce")


class Producer:
    """Appends records. One for each process; safe to use from many tasks of its loop."""

    def __init__(self, bootstrap: str, client_id: str) -> None:
        self._bootstrap = bootstrap
        self._client_id = client_id
        self._inner = self._make()
        self._broken = False
        self._renewing = asyncio.Lock()
        self._ending: set[asyncio.Task[None]] = set()

    def _make(self) -> AIOKafkaProducer:
        return AIOKafkaProducer(
            bootstrap_servers=self._bootstrap,
            **kafka_tls.options(),
            client_id=self._client_id,
            acks="all",
            enable_idempotence=True,
            linger_ms=2,
            max_batch_size=256 * 1024,
            max_request_size=2 * 1024 * 1024,
            request_timeout_ms=int(ANSWER_S * 1000),
            metadata_max_age_ms=60_000,
        )

    async def start(self) -> None:
        """Connects. Raises Away when Kafka does not answer."""
        await _started(self._inner)

    async def answers(self) -> bool:
        """Whether Kafka tells its metadata; waits as long as a request may take."""
        try:
            # bool(): the library is untyped.
            return bool(await self._inner.client.force_metadata_update())
        except KafkaError:
            return False

    async def stop(self) -> None:
        """Writes what is waiting, then closes; waits 5 s at most when Kafka is away."""
        await asyncio.gather(_ended(self._inner), *self._ending)

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
        if self._broken:
            await self._renew()
        inner = self._inner
        try:
            future: asyncio.Future[RecordMetadata] = await inner.send(
                topic.name,
                value,
                key=key,
                partition=partition,
                # By itself it takes the wall clock: Kafka refuses a record of the far future, and
                # keeps one as long as its time says.
                timestamp_ms=now_ms(),
                headers=list(headers),
            )
        except KafkaError as error:
            raise Away(f"Kafka does not take records: {type(error).__name__}") from error
        except AssertionError:
            raise ConfigError(
                f"{topic.name} has no partition {partition}: MAWJA_PARTITIONS is not what the "
                "topics were made with"
            ) from None
        future.add_done_callback(lambda done: self._look(inner, done))
        return future

    def _look(self, inner: AIOKafkaProducer, done: "asyncio.Future[RecordMetadata]") -> None:
        # A batch that failed leaves a gap in the sequence numbers, and the broker refuses every
        # later batch of that partition from this producer: only a new one can go on.
        if not done.cancelled() and done.exception() is not None and inner is self._inner:
            self._broken = True

    async def _renew(self) -> None:
        async with self._renewing:
            if not self._broken:
                return
            fresh = self._make()
            await _started(fresh)
            old, self._inner, self._broken = self._inner, fresh, False
            _log.info("a batch was refused; writing goes on with a new producer")
            ending = asyncio.create_task(_ended(old))
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)


async def _started(inner: AIOKafkaProducer) -> None:
    try:
        await inner.start()
    except KafkaError as error:
        await inner.stop()
        raise Away(f"Kafka does not answer: {type(error).__name__}") from error


async def _ended(inner: AIOKafkaProducer) -> None:
    # What is waiting is tried for ever while Kafka is away, and has been told as Away.
    with contextlib.suppress(KafkaError, TimeoutError):
        await asyncio.wait_for(inner.stop(), _STOP_S)


async def acknowledged(
    futures: Sequence["asyncio.Future[RecordMetadata]"], timeout_s: float = ANSWER_S
) -> list[RecordMetadata]:
    """Waits until Kafka has every record. Raises Away if it may not have one of them."""
    if not futures:
        return []
    # The producer itself never gives a batch up while a broker might still take it.
    _, late = await asyncio.wait(futures, timeout=timeout_s)
    if late:
        raise Away(f"Kafka did not acknowledge within {timeout_s:g} s")
    done: list[RecordMetadata] = []
    for future in futures:
        error = None if future.cancelled() else future.exception()
        if future.cancelled() or isinstance(error, KafkaError):
            raise Away(f"Kafka did not acknowledge: {type(error).__name__}") from error
        if error is not None:
            raise error
        metadata = future.result()
        if metadata.offset < 0:
            # Its answer was lost and the broker has forgotten it: the record stands, unknown where.
            raise Away("Kafka has the record and does not say where; send it again")
        done.append(metadata)
    return done
