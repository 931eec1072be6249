"""Learns how likely a text is about a case of its person: `python -m tests.quality.train_need`.

From the threads of `set/learn`, read by a model that has not learnt from the half they are in, and
those of `set/dev`. Writes services/dedup/need.npz. Five minutes on one core.
"""

import sys
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
from tests.quality import scenes as authored
from tests.quality.boost import boost
from tests.quality.scenes import Contact, Scene
from tests.quality.train import learn, lessons, settled, stored

_MINUTE_MS = 60_000


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


def reader(weights: model.Weights) -> Reader:
    """A reader with a hash that needs no key."""
    return Reader(
        languages.read(),
        catalogue.read().agencies_of,
        weights,
        Limits(0.5, 0.5, 0.5),
        model.plain_hash,
    )


def examples(scenes: Sequence[Scene], read: Reader) -> Iterator[Example]:
    """Every later contact of a person with each of their cases, as an agent would keep them."""
    for scene in scenes:
        of_person: dict[str, dict[str, _Case]] = {}
        for one in scene.contacts:
            reading, at_ms = read.read(one.text), one.minutes * _MINUTE_MS
            cases = of_person.setdefault(one.person, {})
            latest = max((case.last_ms for case in cases.values()), default=0)
            for told, case in cases.items():
                seen = seen_of(
                    reading.rarity,
                    reading.shape,
                    case.shape,
                    gap_ms=at_ms - case.last_ms,
                    since_first_ms=at_ms - case.first_ms,
                    latest=case.last_ms == latest,
                    cases=len(cases),
                )
                yield Example(one, signs_of(reading.signs, case.signs, seen), told == one.need)
            _join(cases, one.need, reading, at_ms)


def _join(cases: dict[str, _Case], told: str, reading: Reading, at_ms: int) -> None:
    case = cases.setdefault(told, _Case(at_ms, at_ms, frozenset(), CaseSigns()))
    case.last_ms = at_ms
    case.shape |= frozenset(reading.shape)
    case.signs = case.signs.joined(reading.signs)


def table(found: Sequence[Example]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Signs (examples x S) and whether the need is the same."""
    return np.array([one.signs for one in found]), np.array([one.same for one in found], float)


def held_out() -> list[Example]:
    """Examples of `learn`, each half read by what was learnt without it, and of `dev`."""
    learn_from, dev = authored.read("learn"), authored.read("dev")
    found: list[Example] = []
    for half in (0, 1):
        taught = lessons(learn_from[1 - half :: 2])
        weights = learnt.weights(stored(settled(learn(taught), dev)))
        found += examples(learn_from[half::2], reader(weights))
    return found + list(examples(dev, reader(learnt.weights())))


def main() -> None:
    """Learns and writes."""
    found = held_out()
    path = Path(need.__file__).with_name("need.npz")
    trees: dict[str, Any] = boost(*table(found))
    np.savez_compressed(path, names=np.array(need.NAMES), **trees)
    print(f"{len(found):,} examples, {path.stat().st_size / 1e3:.0f} kB: {path}", file=sys.stderr)


if __name__ == "__main__":
    main()
