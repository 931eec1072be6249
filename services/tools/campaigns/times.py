"""Times as people write them: a day and hour, in any zone, or how long ago. Pure."""

import re
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

from services.runtime.spans import span_ms

A_TIME = "must be a time, e.g. 2026-11-22 18:00 or 2026-11-22T18:00+04:00"
_ZONED = re.compile(r"(.*\S)\s+([A-Z][A-Za-z_]+(?:/[A-Za-z0-9_+-]+)*)")


def time_ms(given: str, zone: tzinfo | None = None) -> int:
    """A time as Unix time in milliseconds. `zone`: of times that name none; None is the machine's.

    Raises ValueError saying the rule that it breaks.
    """
    text = given.strip()
    if (zoned := _ZONED.fullmatch(text)) is not None:
        text = zoned[1]
        try:
            zone = ZoneInfo(zoned[2])
        except (KeyError, ValueError, OSError):
            raise ValueError("names a time zone that is not known") from None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(A_TIME) from None
    if len(text) <= len("2026-11-22"):
        raise ValueError("must say the hour too, e.g. 2026-11-22 18:00")
    if time.tzinfo is None:
        time = time.astimezone() if zone is None else time.replace(tzinfo=zone)
    return int(time.astimezone(UTC).timestamp() * 1000)


def past_ms(given: str, now_ms: int, zone: tzinfo | None = None) -> int:
    """The same, or so long before `now_ms`: 90s, 20m, 36h or 7d. Raises ValueError likewise."""
    ago = span_ms(given.strip())
    if ago is not None:
        return now_ms - ago
    try:
        return time_ms(given, zone)
    except ValueError as error:
        if str(error) != A_TIME:
            raise
        raise ValueError(f"must be how long ago, e.g. 2h, 30m or 3d; or {A_TIME[8:]}") from None
