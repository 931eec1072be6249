"""The content words of a text, and their *shape*: keyed hashes that can be compared, not read.

A shape holds at most 64 numbers of 32 bits. The highest bit marks a *code* (a file number, a
flight: 5 digits or more, or letters and at least 3 digits): two texts that name different codes are
about different things however alike they read. Of a long text the words with the lowest hashes are
kept (bottom-k sketch: A. Broder, "On the resemblance and containment of documents", 1997), so that
shapes stay comparable.
"""

import re
from array import array
from collections.abc import Callable, Iterable, Mapping

from services.dedup.normalise import LONGEST, normalise
from services.dedup.sound import sound
from services.dedup.stems import stem

LONGEST_SHAPE = 64
MOST_CODES = 16
CODE = 1 << 31
_WORD = CODE - 1

# Letters with the marks that make syllables in the scripts of India, which Python's \w leaves out.
_TOKEN = re.compile(
    r"[a-z0-9]*[0-9][a-z0-9]*|[a-z]+"
    r"|(?:[^\W\d_a-z]|[\u0900-\u0963\u0970-\u09e3\u09f0-\u0d65\u0d70-\u0dff])+"
)
_SENTENCE_ENDS = re.compile(r"[.!?؟।\n]+")
_CODE_DIGITS = 5
_CODE_DIGITS_WITH_LETTERS = 3
_DIGITS = re.compile("[0-9]")
_NOTHING = 0
_LEAST_SOUND = 3
_MOST_MET = 100_000


def tokens(text: str) -> list[str]:
    """The words of a text in one spelling, in order; numbers stand apart from Arabic letters."""
    return _TOKEN.findall(normalise(text))


def sentences(text: str) -> list[list[str]]:
    """The words of each sentence that has any: together they are `tokens`."""
    pieces = _SENTENCE_ENDS.split(text[:LONGEST])
    return [said for piece in pieces if (said := tokens(piece))]


def is_code(token: str) -> bool:
    """Whether a token names one thing (a file, a flight, a meter)."""
    digits = len(_DIGITS.findall(token))
    if digits == len(token):
        return digits >= _CODE_DIGITS
    return digits >= _CODE_DIGITS_WITH_LETTERS


class Shaper:
    """Makes shapes. `stop` holds stems that say nothing, `alike` what a word or stem means, by the
    name of the meaning, both in one spelling; `word_hash` gives a keyed 32-bit hash. Words of one
    meaning are one word, whatever their language. Remembers the words it met last, since most
    texts are made of the same ones."""

    def __init__(
        self, word_hash: Callable[[str], int], stop: frozenset[str], alike: Mapping[str, str]
    ) -> None:
        self._word_hash = word_hash
        self._stop = stop
        self._alike = alike
        self._met: dict[str, int] = {}

    def shape(self, text: str) -> list[int]:
        """The shape of a text, sorted; empty when it has no content words."""
        return self.read(tokens(text), lambda _: 0.0)[0]

    def read(
        self, said: Iterable[str], rarity: Callable[[str], float]
    ) -> tuple[list[int], dict[int, float]]:
        """The shape of a text's tokens, and of each of its words that is no code what `rarity`
        gives for the token."""
        met, found = self._met, dict[int, float]()
        for token in said:
            number = met.get(token)
            if number is None:
                number = self._number(token)
                if not number & CODE:
                    if len(met) >= _MOST_MET:
                        met.clear()
                    met[token] = number
            if number != _NOTHING and number not in found:
                found[number] = 0.0 if number & CODE else rarity(token)
        shape = bounded(found)
        return shape, {number: found[number] for number in shape if not number & CODE}

    def _number(self, token: str) -> int:
        if is_code(token):
            return self._word_hash(token) | CODE
        word = stem(token)
        if word in self._stop or (len(token) == 1 and not token.isdigit()):
            return _NOTHING
        meaning = self._alike.get(token) or self._alike.get(word)
        return self._word_hash(meaning or _heard(token) or word) & _WORD or 1


def _heard(token: str) -> str:
    """How a word without a known meaning sounds: a place is written in many scripts."""
    said = sound(token)
    return f"~{said}" if len(said) >= _LEAST_SOUND else ""


def bounded(hashes: Iterable[int]) -> list[int]:
    """At most LONGEST_SHAPE of them: up to MOST_CODES codes, then the words with the lowest hashes;
    sorted."""
    ordered = sorted(set(hashes))
    codes = [h for h in ordered if h & CODE][:MOST_CODES]
    words = [h for h in ordered if not h & CODE][: LONGEST_SHAPE - len(codes)]
    return words + codes


def pack(hashes: Iterable[int]) -> bytes:
    """A shape in 4 bytes a number."""
    return array("I", hashes).tobytes()


def unpack(packed: bytes) -> list[int]:
    """The inverse of `pack`."""
    numbers = array("I")
    numbers.frombytes(packed)
    return numbers.tolist()
