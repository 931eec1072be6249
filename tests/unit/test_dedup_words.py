"""Words, codes, shapes and languages."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.texts import phrasebook
from services.dedup import languages
from services.dedup.identify import Guess, Identifier
from services.dedup.language import meanings, stop_stems
from services.dedup.words import (
    CODE,
    LONGEST_SHAPE,
    MOST_CODES,
    Shaper,
    bounded,
    is_code,
    pack,
    sentences,
    tokens,
    unpack,
)

LANGUAGES = languages.read()
IDENTIFIER = Identifier(LANGUAGES)


def identified(text: str) -> Guess:
    return IDENTIFIER.identify(text, tokens(text))


@given(st.text())
def test_the_sentences_of_a_text_are_its_words(text: str) -> None:
    assert [word for said in sentences(text) for word in said] == tokens(text)


STOP = stop_stems(LANGUAGES)
MEANINGS = meanings(LANGUAGES)


def hashed(word: str) -> int:
    return zlib.crc32(word.encode())


def shape(text: str, stop: frozenset[str] = STOP) -> list[int]:
    return Shaper(hashed, stop, MEANINGS).shape(text)


def shaped(text: str) -> set[int]:
    return set(shape(text))


@pytest.mark.parametrize(
    ("token", "code"),
    [
        ("123456", True),
        ("12345", True),
        ("2026", False),
        ("109", False),
        ("mj123", True),
        ("covid19", False),
        ("word", False),
    ],
)
def test_what_names_one_thing_is_a_code(token: str, code: bool) -> None:
    assert is_code(token) is code


def test_numbers_stand_apart_from_arabic_letters() -> None:
    assert tokens("رقم٥٠٠٠٠٠ والرحلةMJ123") == ["رقم", "500000", "والرحله", "mj123"]


def test_syllables_of_indian_scripts_stay_whole() -> None:
    assert tokens("मेरी बिजली।") == ["मेरी", "बिजली"]
    assert len(tokens("വൈദ്യുതി ഇല്ല")) == 2


def test_spellings_of_one_arabic_text_have_one_shape() -> None:
    one = "أستفسر عن نتيجةِ الفحص، رقم العينة ٥٥٥١٢٣"
    other = "استفسر عن نتيجه فحص رقم العينه 555123"
    assert shaped(one) == shaped(other)


def test_the_article_joined_to_a_letter_comes_off() -> None:
    assert shaped("بالمدرسة") == shaped("والمدرسة") == shaped("المدرسة") == shaped("مدرسة")


def test_words_that_say_nothing_leave_no_mark() -> None:
    assert shaped("السلام عليكم ورحمة الله وبركاته") == set()
    assert shaped("Hello, please, thank you") == set()


@pytest.mark.parametrize("text", ["", " ", "\x00\x07", "‏‏‏", "🙏🙏", "؟!،", "\ud800"])
def test_texts_without_words_have_no_shape(text: str) -> None:
    assert shaped(text) == set()


def test_codes_are_marked_and_words_are_not() -> None:
    numbers = shape("flight MJ123 cancelled", frozenset())
    assert sum(bool(n & CODE) for n in numbers) == 1
    assert len(numbers) == 3


def test_a_long_text_keeps_its_codes_and_the_same_words_each_time() -> None:
    text = " ".join(f"word{chr(97 + i % 26)}{chr(97 + i // 26)}" for i in range(500)) + " 123456"
    numbers = shape(text, frozenset())
    assert len(numbers) == LONGEST_SHAPE
    assert hashed("123456") | CODE in numbers
    backwards = " ".join(reversed(text.split()))
    assert shape(backwards, frozenset()) == numbers


@given(st.lists(st.integers(0, 2**32 - 1), max_size=200))
def test_shapes_are_bounded_and_survive_packing(numbers: list[int]) -> None:
    kept = bounded(numbers)
    assert len(kept) <= LONGEST_SHAPE
    assert sum(bool(n & CODE) for n in kept) <= MOST_CODES
    assert unpack(pack(kept)) == kept
    assert bounded(kept) == kept


@given(st.text(max_size=300))
def test_any_text_has_a_shape_and_a_language(text: str) -> None:
    assert len(shape(text)) <= LONGEST_SHAPE
    guess = identified(text)
    assert guess.code in {"", *(language.code for language in LANGUAGES)}
    assert 0 <= guess.confidence <= 1
    assert bool(guess.code) == bool(guess.confidence)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("أين نتيجة الفحص؟", "ar"),
        ("چم باقي على الموعد گلت لكم", "ar"),
        ("میری فلائٹ منسوخ ہو گئی ہے", "ur"),
        ("मेरी बिजली नहीं है", "hi"),
        ("আমার বিদ্যুৎ নেই", "bn"),
        ("വൈദ്യുതി ഇല്ല", "ml"),
        ("where is my result, when will it come", "en"),
        ("kailan po ang flight ko", "tl"),
        ("wain natijat alfa7s", "ar-Latn"),
        ("el kahraba maq6oo3a 3andna", "ar-Latn"),
        ("gate B2 flight EK203", ""),
        ("Ζητώ βοήθεια", ""),
        ("123", ""),
        ("", ""),
    ],
)
def test_the_language_shows_or_stays_unknown(text: str, language: str) -> None:
    assert identified(text).code == language


def test_what_shows_nothing_is_no_guess() -> None:
    assert identified("؟؟ 🙏 …") == Guess("", 0.0)


def test_more_that_shows_it_is_surer() -> None:
    sure = identified("where is the bus and when will it come").confidence
    assert 0 < identified("the bus").confidence < sure


def test_every_text_of_the_load_tests_shows_its_language() -> None:
    book = phrasebook()
    wrong = [
        (code, wording)
        for code, language in book.languages.items()
        for style in language.styles.values()
        for wordings in style.topics.values()
        for wording in wordings
        if identified(wording.replace("{", "").replace("}", "")).code not in (code, "")
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("الكهرباء مقطوعة", "الضو مقطوع"),
        ("مستشفى", "hospital"),
        ("سيارتي", "car"),
        ("kahraba", "بجلی"),
    ],
)
def test_words_of_one_meaning_are_one_word(one: str, other: str) -> None:
    assert shaped(one) & shaped(other)


def test_what_means_nothing_here_is_taken_as_it_sounds() -> None:
    assert len(shaped("زعفران")) == 1
    assert shaped("زعفران") == shaped("saffron")
    assert not shaped("زعفران") & shaped("turmeric")
