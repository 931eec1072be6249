"""The fault matrix as a table: what was broken, what had to hold, what was found.

A test of the matrix takes the `row` fixture and carries `@pytest.mark.row(fault, must=…)`. What it
finds is kept whether it passes or not, and `make faults` prints and writes all of it.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from services.tools.report import Report


@dataclass(slots=True)
class Row:
    """One line of the table, filled by its test. Every `at_most` and the like is an assertion."""

    fault: str
    must: str
    variant: str = ""
    lost: int | None = None
    duplicate_cases: int | None = None
    duplicate_messages: int | None = None
    figures: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    passed: bool = False

    def figure(self, name: str, value: object) -> None:
        """Something worth telling that nothing is held against."""
        self.figures[name] = _plain(value)

    def at_most(self, name: str, value: float, bound: float) -> None:
        """Holds value ≤ bound."""
        self.figures[name] = f"{_plain(value)} ≤ {_plain(bound)}"
        assert value <= bound, f"{name}: {value} is more than {bound}"

    def at_least(self, name: str, value: float, bound: float) -> None:
        """Holds value ≥ bound."""
        self.figures[name] = f"{_plain(value)} ≥ {_plain(bound)}"
        assert value >= bound, f"{name}: {value} is less than {bound}"

    def same(self, name: str, value: object, wanted: object) -> None:
        """Holds value = wanted."""
        self.figures[name] = _plain(value) if value == wanted else f"{_plain(value)} ≠ {wanted}"
        assert value == wanted, f"{name}: {value} is not {wanted}"

    def account(self, report: "Report", allowed: Sequence[str] = (), beside: int = 0) -> None:
        """Holds lost / duplicate cases / duplicate messages = 0/0/0, that every contact that was
        sent is accepted, and that the ledger names no problem but those that contain one of
        `allowed` (what the row itself does to the system). `beside`: contacts that were submitted
        beside the surge, accepted or not."""
        self.losses(report)
        for name in ("accepted", "cases"):
            self.figure(name, report[name])
        messages = report["messages"]
        assert isinstance(messages, dict)
        self.figure("SMS", messages["requested"])
        self.figure("unknown", messages["unknown"])
        problems = report["problems"]
        assert isinstance(problems, list)
        unexpected = [one for one in problems if not any(name in one for name in allowed)]
        assert (self.lost, self.duplicate_cases, self.duplicate_messages) == (0, 0, 0), unexpected
        assert unexpected == []
        assert report["refused"] == 0, "contacts were refused for good"
        extra = _count(report, "accepted") - _count(report, "dialled")
        assert 0 <= extra <= beside, f"{extra} more contacts were accepted than the surge sent"

    def losses(self, report: "Report") -> None:
        """Keeps lost, duplicate cases and duplicate messages; holds nothing."""
        self.lost = _count(report, "lost")
        self.duplicate_cases = _count(report, "duplicate_cases")
        self.duplicate_messages = _count(report, "duplicate_messages")

    @property
    def lcs(self) -> str:
        """Lost / duplicate cases / duplicate messages, as far as the row asks for them."""
        counts = (self.lost, self.duplicate_cases, self.duplicate_messages)
        if all(count is None for count in counts):
            return "–"
        return "/".join("–" if count is None else f"{count:,}" for count in counts)

    @property
    def cells(self) -> tuple[str, ...]:
        """As the table has them: fault, result, L/C/S, figures, seconds."""
        name = f"{self.fault} ({self.variant})" if self.variant else self.fault
        found = ", ".join(f"{key} {value}" for key, value in self.figures.items())
        return (name, "green" if self.passed else "RED", self.lcs, found, f"{self.seconds:,.0f}")


HEADINGS = ("fault", "", "L/C/S", "found", "s")


def _plain(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.3g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _count(report: "Report", name: str) -> int:
    value = report[name]
    assert isinstance(value, int)
    return value


def read(path: Path) -> list[Row]:
    """The rows that `write` left at `path`; none where there is no such file."""
    if not path.exists():
        return []
    return [Row(**row) for row in json.loads(path.read_text())["rows"]]


def write(rows: Sequence[Row], path: Path, *, seed: int, full: bool) -> None:
    """The table as JSON (`path`) and beside it as Markdown (the same name, .md)."""
    # Here, so that a run of other tests need not load what a surge is made of.
    from services.tools.report import machine

    on = machine()
    document = {
        "seed": seed,
        "full": full,
        "machine": on,
        "rows": [asdict(row) for row in rows],
    }
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    lines = [
        f"Seed {seed}, {'full' if full else 'short'} size, {on['cores']} cores of {on['cpu']}, "
        f"{sum(row.seconds for row in rows) / 60:,.0f} minutes of rows, "
        f"{sum(row.passed for row in rows)} of {len(rows)} rows green. "
        "L/C/S = acknowledged contacts lost / duplicate cases / duplicate SMS at the carrier.",
        "",
        "| fault | must hold | | L/C/S | found |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        fault, result, lcs, found, _ = row.cells
        cells = (fault, row.must, result, lcs, found)
        lines.append("| " + " | ".join(cell.replace("|", "∣") for cell in cells) + " |")
    path.with_suffix(".md").write_text("\n".join(lines) + "\n")
