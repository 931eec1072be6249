"""When a drill begins, and when again. Pure.

Times of day are those of the place: a weekly drill at nine stays at nine when the clocks change.
"""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta

from services.runtime.errors import ConfigError

_TIME = re.compile(r"(\d{1,2}):(\d{2})")
_EVERY = {
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(weeks=1),
}
_COUNTED = re.compile(r"(\d{1,3})([hdw])")
_UNITS = {"h": "hour", "d": "day", "w": "week"}


def begins(at: str, now: datetime) -> datetime:
    """The first beginning at or after `now` (both in the time of the place, without zone): "" is
    now, HH:MM the next such time of day, else an ISO time. Raises ConfigError."""
    if not at:
        return now
    if found := _TIME.fullmatch(at.strip()):
        hour, minute = int(found[1]), int(found[2])
        if hour > 23 or minute > 59:
            raise ConfigError(f"--at {at}: there is no such time of day")
        today = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
        return today if today >= now else today + timedelta(days=1)
    try:
        given = datetime.fromisoformat(at.strip())
    except ValueError:
        raise ConfigError(f"--at {at}: write HH:MM or 2026-11-29T09:00") from None
    if given.tzinfo is not None:
        given = given.astimezone().replace(tzinfo=None)
    if given < now:
        raise ConfigError(f"--at {at} is over; give a time that is still to come")
    return given


def interval(every: str) -> timedelta | None:
    """How long from one beginning to the next; None for "". Raises ConfigError."""
    if not every:
        return None
    text = every.strip().lower()
    if found := _COUNTED.fullmatch(text):
        if int(found[1]):
            return _EVERY[_UNITS[found[2]]] * int(found[1])
    elif text in _EVERY:
        return _EVERY[text]
    raise ConfigError(f"--every {every}: write hour, day, week, or a number of them: 12h, 2d, 1w")


def following(begun: datetime, every: timedelta, now: datetime) -> datetime:
    """The next beginning after `now`, a whole number of `every` after `begun`: what a long drill
    has run over is left out."""
    return next(one for one in _from(begun, every) if one > now)


def _from(begun: datetime, every: timedelta) -> Iterator[datetime]:
    at = begun
    while True:
        at += every
        yield at
