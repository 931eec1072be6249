"""From a row of cells to a call as intake is told of it, or the rule that it breaks. Pure.

A call is known by its system's id, or, without one, by what the row says of it apart from the
number, and by how many such rows stand before it: so the same file gives the same calls again. (The
number is left out because a key must not tell it, not even to somebody who tries all numbers.)
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import NamedTuple

from services.broadcast.audiences.language import Languages
from services.broadcast.audiences.rules import Rule
from services.broadcast.audiences.telephone import Numbers
from services.runtime.numbers import is_synthetic
from services.tools.cdr.cells import (
    LONGEST_MS,
    BadCell,
    Order,
    Times,
    Words,
    duration_ms,
    is_withheld,
    plain,
)
from services.tools.cdr.fields import Plan

AHEAD_MS = 5 * 60_000
_MOST_CALLS = 10_000
"""Calls that one row of counts may stand for."""
_LONGEST_KEY = 190
_LINE = re.compile(r"[0-9+*#A-Za-z._-]{0,32}")
_CODE = re.compile(r"[a-z0-9-]{0,32}")
_AGENT = re.compile(r"[A-Za-z0-9._-]{0,64}")


_Course = tuple[str, int | None, int | None, str]
"""Outcome, wait (ms), handling (ms) and how it ended."""


class BadRow(NamedTuple):
    """A row that tells of no call: its line, the field, and the rule, which repeats no cell."""

    line: int
    field: str
    rule: str


@dataclass(frozen=True, slots=True)
class Call:
    """A call as it went. Times are Unix ms, durations ms, None where they are not known.

    `outcome`: "answered", "abandoned" or "" (not known); an outcome has a wait. `ending`: how it
    ended: "resolved", "unresolved", "transferred" or "". `number`: E.164, or "" when withheld.
    """

    line: int
    key: str
    arrived_ms: int
    number: str = field(default="", repr=False)
    code: str = ""
    agency: str = ""
    topic: str = ""
    language: str = ""
    agent: str = ""
    outcome: str = ""
    wait_ms: int | None = None
    handling_ms: int | None = None
    ending: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """How a file is read. `fixed`: line, agency or language of every call that names none; `means`:
    the system's own words; `interval_ms`: over which the calls of a row of counts are spread."""

    plan: Plan
    zone: tzinfo
    order: Order
    country: str
    drill: bool
    fixed: Mapping[str, str]
    means: Mapping[str, str]
    now_ms: int
    interval_ms: int = 0


class Rows:
    """Reads the rows of one file, in their order. Raises Invalid for a country that is none."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._places = reading.plan.places
        self._times = Times(reading.zone, reading.order)
        self._words = Words(reading.means)
        self._numbers = Numbers(reading.country)
        self._languages = Languages()
        self._seen: dict[int, int] = {}

    def read(self, line: int, cells: Sequence[str]) -> Iterator[Call | BadRow]:
        """The call of a row, or the calls that it counts, or what is wrong with it."""
        try:
            yield from self._read(line, cells)
        except _Wrong as wrong:
            yield BadRow(line, wrong.field, wrong.rule)

    def _read(self, line: int, cells: Sequence[str]) -> Iterator[Call]:
        arrived_ms = self._arrived(cells)
        call = Call(
            line=line,
            key="",
            arrived_ms=arrived_ms,
            number=self._number(cells),
            code=self._code("line", cells, _LINE, "letters, digits and . _ - + * #"),
            agency=self._code("agency", cells, _CODE, "a-z, 0-9 and -"),
            topic=self._code("topic", cells, _CODE, "a-z, 0-9 and -"),
            language=self._language(cells),
            agent=self._code("agent", cells, _AGENT, "letters, digits and . _ -"),
        )
        if "calls" in self._places:
            yield from self._counted(call, cells)
            return
        outcome, wait_ms, handling_ms, ending = self._course(cells, arrived_ms)
        yield _with(
            call,
            key=self._key(call, cells, (outcome, wait_ms, handling_ms, ending)),
            outcome=outcome,
            wait_ms=wait_ms,
            handling_ms=handling_ms,
            ending=ending,
        )

    def _cell(self, name: str, cells: Sequence[str]) -> str:
        places = self._places.get(name, ())
        return " ".join(cells[at] for at in places if at < len(cells)).strip()

    def _arrived(self, cells: Sequence[str]) -> int:
        at_ms = self._time("arrived", cells)
        if at_ms is None:
            raise _Wrong("arrived", "is empty: a call came at some time")
        if at_ms > self._reading.now_ms + AHEAD_MS:
            raise _Wrong("arrived", "is ahead of now: are day and month, or the zone, as they are?")
        if at_ms <= 0:
            raise _Wrong("arrived", "is before 1970")
        return at_ms

    def _time(self, name: str, cells: Sequence[str]) -> int | None:
        try:
            return self._times.read(self._cell(name, cells))
        except BadCell as bad:
            raise _Wrong(name, str(bad)) from None

    def _lasting(self, name: str, cells: Sequence[str]) -> int | None:
        try:
            return duration_ms(self._cell(name, cells))
        except BadCell as bad:
            raise _Wrong(name, str(bad)) from None

    def _number(self, cells: Sequence[str]) -> str:
        cell = self._cell("number", cells)
        if is_withheld(cell):
            return ""
        found = self._numbers.read(cell)
        if isinstance(found, Rule):
            raise _Wrong("number", found.english)
        if is_synthetic(found[0]) and not self._reading.drill:
            raise _Wrong("number", "is a rehearsal number (+999): give --drill")
        return found[0]

    def _code(self, name: str, cells: Sequence[str], form: re.Pattern[str], of: str) -> str:
        text = "-".join(plain(self._cell(name, cells)).split())
        if form is _CODE:
            text = text.lower()
        if not form.fullmatch(text):
            raise _Wrong(name, f"must be a code of {of}, at most {64 if form is _AGENT else 32}")
        return text or self._reading.fixed.get(name, "")

    def _language(self, cells: Sequence[str]) -> str:
        found = self._languages.read(self._cell("language", cells))
        if found is None:
            raise _Wrong("language", "is no language: give a tag such as ar or en")
        return found or self._reading.fixed.get("language", "")

    # How it went.

    def _course(self, cells: Sequence[str], arrived_ms: int) -> _Course:
        answered_ms, ended_ms = self._time("answered", cells), self._time("ended", cells)
        talk_ms, wrap_ms = self._lasting("talk", cells), self._lasting("wrap", cells)
        whole_ms = self._lasting("duration", cells)
        handling_ms = self._lasting("handling", cells)
        if whole_ms is None and ended_ms is not None:
            whole_ms = _between("ended", arrived_ms, ended_ms)
        if talk_ms is None and answered_ms is not None and ended_ms is not None:
            talk_ms = _between("ended", answered_ms, ended_ms)
        try:
            outcome = self._words.outcome(self._cell("outcome", cells))
        except BadCell as bad:
            raise _Wrong("outcome", str(bad)) from None
        if not outcome:
            spoke = answered_ms is not None or bool(talk_ms or handling_ms)
            outcome = "answered" if spoke else self._unanswered(cells, whole_ms)
        wait_ms = self._lasting("wait", cells)
        if wait_ms is None and answered_ms is not None:
            wait_ms = _between("answered", arrived_ms, answered_ms)
        if wait_ms is None and whole_ms is not None and outcome:
            wait_ms = whole_ms - (talk_ms or 0) if outcome == "answered" else whole_ms
            if outcome == "answered" and talk_ms is None:
                wait_ms = None
            elif wait_ms < 0:
                raise _Wrong("talk", "is longer than the call")
        if outcome and wait_ms is None:
            raise _Wrong("wait", f"is not known, though the call was {outcome}")
        if outcome != "answered":
            return outcome, wait_ms if outcome else None, None, ""
        if handling_ms is None and talk_ms is not None:
            handling_ms = min(talk_ms + (wrap_ms or 0), LONGEST_MS)
        return outcome, wait_ms, handling_ms, self._ending(cells)

    def _unanswered(self, cells: Sequence[str], whole_ms: int | None) -> str:
        """What became of a call that nobody is known to have taken: abandoned where the file tells
        of answers and of its end, else not known."""
        tells = self._reading.plan.has("answered", "talk", "handling")
        over = whole_ms is not None or self._lasting("wait", cells) is not None
        return "abandoned" if tells and over else ""

    def _ending(self, cells: Sequence[str]) -> str:
        try:
            return self._words.ending(self._cell("resolved", cells))
        except BadCell as bad:
            raise _Wrong("resolved", str(bad)) from None

    def _counted(self, call: Call, cells: Sequence[str]) -> Iterator[Call]:
        text = plain(self._cell("calls", cells)).replace(",", "")
        text = text[:-2] if text.endswith(".0") else text
        if not text.isdecimal() or int(text) > _MOST_CALLS:
            raise _Wrong("calls", f"is no count of 0 to {_MOST_CALLS:,}")
        count = int(text)
        key = self._key(call, cells, (count,))
        for at in range(count):
            spread_ms = self._reading.interval_ms * at // count
            # Their own agent or number they can't have: the row is of many.
            yield _with(
                call,
                key=f"{key}.{at}",
                arrived_ms=call.arrived_ms + spread_ms,
                number="",
                agent="",
            )

    def _key(self, call: Call, cells: Sequence[str], course: Sequence[object]) -> str:
        own = plain(self._cell("id", cells))
        if own:
            if len(own.encode()) > _LONGEST_KEY:
                raise _Wrong("id", f"is longer than {_LONGEST_KEY} bytes")
            return f"id:{own}"
        if "id" in self._places:
            raise _Wrong("id", "is empty: map no column to id when not every call has one")
        said = (
            call.arrived_ms,
            call.code,
            call.agency,
            call.topic,
            call.language,
            call.agent,
            *course,
        )
        digest = hashlib.sha256(repr(said).encode()).digest()
        short = int.from_bytes(digest[:8], "big")
        times = self._seen[short] = self._seen.get(short, 0) + 1
        return f"row:{digest[:16].hex()}.{times}"


class _Wrong(Exception):
    def __init__(self, name: str, rule: str) -> None:
        self.field = name
        self.rule = rule


def _between(name: str, begin_ms: int, end_ms: int) -> int:
    if end_ms < begin_ms:
        raise _Wrong(name, "is before what must come before it")
    if end_ms - begin_ms > LONGEST_MS:
        raise _Wrong(name, "is more than a day later")
    return end_ms - begin_ms


def _with(call: Call, **changes: object) -> Call:
    values = {name: getattr(call, name) for name in Call.__slots__}
    return Call(**{**values, **changes})
