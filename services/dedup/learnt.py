"""Reads what dedup has learnt: the weights of `model`, and trees."""

from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.dedup.model import BUCKETS, Weights
from services.dedup.need import NAMES
from services.dedup.trees import Trees
from services.runtime.errors import ConfigError

MODEL = "model.npz"
NEED = "need.npz"


def weights(path: Any = None) -> Weights:
    """The shipped weights, or those in `path`. Raises ConfigError when they can't be read."""
    source = files(__package__) / MODEL if path is None else path
    try:
        with source.open("rb") as file, np.load(file, allow_pickle=False) as kept:
            rows = np.full(BUCKETS, -1, np.int32)
            buckets = np.cumsum(kept["gaps"], dtype=np.int64)
            rows[buckets] = np.arange(len(buckets), dtype=np.int32)
            idf = np.full(BUCKETS, kept["unknown"], np.float32)
            idf[buckets] = kept["idf"]
            return Weights(
                outputs=tuple(map(str, kept["outputs"])),
                rows=rows,
                idf=idf,
                learnt=kept["learnt"],
                step=kept["step"],
                offset=kept["offset"],
                sharpness=(float(kept["sharpness"][0]), float(kept["sharpness"][1])),
                danger=_four(kept["danger"]),
            )
    except (OSError, KeyError, ValueError, IndexError) as error:
        raise ConfigError(f"dedup's model can't be read ({MODEL}): {error}") from error


def trees(name: str = NEED, signs: Sequence[str] = NAMES, of: str = "") -> Trees:
    """The trees in a shipped file, which must have been learnt from `signs`; `of`: which of
    several. Raises ConfigError when they can't be read."""
    try:
        source = files(__package__) / name
        with source.open("rb") as file, np.load(file, allow_pickle=False) as kept:
            if tuple(map(str, kept["names"])) != tuple(signs):
                raise ConfigError(f"dedup's {name} was learnt from other signs: learn it again")
            sign, limit, leaf = (kept[of + part] for part in ("sign", "limit", "leaf"))
            return Trees(sign, limit, leaf, float(kept[of + "bias"]))
    except (OSError, KeyError, ValueError) as error:
        raise ConfigError(f"dedup's model can't be read ({name}): {error}") from error


def _four(given: NDArray[np.float64]) -> tuple[float, float, float, float]:
    one, two, three, four = map(float, given)
    return one, two, three, four
