"""Drills: when they begin, which records are theirs, what is scored and what is kept."""

from dataclasses import replace
from datetime import datetime, timedelta
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from mawja.broadcast.v1 import campaigns_pb2 as campaigns
from mawja.broadcast.v1 import events_pb2 as broadcast
from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2 as dedup
from mawja.intake.v1 import events_pb2 as intake
from mawja.outreach.v1 import events_pb2 as outreach
from mawja.wave.v1 import events_pb2 as wave
from mawja.wave.v1.events_pb2 import Dimension
from rich.console import Console
from typer.testing import CliRunner

from services.runtime.errors import ConfigError, NotFound
from services.runtime.own import Record
from services.runtime.topics import (
    CALLBACK,
    CASE,
    CONTACT_ACCEPTED,
    MESSAGE_REQUESTED,
    MESSAGE_STATUS,
)
from services.tools.__main__ import app
from services.tools.drills import timing
from services.tools.drills.figures import FIGURES, compared, missed
from services.tools.drills.history import Drill, History
from services.tools.drills.own import Own
from services.tools.drills.people import Coordinators, People
from services.tools.drills.telling import one

NOW = datetime(2026, 3, 28, 10, 30)
T0 = 1_800_000_000_000


@pytest.mark.parametrize(
    ("at", "begins"),
    [
        ("", NOW),
        ("10:30", NOW),
        ("10:29", NOW + timedelta(days=1, minutes=-1)),
        ("23:05", datetime(2026, 3, 28, 23, 5)),
        ("2026-04-01T09:00", datetime(2026, 4, 1, 9)),
    ],
)
def test_a_drill_begins_when_it_is_told_to(at: str, begins: datetime) -> None:
    assert timing.begins(at, NOW) == begins


@pytest.mark.parametrize("at", ["25:00", "9:75", "soon", "2026-03-28T10:29", "2020-01-01"])
def test_a_time_that_never_comes_is_refused(at: str) -> None:
    with pytest.raises(ConfigError, match="--at"):
        timing.begins(at, NOW)


def test_the_next_drill_comes_a_whole_interval_later_and_none_is_made_up_for() -> None:
    week = timing.interval("week")
    assert week == timing.interval("1w") == timing.interval("7d") == timedelta(days=7)
    assert timing.following(NOW, timedelta(hours=1), NOW + timedelta(hours=2, minutes=5)) == (
        NOW + timedelta(hours=3)
    )
    assert timing.interval("") is None
    for wrong in ("fortnight", "0d", "-1h", "week 2"):
        with pytest.raises(ConfigError, match="--every"):
            timing.interval(wrong)


# Which records are of a drill.


def record(topic: str, message: Any) -> Record:
    made = SimpleNamespace(
        topic=topic,
        partition=0,
        offset=0,
        timestamp=T0,
        key=None,
        value=message.SerializeToString(),
        headers=(),
    )
    return cast(Record, made)


def world(name: str, drill: bool = True) -> list[Record]:
    """Everything about one contact, effects before their causes."""
    case = dedup.Case(case_id=f"case {name}", drill=drill)
    change = broadcast.MessageChange(message_id=f"message {name}", drill=drill)
    return [
        record(MESSAGE_STATUS.name, broadcast.StatusRecord(changes=[change])),
        record(
            MESSAGE_REQUESTED.name,
            outreach.MessageRequested(
                message_id=f"message {name}", case_id=case.case_id, drill=drill
            ),
        ),
        record(CALLBACK.name, outreach.Callback(case_id=case.case_id, drill=drill)),
        record(
            CASE.name,
            dedup.CaseDecision(
                change=dedup.CASE_CHANGE_OPENED,
                case=case,
                link=dedup.Link(contact_id=f"contact {name}"),
            ),
        ),
        record(
            CONTACT_ACCEPTED.name,
            intake.ContactAccepted(contact_id=f"contact {name}", drill=drill),
        ),
    ]


def test_only_what_is_of_this_drill_reaches_its_ledger() -> None:
    taken: list[Record] = []
    called: list[outreach.Callback] = []
    decided: list[dedup.CaseDecision] = []
    own = Own({"contact ours"}.__contains__, taken.append, called.append, decided.append)
    both = broadcast.StatusRecord(
        changes=[
            broadcast.MessageChange(message_id="message real"),
            broadcast.MessageChange(message_id="message ours", drill=True),
            broadcast.MessageChange(message_id="message ours", drill=True, campaign_id="other"),
        ],
        decided_ms=7,
    )
    for one_ in [*world("real", False), *world("theirs"), *world("ours")]:
        own.take(one_)
    own.take(record(MESSAGE_STATUS.name, both))
    assert len(taken) == own.taken == 6
    assert [callback.case_id for callback in called] == ["case ours"]
    assert [one_.case.case_id for one_ in decided] == ["case ours"]
    parted = broadcast.StatusRecord.FromString(taken[-1].value or b"")
    assert [change.message_id for change in parted.changes] == ["message ours"]
    assert parted.decided_ms == 7


def test_exercises_are_no_part_of_a_drill() -> None:
    taken: list[Record] = []
    own = Own({"contact ours"}.__contains__, taken.append, lambda _: None, lambda _: None)
    for one_ in world("ours"):
        own.take(one_)
    before = len(taken)
    own.take(
        record(
            CALLBACK.name,
            outreach.Callback(
                case_id="case ours", drill=True, exercise=common_pb2.Exercise(agent="amal")
            ),
        )
    )
    assert len(taken) == before


# What people did.


def steps(people: People, name: str, *told: tuple[int, int], life: bool = False) -> None:
    """(state, second) of a callback; the one who has it is amal."""
    claimed_s = 0
    for state, second in told:
        if state == outreach.CALLBACK_STATE_CLAIMED:
            claimed_s = second
        people.take(
            outreach.Callback(
                callback_id=name,
                state=state,  # type: ignore[arg-type]
                decided_ms=T0 + second * 1000,
                claimed_by="amal" if claimed_s else "",
                claimed_ms=T0 + claimed_s * 1000 if claimed_s else 0,
                command_id="asked" if claimed_s else "",
                life_safety=life,
            )
        )


DUE, CLAIMED = outreach.CALLBACK_STATE_DUE, outreach.CALLBACK_STATE_CLAIMED
COMPLETED, LATER = outreach.CALLBACK_STATE_COMPLETED, outreach.CALLBACK_STATE_LATER
WITHDRAWN = outreach.CALLBACK_STATE_WITHDRAWN


def test_agents_are_scored_by_what_they_took_up_and_how_long_they_had_it() -> None:
    people = People()
    steps(people, "quick", (DUE, 10), (CLAIMED, 20), (COMPLETED, 120))
    steps(people, "slow", (DUE, 10), (CLAIMED, 60), (COMPLETED, 360))
    steps(people, "nobody's", (DUE, 10))
    steps(people, "the floor's", (DUE, 10), (WITHDRAWN, 15))
    steps(people, "in danger", (DUE, 10), (CLAIMED, 14), (LATER, 30), life=True)
    steps(people, "given back", (DUE, 10), (CLAIMED, 25), (DUE, 40), (CLAIMED, 50))
    found = people.figures()
    assert found["agents"] == 1
    assert found["callbacks"] == 5
    assert found["callbacks_taken_share"] == 4 / 5
    assert found["taken_in_20s_share"] == 3 / 4
    assert found["mean_taken_s"] == (10 + 50 + 4 + 15) / 4
    assert found["handled_in_4min_share"] == 2 / 3
    assert found["mean_handling_s"] == (100 + 300 + 16) / 3
    assert (found["escalations"], found["escalations_confirmed_share"]) == (1, 1.0)
    assert found["mean_escalation_s"] == 4
    amal = people.agents["amal"].as_dict()
    assert (amal["taken"], amal["ended"], amal["completed"]) == (5, 3, 2)


def decision(made_s: int, approved_s: int = 0, **given: Any) -> campaigns.CampaignDecision:
    campaign = campaigns.Campaign(campaign_id=f"{made_s}", **given)
    campaign.plan.drill = True
    campaign.made.done_ms = T0 + made_s * 1000
    if approved_s:
        campaign.approved.done_ms = T0 + approved_s * 1000
    return campaigns.CampaignDecision(campaign=campaign)


def test_coordinators_are_scored_from_the_first_burst_to_the_approval_and_by_their_recall() -> None:
    found = Coordinators(T0)
    earlier, real, ours = (
        wave.Burst(dimension=Dimension.DIMENSION_ALL, start_ms=start, drill=start > 1)
        for start in (7, 1, 8)
    )
    for burst, second in ((earlier, -500), (real, 1), (earlier, 2), (ours, 20), (ours, 30)):
        found.burst(burst, T0 + second * 1000)
    before = decision(-100, 25)
    in_earnest = decision(30, 40)
    in_earnest.campaign.plan.drill = False
    refused = decision(31, 33)
    refused.code = 9
    recalled = decision(50, 140, state=campaigns.CAMPAIGN_STATE_RECALLED)
    recalled.campaign.started.done_ms = T0 + 150_000
    recalled.campaign.ended.done_ms = T0 + 270_000
    for one_ in (before, in_earnest, refused, recalled, decision(60, 200)):
        found.campaign(one_)
    assert found.figures() == {
        "first_burst_s": 20.0,
        "campaigns": 2,
        "burst_to_approved_s": 120.0,
        "recall_s": 120.0,
    }


def test_without_bursts_or_campaigns_nothing_is_claimed() -> None:
    found = Coordinators(T0).figures()
    assert {found[key] for key in ("first_burst_s", "burst_to_approved_s", "recall_s")} == {None}


# The history.

FIRST = Drill(
    id="flash-20260301T090000",
    shape="flash",
    size=300,
    speed=60.0,
    seed=1,
    began_ms=T0,
    ended_ms=T0 + 60_000,
    ended_early="",
    figures={"lost": 0, "taken_in_20s_share": 0.5, "mean_handling_s": 100.0, "contacts": 400},
)
SECOND = replace(
    FIRST,
    id="flash-20260308T090000",
    began_ms=T0 + 7 * 86_400_000,
    figures={"lost": 1, "taken_in_20s_share": 0.8, "mean_handling_s": 102.0, "contacts": 300},
    agents={
        "amal": {
            "taken": 3,
            "taken_in_20s_share": 1.0,
            "ended": 3,
            "completed": 3,
            "mean_handling_s": 60.0,
            "handled_in_4min_share": None,
        }
    },
    problems=["1 contacts are lost"],
)


def test_what_is_better_and_what_is_worse_than_last_time() -> None:
    changes = {it.figure.key: it.change for it in compared(SECOND.figures, FIRST.figures)}
    assert changes == {
        "contacts": "",
        "lost": "worse",
        "taken_in_20s_share": "better",
        "mean_handling_s": "same",
    }
    assert {figure.key for figure in missed(SECOND.figures)} == {"lost", "taken_in_20s_share"}
    assert len({figure.key for figure in FIGURES}) == len(FIGURES)
    little = {"end_to_end_p99_s": 0.7, "intake_p99_ms": 88.0, "answered_share": 0.2}
    less = {"end_to_end_p99_s": 0.5, "intake_p99_ms": 60.0, "answered_share": 0.19}
    assert {it.change for it in compared(less, little)} == {"same"}


def test_drills_are_kept_found_and_held_against_the_last_of_their_shape(tmp_path: Path) -> None:
    history = History(tmp_path / "kept")
    assert history.all() == []
    other = replace(FIRST, id="covid-78k-1", shape="covid-78k", began_ms=T0 + 1)
    broken = replace(FIRST, id="flash-broken", began_ms=T0 + 2, ended_early="interrupted")
    for drill in (SECOND, FIRST, other, broken):
        history.keep(drill)
    assert history.all()[0] == SECOND
    assert history.get("last") == SECOND
    assert history.get("flash-20260301") == FIRST
    assert history.before(SECOND) == FIRST
    assert history.before(FIRST) is None
    with pytest.raises(NotFound, match="3 drills"):
        history.get("flash")
    with pytest.raises(NotFound, match="no drill"):
        history.get("steady")
    (tmp_path / "kept" / "notes.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"notes\.json"):
        history.all()


def test_a_drill_says_that_it_is_one_and_what_became_of_it() -> None:
    console = Console(width=100, file=StringIO())
    console.print(one(SECOND, FIRST))
    assert isinstance(console.file, StringIO)
    shown = " ".join(console.file.getvalue().split())
    assert shown.startswith("DRILL flash-20260308T090000")
    assert "Targets missed: contacts lost, callbacks taken up within 20 s." in shown
    assert "better: callbacks taken up within 20 s; worse: contacts lost." in shown
    assert "amal 3 100.0% 3 – 60.0 s" in shown
    assert "! 1 contacts are lost" in shown


def test_the_history_from_the_command_line(tmp_path: Path) -> None:
    history = History(tmp_path)
    history.keep(FIRST)
    history.keep(SECOND)

    def typed(*words: str, code: int = 0) -> str:
        done = CliRunner().invoke(app, ["drill", *words], env={"MAWJA_DRILLS": str(tmp_path)})
        assert done.exit_code == code, done.output
        return done.output

    listed = typed("list")
    assert listed.index(SECOND.id) < listed.index(FIRST.id)
    assert SECOND.id in typed("show")
    assert '"taken_in_20s_share": "better"' in typed("show", "--json")
    assert '"taken_in_20s_share": "worse"' in typed("compare", FIRST.id, SECOND.id, "--json")
    assert "no drill" in typed("show", "covid", code=1)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nothing"], "no shape 'nothing'"),
        (["covid-78k", "--speed=1000"], "a --speed of at most 100"),
        (["steady-month"], "--size"),
        (["steady-month", "--size=1000"], "--speed of at least"),
        (["flash", "--at=99:00"], "time of day"),
        (["flash", "--every=often"], "--every"),
        (["missing.yaml"], "missing.yaml"),
    ],
)
def test_a_wrong_order_starts_nothing(tmp_path: Path, words: list[str], says: str) -> None:
    env = {"MAWJA_DRILLS": str(tmp_path), "MAWJA_HOME": str(tmp_path / "home")}
    done = CliRunner().invoke(app, ["drill", *words], env=env)
    assert done.exit_code == 1, done.output
    assert says in done.output
    assert not (tmp_path / "home").exists()
