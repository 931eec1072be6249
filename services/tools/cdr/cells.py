"""What the cells of a call's record say: times, durations, outcomes. Pure.

Each reader gives a value, None for an empty cell, or raises BadCell with the rule that is broken,
which never repeats what the cell holds.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Literal

from services.broadcast.audiences.headings import folded

LONGEST_MS = 86_400_000
"""A call lasts a day at most; intake's own limit."""
Order = Literal["dmy", "mdy"]
_DIGITS = str.maketrans("٠١٢٣٤٥٦٧٨٩۰۱۲۳۴۵۶۷۸۹٫", "01234567890123456789.")
_HIDDEN = re.compile(r"[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\u061c]")
_EPOCH = re.compile(r"([0-9]{10})(?:\.([0-9]{1,6}))?|([0-9]{13})")
_NUMERIC = re.compile(
    r"([0-9]{1,2})[/.-]([0-9]{1,2})[/.-]([0-9]{4}|[0-9]{2})(?:[,T\s]+(.+))?", re.ASCII
)
_CLOCK = re.compile(
    r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]{1,6}))?)?\s*([ap]\.?m\.?|ص|م)?", re.I
)
_DURATION = re.compile(
    r"(?:(?:([0-9]{1,3}) days?, )?([0-9]{1,4}):)?([0-9]{1,3}):([0-9]{2})(?:[.,]([0-9]{1,6}))?"
)
_SECONDS = re.compile(r"([0-9]{1,8})(?:[.,]([0-9]{1,6}))?\s*(?:s|sec|secs|seconds|ث)?", re.I)
_NAMED = ("%d-%b-%Y", "%d %b %Y", "%d-%b-%y", "%b %d %Y", "%d %B %Y", "%B %d %Y")


def _listed(words: str) -> frozenset[str]:
    return frozenset(words.split(";"))


_OUTCOMES: Mapping[str, frozenset[str]] = {
    "answered": _listed(
        "answered;answer;connected;completed;handled;success;yes;y;true;1;agent;مجابه;تم الرد;نعم"
    ),
    # Whoever hears a busy tone was not answered either.
    "abandoned": _listed(
        "abandoned;abandon;aband;missed;no answer;noanswer;no-answer;not answered;unanswered;lost;"
        "cancelled;canceled;busy;failed;congestion;hang;hangup;no;n;false;0;"
        "متروكه;فائته;لم يرد;لم يتم الرد;لا"
    ),
}
_ENDS: Mapping[str, frozenset[str]] = {
    "resolved": _listed("resolved;solved;closed;yes;y;true;1;fcr;تم الحل;محلوله;نعم"),
    "unresolved": _listed("unresolved;not resolved;open;pending;no;n;false;0;لم يحل;غير محلوله;لا"),
    "transferred": _listed("transferred;transfer;escalated;محوله;تحويل"),
}
MEANS = (*_OUTCOMES, *_ENDS)
"""What a word of a column may be said to mean."""
_WITHHELD = _listed(
    "anonymous;withheld;private;unknown;restricted;unavailable;hidden;n/a;-;محجوب;مجهول"
)


class BadCell(ValueError):
    """A cell that says nothing that can be used; the message is the rule."""


def plain(cell: str) -> str:
    """Without marks that nobody sees, Arabic digits as the others."""
    return _HIDDEN.sub("", cell).translate(_DIGITS).strip()


def order_of(cell: str) -> tuple[bool, bool] | None:
    """Whether a date of figures can begin with the day, and with the month; None for another."""
    match = _NUMERIC.fullmatch(plain(cell))
    if match is None:
        return None
    first, second = int(match[1]), int(match[2])
    return first <= 31 and second <= 12, first <= 12 and second <= 31


class Times:
    """Reads times. `zone`: of those that name none. `order`: of dates such as 03/04/2026."""

    def __init__(self, zone: tzinfo, order: Order = "dmy") -> None:
        self._zone = zone
        self._order = order

    def read(self, cell: str) -> int | None:
        """Unix time in milliseconds."""
        text = plain(cell)
        if not text:
            return None
        match = _EPOCH.fullmatch(text)
        if match is not None:
            return int(match[3]) if match[3] else int(match[1]) * 1000 + _ms(match[2])
        at = self._iso(text) or self._numeric(text) or self._named(text)
        if at is None:
            raise BadCell("is no time that can be read, such as 2026-11-22 18:00:05")
        if at.tzinfo is None:
            at = at.replace(tzinfo=self._zone)
        return round(at.astimezone(UTC).timestamp() * 1000)

    def _iso(self, text: str) -> datetime | None:
        if len(text) < 12 or not text[:4].isdigit():
            return None
        try:
            return datetime.fromisoformat(text.replace("/", "-", 2))
        except ValueError:
            date, _, clock = text.replace("/", "-", 2).partition(" ")
            try:
                return _with_clock(datetime.fromisoformat(date), clock)
            except ValueError:
                return None

    def _numeric(self, text: str) -> datetime | None:
        match = _NUMERIC.fullmatch(text)
        if match is None:
            return None
        day, month = int(match[1]), int(match[2])
        if self._order == "mdy":
            day, month = month, day
        year = int(match[3]) if len(match[3]) == 4 else 2000 + int(match[3])
        try:
            return _with_clock(datetime(year, month, day), match[4] or "")
        except ValueError:
            return None

    def _named(self, text: str) -> datetime | None:
        at = _CLOCK.search(text)
        if at is None or not re.search("[A-Za-z]{3}", text[: at.start()]):
            return None
        date = text[: at.start()].replace(",", " ").strip()
        for form in _NAMED:
            try:
                return _with_clock(
                    datetime.strptime(" ".join(date.split()), form), text[at.start() :]
                )
            except ValueError:
                continue
        return None


def _with_clock(day: datetime, clock: str) -> datetime | None:
    match = _CLOCK.fullmatch(clock.strip())
    if match is None:
        return None
    hour, half = int(match[1]), (match[5] or "").lower().replace(".", "")
    if half:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if half in ("pm", "م") else 0)
    ms = _ms(match[4])
    return day.replace(hour=hour, minute=int(match[2]), second=int(match[3] or 0)) + timedelta(
        milliseconds=ms
    )


def _ms(fraction: str | None) -> int:
    return int((fraction or "").ljust(3, "0")[:3])


def duration_ms(cell: str) -> int | None:
    """A duration in seconds (75, 75.5), as m:ss or h:mm:ss, in milliseconds."""
    text = plain(cell)
    if not text or text == "-":
        return None
    match = _SECONDS.fullmatch(text)
    if match is not None:
        ms = int(match[1]) * 1000 + _ms(match[2])
    else:
        match = _DURATION.fullmatch(text)
        if match is None or int(match[4]) > 59 or (match[2] and int(match[3]) > 59):
            raise BadCell("is no duration in seconds, m:ss or h:mm:ss")
        days, hours, minutes, seconds = (int(part or 0) for part in match.groups()[:4])
        ms = (((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1000 + _ms(match[5])
    if ms > LONGEST_MS:
        raise BadCell("is longer than a day")
    return ms


class Words:
    """Reads the words by which a system says how calls went. `means`: words of its own, by what
    they mean (one of MEANS)."""

    def __init__(self, means: Mapping[str, str]) -> None:
        self._own = {folded(word): meaning for word, meaning in means.items()}

    def outcome(self, cell: str) -> str:
        """ "answered" or "abandoned"; "" when the cell is empty."""
        return self._read(cell, _OUTCOMES, "says neither that it was answered nor abandoned")

    def ending(self, cell: str) -> str:
        """ "resolved", "unresolved", "transferred", or "" when the cell is empty."""
        return self._read(cell, _ENDS, "says neither resolved, unresolved nor transferred")

    def _read(self, cell: str, known: Mapping[str, frozenset[str]], rule: str) -> str:
        word = folded(plain(cell).replace("_", " "))
        if not word:
            return ""
        own = self._own.get(word, "")
        if own in known:
            return own
        for meaning, words in known.items():
            if word in words:
                return meaning
        raise BadCell(f"{rule}: say what the word means with --means WORD=MEANING")


def is_withheld(cell: str) -> bool:
    """Whether the cell of a number says that there is none."""
    text = folded(plain(cell))
    return not text or text in _WITHHELD
