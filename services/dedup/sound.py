"""How a word sounds, roughly, whatever script it is written in: its consonants in thirteen classes.

A place or a medicine is the same word to all who say it, but "Jahra", "el jahra", "الجهراء" and
"जहरा" share no letter. Vowels, which every script writes in its own way, and the sounds that other
scripts leave out (hamza, ain, w, y) are dropped; what is often written for each other (th, dh, z
and s; k, kh, q, g and gh) is one class. Pure; input is in one spelling (`normalise`).
"""

import unicodedata
from functools import lru_cache

from services.dedup.stems import stem

_ARABIC = {
    **dict.fromkeys("بپ", "b"),
    **dict.fromkeys("تطٹ", "t"),
    **dict.fromkeys("دضڈ", "d"),
    **dict.fromkeys("ثذظزسص", "s"),
    **dict.fromkeys("كقغخگ", "k"),
    "ج": "j",
    **dict.fromkeys("شچژ", "x"),
    **dict.fromkeys("حه", "h"),
    **dict.fromkeys("فڤ", "f"),
    **dict.fromkeys("رڑ", "r"),
    "ل": "l",
    "م": "m",
    **dict.fromkeys("نں", "n"),
}
# Digits that stand for Arabic letters among Latin ones; 3 (ain) and 2 (hamza) are dropped.
_LATIN = {
    **dict.fromkeys("bp", "b"),
    **dict.fromkeys("t6", "t"),
    "d": "d",
    **dict.fromkeys("sz9", "s"),
    **dict.fromkeys("kqcg85", "k"),
    "j": "j",
    **dict.fromkeys("h7", "h"),
    **dict.fromkeys("fv", "f"),
    "r": "r",
    "l": "l",
    "m": "m",
    "n": "n",
    "x": "ks",
}
_TWO = {"th": "s", "dh": "s", "sh": "x", "ch": "x", "kh": "k", "gh": "k", "ph": "f", "ck": "k"}
_SOFT = frozenset("ei")
# The last part of a letter's Unicode name, as in BENGALI LETTER KHA; the longest that fits.
_INDIC = {
    **dict.fromkeys(("KA", "KHA", "GA", "GHA", "QA"), "k"),
    **dict.fromkeys(("CA", "CHA", "SHA", "SSA"), "x"),
    **dict.fromkeys(("JA", "JHA"), "j"),
    **dict.fromkeys(("TTA", "TTHA", "TA", "THA"), "t"),
    **dict.fromkeys(("DDA", "DDHA", "DA", "DHA"), "d"),
    **dict.fromkeys(("NGA", "NYA", "NNA", "NA", "NNNA"), "n"),
    **dict.fromkeys(("PA", "BA", "BHA"), "b"),
    **dict.fromkeys(("PHA", "FA"), "f"),
    "MA": "m",
    **dict.fromkeys(("RA", "RRA"), "r"),
    **dict.fromkeys(("LA", "LLA", "LLLA"), "l"),
    **dict.fromkeys(("SA", "ZA"), "s"),
    "HA": "h",
    # Letters of Malayalam without a vowel, and the sign of a nasal.
    **dict.fromkeys(("N", "NN", "ANUSVARA"), "n"),
    "RR": "r",
    **dict.fromkeys(("L", "LL"), "l"),
    "K": "k",
}
_LATIN_ARTICLES = ("al", "el", "il")
_SHORTEST = 2
_SHORTEST_WORD = 4


def sound(token: str) -> str:
    """The consonants of a token, e.g. "jhr"; empty when it has fewer than two, or is short.

    The Arabic article is left out in both scripts, and so is an h at the end.
    """
    if token.isascii():
        said = _of_latin(token)
    elif "\u0600" <= token[0] <= "\u06ff":
        said = "".join(_ARABIC.get(letter, "") for letter in stem(token))
    else:
        said = "".join(map(_of_indic, token))
    said = _once(said)
    if len(said) > _SHORTEST and said.endswith("h"):
        said = said[:-1]
    return said if len(said) >= _SHORTEST else ""


def _of_latin(token: str) -> str:
    if len(token) < _SHORTEST_WORD:
        return ""
    if token.startswith(_LATIN_ARTICLES) and len(token) - 2 >= _SHORTEST_WORD - 1:
        token = token[2:]
    heard, place = [], 0
    while place < len(token):
        pair = token[place : place + 2]
        if pair in _TWO:
            heard.append(_TWO[pair])
            place += 2
            continue
        if pair[0] == "c" and pair[1:] in _SOFT and pair[1:]:
            heard.append("s")
        else:
            heard.append(_LATIN.get(pair[0], ""))
        place += 1
    return "".join(heard)


@lru_cache(maxsize=1024)
def _of_indic(letter: str) -> str:
    name = unicodedata.name(letter, "").rpartition(" ")[2]
    return _INDIC.get(name, "")


def _once(said: str) -> str:
    return "".join(one for place, one in enumerate(said) if place == 0 or one != said[place - 1])
