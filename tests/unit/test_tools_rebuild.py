"""What is told while views are written again."""

import pytest

from services.runtime.rebuild import Progress, View, progress_key
from services.tools.rebuild import Sight, left


@pytest.mark.parametrize(
    ("written", "total", "seconds", "said"),
    [
        (0, 100, 3, ""),
        (100, 100, 3, ""),
        (120, 100, 3, ""),
        (25, 100, 3, ", about 9 s left"),
        (99, 100, 0, ", about 0 s left"),
    ],
)
def test_what_is_left(written: int, total: int, seconds: float, said: str) -> None:
    assert left(written, total, seconds) == said


def test_a_partition_is_told_once_when_it_is_whole() -> None:
    sight = Sight("dedup", 1_000)
    half = Progress(400, 1.25).pack()
    assert sight.take([None, None], [half, None]) == []
    assert sight.line(2, 2) == (
        "dedup: 0 of 2 partitions, 400 of about 1,000 items, 2 s, about 3 s left"
    )
    done = Progress(600, 2.0).pack()
    assert sight.take([b"e", None], [done, None]) == ["dedup partition 0: 600 items in 2.0 s"]
    assert sight.take([b"e", b"e"], [done, done]) == ["dedup partition 1: 600 items in 2.0 s"]
    assert sight.take([b"e", b"e"], [done, done]) == []
    assert sight.line(2, 4) == "dedup: 2 of 2 partitions, 1,200 of about 1,200 items, 4 s"


def test_progress_is_read_as_it_was_told() -> None:
    assert Progress.unpack(Progress(7, 0.5).pack()) == Progress(7, 0.5)
    assert Progress.unpack(b"f" * 32 + Progress(7, 0.5).pack()) == Progress(7, 0.5)


def test_each_partition_tells_of_itself() -> None:
    view = View("dedup", "f", ("a", "b"), "dedup:")
    assert view.progress == (progress_key("dedup", 0), progress_key("dedup", 1))
    assert not any(key.startswith(view.prefix) for key in view.progress)
