"""Takes a file of people who said elsewhere that they want no more messages.

The file is read while it comes, in flat memory, and each row is in Kafka before it is counted as
taken. An import that breaks off has taken what it had read: sending the file again changes nothing
for those, since the last record of a person holds and says the same.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any

from mawja.broadcast.v1 import service_pb2

from services.broadcast.audiences.reader import Reader
from services.broadcast.audiences.rows import BadRow, Columns, Recipient, Row
from services.broadcast.opting import OptOuts
from services.runtime import rpc
from services.runtime.errors import Invalid, Violation
from services.runtime.produce import acknowledged

_AT_ONCE = 500
"""Rows between two looks at whether Kafka has them, and the most bad rows of an answer."""


async def take(
    pieces: AsyncIterator[service_pb2.ImportOptOutsRequest], opt_outs: OptOuts, subject: str
) -> AsyncIterator[service_pb2.ImportOptOutsResponse]:
    """Takes the file whose `pieces` come, given by `subject` (of a token), and tells how far it is.

    Raises Invalid for a file or a piece that is none, Away when Kafka may not have everything.
    """
    import_id = ""
    reader: Reader | None = None
    progress = service_pb2.ImportOptOutsResponse()
    async for piece in pieces:
        rpc.check(piece)
        if reader is None:
            import_id, reader = piece.start.request_id, _reader(piece)
            continue
        if piece.WhichOneof("piece") == "start":
            raise Invalid([Violation("start", "must be the first piece only")])
        async for told in _rows(reader.feed(piece.chunk), progress, opt_outs, import_id, subject):
            yield told
    if reader is None:
        raise Invalid([Violation("start", "is missing: an import begins with it")])
    async for told in _rows(reader.finish(), progress, opt_outs, import_id, subject):
        yield told
    progress.done = True
    yield progress


def _reader(piece: service_pb2.ImportOptOutsRequest) -> Reader:
    if piece.WhichOneof("piece") != "start":
        raise Invalid([Violation("start", "must be the first piece")])
    start = piece.start
    columns = Columns(number=start.number_column, with_country_code=start.with_country_code)
    return Reader(start.country, columns)


async def _rows(
    rows: Iterable[Row],
    progress: service_pb2.ImportOptOutsResponse,
    opt_outs: OptOuts,
    import_id: str,
    subject: str,
) -> AsyncIterator[service_pb2.ImportOptOutsResponse]:
    under_way: list[asyncio.Future[Any]] = []
    for count, row in enumerate(rows, start=1):
        if isinstance(row, Recipient):
            # A landline too: its owner may be written to by other ways one day.
            under_way.append(await opt_outs.by_import(row.number, import_id, subject))
        else:
            progress.bad += 1
            progress.bad_rows.append(_told(row))
        if count % _AT_ONCE == 0:
            await _kept(under_way, progress)
            if progress.bad_rows:
                yield progress
                progress.ClearField("bad_rows")
    await _kept(under_way, progress)
    if progress.bad_rows:
        yield progress
        progress.ClearField("bad_rows")


async def _kept(
    under_way: "list[asyncio.Future[Any]]", progress: service_pb2.ImportOptOutsResponse
) -> None:
    await acknowledged(under_way)
    progress.taken += len(under_way)
    under_way.clear()
    # A file of bad rows waits for nothing: others have their turn.
    await asyncio.sleep(0)


def _told(row: BadRow) -> service_pb2.ImportOptOutsBadRow:
    return service_pb2.ImportOptOutsBadRow(
        line=row.line,
        field=row.field,
        rule=row.rule.name,
        english=row.rule.english,
        arabic=row.rule.arabic,
    )
