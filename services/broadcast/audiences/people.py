"""From rows of cells to recipients and bad rows, whatever file the cells came from. Pure."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

from services.broadcast.audiences import header, rules
from services.broadcast.audiences.headings import letter_of
from services.broadcast.audiences.language import Languages
from services.broadcast.audiences.rows import (
    FIELD,
    LANGUAGE,
    NUMBER,
    BadFile,
    BadRow,
    Column,
    Columns,
    Counts,
    Limits,
    Recipient,
    Row,
)
from services.broadcast.audiences.rules import Rule
from services.broadcast.audiences.table import Record
from services.broadcast.audiences.telephone import Numbers, is_blank

LONGEST_TEXT = 1_000
"""Characters of a text for a placeholder."""
UNSHOWABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffd]")
"""Control characters, and what stands for bytes that are no characters. Not U+0085, a line's end
on some machines."""
_ABOVE = 10
"""In how many rows the header must be found: titles stand above it."""
_TOTALS = re.compile(
    r"\s*(grand\s+|sub\s?)?(totals?|sum|count)\b|\s*(ال)?(مجموع|إجمالي|اجمالي|عدد)\b", re.I
)
_ERRORS = frozenset({"#N/A", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NULL!", "#NUM!", "#SPILL!"})
"""What spreadsheets write where a formula failed."""
_NOTHING: Mapping[str, str] = MappingProxyType({})
_UNREAD = (rules.COUNTRY_NEEDED, rules.PLUS_NEEDED)


class People:
    """The recipients of one file. Raises Invalid for a country that is none."""

    def __init__(self, country: str, columns: Columns, limits: Limits) -> None:
        self.counts = Counts()
        self.suspect = False
        """Whether texts have to be looked through for what cannot be shown."""
        self._numbers = Numbers(country, columns.with_country_code)
        self._languages = Languages()
        self._columns = columns
        self._most_rows = limits.rows
        self._most_columns = limits.columns
        self._plan: header.Plan | None = None
        self._others: tuple[tuple[str, int], ...] = ()
        self._above: list[list[str]] = []

    @property
    def columns(self) -> tuple[Column, ...]:
        """What each column was taken for; empty before that is known. Names that could be about a
        person are letters."""
        plan = self._plan
        if plan is None:
            return ()
        uses = {plan.number: NUMBER, plan.language: LANGUAGE}
        hidden = plan.has_header and header.may_be_data(plan.names)
        return tuple(
            Column(letter_of(at) if hidden else name, uses.get(at, FIELD))
            for at, name in enumerate(plan.names)
        )

    def limit(self, rows: int) -> None:
        """From now on the file may have so many rows of people only."""
        self._most_rows = min(self._most_rows, rows)

    def is_number(self, cell: str) -> bool:
        """Whether the cell holds a number, or what was one."""
        found = self._numbers.read(cell)
        if isinstance(found, Rule):
            unread = found in _UNREAD and sum(map(str.isdecimal, cell)) >= 6
            return unread or found == rules.DIGITS_LOST
        return True

    def take(self, records: Iterable[Record]) -> Iterator[Row]:
        """The rows of people among the records. Raises BadFile."""
        counts, most = self.counts, self._most_rows
        for line, lines, cells in records:
            counts.lines += lines
            counts.continued += lines - 1
            row = self._row(line, cells)
            if row is None:
                continue
            if isinstance(row, Recipient):
                counts.recipients += 1
            else:
                counts.bad += 1
            if counts.recipients + counts.bad > most:
                raise BadFile(
                    "rows", f"the file has more than {most:,} rows; part it into several", line
                )
            yield row

    def end(self) -> None:
        """The file is at its end. Raises BadFile when nothing in it was understood."""
        if self._plan is not None:
            return
        if self._above:
            raise header.not_understood(self._above, 0)
        if not self.counts.bad:
            raise BadFile("empty", "the file is empty; give one with a number in each row")

    def _row(self, line: int, cells: list[str] | Rule | None) -> Row | None:
        if not isinstance(cells, list):
            if cells is None:
                self.counts.above += 1
                return None
            return BadRow(line, "", cells)
        plan = self._plan
        if plan is None:
            begun = self._begin(line, cells)
            if not isinstance(begun, header.Plan):
                return begun
            plan = begun
        try:
            found = self._numbers.read(cells[plan.number])
        except IndexError:
            found = rules.NUMBER_MISSING
        if isinstance(found, Rule):
            return self._without_number(line, cells, found)
        if len(cells) != len(plan.names):
            if not all(map(is_blank, cells[len(plan.names) :])):
                return BadRow(line, "", rules.TOO_MANY_CELLS)
            cells = cells[: len(plan.names)] + [""] * (len(plan.names) - len(cells))
        if self.suspect or max(map(len, cells)) > LONGEST_TEXT or not _ERRORS.isdisjoint(cells):
            bad = self._unfit(line, cells, plan)
            if bad is not None:
                return bad
        language = ""
        if plan.language >= 0:
            read = self._languages.read(cells[plan.language])
            if read is None:
                return BadRow(line, "language", rules.LANGUAGE)
            language = read
        fields = {name: cells[at].strip() for name, at in self._others} or _NOTHING
        return Recipient(found[0], language, fields, line, found[1])

    def _begin(self, line: int, cells: list[str]) -> header.Plan | Row | None:
        """The plan, once a row of people is reached; None for what stands above, and a bad row for
        what may be a person."""
        if all(map(is_blank, cells)):
            self.counts.empty += 1
            return None
        if len(cells) > self._most_columns:
            raise BadFile(
                "columns",
                f"the row has {len(cells):,} columns, of {self._most_columns} at most; leave "
                "those that are needed",
                line,
            )
        try:
            plan = header.plan(cells, self._columns, self.is_number)
        except BadFile as bad:
            if bad.reason == "columns" and self._above:
                # The headers can be named; what stands in this row can't.
                raise header.not_understood(self._above[-1:], line) from None
            raise
        if plan is None:
            self._above.append([cell[:LONGEST_TEXT] for cell in cells])
            if len(self._above) >= _ABOVE:
                raise header.not_understood(self._above, line)
            if header.may_be_data(cells):
                # Nobody is left out without being named.
                return self._without_number(line, cells, rules.NOT_A_NUMBER)
            self.counts.above += 1
            return None
        if not plan.has_header and self._above and self._columns.header is None:
            above = self._above[-1]
            # What stands right above the numbers and has several cells is a header, unknown.
            several = sum(not is_blank(cell) for cell in above) > 1
            if several and not self._columns.number and not header.may_be_data(above):
                raise header.not_understood([above], line)
        self._plan = plan
        self._others = tuple((plan.names[at], at) for at in plan.others)
        if plan.has_header:
            self.counts.above += 1
            return None
        return plan

    def _without_number(self, line: int, cells: Sequence[str], rule: Rule) -> BadRow | None:
        if all(map(is_blank, cells)):
            self.counts.empty += 1
            return None
        if self.suspect and any(map(UNSHOWABLE.search, cells)):
            return BadRow(line, "", _unshowable(cells))
        if any(_TOTALS.match(cell[:50]) for cell in cells):
            return BadRow(line, "", rules.TOTAL)
        return BadRow(line, "number", rule)

    def _unfit(self, line: int, cells: Sequence[str], plan: header.Plan) -> BadRow | None:
        for at, cell in enumerate(cells):
            name = "number" if at == plan.number else plan.names[at]
            if UNSHOWABLE.search(cell):
                return BadRow(line, name, _unshowable([cell]))
            if len(cell.strip()) > LONGEST_TEXT:
                return BadRow(line, name, rules.TEXT_TOO_LONG)
            if cell in _ERRORS:
                return BadRow(line, name, rules.CELL_ERROR)
        return None


def _unshowable(cells: Iterable[str]) -> Rule:
    text = "".join(cells)
    lost = "\ufffd" in text or re.search("[\ud800-\udfff]", text)
    return rules.NOT_IN_ENCODING if lost else rules.CONTROL_CHARACTER
