"""How the parts of the booklet say names, shares, times and axes. Pure, given the words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.tools.afteraction.facts import Facts
from services.tools.reports.charts import ticks
from services.tools.reports.document import Column
from services.tools.reports.words import Words, apart

_MARKS = 5
_DAY_MS = 86_400_000
Named = Mapping[str, Mapping[str, str]]
"""Names by code and language."""


@dataclass(frozen=True, slots=True)
class Saying:
    """The words of a language, and what agencies and services are called."""

    words: Words
    agencies: Named
    services: Named

    def say(self, entry: str, **given: str) -> str:
        """A text, filled in."""
        return self.words.say(entry, **given)

    def group(self, by: str, key: str) -> str:
        """A line, an agency or a language."""
        if by == "language":
            return self.words.language_of(key)
        if not key:
            return self.say(f"no_{by}")
        return apart(self._name(self.agencies, key) if by == "agency" else key)

    def subject(self, dimension: str, key: str) -> str:
        """What a burst is about."""
        name = key
        if dimension == "agency":
            name = self._name(self.agencies, key)
        elif dimension == "topic":
            name = self._name(self.services, key)
        elif dimension == "language":
            name = self.words.language_of(key)
        return self.words.of("subjects", dimension, name=apart(name))

    def event(self, agency: str, topic: str, place: str) -> str:
        """What an incident is about."""
        what = self._name(self.services, topic) or self._name(self.agencies, agency)
        named = [apart(one) for one in (what, place) if one]
        return " · ".join(named) or self.say("no_agency")

    def _name(self, named: Named, code: str) -> str:
        return named[code][self.words.language] if code in named else code

    def share(self, value: float | None) -> str:
        """E.g. "23.7%"; what is not all never shows as 100%."""
        if value is None:
            return self.say("none")
        return self.words.percent(round(value * 1_000_000), 1_000_000)

    def limit(self, value: float | None) -> str:
        """A share that was agreed on, e.g. "90%"."""
        return self.say("none") if value is None else f"{value * 100:g}%"

    def seconds(self, value: float | None) -> str:
        """E.g. "2 minutes 19 seconds"; of less than ten seconds a tenth too."""
        if value is None:
            return self.say("none")
        if 0 < value < 10 and value != int(value):
            return self.say("short_seconds", n=self.words.decimal(value))
        return self.words.duration(round(value) * 1000)

    def short(self, value: float | None) -> str:
        """Seconds in a narrow column, e.g. "139 s"."""
        if value is None:
            return self.say("none")
        return self.say("short_seconds", n=self.words.number(round(value)))

    def across(self, since_ms: int, until_ms: int) -> list[tuple[float, str]]:
        """Marks of an axis of time, from 0 to 1."""
        at = [since_ms + (until_ms - since_ms) * mark // (_MARKS - 1) for mark in range(_MARKS)]
        one_day = self.words.day(since_ms) == self.words.day(until_ms)
        long = until_ms - since_ms > 3 * _DAY_MS
        told = (
            self.words.minute(when)
            if one_day
            else self.words.short_day(when)
            if long
            else f"{self.words.short_day(when)} {self.words.minute(when)}"
            for when in at
        )
        return [(mark / (_MARKS - 1), text) for mark, text in enumerate(told)]

    def up(self, most: float) -> list[tuple[float, str]]:
        """Marks of an axis of counts."""
        return [(count, self.words.number(count)) for count in ticks(max(1, round(most)))]

    def numbers(self, *entries: str) -> list[Column]:
        """Columns of numbers."""
        return [Column(self.say(entry), number=True) for entry in entries]


def shaded(facts: Facts) -> Sequence[tuple[int, int]]:
    """When the whole centre had more than usual."""
    return [(one.start_ms, one.until_ms) for one in facts.bursts if one.dimension == "all"]
