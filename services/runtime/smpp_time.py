"""Times as SMPP 3.4 writes them: an instant, or a time from the arrival of the message. Pure.

Source: SMPP v3.4 issue 1.2, 7.1.1.
"""

import datetime
import re
from functools import lru_cache

_TIME = re.compile(r"(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d)(\d\d)([-+R])")
_MAX_RELATIVE_DAYS = 31


# The messages of a campaign share their end.
@lru_cache(maxsize=256)
def absolute_time(unix_s: float) -> str:
    """``YYMMDDhhmmsst00+``: an instant in UTC, to the tenth of a second (rounded down)."""
    tenths = int(unix_s * 10)
    moment = datetime.datetime.fromtimestamp(tenths // 10, datetime.UTC)
    return f"{moment:%y%m%d%H%M%S}{tenths % 10}00+"


def relative_time(seconds: int) -> str:
    """``0000DDhhmmss000R``: seconds from arrival, up to 31 days; ValueError beyond."""
    if seconds < 0 or seconds > _MAX_RELATIVE_DAYS * 86_400:
        raise ValueError("a relative validity period is 0 s to 31 days; use an absolute one")
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    return f"0000{days:02d}{hour:02d}{minute:02d}{second:02d}000R"


def read_time(value: str, now_unix_s: float) -> float | None:
    """The instant (Unix seconds) that an SMPP time names; None if empty; ValueError if broken."""
    if not value:
        return None
    match = _TIME.fullmatch(value)
    if match is None:
        raise ValueError("an SMPP time is 16 characters: YYMMDDhhmmsstnnp")
    year, month, day, hour, minute, second, tenth, quarters = map(int, match.groups()[:8])
    sign = match[9]
    if sign == "R":
        days = year * 365 + month * 30 + day
        return now_unix_s + days * 86_400 + hour * 3600 + minute * 60 + second
    moment = datetime.datetime(2000 + year, month, day, hour, minute, second, tzinfo=datetime.UTC)
    offset = quarters * 900 * (1 if sign == "+" else -1)
    return moment.timestamp() + tenth / 10 - offset
