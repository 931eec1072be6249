"""Agents by half-hour: what services take from `mawja plan`, and when."""

import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from mawja.wave.v1.contracts_pb2 import QUEUE_HOLDER_CENTRE, QueueState
from mawja.wave.v1.events_pb2 import DIMENSION_ALL, Counts, Level
from typer.testing import CliRunner

from services.runtime import floor, staff
from services.runtime.config import Settings
from services.runtime.errors import ConfigError
from services.runtime.floors import Floors, staff_of
from services.runtime.own import Record
from services.runtime.topics import LEVEL, QUEUE_STATE
from services.tools.__main__ import app

BEGINS = "2026-11-23T08:00+04:00"
BEGINS_MS = int(datetime.fromisoformat(BEGINS).timestamp() * 1000)
HALF_HOUR = 1_800_000
WIDTH = 900_000


def planned(agents: list[int]) -> str:
    half_hours = [
        {"start_s": 1800.0 * i, "width_s": 1800.0, "agents": one} for i, one in enumerate(agents)
    ]
    return json.dumps({"begins": BEGINS, "agents": agents, "half_hours": half_hours})


def test_each_half_hour_has_its_own_number() -> None:
    found = staff.parse(planned([40, 55, 30]), "plan.json")
    times = (-1, 0, HALF_HOUR - 1, HALF_HOUR, 3 * HALF_HOUR - 1, 3 * HALF_HOUR)
    assert [found.at(BEGINS_MS + one) for one in times] == [None, 40, 40, 55, 30, None]
    assert staff.always(7).at(BEGINS_MS) == 7
    assert staff.always(0).at(BEGINS_MS) is None


def test_the_plan_that_is_made_is_the_plan_that_is_read(tmp_path: Path) -> None:
    run = CliRunner().invoke(
        app, ["plan", "--shape", "covid-78k", "--over", "3h", "--begins", BEGINS, "--json"]
    )
    assert run.exit_code == 0, run.output
    path = tmp_path / "agents.json"
    path.write_text(run.output)
    made, found = json.loads(run.output), staff_of(path)
    assert len(made["agents"]) == 6
    assert len(set(made["agents"])) > 3
    at = [found.at(BEGINS_MS + i * HALF_HOUR) for i in range(6)]
    assert at == made["agents"]
    assert made["half_hours"][1]["at"] == "08:30"
    assert made["begins"] == "2026-11-23T08:00:00+04:00"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"begins": None}, "begins: must say when the plan begins"),
        ({"begins": "2026-11-23T08:00"}, "with its zone"),
        ({"half_hours": []}, "half_hours: are missing"),
        ({"half_hours": [{"start_s": 0, "width_s": 1800}]}, r"half_hours\[0\]\.agents"),
        ({"half_hours": [{"start_s": 0, "width_s": 0, "agents": 3}]}, "and last"),
        ({"half_hours": [{"start_s": 0, "width_s": 9, "agents": 2.5}]}, "whole number"),
    ],
)
def test_a_wrong_plan_is_refused_with_its_field(change: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        staff.parse(json.dumps({**json.loads(planned([1])), **change}), "plan.json")


def test_a_file_that_is_no_plan_is_refused(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text("agents: 7")
    with pytest.raises(ConfigError, match=r"MAWJA_AGENTS: plan\.json: is not JSON"):
        staff_of(tmp_path / "plan.json")
    with pytest.raises(ConfigError, match=r"MAWJA_AGENTS: .*cannot be read"):
        staff_of(tmp_path / "nowhere.json")


def test_a_plan_begins_at_a_moment_or_is_not_made() -> None:
    run = CliRunner().invoke(app, ["plan", "--calls", "100", "--begins", "08:00"])
    assert run.exit_code != 0
    assert "write it with its zone" in run.output
    unsaid = CliRunner().invoke(app, ["plan", "--calls", "100", "--json"])
    assert json.loads(unsaid.output)["begins"] is None


def record(topic: str, message: Level | QueueState) -> Record:
    key = b""
    if isinstance(message, Level):
        key = f"{DIMENSION_ALL}||{message.start_ms}|{WIDTH}".encode()
    value = message.SerializeToString()
    return cast(Record, SimpleNamespace(topic=topic, offset=0, key=key, value=value))


def test_room_follows_the_half_hours_agents_and_drills_have_their_own() -> None:
    now = [BEGINS_MS + HALF_HOUR - 1]
    settings = Settings.from_env(
        {"MAWJA_KAFKA": "k:1", "MAWJA_REDIS_URL": "redis://r/0", "MAWJA_KEYS": "/keys"}
    )
    plan = staff.parse(planned([100, 20]), "plan.json")
    floors = Floors(settings, "test", plan, lambda: now[0])
    counts = Counts(offered=300, handled=300, handling_ms=300 * 240_000)
    ended = Level(
        dimension=DIMENSION_ALL, start_ms=now[0] - WIDTH - 60_000, width_ms=WIDTH, counts=counts
    )
    under_way = Level(dimension=DIMENSION_ALL, start_ms=now[0] - 60_000, width_ms=WIDTH)
    for level in (ended, under_way):
        floors._one(record(LEVEL.name, level), floors._level)
    queue = QueueState(holder=QUEUE_HOLDER_CENTRE, queue_length=15, accepted_ms=now[0])
    floors._one(record(QUEUE_STATE.name, queue), floors._queue)
    seen = floors.floor(False)
    assert (seen.agents, seen.waiting, seen.offered) == (100, 15, 20.0)
    free = floor.room(replace(seen, waiting=0))
    assert free is not None
    assert floors.room(False) == pytest.approx(free - 1), "15 who wait, within 15 minutes"
    assert floors.room(True) is None, "of drills nothing was told"
    now[0] += 1
    assert floors.floor(False).agents == 20
    assert floors.room(False) == 0.0
