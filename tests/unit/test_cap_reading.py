"""Reading alerts of CAP 1.2: what is broken is named by place and rule, and nothing is trusted."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.broadcast.cap import reading
from services.broadcast.cap.model import (
    MAX_BYTES,
    MAX_INFOS,
    CapError,
    Circle,
    MsgType,
    Problem,
    Reference,
    Status,
)
from services.broadcast.cap.reading import parse
from tests.cap_alerts import DOCUMENT, SECRET, changed, fixture

INFO = DOCUMENT[DOCUMENT.index("  <info>") : DOCUMENT.index("</alert>")]


def problems(data: bytes) -> tuple[Problem, ...]:
    """What is said about a broken document; nothing that stands in it is."""
    with pytest.raises(CapError) as caught:
        parse(data)
    assert SECRET not in str(caught.value)
    assert not any(SECRET in str(problem) for problem in caught.value.problems)
    return caught.value.problems


def test_everything_of_an_alert_is_read() -> None:
    update = parse(fixture("oman-cyclone-update"))
    assert update.msg_type is MsgType.UPDATE
    assert update.references == (
        Reference("tc@example.om", "OM-TC-07-03", 1779750000000, "+04:00"),
        Reference("tc@example.om", "OM-TC-07-02", 1779750000000, "-00:00"),
    )
    area = update.infos[0].areas[0]
    assert area.circles == (Circle(17.0151, 54.0924, 120.5),)
    assert (area.altitude_ft, area.ceiling_ft) == (0.0, 1640.5)
    exercise = parse(fixture("saudi-dust-exercise"))
    assert exercise.status is Status.EXERCISE
    assert exercise.addresses == ("ops@example.sa", "غرفة عمليات الرياض")
    assert exercise.infos[0].resources[0].content == b"\x89PNG\r\n\x1a\n"
    assert exercise.infos[0].resources[0].size == 8


def test_the_language_is_en_us_where_the_alert_does_not_say() -> None:
    assert parse(DOCUMENT.encode()).infos[0].language == "en-US"
    empty = changed(("<category>", "<language></language><category>"))
    assert parse(empty).infos[0].language == "en-US"


def test_a_comment_does_not_cut_a_text() -> None:
    alert = parse(fixture("uae-flood"))
    assert alert.infos[0].description == "أمطار غزيرة وجريان للأودية حتى السادسة مساءً."


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "iso-8859-1"])
def test_encodings(encoding: str) -> None:
    name = "UTF-8" if encoding == "utf-8-sig" else encoding
    data = DOCUMENT.replace("UTF-8", name).replace("Flood", "Crüe").encode(encoding)
    assert parse(data).infos[0].event == "Crüe"


@pytest.mark.parametrize(
    ("old", "new", "line", "path", "rule"),
    [
        ("A-1", "A 1", 3, "alert/identifier", "blanks"),
        ("A-1", "", 3, "alert/identifier", "empty"),
        ("<identifier>A-1</identifier>", "", 2, "alert/identifier", "is missing"),
        ("alerts@example.ae", "a,b", 4, "alert/sender", "commas"),
        ("05:30:00+04:00", "05:30:00Z", 5, "alert/sent", "UTC is -00:00"),
        ("05:30:00+04:00", "05:30:00", 5, "alert/sent", "time like"),
        ("05:30:00+04:00", "05:30:00,04:00", 5, "alert/sent", "time like"),
        ("05:30:00+04:00", "05:30:00+15:00", 5, "alert/sent", "offset"),
        ("2026-04-17T", "2026-02-30T", 5, "alert/sent", "exists"),
        ("2026-04-17T", "٢٠٢٦-04-17T", 5, "alert/sent", "time like"),
        ("Actual", "ACTUAL", 6, "alert/status", "exactly one of Actual"),
        ("Actual", " Actual", 6, "alert/status", "exactly one of Actual"),
        ("Alert<", "Update<", 2, "alert/references", "must name the alerts"),
        ("Public", "Private", 2, "alert/addresses", "scope is Private"),
        ("Public", "Restricted", 2, "alert/restriction", "scope is Restricted"),
        ("<scope>Public</scope>", "", 2, "alert/scope", "is missing"),
        ("Met", SECRET, 10, "alert/info[1]/category[1]", "exactly one of"),
        ("<category>Met</category>", "", 9, "alert/info[1]/category[1]", "is missing"),
        ("<event>", "<language>a_b</language><event>", 11, "alert/info[1]/language", "too late"),
        ("<severity>Severe</severity>", "", 9, "alert/info[1]/severity", "is missing"),
        ("<web>", "<web>x</web><web>", 16, "alert/info[1]/web", "only once"),
        ("https://example.ae/a", "http://[::1", 16, "alert/info[1]/web", "OASIS schema"),
        ("<areaDesc>Al Ain</areaDesc>", "", 17, "alert/info[1]/area[1]/areaDesc", "is missing"),
        ("24.1,55.6 24.1", "24.1;55.6 24.1", 19, "alert/info[1]/area[1]/polygon[1]", "points as"),
        ("24.1,55.6 24.1", "x,55.6 24.1", 19, "alert/info[1]/area[1]/polygon[1]", "decimal"),
        ("24.1,55.6 24.1", "24.2,55.6 24.1", 19, "alert/info[1]/area[1]/polygon[1]", "began"),
        (" 24.1,55.9", "", 19, "alert/info[1]/area[1]/polygon[1]", "at least 4"),
        ("24.1,55.9", "94.1,55.9", 19, "alert/info[1]/area[1]/polygon[1]", "within 90"),
        ("</headline>", "<b/></headline>", 15, "alert/info[1]/headline", "text only"),
        ("</headline>", "</headline>x", 9, "alert/info[1]", "between its elements"),
        ("<headline>", "<headline lang='ar'>", 15, "alert/info[1]/headline", "attribute"),
        ("<event>", "<evnt/><event>", 11, "alert/info[1]/evnt", "not an element"),
        ("<info>", "<Signature/><info>", 9, "alert/Signature", "not an element that CAP"),
    ],
)
def test_what_is_broken_is_named(old: str, new: str, line: int, path: str, rule: str) -> None:
    found = problems(changed((old, new)))
    assert any(
        (problem.line, problem.path) == (line, path) and rule in problem.rule for problem in found
    ), found


@pytest.mark.parametrize(
    ("element", "rule"),
    [
        ("<references>a,b</references>", "sender,identifier,sent"),
        ("<references>a,b,2026-04-17T05:30:00Z</references>", "UTC is -00:00"),
        ("<references>alerts@example.ae,A-1,2026-04-17T05:30:00-00:00</references>", "not this"),
        ('<incidents>a "b</incidents>', "close every quote"),
    ],
)
def test_lists_in_one_element(element: str, rule: str) -> None:
    (problem,) = problems(changed(("  <info>", f"  {element}<info>")))
    assert problem.line == 9
    assert rule in problem.rule


@pytest.mark.parametrize(
    ("element", "path", "rule"),
    [
        ("<circle>24,55</circle>", "circle[1]", "radius in km"),
        ("<circle>24,55 -1</circle>", "circle[1]", "radius between"),
        ("<geocode><valueName>a</valueName></geocode>", "geocode[1]/value", "is missing"),
        ("<geocode><value>a</value></geocode>", "geocode[1]/valueName", "is missing"),
        ("<ceiling>10</ceiling>", "ceiling", "with an altitude"),
        ("<altitude>1e3</altitude>", "altitude", "decimal"),
    ],
)
def test_areas(element: str, path: str, rule: str) -> None:
    (problem,) = problems(changed(("</polygon>", f"</polygon>{element}")))
    assert problem.path == f"alert/info[1]/area[1]/{path}"
    assert rule in problem.rule


def test_all_problems_are_told_at_once_up_to_a_limit() -> None:
    found = problems(changed(("A-1", ""), ("Actual", "x"), ("Met", "x"), ("Observed", "x")))
    assert [problem.line for problem in found] == [3, 6, 10, 14]
    assert "and 1 more" in str(CapError(*found))
    assert len(problems(changed(("  <info>", "<x/>" * 400 + "<info>")))) == 50


def test_an_unknown_name_is_repeated_in_part_only() -> None:
    (problem,) = problems(changed(("  <info>", f"<{'x' * 5000}/><info>")))
    assert len(problem.path) < 60


@pytest.mark.parametrize(
    ("document", "rule"),
    [
        (DOCUMENT.replace("cap:1.2", "cap:1.1"), "only CAP 1.2"),
        (DOCUMENT.replace("alert", "alarm"), "outermost element"),
        (DOCUMENT.replace(' xmlns="urn:oasis:names:tc:emergency:cap:1.2"', ""), "namespace"),
        ("", "empty"),
        ("  ", "empty"),
        ("{}", "well-formed"),
        (DOCUMENT[:300], "well-formed"),
        (DOCUMENT.replace("Flood", "&flood;"), "well-formed"),
        (DOCUMENT.replace("Flood", "\x01"), "well-formed"),
        (DOCUMENT.replace("<event>", "<x:event/><event>"), "namespaces"),
        (DOCUMENT.replace("UTF-8", "UTF-7"), "UTF-8"),
        (DOCUMENT.replace("UTF-8", "rot13"), "UTF-8"),
        (DOCUMENT.replace("UTF-8", "windows-1252"), "UTF-8"),
    ],
)
def test_what_is_no_alert(document: str, rule: str) -> None:
    (problem,) = problems(document.encode())
    assert rule in problem.rule


def with_dtd(inside: str, used: str = "Flood", external: str = "") -> bytes:
    return changed(("<alert", f"<!DOCTYPE alert {external} [{inside}]>\n<alert"), ("Flood", used))


@pytest.mark.parametrize(
    "data",
    [
        with_dtd(""),
        with_dtd("", external='SYSTEM "http://127.0.0.1:9/x.dtd"'),
        with_dtd('<!ENTITY x "y">', "&x;"),
        with_dtd('<!ENTITY x SYSTEM "file:///etc/passwd">', "&x;"),
        with_dtd('<!ENTITY % x SYSTEM "http://127.0.0.1:9/x"> %x;'),
        with_dtd('<!ATTLIST alert a CDATA "b">'),
        with_dtd(
            '<!ENTITY a0 "ha">'
            + "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10)),
            "&a9;",
        ),
        with_dtd('<!ENTITY x "&y;"><!ENTITY y "&x;">', "&x;"),
    ],
)
def test_a_document_type_is_refused_where_it_begins(
    data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(_: bytes) -> None:
        raise AssertionError("the bytes must not come this far")

    monkeypatch.setattr(reading, "_tree", never)
    (problem,) = problems(data)
    assert problem.line == 2
    assert "document type" in problem.rule


def test_xinclude_is_not_followed() -> None:
    include = '<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="/etc/passwd"/>'
    found = problems(changed(("<event>Flood", f"<event>{include}")))
    assert any("XInclude" in problem.rule for problem in found)


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (changed(("Flood", "x" * MAX_BYTES)), "larger than"),
        (changed(("<event>", "<event>" + "<a>" * 20 + "</a>" * 20)), "deep"),
        (changed(("  <info>", "<code>x</code>" * 40_000 + "<info>")), "more than 30000 elements"),
        (changed((INFO, INFO * (MAX_INFOS + 1))), "info blocks"),
        (changed(("  </info>", "<area/>" * 2001 + "</info>")), "areas"),
        (changed(("<event>", f"<event a='{'x' * 3000}'>")), "attribute is longer"),
        (changed(("<event>", "<event " + " ".join(f"a{n}=''" for n in range(20)) + ">")), "more"),
    ],
)
def test_limits(data: bytes, rule: str) -> None:
    (problem,) = problems(data)
    assert rule in problem.rule


@given(st.data())
def test_damage_is_refused_or_harmless(data: st.DataObject) -> None:
    document = bytearray(DOCUMENT.encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(document) - 1))
        document[at] = data.draw(st.integers(0, 255))
    with suppress(CapError):
        parse(bytes(document))


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_in_words(data: bytes) -> None:
    assert problems(data)
