"""Finds the weights of `services/dedup/levels.yaml` on the dev split.

    python -m tests.quality.fit_incidents

Prints, for each level, the weights of the facts in `evidence.FACTS` (logistic regression by
Newton's method, quadratic penalty 1; those in SAID stay as they are) and how well they tell pairs
of cases apart there. Who copies them into levels.yaml chooses `always` and the thresholds too.
"""

import random
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from services.dedup.incidents import need as needs
from services.dedup.incidents.evidence import FACTS, Evidence
from services.dedup.incidents.need import Need
from tests.quality.measure_incidents import Stage, case_of
from tests.quality.scenes import NOTHING, Contact, read

WINDOW_MS = 6 * 3_600_000
LEVELS = ("other_person", "same_incident", "same_question")
# What the set can't tell, or tells of too few: topics that a source says are surer than those that
# triage says; what names other references or another city is no other's same need, however alike.
SAID = (
    {"same_topic": 0.6, "same_agency": 0.2, "other_code": -2.0, "other_city": -5.0},
    {"same_topic": 0.6, "same_agency": 0.2, "other_code": 0.0, "other_city": -5.0},
    {"same_topic": 0.6, "same_agency": 0.0, "other_code": -1.0, "other_city": -3.0},
)


def cases(split: str, seed: int) -> tuple[Stage, list[tuple[Contact, Need]]]:
    """The cases of a split as they stand at the end, each with its first contact."""
    stage = Stage(seed=seed)
    found: dict[str, tuple[Contact, Need]] = {}
    for stated in stage.play(read(split)):
        case = case_of(stated.contact)
        before = found.get(case)
        need = needs.of(stated.need) if before is None else needs.added(before[1], stated.need)
        found[case] = (before[0] if before else stated.contact, need)
    return stage, list(found.values())


def table(split: str, seed: int, share: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(facts, truths by level, whether of one scene) of pairs; `share` of those of two scenes."""
    stage, all_cases = cases(split, seed)
    evidence = Evidence(stage.ordinary(), stage.gazetteer)
    pick = random.Random(seed)
    facts, truths, inside = [], [], []
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
        inside.append(same)
    return np.array(facts), np.array(truths, float), np.array(inside)


def fit(
    facts: np.ndarray, truth: np.ndarray, weight: np.ndarray, said: dict[str, float]
) -> np.ndarray:
    """Weights by Newton's method; those that are `said` stay."""
    fixed = np.array([said.get(fact, 0.0) for fact in FACTS])
    free = np.array([fact not in said for fact in FACTS])
    open_facts, given = facts[:, free], facts @ fixed
    found = np.zeros(open_facts.shape[1])
    for _ in range(40):
        likely = 1 / (1 + np.exp(-open_facts @ found - given))
        slope = open_facts.T @ (weight * (likely - truth)) + found
        curve = (open_facts * (weight * likely * (1 - likely))[:, None]).T @ open_facts
        found -= np.linalg.solve(curve + np.eye(len(found)), slope)
    fixed[free] = found
    return fixed


def told_apart(logits: np.ndarray, truth: np.ndarray) -> list[tuple[float, float, float]]:
    """(threshold, precision, recall) along the curve."""
    order = np.argsort(-logits)
    right = np.cumsum(truth[order])
    precision, recall = right / np.arange(1, len(order) + 1), right / max(1, right[-1])
    places: Sequence[int] = [
        int(np.searchsorted(recall, r)) for r in (0.2, 0.4, 0.5, 0.6, 0.8, 0.9)
    ]
    return [
        (
            round(float(logits[order][p]), 2),
            round(float(precision[p]), 3),
            round(float(recall[p]), 3),
        )
        for p in places
    ]


def main() -> None:
    """Prints it."""
    facts, truths, inside = table("dev", 1, 0.25)
    checked, right, within = table("dev", 2, 0.25)
    for level, name in enumerate(LEVELS):
        weights = fit(facts, truths[:, level], np.where(inside, 1.0, 4.0), SAID[level])
        print(name)
        for fact, weight in zip(FACTS, weights, strict=True):
            print(f"    {fact}: {weight:.2f}")
        logits = checked @ weights
        print("  dev, one scene:", told_apart(logits[within], right[within, level]))
        print("  dev, all:", told_apart(logits, right[:, level]))


if __name__ == "__main__":
    main()
