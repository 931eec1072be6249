"""Learns dedup's model from texts written for it: `python -m tests.quality.train`.

Ridge regression of every output on the pieces of the words (services/dedup/model.py), solved by
conjugate gradients: deterministic, two minutes on one core. It learns from `set/train`, `set/learn`
and the words of the catalogue; `set/dev` settles how sure it is of what it says (six figures), and
nothing is learnt from `set/test`. Writes services/dedup/model.npz.
"""

import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.dedup import catalogue, languages, learnt, model
from services.dedup.language import meanings
from services.dedup.sayings import Watch
from services.dedup.words import sentences, tokens
from tests.quality import scenes as authored
from tests.quality.scenes import KINDS, NOTHING, Scene

Floats = NDArray[np.float32]
RIDGE = 1.0
CATALOGUE = 0.5
"""What an entry of the catalogue's words counts beside a whole text."""
LEAST_TEXTS = 2
_ROUNDS = 80


@dataclass(slots=True)
class Lesson:
    """A text and what it should say; what is None is not known."""

    text: str
    services: frozenset[str] | None = None
    life: bool | None = None
    kind: str | None = None
    again: bool | None = None
    counts: float = 1.0
    pieces: list[int] = field(default_factory=list)


def lessons(scenes: Sequence[Scene]) -> list[Lesson]:
    """What there is to learn from: the single texts, the catalogue's words and `scenes`."""
    found = [
        Lesson(
            one.text,
            None if one.service == NOTHING else frozenset([one.service]),
            one.life,
            one.kind,
        )
        for one in authored.examples()
    ]
    for service in catalogue.read().services.values():
        said = [word for words in service.words.values() for word in words]
        found += [
            Lesson(text, frozenset([service.code]), counts=CATALOGUE)
            for text in (*said, *service.name.values())
        ]
    return found + of_scenes(scenes)


def of_scenes(scenes: Sequence[Scene]) -> list[Lesson]:
    """The contacts of scenes; `again` is a contact of a need that its person told before."""
    found = []
    for scene in scenes:
        told: set[tuple[str, str]] = set()
        for one in scene.contacts:
            again = (one.person, one.need) in told
            told.add((one.person, one.need))
            found.append(
                Lesson(one.text, scene.services[one.need] or None, one.life, one.kind, again)
            )
    return found


@dataclass
class Table:
    """Texts by pieces, sparse. `values` belong to `columns`; row r has those from `starts[r]`."""

    starts: NDArray[np.int64]
    columns: NDArray[np.int64]
    values: Floats
    buckets: NDArray[np.int64]
    idf: Floats
    unknown: float

    def __post_init__(self) -> None:
        self._order = np.argsort(self.columns, kind="stable")
        self._row = np.repeat(
            np.arange(len(self.starts)), np.diff([*self.starts, len(self.columns)])
        )
        counts = np.bincount(self.columns, minlength=len(self.buckets))
        self._column_starts = np.concatenate([[0], np.cumsum(counts)[:-1]])

    def times(self, weights: Floats) -> Floats:
        """texts x outputs."""
        return np.add.reduceat(weights[self.columns] * self.values[:, None], self.starts)

    def back(self, residue: Floats) -> Floats:
        """pieces x outputs."""
        order = self._order
        weighed = residue[self._row[order]] * self.values[order][:, None]
        return np.add.reduceat(weighed, self._column_starts)


def table(taught: Sequence[Lesson], alike: dict[str, str]) -> Table:
    """The lessons' texts by pieces, as services/dedup/model.py weighs them."""
    words: list[list[list[int]]] = [
        [model.pieces(word, alike) for word in model.said(tokens(one.text))] for one in taught
    ]
    texts = np.zeros(model.BUCKETS)
    for text in words:
        texts[list({bucket for word in text for bucket in word})] += 1
    idf = np.log((1 + len(taught)) / (1 + texts)).astype(np.float32) + 1
    buckets = np.flatnonzero(texts >= LEAST_TEXTS)
    column = np.full(model.BUCKETS, -1)
    column[buckets] = np.arange(len(buckets))
    starts: list[int] = []
    columns: list[int] = []
    values: list[float] = []
    for text in words:
        starts.append(len(columns))
        length = max(1.0, sum(float(idf[word] @ idf[word]) for word in text)) ** 0.5
        summed: dict[int, float] = {}
        for word in text:
            for bucket in word:
                if column[bucket] >= 0:
                    summed[int(column[bucket])] = summed.get(int(column[bucket]), 0) + 1
        # reduceat wants something in every row.
        summed = summed or {0: 0.0}
        columns += summed
        values += [count * float(idf[buckets[at]]) / length for at, count in summed.items()]
    return Table(
        np.array(starts),
        np.array(columns),
        np.array(values, np.float32),
        buckets,
        idf[buckets],
        float(np.log(1 + len(taught)) + 1),
    )


def ridge(known: Table, wanted: Floats, counts: Floats) -> tuple[Floats, Floats]:
    """Weights and offsets (C) for `wanted` (texts x C), each text by its `counts` (texts x C)."""
    offset = (wanted * counts).sum(0) / np.maximum(counts.sum(0), 1)
    target = known.back((wanted - offset) * counts)
    found = np.zeros_like(target)
    residue = target.copy()
    step = residue.copy()
    left = (residue * residue).sum(0)
    enough = left * 1e-8
    for _ in range(_ROUNDS):
        pushed = known.back(known.times(step) * counts) + RIDGE * step
        pace = left / np.maximum((step * pushed).sum(0), 1e-12)
        found += pace * step
        residue -= pace * pushed
        now = (residue * residue).sum(0)
        if (now <= enough).all():
            break
        step = residue + now / np.maximum(left, 1e-12) * step
        left = now
    return found, offset


def learn(taught: Sequence[Lesson]) -> dict[str, Any]:
    """What services/dedup/model.npz holds, learnt from `taught`."""
    alike = meanings(languages.read())
    services = sorted(catalogue.read().services)
    outputs = [*(f"service:{one}" for one in services), *(f"kind:{one}" for one in KINDS)]
    outputs += ["life", "again"]
    wanted = np.zeros((len(taught), len(outputs)), np.float32)
    counts = np.zeros_like(wanted)
    at = {name: place for place, name in enumerate(outputs)}
    for row, one in enumerate(taught):
        if one.services is not None:
            counts[row, : len(services)] = one.counts
            for service in one.services:
                wanted[row, at[f"service:{service}"]] = 1 / len(one.services)
        if one.kind is not None:
            counts[row, at["kind:enquiry"] : at["kind:enquiry"] + len(KINDS)] = 1
            wanted[row, at[f"kind:{one.kind}"]] = 1
        for name, value in (("life", one.life), ("again", one.again)):
            if value is not None:
                counts[row, at[name]] = 1
                wanted[row, at[name]] = value
    known = table(taught, alike)
    weights, offset = ridge(known, wanted, counts)
    step = np.maximum(np.abs(weights).max(0), 1e-6) / 127
    return {
        "outputs": np.array(outputs),
        "gaps": np.diff(known.buckets, prepend=0).astype(np.int32),
        "idf": known.idf,
        "unknown": np.float32(known.unknown),
        "learnt": np.round(weights / step).astype(np.int8),
        "step": step.astype(np.float32),
        "offset": offset.astype(np.float32),
    }


def settled(found: dict[str, Any], scenes: Sequence[Scene]) -> dict[str, Any]:
    """`found` with how its scores become likelihoods, settled on texts that it has not seen."""
    spoken = languages.read()
    weights = learnt.weights(stored({**found, "sharpness": np.ones(2), "danger": np.zeros(4)}))
    scorer, watch = model.Model(weights, meanings(spoken)), Watch(spoken)
    told = [(one, scene) for scene in scenes for one in scene.contacts]
    scores = np.array([scorer.scores(tokens(one.text)) for one, _ in told])
    services = [name.removeprefix("service:") for name in weights.outputs if "service:" in name]
    right = np.array(
        [[code in scene.services[one.need] for code in services] for one, scene in told]
    )
    some = right.any(1)
    kinds = scores[:, len(services) : len(services) + len(KINDS)]
    is_kind = np.array([[one.kind == kind for kind in KINDS] for one, _ in told])
    heard = [watch.look(sentences(one.text)) for one, _ in told]
    signs = np.array(
        [
            [1.0, score[weights.index["life"]], bool(f.danger and not f.calm), bool(f.calm)]
            for score, f in zip(scores, heard, strict=True)
        ]
    )
    life = np.array([one.life for one, _ in told], float)
    return {
        **found,
        "sharpness": np.array(
            [_sharpness(scores[some][:, : len(services)], right[some]), _sharpness(kinds, is_kind)]
        ),
        "danger": _logistic(signs, life),
    }


def _sharpness(scores: NDArray[Any], right: NDArray[np.bool_]) -> float:
    """By which the softmax of `scores` (texts x outputs) makes what is `right` likeliest."""

    def surprise(sharpness: float) -> float:
        raised = np.exp(sharpness * (scores - scores.max(1, keepdims=True)))
        return -float(np.log((raised * right).sum(1) / raised.sum(1)).mean())

    return float(min(np.arange(2.0, 40.0, 0.5), key=surprise))


def _logistic(signs: NDArray[Any], true: NDArray[Any]) -> NDArray[Any]:
    """Logistic regression by Newton's steps; `signs` (texts x S), the first a constant."""
    found = np.zeros(signs.shape[1])
    for _ in range(50):
        likely = 1 / (1 + np.exp(-signs @ found))
        slope = signs.T @ (true - likely) - 0.1 * found
        curve = (signs * (likely * (1 - likely))[:, None]).T @ signs + 0.1 * np.eye(len(found))
        found = found + np.linalg.solve(curve, slope)
    return found


@dataclass(frozen=True, slots=True)
class Stored:
    """Weights that are in no file."""

    held: io.BytesIO

    def open(self, _: str) -> io.BytesIO:
        """As a path does."""
        return self.held


def stored(found: dict[str, Any]) -> Stored:
    """What services/dedup/learnt.py can read of `found`."""
    held = io.BytesIO()
    np.savez(held, **found)
    held.seek(0)
    return Stored(held)


def main() -> None:
    """Learns and writes."""
    taught = lessons(authored.read("learn"))
    path = Path(model.__file__).with_name("model.npz")
    np.savez_compressed(path, **settled(learn(taught), authored.read("dev")))
    print(f"{len(taught):,} texts, {path.stat().st_size / 1e6:.1f} MB: {path}", file=sys.stderr)


if __name__ == "__main__":
    main()
