"""The figures that must not fall: of the test split, each held a little below what was measured.

    python -m tests.quality --write-floors

sets them in floors.yaml, one to two hundredths below (what must stay low: above) what is measured
now; `tests/unit/test_quality_floors.py` holds them.
"""

from collections.abc import Iterator, Mapping
from math import ceil, floor
from pathlib import Path

import yaml

from tests.quality import measure_triage
from tests.quality.figures import scored
from tests.quality.measure_levels import INCIDENT, OTHER, QUESTION, SAME_NEED, Played
from tests.quality.measure_triage import Triaged

PATH = Path(__file__).with_name("floors.yaml")
SPLIT = "test"
_LEAST, _MOST = "at_least", "at_most"
_HEAD = """\
# What the test split of the authored set must give: no figure may fall below `at_least` or rise
# above `at_most`. Written by `python -m tests.quality --write-floors`; held by
# tests/unit/test_quality_floors.py.
"""
_LEVELS = {
    "same need": SAME_NEED,
    "other person": OTHER,
    "same incident": INCIDENT,
    "same question": QUESTION,
}
_DANGER = {
    "text": measure_triage.TEXT,
    "case": measure_triage.CASE,
    "need": measure_triage.NEED,
}

Held = Mapping[str, Mapping[str, float]]
"""`at_least` and `at_most`, each by the name of a figure."""


def figures(played: Played, triaged: Triaged) -> dict[str, dict[str, float]]:
    """The figures that are held, as they are now."""
    least: dict[str, float] = {}
    most: dict[str, float] = {}
    for name, level in _LEVELS.items():
        found = scored(played.levels[level])
        least[f"{name} precision"] = found.precision.value
        least[f"{name} recall"] = found.recall.value
    least["language told"] = triaged.language.value
    least["service told first"] = triaged.top_1.value
    least["service among the first three"] = triaged.top_3.value
    least["service right where sure"] = triaged.sure_right.value
    least["kind right where told"] = triaged.kind_right.value
    for name, way in _DANGER.items():
        shipped = triaged.danger[way].shipped
        least[f"life-safety recall by {name}"] = shipped.recall.value
        most[f"life-safety flagged by {name}"] = shipped.flagged.value
    return {_LEAST: least, _MOST: most}


def write(found: Held, path: Path = PATH) -> None:
    """Sets the floors by what was measured."""
    held = {
        _LEAST: {
            name: max(0, floor(100 * value - 1)) / 100 for name, value in found[_LEAST].items()
        },
        _MOST: {
            name: min(100, ceil(100 * value + 1)) / 100 for name, value in found[_MOST].items()
        },
    }
    path.write_text(_HEAD + yaml.safe_dump(held, sort_keys=False), "utf-8")


def read(path: Path = PATH) -> Held:
    """The floors. Raises ValueError when the file is something else."""
    held = yaml.safe_load(path.read_text("utf-8"))
    if not isinstance(held, dict) or set(held) != {_LEAST, _MOST}:
        raise ValueError(f"{path.name}: needs {_LEAST} and {_MOST}, and nothing else")
    return held


def dropped(found: Held, held: Held) -> Iterator[str]:
    """What fell or rose too far, in sentences; and what is held in no floor, or not measured."""
    for side in (_LEAST, _MOST):
        for name in sorted(found[side].keys() ^ held[side].keys()):
            yield f"{name} is only measured or only held: set the floors again"
    for name, low in held[_LEAST].items():
        # Not below: a figure of nothing is no number, and fails too.
        if name in found[_LEAST] and not found[_LEAST][name] >= low:
            yield f"{name} fell to {found[_LEAST][name]:.3f} from at least {low:.2f}"
    for name, high in held[_MOST].items():
        if name in found[_MOST] and not found[_MOST][name] <= high:
            yield f"{name} rose to {found[_MOST][name]:.3f} from at most {high:.2f}"
