"""Alerts of CAP 1.2 for tests: the fixtures, a document to break, and any valid alert."""

from pathlib import Path
from typing import TypeVar

from hypothesis import strategies as st

from services.broadcast.cap.model import (
    Alert,
    Area,
    Category,
    Certainty,
    Circle,
    Info,
    MsgType,
    Pair,
    Reference,
    Resource,
    ResponseType,
    Scope,
    Severity,
    Status,
    Urgency,
)

T = TypeVar("T")
FIXTURES = Path(__file__).parent / "fixtures" / "cap"
SECRET = "0501234567"
"""Stands in every broken document; no problem may repeat it."""

DOCUMENT = f"""<?xml version="1.0" encoding="UTF-8"?>
<alert xmlns="urn:oasis:names:tc:emergency:cap:1.2">
  <identifier>A-1</identifier>
  <sender>alerts@example.ae</sender>
  <sent>2026-04-17T05:30:00+04:00</sent>
  <status>Actual</status>
  <msgType>Alert</msgType>
  <scope>Public</scope>
  <info>
    <category>Met</category>
    <event>Flood</event>
    <urgency>Immediate</urgency>
    <severity>Severe</severity>
    <certainty>Observed</certainty>
    <headline>Call {SECRET}</headline>
    <web>https://example.ae/a</web>
    <area>
      <areaDesc>Al Ain</areaDesc>
      <polygon>24.1,55.6 24.1,55.9 24.3,55.9 24.1,55.6</polygon>
    </area>
  </info>
</alert>
"""

_CHARACTERS = st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff")
_ODD = st.sampled_from(["\n", "\r", "\t", "&", "<", "]]>", '"', "سيول", "\u200f", "‏٥٠٠", "🚨", " "])
_TEXT = st.lists(_ODD | _CHARACTERS, min_size=1, max_size=12).map("".join).filter(str.strip)
_NAME = st.text(
    st.characters(categories=("L", "N", "P", "S"), exclude_characters=",<&"), min_size=1, max_size=9
)
_WORD = _TEXT.filter(lambda word: '"' not in word)
_MS = st.integers(0, 253_370_764_799).map(lambda second: second * 1000)
_OFFSET = st.sampled_from(["-00:00", "+00:00", "+04:00", "-03:30", "+14:00", "-14:00"])
_URI = st.from_regex(r"https://[a-z]{1,9}\.(ae|om)/[a-z0-9/?=&;ء-ي._~-]{0,9}", fullmatch=True)
_LANGUAGE = st.sampled_from(["ar", "ar-AE", "en-US", "ur", "zh-Hant", "bn", "x-dialect"])


def _round(number: float) -> float:
    return round(number, 9)


def _degrees(limit: int) -> st.SearchStrategy[float]:
    return st.floats(-limit, limit).map(_round)


_POINT = st.tuples(_degrees(90), _degrees(180))
_POLYGON = st.lists(_POINT, min_size=3, max_size=5).map(lambda points: (*points, points[0]))
_PAIR = st.builds(Pair, _TEXT, _TEXT | st.just(""))


def _some(strategy: st.SearchStrategy[T], least: int = 0) -> st.SearchStrategy[tuple[T, ...]]:
    return st.lists(strategy, min_size=least, max_size=3).map(tuple)


def _area(heights: tuple[float | None, float | None]) -> st.SearchStrategy[Area]:
    altitude, ceiling = heights
    radius = st.floats(0, 20_000).map(_round)
    return st.builds(
        Area,
        _TEXT,
        polygons=_some(_POLYGON),
        circles=_some(st.builds(Circle, _degrees(90), _degrees(180), radius)),
        geocodes=_some(_PAIR),
        altitude_ft=st.just(altitude),
        ceiling_ft=st.just(None if altitude is None else ceiling),
    )


_FEET = st.none() | st.floats(-1_000, 1_000_000).map(_round)
_INFO = st.builds(
    Info,
    categories=_some(st.sampled_from(Category), 1),
    event=_TEXT,
    urgency=st.sampled_from(Urgency),
    severity=st.sampled_from(Severity),
    certainty=st.sampled_from(Certainty),
    language=_LANGUAGE,
    response_types=_some(st.sampled_from(ResponseType)),
    audience=_TEXT | st.just(""),
    event_codes=_some(_PAIR),
    effective_ms=st.none() | _MS,
    onset_ms=st.none() | _MS,
    expires_ms=st.none() | _MS,
    sender_name=_TEXT | st.just(""),
    headline=_TEXT | st.just(""),
    description=_TEXT | st.just(""),
    instruction=_TEXT | st.just(""),
    web=_URI | st.just(""),
    contact=_TEXT | st.just(""),
    parameters=_some(_PAIR),
    resources=_some(
        st.builds(
            Resource,
            _TEXT,
            _TEXT,
            size=st.none() | st.integers(0, 10**18 - 1),
            uri=_URI | st.just(""),
            content=st.binary(max_size=80),
            digest=_TEXT | st.just(""),
        )
    ),
    areas=_some(st.tuples(_FEET, _FEET).flatmap(_area)),
)
_ALERT = st.builds(
    Alert,
    identifier=_NAME,
    sender=_NAME,
    sent_ms=_MS,
    status=st.sampled_from(Status),
    msg_type=st.sampled_from(MsgType),
    scope=st.sampled_from(Scope),
    source=_TEXT | st.just(""),
    restriction=_TEXT,
    addresses=_some(_WORD, 1),
    codes=_some(_TEXT),
    note=_TEXT | st.just(""),
    references=_some(st.builds(Reference, _NAME, _NAME, _MS, _OFFSET), 1),
    incidents=_some(_WORD),
    infos=_some(_INFO),
    sent_offset=_OFFSET,
)
ALERTS = _ALERT.filter(
    lambda alert: all(
        (other.sender, other.identifier) != (alert.sender, alert.identifier)
        for other in alert.references
    )
)
"""Any valid alert."""


def fixture(name: str) -> bytes:
    """A file of tests/fixtures/cap."""
    return (FIXTURES / f"{name}.xml").read_bytes()


def names() -> list[str]:
    """The fixtures' names."""
    return sorted(path.stem for path in FIXTURES.glob("*.xml"))


def changed(*swaps: tuple[str, str]) -> bytes:
    """DOCUMENT with texts replaced; each must stand in it."""
    text = DOCUMENT
    for old, new in swaps:
        assert old in text
        text = text.replace(old, new, 1)
    return text.encode()
