"""An audience's file read and checked, beside `csv.reader` alone on the same bytes.

Part of `mawja bench`; `python -m services.tools.bench.audience` measures it by itself, with a
million rows.
"""

import argparse
import csv
import io
import sys
from collections.abc import Callable, Iterator
from random import Random
from statistics import median
from time import process_time

from services.broadcast.audiences.reader import BLOCK, read
from services.broadcast.audiences.rows import Recipient
from services.tools.bench.figures import ROUNDS, Run

_ROWS = 100_000
_SEED = 5
_RANGES = "024568"
"""Of mobile numbers in the United Arab Emirates, after the 5."""


def audience(done: Run) -> None:
    """Rows read per second of processor time, in this process: with everything that is decided of
    them, and without."""
    done.progress.update("reading an audience …")
    data = file(_ROWS)
    for _ in range(ROUNDS):
        bare, checked = seconds(lambda: bare_rows(data)), seconds(lambda: people(data))
        done.note("audience.bare_rows_per_s", _ROWS / bare)
        done.note("audience.rows_per_s", _ROWS / checked)
        done.note("audience.ratio", bare / checked)


def file(rows: int) -> bytes:
    """A CSV as an authority keeps it: Arabic, numbers in five ways of writing, one in a hundred
    rounded by a spreadsheet."""
    chance = Random(_SEED)
    lines = ["رقم الجوال,الاسم,اللغة,المنطقة"]
    for row in range(rows):
        number = f"5{chance.choice(_RANGES)}{chance.randrange(10**7):07}"
        written = chance.choices(
            (
                f"0{number}",
                f"+971{number}",
                f"971{number}",
                f"0{number[:2]} {number[2:5]} {number[5:]}",
                "9.71501E+11",
            ),
            (60, 20, 12, 7, 1),
        )[0]
        language = chance.choice(("ar", "en", "ur", ""))
        lines.append(f"{written},عائلة {row},{language},دبي")
    return "\r\n".join(lines).encode()


def bare_rows(data: bytes) -> int:
    """How many rows `csv.reader` finds."""
    text = io.TextIOWrapper(io.BytesIO(data), "utf-8", newline="")
    return sum(1 for _ in csv.reader(text)) - 1


def people(data: bytes) -> int:
    """How many rows the audience's reader finds, good and bad."""
    return sum(1 for _ in read(_chunks(data), "AE"))


def _chunks(data: bytes) -> Iterator[bytes]:
    for begin in range(0, len(data), 2 * BLOCK):
        yield data[begin : begin + 2 * BLOCK]


def seconds(work: Callable[[], int]) -> float:
    """Processor time of one turn."""
    before = process_time()
    work()
    return process_time() - before


def main() -> int:
    """`python -m services.tools.bench.audience [--rows N] [--rounds N]`."""
    parser = argparse.ArgumentParser(
        prog="python -m services.tools.bench.audience",
        description="Reads a made-up audience, beside csv.reader alone on the same bytes.",
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    data = file(options.rows)
    kept = sum(isinstance(row, Recipient) for row in read(_chunks(data), "AE"))
    bare = [seconds(lambda: bare_rows(data)) for _ in range(options.rounds)]
    checked = [seconds(lambda: people(data)) for _ in range(options.rounds)]
    print(
        f"{options.rows:,} rows ({len(data) / 1e6:.0f} MB), {kept:,} kept: "
        f"{median(checked):.1f} s, {options.rows / median(checked):,.0f} rows/s of one core; "
        f"csv.reader alone {options.rows / median(bare):,.0f} rows/s; "
        f"ratio {median(bare) / median(checked):.3f}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
