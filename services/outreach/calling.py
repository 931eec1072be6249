"""When people are called back: how long an agent has a callback, how often and when it is tried
again, and which times are promised. Read from the section `callbacks` of the rules. Pure.

A call that nobody answered is made again at another part of the day: whoever is at work in the
morning may be at home in the evening. Within a part those who are tried again are spread, so that
they are not all due in its first minute.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import NamedTuple
from zlib import crc32
from zoneinfo import ZoneInfo

from services.runtime.spans import span_ms
from services.runtime.yaml_fields import Fields, fields_of

_PART = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-4]):([0-5][0-9])")
_DAYS = 3
_SHORTEST_PART = 60


class Window(NamedTuple):
    """A promised time of calling, and when within it the person is due. Unix ms."""

    from_ms: int
    until_ms: int
    due_ms: int


@dataclass(frozen=True, slots=True)
class Calling:
    """How people are called back. `parts`: of the day, (start, end) in minutes from midnight in
    `zone`, in order. `lease_ms`: how long a claim lasts. `tries`: calls that nobody answers until
    it is given up. `gap_ms`: shortest time between two tries. `urgent_ms`: the same where a life is
    in danger; those are never given up by count. `ahead_ms`: how long before its end a promise that
    nobody keeps is moved."""

    zone: ZoneInfo
    parts: tuple[tuple[int, int], ...]
    lease_ms: int = 600_000
    tries: int = 3
    gap_ms: int = 7_200_000
    urgent_ms: int = 300_000
    ahead_ms: int = 1_800_000

    def window(self, after_ms: int, tried_ms: Sequence[int], seed: str) -> Window:
        """The next part of a day to call in that begins after `after_ms`, one in which nobody has
        tried yet if there is any. `seed`: what is spread, e.g. the callback's id."""
        tried = {part for one in tried_ms if (part := self._part(one)) is not None}
        # All tried: then any of them again.
        tried = tried if len(tried) < len(self.parts) else set()
        first = datetime.fromtimestamp(after_ms / 1000, self.zone).date()
        for day in range(_DAYS):
            for number, (start, end) in enumerate(self.parts):
                from_ms = self._moment(first + timedelta(days=day), start)
                if number in tried or from_ms <= after_ms:
                    continue
                until_ms = self._moment(first + timedelta(days=day), end)
                # In its first half: somebody must still find time to call.
                spread = crc32(seed.encode()) % max(1, (until_ms - from_ms) // 2)
                return Window(from_ms, until_ms, from_ms + spread)
        raise AssertionError("every part begins once a day")

    def told(self, from_ms: int, until_ms: int) -> str:
        """A window as a message says it, in figures that all languages read."""
        start = datetime.fromtimestamp(from_ms / 1000, self.zone)
        end = datetime.fromtimestamp(until_ms / 1000, self.zone)
        return f"{start:%d/%m %H:%M}-{end:%H:%M}"

    def _part(self, at_ms: int) -> int | None:
        local = datetime.fromtimestamp(at_ms / 1000, self.zone)
        minute = local.hour * 60 + local.minute
        return next((n for n, (a, b) in enumerate(self.parts) if a <= minute < b), None)

    def _moment(self, day: date, minute: int) -> int:
        shown = datetime(day.year, day.month, day.day) + timedelta(minutes=minute)
        return int(shown.replace(tzinfo=self.zone).timestamp() * 1000)


_PARTS = ((8 * 60, 12 * 60), (12 * 60, 16 * 60), (16 * 60, 20 * 60))
DEFAULT = Calling(ZoneInfo("Asia/Dubai"), _PARTS)
"""Where the rules say nothing."""


def parse(text: str, file: str) -> Calling:
    """What the section `callbacks` of a file of rules says, whose `text` was read as rules already.
    Raises ConfigError naming `file`, line, field and rule."""
    fields = fields_of(text, file, "`centre` and `rules`").within("callbacks")
    found = Calling(
        zone=_zone(fields),
        parts=_parts(fields),
        lease_ms=_span(fields, "lease", DEFAULT.lease_ms, 60_000, 3_600_000),
        tries=int(fields.number("tries", 1, 20, whole=True, default=DEFAULT.tries)),
        gap_ms=_span(fields, "gap", DEFAULT.gap_ms, 60_000, 86_400_000),
        urgent_ms=_span(fields, "life-safety", DEFAULT.urgent_ms, 30_000, 3_600_000),
        ahead_ms=_span(fields, "move", DEFAULT.ahead_ms, 60_000, 7_200_000),
    )
    fields.finish()
    return found


def _zone(fields: Fields) -> ZoneInfo:
    try:
        return ZoneInfo(fields.text("zone", default=DEFAULT.zone.key))
    except (KeyError, ValueError, OSError):
        raise fields.wrong("zone", "must be a time zone of IANA, e.g. Asia/Dubai") from None


def _parts(fields: Fields) -> tuple[tuple[int, int], ...]:
    rule = "must be parts of a day of an hour or more, e.g. 08:00-12:00, one after the other"
    if "parts" not in fields.names():
        fields.node("parts")
        return DEFAULT.parts
    found: list[tuple[int, int]] = []
    for text in fields.texts("parts", _PART, rule):
        matched = _PART.fullmatch(text)
        assert matched is not None
        hour, minute, end_hour, end_minute = map(int, matched.groups())
        start, end = hour * 60 + minute, end_hour * 60 + end_minute
        if end - start < _SHORTEST_PART or end > 24 * 60 or (found and start < found[-1][1]):
            raise fields.wrong("parts", rule)
        found.append((start, end))
    return tuple(found)


def _span(fields: Fields, name: str, default_ms: int, low_ms: int, high_ms: int) -> int:
    if name not in fields.names():
        fields.node(name)
        return default_ms
    span = span_ms(fields.text(name))
    if span is None or not low_ms <= span <= high_ms:
        rule = f"must be a number and s, m, h or d, from {low_ms // 1000}s to {high_ms // 1000}s"
        raise fields.wrong(name, rule)
    return span
