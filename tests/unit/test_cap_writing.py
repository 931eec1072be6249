"""Alerts of CAP 1.2 are written valid, and read back as they were."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from lxml import etree

from services.broadcast.cap.model import (
    Alert,
    CapError,
    Circle,
    MsgType,
    Pair,
    Reference,
    Resource,
    Scope,
)
from services.broadcast.cap.reading import parse
from services.broadcast.cap.writing import write
from tests.cap_alerts import ALERTS, FIXTURES, fixture, names

_XSD = FIXTURES.parents[2] / "services" / "broadcast" / "cap" / "CAP-v1.2.xsd"
FLOOD = parse(fixture("uae-flood"))
POINT = (24.0, 55.0)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ALERTS)
def test_any_valid_alert_is_written_valid_and_read_back_equal(alert: Alert) -> None:
    written = write(alert)
    etree.XMLSchema(etree.parse(_XSD)).assertValid(etree.fromstring(written))
    again = parse(written)
    assert again == alert
    assert again.sent_offset == alert.sent_offset
    assert write(again) == written


@pytest.mark.parametrize("name", names())
def test_published_and_authored_alerts_survive(name: str) -> None:
    alert = parse(fixture(name))
    assert parse(write(alert)) == alert


def test_arabic_stays_letter_for_letter() -> None:
    assert FLOOD.infos[0].contact == "\u200f800 0000\u200f"
    written = write(FLOOD).decode()
    for text in (FLOOD.infos[0].instruction, FLOOD.infos[0].contact, FLOOD.infos[2].headline):
        assert text in written


def test_utc_is_written_minus_zero_and_sent_as_its_sender_wrote_it() -> None:
    written = write(FLOOD).decode()
    assert "<sent>2026-04-17T05:30:00+04:00</sent>" in written
    assert "<expires>2026-04-17T14:00:00-00:00</expires>" in written


def info(**changes: object) -> Alert:
    return replace(FLOOD, infos=(replace(FLOOD.infos[0], **changes),))  # type: ignore[arg-type]


def area(**changes: object) -> Alert:
    return info(areas=(replace(FLOOD.infos[0].areas[0], **changes),))  # type: ignore[arg-type]


def polygon(*points: tuple[float, float]) -> Alert:
    return area(polygons=(points,))


OTHER = Reference("a", "b", 0)


@pytest.mark.parametrize(
    ("alert", "path"),
    [
        (replace(FLOOD, identifier="a b"), "alert/identifier"),
        (replace(FLOOD, identifier=""), "alert/identifier"),
        (replace(FLOOD, sender="a,b"), "alert/sender"),
        (replace(FLOOD, sender="a&b"), "alert/sender"),
        (replace(FLOOD, sent_ms=1), "alert/sent"),
        (replace(FLOOD, sent_ms=-1000), "alert/sent"),
        (replace(FLOOD, sent_offset="Z"), "alert/sent"),
        (replace(FLOOD, sent_offset="+14:30"), "alert/sent"),
        (replace(FLOOD, msg_type=MsgType.CANCEL), "alert/references"),
        (replace(FLOOD, msg_type=MsgType.ACK), "alert/references"),
        (replace(FLOOD, references=(FLOOD.reference(),)), "alert/references"),
        (replace(FLOOD, references=(replace(OTHER, sender="a b"),)), "alert/references"),
        (replace(FLOOD, references=(replace(OTHER, offset="x"),)), "alert/references"),
        (replace(FLOOD, scope=Scope.RESTRICTED), "alert/restriction"),
        (replace(FLOOD, scope=Scope.PRIVATE), "alert/addresses"),
        (replace(FLOOD, addresses=('a"b',)), "alert/addresses"),
        (replace(FLOOD, incidents=(" ",)), "alert/incidents"),
        (replace(FLOOD, incidents=("\x01",)), "alert/incidents"),
        (replace(FLOOD, note="\x00"), "alert/note"),
        (replace(FLOOD, note="\ud800"), "alert/note"),
        (replace(FLOOD, note="  "), "alert/note"),
        (replace(FLOOD, codes=("",)), "alert/code[1]"),
        (replace(FLOOD, infos=FLOOD.infos * 30), "alert"),
        (info(areas=FLOOD.infos[0].areas * 2001), "alert"),
        (info(categories=()), "alert/info[1]/category"),
        (info(event=""), "alert/info[1]/event"),
        (info(language=""), "alert/info[1]/language"),
        (info(language="عربي"), "alert/info[1]/language"),
        (info(expires_ms=5), "alert/info[1]/expires"),
        (info(web="a b"), "alert/info[1]/web"),
        (info(event_codes=(Pair("", "x"),)), "alert/info[1]/eventCode[1]/valueName"),
        (info(parameters=(Pair("", "x"),)), "alert/info[1]/parameter[1]/valueName"),
        (info(resources=(Resource("", "a/b"),)), "alert/info[1]/resource[1]/resourceDesc"),
        (info(resources=(Resource("a", ""),)), "alert/info[1]/resource[1]/mimeType"),
        (info(resources=(Resource("a", "b", -1),)), "alert/info[1]/resource[1]/size"),
        (info(resources=(Resource("a", "b", uri=" c"),)), "alert/info[1]/resource[1]/uri"),
        (area(description=""), "alert/info[1]/area[1]/areaDesc"),
        (area(geocodes=(Pair("", ""),)), "alert/info[1]/area[1]/geocode[1]/valueName"),
        (area(ceiling_ft=1.0), "alert/info[1]/area[1]/ceiling"),
        (area(altitude_ft=float("nan")), "alert/info[1]/area[1]/altitude"),
        (area(circles=(Circle(91, 0, 1),)), "alert/info[1]/area[1]/circle[1]"),
        (area(circles=(Circle(0, 0, -1),)), "alert/info[1]/area[1]/circle[1]"),
        (area(circles=(Circle(0, 0, 1e-10),)), "alert/info[1]/area[1]/circle[1]"),
        (polygon(POINT, (25, 55), POINT), "alert/info[1]/area[1]/polygon[1]"),
        (polygon(POINT, (25, 55), (25, 56), (24, 56)), "alert/info[1]/area[1]/polygon[1]"),
        (polygon(POINT, (25, 181), (25, 56), POINT), "alert/info[1]/area[1]/polygon[1]"),
    ],
)
def test_what_breaks_a_rule_is_not_written(alert: Alert, path: str) -> None:
    with pytest.raises(CapError) as caught:
        write(alert)
    assert path in [problem.path for problem in caught.value.problems]
    assert all(problem.line is None for problem in caught.value.problems)


def test_the_schema_has_the_last_word() -> None:
    with pytest.raises(CapError, match="OASIS schema"):
        write(info(web="http://[::1"))


def test_an_alert_that_nobody_could_read_is_not_written() -> None:
    resource = Resource("a", "b", content=bytes(1_000_000))
    with pytest.raises(CapError, match="larger"):
        write(info(resources=(resource,)))
