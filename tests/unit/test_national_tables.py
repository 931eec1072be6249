"""National language tables: the annex's codes, exact limits, and never worse than UCS-2."""

import hashlib

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from services.broadcast import segments, wording
from services.broadcast.routes import CarrierSpec, parse
from services.broadcast.segments import NATIONAL, Encoding, Segmentation, TextError, Wire
from services.local.smsc.record import Submit, duplicates, reassemble
from services.runtime.errors import ConfigError
from services.runtime.national_tables import IDENTIFIERS, LOCKING, SINGLE
from services.runtime.smpp_text import (
    DEFAULT_SHIFT,
    GSM7_BASIC,
    GSM7_EXTENSION,
    Alphabet,
    Concat,
    Shift,
    decode_payload,
    gsm7_decode,
    join_payloads,
    read_header,
    split_header,
)
from tests.broadcast_parts import FILE

HINDI = "नमस्ते, आपका अनुरोध संख्या 45 मिल गया है. हम जल्द ही आपको फिर से कॉल करेंगे. "
URDU = "آپ کی درخواست موصول ہو چکی، ہم جلد رابطہ کریں گے۔ "
SHIFTS = [
    DEFAULT_SHIFT,
    *(Shift(single=one) for one in SINGLE),
    *(Shift(locking=one) for one in LOCKING),
    *(Shift(one, one) for one in LOCKING),
]


def characters(shift: Shift) -> str:
    basic = LOCKING[shift.locking].values() if shift.locking else GSM7_BASIC.replace("\x1b", "")
    single = SINGLE[shift.single].values() if shift.single else GSM7_EXTENSION.values()
    return "".join(dict.fromkeys([*basic, *single]))


LETTERS = {shift: characters(shift) for shift in SHIFTS}
SHIFTED_TEXT = st.sampled_from(SHIFTS).flatmap(
    lambda shift: st.text(LETTERS[shift], max_size=500).map(lambda text: (shift, text))
)
ANY_TEXT = st.one_of(
    SHIFTED_TEXT.map(lambda one: one[1]),
    st.text(st.sampled_from("नमस्तेक़ि।२[]€ABab آپک۔ئ😀"), max_size=400),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=300),
)
WIRES = st.lists(st.sampled_from(NATIONAL), max_size=4, unique=True).map(
    lambda some: Wire(national=tuple(some))
)


# --- the tables ----------------------------------------------------------------------------------


@pytest.mark.parametrize("language", NATIONAL)
def test_a_table_is_a_table(language: str) -> None:
    for table in (LOCKING.get(language, {}), SINGLE[language]):
        assert all(0 <= code <= 0x7F and len(char) == 1 for code, char in table.items())
        assert 0x1B not in table
        assert not any("\ud800" <= char <= "\udfff" or char > "\uffff" for char in table.values())
    if language in LOCKING:
        locking = LOCKING[language]
        # What every phone needs in its place: the line end, the space, digits, small letters.
        assert (locking[0x0A], locking[0x0D], locking[0x20]) == ("\n", "\r", " ")
        assert "".join(locking[code] for code in range(0x30, 0x3A)) == "0123456789"
        assert "".join(locking[code] for code in range(0x61, 0x7B)) == "abcdefghijklmnopqrstuvwxyz"
        assert len(set(locking.values())) == len(locking), "a character has one code"
    assert SINGLE[language][0x0A] == "\f"


def test_there_is_no_table_that_was_not_compared_with_its_sources() -> None:
    """These are the codes that two transcriptions of the annex agreed on."""
    said = repr([(name, sorted(LOCKING.get(name, {}).items()), sorted(SINGLE[name].items()))
                 for name in sorted(IDENTIFIERS)])  # fmt: skip
    digest = hashlib.sha256(said.encode()).hexdigest()
    assert digest == "71dd93a404c31520c13f578911246c37fdb94ea376f798931d86b829ccebd6f6"
    assert "ar" not in IDENTIFIERS
    assert (IDENTIFIERS["hi"], IDENTIFIERS["ur"]) == (6, 13)


@pytest.mark.parametrize(
    ("shift", "text", "octets"),
    [
        # The header and ESC 55 of Spanish are the example of an aggregator's documentation.
        (Shift(single="es"), "Ú", "03240102 1b55"),
        (Shift(locking="tr"), "Ğğı€", "03250101 0b0c0704"),
        (Shift(locking="hi"), "नमस्ते", "03250106 2f424c5f2759"),
        (Shift("hi", "hi"), "हाँ।", "06240106250106 4d50001b19"),
        # Of two codes for a character the lower one.
        (Shift("hi", "hi"), "*¡", "06240106250106 1b0b1b13"),
        (Shift(locking="ur"), "آپ کی", "0325010d 0105204759"),
        (Shift("ur", "ur"), "گے۔", "0624010d25010d 4a5b1b3f"),
        (Shift(locking="bn"), "বাংলা", "03250104 4050014650"),
        (Shift(locking="ml"), "മലയാളം", "03250108 4246435047" "01"),
    ],
)  # fmt: skip
def test_known_octets(shift: Shift, text: str, octets: str) -> None:
    (payload,) = segments.with_udh([shift.encode(text)], 0, shift)
    assert payload == bytes.fromhex(octets)
    assert decode_payload(payload, 0, True).text == text
    assert decode_payload(payload, 1, True).text == text
    # The header says that these are septets, whatever the carrier's default is.
    assert decode_payload(payload, 0, True, Alphabet.LATIN1).text == text


@settings(max_examples=300, deadline=None)
@given(SHIFTED_TEXT)
def test_what_a_table_holds_comes_back(given_text: tuple[Shift, str]) -> None:
    shift, text = given_text
    octets = shift.encode(text)
    assert shift.decode(octets) == text
    assert len(octets) == len(text) + sum(char in shift.doubles for char in text)
    assert all(code < 0x80 for code in octets)
    if shift == DEFAULT_SHIFT:
        assert octets == Alphabet.GSM7.encode(text)


@given(st.binary(max_size=120))
def test_the_default_tables_are_those_of_gsm7(octets: bytes) -> None:
    assert DEFAULT_SHIFT.decode(octets) == gsm7_decode(octets)


@pytest.mark.parametrize(
    ("shift", "octets", "shown"),
    [
        (Shift(locking="hi"), "1b14", "^"),  # the default extension table stays in force
        (Shift(locking="hi"), "1b42", "म"),  # not in it: the main table's character
        (Shift("hi", "hi"), "1b7f", "ॿ"),
        (Shift(locking="hi"), "421b", "म "),
        (Shift(locking="bn"), "0c", "\ufffd"),
        (Shift(locking="bn"), "1b0c", "\ufffd"),
        (Shift("hi", "hi"), "1b1b", " "),
    ],
)
def test_what_no_table_has(shift: Shift, octets: str, shown: str) -> None:
    assert shift.decode(bytes.fromhex(octets)) == shown


@pytest.mark.parametrize(
    ("header", "shift", "concat"),
    [
        ("03240106", Shift(single="hi"), None),
        ("03250102", DEFAULT_SHIFT, None),  # Spanish has no locking table
        ("03250107", DEFAULT_SHIFT, None),  # a table that is not here
        ("032501ff", DEFAULT_SHIFT, None),
        ("0425020d0d", DEFAULT_SHIFT, None),  # no table is named by two octets
        ("0325020d", DEFAULT_SHIFT, None),
        ("06250106" "25010d", Shift(locking="ur"), None),  # of two the last counts
        ("0b000312020125010624010d", Shift("hi", "ur"), Concat(0x12, 2, 1)),
    ],
)  # fmt: skip
def test_what_a_header_says(header: str, shift: Shift, concat: Concat | None) -> None:
    read = read_header(bytes.fromhex(header) + b"abc")
    assert (read.shift, read.concat) == (shift, concat)


# --- cutting -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "national", "shift", "part_count"),
    [
        ("क" * 155, ("hi",), Shift(locking="hi"), 1),
        ("क" * 156, ("hi",), Shift(locking="hi"), 2),
        ("क" * 298, ("hi",), Shift(locking="hi"), 2),
        ("क" * 299, ("hi",), Shift(locking="hi"), 3),
        # A single shift table too: 152 septets, and 146 beside the concatenation.
        ("क" * 150 + "।", ("hi",), Shift("hi", "hi"), 1),
        ("क" * 151 + "।", ("hi",), Shift("hi", "hi"), 2),
        ("क" * 290 + "।", ("hi",), Shift("hi", "hi"), 2),
        ("क" * 291 + "।", ("hi",), Shift("hi", "hi"), 3),
        # 70 go as UCS-2 in one part, 134 in two: no part is saved, and every phone reads it.
        ("क" * 70, ("hi",), DEFAULT_SHIFT, 1),
        ("क" * 71, ("hi",), Shift(locking="hi"), 1),
        ("क" * 71, (), DEFAULT_SHIFT, 2),
        ("क" * 71, ("ur", "bn", "ml"), DEFAULT_SHIFT, 2),
        # Latin with a letter that only a table has: the default alphabet stays in force.
        ("a" * 150 + "Ú", ("es",), Shift(single="es"), 1),
        ("ş" * 100, ("tr",), Shift(locking="tr"), 1),
        # One part either way: fewer tables, though more septets.
        ("ê" * 71 + "Φ", ("pt",), Shift(single="pt"), 1),
        # GSM-7 holds it: no header, though a locking table would make the euro one septet.
        ("€" * 81, ("tr",), DEFAULT_SHIFT, 2),
        # Arabic has no table.
        ("ب" * 68 + "ة" * 20, NATIONAL, DEFAULT_SHIFT, 2),
        # Letter for letter: the hamza seat of Urdu is in no table, so nothing is put in its place.
        (URDU * 3, ("ur",), Shift("ur", "ur"), 2),
        (URDU * 3 + "گئی", ("ur",), DEFAULT_SHIFT, 3),
    ],
)
def test_known_counts(text: str, national: tuple[str, ...], shift: Shift, part_count: int) -> None:
    cut = segments.split(text, national=national)
    assert (cut.shift, cut.part_count) == (shift, part_count)


def payload_text(cut: Segmentation) -> str | None:
    return join_payloads(cut.payloads(9), cut.data_coding, cut.udhi)


@settings(max_examples=500, deadline=None)
@given(ANY_TEXT, WIRES)
@example(HINDI * 4, Wire(national=("hi",)))
@example("।" * 400, Wire(national=("hi",)))
@example("क" * 148 + "।" * 20, Wire(national=("hi",)))
def test_never_longer_than_ucs2_and_nothing_lost(text: str, wire: Wire) -> None:
    cut = wire.split(text)
    in_ucs2 = segments.split(text, encoding=Encoding.UCS2)
    assert cut.part_count <= in_ucs2.part_count
    assert "".join(cut.texts) == text == payload_text(cut)
    plain = segments.split(text)
    assert wire.holds(text) or cut.encoding is Encoding.UCS2
    if cut.shift == DEFAULT_SHIFT:
        assert cut == plain
        return
    assert cut.shift.locking in ("", *wire.national)
    assert cut.shift.single in ("", *wire.national)
    assert cut.part_count < in_ucs2.part_count, "a part is saved, or every phone can read it"
    assert (cut.data_coding, cut.udhi) == (0, True)
    for sequence, payload in enumerate(cut.payloads(9), 1):
        header = read_header(payload)
        assert header.shift == cut.shift
        assert header.concat == (
            Concat(9, cut.part_count, sequence) if cut.part_count > 1 else None
        )
        header_octets = len(payload) - len(header.octets)
        assert header_octets + (len(header.octets) * 7 + 7) // 8 <= 140, "what the air holds"
        trailing = len(header.octets) - len(header.octets.rstrip(b"\x1b"))
        assert trailing == 0, "no escape is parted from its code"
        assert decode_payload(payload, 0, True).text == cut.texts[sequence - 1]


@settings(max_examples=200, deadline=None)
@given(SHIFTED_TEXT, WIRES)
def test_no_shorter_cut_exists(given_text: tuple[Shift, str], wire: Wire) -> None:
    text = given_text[1]
    cut = wire.split(text)
    assume(cut.encoding is Encoding.UCS2 or cut.shift != DEFAULT_SHIFT)
    best = segments.split(text, encoding=Encoding.UCS2).part_count
    for language in wire.national:
        for shift in (Shift(single=language), Shift(language), Shift(language, language)):
            if shift.locking not in ("", *LOCKING) or not shift.can_encode(text):
                continue
            extra = 3 * (bool(shift.locking) + bool(shift.single))
            sizes = [1 + (char in shift.doubles) for char in text]
            parts, used = 1, 0
            if sum(sizes) > (140 - 1 - extra) * 8 // 7:
                for size in sizes:
                    if used + size > (140 - 6 - extra) * 8 // 7:
                        parts, used = parts + 1, 0
                    used += size
            best = min(best, parts)
    assert cut.part_count == best


def test_a_demanded_alphabet_may_be_a_national_one() -> None:
    cut = segments.split("क", encoding=Encoding.GSM7, national=("hi",))
    assert cut.shift == Shift(locking="hi")
    with pytest.raises(TextError, match="outside gsm7"):
        segments.split("क", encoding=Encoding.GSM7, national=("ur",))


# --- the way of a text ---------------------------------------------------------------------------


def test_the_carriers_file_says_which_tables_there_are() -> None:
    file = FILE.replace("per_second: 200\n", "per_second: 200\n    national: [hi, ur]\n")
    carriers = parse(file, "carriers.yaml").carriers
    assert carriers["live"].wire == Wire(Alphabet.GSM7, ("hi", "ur"))
    assert carriers["arabic"].wire == Wire(Alphabet.LATIN1)
    for old, new, says in [
        ("[hi, ur]", "[hi, ar]", r"line 12: carriers\[0\]\.national: must be a list of tr, es"),
        ("window: 10", "national: [hi]", r"line 22: carriers\[1\]\.national: needs alphabet: gsm7"),
    ]:
        with pytest.raises(ConfigError, match=says):
            parse(file.replace(old, new), "carriers.yaml")


def test_a_rehearsal_stays_in_the_tables() -> None:
    spec = parse(
        FILE.replace("per_second: 1000\n", "per_second: 1000\n    national: [hi]\n"),
        "carriers.yaml",
    ).carriers["drill"]
    assert isinstance(spec, CarrierSpec)
    shown = wording.shown(HINDI, True, spec.wire.alphabet, spec.wire.national)
    assert shown == "DRILL: " + HINDI
    assert spec.wire.split(shown).shift == Shift("hi", "hi")
    assert wording.shown(HINDI, True, Alphabet.GSM7).startswith("تمرين DRILL: ")


@pytest.mark.parametrize("text", [HINDI, HINDI * 5, URDU * 4])
def test_the_sms_centres_record_shows_what_people_see(text: str) -> None:
    cut = Wire(national=("hi", "ur")).split(text)
    assert cut.shift != DEFAULT_SHIFT
    submits = [
        Submit(
            t=1.0,
            destination="999512345678",
            sender="MAWJA",
            data_coding=cut.data_coding,
            udhi=cut.udhi,
            payload=payload,
            concat=split_header(payload)[0],
            reference=None,
            validity="",
            carrier_id="1",
            status=0,
            system_id="mawja",
        )
        for payload in cut.payloads(3)
    ]
    assert [one.text for one in reassemble(submits)] == [text]
    assert duplicates(submits) == []
    assert duplicates(submits * 2) != []
