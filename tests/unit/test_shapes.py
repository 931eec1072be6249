"""Shapes and arrival files: exact counts, the right density, and errors that name the place."""

import random
from itertools import islice, pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests import shapes
from loadtests.shapes import Profile, Shape, ShapeError


@given(
    weights=st.lists(st.floats(0, 100), min_size=1, max_size=20).filter(lambda w: sum(w) > 1e-6),
    count=st.integers(0, 300),
    seed=st.integers(0, 1000),
)
def test_arrivals_are_exactly_as_many_sorted_and_only_where_there_is_a_rate(
    weights: list[float], count: int, seed: int
) -> None:
    n = len(weights)
    profile = Profile((*(i / n for i in range(n)), 1.0), tuple(weights))
    times = list(profile.arrivals(count, 1000.0, random.Random(seed)))
    assert len(times) == count
    assert all(a <= b for a, b in pairwise(times))
    for t in times:
        assert 0 <= t <= 1000
        assert any(
            w > 0 and i / n * 1000 - 1e-6 <= t <= (i + 1) / n * 1000 + 1e-6
            for i, w in enumerate(weights)
        )


def test_arrivals_follow_the_density_as_a_poisson_process_does() -> None:
    weights = (1.0, 5.0, 0.0, 4.0)
    profile = Profile((0.0, 0.1, 0.5, 0.6, 1.0), weights)
    times = list(profile.arrivals(100_000, 1.0, random.Random(3)))
    seen = [sum(a <= t < b for t in times) for a, b in pairwise(profile.edges)]
    chi_squared = sum(
        (s - w / 10 * 100_000) ** 2 / (w / 10 * 100_000)
        for s, w in zip(seen, weights, strict=True)
        if w
    )
    assert seen[2] == 0
    assert chi_squared < 13.8  # 2 degrees of freedom, 0.1 %
    # Inside a bin it is flat: the mean of uniform positions, to four standard errors.
    inside = [t for t in times if 0.1 <= t < 0.5]
    assert abs(sum(inside) / len(inside) - 0.3) < 4 * (0.4 / 12**0.5) / len(inside) ** 0.5


def test_same_seed_same_arrivals_other_seed_others() -> None:
    profile = shapes.load("flash").profile

    def times(seed: int) -> list[float]:
        return list(profile.arrivals(500, 60.0, random.Random(seed)))

    assert times(1) == times(1)
    assert times(1) != times(2)


def test_a_month_starts_without_being_drawn_to_its_end() -> None:
    shape = shapes.load("steady-month")
    first = list(islice(shape.profile.arrivals(shape.calls, shape.duration_s, random.Random(1)), 5))
    assert len(first) == 5
    assert first[-1] < 3600


def test_the_shapes_of_the_house() -> None:
    assert shapes.names() == ["covid-78k", "flash", "steady-month"]
    covid = shapes.load("covid-78k")
    assert (covid.calls, covid.duration_s) == (78_000, 12 * 3600)
    rate = [covid.profile.rate_at(h / 12) for h in (0.1, 1.75, 3.5, 5.25, 7.5, 11.5)]
    assert rate[0] < rate[2] < rate[1]
    assert rate[2] < rate[3]
    assert rate[3] > rate[4] > rate[5]
    flash = shapes.load("flash")
    assert flash.profile.peak_rate() > 3


def test_the_months_busy_hour_is_a_tenth_of_its_day_and_4310_contacts() -> None:
    month = shapes.load("steady-month")
    assert (month.calls, month.duration_s) == (1_293_000, 30 * 86_400)
    total = sum(month.profile.weights)
    hourly = [w / total * month.calls for w in month.profile.weights]
    days = [hourly[d * 24 : d * 24 + 24] for d in range(30)]
    for day in days:
        assert max(day) / sum(day) == pytest.approx(0.10, abs=1e-9)
    assert sum(max(day) for day in days) / 30 == pytest.approx(4_310, abs=1)
    assert sum(days[5]) < sum(days[6]) < sum(days[0])


def test_a_shape_scales_in_number_and_in_length() -> None:
    shape = shapes.load("covid-78k").scaled(500, 60.0)
    times = list(shape.profile.arrivals(shape.calls, shape.duration_s, random.Random(1)))
    assert len(times) == 500
    assert 40 < times[-1] <= 60
    with pytest.raises(ShapeError, match="calls must be at least 1"):
        shape.scaled(0)
    with pytest.raises(ShapeError, match="duration"):
        shape.scaled(duration_s=-1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("12h", 43_200), ("10m", 600), ("1h30m", 5400), ("90", 90), ("1.5s", 1.5), ("30d", 2_592_000)],
)
def test_durations(text: str, expected: float) -> None:
    assert shapes.seconds(text) == expected


@pytest.mark.parametrize("text", ["", "soon", "5 weeks", "h", "nan", "10m later"])
def test_what_is_no_duration_is_said(text: str) -> None:
    with pytest.raises(ShapeError, match="write 12h"):
        shapes.seconds(text)


def test_an_unknown_shape_names_those_there_are() -> None:
    with pytest.raises(ShapeError, match=r"no shape 'covid'; there are covid-78k, flash"):
        shapes.load("covid")
    with pytest.raises(ShapeError, match="no shape"):
        shapes.load("../shapes/flash")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "a shape is a mapping"),
        ({}, "duration is missing"),
        ({"duration": "1h"}, "needs points, or days and hours"),
        ({"duration": "1h", "points": [{"at": "0m", "rate": 1}], "bin": "5m"}, "points must rise"),
        ({"duration": "1h", "days": [1], "hours": [1]}, "7 days"),
        ({"duration": "1h", "points": "x", "bin": "5m"}, "s.yaml: "),
    ],
)
def test_a_bad_shape_is_said(data: object, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        shapes.parse(data, "s.yaml")


def _csv(folder: Path, text: str) -> Shape:
    path = folder / "calls.csv"
    path.write_text(text, encoding="utf-8")
    return shapes.read_arrivals(path)


@pytest.mark.parametrize(
    "text",
    [
        "rownames,DateTime,Calls\n1,2003-03-03T07:00:00Z,10\n2,2003-03-03T07:05:00Z,30\n",
        "date_time;VOLUME\n2020-01-01 07:00;10\n2020-01-01 07:05;30\n",
        "\ufeffTime\tCount\r\n0\t10\r\n300\t30\r\n",
        "timestamp,offered\n2020/01/01 00:00:00,10.0\n\n2020/01/01 00:05:00,30.0\n",
    ],
)
def test_an_arrival_file_is_read_whatever_its_dialect(tmp_path: Path, text: str) -> None:
    shape = _csv(tmp_path, text)
    assert (shape.name, shape.calls, shape.duration_s) == ("calls", 40, 600.0)
    times = list(shape.profile.arrivals(4_000, 100.0, random.Random(1)))
    assert 900 < sum(t < 50 for t in times) < 1_100


def test_a_gap_in_an_arrival_file_is_a_time_without_calls(tmp_path: Path) -> None:
    shape = _csv(tmp_path, "t,calls\n0,5\n10,5\n20,5\n100,5\n")
    assert shape.duration_s == 110
    times = list(shape.profile.arrivals(1_000, 110.0, random.Random(1)))
    assert not [t for t in times if 30 < t < 100]
    assert [t for t in times if t >= 100]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("a,b\n1,2\n", "line 1: no time column among .a, b."),
        ("time,b\n1,2\n", "line 1: no count column"),
        ("time,calls,count\n1,2,3\n", "line 1: several count columns"),
        ("time,calls\n0,1\nx,2\n", "line 3, column time: 'x' is not a time"),
        ("time,calls\n0,1\n5,many\n", "line 3, column calls: 'many' is not a count"),
        ("time,calls\n0,1\n5,-2\n", "line 3, column calls: '-2' is not a count"),
        ("time,calls\n0,1\n5,nan\n", "line 3, column calls"),
        ("time,calls\n0,1\n5,\n", "line 3, column calls: '' is not a count"),
        ("time,calls\n0,1\n5\n", "line 3: has 1 columns, the header has 2"),
        ("time,calls\n5,1\n5,1\n", "line 3, column time: '5' does not come after"),
        ("time,calls\n2020-01-01T00:00Z,1\n2020-01-01T00:05,1\n", "some times have a zone"),
        ("time,calls\n0,0\n5,0\n", "every count is 0"),
        ("time,calls\n0,1\n", "at least 2"),
    ],
)
def test_a_bad_arrival_file_names_line_and_column(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        _csv(tmp_path, text)


def test_files_that_are_no_text_or_not_there(tmp_path: Path) -> None:
    with pytest.raises(ShapeError, match="can't be read"):
        shapes.read_arrivals(tmp_path / "none.csv")
    (tmp_path / "b.csv").write_bytes(b"time,calls\n\xff\xfe,1\n")
    with pytest.raises(ShapeError, match="not UTF-8"):
        shapes.read_arrivals(tmp_path / "b.csv")
