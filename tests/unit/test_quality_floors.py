"""The quality that was reached is kept: the figures of the test split, each held by a floor."""

from pathlib import Path

import pytest

from tests.quality import floors, measure_levels, measure_triage
from tests.quality.scenes import read

HELD = {
    "at_least": {"same need recall": 0.74, "kind": 0.5},
    "at_most": {"flagged": 0.15},
}


def test_no_figure_of_the_test_split_drops() -> None:
    scenes = read(floors.SPLIT)
    played = measure_levels.play(scenes)
    triaged = measure_triage.measure(scenes, played.readings, played.decisions)
    dropped = list(floors.dropped(floors.figures(played, triaged), floors.read()))
    assert not dropped, "\n".join(dropped)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("same need recall", 0.74, []),
        ("same need recall", 0.712, ["same need recall fell to 0.712 from at least 0.74"]),
        ("same need recall", float("nan"), ["same need recall fell to nan from at least 0.74"]),
        ("kind", 0.9, []),
        ("flagged", 0.151, ["flagged rose to 0.151 from at most 0.15"]),
        ("new", 1.0, ["new is only measured or only held: set the floors again"]),
    ],
)
def test_a_drop_is_told_in_a_sentence(name: str, value: float, told: list[str]) -> None:
    found = {side: dict(named) for side, named in HELD.items()}
    found["at_most" if name == "flagged" else "at_least"][name] = value
    assert list(floors.dropped(found, HELD)) == told


def test_floors_are_a_little_below_what_was_measured(tmp_path: Path) -> None:
    path = tmp_path / "floors.yaml"
    floors.write(
        {"at_least": {"recall": 0.749, "poor": 0.004}, "at_most": {"flagged": 0.131}}, path
    )
    assert floors.read(path) == {
        "at_least": {"recall": 0.73, "poor": 0.0},
        "at_most": {"flagged": 0.15},
    }


def test_another_file_is_no_floors(tmp_path: Path) -> None:
    path = tmp_path / "floors.yaml"
    path.write_text("at_least: {}\n", "utf-8")
    with pytest.raises(ValueError, match="needs at_least and at_most"):
        floors.read(path)
