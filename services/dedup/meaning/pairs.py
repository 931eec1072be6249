"""Do two questions ask the same, and do two contacts tell of one thing? Pure.

The model alone says little about questions: "benefits of ginger" and "harm of ginger" are near. So
what it says of the whole texts is held beside what it says of the topics, of the words that only
one of them has, and of what is asked. And it is taken without the directions in which texts differ
that mean the same (phrasing, politeness, script): see `Space`. A forest learnt from questions
written for this weighs it all; another number, side or negation ends it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, log

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Indel

from services.dedup.meaning.reading import Reading, stemmed
from services.dedup.trees import Forest

Vector = NDArray[np.float32]
Vectors = Mapping[str, Vector]
"""What the model says of each text that `wanted` names: length 1, or 0 for an empty text."""

FACTS = (
    "meaning",
    "meaning_beyond_phrasing",
    "topic",
    "rest",
    "both_have_rest",
    "uncovered_share_more",
    "uncovered_share_less",
    "uncovered_more",
    "uncovered_less",
    "asks_differ",
    "asks_nothing_common",
    "sides_differ",
    "manner_differs",
    "trigrams",
    "length_differs",
    "shortness",
)
"""What the forest weighs, in the order of `facts`."""
_SORT_COUNTS = 0.25
_NO_REST, _ONE_REST = 0.97, 0.84


@dataclass(frozen=True, slots=True)
class Space:
    """The model's space, seen from the `middle` of what people write, without `ways`: directions
    (rows of length 1, at right angles) in which texts differ that mean the same. After S. Arora and
    others, "A Simple but Tough-to-Beat Baseline for Sentence Embeddings", 2017, who take away what
    all sentences have in common."""

    middle: Vector
    ways: NDArray[np.float32]

    def points(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Each row seen from the middle, of length 1 (of length 0 where the row is)."""
        seen = (vectors - self.middle) * vectors.any(axis=1, keepdims=True)
        seen = seen - (seen @ self.ways.T) @ self.ways
        found: NDArray[np.float32] = seen / np.maximum(
            np.linalg.norm(seen, axis=1, keepdims=True), 1e-9
        )
        return found


@dataclass(frozen=True, slots=True)
class Learnt:
    """What was learnt (pairs.json). `rise` and `middle` of the logistic curve from the likeness of
    two contacts' points to how sure it is that they tell of one thing."""

    questions: Space
    contacts: Space
    forest: Forest
    contact_rise: float
    contact_middle: float


@dataclass(frozen=True, slots=True)
class Levels:
    """From which score on (limits.yaml, which says what each is for); a conflict caps it."""

    same: float
    sure: float
    conflict: float


@dataclass(frozen=True, slots=True)
class Likeness:
    """How sure it is that two questions ask the same, 0 to 1, and why."""

    score: float
    reason: str


def wanted(a: Reading, b: Reading) -> set[str]:
    """The texts whose vectors `likeness` needs."""
    rest = a.beyond(b), b.beyond(a)
    texts = {a.text, b.text, a.about, b.about, *rest}
    if a.topic.keys() != b.topic.keys():
        texts |= {*a.words, *b.words}
    return texts - {""}


def likeness(a: Reading, b: Reading, vectors: Vectors, learnt: Learnt, levels: Levels) -> Likeness:
    """How sure it is that two questions ask the same."""
    if not a.words or not b.words:
        return Likeness(0.0, "a text without words")
    found = facts([(a, b)], vectors, learnt.questions)
    score = float(learnt.forest.says(found)[0])
    if against := conflict(a, b):
        return Likeness(min(score, levels.conflict), against)
    asked = " and ".join(sorted(a.asks))
    if a.asks != b.asks:
        asked = f"{asked} beside {' and '.join(sorted(b.asks))}"
    common = len(a.topic.keys() & b.topic.keys())
    fewer = min(len(a.topic), len(b.topic))
    near = exp(-float(found[0, 0]))
    return Likeness(
        score,
        f"asks {asked}; {common} of {fewer} words of the topic in common; "
        f"meaning {1.004 - near:.2f}",
    )


def conflict(a: Reading, b: Reading) -> str:
    """Why two texts can't be the same however alike they are, or nothing."""
    if a.names - b.names and b.names - a.names:
        return "another number or reference"
    for number in a.apart.keys() & b.apart.keys():
        if a.apart[number].isdisjoint(b.apart[number]):
            return "the one says the other side of it"
    if a.negated != b.negated:
        return "the one denies it"
    return ""


def facts(
    pairs: Sequence[tuple[Reading, Reading]], vectors: Vectors, space: Space
) -> NDArray[np.float64]:
    """The facts about each pair: pairs × FACTS."""
    if not pairs:
        return np.zeros((0, len(FACTS)))
    left = space.points(np.array([vectors[a.text] for a, _ in pairs]))
    right = space.points(np.array([vectors[b.text] for _, b in pairs]))
    beyond = np.einsum("ij,ij->i", left, right)
    return np.array(
        [_facts(a, b, vectors, float(near)) for (a, b), near in zip(pairs, beyond, strict=True)]
    )


def contacts_alike(a: Vector, b: Vector, learnt: Learnt) -> float:
    """How sure it is that two contacts tell of one thing, 0 to 1; of points of
    `learnt.contacts`."""
    return 1 / (1 + exp(-learnt.contact_rise * (float(a @ b) - learnt.contact_middle)))


def _facts(a: Reading, b: Reading, vectors: Vectors, beyond_phrasing: float) -> list[float]:
    rest_a, rest_b = a.beyond(b), b.beyond(a)
    if rest_a and rest_b:
        rest = float(vectors[rest_a] @ vectors[rest_b])
    else:
        rest = _ONE_REST if rest_a or rest_b else _NO_REST
    uncovered_a, uncovered_b = _uncovered(a, b, vectors), _uncovered(b, a, vectors)
    share_a, share_b = uncovered_a / _weight(a), uncovered_b / _weight(b)
    asked = a.asks & b.asks
    differ = 0.0 if a.asks == b.asks else 1 - len(asked) / max(len(a.asks), len(b.asks))
    manner = a.general | b.general
    found = (
        _spread(float(vectors[a.text] @ vectors[b.text]), 1.004),
        beyond_phrasing,
        _spread(float(vectors[a.about] @ vectors[b.about]), 1.004),
        _spread(rest, 1.01),
        float(bool(rest_a and rest_b)),
        max(share_a, share_b),
        min(share_a, share_b),
        max(uncovered_a, uncovered_b),
        min(uncovered_a, uncovered_b),
        differ,
        float(not asked),
        float(bool(a.sides | b.sides) and not a.sides & b.sides),
        1 - len(a.general & b.general) / len(manner) if manner else 0.0,
        _trigrams_alike(a, b),
        float(abs(len(a.words) - len(b.words))),
        1 / max(1.0, min(_weight(a), _weight(b))),
    )
    # Machines differ in the last digits of the model; no fact may hang on them.
    return [round(one, 3) for one in found]


def _spread(cosine: float, end: float) -> float:
    """Cosines near 1, where everything lies, pulled apart."""
    return -log(end - min(1.0, cosine))


def _weight(one: Reading) -> float:
    return max(1.0, sum(_SORT_COUNTS if stem in one.sorts else 1.0 for stem in one.topic))


def _uncovered(one: Reading, other: Reading, vectors: Vectors) -> float:
    """How many words of a topic nothing in the other text says, by spelling or meaning."""
    total = 0.0
    for stem, word in one.topic.items():
        if stem in other.topic:
            continue
        said, letters = 0.0, stemmed(word)
        for near in other.words:
            spelt = (Indel.normalized_similarity(letters, stemmed(near)) - 0.6) / 0.3
            meant = (float(vectors[word] @ vectors[near]) - 0.85) / 0.12
            said = max(said, min(1.0, spelt), 0.8 * min(1.0, meant))
        total += (1 - said) * (_SORT_COUNTS if stem in one.sorts else 1.0)
    return total


def _trigrams_alike(a: Reading, b: Reading) -> float:
    left, right = trigrams(a.words), trigrams(b.words)
    return len(left & right) / max(1, len(left | right))


def trigrams(words: Sequence[str]) -> frozenset[str]:
    """The runs of three letters in the words."""
    return frozenset(
        word[start : start + 3] for word in words for start in range(max(1, len(word) - 2))
    )
