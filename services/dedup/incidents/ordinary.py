"""How much it says that two texts share a word: the rarer, the more (inverse document frequency).

What is ordinary before anything happened stands in ordinary.tsv: in how many of the texts to learn
from (`tests/quality/set/train`) a word or sound was found; so a first wave is judged as well as a
second. What a partition sees is added, an event once: or the words of a flood would say nothing as
soon as many tell of it. Old counts fade by halves. Pure.
"""

from collections.abc import Callable, Mapping
from math import log

SOUND = "~"
"""What stands before a sound, to keep it apart from a word."""
_WORD = (1 << 31) - 1
_FADE_AT = 20_000


class Ordinary:
    """Counts by hash. `base`: of `texts` texts, in how many each was found."""

    def __init__(self, base: Mapping[int, int], texts: int) -> None:
        self._base = base
        self._texts = texts
        self._seen: dict[int, int] = {}
        self._times = 0

    def fresh(self) -> "Ordinary":
        """The same before anything happened."""
        return Ordinary(self._base, self._texts)

    def rarity(self, hashed: int) -> float:
        """From 0 (in every text) to 1 (in none so far)."""
        found = self._base.get(hashed, 0) + self._seen.get(hashed, 0)
        return 1 - log(1 + found) / log(1 + max(found, self._texts + self._times))

    def learn(self, hashes: set[int]) -> None:
        """One more event whose texts have these."""
        self._times += 1
        for hashed in hashes:
            self._seen[hashed] = self._seen.get(hashed, 0) + 1
        if self._times >= _FADE_AT:
            self._times //= 2
            self._seen = {hashed: n // 2 for hashed, n in self._seen.items() if n > 1}


def hash_of(word_hash: Callable[[str], int], word: str) -> int:
    """The number that stands for a word or, after SOUND, for a sound."""
    return word_hash(word) & _WORD or 1
