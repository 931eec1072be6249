"""Decision trees over a few dozen signs: boosted ones, and forests. Pure.

J. Friedman, "Greedy function approximation: a gradient boosting machine", 2001; L. Breiman, "Random
Forests", 2001. Learnt by `tests/quality/boost.py` and `tests/quality/forest.py`. All trees of one
depth are walked at once: node n has the children 2n+1 and 2n+2.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_Places = NDArray[np.intp]
_AT_ONCE = 48
"""Rows that are led through the trees together: what more need lies in slower memory."""


@dataclass(frozen=True, slots=True)
class Trees:
    """T full trees of one depth d: what each of 2^d - 1 nodes asks (`sign` > `limit` goes right),
    and what its 2^d leaves add to the log-odds. `sign`, `limit`: T x nodes; `leaf`: T x leaves.
    Signs are compared as the kind of number that `limit` is."""

    sign: NDArray[np.integer[Any]]
    limit: NDArray[np.floating[Any]]
    leaf: NDArray[np.floating[Any]]
    bias: float
    # What lies flat is found twice as fast: what is asked, and where nodes and leaves begin.
    _asked: _Places = field(init=False, repr=False)
    _nodes: _Places = field(init=False, repr=False)
    _bottom: _Places = field(init=False, repr=False)

    def __post_init__(self) -> None:
        trees, inner = self.sign.shape
        object.__setattr__(self, "_asked", self.sign.ravel().astype(np.intp))
        object.__setattr__(self, "_nodes", np.arange(trees) * inner)
        object.__setattr__(self, "_bottom", np.arange(trees) - inner)

    def likely(self, signs: Sequence[float]) -> float:
        """0 to 1."""
        return 1 / (1 + math.exp(-self.log_odds([signs])[0]))

    def log_odds(self, signs: Sequence[Sequence[float]] | Floats) -> list[float]:
        """For each row of signs; 0 is as likely as not."""
        values = np.array(signs, self.limit.dtype)
        if len(values) == 1:
            return [self.bias + float(self._reached(values[0], 0).sum())]
        row = (np.arange(min(len(values), _AT_ONCE)) * values.shape[-1])[:, None]
        added: list[float] = []
        for begin in range(0, len(values), _AT_ONCE):
            some = values[begin : begin + _AT_ONCE]
            reached = self._reached(some.ravel(), row[: len(some)])
            added += (self.bias + reached.sum(axis=1)).tolist()
        return added

    def _reached(
        self, values: NDArray[np.floating[Any]], row: _Places | int
    ) -> NDArray[np.floating[Any]]:
        """What the leaves add that rows come to; `row`: where each begins in `values`."""
        # Counted through all trees: the children of node n of a tree that begins at b are
        # 2(n - b) + b + 1 and the next.
        node, limits = self._nodes, self.limit.ravel()
        for _ in range(self.sign.shape[1].bit_length()):
            right = values.take(row + self._asked.take(node)) > limits.take(node)
            node = 2 * node - self._nodes + 1 + right
        return self.leaf.ravel().take(node + self._bottom)


@dataclass(frozen=True, slots=True)
class Forest:
    """The mean of what its trees say. `fact` and `over`: trees × inner nodes, which fact is asked
    and above what value it goes right; `leaf`: trees × leaves, the share of those that are the
    same."""

    fact: NDArray[np.int64]
    over: Floats
    leaf: Floats
    _trees: Trees = field(init=False, repr=False)

    def __post_init__(self) -> None:
        shares = self.leaf / len(self.leaf)
        object.__setattr__(self, "_trees", Trees(self.fact, self.over, shares, 0.0))

    def says(self, facts: Floats) -> Floats:
        """0 to 1 for each row of `facts` (rows × facts)."""
        return np.array(self._trees.log_odds(facts), float)
