"""A drill, many of them, or two side by side, for a terminal. Pure.

Every one says first that it was a drill: figures are passed on without what stands around them.
"""

from collections.abc import Sequence
from datetime import datetime, tzinfo

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from services.tools.drills.figures import Compared, Figure, compared, missed
from services.tools.drills.history import Drill

_GROUPS = {
    "system": "the system",
    "agents": "agents, at callbacks",
    "coordinators": "coordinators",
}
_MARKS = {"better": "[green]better[/]", "worse": "[red]worse[/]", "same": "as before", "": ""}


def one(drill: Drill, before: Drill | None, zone: tzinfo | None = None) -> RenderableType:
    """One drill, with what is better or worse than `before`."""
    table = Table(box=None, pad_edge=False)
    for column, right in (("", False), ("now", True), ("target", True), ("before", True)):
        table.add_column(column, justify="right" if right else "left")
    table.add_column("")
    group = ""
    for it in compared(drill.figures, before.figures if before else {}):
        if it.figure.group != group:
            group = it.figure.group
            table.add_row(f"[bold]{_GROUPS[group]}[/]")
        table.add_row(*_row(it))
    lines: list[RenderableType] = [Text(_head(drill, zone), style="bold"), table]
    if drill.agents:
        lines += [Text(), _agents(drill)]
    lines += [Text(f"! {problem}") for problem in drill.problems]
    lines += [Text(), Text(_summary(drill, before))]
    return Group(*lines)


def several(drills: Sequence[Drill], zone: tzinfo | None = None) -> RenderableType:
    """The history."""
    table = Table("drill", "began", "size", "speed", "agents", "targets missed", "", box=None)
    for drill in drills:
        table.add_row(
            drill.id,
            _when(drill.began_ms, zone),
            f"{drill.size:,}",
            f"{drill.speed:g}",
            str(drill.figures.get("agents") or 0),
            str(len(missed(drill.figures))),
            drill.ended_early,
        )
    return table


def _head(drill: Drill, zone: tzinfo | None) -> str:
    minutes = (drill.ended_ms - drill.began_ms) / 60_000
    early = f", ended early: {drill.ended_early}" if drill.ended_early else ""
    return (
        f"DRILL {drill.id}: {drill.size:,} of {drill.shape} at speed {drill.speed:g}, "
        f"{_when(drill.began_ms, zone)}, {minutes:.0f} min{early}"
    )


def _row(it: Compared) -> tuple[str, str, str, str, str]:
    figure = it.figure
    now = value(figure, it.now)
    if figure.met(it.now) is False:
        now = f"[red]{now}[/]"
    aim = ""
    if figure.target is not None:
        aim = ("≥ " if figure.more else "≤ ") + value(figure, figure.target)
    before = "" if it.before is None else value(figure, it.before)
    return f"  {figure.label}", now, aim, before, _MARKS[it.change]


def _agents(drill: Drill) -> Table:
    table = Table("agent", "taken up", "≤ 20 s", "ended", "≤ 4 min", "handling", box=None)
    for name, did in drill.agents.items():
        table.add_row(
            name,
            f"{did['taken']:,}",
            _share(did["taken_in_20s_share"]),
            f"{did['ended']:,}",
            _share(did["handled_in_4min_share"]),
            _seconds(did["mean_handling_s"]),
        )
    return table


def _summary(drill: Drill, before: Drill | None) -> str:
    """What became of it, in a sentence or two."""
    short = [figure.label for figure in missed(drill.figures)]
    said = f"Targets missed: {', '.join(short)}." if short else "No target was missed."
    if drill.ended_early:
        said = f"It ended early, so the figures are of what was sent until then. {said}"
    if before is None:
        return f"{said} There is no earlier drill of this shape to compare with."
    found = list(compared(drill.figures, before.figures))
    parts = [
        f"{change}: {', '.join(it.figure.label.strip('… ') for it in found if it.change == change)}"
        for change in ("better", "worse")
        if any(it.change == change for it in found)
    ]
    return f"{said} Since {before.id}: {'; '.join(parts) or 'nothing changed much'}."


def value(figure: Figure, given: float | int | None) -> str:
    """A figure with its unit."""
    if given is None:
        return "–"
    if figure.kind == "share":
        return _share(float(given))
    if figure.kind == "seconds":
        return _seconds(float(given))
    return f"{given:,.0f} ms" if figure.kind == "milliseconds" else f"{given:,.0f}"


def _share(given: float | None) -> str:
    return "–" if given is None else f"{given:.1%}"


def _seconds(given: float | None) -> str:
    if given is None:
        return "–"
    return f"{given:,.1f} s" if given < 120 else f"{given / 60:,.1f} min"


def _when(at_ms: int, zone: tzinfo | None) -> str:
    return datetime.fromtimestamp(at_ms / 1000, zone).astimezone(zone).strftime("%Y-%m-%d %H:%M")
