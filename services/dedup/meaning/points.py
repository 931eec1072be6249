"""Where the texts that were looked at lie, and which of them lie nearest to another. No I/O.

Bounded: of each partition the MOST texts that were looked at last, 1.6 kB each, 32 MB together.
Only numbers are kept, never a text.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

Point = NDArray[np.float32]
"""Where a text lies, of length 1; the dot product of two points is how alike they are."""
MOST = 20_000
_FIRST = 256


class Points:
    """Points by case, those put in last."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._row: OrderedDict[str, int] = OrderedDict()
        self._case: list[str] = []
        self._rows: NDArray[np.float32] = np.zeros((0, 0), dtype=np.float32)

    def __len__(self) -> int:
        return len(self._row)

    def get(self, case: str) -> Point | None:
        """The point of a case; None when it is not kept (any more)."""
        row = self._row.get(case)
        return None if row is None else self._rows[row]

    def put(self, case: str, point: Point) -> None:
        """Keeps a point; one of length 0 lies nowhere and is not kept."""
        if not point.any():
            return
        row = self._row.pop(case, None)
        if row is None and len(self._row) < self._most:
            row = len(self._row)
            self._case.append(case)
            if row == len(self._rows):
                room = min(max(_FIRST, 2 * row), self._most)
                more = np.zeros((room, len(point)), dtype=np.float32)
                if row:
                    more[:row] = self._rows
                self._rows = more
        elif row is None:
            _, row = self._row.popitem(last=False)
            self._case[row] = case
        self._rows[row] = point
        self._row[case] = row

    def alike(self, ones: Iterable[str], others: Iterable[str]) -> float:
        """How near the middle of some cases' points lies to that of others', -1 to 1; 0 when none
        of the one or the other is kept."""
        first, second = self._middle(ones), self._middle(others)
        length = float(np.linalg.norm(first) * np.linalg.norm(second))
        return float(first @ second) / length if length else 0.0

    def _middle(self, cases: Iterable[str]) -> Point:
        rows = [row for case in cases if (row := self._row.get(case)) is not None]
        middle: Point = self._rows[rows].sum(axis=0)
        return middle

    def nearest(self, points: Sequence[Point], most: int) -> list[list[tuple[str, float]]]:
        """For each of `points` the `most` cases that lie nearest, the nearest first, with how alike
        they are (-1 to 1)."""
        count = len(self._row)
        if not count or not points:
            return [[] for _ in points]
        alike = np.array(points, dtype=np.float32) @ self._rows[:count].T
        if count > most:
            best = np.argpartition(alike, count - most, axis=1)[:, count - most :]
        else:
            best = np.broadcast_to(np.arange(count), alike.shape)
        found = []
        for row, rows in zip(alike, best, strict=True):
            ranked = sorted(rows.tolist(), key=lambda at: (-row[at], self._case[at]))
            found.append([(self._case[at], float(row[at])) for at in ranked])
        return found
