"""Grows a random forest for yes and no (L. Breiman, "Random Forests", 2001), of trees of one depth.

Deterministic: what chance picks hangs on the plan's seed.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.dedup.trees import Floats, Forest

_BINS = 48


@dataclass(frozen=True, slots=True)
class Plan:
    """How a forest is grown. `least`: samples in a leaf; `tries`: facts looked at in a node."""

    trees: int = 80
    depth: int = 6
    least: int = 8
    tries: int = 4
    seed: int = 1


def grow(facts: Floats, same: NDArray[np.bool_], counts: Floats, plan: Plan) -> Forest:
    """Learns a forest. `same`: the truth of each row; `counts`: what each row counts."""
    rng = np.random.default_rng(plan.seed)
    cuts = [
        np.unique(np.quantile(column, np.linspace(0, 1, _BINS + 1)[1:-1])) for column in facts.T
    ]
    binned = np.column_stack(
        [
            np.searchsorted(cut, column, side="left")
            for cut, column in zip(cuts, facts.T, strict=True)
        ]
    )
    inner = 2**plan.depth - 1
    fact = np.zeros((plan.trees, inner), dtype=np.int64)
    over = np.full((plan.trees, inner), np.inf)
    leaf = np.zeros((plan.trees, inner + 1))
    for tree in range(plan.trees):
        rows = {0: rng.integers(0, len(facts), len(facts))}
        for node in range(inner):
            here = rows.pop(node)
            found = _split(binned, cuts, same, counts, here, plan, rng)
            right = np.zeros(len(here), dtype=bool)
            if found is not None:
                fact[tree, node], place = found
                over[tree, node] = cuts[fact[tree, node]][place]
                right = binned[here, fact[tree, node]] > place
            rows[2 * node + 1], rows[2 * node + 2] = here[~right], here[right]
        for number in range(inner + 1):
            here = rows[inner + number]
            # An empty leaf is never reached: its parent's limit is infinite.
            total = counts[here].sum()
            leaf[tree, number] = counts[here] @ same[here] / total if total else 0.0
    return Forest(fact, over, leaf)


def _split(
    binned: NDArray[np.int64],
    cuts: list[Floats],
    same: NDArray[np.bool_],
    counts: Floats,
    here: NDArray[np.int64],
    plan: Plan,
    rng: np.random.Generator,
) -> tuple[int, int] | None:
    """The fact and cut that part a node's rows best (Gini), or None."""
    tried = rng.choice(binned.shape[1], plan.tries, replace=False)
    if len(here) < 2 * plan.least:
        return None
    weight, hits = counts[here], counts[here] * same[here]
    best, found = _impurity(weight.sum(), hits.sum()) - 1e-9, None
    for fact in tried:
        bins = len(cuts[fact]) + 1
        column = binned[here, fact]
        rows = np.cumsum(np.bincount(column, minlength=bins))[:-1]
        left: Floats = np.cumsum(np.bincount(column, weight, bins), dtype=float)[:-1]
        left_hits: Floats = np.cumsum(np.bincount(column, hits, bins), dtype=float)[:-1]
        cost = _impurity(left, left_hits) + _impurity(weight.sum() - left, hits.sum() - left_hits)
        cost[(rows < plan.least) | (len(here) - rows < plan.least)] = np.inf
        if cost.size and cost.min() < best:
            best, found = cost.min(), (int(fact), int(cost.argmin()))
    return found


def _impurity(weight: Floats, hits: Floats) -> Floats:
    return 2 * hits * (1 - hits / np.maximum(weight, 1e-12))
