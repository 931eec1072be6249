"""What real files of people are like."""

from dataclasses import replace

import pytest

from services.broadcast.audiences import rules
from services.broadcast.audiences.language import language_of
from services.broadcast.audiences.reader import Reader, read
from services.broadcast.audiences.rows import BadFile, Columns, Counts, Limits, Recipient
from services.broadcast.audiences.table import LONGEST_ROW
from tests.audiences_desk import ALI, OMAR, outcome, refused


def test_an_arabic_file_of_all_kinds_of_rows() -> None:
    found = outcome(
        "رقم الجوال,الاسم,اللغة\r\n"
        "0501234567,علي,ar\r\n"
        "\r\n"
        ",,\r\n"
        '٠٥٠١٢٣٤٥٦٨,"عمر\r\nبن سعيد",English\r\n'
        "9.71501E+11,سارة,\r\n"
        ",ليلى,ur\r\n"
        "0501234567,نور,Klingonish\r\n"
        "الإجمالي,6,\r\n"
        "042345678,مكتب,\r\n"
    )
    assert found.people == [
        Recipient(ALI, "ar", {"الاسم": "علي"}, 2),
        Recipient(OMAR, "en", {"الاسم": "عمر\r\nبن سعيد"}, 5),
        Recipient("+97142345678", "", {"الاسم": "مكتب"}, 11, "landline"),
    ]
    assert found.bad == [
        (7, "number", "digits-lost"),
        (8, "number", "number-missing"),
        (9, "language", "language"),
        (10, "", "total"),
    ]
    assert found.counts == Counts(lines=11, recipients=3, bad=4, empty=2, above=1, continued=1)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_separators_line_ends_and_encodings_are_found(
    separator: str, end: str, encoding: str
) -> None:
    lines = [["Mobile", "الاسم"], ["0501234567", "علي"], ["0501234568", '"a,;\t|b"'], []]
    text = end.join(separator.join(line) for line in lines)
    found = outcome(text.encode(encoding), chunk=7)
    assert found.numbers == [(2, ALI), (3, OMAR)]
    assert [one.fields["الاسم"] for one in found.people] == ["علي", "a,;\t|b"]


@pytest.mark.parametrize("header", [
    "mobile", "Mobile No.", "MOBILE_NUMBER", "mobileNumber", "Phone", "Phone Number", "Tel",
    "MSISDN", "Number", "رقم", "الهاتف", "رقم الهاتف", "الجوال", "رقم الجوّال", "رقم_الجوال",
    "هاتف متحرك", "الموبايل", "\ufeff\u200fرقم الجوال\u200f", "Cell Phone", "WhatsApp",
])  # fmt: skip
def test_the_numbers_are_found_by_the_header(header: str) -> None:
    assert outcome(f"Name,{header},City\nA,0501234567,B\n").numbers == [(2, ALI)]


@pytest.mark.parametrize("header", ["language", "Lang", "اللغة", "لغة", "Preferred Language"])
def test_the_language_is_found_by_the_header(header: str) -> None:
    found = outcome(f"Mobile,{header}\n0501234567,عربي\n")
    assert found.people == [Recipient(ALI, "ar", {}, 2)]


def test_a_mobile_goes_before_a_telephone_and_what_is_no_citizens_line_is_left() -> None:
    text = "Phone,Mobile,Work mobile\n042345678,0501234567,0501234568\n"
    found = outcome(text)
    assert found.numbers == [(2, ALI)]
    assert found.people[0].fields == {"Phone": "042345678", "Work mobile": "0501234568"}


def test_two_columns_that_could_be_meant_are_asked_about() -> None:
    error = refused("Name,Mobile A,Mobile B\nx,0501234567,0501234568\n")
    assert error.reason == "header"
    assert "Mobile A, Mobile B" in str(error)
    assert 'letter ("B")' in str(error)


def test_a_header_that_is_not_understood_is_listed() -> None:
    error = refused("Contact,Who\n0501234567,x\n")
    assert "headers: Contact, Who" in str(error)
    assert "mobile" in str(error)


def test_nobodys_data_is_listed_as_a_header() -> None:
    said = []
    for text in (
        "Ali Hassan,0501\n" * 20,
        "Ali Hassan,0501234567,0501234568\n",
        "Ali Hassan,ali@example.org,\n" * 20,
    ):
        try:
            outcome(text)
        except BadFile as error:
            said.append(str(error))
    assert len(said) == 3
    assert not any("Ali" in one for one in said)


@pytest.mark.parametrize(("columns", "fields"), [
    (Columns(number="Who"), {"What": "x", "When": "y"}),
    (Columns(number=" who "), {"What": "x", "When": "y"}),
    (Columns(number="A"), {"What": "x", "When": "y"}),
    (Columns(number="1"), {"What": "x", "When": "y"}),
    (Columns(number="Who", language="When", header=True), None),
    (Columns(number="a", header=True), {"What": "x", "When": "y"}),
])  # fmt: skip
def test_the_caller_may_say_which_column(columns: Columns, fields: dict[str, str] | None) -> None:
    found = outcome("Who,What,When\n0501234567,x,y\n", columns)
    if fields is None:
        assert found.bad == [(2, "language", "language")]
    else:
        assert found.people == [Recipient(ALI, "", fields, 2)]


@pytest.mark.parametrize("given", ["Where", "D", "0", "9", "ص"])
def test_a_column_that_is_not_there_is_refused_with_what_is(given: str) -> None:
    assert "headers: Who, What" in str(
        refused("Who,What\n0501234567,x\n", columns=Columns(number=given))
    )


def test_a_file_of_numbers_alone_needs_no_header() -> None:
    found = outcome("0501234567\n050 123 4568\n")
    assert found.numbers == [(1, ALI), (2, OMAR)]
    assert found.people[0].fields == {}


def test_without_a_header_columns_are_called_by_their_letters() -> None:
    assert outcome("x,0501234567,y\n").people == [Recipient(ALI, "", {"A": "x", "C": "y"}, 1)]


def test_titles_above_the_header_are_passed_over() -> None:
    found = outcome("قائمة المتضررين,,\n\nالاسم,الجوال,\nx,0501234567,\n")
    assert found.numbers == [(4, ALI)]
    assert found.counts == Counts(lines=4, recipients=1, bad=0, empty=1, above=2, continued=0)


def test_nobody_above_the_first_good_number_is_left_out_silently() -> None:
    found = outcome("050123\n0501234567\n")
    assert found.numbers == [(2, ALI)]
    assert found.bad == [(1, "number", "not-a-number")]


def test_a_first_number_that_lost_its_digits_is_still_a_row() -> None:
    found = outcome("Ali,9.7E+11\nOmar,0501234567\n")
    assert found.numbers == [(2, ALI)]
    assert found.bad == [(1, "number", "digits-lost")]


def test_names_that_stand_twice_are_made_distinct() -> None:
    found = outcome("Mobile,Note,Note,\n0501234567,a,b,c\n")
    assert found.people[0].fields == {"Note": "a", "Note_2": "b", "D": "c"}


def test_windows_1256_must_be_declared() -> None:
    data = "الجوال,الاسم\n0501234567,علي\n".encode("cp1256")
    error = refused(data)
    assert error.reason == "encoding"
    assert error.line == 1
    assert "windows-1256" in str(error)
    assert outcome(data, encoding="windows-1256").people[0].fields == {"الاسم": "علي"}


def test_a_few_stray_nuls_make_no_utf_16_of_a_file() -> None:
    found = outcome("Mobile,Name\n\0,\0")
    assert found.bad == [(2, "", "control-character")]


def test_the_line_at_which_it_is_no_longer_utf_8_is_named() -> None:
    data = b"Mobile,Name\n" + b"0501234567,x\n" * 9_000 + b"0501234567,\xc7\xe1\n"
    assert refused(data, chunk=5_000).line == 9_002


@pytest.mark.parametrize(("encoding", "declared"), [
    ("utf-8", "windows-1256"), ("utf-8", "windows-1252"), ("utf-8-sig", "utf-16"),
    ("utf-8-sig", "windows-1256"), ("utf-16", "utf-8"), ("utf-16", "windows-1256"),
    ("utf-16-le", "klingon"), ("utf-32", ""), ("utf-8", "utf-16"),
])  # fmt: skip
def test_a_wrong_declaration_garbles_nothing(encoding: str, declared: str) -> None:
    data = "الجوال,الاسم\n0501234567,علي\n".encode(encoding)
    assert refused(data, encoding=declared).reason == "encoding"


def test_bytes_that_are_no_characters_cost_their_row_only() -> None:
    data = b"Mobile,Name\n0501234567,a\xffb\n0501234568,ok\n\xff,x\n"
    for found in (outcome(b"\xef\xbb\xbf" + data), outcome(data, encoding="utf-8")):
        assert found.numbers == [(3, OMAR)]
        assert found.bad == [(2, "Name", "not-in-encoding"), (4, "", "not-in-encoding")]


def test_a_quotation_mark_that_is_not_closed_costs_its_row_only() -> None:
    rows = "".join(f"05012{n:05},n{n}\n" for n in range(3_000))
    for stray in ('0501234567,"x\n', '0501234567,"x" y\n', '"0501234567,x\n'):
        found = outcome("Mobile,Name\n" + stray + rows + '0501234568,"last"\n' + rows, chunk=999)
        assert found.bad == [(2, "", "quotes")]
        assert len(found.numbers) == 6_001
        assert found.numbers[3_000] == (3_003, OMAR)


def test_a_quotation_mark_within_a_text_is_a_sign_like_others() -> None:
    found = outcome('Mobile,Size\n0501234567,5" pipe\n0501234568,"5"" pipe"\n')
    assert [one.fields["Size"] for one in found.people] == ['5" pipe', '5" pipe']


def test_a_file_of_marks_that_never_close_comes_to_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.broadcast.audiences.table._MOST_AGAIN", 1_000_000)
    error = refused("Mobile\n" + 'a","\n' * 30_000)
    assert error.reason == "quotes"


@pytest.mark.parametrize("quote", ["", '"'])
def test_a_cell_of_a_megabyte_costs_its_row_only(quote: str) -> None:
    text = "x" * 2**20
    data = f"Mobile,Name\n0501234567,{quote}{text}{quote}\n0501234568,ok\n"
    for chunk in (0, 10_000):
        found = outcome(data, chunk=chunk)
        assert found.numbers == [(3, OMAR)]
        assert found.bad == [(2, "", "row-too-long")]
        assert found.counts.lines == 3


def test_a_row_that_is_too_long_may_be_the_last_and_may_never_end() -> None:
    long = "x" * (LONGEST_ROW + 10)
    for data in (
        f"Mobile\n0501234567\n{long}",
        f"Mobile\n0501234567\n{long}\r\n\r\n",
    ):
        for chunk in (0, LONGEST_ROW + 28, 40_000):
            found = outcome(data, chunk=chunk)
            assert found.numbers == [(2, ALI)]
            assert found.bad == [(3, "", "row-too-long")]
            assert found.counts.lines == len(data.splitlines())


def test_a_text_too_long_for_a_message_is_named() -> None:
    found = outcome(f"Mobile,Name\n0501234567,{'x' * 1000}\n0501234568,{'x' * 1001}\n")
    assert found.numbers == [(2, ALI)]
    assert found.bad == [(3, "Name", "text-too-long")]


def test_what_cannot_be_shown_is_named_and_formulas_stay_texts() -> None:
    found = outcome(
        "Mobile,Name\n0501234567,=cmd|' /C calc'!A0\n0501234568,a\0b\n0501234568,#N/A\n"
        "0501234568,a,b\n0501234568,a,,\n0501234568\n"
    )
    assert [(one.line, one.fields["Name"]) for one in found.people] == [
        (2, "=cmd|' /C calc'!A0"),
        (6, "a"),
        (7, ""),
    ]
    assert found.bad == [
        (3, "Name", "control-character"),
        (4, "Name", "cell-error"),
        (5, "", "too-many-cells"),
    ]


def test_a_spreadsheets_own_line_about_separators_is_no_person() -> None:
    found = outcome("sep=;\nMobile;Name\n0501234567;a,b\n")
    assert found.people == [Recipient(ALI, "", {"Name": "a,b"}, 3)]
    assert found.counts.above == 2


def test_names_with_commas_do_not_decide_what_separates() -> None:
    text = "".join(f"0501234{n:03};Family, Name\n" for n in range(100))
    assert outcome(text).people[0].fields == {"B": "Family, Name"}


@pytest.mark.parametrize(("text", "reason"), [
    ("", "empty"), ("\n\n", "empty"), ("\ufeff", "empty"), (",,\n", "empty"),
    ("Some text\n", "header"), ("A,B\n" * 50, "header"),
    ("0501234567,0501234568\n", "no-header"),
])  # fmt: skip
def test_a_file_that_says_nothing_is_refused(text: str, reason: str) -> None:
    assert refused(text).reason == reason


def test_a_header_alone_is_a_file_without_people() -> None:
    assert outcome("Mobile\n").rows == []


@pytest.mark.parametrize("data", [
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), b"\x1f\x8b\x08\x00abc",
    b"PK\x05\x06" + bytes(18),
    b"7z\xbc\xaf\x27\x1c", b"PK\x03\x04" + bytes(600),
])  # fmt: skip
def test_what_is_no_list_is_refused(data: bytes) -> None:
    assert refused(data).reason in ("workbook", "packed")


def test_limits_are_stated() -> None:
    rows = "Mobile\n" + "0501234567\n" * 11
    error = refused(rows, limits=Limits(rows=10))
    assert error.reason == "rows"
    assert error.line == 12
    assert len(outcome(rows, limits=Limits(rows=11)).rows) == 11
    assert refused(rows, limits=Limits(bytes=100)).reason == "size"
    assert refused(",".join("abc"), limits=Limits(columns=2)).reason == "columns"
    assert refused(rows, columns=Columns(separator=";;")).reason == "separator"
    assert refused(rows, columns=Columns(number="1", language="1", header=True)).reason == "columns"


@pytest.mark.parametrize(("cell", "tag"), [
    ("", ""), ("-", ""), ("ar", "ar"), ("AR", "ar"), ("en_us", "en-US"),
    ("zh-hant-tw", "zh-Hant-TW"),
    ("عربي", "ar"), ("العربيّة", None), ("اللغة", None), ("Arabic ", "ar"), ("eng", "en"),
    ("Urdu", "ur"),
    ("\u200fأردو", "ur"), ("tl", "fil"), ("de-1996", "de-1996"), ("english please", None),
    ("x", None), ("e\u0661", None), ("a" * 100, None),
])  # fmt: skip
def test_languages_are_tags_names_or_nothing(cell: str, tag: str | None) -> None:
    assert language_of(cell) == tag


@pytest.mark.parametrize("rule", rules.RULES.values(), ids=rules.RULES)
def test_every_rule_speaks_both_languages(rule: rules.Rule) -> None:
    assert rule.english.endswith(".")
    assert rule.arabic.endswith(".")
    assert any("\u0621" <= char <= "\u064a" for char in rule.arabic)


def test_read_gives_what_the_reader_gives() -> None:
    data = b"Mobile,Name\n" + b"0501234567,x\n" * 10_000
    assert list(read([data[:100], data[100:]], "AE")) == outcome(data).rows


def test_rows_come_while_the_file_does() -> None:
    reader = Reader("AE")
    rows = b"".join(b"05012%05d,x\n" % n for n in range(20_000))
    reader.feed(b"Mobile,Name\n")
    assert len(reader.feed(rows)) > 15_000
    assert replace(reader.counts, lines=0, recipients=0) == Counts(above=1)


def test_nothing_of_a_person_is_in_what_a_log_would_show() -> None:
    found = outcome("Mobile,Name\n0501234567,Ali\n0501234x,Omar\n")
    assert not any(word in repr(found) for word in ("0501234", "97150", "Ali", "Omar"))


def columns(text: str, **given: str) -> list[tuple[str, str]]:
    reader = Reader("AE", Columns(**given))  # type: ignore[arg-type]
    reader.feed(text.encode())
    list(reader.finish())
    return [(one.name, one.use) for one in reader.columns]


def test_it_is_told_what_each_column_was_taken_for() -> None:
    assert columns("الاسم,Mobile,اللغة,الاسم\nعلي,0501234567,ar,سعيد\n") == [
        ("الاسم", "field"),
        ("Mobile", "number"),
        ("اللغة", "language"),
        ("الاسم_2", "field"),
    ]
    assert columns("0501234567,علي\n") == [("A", "number"), ("B", "field")]
    assert Reader("AE").columns == ()


def test_what_may_be_about_a_person_is_told_as_no_column() -> None:
    # The number of the first row is none, so that the row stands where a header would.
    taken = columns("Ali 19850412,050-no,ar\nOmar,0501234567,ar\n", number="B")
    assert taken == [("A", "field"), ("B", "number"), ("C", "field")]
