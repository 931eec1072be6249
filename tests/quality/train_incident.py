"""Learns what facts about two cases say of each level: `python -m tests.quality.train_incident`.

From pairs of cases of `set/learn`, played as many scenes on one day as the other splits have: every
pair of one scene and some of two. Writes services/dedup/incident.npz. Two minutes on one core.
"""

import random
import sys
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.dedup import levels
from services.dedup.incidents import need as needs
from services.dedup.incidents.evidence import FACTS, Evidence
from services.dedup.incidents.need import Need
from tests.quality.boost import boost
from tests.quality.measure_incidents import Stage, case_of
from tests.quality.scenes import NOTHING, Contact, Scene, read

Floats = NDArray[np.float64]
WINDOW_MS = 6 * 3_600_000
LEVELS = ("other_person", "same_incident", "same_question")
_SCENES = 180
_OF_TWO_SCENES = 0.03


def cases(scenes: Sequence[Scene], seed: int) -> tuple[Stage, list[tuple[Contact, Need]]]:
    """The cases of scenes as they stand at the end, each with its first contact."""
    stage = Stage(seed=seed)
    found: dict[str, tuple[Contact, Need]] = {}
    for stated in stage.play(scenes):
        case = case_of(stated.contact)
        before = found.get(case)
        need = needs.of(stated.need) if before is None else needs.added(before[1], stated.need)
        found[case] = (before[0] if before else stated.contact, need)
    return stage, list(found.values())


def table(scenes: Sequence[Scene], seed: int, share: float) -> tuple[Floats, Floats]:
    """Facts and truths by level of pairs of cases; `share` of those of two scenes."""
    stage, all_cases = cases(scenes, seed)
    evidence = Evidence(stage.ordinary(), stage.gazetteer)
    pick = random.Random(seed)
    facts, truths = [], []
    for (one, first), (two, second) in combinations(all_cases, 2):
        same = one.scene == two.scene
        if not same and pick.random() > share:
            continue
        if max(first.first_ms - second.last_ms, second.first_ms - first.last_ms) > WINDOW_MS:
            continue
        facts.append(evidence.compare(first, second).facts)
        truths.append(
            (
                same and one.need == two.need and one.person != two.person,
                same and one.incident == two.incident != NOTHING,
                same and one.question == two.question != NOTHING,
            )
        )
    return np.array(facts), np.array(truths, float)


def main() -> None:
    """Learns and writes."""
    scenes = read("learn")
    days = [
        table(scenes[start : start + _SCENES], number, _OF_TWO_SCENES)
        for number, start in enumerate(range(0, len(scenes), _SCENES), start=1)
    ]
    facts = np.vstack([found for found, _ in days])
    truths = np.vstack([truth for _, truth in days])
    kept: dict[str, Any] = {"names": np.array(FACTS)}
    for level, name in enumerate(LEVELS):
        kept |= {f"{name}_{part}": made for part, made in boost(facts, truths[:, level]).items()}
    path = Path(levels.__file__).with_name(levels.TREES)
    np.savez_compressed(path, **kept)
    print(f"{len(facts):,} pairs, {path.stat().st_size / 1e3:.0f} kB: {path}", file=sys.stderr)


if __name__ == "__main__":
    main()
