"""Reads an audience's file from its bytes as they come, in flat memory.

A CSV is read while it arrives: what is held is one block of it. An .xlsx is an archive with its
index at the end, so it is held as it is packed, up to a limit, and read when it is complete.
Neither is written anywhere. Which of the two it is, its bytes tell.
"""

from collections.abc import Iterable, Iterator

from services.broadcast.audiences import workbook
from services.broadcast.audiences.decoding import Decoder
from services.broadcast.audiences.people import UNSHOWABLE, People
from services.broadcast.audiences.rows import BadFile, Column, Columns, Counts, Limits, Row
from services.broadcast.audiences.table import Table

BLOCK = 32 * 1024
"""Bytes that are read at a time: some 1,000 rows, 5 ms."""
_FOUND = Columns()
_LIMITS = Limits()
_PACKED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf", b"Rar!", b"PK\x05\x06", b"PK\x07\x08")


class Reader:
    """The recipients of one file. Feed it the file's bytes in order, then finish.

    `country` is an ISO 3166 code of two letters for numbers without their own ("" when all have
    one); `encoding` one of `decoding.ENCODINGS`, or "" to read it from the file. Raises Invalid
    (BadFile) here and in every method; after that the file is not to be used, whatever it has
    given before.
    """

    def __init__(
        self,
        country: str,
        columns: Columns = _FOUND,
        encoding: str = "",
        limits: Limits = _LIMITS,
    ) -> None:
        self._columns = columns
        self._limits = limits
        self._people = People(country, columns, limits)
        self._decoder = Decoder(encoding)
        self._table = Table(columns.separator, self._people.is_number)
        self._waiting = bytearray()
        self._bytes = 0
        self._is_workbook: bool | None = None

    @property
    def counts(self) -> Counts:
        """What the lines so far were; whole once `finish` is at its end."""
        return self._people.counts

    @property
    def columns(self) -> tuple[Column, ...]:
        """What each column was taken for; empty before that is known."""
        return self._people.columns

    def feed(self, chunk: bytes) -> list[Row]:
        """The rows that are complete with `chunk`; of a workbook none is until `finish`. Give it
        chunks of some 64 KiB: it takes the loop's time in proportion."""
        self._bytes += len(chunk)
        self._waiting += chunk
        if self._is_workbook is None:
            if len(self._waiting) < len(workbook.ZIP):
                return []
            self._is_workbook = self._tell()
        if self._is_workbook:
            if self._bytes > self._limits.workbook_bytes:
                raise BadFile(
                    "size",
                    f"the workbook is larger than {self._limits.workbook_bytes >> 20} MiB; save "
                    'the sheet as "CSV UTF-8"',
                )
            return []
        if self._bytes > self._limits.bytes:
            raise BadFile(
                "size",
                f"the file is larger than {self._limits.bytes >> 20} MiB; part it into several",
            )
        found: list[Row] = []
        while len(self._waiting) >= BLOCK:
            block = bytes(self._waiting[:BLOCK])
            del self._waiting[:BLOCK]
            found.extend(self._read(block))
        return found

    def finish(self) -> Iterator[Row]:
        """The rest of the rows: of a CSV the last few, of a workbook all, read as they are
        taken."""
        if self._is_workbook:
            people = self._people
            # Cells of a workbook come one by one, so none was looked through with others.
            people.suspect = True
            rows = workbook.records(bytes(self._waiting), self._columns.sheet, self._limits)
            self._waiting.clear()
            yield from people.take(rows)
        else:
            yield from self._read(bytes(self._waiting), final=True)
        self._people.end()

    def _read(self, block: bytes, final: bool = False) -> Iterator[Row]:
        text = self._decoder.decode(block, final)
        if not self._people.suspect and UNSHOWABLE.search(text):
            self._people.suspect = True
        return self._people.take(self._table.feed(text, final))

    def _tell(self) -> bool:
        """Whether the file is a workbook, by how it begins."""
        head = bytes(self._waiting[:8])
        if head.startswith(workbook.OLE):
            raise BadFile(
                "workbook",
                'the file is an old .xls, or has a password; save it as .xlsx or "CSV UTF-8", '
                "without a password",
            )
        if head.startswith(_PACKED):
            raise BadFile("packed", "the file is packed; give the file that is in it")
        if not head.startswith(workbook.ZIP):
            return False
        self._people.limit(self._limits.workbook_rows)
        return True


def read(
    chunks: Iterable[bytes],
    country: str,
    columns: Columns = _FOUND,
    encoding: str = "",
    limits: Limits = _LIMITS,
) -> Iterator[Row]:
    """The rows of a file whose bytes are `chunks`; see Reader. Raises Invalid (BadFile), also
    after rows were given."""
    reader = Reader(country, columns, encoding, limits)
    for chunk in chunks:
        view = memoryview(chunk)
        for begin in range(0, len(view), BLOCK):
            yield from reader.feed(bytes(view[begin : begin + BLOCK]))
    yield from reader.finish()
