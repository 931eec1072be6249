"""Five-minute counts of a call centre: the public ones where they lie beside the project, else
alike ones are drawn, so that what is held against them is held everywhere."""

import csv
import random
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

BANK = Path(__file__).resolve().parents[2] / "shared" / "data" / "bank_calls.csv"
WIDTH = timedelta(minutes=5)
Count = tuple[datetime, int]
"""When an interval began, and the calls in it."""


def counts(days: int) -> list[Count]:
    """The centre's first so many days, from a Monday on."""
    if not BANK.exists():
        return list(drawn(datetime(2003, 3, 3, tzinfo=UTC), days))
    with BANK.open() as file:
        found = [
            (datetime.fromisoformat(row["DateTime"]), int(row["Calls"]))
            for row in csv.DictReader(file)
        ]
    return [one for one in found if one[0] < found[0][0] + timedelta(days=days)]


def drawn(monday: datetime, days: int, seed: int = 1) -> Iterator[Count]:
    """Weekdays from 07:00 to 21:00, most calls in the late morning; some days are missing."""
    pick = random.Random(seed)
    for day in range(days):
        if day % 7 > 4 or pick.random() < 0.1:
            continue
        busy = pick.uniform(0.7, 1.4)
        for slot in range(14 * 12):
            mean = busy * (90 + 190 * max(0.0, 1 - abs(slot - 44) / 60))
            at = monday + timedelta(days=day, hours=7) + slot * WIDTH
            yield at, max(0, round(pick.gauss(mean, mean**0.5 * 2)))


def write(path: Path, some: Iterable[Count]) -> None:
    """The public file's columns."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["rownames", "DateTime", "Calls"])
        writer.writerows((n, at.isoformat(), count) for n, (at, count) in enumerate(some))
