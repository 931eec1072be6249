"""A rehearsal never looks like the real thing, and costs no more of the alphabet than it must."""

import pytest

from services.broadcast import segments, wording
from services.runtime.smpp_text import Alphabet


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("Your place is kept.", "DRILL: Your place is kept."),
        ("دوركم محفوظ", "تمرين DRILL: دوركم محفوظ"),
        ("आपका क्रम", "تمرين DRILL: आपका क्रम"),
    ],
)
def test_a_rehearsal_says_so_first(text: str, seen: str) -> None:
    assert wording.shown(text, True, Alphabet.GSM7) == seen
    assert wording.shown(text, False, Alphabet.GSM7) == text


def test_the_mark_leaves_a_latin_text_in_its_alphabet() -> None:
    marked = wording.shown("Your place is kept. €", True, Alphabet.GSM7)
    assert segments.split(marked).encoding is segments.split("Your place is kept. €").encoding
