"""Places and texts by language, as campaigns hold them: one thing under its names. Pure.

CAP repeats an area in the block of each language, with its name translated; a campaign has it once.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from services.broadcast.cap.model import Area, Circle, Pair, Point


@dataclass(frozen=True, slots=True)
class Place:
    """An area and its names, by language tag."""

    names: Mapping[str, str]
    polygons: tuple[tuple[Point, ...], ...] = ()
    circles: tuple[Circle, ...] = ()
    geocodes: tuple[Pair, ...] = ()

    def area(self, language: str) -> Area:
        """As it stands in the block of a language, empty-named when it has no name at all."""
        name = in_language(self.names, language)
        return Area(name, self.polygons, self.circles, self.geocodes)


def tidy_tag(language: str) -> str:
    """A language tag in its usual letters (RFC 5646, 2.1.1): ar-AE, zh-Hant."""
    first, *rest = language.split("-")
    return "-".join([first.lower(), *map(_tidy_subtag, rest)])


def _tidy_subtag(subtag: str) -> str:
    if len(subtag) == 2:
        return subtag.upper()
    return subtag.title() if len(subtag) == 4 and subtag.isalpha() else subtag.lower()


def in_language(texts: Mapping[str, str], language: str) -> str:
    """The text of a language: of the very tag, else of the same language elsewhere, else any."""
    if language in texts:
        return texts[language]
    primary = language.partition("-")[0]
    for tag, text in texts.items():
        if tag.partition("-")[0] == primary:
            return text
    return next(iter(texts.values()), "")
