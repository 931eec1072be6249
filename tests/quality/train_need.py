"""Learns how likely a text is about a case of its person: `python -m tests.quality.train_need`.

From the threads of `set/learn`, read by a model that has not learnt from the half they are in, and
those of `set/dev`: with cases as they should be, and with those that such trees make. Writes
services/dedup/need.npz. Five minutes on one core.
"""

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.dedup import catalogue, languages, learnt, model, need
from services.dedup.need import seen_of, signs_of
from services.dedup.reading import Limits, Reader, Reading
from services.dedup.signs import CaseSigns
from services.dedup.trees import Trees
from tests.quality import scenes as authored
from tests.quality.boost import boost
from tests.quality.scenes import Contact, Scene, plain_hash
from tests.quality.train import learn, lessons, settled, stored

_MINUTE_MS = 60_000
WHERE_TREES_JOIN = 0.5


@dataclass(frozen=True, slots=True)
class Example:
    """A contact held against a case of its person."""

    contact: Contact
    signs: list[float]
    same: bool


@dataclass(slots=True)
class _Case:
    first_ms: int
    last_ms: int
    shape: frozenset[int]
    signs: CaseSigns
    needs: Counter[str]

    def join(self, need_id: str, reading: Reading, at_ms: int) -> None:
        self.last_ms = at_ms
        self.shape |= frozenset(reading.shape)
        self.signs = self.signs.joined(reading.signs)
        self.needs[need_id] += 1


Read = list[tuple[Scene, list[Reading]]]


def read_all(scenes: Sequence[Scene], weights: model.Weights) -> Read:
    """The readings of every scene's contacts, with a hash that needs no key."""
    agencies = catalogue.read().agencies_of
    limits = Limits(0.5, 0.5, 0.5)
    reader = Reader(languages.read(), agencies, weights, limits, plain_hash)
    return [(scene, [reader.read(one.text) for one in scene.contacts]) for scene in scenes]


def examples(read: Read, trees: Trees | None = None) -> Iterator[Example]:
    """Every later contact of a person with each of their cases. The cases are as an agent would
    keep them, or, with `trees`, as those make them: with the mistakes that later contacts meet."""
    for scene, readings in read:
        of_person: dict[str, list[_Case]] = {}
        for one, reading in zip(scene.contacts, readings, strict=True):
            at_ms = one.minutes * _MINUTE_MS
            cases = of_person.setdefault(one.person, [])
            latest = max((case.last_ms for case in cases), default=0)
            held = [
                seen_of(
                    reading.rarity,
                    reading.shape,
                    case.shape,
                    gap_ms=at_ms - case.last_ms,
                    since_first_ms=at_ms - case.first_ms,
                    latest=case.last_ms == latest,
                    cases=len(cases),
                )
                for case in cases
            ]
            joins, likeliest = None, WHERE_TREES_JOIN
            rows = signs_of(
                reading.signs, [(case.signs, seen) for case, seen in zip(cases, held, strict=True)]
            )
            for case, signs in zip(cases, rows, strict=True):
                same = case.needs.most_common(1)[0][0] == one.need
                yield Example(one, signs, same)
                if trees is None:
                    joins = case if same else joins
                elif (likely := trees.likely(signs)) >= likeliest:
                    joins, likeliest = case, likely
            if joins is None:
                joins = _Case(at_ms, at_ms, frozenset(), CaseSigns(), Counter())
                cases.append(joins)
            joins.join(one.need, reading, at_ms)


def learnt_from(found: Sequence[Example]) -> dict[str, NDArray[Any]]:
    """What services/dedup/need.npz holds."""
    signs = np.array([one.signs for one in found])
    same = np.array([one.same for one in found], float)
    return {"names": np.array(need.NAMES), **boost(signs, same)}


def kept(found: Sequence[Example]) -> Trees:
    """The trees that are learnt from examples."""
    made = learnt_from(found)
    return Trees(made["sign"], made["limit"], made["leaf"], float(made["bias"]))


def halves() -> list[Read]:
    """`learn` in two halves, each read by what was learnt without it, and `dev`."""
    learn_from, dev = authored.read("learn"), authored.read("dev")
    read = []
    for half in (0, 1):
        weights = settled(learn(lessons(learn_from[1 - half :: 2])), dev)
        read.append(read_all(learn_from[half::2], learnt.weights(stored(weights))))
    return [*read, read_all(dev, learnt.weights())]


def main() -> None:
    """Learns and writes."""
    parts = halves()
    right = [list(examples(part)) for part in parts]
    found = [one for part in right for one in part]
    for number, part in enumerate(parts):
        # What is learnt from the others makes its own mistakes here.
        others = kept([one for other, made in enumerate(right) if other != number for one in made])
        found += examples(part, others)
    path = Path(need.__file__).with_name("need.npz")
    np.savez_compressed(path, **learnt_from(found))  # type: ignore[arg-type]
    print(f"{len(found):,} examples, {path.stat().st_size / 1e3:.0f} kB: {path}", file=sys.stderr)


if __name__ == "__main__":
    main()
