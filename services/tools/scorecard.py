"""The account of a surge as a person reads it on a terminal. Pure."""

from collections.abc import Mapping
from typing import Any, cast

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from services.tools.screen import complaints, figures

_NAMES = 34
_TARGETS = {
    "answered": ("answered", 0.90),
    "answered_within_20s": ("answered within 20 s", None),
    "handled_within_4min": ("handled within 4 min", None),
    "resolved_at_first_contact": ("resolved at first contact", 0.90),
}


def render(report: Mapping[str, Any]) -> RenderableType:
    """The scorecard of a surge report."""
    messages = cast(Mapping[str, int], report["messages"])
    parts: list[RenderableType] = [_demand(report), _messages(messages)]
    levels = cast(Mapping[str, float | int | None], report["service_levels"])
    if levels.get("offered"):
        parts.append(_levels(levels))
    if "passes" in report:
        parts.append(_passes(cast(list[Mapping[str, int]], report["passes"])))
    parts.append(_speed(report))
    parts.append(_ledger(report))
    parts += complaints(cast(list[str], report["problems"]))
    return Group(*parts)


def _demand(report: Mapping[str, Any]) -> Table:
    table = figures("Demand", _NAMES)
    table.add_row("calls and messages", f"{report['calls']:,}", "")
    table.add_row("dialled, with redials", f"{report['dialled']:,}", "")
    table.add_row("accepted", f"{report['accepted']:,}", f"{report['refused']:,} refused")
    table.add_row("people", f"{report['people']:,}", "")
    table.add_row(
        "cases", f"{report['cases']:,}", f"{report['merged']:,} contacts joined one they had"
    )
    table.add_row("callbacks that keep the place", f"{report['callbacks']:,}", "")
    return table


def _messages(messages: Mapping[str, int]) -> Table:
    table = figures("SMS", _NAMES)
    table.add_row("asked for", f"{messages['requested']:,}", "")
    for name in ("delivered", "failed", "unknown", "suppressed", "expired", "waiting"):
        if messages[name] or name == "delivered":
            table.add_row(f"  {name}", f"{messages[name]:,}", "")
    return table


def _levels(levels: Mapping[str, float | int | None]) -> Table:
    table = figures("Service levels", _NAMES)
    for name, (words, target) in _TARGETS.items():
        value = levels.get(name)
        if value is None:
            continue
        wanted = f"target {target:.0%}" if target else ""
        met = target is None or value >= target
        table.add_row(words, Text(f"{value:.1%}", style="" if met else "yellow"), wanted)
    return table


def _passes(passes: list[Mapping[str, int]]) -> Table:
    table = Table(title="Passes", title_justify="left", title_style="bold", box=None)
    for column in ("pass", "sent", "contacts added", "cases added", "SMS added", "delivered"):
        table.add_column(column, justify="right")
    for number, one in enumerate(passes, start=1):
        table.add_row(
            str(number),
            f"{one['contacts_sent']:,}",
            f"{one['contacts_added']:,}",
            f"{one['cases_added']:,}",
            f"{one['messages_added']:,}",
            f"{one['delivered_added']:,}",
        )
    return table


def _speed(report: Mapping[str, Any]) -> Table:
    table = figures("Speed", _NAMES)
    table.add_row(
        "whole surge",
        f"{report['elapsed_s']:,.0f} s",
        f"time compressed {report['time_compression']:,.0f} times",
    )
    table.add_row("accepted", f"{report['accepted_per_s']:,.0f} /s", "")
    table.add_row(
        "intake, from the scheduled instant",
        f"{report['intake_p50_ms']:,.0f} ms",
        f"p99 {report['intake_p99_ms']:,.0f} ms",
    )
    table.add_row(
        "contact to delivered SMS",
        f"{report['end_to_end_p50_s']:,.1f} s",
        f"p99 {report['end_to_end_p99_s']:,.1f} s",
    )
    return table


def _ledger(report: Mapping[str, Any]) -> Table:
    table = figures("Ledger", _NAMES)
    for name in ("lost", "duplicate_cases", "duplicate_messages", "false_merges"):
        count = cast(int, report[name])
        style = "bold green" if count == 0 else "bold red"
        table.add_row(name.replace("_", " "), Text(f"{count:,}", style=style), "")
    if not report["problems"]:
        table.add_row("every contact and message", Text("in one bucket", style="green"), "")
    return table
