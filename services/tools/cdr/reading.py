"""A file of calls, row by row: CSV, TSV or a workbook, read as lists of people are.

It is gone through twice: once to find its columns, order of dates and interval and to list the rows
that tell of no call, before anything is sent; and once to send.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, tzinfo
from pathlib import Path

from services.broadcast.audiences import workbook
from services.broadcast.audiences.decoding import Decoder
from services.broadcast.audiences.header import listed
from services.broadcast.audiences.reader import BLOCK
from services.broadcast.audiences.rows import BadFile, Limits
from services.broadcast.audiences.rules import Rule
from services.broadcast.audiences.table import Record, Table
from services.runtime.errors import ConfigError, MawjaError
from services.tools.cdr.cells import BadCell, Order, Times, duration_ms, order_of
from services.tools.cdr.fields import Plan, plan
from services.tools.cdr.rows import BadRow

_LIMITS = Limits()
_ABOVE = 20
"""Rows in which the header has to be."""
_SURVEYED = 20_000
"""Rows by which the order of day and month is told."""
_LONGEST_INTERVAL_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class File:
    """How a file's bytes become rows. `encoding`, `separator`, `sheet`: "" to find them."""

    path: Path
    encoding: str = ""
    separator: str = ""
    sheet: str = ""

    def records(self) -> Iterator[Record]:
        """Its rows, with their lines. Raises BadFile, ConfigError."""
        try:
            with self.path.open("rb") as file:
                head = file.read(8)
                if head.startswith(workbook.OLE):
                    raise BadFile("workbook", 'the file is an old .xls; save it as "CSV UTF-8"')
                if head.startswith(workbook.ZIP):
                    if self.path.stat().st_size > _LIMITS.workbook_bytes:
                        raise BadFile("size", 'the workbook is too large; save it as "CSV UTF-8"')
                    yield from workbook.records(head + file.read(), self.sheet, _LIMITS)
                    return
                decoder = Decoder(self.encoding)
                table = Table(self.separator, _tells)
                data = head + file.read(BLOCK)
                while following := file.read(BLOCK):
                    yield from table.feed(decoder.decode(data))
                    data = following
                yield from table.feed(decoder.decode(data, True), True)
        except OSError as error:
            raise ConfigError(f"{self.path} can't be read: {error.strerror}") from None


def _tells(cell: str) -> bool:
    """Whether a cell holds what a separator stands between: a time or a duration."""
    with suppress(BadCell):
        if duration_ms(cell) is not None:
            return True
    return order_of(cell) is not None or (cell[:4].isdigit() and "-" in cell[4:8])


@dataclass(frozen=True, slots=True)
class Found:
    """What the first look found. `line`: of the header. `order` is None when no date needs it, or
    nothing tells it though `ambiguous` dates are there."""

    plan: Plan
    line: int
    order: Order | None
    ambiguous: bool


def look(file: File, given: Mapping[str, str]) -> Found:
    """The columns of a file, and in which order its dates are. Raises BadFile, ConfigError."""
    records = file.records()
    found, line = _header(records, given)
    told = found.has("wait", "answered", "duration", "ended", "calls")
    if not told and found.has("outcome", "talk", "handling"):
        raise ConfigError(
            "the file tells which calls were answered, and no column how long they waited; give "
            "one with --map wait=COLUMN, answered=COLUMN (when) or duration=COLUMN (from arrival "
            "to end)"
        )
    days = months = seen = 0
    at = found.places["arrived"]
    for read, (_, _, cells) in enumerate(records):
        if read >= _SURVEYED:
            break
        if isinstance(cells, list):
            may = order_of(" ".join(cells[place] for place in at if place < len(cells)))
            if may is not None:
                seen += 1
                days += not may[1]
                months += not may[0]
    order: Order | None = None
    if days or months:
        order = "dmy" if days >= months else "mdy"
    return Found(found, line, order, bool(seen) and order is None)


def _header(records: Iterator[Record], given: Mapping[str, str]) -> tuple[Plan, int]:
    """The plan of the first row that names the column of arrivals, and its line; the line before
    where that row is a call already, in a file without headings."""
    problem: MawjaError | None = None
    shown = ""
    for count, (line, _, cells) in enumerate(records):
        if count >= _ABOVE:
            break
        if not isinstance(cells, list) or not any(cell.strip() for cell in cells):
            continue
        shown = shown or (listed(cells) if len(cells) > 1 else "")
        try:
            found = plan(cells, given)
        except (ConfigError, BadFile) as error:
            # A title above the header has not the column that was given.
            problem = problem or error
            continue
        if found.has("arrived"):
            cell = " ".join(cells[at] for at in found.places["arrived"])
            with suppress(BadCell):
                if Times(UTC).read(cell) is not None:
                    return found, line - 1
            return found, line
    raise problem or ConfigError(
        f"no column tells when calls came{shown}; say which one with --map arrived=COLUMN (two of "
        "date and time: arrived=Date+Time)"
    )


def rows(file: File, header_line: int) -> Iterator[tuple[int, Sequence[str]] | BadRow]:
    """The rows below the header, with their lines; empty ones are left out. Raises BadFile."""
    for line, _, cells in file.records():
        if line <= header_line:
            continue
        if isinstance(cells, Rule):
            yield BadRow(line, "", cells.english)
        elif cells is not None and any(cell.strip() for cell in cells):
            yield line, cells


def interval_ms(file: File, found: Found, zone: tzinfo) -> int:
    """How far the times of a file of counts are apart, mostly: ms, an hour at most."""
    times = Times(zone, found.order or "dmy")
    at, steps, before = found.plan.places["arrived"], Counter[int](), 0
    for one in rows(file, found.line):
        if isinstance(one, BadRow):
            continue
        with suppress(BadCell):
            now = times.read(" ".join(one[1][place] for place in at if place < len(one[1])))
            if now and before and 0 < now - before <= _LONGEST_INTERVAL_MS:
                steps[now - before] += 1
            before = now or before
        if steps.total() >= 200:
            break
    return steps.most_common(1)[0][0] if steps else 0
