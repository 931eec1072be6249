"""Charts as SVG: bars, stacked bars, columns, and a curve over time. No script, no library. Pure.

In a right-to-left report everything is mirrored: bars grow to the left, and time runs there.
Texts are placed by hand, since who shows an SVG may know nothing of the page's direction.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from services.tools.reports.document import Direction

# Told apart by those who see few colours too: M. Okabe, K. Ito, "Color Universal Design", 2008.
COLOURS = {
    "delivered": "#009e73",
    "failed": "#d55e00",
    "expired": "#cc79a7",
    "unknown": "#e69f00",
    "under_way": "#56b4e9",
    "waiting": "#a8c4d8",
    "cancelled": "#7a7a7a",
    "opted_out": "#0072b2",
    "suppressed": "#5a5fa8",
    "held_back": "#8a6d3b",
    "duplicate": "#b9b9b9",
    "invalid": "#dcdcdc",
}
"""Of each bucket."""
WIDTH = 720.0
_NAMES = 170.0
_VALUES = 90.0
_DIGIT = 7.2
"""As wide as a digit or a letter of a name at most is on average, with what is left free."""
_ROW = 26.0
_BAR = 16.0
INK, GRID, HELD = "#1f2933", "#d9dee3", "#eceff1"
_LINE = "#009e73"
_FONT = "font-family='IBM Plex Sans Arabic, Noto Sans Arabic, sans-serif' font-size='12'"
_TICKS = 5
_LONGEST = 26
_FROM_RIGHT, _POP = "\u2067", "\u2069"


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar: its name, how long, in which colour, and what is written behind it."""

    name: str
    value: int
    colour: str
    text: str


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a stacked bar, or of its legend."""

    name: str
    value: int
    colour: str


@dataclass(frozen=True, slots=True)
class Curve:
    """A curve over time. `points`: (Unix ms, how many), both rising; `across`, `up`: the marks of
    the axes; `levels`: dashed lines with names; `held`: from when to when to shade."""

    points: Sequence[tuple[int, int]]
    across: Sequence[tuple[int, str]]
    up: Sequence[tuple[int, str]]
    levels: Sequence[tuple[int, str]]
    held: Sequence[tuple[int, int]] = ()


class Page:
    """A picture in one direction. x runs from where reading begins."""

    def __init__(self, tall: float, direction: Direction) -> None:
        self._rtl = direction == "rtl"
        self._tall = tall
        self._parts: list[str] = []

    def x(self, across: float, wide: float = 0.0) -> float:
        """Where something that begins at `across` and is `wide` has its left side."""
        return WIDTH - across - wide if self._rtl else across

    def box(self, across: float, y: float, wide: float, tall: float, colour: str) -> None:
        """A filled rectangle."""
        self._parts.append(
            f"<rect x='{self.x(across, wide):.1f}' y='{y:.1f}' width='{wide:.1f}' "
            f"height='{tall:.1f}' fill='{colour}'/>"
        )

    def line(self, points: Sequence[tuple[float, float]], style: str) -> None:
        """A line through points."""
        path = "L".join(f"{self.x(across):.1f} {y:.1f}" for across, y in points)
        self._parts.append(f"<path d='M{path}' fill='none' {style}/>")

    def text(self, across: float, y: float, said: str, at: str = "start", more: str = "") -> None:
        """A text that begins, ends or has its middle at `across`."""
        if self._rtl:
            at = {"start": "end", "end": "start"}.get(at, at)
            said = f"{_FROM_RIGHT}{said}{_POP}"
        self._parts.append(
            f"<text x='{self.x(across):.1f}' y='{y:.1f}' text-anchor='{at}' fill='{INK}'{more}>"
            f"{escape(said)}</text>"
        )

    def svg(self, says: str) -> str:
        """The picture; `says` is read to those who don't see it."""
        return "\n".join(
            [
                f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH:.0f} "
                f"{self._tall:.0f}' width='{WIDTH:.0f}' height='{self._tall:.0f}' role='img' "
                f"direction='ltr' {_FONT}>",
                f"<title>{escape(says)}</title>",
                *self._parts,
                "</svg>",
            ]
        )


def bars(rows: Sequence[Bar], direction: Direction, says: str) -> str:
    """A bar for each row, with its text behind it."""
    page = Page(_ROW * len(rows) + 6, direction)
    most = max([1, *(row.value for row in rows)])
    whole = _room(row.text for row in rows)
    for number, row in enumerate(rows):
        y = 3 + _ROW * number
        wide = whole * row.value / most
        page.text(_NAMES, y + _BAR - 3, _short(row.name), "end")
        page.box(_NAMES + 10, y, max(wide, 1.0 if row.value else 0.0), _BAR, row.colour)
        page.text(_NAMES + 18 + wide, y + _BAR - 3, row.text)
    return page.svg(says)


def stacked(
    rows: Sequence[tuple[str, Sequence[Piece], str]], direction: Direction, says: str
) -> str:
    """A bar of pieces for each (name, pieces, text behind it), as shares of its own sum, and a
    legend of the pieces that occur."""
    legend = list(
        {piece.name: piece for _, pieces, _ in rows for piece in pieces if piece.value}.values()
    )
    per_line = 4
    lines = -(-len(legend) // per_line)
    page = Page(_ROW * len(rows) + 22 * lines + 10, direction)
    whole = _room(text for _, _, text in rows)
    for number, (name, pieces, text) in enumerate(rows):
        y = 3 + _ROW * number
        total = sum(piece.value for piece in pieces) or 1
        page.text(_NAMES, y + _BAR - 3, _short(name), "end")
        across = _NAMES + 10
        for piece in pieces:
            wide = whole * piece.value / total
            if piece.value:
                page.box(across, y, max(wide, 1.0), _BAR, piece.colour)
            across += wide
        page.text(_NAMES + 18 + whole, y + _BAR - 3, text)
    for number, piece in enumerate(legend):
        line, place = divmod(number, per_line)
        across = 20 + place * (WIDTH - 40) / per_line
        y = _ROW * len(rows) + 14 + 22 * line
        page.box(across, y, 12, 12, piece.colour)
        page.text(across + 18, y + 10.5, piece.name)
    return page.svg(says)


def columns(rows: Sequence[tuple[str, int, str]], direction: Direction, says: str) -> str:
    """A standing column for each (name below, value, text above)."""
    tall, low = 190.0, 150.0
    page = Page(tall, direction)
    most = max([1, *(value for _, value, _ in rows)])
    wide = (WIDTH - 40) / max(1, len(rows))
    page.line([(20, low), (WIDTH - 20, low)], f"stroke='{INK}'")
    for number, (name, value, text) in enumerate(rows):
        across, high = 20 + wide * number, 120.0 * value / most
        page.box(across + wide * 0.14, low - high, wide * 0.72, high, _LINE)
        page.text(across + wide / 2, low - high - 6, text, "middle")
        for line, words in enumerate(_folded(name)):
            page.text(across + wide / 2, low + 16 + 14 * line, words, "middle", " font-size='10'")
    return page.svg(says)


def curve(shown: Curve, direction: Direction, says: str) -> str:
    """A curve that rises in steps."""
    tall, left, right, top, low = 300.0, 70.0, 30.0, 14.0, 262.0
    page = Page(tall, direction)
    first, last = shown.points[0][0], max(shown.points[-1][0], shown.points[0][0] + 1)
    written = (count for count, _ in (*shown.levels, *shown.up))
    most = max([1, shown.points[-1][1], *written])

    def across(at_ms: int) -> float:
        share = (min(max(at_ms, first), last) - first) / (last - first)
        return left + (WIDTH - left - right) * share

    def y(count: int) -> float:
        return low - (low - top) * count / most

    for since, until in shown.held:
        wide = across(until) - across(since)
        if wide > 0:
            page.box(across(since), top, wide, low - top, HELD)
    for count, text in shown.up:
        page.line([(left, y(count)), (WIDTH - right, y(count))], f"stroke='{GRID}'")
        page.text(left - 8, y(count) + 4, text, "end")
    for count, text in shown.levels:
        dashes = f"stroke='{INK}' stroke-width='0.8' stroke-dasharray='5 4'"
        page.line([(left, y(count)), (WIDTH - right, y(count))], dashes)
        page.text(WIDTH - right - 4, y(count) - 4, text, "end", " font-size='10'")
    page.line([(left, top), (left, low), (WIDTH - right, low)], f"stroke='{INK}' stroke-width='1'")
    for number, (at_ms, text) in enumerate(shown.across):
        page.line([(across(at_ms), low), (across(at_ms), low + 5)], f"stroke='{INK}'")
        # Beyond the last one there is no room.
        at = "end" if number and number == len(shown.across) - 1 else "middle"
        page.text(across(at_ms) + (right if at == "end" else 0), low + 20, text, at)
    page.line(
        [(across(at_ms), y(count)) for at_ms, count in _steps(shown.points)],
        f"stroke='{_LINE}' stroke-width='2.5'",
    )
    return page.svg(says)


def thinned(times_ms: Sequence[int], most: int = 400) -> Iterator[tuple[int, int]]:
    """(when, how many until then) of ordered times, at most about `most` of them, ends
    included."""
    count = len(times_ms)
    step = max(1, count // most)
    for number in range(0, count, step):
        yield times_ms[number], number + 1
    if count and (count - 1) % step:
        yield times_ms[-1], count


def ticks(most: int) -> list[int]:
    """Round numbers from 0 to `most`, about five."""
    rough = max(1, most) / _TICKS
    power = 1
    while power * 10 <= rough:
        power *= 10
    step = next(power * by for by in (1, 2, 5, 10) if power * by >= rough)
    return list(range(0, most + 1, step))


def _steps(points: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Between two points nothing was known to rise."""
    before = points[0][1]
    for at_ms, count in points:
        if count != before:
            yield at_ms, before
        yield at_ms, count
        before = count


def _room(texts: Iterable[str]) -> float:
    """How long the longest bar may be, so that the texts behind the bars are whole."""
    return WIDTH - _NAMES - 20 - max([_VALUES, *(_DIGIT * len(text) for text in texts)])


def _short(name: str) -> str:
    """A name as far as there is room; the table has it whole."""
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"


def _folded(name: str) -> list[str]:
    """A name in two lines where it is long."""
    words = name.split()
    if len(words) < 3:
        return [name]
    half = (len(words) + 1) // 2
    return [" ".join(words[:half]), " ".join(words[half:])]
