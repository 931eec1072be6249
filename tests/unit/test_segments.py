"""Parts are exact: nothing lost, nothing too long, no character torn, no part too many."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.broadcast import segments
from services.broadcast.segments import Encoding, TextError
from services.runtime.smpp_text import (
    GSM7_BASIC,
    GSM7_EXTENSION,
    Alphabet,
    Concat,
    decode_payload,
    join_payloads,
)

GSM7_TEXT = st.text(GSM7_BASIC.replace("\x1b", "") + "".join(GSM7_EXTENSION.values()), max_size=700)
ARABIC = "السلام عليكم، تم استلام بلاغكم رقم ٤٥ وسنعاود الاتصال بكم. "
FAMILY = "👨‍👩‍👧‍👦"  # four people joined: 11 UTF-16 code units
FLAG = "🇦🇪"
ANY_TEXT = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=700),
    GSM7_TEXT,
    st.text("اأإبتثجحخ ًٌَُِّْ٠١٢", max_size=700),
    st.text(st.sampled_from("aب😀é\u200d\ufe0f\u0301🏽🇦🇪"), max_size=500),
    st.lists(st.sampled_from([FAMILY, FLAG, "👍🏽", "a", "ب", "e\u0301", "€"]), max_size=120).map(
        "".join
    ),
)


@pytest.mark.parametrize(
    ("text", "encoding", "part_count", "units"),
    [
        ("", Encoding.GSM7, 1, 0),
        ("a" * 160, Encoding.GSM7, 1, 160),
        ("a" * 161, Encoding.GSM7, 2, 161),
        ("a" * 306, Encoding.GSM7, 2, 306),
        ("a" * 307, Encoding.GSM7, 3, 307),
        ("€" * 80, Encoding.GSM7, 1, 160),
        ("€" * 81, Encoding.GSM7, 2, 162),
        # 153 is odd: an escape pair never straddles, so a part of pairs holds 152.
        ("€" * 153, Encoding.GSM7, 3, 306),
        ("[^]{}\\~|€\f", Encoding.GSM7, 1, 20),
        ("@£$¥èéùìòÇØøÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ¤¡ÄÖÑÜ§¿äöñüà", Encoding.GSM7, 1, 42),
        ("`", Encoding.UCS2, 1, 1),
        ("ç", Encoding.UCS2, 1, 1),
        ("\x1b", Encoding.UCS2, 1, 1),
        ("ب" * 70, Encoding.UCS2, 1, 70),
        ("ب" * 71, Encoding.UCS2, 2, 71),
        ("ب" * 134, Encoding.UCS2, 2, 134),
        ("ب" * 135, Encoding.UCS2, 3, 135),
        ("😀" * 35, Encoding.UCS2, 1, 70),
        ("😀" * 36, Encoding.UCS2, 2, 72),
        # 67 is odd: a surrogate pair never straddles, so a part of emoji holds 66.
        ("😀" * 67, Encoding.UCS2, 3, 134),
        ("a" * 150 + "ب", Encoding.UCS2, 3, 151),
    ],
)
def test_known_counts(text: str, encoding: Encoding, part_count: int, units: int) -> None:
    result = segments.split(text)
    assert (result.encoding, result.part_count, result.units) == (encoding, part_count, units)


@settings(max_examples=400, deadline=None)
@given(ANY_TEXT)
@example(ARABIC * 9)
@example("€" * 400)
@example("a" * 152 + "€" * 10)
@example("ب" * 66 + "😀" * 40)
def test_rejoins_within_limits_without_splitting_a_pair(text: str) -> None:
    result = segments.split(text)
    assert "".join(result.texts) == text
    udhi = result.udhi
    payloads = segments.with_udh(result.parts, 7)
    assert join_payloads(payloads, result.data_coding, udhi) == text
    limit = {
        (Encoding.GSM7, False): 160,
        (Encoding.GSM7, True): 153,
        (Encoding.UCS2, False): 140,
        (Encoding.UCS2, True): 134,
    }[result.encoding, udhi]
    for sequence, (part, payload) in enumerate(zip(result.parts, payloads, strict=True), 1):
        assert len(part) <= limit
        decoded = decode_payload(payload, result.data_coding, udhi)
        assert decoded.text == result.texts[sequence - 1]
        if udhi:
            assert decoded.concat == Concat(7, len(payloads), sequence)
            assert part, "no empty part of a longer message"
        if result.encoding is Encoding.UCS2:
            part.decode("utf-16-be")  # raises on half a pair
        else:
            trailing = len(part) - len(part.rstrip(b"\x1b"))
            assert trailing == 0


@settings(max_examples=200, deadline=None)
@given(ANY_TEXT)
def test_no_shorter_cut_exists(text: str) -> None:
    # Greedy filling under the hard rule alone (pairs stay whole) is the fewest parts there are.
    result = segments.split(text)
    if not result.udhi:
        return
    double = GSM7_EXTENSION.values() if result.encoding is Encoding.GSM7 else ()
    limit = 153 if result.encoding is Encoding.GSM7 else 67
    parts, used = 1, 0
    for char in text:
        size = 2 if char in double or char > "\uffff" else 1
        if used + size > limit:
            parts, used = parts + 1, 0
        used += size
    assert result.part_count == parts


@pytest.mark.parametrize("cluster", [FAMILY, FLAG, "👍🏽", "❤\ufe0f", "ب\u0651\u064e", "\r\n"])
@pytest.mark.parametrize("shift", range(12))
def test_visible_characters_stay_whole_where_it_costs_nothing(cluster: str, shift: int) -> None:
    text = "ب" * (67 - shift) + cluster + "ت" * 20
    result = segments.split(text)
    assert result.part_count == 2
    assert any(cluster in part for part in result.texts)


def test_a_part_is_not_spent_on_keeping_a_character_whole() -> None:
    text = "ب" * 66 + "ت\u0651" + "ث" * 66
    assert len(text) == 134
    assert segments.split(text).part_count == 2


def test_a_flag_run_breaks_between_flags() -> None:
    result = segments.split("ب" + FLAG * 40)
    assert all(part.removeprefix("ب").replace(FLAG, "") == "" for part in result.texts)


@pytest.mark.parametrize("text", ["\ud800", "abc\udfff", "😀\ud83d" * 50])
def test_an_unpaired_surrogate_is_refused_clearly(text: str) -> None:
    with pytest.raises(TextError, match="unpaired surrogate"):
        segments.split(text)


def test_more_than_255_parts_is_refused_with_the_count() -> None:
    assert segments.split("ب" * 67 * 255).part_count == 255
    with pytest.raises(TextError, match="256 SMS parts and 255"):
        segments.split("ب" * (67 * 255 + 1))


def test_a_demanded_encoding_is_kept_or_refused_without_quoting() -> None:
    assert segments.split("abc", encoding=Encoding.UCS2).parts == (b"\0a\0b\0c",)
    with pytest.raises(TextError) as caught:
        segments.split("سر", encoding=Encoding.GSM7)
    assert "سر" not in str(caught.value)


@pytest.mark.parametrize(
    ("alphabet", "text", "encoding", "payload"),
    [
        (Alphabet.GSM7, "é@€", Encoding.GSM7, b"\x05\x00\x1b\x65"),
        (Alphabet.LATIN1, "é@", Encoding.GSM7, b"\xe9@"),
        (Alphabet.LATIN1, "€", Encoding.UCS2, b"\x20\xac"),
        (Alphabet.ASCII, "a@[", Encoding.GSM7, b"a@["),
        (Alphabet.ASCII, "é", Encoding.UCS2, b"\x00\xe9"),
    ],
)
def test_the_carriers_default_alphabet_decides_the_octets(
    alphabet: Alphabet, text: str, encoding: Encoding, payload: bytes
) -> None:
    result = segments.split(text, alphabet=alphabet)
    assert (result.encoding, result.parts[0]) == (encoding, payload)
    assert decode_payload(payload, result.data_coding, False, alphabet).text == text


def test_septets_are_counted_though_latin1_is_on_the_wire() -> None:
    # '[' is one octet of Latin-1 and two septets on the air.
    assert segments.split("[" * 81, alphabet=Alphabet.LATIN1).part_count == 2


def test_header_octets_and_bounds() -> None:
    assert segments.with_udh([b"x"], 9) == (b"x",)
    assert segments.with_udh([b"x", b"y"], 200)[1] == b"\x05\x00\x03\xc8\x02\x02y"
    with pytest.raises(ValueError, match="one octet"):
        segments.with_udh([b"x", b"y"], 256)
    with pytest.raises(TextError):
        segments.with_udh([], 0)
    assert [segments.seven_bit_limit(octets) for octets in (0, 6, 9)] == [160, 153, 149]
    assert [segments.ucs2_limit(octets) for octets in (0, 6)] == [70, 67]


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 255), st.booleans(), st.sampled_from(list(Alphabet)))
@example(b"\xff\x00\x03\x01\x02\x01abc", 0, True, Alphabet.GSM7)
@example(b"\x05\x00\x03\x01\x00\x09abc", 8, True, Alphabet.GSM7)
@example(b"\x1b", 0, False, Alphabet.GSM7)
def test_reading_never_fails(
    payload: bytes, data_coding: int, udhi: bool, alphabet: Alphabet
) -> None:
    decode_payload(payload, data_coding, udhi, alphabet)
    join_payloads([payload, payload], data_coding, udhi, alphabet)


def test_a_pair_split_by_another_sender_is_read_whole() -> None:
    octets = "😀".encode("utf-16-be")
    parts = segments.with_udh([octets[:2], octets[2:]], 1)
    assert join_payloads(parts, 8, True) == "😀"


def test_sixteen_bit_references_are_read() -> None:
    decoded = decode_payload(b"\x06\x08\x04\x12\x34\x02\x01hello", 0, True)
    assert (decoded.text, decoded.concat) == ("hello", Concat(0x1234, 2, 1))
