"""What is shown of a file of calls before anything of it is sent."""

import csv
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from rich.table import Table
from rich.text import Text

from services.local.progress import Progress
from services.runtime.errors import ConfigError
from services.runtime.privacy import mask
from services.tools.campaigns.words import said
from services.tools.cdr import fields
from services.tools.cdr.reading import File, Found, rows
from services.tools.cdr.rows import BadRow, Call, Reading, Rows

_LISTED = 20
_SHOWN = 3
_KEPT = 100_000


class Looked:
    """What a first look through the whole file found. `first_ms`, `last_ms`: arrivals, Unix ms;
    `bad`: the first 100,000 of the bad rows."""

    def __init__(self) -> None:
        self.calls = self.bad_count = 0
        self.outcomes = {"answered": 0, "abandoned": 0, "": 0}
        self.first_ms = self.last_ms = 0
        self.bad: list[BadRow] = []
        self.examples: list[Call] = []


def calls_of(file: File, found: Found, reading: Reading) -> Iterator[Call | BadRow]:
    """The calls of a file, and the rows that tell of none. Raises BadFile, ConfigError."""
    read = Rows(reading)
    for one in rows(file, found.line):
        if isinstance(one, BadRow):
            yield one
        else:
            yield from read.read(*one)


def look_through(file: File, found: Found, reading: Reading, progress: Progress) -> Looked:
    """Reads the whole file and sends nothing. Raises BadFile, ConfigError."""
    looked = Looked()
    for one in calls_of(file, found, reading):
        if isinstance(one, BadRow):
            looked.bad_count += 1
            if len(looked.bad) < _KEPT:
                looked.bad.append(one)
            continue
        looked.calls += 1
        looked.outcomes[one.outcome] += 1
        looked.first_ms = min(looked.first_ms or one.arrived_ms, one.arrived_ms)
        looked.last_ms = max(looked.last_ms, one.arrived_ms)
        if len(looked.examples) < _SHOWN:
            looked.examples.append(one)
        if looked.calls % 10_000 == 0:
            progress.update(f"looking: {looked.calls:,} calls")
    progress.clear()
    return looked


def shown(
    file: Path, found: Found, reading: Reading, looked: Looked, zone: str
) -> Iterator[Table | Text]:
    """What was understood, for a person to look at; numbers are masked."""
    mark = (" DRILL ", "black on yellow") if reading.drill else (" LIVE ", "bold white on red")
    yield Text.assemble(mark, f" {said(file.name)}, times in {zone}")
    table = Table(box=None, show_header=False)
    for field, places in found.plan.places.items():
        how = "guessed" if field in found.plan.guessed else "given"
        columns = " + ".join(said(found.plan.headings[at]) for at in places)
        table.add_row(field, how, fields.MEANINGS[field], columns)
    yield table
    if found.plan.unused:
        names = ", ".join(said(name) for name in found.plan.unused[:_LISTED])
        yield Text(f"not used (--map FIELD=COLUMN): {names}")
    for call in looked.examples:
        at = datetime.fromtimestamp(call.arrived_ms / 1000, UTC).astimezone(reading.zone)
        parts = [
            f"line {call.line}: {at:%Y-%m-%d %H:%M:%S %z}",
            mask(call.number) if call.number else "number withheld",
            call.outcome or "offered",
            "" if call.wait_ms is None else f"waited {call.wait_ms / 1000:g} s",
            "" if call.handling_ms is None else f"handled {call.handling_ms / 1000:g} s",
            call.ending,
            *(one for one in (call.code, call.agency, call.language) if one),
        ]
        yield Text("  " + ", ".join(filter(None, parts)))
    outcomes = looked.outcomes
    yield Text(
        f"{looked.calls:,} calls: {outcomes['answered']:,} answered, {outcomes['abandoned']:,} "
        f"abandoned, {outcomes['']:,} with no known outcome; {looked.bad_count:,} rows are bad"
    )


def list_bad(bad: list[BadRow], count: int, to: Path | None, quiet: bool) -> None:
    """Lists the first bad rows, and writes all of them into `to`. Raises ConfigError."""
    if to is not None:
        try:
            with to.open("w", encoding="utf-8-sig", newline="") as out:
                writer = csv.writer(out)
                writer.writerow(BadRow._fields)
                writer.writerows(bad)
        except OSError as error:
            raise ConfigError(f"{to} can't be written to: {error.strerror}") from None
    if quiet:
        return
    for one in bad[:_LISTED]:
        print(f"line {one.line}: {one.field or 'the row'} {one.rule}", file=sys.stderr)
    if count > _LISTED:
        print(f"… and {count - _LISTED:,} more (--bad-rows FILE has all)", file=sys.stderr)
