"""Until when a message must wait for quiet hours to end. Pure.

A clock on the recipient's wall decides: hours run from a minute of the day until another, past
midnight or not. Of a recipient whose zone is not sure it must be open in every zone that it may be.
An hour that the clocks skip counts as the one before the change does, an hour that comes twice is
quiet both times.
"""

from collections.abc import Iterable, Sequence
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from services.broadcast.rules.book import Quiet

_DAY_MIN = 24 * 60
_MOST_WAIT_MS = 45 * 24 * 3600 * 1000
"""Longer than the longest period (a lunar month) and any message's life (7 days)."""


def open_from(rules: Sequence[Quiet], zones: Iterable[ZoneInfo], now_ms: int) -> int | None:
    """The first moment from `now_ms` on (Unix ms) at which none of `rules` is quiet in any of
    `zones`: `now_ms` itself when it is open. None when there is no such moment for 45 days."""
    zones = tuple(zones)
    at_ms = now_ms
    while at_ms - now_ms <= _MOST_WAIT_MS:
        ends = [end for zone in zones if (end := _quiet_until(rules, zone, at_ms)) is not None]
        if not ends:
            return at_ms
        at_ms = max(ends)
    return None


def _quiet_until(rules: Sequence[Quiet], zone: ZoneInfo, at_ms: int) -> int | None:
    """The latest end of the hours that `at_ms` lies in; None when it lies in none."""
    local = datetime.fromtimestamp(at_ms // 1000, zone)
    minute, today = local.hour * 60 + local.minute, local.date()
    latest: int | None = None
    for rule in rules:
        for day, since in ((today, minute), (today - timedelta(days=1), minute + _DAY_MIN)):
            if rule.begin <= since < rule.end and rule.begins_on(day):
                end = _moment(day, rule.end, zone, at_ms)
                latest = end if latest is None else max(latest, end)
    return latest


def _moment(day: date, minute: int, zone: ZoneInfo, after_ms: int) -> int:
    """The first moment after `after_ms` (Unix ms) at which clocks in `zone` show `minute` counted
    from the midnight at which `day` began."""
    shown = datetime.combine(day, time()) + timedelta(minutes=minute)
    moments = (shown.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    times = sorted(int(moment.timestamp()) * 1000 for moment in moments)
    return next((one for one in times if one > after_ms), after_ms + 60_000)
