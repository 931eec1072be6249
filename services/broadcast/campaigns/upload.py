"""Takes a file of recipients: read as it comes, parted by person, packed into slices in Kafka.

The file is whole when the owner of its partition has decided so: a campaign can name only what is
whole. A file that broke off leaves slices that no file names, and is simply sent again (`packing`).
"""

import asyncio
import json
from collections import Counter
from collections.abc import Iterable
from hashlib import sha256

from mawja.broadcast.v1.campaigns_pb2 import (
    COLUMN_USE_FIELD,
    COLUMN_USE_LANGUAGE,
    COLUMN_USE_NUMBER,
    AudienceColumn,
    AudienceFile,
    BadRow,
    CampaignDeed,
    Recipient,
    UploadAudienceStart,
)

from services.broadcast.audiences import rows
from services.broadcast.audiences.reader import Reader
from services.broadcast.campaigns.packing import SLICE, Packing
from services.runtime.numbers import is_synthetic
from services.runtime.privacy import Keyring
from services.runtime.produce import Producer

LISTED = 1_000
"""Bad rows that are listed one by one."""
_BLOCK = 32 * 1024
"""Bytes that are read before others of the process have a turn: some 10 ms of work."""
_USES = {
    rows.NUMBER: COLUMN_USE_NUMBER,
    rows.LANGUAGE: COLUMN_USE_LANGUAGE,
    rows.FIELD: COLUMN_USE_FIELD,
}
_NOT_SYNTHETIC = "Only synthetic numbers (+999) may stand in the file of a drill."
_SYNTHETIC = "A synthetic number (+999) reaches nobody; say that the file is for a drill."


class Upload:
    """One file on its way in. `audience_id` is derived from the request."""

    def __init__(
        self,
        audience_id: str,
        start: UploadAudienceStart,
        keyring: Keyring,
        producer: Producer,
        partitions: int,
        at_ms: int,
    ) -> None:
        self.audience_id = audience_id
        self.bad: list[BadRow] = []
        self._start = start
        self._keyring = keyring
        self._at_ms = at_ms
        self._reader = Reader(
            start.country,
            rows.Columns(start.number_column, start.language_column, sheet=start.sheet),
            start.encoding,
        )
        self._packing = Packing(audience_id, producer, partitions)
        self._sha = sha256()
        self._rules: Counter[str] = Counter()

    async def take(self, data: bytes) -> None:
        """Takes the next bytes. Raises Invalid for a file that can't be read, Away."""
        self._sha.update(data)
        view = memoryview(data)
        for begin in range(0, len(view), _BLOCK):
            await self._put(self._reader.feed(bytes(view[begin : begin + _BLOCK])))
            # Others of this process have their turn.
            await asyncio.sleep(0)

    async def end(self, deed: CampaignDeed) -> AudienceFile:
        """The file is at its end: all of it is in Kafka. Raises Invalid, Away."""
        await self._put(self._reader.finish())
        file = await self._packing.packed()
        file.MergeFrom(
            AudienceFile(
                name=self._start.name,
                bad_rows=self._rules,
                sha256=self._sha.digest(),
                uploaded=deed,
                drill=self._start.drill,
                agency=self._start.agency,
                columns=[
                    AudienceColumn(name=one.name, use=_USES[one.use])
                    for one in self._reader.columns
                ],
            )
        )
        return file

    async def _put(self, found: Iterable[rows.Row]) -> None:
        for count, row in enumerate(found, start=1):
            if isinstance(row, rows.BadRow):
                self._refuse(row.line, row.field, row.rule.name, row.rule.english)
                continue
            if is_synthetic(row.number) is not self._start.drill:
                rule = _NOT_SYNTHETIC if self._start.drill else _SYNTHETIC
                self._refuse(row.line, "number", "drill", rule)
                continue
            await self._packing.add(self._recipient(row), row.number)
            if count % SLICE == 0:
                await asyncio.sleep(0)

    def _recipient(self, row: rows.Recipient) -> Recipient:
        person = self._keyring.person(row.number)
        recipient = Recipient(
            person=person,
            language=row.language,
            sealed_number=self._keyring.seal("number", row.number, self._at_ms, person),
            line=row.line,
        )
        if row.fields:
            fields = json.dumps(dict(row.fields), ensure_ascii=False)
            recipient.sealed_fields = self._keyring.seal("note", fields, self._at_ms, person)
        return recipient

    def _refuse(self, line: int, column: str, name: str, rule: str) -> None:
        self._rules[name] += 1
        if len(self.bad) < LISTED:
            self.bad.append(BadRow(line=line, field=column, rule=rule))
