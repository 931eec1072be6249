"""The demand of a wave: flat, in a named shape, or as a file of counts or of calls says."""

import csv
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from loadtests import shapes
from loadtests.shapes import COUNT_HEADERS, TIME_HEADERS, Profile, Shape, ShapeError
from services.tools.planner.demand import FLAT, Demand, by_half_hour

_BIN_S = 300.0
_RECORD_HEADERS = TIME_HEADERS | {
    "arrival",
    "arrived",
    "arrivedat",
    "arrivaltime",
    "called",
    "calledat",
    "callstart",
    "calltime",
    "offeredat",
    "received",
    "receivedat",
    "startedat",
}
_LONGEST_S = 400 * 86_400.0


def named(shape: str, calls: int | None = None, over_s: float | None = None) -> Demand:
    """The demand of `flat` (78,000 calls in 12 hours, if nothing else is said) or of a shape of
    `loadtests/shapes`. Raises ShapeError."""
    if shape == FLAT:
        made = Shape(FLAT, calls or 78_000, over_s or 43_200.0, Profile((0.0, 1.0), (1.0,)))
    elif shape in shapes.names():
        made = shapes.load(shape).scaled(calls, over_s)
    else:
        names = ", ".join((FLAT, *shapes.names()))
        raise ShapeError(f"there is no shape '{shape}'; there are {names}")
    return by_half_hour(made, known=True)


def read(path: Path, calls: int | None = None, over_s: float | None = None) -> Demand:
    """The demand of a CSV file, scaled to `calls` and to `over_s` seconds where they are given.

    With a column of counts (`calls`, `count`, …) each row is an interval; without one each row is a
    call, in any order. The column of times is found by its name, and nothing else is looked at.
    Raises ShapeError with the line and column of the first thing that can't be used.
    """
    header = _header(path)
    if any(name in COUNT_HEADERS for name in header):
        shape = shapes.read_arrivals(path)
        begins, exact = _first_time(path, TIME_HEADERS), None
    else:
        shape, begins = _records(path)
        exact = float(shape.calls)
    if over_s is not None and over_s != shape.duration_s:
        # Stretched, its clock is nobody's.
        shape, begins = replace(shape, duration_s=over_s), None
    if calls is not None:
        exact = float(calls)
    return by_half_hour(shape, known=False, begins=begins, calls=exact)


def _header(path: Path) -> list[str]:
    rows = _rows(path)
    if not rows:
        raise ShapeError(f"{path.name}: is empty; it needs a header such as DateTime,Calls")
    return [_plain(cell) for cell in rows[0][1]]


def _records(path: Path) -> tuple[Shape, datetime | None]:
    rows = _rows(path)
    header = rows[0][1]
    at = _time_column(path, header, _RECORD_HEADERS)
    times: list[float] = []
    zoned: bool | None = None
    for number, (line, row) in enumerate(rows[1:]):
        where = f"{path.name} line {line}, column {header[at]}"
        if len(row) <= at:
            raise ShapeError(
                f"{path.name} line {line}: has {len(row)} columns, the header has {len(header)}"
            )
        when, has_zone = shapes.time_of(row[at].strip(), where)
        if number and has_zone is not zoned:
            raise ShapeError(f"{where}: some times have a zone, some not")
        zoned = has_zone
        times.append(when)
    if len(times) < 2:
        raise ShapeError(
            f"{path.name}: has {len(times)} calls and no column of counts "
            f"({', '.join(sorted(COUNT_HEADERS))}); at least 2 calls are needed"
        )
    first = min(times) // _BIN_S * _BIN_S
    bins = int((max(times) - first) // _BIN_S) + 1
    if bins * _BIN_S > _LONGEST_S:
        raise ShapeError(f"{path.name}: its calls lie more than 400 days apart; is a time wrong?")
    counts = Counter(int((when - first) // _BIN_S) for when in times)
    shape = Shape(
        path.stem,
        len(times),
        bins * _BIN_S,
        Profile(
            (*(number / bins for number in range(bins)), 1.0),
            tuple(float(counts[number]) for number in range(bins)),
        ),
    )
    return shape, None if zoned is None else datetime.fromtimestamp(first, UTC)


def _first_time(path: Path, names: frozenset[str]) -> datetime | None:
    """The first time of a file that was read before; None for plain seconds. As it is written: a
    plan is made for the clock on the wall."""
    rows = _rows(path)
    text = rows[1][1][_time_column(path, rows[0][1], names)].strip()
    _, zoned = shapes.time_of(text, path.name)
    if zoned is None:
        return None
    return datetime.fromisoformat(text.replace("/", "-")).replace(tzinfo=UTC)


def _time_column(path: Path, header: list[str], names: frozenset[str]) -> int:
    found = [at for at, cell in enumerate(header) if _plain(cell) in names]
    if len(found) == 1:
        return found[0]
    seen = ", ".join(header)
    if found:
        raise ShapeError(f"{path.name} line 1: several time columns among ({seen}); keep one")
    raise ShapeError(
        f"{path.name} line 1: no time column among ({seen}); name it one of "
        f"{', '.join(sorted(names))}"
    )


def _plain(cell: str) -> str:
    return "".join(letter for letter in cell.lower() if "a" <= letter <= "z")


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    """(line, cells) of the rows that are not blank."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            head = lines.readline()
            lines.seek(0)
            reader = csv.reader(lines, delimiter=max(",;\t", key=head.count))
            return [(reader.line_num, row) for row in reader if any(map(str.strip, row))]
    except OSError as wrong:
        raise ShapeError(f"{path}: can't be read: {wrong.strerror}") from None
    except UnicodeDecodeError as wrong:
        raise ShapeError(f"{path.name}: is not UTF-8 text ({wrong.reason})") from None
    except csv.Error as wrong:
        raise ShapeError(f"{path.name}: is not CSV ({wrong})") from None
