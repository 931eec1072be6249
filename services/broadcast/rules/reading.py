"""Reads the rules of sending: the file that MAWJA_SENDING_RULES names, or the shipped one.

A file is read whole and refused with file, line, field and rule when anything is wrong.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from string import Formatter
from typing import TypeVar
from zoneinfo import ZoneInfo

from services.broadcast.rules.book import (
    Cap,
    Country,
    Forbidden,
    Guard,
    Kind,
    Lane,
    Leaving,
    LegalBasis,
    Mark,
    Period,
    Quiet,
    Rules,
    Sender,
    Source,
)
from services.broadcast.rules.leaving import LINK, NEEDED, PHONE, REPLY, WAYS
from services.broadcast.rules.zones import zone
from services.runtime.errors import ConfigError
from services.runtime.yaml_fields import Fields, fields_of

STANDINGS = ("law", "regulator", "operator", "guide", "house")
"""How much a source binds: a statute; a regulator's rule; a network's or its aggregator's;
somebody's advice; our own caution, where no source was found."""
ABROAD = "abroad"
_FORMAT = 1
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY_MIN = 24 * 60
_WINDOW_MS = {"m": 60_000, "h": 3_600_000, "d": 86_400_000}
_LONGEST_WINDOW_MS = 31 * 86_400_000
_KINDS = tuple(Kind)
_Named = TypeVar("_Named")

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,47}")
_A_NAME = "must be 1 to 48 of a-z, 0-9 and -"
_CODE = re.compile(r"[A-Z]{2}|abroad")
_PREFIX = re.compile(r"\+\d{1,14}")
_A_PREFIX = "must be a plus and 1 to 14 digits"
_TIME = re.compile(r"(?:[01]\d|2[0-3]):[0-5]\d|24:00")
_A_TIME = 'must be a time of day from "00:00" to "24:00", in quotes'
_WINDOW = re.compile(r"[1-9]\d{0,4}[mhd]")
_SENDER = re.compile(r"\+?\d{1,20}|[ -~]{1,11}")
_PHONE = re.compile(r"\+?[0-9 ]{3,20}")
_LINK = re.compile(r"https://[a-z0-9.-]+(?::\d{1,5})?/[a-z0-9/-]{0,20}|")
_LANGUAGE = re.compile(r"[a-z]{2,3}(?:-[A-Za-z0-9]{2,8})*")


@dataclass(frozen=True, slots=True)
class _Known:
    """What other parts of the file refer to by name."""

    countries: tuple[str, ...]
    sources: Mapping[str, Source]
    periods: Mapping[str, Period]


@cache
def shipped() -> Rules:
    """The rules that are shipped."""
    file = files(__package__) / "rules.yaml"
    return parse(file.read_text("utf-8"), file.name)


def read(path: Path | None) -> Rules:
    """The rules in the file at `path`, or the shipped ones. Raises ConfigError."""
    if path is None:
        return shipped()
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"MAWJA_SENDING_RULES: {path} cannot be read as UTF-8 text ({type(error).__name__})"
        ) from None
    return parse(text, path.name)


def parse(text: str, name: str) -> Rules:
    """The rules in `text`, the contents of the file called `name`.

    Raises ConfigError naming the line, the field and what it takes.
    """
    top = fields_of(text, name, "countries, quiet hours, caps, and what rules.yaml explains")
    if top.number("version", 0, 99, whole=True) != _FORMAT:
        raise top.wrong("version", f"must be {_FORMAT}: how the file is written")
    sources: dict[str, Source] = {}
    for fields in top.each("sources"):
        _put(fields, sources, "name", _source(fields))
    periods: dict[str, Period] = {}
    for fields in top.each("periods"):
        _put(fields, periods, "name", _period(fields, sources))
    countries: dict[str, Country] = {}
    for fields in top.each("countries"):
        country = _country(fields)
        if any(country.prefix == one.prefix for one in countries.values()):
            raise fields.wrong("prefix", "is taken by an earlier country")
        _put(fields, countries, "code", country)
    if ABROAD not in countries:
        raise top.wrong("countries", f"must hold {ABROAD}: every country that is not listed")
    known = _Known(tuple(countries), sources, periods)
    caps: dict[str, Cap] = {}
    for fields in top.each("caps"):
        _put(fields, caps, "name", _cap(fields, known))
    bases: dict[str, LegalBasis] = {}
    for fields in top.each("legal_bases"):
        _put(fields, bases, "code", _basis(fields, known))
    rules = Rules(
        countries=[one for code, one in countries.items() if code != ABROAD],
        abroad=countries[ABROAD],
        quiet=[_quiet(one, known) for one in top.each("quiet")],
        caps=list(caps.values()),
        forbidden=[_forbidden(one, known) for one in top.each("forbidden")],
        marks=[_mark(one, known) for one in top.each("marks")],
        senders=[_sender(one, known) for one in top.each("senders")],
        bases=bases,
        leaving=_leaving(top.within("leaving")),
        sources=sources,
        periods=periods,
    )
    top.finish()
    return rules


def _put(fields: Fields, held: dict[str, _Named], field: str, one: _Named) -> None:
    name = str(getattr(one, field))
    if name in held:
        raise fields.wrong(field, "is taken by an earlier one")
    held[name] = one


def _source(fields: Fields) -> Source:
    source = Source(
        name=fields.text("name", _NAME, _A_NAME),
        title=fields.text("title"),
        url=fields.text("url", re.compile(r"https?://\S+|"), "must be an address", ""),
        standing=fields.one_of("standing", STANDINGS),
        checked=fields.day("checked"),
    )
    fields.finish()
    return source


def _period(fields: Fields, sources: Mapping[str, Source]) -> Period:
    spans = []
    for span in fields.each("spans"):
        first, last = span.day("first"), span.day("last")
        if last < first:
            raise span.wrong("last", "must not be before first")
        span.finish()
        spans.append((first, last))
    if not spans:
        raise fields.wrong("spans", "must be a list of at least one")
    period = Period(fields.text("name", _NAME, _A_NAME), spans)
    _sources(fields, sources)
    fields.finish()
    return period


def _country(fields: Fields) -> Country:
    code = fields.text("code", _CODE, f"must be two capitals (ISO 3166-1), or {ABROAD}")
    prefix = "" if code == ABROAD else fields.text("prefix", _PREFIX, _A_PREFIX)
    zones = []
    for entry in fields.each("zones"):
        begins = entry.text("prefix", _PREFIX, _A_PREFIX, prefix)
        if not begins.startswith(prefix):
            raise entry.wrong("prefix", f"must begin with {prefix}, like the country's numbers")
        zones.append((begins, _zone(entry)))
        entry.finish()
    if not zones:
        raise fields.wrong("zones", "must be a list of at least one")
    country = Country(
        code=code,
        prefix=prefix,
        zones=zones,
        unlisted_senders=fields.one_of("unlisted_senders", ("allow", "refuse")) == "allow",
        phone=fields.text("phone", _PHONE, "must be a telephone line's number", ""),
    )
    fields.finish()
    return country


def _zone(fields: Fields) -> ZoneInfo:
    try:
        return zone(fields.text("zone"))
    except KeyError:
        raise fields.wrong("zone", "must be a time zone of IANA, e.g. Asia/Dubai") from None


def _quiet(fields: Fields, known: _Known) -> Quiet:
    begin, end = (_minute(fields.text(one, _TIME, _A_TIME)) for one in ("from", "until"))
    if begin == _DAY_MIN:
        raise fields.wrong("from", 'must be before "24:00"')
    if begin == end:
        raise fields.wrong(
            "until", 'is the same as from: a whole day is from "00:00" until "24:00"'
        )
    quiet = Quiet(
        countries=_countries(fields, known),
        kinds=_kinds(fields),
        days=frozenset(map(_DAYS.index, fields.some_of("days", _DAYS, _DAYS))),
        begin=begin,
        end=end if end > begin else end + _DAY_MIN,
        during=_season(fields, "during", known),
        outside=_season(fields, "outside", known),
        sources=_sources(fields, known.sources),
    )
    _note(fields)
    return quiet


def _minute(shown: str) -> int:
    return int(shown[:2]) * 60 + int(shown[3:])


def _season(fields: Fields, field: str, known: _Known) -> Period | None:
    if not known.periods:
        name = fields.text(field, re.compile(""), "needs a period, and none is given", "")
    else:
        name = fields.one_of(field, tuple(known.periods), "")
    return known.periods.get(name)


def _cap(fields: Fields, known: _Known) -> Cap:
    shown = fields.text("window", _WINDOW, "must be a number and m, h or d, e.g. 24h")
    window_ms = int(shown[:-1]) * _WINDOW_MS[shown[-1]]
    if window_ms > _LONGEST_WINDOW_MS:
        raise fields.wrong("window", "must be at most 31d: that far back is remembered")
    cap = Cap(
        name=fields.text("name", _NAME, _A_NAME),
        countries=_countries(fields, known),
        kinds=_kinds(fields),
        lanes=frozenset(map(Lane, fields.some_of("lanes", tuple(Lane), tuple(Lane)))),
        most=int(fields.number("most", 1, 20, whole=True)),
        window_ms=window_ms,
        each_agency=fields.one_of("of", ("each-agency", "all-agencies")) == "each-agency",
        sources=_sources(fields, known.sources),
    )
    _note(fields)
    return cap


def _forbidden(fields: Fields, known: _Known) -> Forbidden:
    forbidden = Forbidden(
        _countries(fields, known), _kinds(fields), _sources(fields, known.sources)
    )
    _note(fields)
    return forbidden


def _mark(fields: Fields, known: _Known) -> Mark:
    mark = Mark(
        countries=_countries(fields, known),
        kinds=_kinds(fields),
        begins=fields.text("begins", _SENDER, "must be 1 to 11 letters", ""),
        ends=fields.text("ends", _SENDER, "must be 1 to 11 letters", ""),
        sources=_sources(fields, known.sources),
    )
    if not mark.begins and not mark.ends:
        raise fields.wrong("begins", "is missing, and so is ends: a mark is one of them")
    _note(fields)
    return mark


def _sender(fields: Fields, known: _Known) -> Sender:
    sender = Sender(
        agency=fields.text(
            "agency", re.compile(r"[a-z0-9-]{0,32}"), "must be an agency's code", ""
        ),
        name=fields.text("name", _SENDER, "must be 1-11 letters, a short code or +number"),
        countries=_countries(fields, known),
        kinds=_kinds(fields),
        replies=fields.flag("replies"),
        sources=_sources(fields, known.sources),
    )
    if sender.replies and not sender.name.removeprefix("+").isdigit():
        raise fields.wrong("replies", "must be false: nobody can reply to a name of letters")
    _note(fields)
    return sender


def _basis(fields: Fields, known: _Known) -> LegalBasis:
    text = fields.within("text")
    basis = LegalBasis(
        code=fields.text("code", _NAME, _A_NAME),
        text={language: text.text(language) for language in NEEDED},
        countries=_countries(fields, known),
        kinds=_kinds(fields),
        ignores=frozenset(map(Guard, fields.some_of("ignores", tuple(Guard)))),
        sources=_sources(fields, known.sources),
    )
    text.finish()
    _note(fields)
    return basis


def _leaving(fields: Fields) -> Leaving:
    wording = fields.within("wording")
    leaving = Leaving(
        kinds=_kinds(fields),
        link=fields.text(
            "link", _LINK, "must be https://, a host and a short path that ends in /, or empty", ""
        ),
        link_days=int(fields.number("link_days", 1, 3650, whole=True)),
        wording={way: _by_language(wording.within(way), way) for way in WAYS},
    )
    if leaving.link and not leaving.link.endswith("/"):
        raise fields.wrong("link", "must end in /: the person's token follows")
    wording.finish()
    fields.finish()
    return leaving


def _by_language(fields: Fields, way: str) -> dict[str, str]:
    slots = {REPLY: [], LINK: ["link"], PHONE: ["phone"]}[way]
    texts = {}
    for language in (*NEEDED, *fields.names()):
        text = fields.text(language)
        if not _LANGUAGE.fullmatch(language):
            raise fields.wrong(language, "must be a language, e.g. ar")
        try:
            found = [slot for _, slot, _, _ in Formatter().parse(text) if slot is not None]
        except ValueError:
            found = ["?"]
        if found != slots:
            takes = f"{{{slots[0]}}} once and no other" if slots else "no"
            raise fields.wrong(language, f"takes {takes} brace")
        texts[language] = text
    return texts


def _countries(fields: Fields, known: _Known) -> frozenset[str]:
    return frozenset(fields.some_of("countries", known.countries))


def _kinds(fields: Fields) -> frozenset[Kind]:
    return frozenset(map(Kind, fields.some_of("kinds", _KINDS)))


def _sources(fields: Fields, sources: Mapping[str, Source]) -> Sequence[Source]:
    return [sources[one] for one in fields.some_of("source", tuple(sources))]


def _note(fields: Fields) -> None:
    """What a rule says beside itself: kept for people who read the file."""
    fields.text("note", default="")
    fields.finish()
