"""What a text is about, by the words it is made of: a linear model over pieces of words. Pure.

Every word is its stem, its meaning (languages/*.yaml), how it sounds and its runs of 3 to 5
letters, so that a misspelt or unknown word still says something (P. Bojanowski et al., "Enriching
word vectors with subword information", 2017). All of that belongs to one word, so what a word says
is reckoned once and remembered, and a text is the sum of its words. The weights are learnt from
texts written for it by `tests/quality/train.py` (ridge regression).
"""

import math
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from services.dedup.sayings import Found
from services.dedup.sound import sound
from services.dedup.stems import stem
from services.dedup.words import is_code

BUCKETS = 1 << 17
_RUNS = (3, 4, 5)
_MOST_MET = 30_000
_LEAST_SOUND = 3

Vector = NDArray[np.float32]


def pieces(word: str, alike: Mapping[str, str]) -> list[int]:
    """The buckets of a word's pieces, each once. `alike`: meanings of words and stems."""
    bare = stem(word)
    found = ["w:" + bare]
    if meaning := alike.get(word) or alike.get(bare):
        found.append("m:" + meaning)
    heard = sound(word)
    if len(heard) >= _LEAST_SOUND:
        found.append("s:" + heard)
    shown = f"<{bare}>"
    for length in _RUNS:
        found += [shown[start : start + length] for start in range(len(shown) - length + 1)]
    return sorted({zlib.crc32(piece.encode()) % BUCKETS for piece in found})


def said(tokens: Iterable[str]) -> list[str]:
    """The words of a text that the model looks at, each once, in order: codes say nothing."""
    return list(dict.fromkeys(token for token in tokens if not is_code(token)))


@dataclass(frozen=True)
class Weights:
    """What was learnt. `outputs`: names of the C columns. `rows`: of every bucket its row in
    `learnt`, or -1. `idf`: of every bucket how rare it is. `learnt`: rows x C, in steps of `step`
    (C). `offset`: what an empty text gets (C). `sharpness`: by which scores of services and of
    kinds become likelihoods (softmax). `danger`: log-odds of danger: constant, by the score, for a
    saying of danger, for one that is taken back."""

    outputs: tuple[str, ...]
    rows: NDArray[np.int32]
    idf: Vector
    learnt: NDArray[np.int8]
    step: Vector
    offset: Vector
    sharpness: tuple[float, float] = (1.0, 1.0)
    danger: tuple[float, float, float, float] = (0.0, 1.0, 0.0, 0.0)

    def life(self, score: float, found: Found) -> float:
        """How likely a life is in danger, 0 to 1."""
        constant, by_score, said, taken_back = self.danger
        odds = constant + by_score * score
        if found.danger:
            odds += taken_back if found.calm else said
        return 1 / (1 + math.exp(-odds))

    @cached_property
    def index(self) -> dict[str, int]:
        """The column of each output."""
        return {name: column for column, name in enumerate(self.outputs)}


class Model:
    """Scores texts. Remembers what the words it met last say."""

    def __init__(self, weights: Weights, alike: Mapping[str, str]) -> None:
        self.outputs = weights.outputs
        self._weights = weights
        self._alike = alike
        self._met: dict[str, tuple[Vector, float]] = {}

    def scores(self, tokens: Sequence[str]) -> Vector:
        """What a text's words (`words.tokens`) say for each output; about 0 to 1, not bounded."""
        weights = self._weights
        total = np.zeros(len(weights.outputs), np.float32)
        length = 0.0
        for word in said(tokens):
            says, squared = self._word(word)
            total += says
            length += squared
        return total / np.float32(max(length, 1.0) ** 0.5) + weights.offset

    def rarity(self, word: str) -> float:
        """How much a word tells (idf), by its stem."""
        bucket = zlib.crc32(b"w:" + stem(word).encode()) % BUCKETS
        return float(self._weights.idf[bucket])

    def _word(self, word: str) -> tuple[Vector, float]:
        met = self._met.get(word)
        if met is None:
            weights = self._weights
            buckets = np.array(pieces(word, self._alike))
            rare = weights.idf[buckets]
            rows = weights.rows[buckets]
            known = rows >= 0
            says = rare[known] @ weights.learnt[rows[known]].astype(np.float32) * weights.step
            met = says.astype(np.float32), float(rare @ rare)
            if len(self._met) >= _MOST_MET:
                self._met.clear()
            self._met[word] = met
        return met
