"""The words by which people opt out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.broadcast.optout import WORDS, is_stop


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("form", ["{}", " {} ", "{}!", "«{}».", "\u200f{}\u200f", "{} 🛑", "*{}*"])
def test_the_word_alone_is_a_stop(word: str, form: str) -> None:
    assert is_stop(form.format(word))
    assert is_stop(form.format(word).upper())


@pytest.mark.parametrize(
    "text",
    ["إِيقَاف", "ايقـــاف", "أيقاف", "ＳＴＯＰ", "Stop\n", "أوقف", "اوقف", "إلغاء الإشتراك"],
)
def test_spellings_of_the_word(text: str) -> None:
    assert is_stop(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "!",
        "please stop by the office",
        "stop it and call me",
        "don't stop",
        "bus stop",
        "أين موقف الحافلة",
        "إيقاف الماء في شارعنا منذ أمس",
        "لا توقف الخدمة",
        "الغاء الموعد",
        "cancel my appointment",
        "stop " * 50,
    ],
)
def test_a_sentence_is_not_a_stop(text: str) -> None:
    assert not is_stop(text)


@given(st.text(max_size=80))
def test_any_text_can_be_looked_at(text: str) -> None:
    is_stop(text)
