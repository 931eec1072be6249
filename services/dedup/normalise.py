"""One spelling for words that people write in many ways. Arabic first; harmless to other scripts.

Arabic letters lose what people leave out or mix up: diacritics, tatweel, the seat of the hamza, the
dots of ya and ta marbuta; the same letter typed on an Urdu or Persian keyboard is made the Arabic
one. Nothing is stemmed. Digits of every script become ASCII, Latin letters lose case and accents,
and characters that cannot be seen (direction marks, zero-width joins) disappear.

Letter by letter (each row is a test): أ إ آ ٱ → ا · ؤ → و · ئ ى ی → ي · ء → nothing · ة → ه ·
ک → ك · ہ → ه · ـ and U+064B–U+065F, U+0670 → nothing · ٠–٩, ۰–۹, ०–९ … → 0–9.
"""

import re
import unicodedata
from itertools import chain

LONGEST = 8_192
"""Characters of a text that are looked at; the need is said before that."""

_ARABIC = {
    **dict.fromkeys("أإآٱٲٳٵ", "ا"),
    **dict.fromkeys("ؤٶٷ", "و"),
    **dict.fromkeys("ئىیٸېۍ", "ي"),
    "ة": "ه",
    "ۃ": "ه",
    "ہ": "ه",
    "ۀ": "ه",
    "ە": "ه",
    "ک": "ك",
    "ڪ": "ك",
    "ء": "",
    "ٔ": "",
    "ـ": "",
}
# Diacritics, Quranic marks; no letter of any language is among them.
_MARKS = (
    (0x0610, 0x061A),
    (0x064B, 0x065F),
    (0x0670, 0x0670),
    (0x06D6, 0x06DC),
    (0x06DF, 0x06E4),
    (0x06E7, 0x06E8),
    (0x06EA, 0x06ED),
    (0x08D3, 0x08FF),
    (0x0300, 0x036F),
    (0xFE00, 0xFE0F),
)
# Where letters, digits and unseen characters are that are changed: not among Han and Hangul.
_PLACES = (range(0x3400), range(0xA000, 0xAC00), range(0xD7A4, 0x12000), range(0xE0000, 0xE0080))
# Latin letters whose accent is a part of the letter, which Unicode does not take apart.
_LATIN = {"ø": "o", "đ": "d", "ł": "l", "ı": "i", "æ": "ae", "œ": "oe", "’": "'", "_": " "}


def _table() -> dict[int, str]:
    table: dict[int, str] = {}
    for code in chain(*_PLACES):
        letter = chr(code)
        category = unicodedata.category(letter)
        if category == "Nd":
            table[code] = str(unicodedata.digit(letter))
        elif category == "Cf":
            table[code] = ""
        elif category == "Cc":
            table[code] = " "
        elif 0xC0 <= code <= 0x24F or 0x1E00 <= code <= 0x1EFF:
            base = unicodedata.normalize("NFD", letter)[0]
            if base != letter:
                table[code] = base
    for low, high in _MARKS:
        table.update((code, "") for code in range(low, high + 1))
    table.update((ord(letter), plain) for letter, plain in {**_ARABIC, **_LATIN}.items())
    return table


_TABLE = _table()
# "وااايد", "soooo": a letter three times or more is the voice, not the word.
_DRAWN_OUT = re.compile(r"([^\W\d_])\1{2,}")


def normalise(text: str) -> str:
    """`text` in one spelling, at most LONGEST characters of it. Any string is accepted.

    Doing it twice gives the same as doing it once.
    """
    text = text[:LONGEST]
    if not text.isascii() and not unicodedata.is_normalized("NFKC", text):
        text = unicodedata.normalize("NFKC", text)
    text = text.casefold().translate(_TABLE)
    return _DRAWN_OUT.sub(r"\1", text)
