"""Strikes out of a text what could tell who wrote it, so that it can stand as a sample. Pure.

Struck out are digits in any script and what they stand in (numbers, codes, flights, houses),
numbers written out that follow one another, e-mail and web addresses, handles, common names, and
the words after those that a name follows: Mr, my name is, mother of, Abu, bin, حق أم … (`names`).
Better a word too many than a name. An uncommon name that nothing announces can't be told from
other words, so a sample is for staff only.
"""

import re
import unicodedata
from collections.abc import Iterator

from services.dedup.incidents.names import (
    COUNTING,
    GOES_ON,
    KIN,
    NAMES,
    NAMING,
    PLACES,
    SAYING_WHO,
)
from services.dedup.normalise import normalise

STRUCK = "•"
LONGEST = 280
"""Characters of a sample."""
_ADDRESS = re.compile(
    r"(?<!\S)(?:\S*\s?@\s?\S*"
    r"|\S+\s+[\[(]?at[\])]?\s+\S+\s+[\[(]?dot[\])]?\s+\S+"
    r"|\S*(?:://|www\.|[a-z0-9-]\.[a-z]{2})\S*)",
    re.IGNORECASE,
)
_WORD = re.compile(r"[\w\u0300-\u036f\u064b-\u065f\u0670\u0900-\u0d7f'’]+")
_SELECTORS = re.compile("[\u034f\ufe00-\ufe0f\U000e0100-\U000e01ef]")
_SPACES = ("Cc", "Zl", "Zp")
_JOINED = "وفبلكي"
"""Letters that Arabic writes together with the next word (and, so, in, to, like, o)."""
_SHORTEST = 3
_SERVANT, _FATHER = "عبدال", "ابو"
"""Are written in one with the name that they begin."""
_LONG_ENOUGH = 6
_KUNYA = ("بو", "ام", "abu", "umm")
"""Are so too, but begin too many other words."""
_ARTICLES = ("al", "el", "ال")
_AFTER_NAMING = 4
_AFTER_KIN = 2
_RUN = 3


def redacted(text: str) -> str:
    """At most LONGEST characters of a text without what is personal. Any string is accepted."""
    plain = _ADDRESS.sub(STRUCK, _seen(text[: 4 * LONGEST]))
    found = list(_WORD.finditer(plain))
    words = [normalise(match[0]) for match in found]
    strike = [
        _tells(word) or "_" in match[0] or _is_capital(plain, match, place)
        for place, (match, word) in enumerate(zip(found, words, strict=True))
    ]
    for place, word in enumerate(words):
        following = words[place + 1 : place + 1 + _AFTER_NAMING]
        for after in range(place + 1, place + 1 + _of_name(word, following)):
            strike[after] = True
        if strike[place] and following and (word in _ARTICLES or _is_family(following[0])):
            strike[place + 1] = True
        run = words[place : place + _RUN]
        if len(run) == _RUN and all(_among(one, COUNTING) for one in run):
            strike[place : place + _RUN] = [True] * _RUN
    kept, end = [], 0
    for match, struck in zip(found, strike, strict=True):
        kept.append(plain[end : match.start()])
        kept.append(STRUCK if struck else match[0])
        end = match.end()
    kept.append(plain[end:])
    one_line = " ".join("".join(kept).split())
    return _shortened(re.sub(rf"{STRUCK}(?:\W*{STRUCK})+", STRUCK, one_line))


def _seen(text: str) -> str:
    """A text without what can't be seen, which may stand within a name or a number."""
    if text.isascii() and text.isprintable():
        return text
    text = _SELECTORS.sub("", unicodedata.normalize("NFKC", text))
    kinds = [(letter, unicodedata.category(letter)) for letter in text]
    return "".join(" " if kind in _SPACES else letter for letter, kind in kinds if kind != "Cf")


def _tells(word: str) -> bool:
    """Whether a word tells of a person, or of what is theirs, by itself."""
    if any(letter.isnumeric() for letter in word) or _among(word, NAMES):
        return True
    return word not in PLACES and any(map(_is_compound, _bare(word)))


def _is_compound(word: str) -> bool:
    """Whether a word is a name of two that are written as one: عبدالرحيم, ابومحمد."""
    if word.startswith((_SERVANT, _FATHER)) and len(word) >= _LONG_ENOUGH:
        return word not in PLACES
    return any(word.startswith(one) and word[len(one) :] in NAMES for one in _KUNYA)


def _bare(word: str) -> Iterator[str]:
    """A word, and the same without what Arabic may have written together with it."""
    yield word
    while word[:1] in _JOINED and len(word) > _SHORTEST:
        word = word[1:]
        yield word


def _among(word: str, known: frozenset[str]) -> bool:
    return any(one in known for one in _bare(word))


def _of_name(word: str, following: list[str]) -> int:
    """How many of the words that follow are likely a name."""
    if following and following[0] in PLACES:
        return 0
    if _among(word, NAMING):
        least, most = 1, _AFTER_NAMING
    elif word in SAYING_WHO or _among(word, KIN):
        least, most = 0, _AFTER_KIN
    else:
        return 0
    goes_on = (n for n, one in enumerate(following) if n >= least and one in GOES_ON)
    return min(most, len(following), next(goes_on, most))


def _is_family(word: str) -> bool:
    """Whether a word after a name is likely that of a family or tribe: Al …, المنصوري."""
    return word in _ARTICLES or (
        word.startswith("ال") and word.endswith("ي") and len(word) > _SHORTEST + 2
    )


def _is_capital(text: str, match: re.Match[str], place: int) -> bool:
    """Whether a word has a capital within a sentence of small letters: it is mostly a name."""
    word = match[0]
    if place == 0 or not (word[0].isupper() and word[1:].islower()):
        return False
    before = text[: match.start()].rstrip()
    return bool(before) and before[-1] not in ".!?:\n"


def _shortened(text: str) -> str:
    if len(text) <= LONGEST:
        return text
    return text[:LONGEST].rpartition(" ")[0] + "…"
