"""What `mawja plan` says for what is typed, and how it refuses what can't be planned."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from loadtests import shapes
from services.tools.__main__ import app
from services.tools.planner.arrivals import named
from services.tools.planner.demand import by_half_hour
from services.tools.planner.queueing import Callers, Target, fewest

ASKED = ("--calls", "78000", "--over", "12h", "--aht", "240", "--target", "90/20")


def run(*options: str) -> Any:
    return CliRunner().invoke(app, ["plan", *options])


def planned(*options: str) -> dict[str, Any]:
    result = run(*options, "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def written(path: Path, *lines: str) -> str:
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return str(path)


def test_the_plan_of_the_readme() -> None:
    found = planned(*ASKED, "--redial", "0.6", "--patience", "120")
    assert found["model"] == "erlang-a-redial"
    one = fewest(78_000 / 43_200 * 240, Callers(240.0, 120.0, 0.6), Target(0.9, 20.0))
    assert found["agents"] == [one.agents] * 24
    assert sum(half["calls"] for half in found["half_hours"]) == pytest.approx(78_000)
    for half in found["half_hours"]:
        assert half["in_target"] >= 0.9
        assert half["erlang_a"] <= half["agents"] <= half["erlang_c"]
    assert found["agent_hours"] == one.agents * 12


def test_without_patience_it_is_erlang_c() -> None:
    found = planned(*ASKED)
    assert found["model"] == "erlang-c"
    assert found["agents"] == [449] * 24
    assert found["half_hours"][0]["erlang_a"] is None


def test_a_shape_is_staffed_for_the_busiest_moment_of_each_half_hour() -> None:
    shape = shapes.load("covid-78k")
    demand = by_half_hour(shape, known=True)
    assert len(demand.half_hours) == 24
    assert sum(one.calls for one in demand.half_hours) == pytest.approx(78_000)
    for one in demand.half_hours:
        assert one.rate * one.width_s >= one.calls
    assert max(one.rate for one in demand.half_hours) == pytest.approx(
        78_000 / 43_200 * shape.profile.peak_rate()
    )


def test_a_wave_that_is_no_whole_number_of_half_hours_ends_with_a_shorter_one() -> None:
    demand = named("flat", 100, 4_000.0)
    assert [one.width_s for one in demand.half_hours] == [1800.0, 1800.0, 400.0]
    assert [one.calls for one in demand.half_hours] == pytest.approx([45, 45, 10])
    assert [demand.at(one) for one in demand.half_hours] == ["0:00", "0:30", "1:00"]


def test_counts_of_a_file_are_taken_by_half_hours_of_the_clock(tmp_path: Path) -> None:
    path = written(
        tmp_path / "calls.csv",
        "DateTime,Calls",
        *(f"2020-03-14T{8 + at // 12:02d}:{at % 12 * 5:02d},{at}" for at in range(2, 24)),
    )
    found = planned("--arrivals", path)
    assert [half["at"] for half in found["half_hours"]] == ["08:00", "08:30", "09:00", "09:30"]
    assert [half["calls"] for half in found["half_hours"]] == pytest.approx([14, 51, 87, 123])
    assert found["calls"] == 275
    twice = planned("--arrivals", path, "--calls", "550")
    assert [half["calls"] for half in twice["half_hours"]] == pytest.approx([28, 102, 174, 246])


def test_a_row_for_each_call_in_any_order(tmp_path: Path) -> None:
    path = written(
        tmp_path / "records.csv",
        "agent;call time;number",
        "a;2020-03-14 08:59:59;1",
        "b;2020-03-14 08:31:00;2",
        "",
        "a;2020-03-14 09:00:00;3",
    )
    found = planned("--arrivals", path)
    assert [(half["at"], half["calls"]) for half in found["half_hours"]] == [
        ("08:30", pytest.approx(2)),
        ("09:00", pytest.approx(1)),
    ]


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (("DateTime,Calls", "2020-03-14T08:00,5", "2020-03-14T08:05,many"), "line 3, column Calls"),
        (("DateTime,Calls", "2020-03-14T08:00,5", "soon,6"), "line 3, column DateTime"),
        (("Time", "2020-03-14T08:00", "2020-03-14T08:0x"), "line 3, column Time"),
        (("Time", "2020-03-14T08:00", "2020-03-14T08:00Z"), "line 3, column Time: some times"),
        (("Time", "2020-03-14T08:00", "2022-03-14T08:00"), "400 days"),
        (("Who,Time", "a,2020-03-14T08:00", "b"), "line 3: has 1 columns"),
        (("Time", "2020-03-14T08:00"), "at least 2 calls"),
        (("When,What", "1,2"), "no time column among"),
        (("Start,Time", "1,2"), "several time columns"),
        (("",), "is empty"),
    ],
)
def test_a_wrong_file_is_refused_by_line_and_column(
    tmp_path: Path, lines: tuple[str, ...], says: str
) -> None:
    result = run("--arrivals", written(tmp_path / "calls.csv", *lines))
    assert result.exit_code == 1
    assert says in result.output
    assert result.output.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--target", "90"), "write it as 90/20"),
        (("--target", "100/20"), "write it as 90/20"),
        (("--redial", "0.5"), "redial needs patience"),
        (("--patience", "9", "--redial-after", "9"), "it needs redial"),
        (("--live", "--calls", "9"), "sees the calls itself"),
        (("--live", "--home", "nowhere"), "nothing runs in nowhere"),
        (("--live", "--wave", "127.0.0.1:1"), "set MAWJA_TOKEN"),
        (("--patience", "0"), "patience must be more than 0"),
        (("--aht", "long"), "not a duration"),
        (("--over", "0s"), "--over must be more than 0"),
        (("--shape", "tsunami"), "there is no shape"),
        (("--shape", "flash", "--arrivals", "x.csv"), "not both"),
        (("--arrivals", "nowhere.csv"), "can't be read"),
    ],
)
def test_what_cannot_be_planned_is_said_in_one_line(options: tuple[str, ...], says: str) -> None:
    result = run(*options)
    assert result.exit_code == 1
    assert says in result.output
    assert result.output.startswith("mawja: ")
    assert result.output.count("\n") == 1


def test_fewer_calls_save_agents_and_both_ways_more_than_either() -> None:
    found = planned(*ASKED, "--patience", "120", "--answered", "0.2", "--joined", "0.5")
    savings = found["savings"]
    assert (savings["answers"]["left"], savings["joining"]["left"]) == (0.8, 0.5)
    assert savings["both"]["left"] == pytest.approx(0.4)
    one = fewest(0.4 * 78_000 / 43_200 * 240, Callers(240.0, 120.0), Target(0.9, 20.0))
    assert savings["both"]["agents"] == [one.agents] * 24
    assert savings["both"]["hours_saved"] == found["agent_hours"] - one.agents * 12
    assert planned(*ASKED, "--answered", "0")["savings"]["answers"]["hours_saved"] == 0


def test_shrinkage_is_rostered_on_top() -> None:
    found = planned(*ASKED, "--shrinkage", "0.3")
    assert found["agents"] == [449] * 24
    assert found["rostered"] == [642] * 24
