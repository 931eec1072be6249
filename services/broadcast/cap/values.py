"""How CAP 1.2 writes each kind of value as text, and how it is read. Pure.

Reading refuses what CAP doesn't allow with a rule that says what to write instead; what stands
there is never repeated, for an alert may name people.
"""

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from services.broadcast.cap.model import UTC_OFFSET, Circle, Point, Reference

_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)([+-]\d\d:\d\d)", re.ASCII)
_NUMBER = re.compile(r"[+-]?(?:\d{1,15}(?:\.\d{0,30})?|\.\d{1,30})", re.ASCII)
_WHOLE = re.compile(r"[+-]?\d{1,18}", re.ASCII)
_TOKEN = re.compile(r'"([^"]*)"|([^\s"]+)')
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTE_MS = 60_000
_MAX_OFFSET_MINUTES = 14 * 60
DECIMALS = 9
"""Of a position or height that is kept: 0.1 mm on the ground."""

TIME_RULE = "must be a time like 2026-03-01T08:00:00+04:00; Z is not allowed, UTC is -00:00"
_POINT_RULE = "must hold points as latitude,longitude with blanks between them"


class Refused(ValueError):
    """A text that breaks the rule which is the message."""


@dataclass(frozen=True, slots=True)
class Codec:
    """Reads a value from an element's text (Refused when it can't) and writes it again."""

    read: Callable[[str], Any]
    write: Callable[[Any], str]


def offset_minutes(offset: str) -> int:
    """Minutes east of UTC of an offset like +04:00. Raises Refused."""
    hours, minutes = int(offset[1:3]), int(offset[4:6])
    total = hours * 60 + minutes
    if minutes > 59 or total > _MAX_OFFSET_MINUTES:
        raise Refused("must have an offset between -14:00 and +14:00")
    return -total if offset[0] == "-" else total


def read_moment(text: str) -> tuple[int, str]:
    """Unix ms, and the offset as it was written. Raises Refused."""
    found = _TIME.fullmatch(text.strip())
    if found is None:
        raise Refused(TIME_RULE)
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    try:
        local = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        raise Refused("must be a time that exists, with hours to 23 and seconds to 59") from None
    offset = found[7]
    since = (local - _EPOCH) // timedelta(milliseconds=1)
    return since - offset_minutes(offset) * _MINUTE_MS, offset


def write_moment(ms: int, offset: str = UTC_OFFSET) -> str:
    """The inverse of `read_moment`, for whole seconds."""
    local = _EPOCH + timedelta(milliseconds=ms, minutes=offset_minutes(offset))
    return f"{local:%Y-%m-%dT%H:%M:%S}{offset}"


def read_reference(text: str) -> Reference:
    """An alert's name, `sender,identifier,sent`. Raises Refused."""
    parts = text.split(",")
    if len(parts) != 3:
        raise Refused("must hold names as sender,identifier,sent with blanks between them")
    sent_ms, offset = read_moment(parts[2])
    return Reference(parts[0], parts[1], sent_ms, offset)


def write_reference(reference: Reference) -> str:
    """The inverse of `read_reference`."""
    sent = write_moment(reference.sent_ms, reference.offset)
    return f"{reference.sender},{reference.identifier},{sent}"


def read_words(text: str) -> tuple[str, ...]:
    """Words with blanks between them, one with blanks inside in quotes. Raises Refused."""
    if _TOKEN.sub("", text).strip():
        raise Refused('must close every quote: words with blanks inside stand in "..."')
    return tuple(quoted or plain for quoted, plain in _TOKEN.findall(text))


def write_words(words: tuple[str, ...]) -> str:
    """The inverse of `read_words`."""
    return " ".join(f'"{word}"' if word.split() != [word] else word for word in words)


def read_number(text: str) -> float:
    """A decimal, rounded to 9 decimals. Raises Refused."""
    if not _NUMBER.fullmatch(text.strip()):
        raise Refused("must be a decimal number like 24.4539")
    return round(float(text), DECIMALS)


def write_number(number: float) -> str:
    """The inverse of `read_number`, without an exponent."""
    whole, _, decimals = f"{number:.{DECIMALS}f}".partition(".")
    decimals = decimals.rstrip("0")
    return f"{whole}.{decimals}" if decimals else whole


def _read_point(text: str) -> Point:
    parts = text.split(",")
    if len(parts) != 2:
        raise Refused(_POINT_RULE)
    return read_number(parts[0]), read_number(parts[1])


def _write_point(point: Point) -> str:
    return f"{write_number(point[0])},{write_number(point[1])}"


def _read_polygon(text: str) -> tuple[Point, ...]:
    return tuple(map(_read_point, text.split()))


def _write_polygon(points: tuple[Point, ...]) -> str:
    return " ".join(map(_write_point, points))


def _read_circle(text: str) -> Circle:
    parts = text.split()
    if len(parts) != 2:
        raise Refused("must be latitude,longitude, a blank, and a radius in km")
    latitude, longitude = _read_point(parts[0])
    return Circle(latitude, longitude, read_number(parts[1]))


def _write_circle(circle: Circle) -> str:
    centre = _write_point((circle.latitude, circle.longitude))
    return f"{centre} {write_number(circle.radius_km)}"


def _read_whole(text: str) -> int:
    if not _WHOLE.fullmatch(text.strip()):
        raise Refused("must be a whole number of at most 18 digits")
    return int(text)


def _read_content(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise Refused("must be base64") from None


def enum_codec(kind: type[StrEnum]) -> Codec:
    """One of a closed list, in exactly its letters."""

    def read(text: str) -> StrEnum:
        try:
            return kind(text)
        except ValueError:
            raise Refused(f"must be exactly one of {', '.join(kind)}") from None

    return Codec(read, str)


TEXT = Codec(str, str)
WORD = Codec(lambda text: " ".join(text.split()), str)
"""Blanks around it don't count: a language, a URI."""
MOMENT = Codec(read_moment, lambda moment: write_moment(*moment))
UTC_MS = Codec(lambda text: read_moment(text)[0], write_moment)
WORDS = Codec(read_words, write_words)
REFERENCES = Codec(
    lambda text: tuple(map(read_reference, text.split())),
    lambda references: " ".join(map(write_reference, references)),
)
NUMBER = Codec(read_number, write_number)
WHOLE = Codec(_read_whole, str)
CONTENT = Codec(_read_content, lambda content: base64.b64encode(content).decode("ascii"))
POLYGON = Codec(_read_polygon, _write_polygon)
CIRCLE = Codec(_read_circle, _write_circle)
