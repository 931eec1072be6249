"""From text as it comes to rows of cells, with the line on which each begins. Pure.

Quoting follows RFC 4180 strictly: a row that breaks it is bad by itself, and reading goes on with
the next *line*, so that one stray quotation mark does not swallow the rows behind it. A row that
is not complete yet is kept as lines and read again when more has come.
"""

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import TypeAlias

from services.broadcast.audiences import rules
from services.broadcast.audiences.rows import BadFile
from services.broadcast.audiences.rules import Rule

SEPARATORS = ",;\t|"
LONGEST_ROW = 131_072
"""Characters of a row; csv's own limit for a cell."""
_MOST_LINES = 1_000
"""Lines of one row."""
_MOST_AGAIN = 128 * 1024 * 1024
"""Characters that may be read again because of quotation marks: a file made to hold up the reader
has to end."""
_LOOKED_AT = 20

Record: TypeAlias = tuple[int, int, list[str] | Rule | None]
"""Line on which the row begins, how many lines it takes, and its cells or what is wrong; None for
a line that speaks of the file itself."""


class Table:
    """The rows of one file. `separator` is one character, or "" to find it: then `is_number` tells
    which one parts numbers from the rest. Raises BadFile for a separator that is none."""

    def __init__(self, separator: str, is_number: Callable[[str], bool]) -> None:
        if separator and not _may_separate(separator):
            raise BadFile("separator", "the separator must be one character, e.g. ; or a tab")
        self._separator = separator
        self._is_number = is_number
        self._begun = False
        self._rest = ""
        self._pending: list[str] = []
        self._skipping = False
        self._line = 1
        self._again = 0

    def feed(self, text: str, final: bool = False) -> Iterator[Record]:
        """The rows that are complete with `text`. All of them must be taken before the next
        call."""
        text = self._rest + text
        if self._skipping:
            begin = _after_line(text, final)
            if not begin:
                self._rest = "\r" if text.endswith("\r") else ""
                return
            self._skipping = False
            self._line += 1
            text = text[begin:]
        cut = len(text) if final else _complete(text)
        self._rest = text[cut:]
        lines = self._pending + list(io.StringIO(text[:cut], newline=""))
        self._pending = []
        if not self._begun and lines:
            self._begun = True
            if self._declared(lines[0]):
                yield self._line, 1, None
                self._line += 1
                lines = lines[1:]
            self._separator = self._separator or separator_of(lines, self._is_number)
        yield from self._rows(lines, final)
        if len(self._rest) > LONGEST_ROW:
            for _ in self._pending:
                yield self._bad(rules.QUOTES)
            self._pending = []
            yield self._line, 1, rules.ROW_TOO_LONG
            self._rest = "\r" if self._rest.endswith("\r") else ""
            self._skipping = True

    def _declared(self, line: str) -> bool:
        """Whether the line is a spreadsheet's own way to say what separates cells."""
        line = line.rstrip("\r\n")
        if len(line) != 5 or line[:4].lower() != "sep=" or not _may_separate(line[4]):
            return False
        self._separator = self._separator or line[4]
        return True

    def _rows(self, lines: Sequence[str], final: bool) -> Iterator[Record]:
        begin = 0
        while begin < len(lines):
            start, asked_on = begin, False

            def supply(start: int = begin) -> Iterator[str]:
                nonlocal asked_on
                yield from islice(lines, start, None)
                asked_on = True

            rows = csv.reader(
                supply(), delimiter=self._separator, strict=True, skipinitialspace=True
            )
            try:
                for cells in rows:
                    end = start + rows.line_num
                    yield self._line, end - begin, cells
                    self._line += end - begin
                    begin = end
            except csv.Error:
                end = start + rows.line_num
                size = sum(map(len, lines[begin:end]))
                if asked_on and not final and end - begin <= _MOST_LINES and size <= LONGEST_ROW:
                    self._pending = list(lines[begin:])
                    return
                self._again += size
                if self._again > _MOST_AGAIN:
                    raise BadFile(
                        "quotes",
                        "quotation marks are opened and not closed again and again; export the "
                        "file anew, as CSV with quotation marks doubled",
                        self._line,
                    ) from None
                too_long = len(lines[begin]) > LONGEST_ROW
                yield self._bad(rules.ROW_TOO_LONG if too_long else rules.QUOTES)
                begin += 1

    def _bad(self, rule: Rule) -> Record:
        line = self._line
        self._line += 1
        return line, 1, rule


def separator_of(lines: Sequence[str], is_number: Callable[[str], bool]) -> str:
    """Which of SEPARATORS parts the lines so that numbers stand alone, evenly, and in most
    cells."""
    best, separator = (0, 0, 0), SEPARATORS[0]
    for candidate in SEPARATORS:
        rows: list[list[str]] = []
        try:
            found = csv.reader(lines, delimiter=candidate, skipinitialspace=True)
            rows.extend(filter(None, islice(found, _LOOKED_AT)))
        except csv.Error:
            continue
        width, even = Counter(map(len, rows)).most_common(1)[0] if rows else (0, 0)
        numbers = sum(any(map(is_number, row[:100])) for row in rows)
        if width > 1 and (numbers, even, width) > best:
            best, separator = (numbers, even, width), candidate
    return separator


def _may_separate(text: str) -> bool:
    return len(text) == 1 and (text == "\t" or text.isprintable()) and text not in '" '


def _complete(text: str) -> int:
    """How far the text's lines are complete: a \\r at the end may be half of a line's end."""
    return max(text.rfind("\n"), text.rfind("\r", 0, len(text) - 1)) + 1


def _after_line(text: str, final: bool) -> int:
    """Where the second line begins; 0 when it is not there yet."""
    if final:
        first = next(iter(io.StringIO(text, newline="")), "")
        return len(first)
    ends = [at for at in (text.find("\n"), text.find("\r", 0, len(text) - 1)) if at >= 0]
    if not ends:
        return 0
    at = min(ends)
    return at + 2 if text.startswith("\r\n", at) else at + 1
