"""Questions written for this project: groups of near ones, and which of a group ask the same.

`set/pairs/questions-*.tsv`: group, question, text. Two texts of one group ask the same when their
question is the same; all others of a group are near misses (another side of the topic, another
topic, one word more).
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from tests.quality.scenes import FOLDER


@dataclass(frozen=True, slots=True)
class Pair:
    """Two questions and whether one answer serves both. `group`: empty where there is none."""

    first: str
    second: str
    same: bool
    group: str = ""


def authored() -> tuple[Pair, ...]:
    """Every pair within a group. Raises ValueError naming file and line."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for path in sorted((FOLDER / "pairs").glob("questions-*.tsv")):
        for line, row in enumerate(_rows(path, ("group", "question", "text")), start=2):
            if not all(value.strip() for value in row):
                raise ValueError(f"{path.name}, line {line}: nothing may be empty")
            groups.setdefault(row[0], []).append((row[1], row[2]))
    return tuple(
        Pair(first, second, question == other, group)
        for group, texts in groups.items()
        for (question, first), (other, second) in combinations(texts, 2)
    )


def judged(path: Path) -> tuple[Pair, ...]:
    """The pairs of a file: question1, question2, label (1: one answer serves both). Raises
    ValueError naming file and line, OSError."""
    found = []
    rows = _rows(path, ("question1", "question2", "label"))
    for line, (first, second, label) in enumerate(rows, start=2):
        if label not in ("0", "1"):
            raise ValueError(f"{path.name}, line {line}: label must be 0 or 1")
        found.append(Pair(first, second, label == "1"))
    return tuple(found)


def _rows(path: Path, columns: Sequence[str]) -> list[list[str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    for line, row in enumerate(rows, start=2):
        if any(row.get(column) is None for column in columns):
            raise ValueError(f"{path.name}, line {line}: needs {', '.join(columns)}")
    return [[row[column] for column in columns] for row in rows]
