"""Every letter that the normaliser changes, and every one that it must leave."""

import string
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.dedup.normalise import LONGEST, normalise

ARABIC = [
    ("أ", "ا"),
    ("إ", "ا"),
    ("آ", "ا"),
    ("ٱ", "ا"),
    ("ؤ", "و"),
    ("ئ", "ي"),
    ("ى", "ي"),
    ("ی", "ي"),
    ("ة", "ه"),
    ("ۃ", "ه"),
    ("ہ", "ه"),
    ("ک", "ك"),
    ("ء", ""),
    ("ـ", ""),
    ("ﻻ", "لا"),
    ("ﺑ", "ب"),
]
LETTERS = "ابتثجحخدذرزسشصضطظعغفقكلمنهوي"
DIACRITICS = [chr(code) for code in (*range(0x064B, 0x0660), 0x0670, 0x0610, 0x06D6)]


@pytest.mark.parametrize(("written", "plain"), ARABIC)
def test_one_spelling_for_each_letter(written: str, plain: str) -> None:
    assert normalise(written) == plain
    assert normalise(f"ب{written}ت") == f"ب{plain}ت"


@pytest.mark.parametrize("letter", LETTERS)
def test_the_letters_of_the_alphabet_stay(letter: str) -> None:
    assert normalise(letter) == letter


def test_no_two_letters_of_the_alphabet_become_one() -> None:
    assert len({normalise(letter) for letter in LETTERS}) == len(LETTERS) == 28


@pytest.mark.parametrize("mark", DIACRITICS)
def test_diacritics_go(mark: str) -> None:
    assert normalise(f"كتب{mark}ت") == "كتبت"


@pytest.mark.parametrize(
    "zero", ["٠", "۰", "०", "০", "൦", "０"], ids=lambda zero: unicodedata.name(zero)
)
def test_digits_of_every_script_are_ascii(zero: str) -> None:
    assert normalise("".join(chr(ord(zero) + i) for i in range(10))) == string.digits


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("إِقَامَتِي", "اقامتي"),
        ("مـــوعد", "موعد"),
        ("وااااايد", "وايد"),
        ("الفحص‏ ١٢٣", "الفحص 123"),
        ("شيء", "شيئ"[:-1]),
        ("Café ÅNGSTRÖM", "cafe angstrom"),
        ("STRASSE", "straße"),
        ("soooo late", "so late"),
    ],
)
def test_spellings_of_one_word_meet(one: str, other: str) -> None:
    assert normalise(one) == normalise(other)


def test_digits_are_not_drawn_out_letters() -> None:
    assert normalise("100000") == "100000"


def test_words_of_other_scripts_stay() -> None:
    for word in ("मेरी", "ٹیسٹ".replace("ی", "ي"), "বিদ্যুৎ", "വൈദ്യുതി"):
        assert normalise(word) == unicodedata.normalize("NFKC", word)


def test_all_arabic_is_not_the_same() -> None:
    assert normalise("أين نتيجة الفحص") != normalise("متى موعد المدرسة")


@given(st.text(max_size=200))
def test_any_text_is_taken_and_twice_is_once(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once


def test_a_megabyte_is_cut() -> None:
    assert len(normalise("ا ب " * 300_000)) <= LONGEST
