"""Appends that a person wants to hear from an agency about a topic, or no longer does.

It holds once Kafka has it. Who recorded it, when, and where the person said so stand in the record;
what proves it stands there sealed.
"""

import asyncio
from collections.abc import Iterable
from typing import Any

from mawja.broadcast.v1.audiences_pb2 import (
    Consent,
    ImportSubscribersResponse,
    ImportSubscribersStart,
    Subscription,
)
from mawja.broadcast.v1.campaigns_pb2 import BadRow

from services.broadcast.audiences.reader import Reader
from services.broadcast.audiences.rows import Columns, Recipient, Row
from services.broadcast.gathering.subscribers import key_of
from services.runtime.clock import now_ms
from services.runtime.privacy import Keyring
from services.runtime.produce import Producer, acknowledged
from services.runtime.topics import SUBSCRIPTION, partition_of

LISTED = 1_000
"""Bad rows that are listed one by one."""
_AT_ONCE = 500
"""Rows between two looks at whether Kafka has them."""
_BLOCK = 32 * 1024


class Ledger:
    """The table of one installation, to be appended to."""

    def __init__(self, keyring: Keyring, producer: Producer, partitions: int) -> None:
        self._keyring = keyring
        self._producer = producer
        self._partitions = partitions

    async def subscribe(
        self, number: str, language: str, consent: Consent, subject: str, import_id: str = ""
    ) -> "asyncio.Future[Any]":
        """The person at `number` (E.164) consented, says `subject` (of a token). The future is done
        when Kafka has it. Raises Away."""
        now, person = now_ms(), self._keyring.person(number)
        return await self._append(
            Subscription(
                person=person,
                agency=consent.agency,
                topic=consent.topic,
                subscribed=True,
                language=language,
                sealed_number=self._keyring.seal("number", number, now, person),
                source=consent.source,
                subject=subject,
                recorded_ms=now,
                consented_ms=consent.consented_ms or now,
                sealed_evidence=self._keyring.seal("note", consent.evidence, now, person),
                import_id=import_id,
            )
        )

    async def unsubscribe(
        self, number: str, agency: str, topic: str, source: str, subject: str
    ) -> int:
        """The person at `number` (E.164) does not want it any more. Gives when that was recorded,
        Unix ms, once Kafka has it. Raises Away."""
        now = now_ms()
        record = Subscription(
            person=self._keyring.person(number),
            agency=agency,
            topic=topic,
            source=source,
            subject=subject,
            recorded_ms=now,
        )
        await acknowledged([await self._append(record)])
        return now

    async def _append(self, record: Subscription) -> "asyncio.Future[Any]":
        return await self._producer.send(
            SUBSCRIPTION,
            partition_of(record.person, self._partitions),
            record.SerializeToString(),
            key=key_of(record),
        )


class Import:
    """A file of subscribers on its way in, given by `subject` (of a token)."""

    def __init__(self, start: ImportSubscribersStart, ledger: Ledger, subject: str) -> None:
        self._start = start
        self._ledger = ledger
        self._subject = subject
        self._reader = Reader(
            start.country,
            Columns(start.number_column, start.language_column, sheet=start.sheet),
            start.encoding,
        )
        self._answer = ImportSubscribersResponse()
        self._under_way: list[asyncio.Future[Any]] = []

    async def take(self, data: bytes) -> None:
        """Takes the next bytes. Raises Invalid for a file that can't be read, Away."""
        for begin in range(0, len(data), _BLOCK):
            await self._put(self._reader.feed(data[begin : begin + _BLOCK]))
            # Others of this process have their turn.
            await asyncio.sleep(0)

    async def end(self) -> ImportSubscribersResponse:
        """The file is at its end: all of it is in Kafka. Raises Invalid, Away."""
        await self._put(self._reader.finish())
        await self._settle()
        return self._answer

    async def _put(self, rows: Iterable[Row]) -> None:
        for row in rows:
            if isinstance(row, Recipient):
                self._under_way.append(
                    await self._ledger.subscribe(
                        row.number,
                        row.language,
                        self._start.consent,
                        self._subject,
                        self._start.request_id,
                    )
                )
                if len(self._under_way) >= _AT_ONCE:
                    await self._settle()
                continue
            self._answer.bad += 1
            if len(self._answer.bad_rows) < LISTED:
                bad = BadRow(line=row.line, field=row.field, rule=row.rule.english)
                self._answer.bad_rows.append(bad)

    async def _settle(self) -> None:
        under_way, self._under_way = self._under_way, []
        await acknowledged(under_way)
        self._answer.taken += len(under_way)
