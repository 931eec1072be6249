"""A scorecard for a terminal, narrow ones too, and for a program. Pure.

Codes stand first and people's words, in whatever script, last in their line, between isolates, so
that nothing can be displaced by them.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from services.tools.campaigns.words import said
from services.tools.scorecards.figures import CONTRACT, DEFINITIONS, TARGETS, Card
from services.tools.scorecards.grouping import By

_WIDEST = 10_000
_NOT_KNOWN = "(not known)"
_LEVELS = {
    "answered_share": "answered",
    "answered_in_20s_share": "  within 20 s",
    "mean_wait_s": "mean speed of answer",
    "p90_wait_s": "  90 % within",
    "mean_handling_s": "mean handling",
    "handled_in_4min_share": "  within 4 min",
    "first_contact_resolved_share": "resolved at first contact",
    "satisfaction": "satisfaction",
}
_HEADS = {
    "dialled": "dialled",
    "needs": "needs",
    "answered_share": "answered",
    "answered_in_20s_share": "≤ 20 s",
    "mean_wait_s": "wait",
    "p90_wait_s": "90 %",
    "mean_handling_s": "handled",
    "first_contact_resolved_share": "1st contact",
    "satisfaction": "of 5",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What a scorecard is of. `since_ms`, `until_ms`: Unix ms, 0 for no limit. `others`: contacts
    that are rehearsals where real ones were asked for, or the other way round."""

    by: By
    since_ms: int
    until_ms: int
    drill: bool
    zone: tzinfo
    zone_name: str
    others: int = 0


def as_dict(card: Card, asked: Asked) -> dict[str, Any]:
    """For a program: every figure, null where nothing was measured; shares 0 to 1, seconds."""
    return {
        "since_ms": asked.since_ms or None,
        "until_ms": asked.until_ms or None,
        "zone": asked.zone_name,
        "drill": asked.drill,
        "by": asked.by,
        "targets": {
            name: {
                **({} if target.least is None else {"least": target.least}),
                **({} if target.most is None else {"most": target.most}),
            }
            for name, target in TARGETS.items()
        },
        "targets_from": CONTRACT,
        "definitions": dict(DEFINITIONS),
        "whole": card.whole.figures(),
        "groups": [
            {"group": key, **card.groups[key].figures()}
            for key in sorted(card.groups, key=lambda key: (str(type(key)), key))
        ],
    }


def render(
    card: Card, asked: Asked, width: int, names: Mapping[str, Sequence[str]]
) -> list[RenderableType]:
    """For a terminal of `width` columns. `names`: what codes of groups are called."""
    lines: list[RenderableType] = [_head(asked)]
    whole = card.whole.figures()
    if not card.whole.contacts:
        kind = "rehearsal" if asked.drill else "real contact"
        lines.append(Text(f"No {kind} came in this time."))
        if asked.others:
            other = "real ones; leave --drill out" if asked.drill else "of rehearsals; give --drill"
            lines.append(Text(f"{asked.others:,} contacts are {other} to see them."))
        return lines
    lines += [_demand(whole), _levels(whole)]
    if len(card.groups) > 1 or (card.groups and set(card.groups) != {""}):
        in_order = sorted(card.groups, key=lambda key: _place(key, card))
        lines.append(Text(f"\nBy {asked.by}", style="bold"))
        table = _table(card, asked, in_order, names)
        # A table that is too wide would cut its figures: then each group has lines of its own.
        wide = Console(width=_WIDEST).measure(table).maximum
        lines += [table] if wide <= width else _blocks(card, asked, in_order, names)
    return lines


def _head(asked: Asked) -> Text:
    mark = (" DRILL ", "black on yellow") if asked.drill else (" LIVE ", "bold white on red")
    since = _time(asked.since_ms, asked) if asked.since_ms else "the beginning"
    until = _time(asked.until_ms, asked) if asked.until_ms else "now"
    return Text.assemble(mark, f" from {since} to {until}, {asked.zone_name}")


def _time(at_ms: int, asked: Asked) -> str:
    at = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(asked.zone)
    return f"{at:%Y-%m-%d %H:%M}"


def _demand(whole: Mapping[str, Any]) -> Table:
    table = _figures("Demand")
    table.add_row("people", f"{whole['people']:,}", _more(whole["withheld"], "withheld numbers"))
    table.add_row("needs (true demand)", f"{whole['needs']:,}", "")
    table.add_row("contacts, by any channel", f"{whole['contacts']:,}", "")
    table.add_row("calls dialled", f"{whole['dialled']:,}", "")
    table.add_row("  answered", f"{whole['answered']:,}", "")
    table.add_row("  abandoned", f"{whole['abandoned']:,}", "")
    table.add_row("  open, or not reported", f"{whole['open']:,}", "")
    return table


def _levels(whole: Mapping[str, Any]) -> Table:
    table = _figures("Service levels")
    for name, words in _LEVELS.items():
        table.add_row(words, _shown(name, whole[name]), _promised(name, whole))
    return table


def _figures(title: str) -> Table:
    table = Table(
        title=f"\n{title}", title_justify="left", title_style="bold", show_header=False, box=None
    )
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column()
    return table


def _more(count: int, what: str) -> str:
    return f"and {count:,} needs of {what}" if count else ""


def _promised(name: str, whole: Mapping[str, Any]) -> str:
    target = TARGETS.get(name)
    if name == "satisfaction":
        return (
            "of 5; nobody answered" if not whole["scores"] else f"of 5; {whole['scores']:,} answers"
        )
    if target is None:
        return ""
    if target.least is not None:
        return f"target ≥ {target.least:.0%}"
    return f"target ≤ {target.most:.0f} s"


def _shown(name: str, value: float | None) -> Text:
    if value is None:
        return Text("–")
    if name.endswith("_share"):
        text = f"{value:.1%}"
    elif name.endswith("_s"):
        text = f"{value:,.1f} s"
    elif name == "satisfaction":
        text = f"{value:.2f}"
    else:
        text = f"{value:,}"
    target = TARGETS.get(name)
    return Text(text, style="" if target is None or target.met(value) else "yellow")


def _place(key: Hashable, card: Card) -> tuple[float, str]:
    """Hours in their order, everything else the largest first."""
    if isinstance(key, int):
        return key, ""
    return -card.groups[key].contacts, str(key)


def _label(key: Hashable, asked: Asked) -> str:
    return _time(key, asked) if isinstance(key, int) else str(key) or _NOT_KNOWN


def _name(key: Hashable, names: Mapping[str, Sequence[str]]) -> str:
    return " · ".join(said(one) for one in names.get(str(key), ()))


def _table(
    card: Card, asked: Asked, keys: Sequence[Hashable], names: Mapping[str, Sequence[str]]
) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column(asked.by, no_wrap=True)
    for head in _HEADS.values():
        table.add_column(head, justify="right", no_wrap=True)
    if names:
        table.add_column("", no_wrap=True)
    for key in keys:
        found = card.groups[key].figures()
        row: list[str | Text] = [_label(key, asked)]
        row += [_shown(name, found[name]) for name in _HEADS]
        table.add_row(*row, *([_name(key, names)] if names else []))
    return table


def _blocks(
    card: Card, asked: Asked, keys: Sequence[Hashable], names: Mapping[str, Sequence[str]]
) -> list[RenderableType]:
    lines: list[RenderableType] = []
    for key in keys:
        found = card.groups[key].figures()
        name = _name(key, names)
        lines.append(Text(_label(key, asked) + (f" {name}" if name else ""), style="bold"))
        text = Text()
        for at, (figure, head) in enumerate(_HEADS.items()):
            text.append(f"{', ' if at else ''}{head} ")
            text.append_text(_shown(figure, found[figure]))
        lines.append(Padding(text, (0, 0, 0, 2)))
    return lines
