"""A scorecard for a page and for files. Pure."""

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.json_format import MessageToDict
from mawja.reports.v1.service_pb2 import Figures, Scorecard

from services.console.catalogue import Catalogue
from services.console.report.asked import Asked

FIGURES = tuple(field.name for field in Figures.DESCRIPTOR.fields)
_FORMULAS = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class Cell:
    """A figure: `value` None where nothing was measured; `met` whether what is promised is kept,
    None where nothing is."""

    name: str
    value: float | None
    met: bool | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A group: a name, or the start of an hour (Unix ms)."""

    name: str
    hour_ms: int
    cells: dict[str, Cell]


@dataclass(frozen=True, slots=True)
class Card:
    """What a page shows."""

    whole: dict[str, Cell]
    rows: Sequence[Row]
    others: int
    made_ms: int


def shown(card: Scorecard, by: str, names: Catalogue, say: Callable[[str], str]) -> Card:
    """The card with groups by their names: hours in their order, all else the largest first."""
    rows = [
        Row(_name(group.code, by, names, say), group.hour_ms, _cells(group.figures, card))
        for group in card.groups
    ]
    rows.sort(key=lambda row: (row.hour_ms, -(row.cells["contacts"].value or 0), row.name))
    return Card(_cells(card.whole, card), rows, card.others, card.made_ms)


def _name(code: str, by: str, names: Catalogue, say: Callable[[str], str]) -> str:
    if by == "agency":
        return names.agency(code)
    return names.language(code, say) if by == "language" and code else code


def _cells(figures: Figures, card: Scorecard) -> dict[str, Cell]:
    targets = {target.figure: target for target in card.targets}
    found = {}
    for name in FIGURES:
        value = _value(figures, name)
        target = targets.get(name)
        met: bool | None = None
        if target is not None and value is not None:
            met = (not target.HasField("least") or value >= target.least) and (
                not target.HasField("most") or value <= target.most
            )
        found[name] = Cell(name, value, met)
    return found


def _value(figures: Figures, name: str) -> float | None:
    field = Figures.DESCRIPTOR.fields_by_name[name]
    present = {one.name: value for one, value in figures.ListFields()}
    return present.get(name, None if field.has_presence else 0)


def as_csv(card: Scorecard, by: str) -> str:
    """One line for each group and one for the whole ("*"); an empty cell was not measured. With a
    mark of UTF-8, without which spreadsheets garble Arabic."""
    out = io.StringIO()
    out.write("\ufeff")
    write = csv.writer(out)
    write.writerow([by, *FIGURES])
    for group in card.groups:
        key = str(group.hour_ms) if by == "hour" else _harmless(group.code)
        write.writerow([key, *_plain(group.figures)])
    write.writerow(["*", *_plain(card.whole)])
    return out.getvalue()


def _plain(figures: Figures) -> list[Any]:
    values = (_value(figures, name) for name in FIGURES)
    return ["" if value is None else value for value in values]


def _harmless(text: str) -> str:
    """A spreadsheet takes what begins so for a formula."""
    return f"'{text}" if text.startswith(_FORMULAS) else text


def as_json(card: Scorecard, asked: Asked) -> str:
    """For a program: shares 0 to 1, times in Unix ms; what is left out was not measured."""
    told = {
        "since_ms": asked.since_ms or None,
        "until_ms": asked.until_ms or None,
        "by": asked.by,
        "drill": asked.drill,
        **MessageToDict(
            card, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        ),
    }
    return json.dumps(told, indent=2, ensure_ascii=False) + "\n"
