"""Learns what dedup's meaning weighs, and writes services/dedup/meaning/pairs.json:

    python -m tests.quality.train_pairs

From the questions and scenes written for this project alone (set/pairs, set/learn); deterministic;
about four minutes on one core, nearly all of it the model's. The limits are not learnt: they stand
in limits.yaml and are set by hand on what `tests/quality/measure_pairs.py` prints.
"""

import json
import sys
from collections.abc import Iterable, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from services.dedup import meaning
from services.dedup.meaning import kept
from services.dedup.meaning.embed import Embedder
from services.dedup.meaning.pairs import FACTS, Space, Vectors, facts, wanted
from services.dedup.meaning.reading import Reading, read
from services.dedup.trees import Forest
from tests.quality import questions, scenes
from tests.quality.forest import Plan, grow
from tests.quality.scenes import NOTHING, Contact, Scene

Floats = NDArray[np.float32]
WRITES = Path(meaning.__file__).parent / "pairs.json"
WAYS = 8
"""Directions of phrasing that are taken away from questions."""
CONTACT_WAYS = 32
"""The same for contacts, which differ in language and script too."""
SAME, NEAR, OTHER = 0.44, 0.28, 0.28
"""What counts, in all: pairs that ask the same; those that ask the same of another topic, which are
few in the groups and many in life; and those that ask something else."""
_OTHERS = 40
_STEPS = 30


def space(pairs: Sequence[tuple[str, str]], vectors: Vectors, most: int) -> Space:
    """The middle of the pairs' texts, and how texts that mean the same differ."""
    left = np.array([vectors[a] for a, _ in pairs])
    right = np.array([vectors[b] for _, b in pairs])
    ways = np.linalg.svd(left - right, full_matrices=False)[2][:most]
    # Which way round a direction points is chance, and changes nothing.
    ways *= np.sign(ways[np.arange(len(ways)), np.abs(ways).argmax(axis=1)])[:, None]
    middle = np.vstack([left, right]).mean(axis=0)
    return Space(_rounded(middle), _rounded(ways))


def questions_learnt(embedder: Embedder) -> tuple[Space, Forest]:
    """The space and the forest, from the authored questions."""
    asking = kept.asking()
    pairs = questions.authored()
    readings = {text: read(text, asking) for pair in pairs for text in (pair.first, pair.second)}
    read_pairs = [(readings[pair.first], readings[pair.second]) for pair in pairs]
    vectors = vectors_for(read_pairs, embedder)
    same = np.array([pair.same for pair in pairs])
    found = space(
        [(a.text, b.text) for (a, b), is_same in zip(read_pairs, same, strict=True) if is_same],
        vectors,
        WAYS,
    )
    weighed = facts(read_pairs, vectors, found)
    other = weighed[:, FACTS.index("asks_differ")] > 0
    counts = np.zeros(len(same))
    for which, share in ((same, SAME), (~same & ~other, NEAR), (~same & other, OTHER)):
        counts[which] = share / which.sum()
    return found, grow(weighed, same, counts, Plan())


def contacts_learnt(embedder: Embedder) -> tuple[Space, float, float]:
    """The space, and rise and middle of the logistic curve, from the scenes to learn from."""
    together, apart = contact_pairs(scenes.read("learn"))
    texts = {contact.text for pair in (*together, *apart) for contact in pair}
    vectors = embedder.vectors(sorted(texts))
    found = space([(a.text, b.text) for a, b in together], vectors, CONTACT_WAYS)
    point = dict(zip(vectors, found.points(np.array(list(vectors.values()))), strict=True))
    near = np.array([point[a.text] @ point[b.text] for a, b in (*together, *apart)])
    truth = np.array([1.0] * len(together) + [0.0] * len(apart))
    counts = np.where(truth == 1, 0.5 / len(together), 0.5 / len(apart))
    rise, start = 10.0, 0.0
    for _ in range(_STEPS):  # Newton's method on two numbers
        says = 1 / (1 + np.exp(-(rise * near + start)))
        error, slope = counts * (says - truth), counts * says * (1 - says)
        first = np.array([(error * near).sum(), error.sum()])
        second = np.array(
            [[(slope * near**2).sum(), (slope * near).sum()], [(slope * near).sum(), slope.sum()]]
        )
        rise, start = np.array([rise, start]) - np.linalg.solve(second, first)
    return found, round(float(rise), 3), round(float(-start / rise), 3)


def contact_pairs(
    read_scenes: Iterable[Scene],
) -> tuple[list[tuple[Contact, Contact]], list[tuple[Contact, Contact]]]:
    """Contacts of one incident or question, by different people; and contacts of two scenes of one
    domain (each with the next ones, so that every contact is met)."""
    all_scenes = list(read_scenes)
    together = [
        (a, b)
        for scene in all_scenes
        for a, b in combinations(scene.contacts, 2)
        if a.person != b.person
        and (a.incident == b.incident != NOTHING or a.question == b.question != NOTHING)
    ]
    apart = []
    for domain in scenes.DOMAINS:
        contacts = [c for scene in all_scenes if scene.domain == domain for c in scene.contacts]
        for place, one in enumerate(contacts):
            others = [c for c in contacts[place + 1 :] if c.scene != one.scene][::7][:_OTHERS]
            apart += [(one, other) for other in others]
    return together, apart


def vectors_for(pairs: Sequence[tuple[Reading, Reading]], embedder: Embedder) -> Vectors:
    """What the model says of every text that comparing the pairs needs."""
    return embedder.vectors(sorted(set[str]().union(*(wanted(a, b) for a, b in pairs))))


def main() -> None:
    """Learns and writes."""
    embedder = Embedder(kept=200_000)
    asked, forest = questions_learnt(embedder)
    told, rise, start = contacts_learnt(embedder)
    written = {
        "facts": FACTS,
        "questions": {"middle": _plain(asked.middle), "ways": _plain(asked.ways)},
        "contacts": {
            "middle": _plain(told.middle),
            "ways": _plain(told.ways),
            "rise": rise,
            "from": start,
        },
        "trees": {
            "fact": forest.fact.tolist(),
            "over": [
                [round(one, 4) if np.isfinite(one) else None for one in tree]
                for tree in forest.over.tolist()
            ],
            "leaf": [[round(one, 3) for one in tree] for tree in forest.leaf.tolist()],
        },
    }
    WRITES.write_text(json.dumps(written, separators=(",", ":")) + "\n", "utf-8")
    sys.stdout.write(f"{WRITES}: {WRITES.stat().st_size // 1000} kB\n")


def _plain(numbers: Floats) -> list[object]:
    return np.vectorize(lambda one: round(one, 4))(numbers.astype(float)).tolist()  # type: ignore[no-any-return]


def _rounded(numbers: Floats) -> Floats:
    return np.round(numbers, 4).astype(np.float32)


if __name__ == "__main__":
    main()
