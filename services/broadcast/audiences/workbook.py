"""Rows of an .xlsx workbook, one at a time, from bytes that may have been made to do harm.

`openpyxl` reads it, in its mode that keeps no cells. A part that it asks for is unpacked once
before, against limits: of the whole, of the texts that cells share and of everything else that is
held in memory, of how far a part grows; and none may declare a document type, which is what
entities come from.
"""

import io
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import IO, Any, Literal
from xml.etree.ElementTree import ParseError

from lxml.etree import LxmlError
from openpyxl.reader.excel import ExcelReader
from openpyxl.xml.constants import SHARED_STRINGS

from services.broadcast.audiences.rows import MIB, BadFile, Limits
from services.broadcast.audiences.table import Record

# It warns with what stands in a cell, and warnings end in a log.
warnings.filterwarnings("ignore", module="openpyxl")

ZIP = b"PK\x03\x04"
OLE = b"\xd0\xcf\x11\xe0"
"""How an .xlsx begins, and an old .xls or one with a password."""
_PARTS = 2_000
_GROWTH = 200
"""A part of more than 1 MiB may be so many times as large as it is packed; what spreadsheets write
grows 10 to 40 times."""
_PIECE = 64 * 1024
_MOST_ROWS = 1_048_576
"""Of a sheet, by the format."""
_MOST_CELLS = 20_000_000
"""Of a sheet, empty ones too: a row is as wide as its last cell."""
_PEEK = 50
_BROKEN = (
    "the workbook is broken; open it in a spreadsheet program and save it again as .xlsx or "
    '"CSV UTF-8"'
)
_MOST_WHOLE = 8 * MIB
"""Of a part that is read at once, such as the styles: as a tree it takes some ten times as much."""
_TOO_LARGE = (
    "the workbook unpacks to more than a list of people needs; delete what else is in it, or save "
    'the sheet as "CSV UTF-8"'
)
_AS_CSV = 'save it as "CSV UTF-8"'
_RAISED = (
    *(zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, OSError),
    *(ParseError, LxmlError),
    *(ValueError, TypeError, AttributeError, LookupError, ArithmeticError),
)
"""What zipfile, the readers of XML and openpyxl itself raise for a file that is not as it should be
(found by breaking 45,000 workbooks). Some of it quotes a cell."""


def records(data: bytes, sheet: str, limits: Limits) -> Iterator[Record]:
    """The rows of the sheet named, or of the only one that holds any. Takes a thread's time, not a
    loop's: some 20,000 rows a second. Raises BadFile."""
    with _told():
        archive = _Archive(data, limits)
    with archive:
        with _told():
            reader = ExcelReader(io.BytesIO(data), True, data_only=True, keep_links=False)
            reader.archive = archive
            reader.read_manifest()
            texts = reader.package.find(SHARED_STRINGS)
            if texts is not None:
                archive.inspect(texts.PartName[1:], limits.workbook_texts_bytes)
            reader.read()
        yield from _rows(_chosen(reader.wb, sheet))


@contextmanager
def _told() -> Iterator[None]:
    """Around calls of the library alone: what it raises becomes BadFile, and our own faults stay
    what they are."""
    try:
        yield
    except BadFile:
        raise
    except _RAISED:
        raise BadFile("workbook", _BROKEN) from None


def _given(sheet: Any, most: int | None = None) -> Iterator[Any]:
    """The values of each row of a sheet, `most` rows at most. Raises BadFile."""
    # What the sheet says of its own size is often wrong.
    sheet.reset_dimensions()
    with _told():
        rows = sheet.iter_rows(max_row=most, values_only=True)
    while True:
        try:
            row = next(rows, None)
        except BadFile:
            raise
        except _RAISED:
            raise BadFile("workbook", _BROKEN) from None
        if row is None:
            return
        yield row


class _Archive(zipfile.ZipFile):
    """An archive of which nothing is given before it was looked at, whatever its name is."""

    def __init__(self, data: bytes, limits: Limits) -> None:
        super().__init__(io.BytesIO(data))
        parts = self.infolist()
        if not any(part.filename.lower().endswith("workbook.xml") for part in parts):
            raise BadFile(
                "workbook", "the file is an archive, but no .xlsx; give the file that is in it"
            )
        if len(parts) > _PARTS or len(self.NameToInfo) != len(parts):
            raise BadFile("workbook", _BROKEN)
        if any(part.flag_bits & 1 for part in parts):
            raise BadFile("workbook", "the workbook has a password; save it without one")
        self._limit = limits.workbook_unpacked_bytes
        if sum(part.file_size for part in parts) > self._limit:
            raise BadFile("workbook", _TOO_LARGE)
        self._inspected: set[str] = set()

    def read(self, name: str | zipfile.ZipInfo, pwd: bytes | None = None) -> bytes:
        """A part as a whole: it will stand in memory as a tree. Raises BadFile."""
        self.inspect(name, _MOST_WHOLE)
        return super().read(name, pwd)

    def open(
        self,
        name: str | zipfile.ZipInfo,
        mode: Literal["r", "w"] = "r",
        pwd: bytes | None = None,
        *,
        force_zip64: bool = False,
    ) -> IO[bytes]:
        """A part to be read piece by piece. Raises BadFile."""
        self.inspect(name, self._limit)
        return super().open(name, mode, pwd, force_zip64=force_zip64)

    def inspect(self, name: str | zipfile.ZipInfo, limit: int) -> None:
        """Raises BadFile for a part that unpacks to more than `limit` bytes, or declares a document
        type."""
        part = name if isinstance(name, zipfile.ZipInfo) else self.getinfo(name)
        if part.file_size > limit or part.file_size > max(MIB, part.compress_size * _GROWTH):
            raise BadFile("workbook", _TOO_LARGE)
        if part.filename in self._inspected:
            return
        self._inspected.add(part.filename)
        before = b""
        with super().open(part) as unpacked:
            # The archive's reader gives no more than the size that the part declares.
            while piece := unpacked.read(_PIECE):
                seen = before + piece
                # In any other encoding than UTF-8 the words would not be seen.
                if b"\0" in piece or b"<!DOCTYPE" in seen or b"<!ENTITY" in seen:
                    raise BadFile("workbook", _BROKEN)
                before = piece[-10:]


def _chosen(book: Any, sheet: str) -> Any:
    sheets = [one for one in book.worksheets if one.sheet_state == "visible"]
    names = ", ".join(one.title for one in sheets[:20])
    if sheet:
        for one in book.worksheets:
            if one.title.strip().casefold() == sheet.strip().casefold():
                return one
        raise BadFile("sheet", f"the workbook has no such sheet; give one of: {names}")
    filled = sheets if len(sheets) == 1 else [one for one in sheets if _is_filled(one)]
    if len(filled) > 1:
        raise BadFile("sheet", f"several sheets hold something; give one of: {names}")
    if not filled:
        raise BadFile("empty", "the workbook is empty; give one with a number in each row")
    return filled[0]


def _is_filled(sheet: Any) -> bool:
    return any(cell is not None for row in _given(sheet, _PEEK) for cell in row)


def _rows(sheet: Any) -> Iterator[Record]:
    left = _MOST_CELLS
    for line, row in enumerate(_given(sheet), 1):
        left -= len(row)
        if line > _MOST_ROWS or left < 0:
            raise BadFile("workbook", f"the sheet is too large; {_AS_CSV}", line)
        cells = [cell if type(cell) is str else _text(cell) for cell in row]
        while cells and not cells[-1]:
            cells.pop()
        yield line, 1, cells


def _text(value: object) -> str:
    """What a spreadsheet would show of the value, where that is a text, a number or a time."""
    match value:
        case None:
            return ""
        case bool():
            return "TRUE" if value else "FALSE"
        case float() if value.is_integer() and abs(value) < 1e15:
            return str(int(value))
        case datetime(hour=0, minute=0, second=0, microsecond=0):
            return value.date().isoformat()
        case datetime():
            # Of calls the seconds count; nobody writes them who does not mean them.
            return value.isoformat(" ", "seconds" if value.second else "minutes")
        case _:
            return str(value)
