"""How figures, times and people's words are written for a terminal, and messages for a program.
Pure.

What people wrote (names, reasons, texts) may be in any script. Arabic stands between isolates
(UAX #9), so that it runs right to left by itself and takes nothing beside it along; a terminal that
knows no directions shows the letters in their order, and no line is longer for it. Control
characters and other marks of direction are taken out: nobody's words may move a cursor.
"""

import unicodedata
from datetime import UTC, datetime, tzinfo
from typing import Any

from google.protobuf.message import Message

FSI, PDI = "\u2068", "\u2069"
_MARKS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c")
_RIGHT_TO_LEFT = frozenset({"R", "AL", "AN"})
_S, _MIN, _H, _DAY = 1_000, 60_000, 3_600_000, 24 * 3_600_000


def said(text: str) -> str:
    """What a person wrote, in one line."""
    spaced = "".join(" " if char in "\r\n\t\u2028\u2029" else char for char in text)
    line = "".join(
        char
        for char in spaced
        if char not in _MARKS and unicodedata.category(char) not in ("Cc", "Cs")
    )
    if any(unicodedata.bidirectional(char) in _RIGHT_TO_LEFT for char in line):
        return f"{FSI}{line}{PDI}"
    return line


def said_lines(text: str) -> list[str]:
    """The same line by line."""
    return [said(line) for line in text.splitlines()] or [""]


def when(at_ms: int, zone: tzinfo | None = None) -> str:
    """A Unix time in milliseconds, e.g. "2026-11-22 18:00 +04". `zone` None: this machine's."""
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(zone):%Y-%m-%d %H:%M %Z}"


def hour(at_ms: int, zone: tzinfo | None = None) -> str:
    """Only its hour, e.g. "18:00:05 +04"."""
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(zone):%H:%M:%S %Z}"


def lasting(ms: int) -> str:
    """A time that passes, to what a person can use: "40 s", "12 min", "3 h 5 min", "2 d 4 h"."""
    if ms < _MIN:
        return f"{max(0, -(-ms // _S))} s"
    if ms < _H:
        return f"{-(-ms // _MIN)} min"
    minutes = -(-ms // _MIN)
    days, hours, rest = minutes // 1440, minutes // 60 % 24, minutes % 60
    first, second = ((days, "d"), (hours, "h")) if days else ((hours, "h"), (rest, "min"))
    return f"{first[0]} {first[1]}" + (f" {second[0]} {second[1]}" if second[0] else "")


def name_of(message: Message, field: str) -> str:
    """The value of an enum's field, e.g. "under way"."""
    value = _value(message.DESCRIPTOR.fields_by_name[field], getattr(message, field))
    return str(value).replace("_", " ")


def as_dict(message: Message) -> dict[str, Any]:
    """A message for `--json`: every field by its proto's name, numbers as numbers, bytes in hex,
    enums as their lower-case name. What is unset and could be told from empty is left out."""
    told: dict[str, Any] = {}
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            told[field.name] = dict(sorted(value.items()))
        elif field.is_repeated:
            told[field.name] = [_value(field, one) for one in value]
        elif not field.has_presence or message.HasField(field.name):
            told[field.name] = _value(field, value)
    return told


def _value(field: Any, value: Any) -> Any:
    if isinstance(value, Message):
        return as_dict(value)
    if isinstance(value, bytes):
        return value.hex()
    if field.enum_type is not None:
        prefix = field.enum_type.values_by_number[0].name.removesuffix("UNSPECIFIED")
        known = field.enum_type.values_by_number.get(value)
        return known.name.removeprefix(prefix).lower() if known is not None else str(value)
    return value
