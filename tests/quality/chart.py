"""Curves as SVG: axes, a grid, a legend; no more than that, and no library."""

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 840, 470
_LEFT, _TOP, _SIDE, _TALL = 62, 46, 400, 360
_LEGEND = _LEFT + _SIDE + 18
# Told apart by those who see few colours too: M. Okabe, K. Ito, "Color Universal Design", 2008.
_COLOURS = ("#000000", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8a6d00", "#56b4e9")
_DASHES = ("", "7 3", "2 3", "9 3 2 3", "4 2", "1 2", "12 4")
_TICKS = 5
_FONT = "font-family='sans-serif' font-size='13'"


@dataclass(frozen=True, slots=True)
class Line:
    """A curve. `mark`: the point of it that is used, where there is one."""

    name: str
    points: Sequence[tuple[float, float]]
    mark: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Chart:
    """Curves over shares. `across`, `up`: what the axes show, each from 0 to 1; `target`: the
    corner that is to be reached."""

    title: str
    across: str
    up: str
    lines: Sequence[Line]
    target: tuple[float, float] | None = None


def svg(chart: Chart) -> str:
    """The chart as a file."""
    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{WIDTH}' height='{HEIGHT}' "
        f"viewBox='0 0 {WIDTH} {HEIGHT}' role='img' {_FONT}>",
        f"<title>{escape(chart.title)}</title>",
        f"<rect width='{WIDTH}' height='{HEIGHT}' fill='#ffffff'/>",
        f"<text x='{_LEFT}' y='26' font-size='16' font-weight='bold'>{escape(chart.title)}</text>",
    ]
    for tick in range(_TICKS + 1):
        share = tick / _TICKS
        x, y = _x(share), _y(share)
        parts += [
            f"<path d='M{x} {_y(0)}V{_y(1)}M{_x(0)} {y}H{_x(1)}' stroke='#dddddd'/>",
            f"<text x='{x}' y='{_y(0) + 18}' text-anchor='middle'>{share:.1f}</text>",
            f"<text x='{_LEFT - 8}' y='{y + 4}' text-anchor='end'>{share:.1f}</text>",
        ]
    middle = _TOP + _TALL / 2
    parts += [
        f"<path d='M{_x(0)} {_y(1)}V{_y(0)}H{_x(1)}' fill='none' stroke='#333333'/>",
        f"<text x='{_LEFT + _SIDE / 2}' y='{_y(0) + 42}' text-anchor='middle'>"
        f"{escape(chart.across)}</text>",
        f"<text x='18' y='{middle}' text-anchor='middle' transform='rotate(-90 18 {middle})'>"
        f"{escape(chart.up)}</text>",
    ]
    if chart.target is not None:
        x, y = _x(chart.target[0]), _y(chart.target[1])
        parts.append(
            f"<path d='M{x - 6} {y}H{x + 6}M{x} {y - 6}V{y + 6}' stroke='#cc0000' "
            "stroke-width='2'/>"
        )
    for number, line in enumerate(chart.lines):
        parts += _drawn(line, number)
    if chart.target is not None:
        y = _TOP + 14 + 24 * len(chart.lines)
        parts += [
            f"<path d='M{_LEGEND + 9} {y - 4}H{_LEGEND + 21}M{_LEGEND + 15} {y - 10}V{y + 2}' "
            "stroke='#cc0000' stroke-width='2'/>",
            f"<text x='{_LEGEND + 36}' y='{y}'>target</text>",
        ]
    return "\n".join([*parts, "</svg>", ""])


def _drawn(line: Line, number: int) -> list[str]:
    colour, dash = _COLOURS[number % len(_COLOURS)], _DASHES[number % len(_DASHES)]
    pen = f"fill='none' stroke='{colour}' stroke-width='2' stroke-dasharray='{dash}'"
    y = _TOP + 14 + 24 * number
    found = [
        f"<path d='M{_LEGEND} {y - 4}h30' {pen}/>",
        f"<text x='{_LEGEND + 36}' y='{y}'>{escape(line.name)}</text>",
    ]
    if len(line.points) > 1:
        path = "L".join(f"{_x(across):.1f} {_y(up):.1f}" for across, up in line.points)
        found.append(f"<path d='M{path}' {pen}/>")
    marks = line.points if len(line.points) == 1 else [line.mark] if line.mark else []
    for across, up in marks:
        found.append(f"<circle cx='{_x(across):.1f}' cy='{_y(up):.1f}' r='5' fill='{colour}'/>")
    return found


def _x(share: float) -> float:
    return _LEFT + _SIDE * share


def _y(share: float) -> float:
    return _TOP + _TALL * (1 - share)
