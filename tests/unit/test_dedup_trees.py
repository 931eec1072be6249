"""Trees say the same of a row whoever stands beside it."""

import numpy as np
import pytest

from services.dedup.trees import Trees

SIGNS = 7


def walked(trees: Trees, row: list[float]) -> float:
    """A row led through the trees by hand."""
    added = trees.bias
    for sign, limit, leaf in zip(trees.sign, trees.limit, trees.leaf, strict=True):
        node = 0
        while node < len(sign):
            node = 2 * node + 1 + (np.float32(row[sign[node]]) > limit[node])
        added += float(leaf[node - len(sign)])
    return added


@pytest.mark.parametrize("rows", [0, 1, 2, 47, 48, 49, 96, 100])
def test_trees_say_of_many_rows_what_they_say_of_each(rows: int) -> None:
    rng = np.random.default_rng(3)
    trees = Trees(
        rng.integers(0, SIGNS, (20, 15)).astype(np.int16),
        rng.random((20, 15), np.float32),
        rng.standard_normal((20, 16)).astype(np.float32),
        -0.5,
    )
    signs = rng.random((rows, SIGNS)).tolist()
    said = trees.log_odds(signs)
    assert said == pytest.approx([walked(trees, row) for row in signs], abs=1e-4)
    assert said == pytest.approx([trees.log_odds([row])[0] for row in signs], abs=1e-4)
