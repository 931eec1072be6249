"""Dead letters: what cannot be processed is kept whole, up to a limit that stops the worker."""

import asyncio
from collections.abc import Sequence

from mawja.common.v1 import common_pb2

from services.runtime import log, metrics
from services.runtime.clock import now_ms
from services.runtime.errors import Stop
from services.runtime.own import LogReader, Record
from services.runtime.produce import Producer, acknowledged
from services.runtime.work import Plan

_log = log.get("worker")


class DeadLetters:
    """The dead letters of the partitions that a replica owns."""

    def __init__(self, plan: Plan, producer: Producer, reader: LogReader, limit: int) -> None:
        self._plan = plan
        self._producer = producer
        self._reader = reader
        self._limit = limit
        self._depth: dict[int, int] = {}

    async def take_over(self, partitions: Sequence[int]) -> None:
        """Counts what stands there already. Raises Away."""
        self._depth.update(await self._reader.depth(self._plan.dead, partitions))

    def set_aside(self, record: Record, reason: str) -> "asyncio.Future[None]":
        """Keeps `record`; done when Kafka has it. Raises Stop at the limit, Away."""
        return asyncio.ensure_future(self._set_aside(record, reason))

    async def _set_aside(self, record: Record, reason: str) -> None:
        depth = self._depth.get(record.partition, 0)
        if depth >= self._limit:
            raise Stop(
                f"{self._plan.dead.name} partition {record.partition} holds {depth} dead letters, "
                "the limit (MAWJA_DEAD_LETTER_LIMIT): nothing past here is committed; mend what "
                "writes them, or raise the limit"
            )
        self._depth[record.partition] = depth + 1
        letter = common_pb2.DeadLetter(
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            value=record.value or b"",
            reason=reason,
            dead_ms=now_ms(),
        )
        future = await self._producer.send(
            self._plan.dead, record.partition, letter.SerializeToString()
        )
        await acknowledged([future])
        metrics.DEAD_LETTERS.labels(self._plan.group).inc()
        _log.warning("record set aside", topic=record.topic, offset=record.offset, reason=reason)
