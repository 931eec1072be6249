"""What leaves as a sample holds no number, address or name; and any text may be one."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.dedup.incidents.redact import LONGEST, STRUCK, redacted


@pytest.mark.parametrize(
    ("text", "gone"),
    [
        ("Call me on +971 50 123 4567 please", ["50", "123", "4567"]),
        ("اتصلوا علي ٠٥٠١٢٣٤٥٦٧ ضروري", ["٠٥٠"]),
        ("write to sara.ali@example.org or https://x.example/u/sara", ["sara", "example"]),
        ("my name is Huda Salem, water in the house", ["Huda", "Salem"]),
        ("انا ام سالم من خيطان", ["سالم"]),
        ("أبو ناصر الهاجري يحتاج أكسجين", ["ناصر", "الهاجري"]),
        ("please help Fatima, the road is closed", ["Fatima"]),
        ("plate AB 4471, house 14b", ["4471", "14b"]),
        ("my number is zero five five one two", ["zero", "five"]),
        ("@huda_99 says the road is closed", ["huda"]),
        ("मेरा नाम राजेश है, बिजली नहीं", ["राजेश"]),
    ],
)
def test_what_is_personal_is_struck_out(text: str, gone: list[str]) -> None:
    kept = redacted(text)
    assert STRUCK in kept
    assert not [one for one in gone if one in kept]


def test_what_happened_is_kept() -> None:
    assert (
        redacted("نفق خيطان غرق بالماي والسيارات عالقة") == "نفق خيطان غرق بالماي والسيارات عالقة"
    )
    assert redacted("the underpass is flooded, cars are stuck") == (
        "the underpass is flooded, cars are stuck"
    )


@given(st.text(max_size=600))
def test_any_text_gives_one_line_without_digits_or_addresses(text: str) -> None:
    kept = redacted(text)
    assert len(kept) <= LONGEST + 1
    assert "\n" not in kept
    assert "@" not in kept
    assert not [letter for letter in kept if unicodedata.category(letter) == "Nd"]


@given(st.sampled_from(["abu", "Mr", "أم", "اسمي", "bin"]), st.text("abcdefghxyz", min_size=3))
def test_no_name_stands_after_what_a_name_follows(before: str, name: str) -> None:
    assert name not in redacted(f"water came in, {before} {name}").split()
