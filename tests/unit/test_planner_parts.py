"""SMS, services and the picture of a plan: sums that add up, and what a person sees."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from services.local.parts import Parts
from services.local.progress import Silent
from services.runtime.errors import ConfigError, MawjaError
from services.tools.__main__ import app
from services.tools.bench.figures import Run
from services.tools.planner import measured, rates_file
from services.tools.planner.arrivals import named
from services.tools.planner.calibrate import rates_of
from services.tools.planner.picture import svg
from services.tools.planner.plan import Plan, lasting, plan
from services.tools.planner.queueing import Callers, Target
from services.tools.planner.sizing import FILLED, sizing
from services.tools.planner.sms import Order, sending
from services.tools.planner.staffing import Saving
from services.tools.planner.telling import render

ORDER = Order(0.2, 2.0, 100.0, 1, 60_000, 600.0)


def made(shape: str = "covid-78k", patience_s: float | None = 120.0) -> Plan:
    redial = 0.6 if patience_s else 0.0
    callers = Callers(240.0, patience_s, redial)
    return plan(named(shape), callers, Target(0.9, 20.0), Saving(0.1, 0.3))


def test_sms_of_the_wave_and_a_campaign_beside_it() -> None:
    found = sending(ORDER, dialled=50_000, dialled_per_s=50.0)
    assert (found.messages, found.parts, found.peak) == (10_000, 20_000, 20.0)
    assert found.wave_routes == 1
    # 120,000 parts at what the wave leaves of one route: 80 a second.
    assert found.campaign_s == 1_500.0
    # Within 10 minutes 200 a second, and 20 beside them.
    assert found.campaign_routes == 3


def test_a_wave_that_fills_the_routes_leaves_nothing_to_a_campaign() -> None:
    found = sending(ORDER, dialled=50_000, dialled_per_s=250.0)
    assert found.campaign_s is None
    assert found.wave_routes == 1
    assert sending(ORDER, 50_000, 251.0).wave_routes == 2


def test_replicas_follow_what_a_call_costs() -> None:
    rates = measured.documented()
    small = sizing(1.0, 1.0, rates)
    assert small.replicas == {"intake": 2, "dedup": 2, "outreach": 2, "broadcast": 2, "wave": 1}
    assert small.partitions == 8
    large = sizing(2_000.0, 100.0, rates)
    for room, count in large.replicas.items():
        if room != "wave":
            assert large.busy[room] / count <= FILLED
            assert count <= 2 or large.busy[room] / (count - 1) > FILLED
    assert large.partitions >= 2 * large.replicas["dedup"]
    assert large.partitions.bit_count() == 1
    assert large.wave_is_full
    assert not small.wave_is_full


def test_a_machine_twice_as_slow_in_dedup_needs_twice_the_replicas_of_it() -> None:
    slow = {**measured.BENCH_CPU_US, "dedup": 2 * measured.BENCH_CPU_US["dedup"]}
    del slow["broadcast"]
    rates, known = measured.scaled(slow, "slow", "2026-01-01"), measured.documented()
    assert rates.cpu_s["dedup"] == pytest.approx(2 * known.cpu_s["dedup"])
    assert rates.cpu_s["intake"] == pytest.approx(known.cpu_s["intake"])
    # What was not measured: the mean of what was.
    assert rates.cpu_s["broadcast"] == pytest.approx(known.cpu_s["broadcast"] * 4 / 3)
    fast = sizing(2_000.0, 0.0, known).replicas["dedup"]
    assert abs(sizing(2_000.0, 0.0, rates).replicas["dedup"] - 2 * fast) <= 1
    with pytest.raises(ValueError, match="nothing was measured"):
        measured.scaled({}, "none", "")


def test_rates_are_kept_and_read_again(tmp_path: Path) -> None:
    assert rates_file.read(tmp_path) == measured.documented()
    rates = measured.scaled({"dedup": 500.0}, "a machine", "2026-01-01T00:00:00Z")
    rates_file.write(tmp_path, rates)
    again = rates_file.read(tmp_path)
    assert (again.machine, again.measured_at) == (rates.machine, rates.measured_at)
    assert again.cpu_s == pytest.approx(rates.cpu_s, rel=1e-3)


@pytest.mark.parametrize("text", ["", "{}", '{"machine": "m", "measured_at": "", "cpu_s": {}}'])
def test_a_damaged_file_of_rates_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / rates_file.NAME).write_text(text)
    with pytest.raises(ConfigError, match="mawja calibrate"):
        rates_file.read(tmp_path)


@pytest.mark.parametrize(("shape", "patience_s"), [("covid-78k", 120.0), ("flash", None)])
def test_the_picture_is_svg_with_a_step_for_each_half_hour(
    shape: str, patience_s: float | None
) -> None:
    found = made(shape, patience_s)
    root = ET.fromstring(svg(found))
    areas = [path for path in root.findall("{*}path") if path.get("fill") != "none"]
    assert len(areas) == 2
    for area in areas:
        assert area.get("d", "").count("L") == 2 * len(found.staffing.half_hours) + 1
    said = "".join(root.itertext())
    assert f"at most {found.staffing.most:,}" in said
    assert ("Erlang C" in said) == (patience_s is not None)


def shown(found: Plan) -> str:
    console = Console(width=200, record=True, file=None, quiet=False)
    with console.capture() as captured:
        sent = sending(ORDER, found.dialled(), found.dialled_per_s())
        console.print(render(found, sent, sizing(1.0, 1.0, measured.documented())))
    return captured.get()


def test_the_terminal_shows_every_half_hour_as_long_as_it_needs_agents() -> None:
    found = made()
    lines = {
        cells[0]: line
        for line in shown(found).splitlines()
        if (cells := line.split()) and cells[0][-3:-2] == ":"
    }
    assert len(lines) == 24
    most = found.staffing.busiest()
    longest = lines[found.demand.at(most.half_hour)]
    assert longest.count("█") + longest.count("░") == 40
    assert f" {most.agents} " in longest
    quiet = lines["11:30"]
    assert quiet.count("█") + quiet.count("░") < 10


def test_a_month_is_shown_by_days() -> None:
    said = shown(made("steady-month"))
    assert "Agents by day" in said
    assert len([line for line in said.splitlines() if line.strip().startswith("day ")]) == 30


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (45, "45 s"),
        (600, "10 min"),
        (43_200, "12 h"),
        (5_400, "1 h 30 min"),
        (2.592e6, "30 days"),
        (2e7, "231 days 11 h"),
    ],
)
def test_lengths_of_time(seconds: float, said: str) -> None:
    assert lasting(seconds) == said


def run(*options: str) -> Any:
    return CliRunner().invoke(app, ["plan", *options])


def test_the_parts_of_a_text_are_counted_exactly(tmp_path: Path) -> None:
    found = json.loads(run("--text", "ا" * 71, "--json", "--home", str(tmp_path)).stdout)
    assert found["sms"]["parts_per_message"] == 2
    assert found["system"]["measured_at"] is None
    found = json.loads(run("--text", "a" * 160, "--json", "--audience", "500").stdout)
    assert found["sms"]["parts_per_message"] == 1
    assert found["sms"]["campaign"]["parts"] == 500


def test_the_command_writes_the_picture_and_says_what_it_rests_on(tmp_path: Path) -> None:
    path = tmp_path / "agents.svg"
    result = run("--picture", str(path), "--patience", "2m", "--home", str(tmp_path))
    assert result.exit_code == 0
    assert path.read_text("utf-8").startswith("<svg")
    # However wide the terminal is, and so wherever a line ends.
    said = " ".join(result.stdout.split())
    assert "the documented machine" in said
    assert "counts as not answered" in said
    refused = run("--picture", str(tmp_path / "none" / "agents.svg"))
    assert refused.exit_code == 1
    assert "can't be written" in refused.output


def bench_run(**cpu_us: float) -> Run:
    done = Run(Parts(Path("nowhere")), Silent(), Path("keys"), iter(()), rounds=1)
    for name, used_us in cpu_us.items():
        done.note(f"cpu_us.{name}", used_us)
    return done


def test_the_bench_becomes_the_rates_of_this_machine() -> None:
    known = measured.BENCH_CPU_US
    rates = rates_of(
        bench_run(
            intake_stream=known["intake"],
            intake_unary=9_000.0,
            dedup=known["dedup"] / 2,
            outreach=known["outreach"],
            broadcast=known["broadcast"],
        )
    )
    documented = measured.documented()
    assert rates.cpu_s["intake"] == pytest.approx(documented.cpu_s["intake"])
    assert rates.cpu_s["dedup"] == pytest.approx(documented.cpu_s["dedup"] / 2)
    assert "cores of" in rates.machine
    assert rates.measured_at
    with pytest.raises(MawjaError, match="try it again"):
        rates_of(bench_run(intake_stream=300.0))
