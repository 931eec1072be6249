"""What was measured, laid out once: for a terminal, and for a page that is published."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table as Shown
from rich.text import Text

from tests.quality.chart import Chart, svg

_LISTED = 60


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under columns; all but the first column are figures."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Drawn:
    """A chart and the name of its file, without ending."""

    name: str
    chart: Chart


@dataclass(frozen=True, slots=True)
class Listed:
    """Lines that stand one below the other."""

    lines: Sequence[str]


Block = str | Table | Drawn | Listed


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the report."""

    heading: str
    blocks: Sequence[Block] = field(default_factory=tuple)


def show(sections: Iterable[Section], console: Console) -> None:
    """Prints the report."""
    for section in sections:
        console.rule(Text(section.heading, style="bold"), align="left")
        for block in section.blocks:
            if isinstance(block, str):
                console.print(Text(block))
            elif isinstance(block, Listed):
                for line in block.lines:
                    console.print(Text(f"  {line}"))
            elif isinstance(block, Table):
                console.print(_shown(block))


def page(title: str, head: str, sections: Iterable[Section], charts: str) -> str:
    """The report as Markdown. `charts`: the folder of the charts, seen from the page."""
    parts = [f"# {title}", head]
    for section in sections:
        parts.append(f"## {section.heading}")
        for block in section.blocks:
            if isinstance(block, Table):
                parts.append(markdown(block))
            elif isinstance(block, Drawn):
                parts.append(f"![{block.chart.title}]({charts}/{block.name}.svg)")
            elif isinstance(block, Listed):
                parts.append("\n".join(f"- {_plain(line)}" for line in block.lines[:_LISTED]))
                if len(block.lines) > _LISTED:
                    parts.append(
                        f"… and {len(block.lines) - _LISTED} more, which the command lists."
                    )
            else:
                parts.append(block)
    return "\n\n".join(parts) + "\n"


def draw(sections: Iterable[Section], folder: Path) -> list[Path]:
    """Writes the charts. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for section in sections:
        for block in section.blocks:
            if isinstance(block, Drawn):
                path = folder / f"{block.name}.svg"
                path.write_text(svg(block.chart), "utf-8")
                written.append(path)
    return written


def between(text: str, mark: str, new: str) -> str:
    """`text` with `new` between the remarks that begin and end `mark`. Raises ValueError when they
    are not there."""
    begin, end = f"<!-- {mark} -->", f"<!-- /{mark} -->"
    before, found, rest = text.partition(begin)
    _, ends, after = rest.partition(end)
    if not found or not ends:
        raise ValueError(f"there is no {begin} … {end}")
    return f"{before}{begin}\n{new}\n{end}{after}"


def markdown(table: Table) -> str:
    """A table as Markdown."""
    rule = ["---", *("--:" for _ in table.columns[1:])]
    rows = [table.columns, rule, *([_plain(cell) for cell in row] for row in table.rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _plain(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


def _shown(table: Table) -> Shown:
    shown = Shown(box=None, pad_edge=False)
    for place, column in enumerate(table.columns):
        shown.add_column(column, justify="right" if place else "left", no_wrap=place > 0)
    for row in table.rows:
        shown.add_row(*(Text(cell) for cell in row))
    return shown
