"""The words of reports: every string in every language, numbers, times and plural forms.

A report of one language never borrows a word of another: `words.yaml` has each entry in all of
them, or it is not read. A report whose words stand in a package of its own has them beside those
that all reports share, and may say the same entry otherwise.
"""

import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from importlib.resources import files
from typing import Literal, cast

from services.runtime.errors import ConfigError
from services.runtime.yamls import yaml_of

Language = Literal["ar", "en"]
LANGUAGES: tuple[Language, ...] = ("ar", "en")
SHARED = __package__ or ""
"""The package whose words all reports share."""
_FORMS: Mapping[Language, frozenset[str]] = {
    "ar": frozenset({"zero", "one", "two", "few", "many", "other"}),
    "en": frozenset({"one", "other"}),
}
_FROM_LEFT, _ISOLATE, _POP = "\u2066", "\u2068", "\u2069"
# What would turn the writing direction of all that follows, or hide.
_TURNS = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
_DAY_S, _HOUR_S, _MINUTE_S = 86_400, 3_600, 60
_FEW, _MANY = range(3, 11), range(11, 100)


Tables = dict[str, dict[str, dict[str, object]]]


@lru_cache(maxsize=8)
def tables(package: str = SHARED) -> Tables:
    """All of a package's `words.yaml`, by table, entry and language. Raises ConfigError for an
    entry that is not whole."""
    where = "words.yaml"
    text = files(package).joinpath(where).read_text("utf-8")
    found = cast("Tables", yaml_of(where, text))
    for table, entries in found.items():
        if table == "months":
            continue
        for entry, told in entries.items():
            if set(told) != set(LANGUAGES):
                raise ConfigError(f"{where}: {table}.{entry} must be in {', '.join(LANGUAGES)}")
    for unit, told in found.get("plurals", {}).items():
        for language, forms in _FORMS.items():
            if set(cast("dict[str, str]", told[language])) != forms:
                raise ConfigError(f"{where}: plurals.{unit}.{language} has not all forms")
    return found


@lru_cache(maxsize=8)
def _with_shared(package: str) -> Tables:
    """A package's words over those that all reports share."""
    own, shared = tables(package), tables()
    return {name: {**shared.get(name, {}), **own.get(name, {})} for name in {**shared, **own}}


@lru_cache(maxsize=1)
def refusals() -> list[tuple[str, re.Pattern[str]]]:
    """What the service says when it refuses, by entry of the table."""
    return [
        (entry, re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>.+)", re.escape(str(told["en"])))))
        for entry, told in tables()["refusals"].items()
    ]


def plural_form(language: Language, count: int) -> str:
    """The plural form of a whole number: Unicode CLDR, "Language Plural Rules"."""
    if language == "en":
        return "one" if count == 1 else "other"
    if count in (0, 1, 2):
        return ("zero", "one", "two")[count]
    rest = count % 100
    if rest in _FEW:
        return "few"
    return "many" if rest in _MANY else "other"


def plain(text: str) -> str:
    """A text of staff as it may be shown: without what controls the writing direction, and without
    control characters but line ends."""
    shown = _TURNS.sub("", text.replace("\r\n", "\n").replace("\t", " "))
    return "".join(c for c in shown if c == "\n" or unicodedata.category(c) not in ("Cc", "Cs"))


def apart(text: str) -> str:
    """A text of staff inside another: its direction is its own."""
    return f"{_ISOLATE}{plain(text)}{_POP}"


def rightwards(text: str) -> str:
    """Sums and places inside another text: read from the left in every language."""
    return f"{_FROM_LEFT}{text}{_POP}"


class Words:
    """One language's. `zone`: in which times are told, by its name. `package`: whose own words
    stand over those that all reports share."""

    def __init__(
        self,
        language: Language,
        zone: tzinfo = UTC,
        zone_name: str = "UTC",
        package: str = SHARED,
    ) -> None:
        self.language = language
        self.direction: Literal["rtl", "ltr"] = "rtl" if language == "ar" else "ltr"
        self.zone_name = zone_name
        self._zone = zone
        self._tables = _with_shared(package)

    def of(self, table: str, entry: str, **given: str) -> str:
        """An entry of a table, filled in. Raises KeyError when there is none."""
        return str(self._tables[table][entry][self.language]).format_map(given)

    def say(self, entry: str, **given: str) -> str:
        """A text, filled in. Raises KeyError."""
        return self.of("texts", entry, **given)

    def known(self, table: str, entry: str) -> str:
        """An entry of a table, or itself where the table does not know it."""
        return self.of(table, entry) if entry in self._tables[table] else apart(entry)

    def refusal(self, said: str) -> str:
        """Why the service refused something, from what it `said` in English; itself where the table
        does not know it."""
        for entry, pattern in refusals():
            if (met := pattern.fullmatch(said)) is not None:
                given = met.groupdict()
                told = {name: apart(value) for name, value in given.items()}
                if entry == "it_is":
                    told = {
                        "state": self.known("states", given["state"]),
                        "rule": self.refusal(given["rule"]),
                    }
                return self.of("refusals", entry, **told)
        return apart(said)

    def count(self, unit: str, count: int) -> str:
        """E.g. "3 recipients"."""
        forms = cast("dict[str, str]", self._tables["plurals"][unit][self.language])
        return forms[plural_form(self.language, count)].format(n=self.number(count))

    def number(self, count: int) -> str:
        """E.g. "1,504". Both languages write western digits, as the Emirates do."""
        return f"{count:,}"

    def decimal(self, value: float) -> str:
        """With one digit behind the point."""
        return f"{value:,.1f}"

    def percent(self, count: int, of: int) -> str:
        """E.g. "73.2%"; what is not all never shows as 100%, nor something as 0%."""
        if not of:
            return self.say("none")
        share = count * 100 / of
        if count < of:
            share = min(share, 99.9)
        if count:
            share = max(share, 0.1)
        return "100%" if count == of else f"{share:.1f}%"

    def language_of(self, code: str) -> str:
        """The name of a BCP 47 language, or of several joined by "+"."""
        names = [
            self.known("languages", one) if one in self._tables["languages"] else apart(one)
            for one in code.split("+")
        ]
        return " + ".join(names) if code else self.say("no_language")

    def time(self, at_ms: int) -> str:
        """E.g. "22 November 2026, 14:05:33"."""
        at = self._at(at_ms)
        comma = "،" if self.language == "ar" else ","
        return f"{at.day} {self._month(at)} {at.year}{comma} {self.clock(at_ms)}"

    def day(self, at_ms: int) -> str:
        """E.g. "22 November 2026"."""
        at = self._at(at_ms)
        return f"{at.day} {self._month(at)} {at.year}"

    def short_day(self, at_ms: int) -> str:
        """E.g. "22 November"."""
        at = self._at(at_ms)
        return f"{at.day} {self._month(at)}"

    def minute(self, at_ms: int) -> str:
        """E.g. "14:05"."""
        return self._at(at_ms).strftime("%H:%M")

    def clock(self, at_ms: int) -> str:
        """E.g. "14:05:33"."""
        return self._at(at_ms).strftime("%H:%M:%S")

    def near(self, at_ms: int, to_ms: int) -> str:
        """As `clock` on the day of `to_ms`, on another day with it: e.g. "23 November 14:05"."""
        at = self._at(at_ms)
        if at.date() == self._at(to_ms).date():
            return self.clock(at_ms)
        return f"{at.day} {self._month(at)} {at:%H:%M}"

    def _month(self, at: datetime) -> str:
        return str(
            cast("dict[str, list[str]]", self._tables["months"])[self.language][at.month - 1]
        )

    def _at(self, at_ms: int) -> datetime:
        return datetime.fromtimestamp(at_ms // 1000, self._zone)

    def duration(self, ms: int) -> str:
        """E.g. "3 minutes 20 seconds": two units at most, rounded down."""
        if ms < 1000:
            return self.count("milliseconds", ms)
        left, found = ms // 1000, []
        for unit, size in (
            ("days", _DAY_S),
            ("hours", _HOUR_S),
            ("minutes", _MINUTE_S),
            ("seconds", 1),
        ):
            whole, left = divmod(left, size)
            if whole:
                found.append(self.count(unit, whole))
            elif found:
                break
        joint = " و" if self.language == "ar" else " "
        return joint.join(found[:2])
