"""Dead letters: what cannot be processed is kept whole, up to a limit that stops the worker.

The worker reads its own dead letters as one more input. A letter that stands there is written only
once, and its record is not worked on again from its own topic, whoever owns the partition. A person
may append a replay of a letter: the first one counts, is worked like a record of the topic that the
letter came from, and carries its own place, so that the next owner finds a decision made from it.
"""

import asyncio
from collections.abc import Iterable

from mawja.common.v1 import common_pb2

from services.runtime import log, metrics
from services.runtime.clock import now_ms
from services.runtime.errors import Stop
from services.runtime.letters import Letters, Replayed, place_of
from services.runtime.own import Record
from services.runtime.produce import Producer, acknowledged
from services.runtime.work import Plan

_log = log.get("worker")


class DeadLetters:
    """The dead letters of the partitions that a replica owns."""

    def __init__(self, plan: Plan, producer: Producer, limit: int) -> None:
        self._plan = plan
        self._producer = producer
        self._limit = limit
        self._inputs = {topic.name for topic in plan.inputs}
        self._letters: dict[int, Letters] = {}

    def begin(self, partitions: Iterable[int]) -> None:
        """These partitions are being taken over: what is known of them is read again."""
        for partition in partitions:
            self._letters[partition] = Letters()

    def waiting(self, partitions: Iterable[int]) -> int:
        """Letters of these partitions that somebody could replay, and nobody has."""
        return sum(self._letters[p].replayable for p in partitions if p in self._letters)

    def fold(self, record: Record) -> None:
        """Takes up one record of the topic, in order."""
        self._read(record)

    def replayed(self, record: Record) -> Replayed | None:
        """Takes up one record of the topic; gives what is to be worked on when it is a replay that
        counts, None for anything else."""
        read = self._read(record)
        found = read and self._letters[record.partition].replayed(record, read)
        if not found:
            return None
        if found.place.topic not in self._inputs:
            _log.warning("a replay of what is no input here", topic=found.place.topic)
            return None
        return found

    def _read(self, record: Record) -> common_pb2.DeadLetter | None:
        read = Letters.read(record)
        if read is None:
            _log.warning("not a dead letter", topic=record.topic, offset=record.offset)
        else:
            self._letters[record.partition].take(record.offset, read)
        return read

    def hold(self, record: Record) -> bool:
        """Whether `record` is a dead letter: then it is not worked on where it stood."""
        return self._letters[record.partition].holds(place_of(record))

    def set_aside(
        self, record: Record, reason: str, foreign: bool = False
    ) -> "asyncio.Future[None]":
        """Keeps `record`; done when Kafka has it. `foreign`: it counts for no reader of its log.
        Raises Stop at the limit, Away."""
        return asyncio.ensure_future(self._set_aside(record, reason, foreign))

    async def _set_aside(self, record: Record, reason: str, foreign: bool) -> None:
        letters = self._letters[record.partition]
        place = place_of(record)
        if letters.holds(place):
            return
        if letters.waiting >= self._limit:
            raise Stop(
                f"{self._plan.dead.name} partition {record.partition} holds {letters.waiting} dead "
                "letters, the limit (MAWJA_DEAD_LETTER_LIMIT): nothing past here is committed; "
                "mend what writes them, replay those that wait (`mawja dlq`), or raise the limit"
            )
        letters.note(place)
        letter = common_pb2.DeadLetter(
            topic=place.topic,
            partition=record.partition,
            offset=place.offset,
            value=record.value or b"",
            reason=reason,
            dead_ms=now_ms(),
            key=record.key or b"",
            foreign=foreign,
        )
        if isinstance(record, Replayed):
            letter.replay_offset = record.offset
        future = await self._producer.send(
            self._plan.dead, record.partition, letter.SerializeToString()
        )
        await acknowledged([future])
        metrics.DEAD_LETTERS.labels(self._plan.group).inc()
        _log.warning("record set aside", topic=place.topic, offset=place.offset, reason=reason)
