"""A plan as a picture: agents by half-hour, what Erlang C asks for, what fewer calls leave. SVG,
without script or library. Pure."""

from collections.abc import Sequence
from xml.sax.saxutils import escape

from services.tools.planner.plan import Plan, lasting
from services.tools.reports.charts import ticks

# Told apart by those who see few colours too: M. Okabe, K. Ito, "Color Universal Design", 2008.
_AGENTS, _LEFT, _PATIENT = "#56b4e9", "#0072b2", "#d55e00"
_INK, _GRID = "#1f2933", "#d9dee3"
_WIDE, _TALL = 860.0, 400.0
_LEFT_X, _RIGHT_X, _TOP, _LOW = 60.0, 20.0, 84.0, 346.0
_MOST_MARKS = 12
_FONT = "font-family='IBM Plex Sans Arabic, Noto Sans, sans-serif' font-size='12'"


def svg(made: Plan) -> str:
    """The picture of a plan."""
    half_hours = made.staffing.half_hours
    left = made.savings[-1][2].agents
    patient = [one.erlang_c for one in half_hours]
    begins = half_hours[0].half_hour.start_s
    ends = half_hours[-1].half_hour.start_s + half_hours[-1].half_hour.width_s
    most = max(1, *made.staffing.agents, *patient)
    marks = ticks(most)
    top = max(most, marks[-1])

    def x(at_s: float) -> float:
        return _LEFT_X + (_WIDE - _LEFT_X - _RIGHT_X) * (at_s - begins) / (ends - begins)

    def y(agents: float) -> float:
        return _LOW - (_LOW - _TOP) * agents / top

    edges = [x(one.half_hour.start_s) for one in half_hours] + [x(ends)]
    parts = [
        *_words(made),
        *(_line([(_LEFT_X, y(mark)), (_WIDE - _RIGHT_X, y(mark))], _GRID, 1) for mark in marks),
        *(_text(_LEFT_X - 8, y(mark) + 4, f"{mark:,}", "end") for mark in marks),
        _steps(edges, [y(one) for one in made.staffing.agents], _AGENTS),
        _steps(edges, [y(one) for one in left], _LEFT),
    ]
    if made.callers.patience_s is not None:
        points = [
            point
            for number, agents in enumerate(patient)
            for point in ((edges[number], y(agents)), (edges[number + 1], y(agents)))
        ]
        parts.append(_line(points, _PATIENT, 2, "6 4"))
    parts.append(_line([(_LEFT_X, _LOW), (_WIDE - _RIGHT_X, _LOW)], _INK, 1))
    every = -(-len(half_hours) // _MOST_MARKS)
    for number in range(0, len(half_hours), every):
        parts.append(_line([(edges[number], _LOW), (edges[number], _LOW + 5)], _INK, 1))
        said = made.demand.at(half_hours[number].half_hour).split(" ")
        parts.append(_text(edges[number], _LOW + 20, said[0], "middle"))
        if len(said) > 1:
            parts.append(_text(edges[number], _LOW + 36, said[1], "middle"))
    return "\n".join(
        [
            f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {_WIDE:.0f} {_TALL:.0f}' "
            f"width='{_WIDE:.0f}' height='{_TALL:.0f}' role='img' {_FONT}>",
            f"<title>{escape(_title(made))}</title>",
            f"<rect width='{_WIDE:.0f}' height='{_TALL:.0f}' fill='#ffffff'/>",
            *parts,
            "</svg>\n",
        ]
    )


def _title(made: Plan) -> str:
    return (
        f"Agents by half-hour for {made.demand.calls:,.0f} calls in {lasting(made.demand.over_s)}, "
        f"{made.target.share:.0%} answered within {made.target.within_s:g} s"
    )


def _words(made: Plan) -> list[str]:
    found = [_text(_LEFT_X, 26, _title(made), "start", " font-size='15' font-weight='600'")]
    names = [
        (_AGENTS, f"agents (at most {made.staffing.most:,})"),
        (_LEFT, f"with answers by SMS and repeats joined (at most {made.savings[-1][2].most:,})"),
    ]
    across = _LEFT_X
    for colour, said in names:
        found.append(f"<rect x='{across:.1f}' y='44' width='12' height='12' fill='{colour}'/>")
        found.append(_text(across + 18, 54.5, said))
        across += 60 + 6.6 * len(said)
    if made.callers.patience_s is not None:
        found.append(_line([(across, 50), (across + 24, 50)], _PATIENT, 2, "6 4"))
        found.append(_text(across + 30, 54.5, "if nobody hung up (Erlang C)"))
    return found


def _steps(edges: Sequence[float], levels: Sequence[float], colour: str) -> str:
    path = "".join(
        f"L{edges[number]:.1f} {level:.1f}L{edges[number + 1]:.1f} {level:.1f}"
        for number, level in enumerate(levels)
    )
    begin, end = f"{edges[0]:.1f} {_LOW:.1f}", f"{edges[-1]:.1f} {_LOW:.1f}"
    return f"<path d='M{begin}{path}L{end}Z' fill='{colour}'/>"


def _line(
    points: Sequence[tuple[float, float]], colour: str, width: float, dashes: str = ""
) -> str:
    path = "L".join(f"{across:.1f} {down:.1f}" for across, down in points)
    more = f" stroke-dasharray='{dashes}'" if dashes else ""
    return f"<path d='M{path}' fill='none' stroke='{colour}' stroke-width='{width:g}'{more}/>"


def _text(x: float, y: float, said: str, at: str = "start", more: str = "") -> str:
    return (
        f"<text x='{x:.1f}' y='{y:.1f}' text-anchor='{at}' fill='{_INK}'{more}>"
        f"{escape(said)}</text>"
    )
