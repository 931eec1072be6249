"""A plan as a person reads it on a terminal: agents as a chart, and what they rest on. Pure."""

import math
from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from services.tools.planner.measured import Rates, documented
from services.tools.planner.plan import Plan, assumptions, lasting
from services.tools.planner.sizing import FILLED, Sizing
from services.tools.planner.sms import Sending
from services.tools.planner.staffing import Staffed
from services.tools.screen import figures

_BAR = 40
_NAMES = 34
_MOST_ROWS = 60
_DAY_S = 86_400.0
_MODELS = {
    "erlang-c": "Erlang C",
    "erlang-a": "Erlang A",
    "erlang-a-redial": "Erlang A with redials",
    "erlang-a-redial-soon": "Erlang A with redials that come soon",
}
_WAYS = {"answers": "answers by SMS", "joining": "repeats joined", "both": "both"}


def render(made: Plan, sending: Sending, of: Sizing, notes: Sequence[str] = ()) -> RenderableType:
    """The whole plan. `notes`: said at its end, a sentence each."""
    return Group(
        _headline(made),
        _chart(made),
        _savings(made),
        _sms(sending),
        _system(of),
        *(Text(f"  {sentence}", style="dim") for sentence in (*assumptions(made), *notes)),
    )


def render_rates(rates: Rates) -> RenderableType:
    """What was measured, beside the documented machine."""
    known = documented()
    table = figures(f"Processor time, {rates.machine}", _NAMES)
    for room, used_s in rates.cpu_s.items():
        of = "an SMS part" if room == "broadcast" else "a call with its events"
        table.add_row(
            room,
            f"{used_s * 1e6:,.0f} µs",
            f"{of}; {used_s / known.cpu_s[room]:.2f} of the documented machine's",
        )
    return table


def _headline(made: Plan) -> Text:
    target = made.target
    text = Text()
    text.append(f"{made.staffing.most:,} agents", style="bold")
    text.append(
        f" in the busiest half-hour, {made.staffing.hours:,.0f} agent-hours in all: "
        f"{made.demand.calls:,.0f} calls in {lasting(made.demand.over_s)}, "
        f"{target.share:.0%} answered within {target.within_s:g} s, "
        f"{made.callers.aht_s:g} s each ({_MODELS[made.model]})"
    )
    if made.staffing.shrinkage:
        text.append(f"; {max(made.staffing.rostered, default=0):,} on the roster", style="bold")
    return text


def _chart(made: Plan) -> Table:
    rows, title = list(_rows(made)), "Agents by half-hour"
    if len(rows) > _MOST_ROWS:
        rows, title = list(_days(made)), "Agents by day, of its busiest half-hour"
    table = Table(title=title, title_justify="left", title_style="bold", box=None)
    table.add_column("from")
    for column in ("calls", "dialled", "agents", "in time", "answered", "wait"):
        table.add_column(column, justify="right")
    table.add_column(f"█ agents  ░ saved by {_WAYS['both']}")
    most = max(1, made.staffing.most)
    for at, calls, one, left in rows:
        floor = one.floor
        dialled = calls * floor.dialled / floor.load if floor.load else calls
        wait = f"{floor.wait_s:,.0f} s" if math.isfinite(floor.wait_s) else "–"
        table.add_row(
            at,
            f"{calls:,.0f}",
            f"{dialled:,.0f}",
            f"{one.agents:,}",
            f"{floor.in_target:.1%}",
            f"{floor.answered:.1%}",
            wait,
            _bar(one.agents, left, most),
        )
    return table


def _bar(agents: int, left: int, most: int) -> str:
    whole = round(agents / most * _BAR)
    kept = min(whole, round(left / most * _BAR))
    return "█" * kept + "░" * (whole - kept)


_Row = tuple[str, float, Staffed, int]


def _rows(made: Plan) -> Iterator[_Row]:
    both = made.savings[-1][2]
    for one, less in zip(made.staffing.half_hours, both.half_hours, strict=True):
        yield made.demand.at(one.half_hour), one.half_hour.calls, one, less.agents


def _days(made: Plan) -> Iterator[_Row]:
    days: dict[int, list[_Row]] = {}
    for row, one in zip(_rows(made), made.staffing.half_hours, strict=True):
        days.setdefault(int(one.half_hour.start_s // _DAY_S), []).append(row)
    for number, rows in days.items():
        busiest = max(rows, key=lambda row: row[2].agents)
        name = rows[0][0].split(" ")[0] if made.demand.begins else f"day {number + 1}"
        yield name, sum(row[1] for row in rows), busiest[2], busiest[3]


def _savings(made: Plan) -> Table:
    table = figures("What fewer calls would save (assumed)", _NAMES)
    said = {
        "answers": f"{made.saving.answered:.0%} of calls answered before (--answered)",
        "joining": f"{made.saving.joined:.0%} of calls are owed one already (--joined)",
        "both": "one after the other",
    }
    table.add_row("with neither", f"{made.staffing.most:,}", "agents in the busiest half-hour")
    for name, _, then in made.savings:
        table.add_row(
            _WAYS[name],
            f"{then.most:,}",
            f"{made.staffing.hours - then.hours:,.0f} agent-hours less: {said[name]}",
        )
    return table


def _sms(of: Sending) -> Table:
    table = figures("SMS", _NAMES)
    order = of.order
    table.add_row(
        "of the wave itself",
        f"{of.messages:,.0f}",
        f"{of.parts:,.0f} parts of {order.parts:g} each",
    )
    table.add_row(
        "parts a second at its busiest",
        f"{of.peak:,.1f}",
        f"{_routes(of.wave_routes)} of {order.pace:,g} parts a second (--pace) for it",
    )
    time = "never: the wave fills the routes" if of.campaign_s is None else lasting(of.campaign_s)
    table.add_row(
        f"a campaign to {order.audience:,} people",
        f"{of.campaign_parts:,.0f}",
        f"parts, in {time} over {_routes(order.routes)}; within {lasting(order.within_s)} it takes "
        f"{_routes(of.campaign_routes)}",
    )
    return table


def _system(of: Sizing) -> Table:
    table = figures("Services", _NAMES)
    for room, count in of.replicas.items():
        table.add_row(
            room, f"{count}", f"{of.busy[room]:.2f} cores busy at {of.calls_per_s:.1f} calls/s"
        )
    table.add_row(
        "partitions", f"{of.partitions}", "for a new system only: a live count never changes"
    )
    where = of.rates.machine
    when = (
        f"measured {of.rates.measured_at}"
        if of.rates.measured_at
        else ("the documented machine: `mawja calibrate` measures this one")
    )
    table.add_row("as fast as", "", f"{where} ({when})")
    if of.wave_is_full:
        table.add_row("", "", f"wave runs once and would be more than {FILLED:.0%} full")
    return table


def _routes(count: int) -> str:
    return "1 route" if count == 1 else f"{count} routes"
