"""Appends that a person wants no more messages.

It holds once Kafka has it: the owner of the person's partition reads the table before it sends
anything, so it needs neither Redis nor an owner's decision.
"""

import asyncio
from collections.abc import Iterable
from typing import Any

from mawja.broadcast.v1 import events_pb2

from services.runtime.clock import now_ms
from services.runtime.privacy import Keyring
from services.runtime.produce import Producer, acknowledged
from services.runtime.topics import OPT_OUT, partition_of


class OptOuts:
    """The table of one installation, to be appended to."""

    def __init__(self, keyring: Keyring, producer: Producer, partitions: int) -> None:
        self._keyring = keyring
        self._producer = producer
        self._partitions = partitions

    async def by_agent(self, numbers: Iterable[str], subject: str) -> int:
        """The person at all these `numbers` (E.164) told somebody, whose token's subject is
        `subject`. Gives when that was, Unix ms, once Kafka has it of every number. Raises Away:
        then it may hold for some of them, and is simply told again."""
        now = now_ms()
        records = [
            events_pb2.OptOut(
                person=self._keyring.person(number),
                opted_out=True,
                source=events_pb2.OPT_OUT_SOURCE_AGENT,
                subject=subject,
                recorded_ms=now,
            )
            for number in numbers
        ]
        await acknowledged([await self._append(record) for record in records])
        return now

    async def by_link(self, person: bytes) -> None:
        """The person (keyed hash) did it, on the page behind their link. Returns once Kafka has
        it. Raises Away."""
        record = events_pb2.OptOut(
            person=person,
            opted_out=True,
            source=events_pb2.OPT_OUT_SOURCE_LINK,
            recorded_ms=now_ms(),
        )
        await acknowledged([await self._append(record)])

    async def by_import(self, number: str, import_id: str, subject: str) -> "asyncio.Future[Any]":
        """The person at `number` (E.164) stands in a file that `subject` gave. The future is done
        when Kafka has it; see `acknowledged`."""
        return await self._append(
            events_pb2.OptOut(
                person=self._keyring.person(number),
                opted_out=True,
                source=events_pb2.OPT_OUT_SOURCE_IMPORT,
                subject=subject,
                recorded_ms=now_ms(),
                import_id=import_id,
            )
        )

    async def _append(self, record: events_pb2.OptOut) -> "asyncio.Future[Any]":
        return await self._producer.send(
            OPT_OUT,
            partition_of(record.person, self._partitions),
            record.SerializeToString(),
            key=record.person,
        )
