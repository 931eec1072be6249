"""How likely a text is about a case of the same person, from signs. Pure.

Boosted trees (J. Friedman, "Greedy function approximation: a gradient boosting machine", 2001) over
a score of signs, learnt from threads that were written for it (`tests/quality/train_need.py`): who
writes again in other words, or says nothing new ("nobody has come"), and who has another need.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.dedup.signs import STEPS, CaseSigns, Signs
from services.dedup.words import CODE

DEPTH = 3
NAMES = (
    "again",
    "service overlap",
    "service cosine",
    "service certainty",
    "other service",
    "share of words",
    "shared words",
    "shared weight",
    "weight",
    "code",
    "minutes",
    "words",
    "enquiry",
    "more enquiry",
    "feedback",
    "more request",
    "life",
    "life of case",
    "life of both",
    "latest",
    "cases",
    "texts",
    "minutes since the first",
    "same script",
    "rarest shared word",
    "service of the last text",
)
"""The signs, in the order of `signs_of`."""
_MOST_WEIGHT = 12.0
_MOST_WORDS = 6


@dataclass(frozen=True, slots=True)
class Seen:
    """How a contact stands to a case. `shared`, `weight`: sums over the contact's content words of
    how rare they are: of those that the case has too, and of all; `rarest`: the rarest that it has
    too. `words`: how many it shares.
    `code`: both name the same code. `latest`: no case of the person was heard of later.
    `cases`: how many cases of the person there are. Minutes are of event time."""

    shared: float
    rarest: float
    weight: float
    words: int
    code: bool
    gap_min: float
    since_first_min: float
    latest: bool
    cases: int


def seen_of(
    rarity: Mapping[int, float],
    shape: Collection[int],
    case_shape: Collection[int],
    *,
    gap_ms: int,
    since_first_ms: int,
    latest: bool,
    cases: int,
) -> Seen:
    """How a contact stands to a case: by the shapes (services/dedup/words.py) of both, and how rare
    each of the contact's words is."""
    shared = [rarity[word] for word in rarity if word in case_shape]
    return Seen(
        shared=sum(shared),
        rarest=max(shared, default=0.0),
        weight=sum(rarity.values()),
        words=len(shared),
        code=any(one & CODE and one in case_shape for one in shape),
        gap_min=gap_ms / 60_000,
        since_first_min=since_first_ms / 60_000,
        latest=latest,
        cases=cases,
    )


def signs_of(text: Signs, case: CaseSigns, seen: Seen) -> list[float]:
    """What the trees look at."""
    overlap = sum(min(p, case.most.get(s, 0)) for s, p in text.services.items())
    dot = sum(p * case.mean.get(s, 0) for s, p in text.services.items())
    length = math.sqrt(sum(p * p for p in text.services.values()))
    length *= math.sqrt(sum(p * p for p in case.mean.values()))
    top = max(text.services, key=lambda s: text.services[s], default=0)
    certain = text.services.get(top, 0) / STEPS
    held = min(1.0, 3 * case.most.get(top, 0) / STEPS)
    return [
        text.again / STEPS,
        overlap / STEPS,
        dot / length if length else 0.0,
        certain,
        certain * (1 - held),
        seen.shared / seen.weight if seen.weight else 0.0,
        min(seen.words, _MOST_WORDS),
        min(seen.shared, _MOST_WEIGHT),
        seen.weight / 20,
        float(seen.code),
        math.log1p(max(0.0, seen.gap_min)),
        math.log1p(text.words),
        text.enquiry / STEPS,
        (text.enquiry - case.enquiry) / STEPS,
        text.feedback / STEPS,
        (text.request - case.request) / STEPS,
        text.life / STEPS,
        case.life / STEPS,
        text.life * case.life / STEPS**2,
        float(seen.latest),
        float(seen.cases > 1),
        float(case.texts),
        math.log1p(max(0.0, seen.since_first_min)),
        float(bool(text.script & case.scripts)),
        seen.rarest,
        min(text.services.get(case.last[0], 0), case.last[1]) / STEPS,
    ]


@dataclass(frozen=True, slots=True)
class Trees:
    """T full trees of depth 3: what each of 7 nodes asks (`sign` > `limit` goes right), and what
    its 8 leaves add to the log-odds."""

    sign: NDArray[np.int16]
    limit: NDArray[np.float32]
    leaf: NDArray[np.float32]
    bias: float

    def likely(self, signs: list[float]) -> float:
        """0 to 1."""
        values = np.array(signs, np.float32)
        every = np.arange(len(self.sign))
        node = np.zeros(len(self.sign), np.int64)
        for _ in range(DEPTH):
            right = values[self.sign[every, node]] > self.limit[every, node]
            node = 2 * node + 1 + right
        total = self.bias + float(self.leaf[every, node - (2**DEPTH - 1)].sum())
        return 1 / (1 + math.exp(-total))
