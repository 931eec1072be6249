"""How well it is seen that two questions ask the same, beside plain ways of seeing it:

    python -m tests.quality.measure_pairs FILE…

FILE: tab-separated, question1, question2, label (1: one answer serves both), such as the Arabic
question pairs of NSURL-2019. Nothing of a file is kept, and no text of it is printed.
"""

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from services.dedup.meaning import kept
from services.dedup.meaning.embed import Embedder
from services.dedup.meaning.pairs import likeness, wanted
from services.dedup.meaning.reading import read
from tests.quality import baselines
from tests.quality.questions import Pair, judged

Floats = NDArray[np.float64]
RIGHT = 0.9
"""The precision at which recall is looked at."""
_SAMPLES = 1_000

Interval = tuple[float, float]
Figure = Callable[[Floats, NDArray[np.bool_]], float]


@dataclass(frozen=True, slots=True)
class Row:
    """One way of seeing it. `best` F1 is at `best_limit`, chosen on the same pairs; `recall_right`
    the highest recall with a precision of RIGHT. Intervals: 95 %, bootstrap over pairs."""

    name: str
    best: float
    best_limit: float
    recall_right: float
    best_interval: Interval
    right_interval: Interval


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured. `precision`, `recall` and `f1` are ours at the shipped limit; `sure_...`
    at the limit above which nobody looks. The last of `rows` is ours, the others are baselines."""

    pairs: int
    same: int
    limit: float
    precision: float
    recall: float
    f1: float
    f1_interval: Interval
    sure_limit: float
    sure_precision: float
    sure_recall: float
    rows: tuple[Row, ...]
    curve: tuple[tuple[float, float], ...]


def measure(path: Path, embedder: Embedder | None = None) -> Figures:
    """Measures on the pairs of a file. Raises ValueError naming file and line, OSError.

    About 5 ms for each text, topic and word that is not yet known to `embedder`.
    """
    pairs = judged(path)
    same = np.array([pair.same for pair in pairs])
    embedder = embedder or Embedder(kept=500_000)
    ours, plain = _ours(pairs, embedder)
    rows = [
        row(name, scores, same)
        for name, scores in (*_by_words(pairs), ("embedding alone", plain), ("ours", ours))
    ]
    limits = kept.levels()
    precision, recall, f1 = at(ours, same, limits.same)
    sure_precision, sure_recall, _ = at(ours, same, limits.sure)
    return Figures(
        pairs=len(pairs),
        same=int(same.sum()),
        limit=limits.same,
        precision=precision,
        recall=recall,
        f1=f1,
        f1_interval=interval(ours, same, lambda s, t: at(s, t, limits.same)[2]),
        sure_limit=limits.sure,
        sure_precision=sure_precision,
        sure_recall=sure_recall,
        rows=tuple(rows),
        curve=tuple(_curve(ours, same)),
    )


def row(name: str, scores: Floats, same: NDArray[np.bool_]) -> Row:
    """The figures of one way of seeing it."""
    best, limit = best_f1(scores, same)
    return Row(
        name,
        best,
        limit,
        recall_at(scores, same),
        interval(scores, same, lambda s, t: best_f1(s, t)[0]),
        interval(scores, same, recall_at),
    )


def at(scores: Floats, same: NDArray[np.bool_], limit: float) -> tuple[float, float, float]:
    """Precision, recall and F1 when a pair is called the same from `limit` on."""
    called = scores >= limit
    right = int((called & same).sum())
    precision = right / max(1, int(called.sum()))
    recall = right / max(1, int(same.sum()))
    return precision, recall, 2 * precision * recall / max(1e-9, precision + recall)


def best_f1(scores: Floats, same: NDArray[np.bool_]) -> tuple[float, float]:
    """The highest F1 of any limit, and that limit."""
    limits, precision, recall = _all(scores, same)
    f1 = 2 * precision * recall / np.maximum(1e-9, precision + recall)
    place = int(f1.argmax())
    return float(f1[place]), float(limits[place])


def recall_at(scores: Floats, same: NDArray[np.bool_]) -> float:
    """The highest recall with a precision of RIGHT or more; 0 where there is none."""
    _, precision, recall = _all(scores, same)
    return float(recall[precision >= RIGHT].max(initial=0.0))


def interval(scores: Floats, same: NDArray[np.bool_], figure: Figure) -> Interval:
    """The middle 95 % of a figure over resamples of the pairs."""
    rng = np.random.default_rng(1)
    found = []
    for _ in range(_SAMPLES):
        drawn = rng.integers(0, len(same), len(same))
        found.append(figure(scores[drawn], same[drawn]))
    low, high = np.quantile(found, (0.025, 0.975))
    return float(low), float(high)


def told(figures: Figures) -> Iterable[str]:
    """The figures in lines to print."""
    yield f"{figures.pairs} pairs, {figures.same} the same"
    yield f"{'':15}  best F1  [95 %]         at     recall at {RIGHT:.0%} precision"
    for one in figures.rows:
        yield (
            f"{one.name:15}  {one.best:.3f}  {_within(one.best_interval)}"
            f"  {one.best_limit:.3f}  {one.recall_right:.3f}  {_within(one.right_interval)}"
        )
    yield (
        f"as shipped (from {figures.limit}): precision {figures.precision:.3f}, "
        f"recall {figures.recall:.3f}, F1 {figures.f1:.3f} {_within(figures.f1_interval)}"
    )
    yield (
        f"sure (from {figures.sure_limit}): precision {figures.sure_precision:.3f}, "
        f"recall {figures.sure_recall:.3f}"
    )


def main() -> None:
    """Measures each file that is named."""
    embedder = Embedder(kept=500_000)
    for name in sys.argv[1:]:
        sys.stdout.write("\n".join((name, *told(measure(Path(name), embedder)), "")))


def _within(interval: Interval) -> str:
    return f"[{interval[0]:.3f}–{interval[1]:.3f}]"


def _ours(pairs: Sequence[Pair], embedder: Embedder) -> tuple[Floats, Floats]:
    asking, learnt, limits = kept.asking(), kept.learnt(), kept.levels()
    readings = [(read(pair.first, asking), read(pair.second, asking)) for pair in pairs]
    vectors = embedder.vectors(sorted(set[str]().union(*(wanted(a, b) for a, b in readings))))
    ours = [likeness(a, b, vectors, learnt, limits).score for a, b in readings]
    plain = [
        float(vectors[a.text] @ vectors[b.text]) if a.text and b.text else 0.0 for a, b in readings
    ]
    return np.array(ours), np.array(plain)


def _by_words(pairs: Sequence[Pair]) -> Iterable[tuple[str, Floats]]:
    for name, alike in baselines.by_words():
        yield name, np.array([alike(pair.first, pair.second) for pair in pairs])


def _all(scores: Floats, same: NDArray[np.bool_]) -> tuple[Floats, Floats, Floats]:
    """Limit, precision and recall at each score, the highest first; equal scores stand together."""
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    right = np.cumsum(same[order])
    last = np.append(ranked[1:] != ranked[:-1], True)
    called = np.arange(1, len(ranked) + 1)
    recall = right / max(1, int(same.sum()))
    return ranked[last], (right / called)[last], recall[last]


def _curve(scores: Floats, same: NDArray[np.bool_]) -> Iterable[tuple[float, float]]:
    """Recall and precision at a hundred limits, for the chart."""
    _, precision, recall = _all(scores, same)
    for place in np.unique(np.linspace(0, len(recall) - 1, 100).astype(int)):
        yield float(recall[place]), float(precision[place])


if __name__ == "__main__":
    main()
