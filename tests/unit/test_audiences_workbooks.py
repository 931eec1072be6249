"""Workbooks: what is in their cells, and what is done to harm."""

import io
import tracemalloc
import zipfile
from collections.abc import Callable
from datetime import date, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import Workbook

from services.broadcast.audiences import workbook
from services.broadcast.audiences.rows import MIB, BadFile, Columns, Counts, Limits, Recipient
from tests.audiences_desk import ALI, OMAR, agrees, outcome, refused


def book(*sheets: list[list[object]], names: tuple[str, ...] = ()) -> bytes:
    made = Workbook()
    made.remove(made.active)
    for number, rows in enumerate(sheets):
        sheet = made.create_sheet(names[number] if names else f"S{number}")
        for row in rows:
            sheet.append(row)
    out = io.BytesIO()
    made.save(out)
    return out.getvalue()


def changed(data: bytes, name: str, change: Callable[[bytes], bytes], to: str = "") -> bytes:
    """The archive with one part made anew, under the name `to` if that is given."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w", 8) as new:
        for part in old.namelist():
            if part == name:
                new.writestr(to or part, change(old.read(part)))
            else:
                new.writestr(part, old.read(part))
    return out.getvalue()


MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
TEXTS = "xl/sharedStrings.xml"
SHEET = "xl/worksheets/sheet1.xml"


def shared(rows: str, texts: str) -> bytes:
    """A workbook as spreadsheet programs write it: its texts stand in a part of their own."""
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{PACKAGE}/content-types">'
        '<Default Extension="rels" '
        'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{kind}.sheet.main+xml"/>'
        f'<Override PartName="/{SHEET}" ContentType="{kind}.worksheet+xml"/>'
        f'<Override PartName="/{TEXTS}" ContentType="{kind}.sharedStrings+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="r1" '
        f'Type="{OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}"><sheets>'
        '<sheet name="S" sheetId="1" r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{PACKAGE}/relationships">'
        f'<Relationship Id="r1" Type="{OFFICE}/worksheet" Target="worksheets/sheet1.xml"/>'
        f'<Relationship Id="r2" Type="{OFFICE}/sharedStrings" Target="sharedStrings.xml"/>'
        "</Relationships>",
        SHEET: f'<worksheet xmlns="{MAIN}"><sheetData>{rows}</sheetData></worksheet>',
        TEXTS: f'<sst xmlns="{MAIN}">{texts}</sst>',
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", 8) as archive:
        for name, text in parts.items():
            archive.writestr(name, '<?xml version="1.0" encoding="UTF-8"?>' + text)
    return out.getvalue()


SHARED = shared(
    '<row r="2"><c r="A2" t="s"><v>0</v></c><c r="C2" t="s"><v>1</v></c></row>'
    '<row r="4"><c r="A4" t="s"><v>2</v></c><c r="C4" t="s"><v>3</v></c></row>'
    '<row r="5"><c r="A5"><v>971501234568</v></c><c r="C5" t="str"><f>A1</f><v>=1+1</v></c></row>'
    '<row r="6"><c r="A6"><v>9.71501234567E11</v></c><c r="C6" t="e"><v>#N/A</v></c></row>',
    "<si><t>Mobile</t></si><si><t>الاسم</t></si><si><t>0501234567</t></si>"
    "<si><r><t>علي </t></r><r><t>حسن</t></r><rPh sb='0' eb='1'><t>x</t></rPh></si>",
)
PEOPLE: list[list[object]] = [["رقم الجوال", "الاسم"], ["0501234567", "علي"]]


def test_numbers_texts_and_times_are_as_a_spreadsheet_shows_them() -> None:
    found = outcome(
        book(
            [
                ["قائمة"],
                ["رقم الجوال", "الاسم", "موعد", "اللغة"],
                [971501234567, "علي", datetime(2026, 11, 22), "ar"],
                [501234568, 7, datetime(2026, 11, 22, 9, 30), None],
                [],
                ["٠٥٠١٢٣٤٥٦٧", 1.5, date(2026, 1, 2), "English"],
                [9.71501234567e11, True, None, ""],
                ["9.71501E+11", "x"],
                ["=cmd|' /C calc'!A0", "x"],
                [None, "المجموع", 4],
                [None, "ليلى"],
                ["042345678", "#REF!"],
            ]
        )
    )
    assert found.people == [
        Recipient(ALI, "ar", {"الاسم": "علي", "موعد": "2026-11-22"}, 3),
        Recipient(OMAR, "", {"الاسم": "7", "موعد": "2026-11-22 09:30"}, 4),
        Recipient(ALI, "en", {"الاسم": "1.5", "موعد": "2026-01-02"}, 6),
        Recipient(ALI, "", {"الاسم": "TRUE", "موعد": ""}, 7),
    ]
    assert found.bad == [
        (8, "number", "digits-lost"),
        (9, "number", "number-missing"),
        (10, "", "total"),
        (11, "number", "number-missing"),
        (12, "الاسم", "cell-error"),
    ]
    assert found.counts == Counts(lines=12, recipients=4, bad=5, empty=1, above=2)


def test_texts_that_cells_share_are_read() -> None:
    found = outcome(SHARED)
    assert found.people == [
        Recipient(ALI, "", {"B": "", "الاسم": "علي حسن"}, 4),
        Recipient(OMAR, "", {"B": "", "الاسم": "=1+1"}, 5),
    ]
    assert found.bad == [(6, "الاسم", "cell-error")]
    assert found.counts == Counts(lines=6, recipients=2, bad=1, empty=2, above=1)


def test_the_file_may_come_in_any_pieces() -> None:
    assert outcome(book(PEOPLE), chunk=3).numbers == [(2, ALI)]


def test_of_several_sheets_one_must_be_named() -> None:
    data = book(PEOPLE, [["Mobile"], ["0501234568"]], [], names=("Families", "Staff", "Empty"))
    error = refused(data)
    assert error.reason == "sheet"
    assert "Families, Staff" in str(error)
    assert outcome(data, Columns(sheet="staff")).numbers == [(2, OMAR)]
    assert refused(data, columns=Columns(sheet="Nobody")).reason == "sheet"


def test_an_empty_sheet_beside_the_list_is_nothing() -> None:
    assert outcome(book([], PEOPLE)).numbers == [(2, ALI)]
    assert refused(book([])).reason == "empty"
    assert refused(book([], [])).reason == "empty"


def test_limits_of_a_workbook_are_stated() -> None:
    data = book(PEOPLE * 3)
    assert refused(data, limits=Limits(workbook_rows=2)).reason == "rows"
    assert refused(data, limits=Limits(workbook_bytes=1000)).reason == "size"
    assert refused(data, limits=Limits(workbook_unpacked_bytes=1000)).reason == "workbook"
    assert refused(SHARED, limits=Limits(workbook_texts_bytes=100)).reason == "workbook"


def test_a_part_that_unpacks_to_very_much_is_not_unpacked() -> None:
    data = changed(book(PEOPLE), SHEET, lambda part: part + b" " * 200 * MIB)
    assert len(data) < MIB
    tracemalloc.start()
    try:
        assert "unpacks to more" in str(refused(data))
        assert tracemalloc.get_traced_memory()[1] < 8 * MIB
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["xl/workbook.xml", TEXTS, "[Content_Types].xml"])
def test_a_part_that_is_held_in_memory_may_be_less_large(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workbook, "_MOST_WHOLE", 100_000)
    limits = Limits(workbook_texts_bytes=100_000)
    data = changed(SHARED, name, lambda part: part + b" " * 100_001)
    assert "unpacks to more" in str(refused(data, limits=limits))


def test_what_is_held_in_memory_is_known_under_any_name() -> None:
    other = "xl/worksheets/sheet9.png"
    types = "[Content_Types].xml"
    data = changed(SHARED, types, lambda part: part.replace(TEXTS.encode(), other.encode()))
    assert outcome(changed(data, TEXTS, bytes, other)).numbers == outcome(SHARED).numbers
    large = changed(data, TEXTS, lambda part: part + b" " * 100_000, other)
    error = refused(large, limits=Limits(workbook_texts_bytes=100_000))
    assert "unpacks to more" in str(error)


def test_a_part_that_is_larger_than_it_says_is_refused() -> None:
    data = bytearray(changed(book(PEOPLE), SHEET, lambda part: part + b" " * 30 * MIB))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        true = archive.getinfo(SHEET).file_size
    small = (5_000).to_bytes(4, "little")
    data = bytearray(bytes(data).replace(true.to_bytes(4, "little"), small))
    assert refused(bytes(data)).reason == "workbook"


@pytest.mark.parametrize("name", [SHEET, "xl/workbook.xml", TEXTS, "[Content_Types].xml"])
@pytest.mark.parametrize(
    "prolog",
    [
        b'<!DOCTYPE a [<!ENTITY b "bbbbbbbb"><!ENTITY c "&b;&b;&b;&b;&b;&b;">]>',
        b'<!DOCTYPE a SYSTEM "file:///etc/passwd">',
        b"<!--" + b"x" * (workbook._PIECE - 8) + b"--><!DOCTYPE a>",
    ],
)
def test_a_document_type_is_refused(name: str, prolog: bytes) -> None:
    def put(part: bytes) -> bytes:
        begin, mark, rest = part.partition(b"?>")
        assert mark
        return b" ".join([prolog, rest]) if b"--" in prolog else begin + mark + prolog + rest

    assert refused(changed(SHARED, name, put)).reason == "workbook"
    # It is for this alone that it is refused.
    harmless = changed(SHARED, name, lambda part: put(part).replace(prolog, b"<!-- a -->"))
    assert outcome(harmless).numbers == outcome(SHARED).numbers


def test_a_document_type_in_another_encoding_is_refused() -> None:
    data = changed(book(PEOPLE), SHEET, lambda part: part.decode().encode("utf-16"))
    assert refused(data).reason == "workbook"


@pytest.mark.parametrize("row", [b"1048577", b"99999999999"])
def test_a_row_far_down_takes_no_time_and_no_memory(row: bytes) -> None:
    assert refused(changed(SHARED, SHEET, lambda part: part.replace(b'"6"', b'"%s"' % row))).line


def test_a_cell_far_out_costs_its_row_only_and_many_of_them_the_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = changed(SHARED, SHEET, lambda part: part.replace(b'"C5"', b'"XFD5"'))
    assert outcome(data).bad[0] == (5, "", "too-many-cells")
    monkeypatch.setattr(workbook, "_MOST_CELLS", 16_000)
    assert refused(data).reason == "workbook"


def test_a_broken_workbook_says_what_to_do() -> None:
    data = book(PEOPLE)
    assert "save it again" in str(refused(data[: len(data) // 2]))
    assert "archive" in str(
        refused(changed(data, SHEET, bytes.lower).replace(b"workbook", b"workshop"))
    )
    for part in (SHEET, "xl/workbook.xml", TEXTS):
        assert refused(changed(SHARED, part, lambda old: old[: len(old) // 2])).reason == "workbook"


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([SHEET, "xl/workbook.xml", TEXTS, "xl/_rels/workbook.xml.rels"]),
    st.integers(0, 700),
    st.binary(max_size=6),
    st.integers(0, 12),
)
def test_a_workbook_that_was_changed_is_read_or_refused(
    part: str, at: int, put: bytes, gone: int
) -> None:
    data = changed(SHARED, part, lambda old: old[:at] + put + old[at + gone :])
    try:
        found = outcome(data)
    except BadFile:
        return
    agrees(found.counts, found.rows)


@pytest.mark.parametrize("fault", [RuntimeError, TypeError, KeyError, ValueError])
def test_a_fault_of_our_own_is_no_broken_workbook(
    monkeypatch: pytest.MonkeyPatch, fault: type[Exception]
) -> None:
    def broken(_: object) -> str:
        raise fault("ours")

    monkeypatch.setattr(workbook, "_text", broken)
    with pytest.raises(fault, match="ours"):
        outcome(book([*PEOPLE, ["0501234568", 7]]))
