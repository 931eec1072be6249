"""What the rules are made of, as `rules.yaml` gives them. Pure.

Times of day are minutes from midnight in the recipient's zone, days of the week 0 (Monday) to 6,
windows milliseconds. Each rule says where it comes from and when somebody last looked there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from zoneinfo import ZoneInfo


class Kind(StrEnum):
    """What a message is, as the regulators part them (CST decision 395/1439: warning, service,
    awareness, promotional)."""

    WARNING = "warning"
    """Life or property is in danger."""
    SERVICE = "service"
    """About the person's own matter."""
    INFORMATIONAL = "informational"
    """Guidance to many."""
    MARKETING = "marketing"
    """Asks people to buy, give or take part."""


class Lane(StrEnum):
    """A message's priority lane."""

    URGENT = "urgent"
    NORMAL = "normal"
    BULK = "bulk"


class Guard(StrEnum):
    """What keeps messages from a person, and what an emergency may override by name."""

    QUIET_HOURS = "quiet-hours"
    CAPS = "caps"
    OPT_OUT = "opt-out"


@dataclass(frozen=True, slots=True)
class Source:
    """Where a rule comes from. `standing`: how much it binds; `house` is our own caution."""

    name: str
    title: str
    url: str
    standing: str
    checked: date


@dataclass(frozen=True, slots=True)
class Period:
    """Days that come round by another calendar: each span with its first and last day."""

    name: str
    spans: Sequence[tuple[date, date]]

    def covers(self, day: date) -> bool:
        """Whether `day` lies in it."""
        return any(first <= day <= last for first, last in self.spans)


@dataclass(frozen=True, slots=True)
class Quiet:
    """Hours in which `kinds` are not sent: from `begin` of each of `days` (and of the period) until
    `end`, which is above 1,440 when it lies on the next day."""

    countries: frozenset[str]
    kinds: frozenset[Kind]
    days: frozenset[int]
    begin: int
    end: int
    during: Period | None
    outside: Period | None
    sources: Sequence[Source]

    def begins_on(self, day: date) -> bool:
        """Whether these hours begin on `day`."""
        return (
            day.weekday() in self.days
            and (self.during is None or self.during.covers(day))
            and (self.outside is None or not self.outside.covers(day))
        )


@dataclass(frozen=True, slots=True)
class Cap:
    """At most `most` messages of these kinds and lanes in any `window_ms`, to one person: from all
    agencies together, or (`each_agency`) from each."""

    name: str
    countries: frozenset[str]
    kinds: frozenset[Kind]
    lanes: frozenset[Lane]
    most: int
    window_ms: int
    each_agency: bool
    sources: Sequence[Source]

    def counts(self, kind: Kind, lane: Lane) -> bool:
        """Whether such messages count towards it."""
        return kind in self.kinds and lane in self.lanes


@dataclass(frozen=True, slots=True)
class Forbidden:
    """Kinds that a government may not send there at all."""

    countries: frozenset[str]
    kinds: frozenset[Kind]
    sources: Sequence[Source]


@dataclass(frozen=True, slots=True)
class Mark:
    """What the sender's name of these kinds must begin or end with; empty: anything."""

    countries: frozenset[str]
    kinds: frozenset[Kind]
    begins: str
    ends: str
    sources: Sequence[Source]


@dataclass(frozen=True, slots=True)
class Sender:
    """A sender's name that is registered for an agency (empty: the centre itself). `replies`: what
    people answer to it comes back to us."""

    agency: str
    name: str
    countries: frozenset[str]
    kinds: frozenset[Kind]
    replies: bool
    sources: Sequence[Source]


@dataclass(frozen=True, slots=True)
class Country:
    """Where numbers that begin with `prefix` belong. `zones`: (prefix, zone). `unlisted_senders`:
    whether names that are not listed may be used. `phone`: the line to call to stop, or empty."""

    code: str
    prefix: str
    zones: Sequence[tuple[str, ZoneInfo]]
    unlisted_senders: bool
    phone: str


@dataclass(frozen=True, slots=True)
class Place:
    """A number's country, and the zones that its owner may be in: one when it is sure."""

    country: Country
    zones: tuple[ZoneInfo, ...]


@dataclass(frozen=True, slots=True)
class LegalBasis:
    """A law under which an emergency may reach people in spite of `ignores`."""

    code: str
    text: Mapping[str, str]
    countries: frozenset[str]
    kinds: frozenset[Kind]
    ignores: frozenset[Guard]
    sources: Sequence[Source]


@dataclass(frozen=True, slots=True)
class Leaving:
    """How a text says how to stop, by way ("reply", "link", "phone") and language. `kinds`: texts
    that must say so; `link`: what a link begins with, empty when there are none; `link_days`: how
    long a link works."""

    kinds: frozenset[Kind]
    link: str
    link_days: int
    wording: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Rules:
    """The whole file. `abroad` is every country that is not listed."""

    countries: Sequence[Country]
    abroad: Country
    quiet: Sequence[Quiet]
    caps: Sequence[Cap]
    forbidden: Sequence[Forbidden]
    marks: Sequence[Mark]
    senders: Sequence[Sender]
    bases: Mapping[str, LegalBasis]
    leaving: Leaving
    sources: Mapping[str, Source]
    periods: Mapping[str, Period]

    def country_of(self, number: str) -> Country:
        """The country of an E.164 number: the longest prefix wins."""
        found, length = self.abroad, 0
        for country in self.countries:
            if len(country.prefix) > length and number.startswith(country.prefix):
                found, length = country, len(country.prefix)
        return found
