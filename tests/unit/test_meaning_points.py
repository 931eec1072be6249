"""Where texts lie: the nearest are found, and memory is bounded."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from services.dedup.meaning.embed import SIZE
from services.dedup.meaning.points import Point, Points


def point(seed: int) -> Point:
    drawn = np.random.default_rng(seed).normal(size=SIZE).astype(np.float32)
    found: Point = drawn / np.linalg.norm(drawn)
    return found


def test_the_nearest_come_first_and_say_how_near() -> None:
    points = Points()
    for seed in range(600):
        points.put(f"c{seed}", point(seed))
    near = points.nearest([point(7), (point(8) + point(9)) / np.sqrt(np.float32(2))], 3)
    assert near[0][0][0] == "c7"
    assert abs(near[0][0][1] - 1) < 1e-5
    assert {case for case, _ in near[1][:2]} == {"c8", "c9"}
    for found in near:
        assert len(found) == 3
        assert [alike for _, alike in found] == sorted((a for _, a in found), reverse=True)


def test_where_nothing_is_known_or_asked_nothing_is_found() -> None:
    points = Points()
    assert points.nearest([point(1)], 5) == [[]]
    points.put("nowhere", np.zeros(SIZE, dtype=np.float32))
    assert len(points) == 0
    points.put("one", point(1))
    assert points.nearest([], 5) == []
    [[(case, _)]] = points.nearest([point(2)], 5)
    assert case == "one"


def test_of_several_texts_the_middles_are_held_against_each_other() -> None:
    points, event, other = Points(), point(1), point(2)
    for number in range(8):
        # Each text lies off its event by chance, as far as the event itself is long.
        for name, at in (("a", event), ("b", event), ("c", other)):
            off = at + point(100 + 10 * number + ord(name))
            points.put(f"{name}{number}", off / np.linalg.norm(off))

    def alike(one: str, two: str, count: int) -> float:
        return points.alike(*([f"{name}{n}" for n in range(count)] for name in (one, two)))

    assert alike("a", "b", 1) < alike("a", "b", 3) < alike("a", "b", 8)
    assert alike("a", "b", 8) > 0.8
    assert abs(alike("a", "c", 8)) < 0.2
    assert points.alike(["a0"], ["nobody"]) == 0.0
    assert Points().alike(["a0"], ["a0"]) == 0.0


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 50)), max_size=60))
def test_the_last_ones_are_kept(puts: list[tuple[int, int]]) -> None:
    points, kept = Points(most=5), dict[str, int]()
    for case, seed in puts:
        points.put(f"c{case}", point(seed))
        kept.pop(f"c{case}", None)
        kept[f"c{case}"] = seed
        for old in list(kept)[:-5]:
            del kept[old]
    assert len(points) == len(kept)
    for name in (f"c{case}" for case in range(13)):
        found = points.get(name)
        assert (found is not None) == (name in kept)
        if found is not None:
            assert np.array_equal(found, point(kept[name]))
    [near] = points.nearest([point(0)], 10)
    assert {case for case, _ in near} == kept.keys()
