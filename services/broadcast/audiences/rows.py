"""What comes out of an audience's file, and how much of it may go in. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from services.broadcast.audiences.rules import Rule
from services.runtime.errors import Invalid, Violation

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Recipient:
    """A person to be reached.

    `number` is E.164. `language` is a BCP 47 tag, or "" when the file names none. `fields` are the
    texts for named placeholders, by the column's name. `line` is where the row begins in the file
    (from 1; the row's number in a workbook). `obstacle` is "landline" when no SMS can go there,
    else "": such a person is kept, and excluded with that reason. Made once a row and not slower
    than it must be, so nothing is checked here.
    """

    # Not in what a log would show of it.
    number: str = field(repr=False)
    language: str
    fields: Mapping[str, str] = field(repr=False)
    line: int
    obstacle: str = ""


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that names nobody who could be reached: at which line, in which field ("number",
    "language", the column's name, or "" for the row as a whole), by which rule."""

    line: int
    field: str
    rule: Rule


Row: TypeAlias = Recipient | BadRow


@dataclass(frozen=True, slots=True)
class Columns:
    """Where the caller says things stand; what is left empty is found by the header.

    `number` and `language` name a column by its header, its letter ("B"), or its place from 1
    ("2"). `header`: whether the file has one; None leaves it to the file. `separator`: one
    character between cells; "" leaves it to the file. `sheet`: which sheet of a workbook.
    `with_country_code`: every number begins with its country code, also where the + is gone, as
    it is when a spreadsheet took it for a number.
    """

    number: str = ""
    language: str = ""
    header: bool | None = None
    separator: str = ""
    sheet: str = ""
    with_country_code: bool = False


NUMBER, LANGUAGE, FIELD = "number", "language", "field"
"""What a column may be taken for."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column that was found: its name, as placeholders have it, and what it was taken for."""

    name: str
    use: str


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a file may hold; bytes, rows (people and bad rows), columns."""

    rows: int = 1_000_000
    columns: int = 200
    bytes: int = 1024 * MIB
    workbook_rows: int = 200_000
    workbook_bytes: int = 32 * MIB
    workbook_unpacked_bytes: int = 256 * MIB
    workbook_texts_bytes: int = 48 * MIB


@dataclass(slots=True)
class Counts:
    """What the lines read so far were: `lines` is the sum of the others at the end of the file.

    `above`: the header and titles before it. `continued`: lines within a row that began before
    them. In a workbook every row is one line.
    """

    lines: int = 0
    recipients: int = 0
    bad: int = 0
    empty: int = 0
    above: int = 0
    continued: int = 0


class BadFile(Invalid):
    """Reject: the file as a whole cannot be read, or not safely; the message says what to do.

    `reason` is a name for machines, `line` where it showed (0: nowhere in particular).
    """

    def __init__(self, reason: str, sentence: str, line: int = 0) -> None:
        self.reason = reason
        self.line = line
        where = f"line {line}: " if line else ""
        super().__init__([Violation("file", where + sentence)])
