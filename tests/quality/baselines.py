"""Plain ways of seeing that two texts are about one thing, which the matcher is held against."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from services.dedup.meaning import embed
from services.dedup.normalise import normalise
from services.dedup.words import tokens

Alike = Callable[[str, str], float]
"""0 (nothing in common) to 1."""
EMBEDDING = "embedding alone"
_PERMUTATIONS = 64
# The largest below 2^32: much larger than the hashes, and a product would hardly be reduced by it.
_PRIME = (1 << 32) - 5


def exact(a: str, b: str) -> float:
    """1 where the texts are the same."""
    return float(a.strip() == b.strip())


def normalised(a: str, b: str) -> float:
    """1 where the words are the same, in one spelling."""
    return float(tokens(a) == tokens(b))


def trigram_jaccard(a: str, b: str) -> float:
    """The share of the runs of three letters that both have."""
    left, right = trigrams(a), trigrams(b)
    return len(left & right) / max(1, len(left | right))


def trigrams(text: str) -> frozenset[str]:
    """Runs of three letters, over the ends of words."""
    said = f" {normalise(text).strip()} "
    return frozenset(said[start : start + 3] for start in range(max(1, len(said) - 2)))


class MinHash:
    """A. Broder, "On the resemblance and containment of documents", 1997: the share of smallest
    hashes that two sets of words have in common, under 64 permutations."""

    def __init__(self) -> None:
        rng = np.random.default_rng(1)
        self._times = rng.integers(1, 1 << 31, _PERMUTATIONS, dtype=np.uint64)
        self._plus = rng.integers(0, 1 << 31, _PERMUTATIONS, dtype=np.uint64)
        self._met: dict[str, NDArray[np.uint64]] = {}

    def alike(self, a: str, b: str) -> float:
        """An estimate of the share of words that both have."""
        return float((self.sketch(a) == self.sketch(b)).mean())

    def sketch(self, text: str) -> NDArray[np.uint64]:
        """The smallest hash under each permutation."""
        if text not in self._met:
            words = sorted(set(tokens(text))) or [normalise(text)]
            hashes = np.array([crc32(word.encode()) for word in words], np.uint64)
            spread = (hashes[:, None] * self._times + self._plus) % np.uint64(_PRIME)
            self._met[text] = spread.min(axis=0)
        return self._met[text]


class Embedding:
    """The cosine of two texts by the model of meaning, and nothing else. `vectors`: by text."""

    def __init__(self, vectors: Mapping[str, NDArray[np.float32]]) -> None:
        self._vectors = vectors

    def alike(self, a: str, b: str) -> float:
        """-1 to 1; in life 0.7 to 1."""
        return float(self._vectors[a] @ self._vectors[b])


def by_words() -> Iterator[tuple[str, Alike]]:
    """Those that need no model, by name."""
    yield "exact text", exact
    yield "normalised text", normalised
    yield "trigram Jaccard", trigram_jaccard
    yield "MinHash alone", MinHash().alike


def embedding(texts: Sequence[str], told: Callable[[int, int], None]) -> Alike | None:
    """The embedding alone, for these texts; None where the model is not installed. `told`: how many
    of how many are done; 15 ms a text."""
    if not embed.installed():
        return None
    asked, vectors = sorted(set(texts)), dict[str, NDArray[np.float32]]()
    embedder = embed.Embedder(kept=len(asked))
    for start in range(0, len(asked), 10 * embed.BATCH):
        vectors |= embedder.vectors(asked[start : start + 10 * embed.BATCH])
        told(len(vectors), len(asked))
    return Embedding(vectors).alike
