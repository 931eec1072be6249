"""A small file of sending rules, to change in tests."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from services.broadcast.rules.book import Kind, Lane, Rules
from services.broadcast.rules.judge import MessageFacts, Override
from services.broadcast.rules.reading import parse
from services.broadcast.rules.zones import place_of

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
FILE = """\
version: 1
sources:
  - {name: law, title: A law, standing: law, checked: 2026-01-01}
periods:
  - {name: ramadan, source: [law], spans: [{first: 2027-02-08, last: 2027-03-09}]}
countries:
  - {code: AE, prefix: "+971", zones: [{zone: Asia/Dubai}], unlisted_senders: refuse,
     phone: "800 1"}
  - code: US
    prefix: "+1"
    zones: [{prefix: "+1212", zone: America/New_York}, {prefix: "+1415", zone: America/Los_Angeles}]
    unlisted_senders: allow
  - {code: abroad, zones: [{zone: Asia/Dubai}], unlisted_senders: allow}
quiet:
  - {countries: [AE, US], kinds: [informational, marketing], from: "21:00", until: "08:00",
     source: [law]}
  - {countries: [AE], kinds: [marketing], days: [fri], from: "00:00", until: "24:00", source: [law]}
  - {countries: [AE], kinds: [informational], during: ramadan, from: "17:00", until: "20:00",
     source: [law]}
caps:
  - {name: day, countries: [AE], kinds: [informational, marketing], lanes: [bulk], most: 2,
     window: 24h, of: all-agencies, source: [law]}
  - {name: agency, countries: [AE], kinds: [informational], most: 1, window: 2h, of: each-agency,
     source: [law]}
forbidden:
  - {countries: [US], kinds: [marketing], source: [law]}
marks:
  - {countries: [AE], kinds: [marketing], begins: AD-, source: [law]}
senders:
  - {agency: moh, name: MOH, countries: [AE], kinds: [warning, service, informational],
     replies: false, source: [law]}
  - {agency: moh, name: AD-MOH, countries: [AE], kinds: [marketing], replies: false, source: [law]}
  - {name: "5151", countries: [AE], kinds: [informational], replies: true, source: [law]}
leaving:
  kinds: [informational, marketing]
  link: https://s.example/o/
  link_days: 90
  wording:
    reply: {ar: "أرسل: إيقاف", en: Reply STOP, ur: STOP}
    link: {ar: "لإيقاف الرسائل: {link}", en: "Stop: {link}"}
    phone: {ar: "اتصل {phone}", en: "Call {phone}"}
legal_bases:
  - code: storm
    text: {ar: قانون, en: A law}
    countries: [AE]
    kinds: [warning, informational]
    ignores: [quiet-hours, caps]
    source: [law]
  - code: everyone
    text: {ar: قانون, en: A law}
    countries: [AE]
    kinds: [warning]
    ignores: [quiet-hours, caps, opt-out]
    source: [law]
"""
RULES: Rules = parse(FILE, "rules.yaml")
DUBAI = ZoneInfo("Asia/Dubai")
NUMBER = "+971501234567"


def at(text: str, zone: str = "UTC") -> int:
    """Unix ms of a moment written like "2026-11-22 21:00"."""
    shown = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))
    return int(shown.timestamp() * 1000)


def shown(at_ms: int | None, zone: str = "UTC") -> str:
    """That moment in a zone."""
    assert at_ms is not None
    moment = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(ZoneInfo(zone))
    return moment.strftime("%Y-%m-%d %H:%M")


def message(
    kind: Kind = Kind.INFORMATIONAL,
    *,
    number: str = NUMBER,
    lane: Lane = Lane.BULK,
    agency: str = "moh",
    sender: str = "",
    expires_ms: int = at("2036-01-01 00:00"),
    override: Override | None = None,
    rules: Rules = RULES,
) -> MessageFacts:
    """What counts of a message, by the number that it goes to."""
    usual = "AD-MOH" if kind is Kind.MARKETING else "MOH"
    return MessageFacts(
        place_of(rules, number), kind, lane, agency, sender or usual, expires_ms, override
    )
