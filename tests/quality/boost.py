"""Boosted trees of depth 4 for yes and no, on tens of signs and thousands of examples.

Second-order boosting (T. Chen, C. Guestrin, "XGBoost", 2016) with exact limits; each tree sees a
share of the examples and of the signs (J. Friedman, "Stochastic gradient boosting", 2002), which by
cross-validation over scenes is worth more than more trees. Deterministic.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
DEPTH = 4
ROUNDS = 250
RATE = 0.05
RIDGE = 5.0
LEAST = 20
"""Examples in a leaf."""
_OF_EXAMPLES, _OF_SIGNS = 0.8, 0.7
_LIMITS = 48
_SEED = 1


def boost(signs: Array, true: Array) -> dict[str, Array]:
    """Trees as `services.dedup.trees` has them. `signs`: examples x S; `true`: examples."""
    pick = np.random.default_rng(_SEED)
    signs = signs.astype(np.float32)
    limits = [np.unique(np.quantile(one, np.linspace(0, 1, _LIMITS)))[:-1] for one in signs.T]
    share = float(true.mean())
    bias = np.log(share / (1 - share))
    odds = np.full(len(true), bias)
    made: list[tuple[Array, Array, Array]] = []
    for _ in range(ROUNDS):
        likely = 1 / (1 + np.exp(-odds))
        seen = np.flatnonzero(pick.random(len(true)) < _OF_EXAMPLES)
        asked = pick.random(len(limits)) < _OF_SIGNS
        offered = [one if may else one[:0] for one, may in zip(limits, asked, strict=True)]
        slope, curve = true - likely, likely * (1 - likely)
        tree = _tree(signs[seen], offered, slope[seen], curve[seen])
        odds += _added(tree, signs)
        made.append(tree)
    sign, limit, leaf = (np.array(column) for column in zip(*made, strict=True))
    return {
        "sign": sign.astype(np.int16),
        "limit": limit.astype(np.float32),
        "leaf": leaf.astype(np.float32),
        "bias": np.array(bias),
    }


def _tree(
    signs: Array, limits: list[Array], slope: Array, curve: Array
) -> tuple[Array, Array, Array]:
    """One tree: what its nodes ask, from which limit on, and what its leaves add."""
    nodes = 2**DEPTH - 1
    sign, limit = np.zeros(nodes, int), np.full(nodes, np.inf, np.float32)
    place = np.zeros(len(signs), int)
    for node in range(nodes):
        within = np.flatnonzero(place == node)
        found = _split(signs[within], limits, slope[within], curve[within])
        if found is not None:
            sign[node], limit[node] = found
        right = signs[within, sign[node]] > limit[node]
        place[within] = 2 * node + 1 + right
    leaf = np.zeros(nodes + 1)
    for number in range(nodes + 1):
        within = np.flatnonzero(place == nodes + number)
        leaf[number] = RATE * slope[within].sum() / (curve[within].sum() + RIDGE)
    return sign, limit, leaf


def _added(tree: tuple[Array, Array, Array], signs: Array) -> Array:
    """What a tree adds for every example."""
    sign, limit, leaf = tree
    place, every = np.zeros(len(signs), int), np.arange(len(signs))
    for _ in range(DEPTH):
        place = 2 * place + 1 + (signs[every, sign[place]] > limit[place])
    added: Array = leaf[place - len(sign)]
    return added


def _split(
    signs: Array, limits: list[Array], slope: Array, curve: Array
) -> tuple[int, float] | None:
    """The sign and limit that part the examples best; None when nothing parts them."""
    best, found = 1e-6, None
    whole = slope.sum() ** 2 / (curve.sum() + RIDGE)
    for column, asked in enumerate(limits):
        if not len(asked) or len(signs) < 2 * LEAST:
            continue
        # How many limits an example is above; all that are, go right.
        above = np.searchsorted(asked.astype(np.float32), signs[:, column], side="left")
        counted = np.bincount(above, minlength=len(asked) + 1)[::-1].cumsum()[::-1][1:]
        g = np.bincount(above, slope, len(asked) + 1)[::-1].cumsum()[::-1][1:]
        h = np.bincount(above, curve, len(asked) + 1)[::-1].cumsum()[::-1][1:]
        left_g, left_h = slope.sum() - g, curve.sum() - h
        gain = g**2 / (h + RIDGE) + left_g**2 / (left_h + RIDGE) - whole
        gain[(counted < LEAST) | (len(signs) - counted < LEAST)] = 0
        place = int(gain.argmax())
        if gain[place] > best:
            best, found = float(gain[place]), (column, float(asked[place]))
    return found
