"""An audience's file, read at once or in pieces, and what came of it."""

from dataclasses import dataclass

import pytest

from services.broadcast.audiences.reader import Reader
from services.broadcast.audiences.rows import (
    BadFile,
    BadRow,
    Columns,
    Counts,
    Limits,
    Recipient,
    Row,
)

ALI, OMAR = "+971501234567", "+971501234568"


@dataclass(frozen=True, slots=True)
class Outcome:
    rows: list[Row]
    counts: Counts

    @property
    def numbers(self) -> list[tuple[int, str]]:
        return [(row.line, row.number) for row in self.rows if isinstance(row, Recipient)]

    @property
    def bad(self) -> list[tuple[int, str, str]]:
        return [
            (row.line, row.field, row.rule.name) for row in self.rows if isinstance(row, BadRow)
        ]

    @property
    def people(self) -> list[Recipient]:
        return [row for row in self.rows if isinstance(row, Recipient)]


def outcome(
    data: bytes | str,
    columns: Columns = Columns(),  # noqa: B008 - frozen
    encoding: str = "",
    country: str = "AE",
    limits: Limits = Limits(),  # noqa: B008 - frozen
    chunk: int = 0,
) -> Outcome:
    data = data.encode() if isinstance(data, str) else data
    reader = Reader(country, columns, encoding, limits)
    rows: list[Row] = []
    for begin in range(0, len(data), chunk or len(data) or 1):
        rows.extend(reader.feed(data[begin : begin + (chunk or len(data))]))
    rows.extend(reader.finish())
    return Outcome(rows, reader.counts)


def refused(data: bytes | str, **given: object) -> BadFile:
    with pytest.raises(BadFile) as caught:
        outcome(data, **given)  # type: ignore[arg-type]
    return caught.value


def agrees(counts: Counts, rows: list[Row]) -> None:
    assert counts.recipients == sum(isinstance(row, Recipient) for row in rows)
    assert counts.bad == sum(isinstance(row, BadRow) for row in rows)
    kinds = counts.recipients + counts.bad + counts.empty + counts.above + counts.continued
    assert counts.lines == kinds
