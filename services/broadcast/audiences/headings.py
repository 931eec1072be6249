"""Headings of columns as they are compared: without case, marks that nobody sees, vowel signs and
the ways to write alef, ta and ya; and columns by letter or place. Pure.
"""

import re
import unicodedata

_SPLIT = re.compile(r"[\W_]+")
_LETTERS = str.maketrans({"أ": "ا", "إ": "ا", "آ": "ا", "ٱ": "ا", "ة": "ه", "ى": "ي"})
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")


def visible(text: str) -> str:
    """Without marks that nobody sees, in one form."""
    text = unicodedata.normalize("NFKC", text[:1000])
    return "".join(c for c in text if c.isspace() or unicodedata.category(c)[0] != "C")


def folded(text: str) -> str:
    """As it is compared: without case, vowel signs and the ways to write alef, ta and ya."""
    text = unicodedata.normalize("NFKD", visible(text).casefold())
    text = "".join(c for c in text if not unicodedata.combining(c) and c != "ـ")
    return " ".join(text.translate(_LETTERS).split())


def words_of(cell: str) -> list[str]:
    """The words of a header, also those that only a capital letter parts."""
    cell = visible(cell)
    words = _SPLIT.split(folded(_CAMEL.sub(" ", cell))) + _SPLIT.split(folded(cell))
    return list(dict.fromkeys(filter(None, words)))


def letter_of(at: int) -> str:
    """A column's letter, as spreadsheets give it; `at` from 0."""
    letter = ""
    at += 1
    while at:
        at, rest = divmod(at - 1, 26)
        letter = chr(ord("A") + rest) + letter
    return letter


def place_of(text: str) -> int | None:
    """The place, from 0, of a column's letter or number; None when it is neither."""
    if not text.isascii():
        return None
    if text.isdigit():
        return int(text) - 1 if int(text[:6]) >= 1 else None
    if text.isalpha() and len(text) <= 3:
        at = 0
        for char in text.upper():
            at = at * 26 + ord(char) - ord("A") + 1
        return at - 1
    return None
