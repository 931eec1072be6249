"""Precision, recall and shares with 95 % intervals: bootstrap over scenes, since contacts of one
scene are not independent (B. Efron, "Bootstrap methods: another look at the jackknife", 1979)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SAMPLES = 1_000
_SEED = 1
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Judged:
    """Something that was decided on in a scene: whether it is so, and whether it was found so."""

    scene: str
    language: str
    true: bool
    found: bool


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of 0 to 1 and its interval; all NaN where there is nothing to reckon it of."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """For people."""
        if np.isnan(self.value):
            return "–"
        return f"{self.value:.3f} [{self.low:.3f}–{self.high:.3f}]"


@dataclass(frozen=True, slots=True)
class Scored:
    """How well something is found. `of`: what was judged; `positives`: what is so; `flagged`: the
    share that was found so."""

    of: int
    positives: int
    precision: Figure
    recall: Figure
    f1: Figure
    flagged: Figure


def scored(judged: Sequence[Judged]) -> Scored:
    """The figures of what was judged."""
    counts = _by_scene((one.scene, (one.true and one.found, one.true, one.found)) for one in judged)
    right, true, found, every = counts.T
    return Scored(
        len(judged),
        int(true[0]),
        _figure(right, found),
        _figure(right, true),
        _figure(2 * right, true + found),
        _figure(found, every),
    )


def by_language(judged: Sequence[Judged], least: int) -> dict[str, Scored]:
    """The figures of each language that has at least `least` positives, those with most first."""
    found: dict[str, list[Judged]] = {}
    for one in judged:
        found.setdefault(one.language, []).append(one)
    every = {language: scored(those) for language, those in found.items()}
    order = sorted(every, key=lambda language: (-every[language].positives, language))
    return {language: every[language] for language in order if every[language].positives >= least}


def share(right: Iterable[tuple[str, bool]]) -> Figure:
    """The share that is right, of (scene, right)."""
    counts = _by_scene((scene, (one,)) for scene, one in right)
    return _figure(counts[:, 0], counts[:, 1])


def _by_scene(told: Iterable[tuple[str, tuple[bool, ...]]]) -> Floats:
    """Counts of each column and of all: as they are, then in each resample of the scenes."""
    sums: dict[str, list[int]] = {}
    for scene, columns in told:
        row = sums.setdefault(scene, [0] * (len(columns) + 1))
        for place, counts in enumerate((*columns, True)):
            row[place] += counts
    table = np.array(list(sums.values()), float)
    rng = np.random.default_rng(_SEED)
    drawn = rng.multinomial(len(table), np.full(len(table), 1 / len(table)), SAMPLES)
    return np.vstack([table.sum(0), drawn @ table])


def _figure(part: Floats, whole: Floats) -> Figure:
    """The first of each is the figure, the others are resamples."""
    shares = np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)
    if np.isnan(shares[0]):
        return Figure(np.nan, np.nan, np.nan)
    low, high = np.nanquantile(shares[1:], (0.025, 0.975))
    return Figure(float(shares[0]), float(low), float(high))


@dataclass(frozen=True, slots=True)
class Curve:
    """What each limit gives, the highest limit first; equal scores stand together."""

    limit: Floats
    precision: Floats
    recall: Floats
    flagged: Floats

    @property
    def best(self) -> float:
        """The limit at which F1 is highest."""
        f1 = 2 * self.precision * self.recall / np.maximum(1e-9, self.precision + self.recall)
        return float(self.limit[int(f1.argmax())])

    def recall_at(self, flagged: float) -> float:
        """The highest recall at which no more than a share of all is found."""
        return float(self.recall[self.flagged <= flagged].max(initial=0.0))

    def flagged_at(self, recall: float) -> float:
        """The lowest share that must be found for a recall."""
        return float(self.flagged[self.recall >= recall].min(initial=1.0))


def curve(scores: Sequence[float], true: Sequence[bool]) -> Curve:
    """The curve over all limits."""
    given, so = np.array(scores, float), np.array(true, bool)
    order = np.argsort(-given, kind="stable")
    ranked, right = given[order], np.cumsum(so[order])
    last = np.append(ranked[1:] != ranked[:-1], True)
    called = np.arange(1, len(ranked) + 1)
    return Curve(
        ranked[last],
        (right / called)[last],
        (right / max(1, int(so.sum())))[last],
        (called / len(ranked))[last],
    )
