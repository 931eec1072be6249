"""Finds the places that a text names, however they are written.

The same trouble elsewhere is another incident, so nothing in a text weighs as much as its place. A
name is found as it is spelt, with the letters that Arabic writes together with it; a name of at
least three consonants also by its sound, in scripts that the file does not spell it in. A short
Arabic name that is an ordinary word without its article ("the eye", Al Ain) needs the article.
Pure.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

from services.dedup.normalise import normalise
from services.dedup.sound import sound
from services.dedup.stems import stem
from services.dedup.words import tokens
from services.runtime.errors import ConfigError
from services.runtime.yamls import texts_of, yaml_of

_WHERE = "services/dedup/incidents/places.yaml"
_LONGEST = 3
_SHORTEST_LATIN = 4
# Shorter ones, of other scripts, sound like too many words.
_SHORTEST_SOUND = 3
_SHORTEST_BARE = 5
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
        self._spelt: dict[tuple[str, ...], int] = {}
        self._heard: dict[str, int] = {}
        for number, spellings in enumerate(places.values()):
            for spelling in spellings:
                for form in _forms(spelling):
                    self._spelt.setdefault(form, number)
                words = tokens(spelling)
                if len(words) == 1 and len(said := sound(words[0])) >= _SHORTEST_SOUND:
                    self._heard.setdefault(said, number)

    def find(self, text: str) -> list[int]:
        """The numbers of the places in a text, each once, in order. Any string is accepted."""
        said, found, place = tokens(text), dict[int, None](), 0
        while place < len(said):
            for length in range(min(_LONGEST, len(said) - place), 0, -1):
                number = self._at(tuple(said[place : place + length]))
                if number is not None:
                    found[number] = None
                    place += length
                    break
            else:
                place += 1
        return list(found)

    def _at(self, words: tuple[str, ...]) -> int | None:
        number = self._spelt.get(words)
        if number is not None:
            return number
        first = words[0]
        if first[0] in _JOINED and (len(first) > _SHORTEST_BARE or len(words) > 1):
            number = self._spelt.get((first[1:], *words[1:]))
            if number is not None:
                return number
        if len(words) == 1 and not first.isascii() and not "\u0600" <= first[0] <= "\u06ff":
            return self._heard.get(sound(first))
        return None


def read(text: str | None = None) -> Gazetteer:
    """The places in places.yaml, or in `text`. Raises ConfigError naming what is wrong."""
    given = yaml_of(_WHERE, (files(__package__) / "places.yaml").read_text("utf-8"))
    if text is not None:
        given = yaml_of(_WHERE, text)
    places: dict[Place, tuple[str, ...]] = {}
    for country, cities in _named(_WHERE, given):
        for city, districts in _named(f"{_WHERE}: {country}", cities):
            name, *_ = spellings = city.split("=")
            places[Place(name, "", country)] = tuple(spellings)
            for district in texts_of(f"{_WHERE}: {country}, {name}", districts):
                inner, *_ = spellings = district.split("=")
                places[Place(inner, name, country)] = tuple(spellings)
    names = [place.name for place in places]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"{_WHERE}: there twice: {', '.join(twice)}")
    return Gazetteer(places)


def _named(where: str, given: object) -> Iterator[tuple[str, object]]:
    if not isinstance(given, dict) or not all(isinstance(name, str) for name in given):
        raise ConfigError(f"{where}: names, and under each what lies in it")
    yield from given.items()


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
