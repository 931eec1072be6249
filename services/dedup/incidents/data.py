"""Reads what incidents are judged by: the places that are known, and how ordinary words are."""

from collections.abc import Callable, Iterator
from importlib.resources import files

from services.dedup.incidents.ordinary import Ordinary, hash_of
from services.dedup.incidents.places import Gazetteer, Place
from services.runtime.errors import ConfigError
from services.runtime.yamls import texts_of, yaml_of

_WHERE = "services/dedup/incidents/places.yaml"


def places(text: str | None = None) -> Gazetteer:
    """The places in places.yaml, or in `text`. Raises ConfigError naming what is wrong."""
    given = yaml_of(_WHERE, (files(__package__) / "places.yaml").read_text("utf-8"))
    if text is not None:
        given = yaml_of(_WHERE, text)
    found: dict[Place, tuple[str, ...]] = {}
    for country, cities in _named(_WHERE, given):
        for city, districts in _named(f"{_WHERE}: {country}", cities):
            name, *_ = spellings = city.split("=")
            found[Place(name, "", country)] = tuple(spellings)
            for district in texts_of(f"{_WHERE}: {country}, {name}", districts):
                inner, *_ = spellings = district.split("=")
                found[Place(inner, name, country)] = tuple(spellings)
    names = [place.name for place in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"{_WHERE}: there twice: {', '.join(twice)}")
    return Gazetteer(found)


def _named(where: str, given: object) -> Iterator[tuple[str, object]]:
    if not isinstance(given, dict) or not all(isinstance(name, str) for name in given):
        raise ConfigError(f"{where}: names, and under each what lies in it")
    yield from given.items()


def ordinary(word_hash: Callable[[str], int], text: str | None = None) -> Ordinary:
    """The counts in ordinary.tsv, or in `text`: in the first line how many texts there were, then a
    word and its count in each. Raises ConfigError naming the line."""
    where = "services/dedup/incidents/ordinary.tsv"
    given = text if text is not None else (files(__package__) / "ordinary.tsv").read_text("utf-8")
    first, *lines = given.splitlines() or [""]
    if not first.isdigit() or first == "0":
        raise ConfigError(f"{where}, line 1: must say how many texts there were")
    counts: dict[int, int] = {}
    for number, line in enumerate(lines, start=2):
        word, _, count = line.partition("\t")
        if not word or not count.isdigit():
            raise ConfigError(f"{where}, line {number}: a word, a tab, a count")
        counts[hash_of(word_hash, word)] = int(count)
    return Ordinary(counts, int(first))
