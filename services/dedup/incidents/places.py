"""Finds the places that a text names, however they are written.

The same trouble elsewhere is another incident, so nothing in a text weighs as much as its place. A
name is found as it is spelt, with the letters that Arabic writes together with it; a name of at
least three consonants also by its sound, in scripts that the file does not spell it in. A short
Arabic name that is an ordinary word without its article ("the eye", Al Ain) needs the article.
Pure.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from services.dedup.normalise import normalise
from services.dedup.sound import sound
from services.dedup.stems import stem
from services.dedup.words import tokens

_MOST_MET = 100_000
_Begins = tuple[tuple[tuple[str, ...], int], ...]
_SHORTEST_LATIN = 4
# Shorter ones, of other scripts, sound like too many words.
_SHORTEST_SOUND = 3
_SHORTEST_BARE = 5
_ARABIC = re.compile(r"[\u0621-\u064a]")
_LATIN_ARTICLES = ("al ", "el ")
_JOINED = ("ب", "و", "ل", "ف")


@dataclass(frozen=True, slots=True)
class Place:
    """A place: its name (English), the city or governorate it lies in ("" for one), its country."""

    name: str
    city: str
    country: str


class Gazetteer:
    """The places that are known."""

    def __init__(self, places: Mapping[Place, Sequence[str]]) -> None:
        self.places = tuple(places)
        self.number_of = {place.name: number for number, place in enumerate(self.places)}
        self.arabic = {
            place.name: spelling
            for place, spellings in places.items()
            if (spelling := next((one for one in spellings if _ARABIC.search(one)), None))
        }
        """By English name, for those that have one. The first Arabic spelling is the name."""
        self._spelt: dict[str, list[tuple[tuple[str, ...], int]]] = {}
        self._begins: dict[str, _Begins] = {}
        self._heard: dict[str, int] = {}
        for number, spellings in enumerate(places.values()):
            for spelling in spellings:
                for first, *further in _forms(spelling):
                    known = self._spelt.setdefault(first, [])
                    if tuple(further) not in [one for one, _ in known]:
                        known.append((tuple(further), number))
                words = tokens(spelling)
                if len(words) == 1 and len(said := sound(words[0])) >= _SHORTEST_SOUND:
                    self._heard.setdefault(said, number)

    def find(self, text: str) -> list[int]:
        """The numbers of the places in a text, each once, in order. Any string is accepted."""
        return self.among(tokens(text))

    def among(self, said: Sequence[str]) -> list[int]:
        """The same, of a text that was taken to pieces (`words.tokens`)."""
        found, place = dict[int, None](), 0
        while place < len(said):
            first = said[place]
            begins = self._begins.get(first)
            if begins is None:
                begins = self._begins[first] = self._first(first)
                if len(self._begins) > _MOST_MET:
                    self._begins.clear()
            number, length = self._longest(begins, said, place)
            if number is not None:
                found[number] = None
            place += length
        return list(found)

    def _first(self, first: str) -> _Begins:
        """What may begin with a word: (further words, number), the longest first."""
        begins = list(self._spelt.get(first, ()))
        if first[0] in _JOINED:
            bare = self._spelt.get(first[1:], ())
            begins += [one for one in bare if one[0] or len(first) > _SHORTEST_BARE]
        if not begins and not first.isascii() and not "\u0600" <= first[0] <= "\u06ff":
            number = self._heard.get(sound(first))
            begins += [] if number is None else [((), number)]
        return tuple(sorted(begins, key=lambda one: -len(one[0])))

    def _longest(self, begins: _Begins, said: Sequence[str], place: int) -> tuple[int | None, int]:
        for further, number in begins:
            end = place + 1 + len(further)
            if tuple(said[place + 1 : end]) == further:
                return number, 1 + len(further)
        return None, 1


def _forms(spelling: str) -> Iterator[tuple[str, ...]]:
    """The words by which a spelling is found."""
    words = tuple(tokens(spelling))
    if not words:
        return
    plain = normalise(spelling)
    if plain.isascii():
        bare = plain.removeprefix(_LATIN_ARTICLES[0])
        for form in {plain, bare, *(article + bare for article in _LATIN_ARTICLES)}:
            if len(form) >= _SHORTEST_LATIN:
                yield tuple(tokens(form))
        if bare != plain:
            yield from (tuple(tokens(one + bare)) for one in ("al", "el"))
        return
    yield words
    bare = stem(words[0])
    if bare != words[0]:
        for joined in ("بال", "وال", "لل"):
            yield (joined + bare, *words[1:])
        if len(words) > 1 or len(bare) >= _SHORTEST_BARE:
            yield (bare, *words[1:])
