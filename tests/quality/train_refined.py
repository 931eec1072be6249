"""Learns when two groups are one whose texts lie near: `python -m tests.quality.train_refined`.

From scenes of `set/learn`, played as many on one day as the other splits have: what the slow path
would hold against each other of what the fast path left apart, since it is there that it decides.
Once as it comes, and once as if no word of one language were known in another: the words of the
set's events are in the lists, those of the next event may not be. Two groups are one when most
pairs of their cases are of one event or question. After `train_incident`, on which the fast path
stands. Writes services/dedup/refined.npz. Ten minutes on
one core, most of it for the model.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mawja.common.v1 import common_pb2
from numpy.typing import NDArray

from services.dedup import levels
from services.dedup.incidents.evidence import Evidence
from services.dedup.incidents.refining import REFINED
from services.dedup.incidents.state import Incidents
from services.dedup.meaning.points import Point
from services.dedup.trees import Trees
from tests.quality.beside import Beside, Foreign, points_of
from tests.quality.boost import boost
from tests.quality.measure_incidents import LOOK_EVERY, START_MS, Stage, Stated, case_of
from tests.quality.scenes import NOTHING, Contact, read

_SCENES = 180
_NOTHING = Trees(
    np.zeros((0, 1), np.int16), np.zeros((0, 1), np.float32), np.zeros((0, 2), np.float32), 0.0
)


def table(
    stage: Stage, stated: Sequence[Stated], points: Mapping[bytes, Point], foreign: bool
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Facts about groups that the slow path holds against each other, and whether they are one.
    `foreign`: as if no word of one language were known in another."""
    first: dict[str, Contact] = {}
    for one in stated:
        first.setdefault(case_of(one.contact), one.contact)
    usual = Foreign(stage.ordinary()) if foreign else stage.ordinary()
    state = Incidents(Evidence(usual, stage.gazetteer), levels.read(refined=_NOTHING))
    beside = Beside(state, points)
    facts: list[tuple[float, ...]] = []
    truths: list[bool] = []
    for number, one in enumerate(stated):
        need = usual.parted(one.need) if isinstance(usual, Foreign) else one.need
        state.stated(need, common_pb2.Input(topic="need", offset=number), START_MS)
        beside.changed()
        if number % LOOK_EVERY and number + 1 < len(stated):
            continue
        for case, candidate in beside.candidates():
            pairs = [
                _one(first[mine], first[theirs])
                for mine in state.of(case).needs
                for theirs in candidate.group.needs
            ]
            facts.append(candidate.facts)
            truths.append(sum(pairs) > len(pairs) / 2)
    return np.array(facts), np.array(truths, float)


def _one(first: Contact, second: Contact) -> bool:
    return first.scene == second.scene and (
        first.incident == second.incident != NOTHING or first.question == second.question != NOTHING
    )


def main() -> None:
    """Learns and writes."""
    scenes, tables = read("learn"), []
    for number, start in enumerate(range(0, len(scenes), _SCENES), start=1):
        stage = Stage(seed=number)
        stated = stage.play(scenes[start : start + _SCENES])
        points = points_of(one.need.sealed_text for one in stated)
        tables += [table(stage, stated, points, foreign) for foreign in (False, True)]
    facts = np.vstack([found for found, _ in tables])
    truths = np.concatenate([truth for _, truth in tables])
    path = Path(levels.__file__).with_name(levels.REFINED_TREES)
    kept: dict[str, Any] = {"names": np.array(REFINED), **boost(facts, truths)}
    np.savez_compressed(path, **kept)
    print(f"{len(facts):,} pairs of groups, {truths.mean():.1%} one: {path}", file=sys.stderr)


if __name__ == "__main__":
    main()
