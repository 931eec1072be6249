"""A chart of what came and went over time: filled steps and lines over the same spans. Pure.

Like `charts`, of which it is one more: no script, no library, mirrored where reading begins at the
right.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from services.tools.reports.charts import GRID, HELD, INK, WIDTH, Page
from services.tools.reports.document import Direction

_LEFT, _RIGHT, _TOP, _LOW = 70.0, 30.0, 16.0, 232.0
_TICKS, _LEGEND = 24.0, 22.0
_PER_LINE = 3
_BOX = 12.0


@dataclass(frozen=True, slots=True)
class Flow:
    """One of the things that are shown: a value for each span, None where nothing was measured.
    `filled`: an area and no line."""

    name: str
    colour: str
    values: Sequence[float | None]
    filled: bool = False


@dataclass(frozen=True, slots=True)
class Axes:
    """What is written beside it. `across`: (from 0 at the beginning to 1 at the end, text); `up`:
    (value, text); `level`: a dashed line with its name; `shaded`: spans from 0 to 1."""

    across: Sequence[tuple[float, str]]
    up: Sequence[tuple[float, str]]
    level: tuple[float, str] | None = None
    shaded: Sequence[tuple[float, float]] = ()


def flows(shown: Sequence[Flow], axes: Axes, direction: Direction, says: str) -> str:
    """The picture. All flows have as many values; there is at least one."""
    lines = -(-len(shown) // _PER_LINE)
    page = Page(_LOW + _TICKS + 12 + _LEGEND * lines, direction)
    most = max([1e-9, *(value for value, _ in axes.up), *_all(shown)])
    wide = WIDTH - _LEFT - _RIGHT

    def y(value: float) -> float:
        return _LOW - (_LOW - _TOP) * value / most

    for since, until in axes.shaded:
        page.box(_LEFT + wide * since, _TOP, wide * max(0.0, until - since), _LOW - _TOP, HELD)
    for value, text in axes.up:
        page.line([(_LEFT, y(value)), (_LEFT + wide, y(value))], f"stroke='{GRID}'")
        page.text(_LEFT - 8, y(value) + 4, text, "end")
    for one in shown:
        if one.filled:
            step = wide / len(one.values)
            for number, tall in enumerate(one.values):
                if tall:
                    high = _LOW - y(tall)
                    # A little wider, or a seam shows between two.
                    page.box(_LEFT + step * number, _LOW - high, step + 0.4, high, one.colour)
    for one in shown:
        if not one.filled:
            for points in _runs(one.values, wide):
                line = [(_LEFT + across, y(value)) for across, value in points]
                page.line(line, f"stroke='{one.colour}' stroke-width='2'")
    if axes.level is not None:
        value, text = axes.level
        dashes = f"stroke='{INK}' stroke-width='0.8' stroke-dasharray='5 4'"
        page.line([(_LEFT, y(value)), (_LEFT + wide, y(value))], dashes)
        page.text(_LEFT + wide - 4, y(value) - 5, text, "end", " font-size='10'")
    page.line([(_LEFT, _TOP), (_LEFT, _LOW), (_LEFT + wide, _LOW)], f"stroke='{INK}'")
    for number, (share, text) in enumerate(axes.across):
        at = _LEFT + wide * share
        page.line([(at, _LOW), (at, _LOW + 5)], f"stroke='{INK}'")
        last = number and number == len(axes.across) - 1
        page.text(at + (_RIGHT if last else 0), _LOW + 19, text, "end" if last else "middle")
    for number, one in enumerate(shown):
        row, place = divmod(number, _PER_LINE)
        across = _LEFT + place * wide / _PER_LINE
        high = _LOW + _TICKS + 10 + _LEGEND * row
        page.box(across, high, _BOX, _BOX if one.filled else 3.0, one.colour)
        page.text(across + _BOX + 6, high + (10.5 if one.filled else 6.0), one.name)
    return page.svg(says)


def _all(shown: Sequence[Flow]) -> Iterator[float]:
    return (value for one in shown for value in one.values if value is not None)


def _runs(values: Sequence[float | None], wide: float) -> Iterator[list[tuple[float, float]]]:
    """Steps, broken where nothing was measured."""
    step, points = wide / len(values), list[tuple[float, float]]()
    for number, value in enumerate(values):
        if value is None:
            if points:
                yield points
            points = []
            continue
        points += [(step * number, value), (step * (number + 1), value)]
    if points:
        yield points
