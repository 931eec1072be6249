"""What a text says beside its words: how they sound, and which places it names. Pure.

Sounds are what texts of two scripts have in common: a name is hardly ever in a list of words, but
"Muaither", "m3aither" and "معيذر" sound alike. A word is heard without what Arabic writes together
with it (and, with, for; my, their), which other scripts write apart or not at all.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from services.dedup.incidents.ordinary import SOUND, hash_of
from services.dedup.incidents.places import Gazetteer
from services.dedup.sound import sound
from services.dedup.stems import ENDINGS, stem
from services.dedup.words import is_code

MOST_SOUNDS = 64
MOST_PLACES = 8
_MOST_MET = 100_000
_SHORTEST = 3
_BEFORE = "وبلفه"
_AFTER = ("ني", *ENDINGS)


@dataclass(frozen=True, slots=True)
class Heard:
    """Keyed hashes of sounds, sorted, and places by their English names."""

    sounds: tuple[int, ...]
    places: tuple[str, ...]


class Ear:
    """Hears texts. `stop`: stems that say nothing. Remembers the words it met last."""

    def __init__(
        self, word_hash: Callable[[str], int], stop: frozenset[str], gazetteer: Gazetteer
    ) -> None:
        self._word_hash = word_hash
        self._stop = stop
        self._gazetteer = gazetteer
        self._met: dict[str, int] = {}

    def hear(self, said: Sequence[str]) -> Heard:
        """What is heard in the tokens of a text."""
        found = set()
        for token in said:
            number = self._met.get(token)
            if number is None:
                if len(self._met) >= _MOST_MET:
                    self._met.clear()
                heard = sound_of(token, self._stop)
                number = hash_of(self._word_hash, SOUND + heard) if heard else 0
                self._met[token] = number
            found.add(number)
        found.discard(0)
        numbers = self._gazetteer.among(said)[:MOST_PLACES]
        places = tuple(self._gazetteer.places[number].name for number in numbers)
        return Heard(tuple(sorted(found)[:MOST_SOUNDS]), places)


def sound_of(token: str, stop: frozenset[str]) -> str:
    """How a word sounds; empty for what says nothing (and for codes, which must not differ)."""
    word = stem(token)
    if word in stop or token in stop or token.isdigit() or is_code(token):
        return ""
    return sound(_bare(word))


def _bare(word: str) -> str:
    """An Arabic word without what is written together with it; others as they are."""
    if not "\u0600" <= word[0] <= "\u06ff":
        return word
    if word[0] in _BEFORE and len(word) > _SHORTEST + 1:
        word = stem(word[1:])
    for ending in _AFTER:
        if word.endswith(ending) and len(word) - len(ending) >= _SHORTEST:
            return word[: -len(ending)]
    return word
