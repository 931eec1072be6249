"""The script of a surge, and the replay: exact, ordered, repeatable, and true to their promises."""

import os
import subprocess
import sys
from collections import Counter, defaultdict
from itertools import islice, pairwise
from pathlib import Path

import pytest

from loadtests import shapes
from loadtests.floor import Terms
from loadtests.replay import BadRow, ReplayError, replay
from loadtests.steps import Call, Step, Submit
from loadtests.surge import Script, script


@pytest.fixture(scope="module")
def covid() -> tuple[Script, list[Step]]:
    made = script("covid-78k", calls=6_000, seed=3)
    return made, list(made)


def test_counts_are_exact_and_keys_unique(covid: tuple[Script, list[Step]]) -> None:
    made, steps = covid
    submits = [s for s in steps if isinstance(s, Submit)]
    fresh = [s for s in submits if s.reason != "redial"]
    truth = made.truth
    assert len(fresh) == truth.calls == 6_000
    assert len(submits) == truth.dialled == truth.calls + truth.redials
    assert truth.people == len({s.person for s in submits})
    assert truth.needs == len({s.need for s in submits})
    assert truth.voice == sum(s.channel == "voice" for s in submits) == truth.floor.offered
    assert truth.life_safety == sum(s.life_safety for s in submits)
    assert 0 < truth.resolved_needs <= truth.needs
    assert [s.key for s in submits] == [f"covid-78k/3/{n}" for n in range(1, len(submits) + 1)]
    assert max(s.at for s in fresh) <= made.shape.duration_s


def test_steps_come_in_order_of_time(covid: tuple[Script, list[Step]]) -> None:
    assert all(a.at <= b.at for a, b in pairwise(covid[1]))


def test_each_voice_contact_has_one_whole_life(covid: tuple[Script, list[Step]]) -> None:
    made, steps = covid
    submitted: dict[str, Submit] = {}
    lives: dict[str, list[Call]] = defaultdict(list)
    busy: dict[int, str] = {}
    for step in steps:
        if isinstance(step, Submit):
            submitted[step.key] = step
            continue
        assert step.key in submitted
        lives[step.key].append(step)
        if step.event == "answered":
            assert step.agent is not None
            assert step.agent not in busy
            busy[step.agent] = step.key
        if step.event == "ended":
            assert step.agent is not None
            assert busy.pop(step.agent) == step.key
    assert max(c.agent or 0 for life in lives.values() for c in life) == made.agents
    assert set(lives) == {k for k, s in submitted.items() if s.channel == "voice"}
    for key, life in lives.items():
        events = [c.event for c in life]
        assert events in (
            ["offered", "answered", "ended"],
            ["offered", "queued", "answered", "ended"],
            ["offered", "queued", "abandoned"],
        )
        assert life[0].at == submitted[key].at
        assert {c.number for c in life} == {submitted[key].number}
        decided = life[-1] if events[-1] == "abandoned" else life[-2]
        assert decided.queue_wait_s == pytest.approx(decided.at - life[0].at, abs=1e-6)
        if events[-1] == "ended":
            assert life[-1].handling_s == pytest.approx(life[-1].at - decided.at, abs=1e-6)
            assert life[-1].disposition in ("resolved", "unresolved", "transferred")


def test_nobody_asks_again_for_what_was_resolved(covid: tuple[Script, list[Step]]) -> None:
    need_of: dict[str, str] = {}
    resolved: set[str] = set()
    for step in covid[1]:
        if isinstance(step, Submit):
            assert step.need not in resolved
            need_of[step.key] = step.need
        elif step.disposition == "resolved":
            resolved.add(need_of[step.key])
    assert len(resolved) > 500


def test_redials_are_new_contacts_of_the_same_person_and_need(
    covid: tuple[Script, list[Step]],
) -> None:
    steps = covid[1]
    by_key = {s.key: s for s in steps if isinstance(s, Submit)}
    abandoned = [by_key[s.key] for s in steps if isinstance(s, Call) and s.event == "abandoned"]
    redials = [s for s in by_key.values() if s.reason == "redial"]
    assert len(redials) / len(abandoned) == pytest.approx(0.6, abs=0.06)
    given_up = {(s.person, s.need, s.attempt) for s in abandoned}
    for s in redials:
        assert s.attempt > 1
        assert s.channel == "voice"
        assert (s.person, s.need, s.attempt - 1) in given_up
    assert all(s.attempt == 1 for s in by_key.values() if s.reason != "redial")


def test_repeats_come_by_every_way(covid: tuple[Script, list[Step]]) -> None:
    reasons = Counter(s.reason for s in covid[1] if isinstance(s, Submit))
    assert all(reasons[r] > 100 for r in ("new", "need", "channel", "follow_up", "redial"))


def test_the_same_seed_gives_the_same_script_again(covid: tuple[Script, list[Step]]) -> None:
    made, steps = covid
    assert list(made) == steps
    assert list(script("covid-78k", calls=6_000, seed=3)) == steps
    assert list(islice(script("covid-78k", calls=6_000, seed=4), 500)) != steps[:500]


def test_the_script_is_the_same_in_every_process() -> None:
    code = (
        "import hashlib; from loadtests.surge import script; d = hashlib.sha256()\n"
        "for s in script('flash', calls=800, seed=9): d.update(repr(s).encode())\n"
        "print(d.hexdigest())"
    )
    root = str(Path(__file__).parents[2])
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": root},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(digests) == 1


def test_halving_the_agents_of_a_surge_costs_answers_and_brings_redials() -> None:
    made = script("covid-78k", calls=6_000, seed=3)
    half = script("covid-78k", calls=6_000, seed=3, agents=made.agents // 2)
    arrivals = []
    for each in (made, half):
        arrivals.append([s.at for s in each if isinstance(s, Submit) and s.reason != "redial"])
    assert arrivals[0] == arrivals[1]
    full_floor, half_floor = made.truth.floor, half.truth.floor
    assert half_floor.answered_share < 0.6 * full_floor.answered_share
    assert half_floor.mean_wait_s > 2 * full_floor.mean_wait_s
    assert half.truth.redials > 3 * made.truth.redials
    assert half.truth.calls == made.truth.calls == 6_000


def test_the_default_floor_is_a_believable_overload() -> None:
    made = script("covid-78k", calls=20_000)
    for _ in made:
        pass
    assert made.truth.floor.answered_share == pytest.approx(0.76, abs=0.05)
    assert made.truth.dialled > 1.05 * made.truth.calls


def test_a_month_streams() -> None:
    made = script("steady-month")
    assert len(list(islice(made, 200))) == 200
    assert made.truth.calls < 200


@pytest.mark.parametrize("name", ["flash", "steady-month"])
def test_the_other_shapes_run(name: str) -> None:
    made = script(name, calls=1_000, seed=2, prefix="try/a")
    steps = list(made)
    assert made.truth.calls == 1_000
    assert isinstance(steps[0], Submit)
    assert steps[0].key == "try/a/1"


def test_an_arrival_file_makes_a_surge(tmp_path: Path) -> None:
    path = tmp_path / "bank.csv"
    path.write_text("DateTime,Calls\n2003-03-03T07:00:00Z,111\n2003-03-03T07:05:00Z,113\n")
    made = script(shapes.read_arrivals(path), calls=300, duration_s=900)
    steps = list(made)
    assert made.truth.calls == 300
    assert isinstance(steps[0], Submit)
    assert steps[0].key == "bank/1/1"


def test_one_contact_and_no_patience_at_all() -> None:
    made = script("flash", calls=1, agents=1, terms=Terms(patience_s=None))
    assert [s for s in made if isinstance(s, Submit)]
    assert made.truth.calls == made.truth.people == 1
    with pytest.raises(ValueError, match="at least 1 agent"):
        script("flash", agents=0)


def _write(folder: Path, text: str | bytes) -> Path:
    path = folder / "sms.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_replay_takes_the_original_else_the_message(tmp_path: Path) -> None:
    path = _write(
        tmp_path,
        "\ufeffID,split,message,original\r\n"
        '8,v,Help,"Tanpri, ede nou"\r\n'
        "18,v,We need water,\r\n"
        '28,v,"two\r\nlines, one row",  \r\n',
    )
    made = replay(path, over_s=30)
    steps = [s for s in made if isinstance(s, Submit)]
    assert [s.text for s in steps] == ["Tanpri, ede nou", "We need water", "two\nlines, one row"]
    assert [s.key for s in steps] == ["replay/sms/8", "replay/sms/18", "replay/sms/28"]
    assert [s.at for s in steps] == [0.0, 10.0, 20.0]
    assert {s.channel for s in steps} == {"sms"}
    assert len({s.number for s in steps}) == 3
    assert all(s.number and s.number.startswith("+9995") and len(s.number) == 13 for s in steps)
    assert made.bad_rows == ()
    assert (made.truth.calls, made.truth.people, made.truth.needs) == (3, 3, 3)
    assert list(made) == list(replay(path, over_s=30)) == steps


def test_a_bad_row_is_told_by_line_and_costs_no_other(tmp_path: Path) -> None:
    path = _write(
        tmp_path,
        b"id,message,original\n"
        b"1,one,\n"
        b",no id,\n"
        b"3,,  \n"
        b"4,four\n"
        b"5,five,,extra\n"
        b'6,"never closed,\n'
        b"7,seven,\n"
        b"8,\xff\xfe,\n"
        b"\n"
        b"1,one,\n"
        b"1,another,\n"
        b'9,"nine"x,\n'
        b"10,ten,dix",
    )
    made = replay(path)
    assert [s.text for s in made if isinstance(s, Submit)] == ["one", "one", "seven", "dix"]
    assert len(made) == 4
    assert [row.line for row in made.bad_rows] == [3, 4, 5, 6, 7, 9, 12, 13]
    reasons = {row.line: row.reason for row in made.bad_rows}
    assert made.bad_rows[0] == BadRow(3, "has no id")
    assert reasons[4] == "has no text"
    assert reasons[5] == "has 2 columns, the header has 3"
    assert reasons[6] == "has 4 columns, the header has 3"
    assert "is not CSV" in reasons[7]
    assert reasons[9] == "is not UTF-8 text"
    assert reasons[12] == "has the id of line 2 with another text"
    assert made.truth.people == 3


def test_a_repeated_row_is_the_same_contact_at_the_same_time(tmp_path: Path) -> None:
    first, other, again = (
        s for s in replay(_write(tmp_path, "id,message\na,x\nb,y\na,x\n")) if isinstance(s, Submit)
    )
    assert {first.key, other.key, again.key} == {"replay/sms/a", "replay/sms/b"}
    assert first == other
    assert again.key == "replay/sms/b"


def test_a_number_hangs_on_the_id_not_on_the_place_in_the_file(tmp_path: Path) -> None:
    def numbers(text: str) -> dict[str, str | None]:
        made = replay(_write(tmp_path, text))
        return {s.person: s.number for s in made if isinstance(s, Submit)}

    short, long = numbers("id,message\na,x\nb,y\n"), numbers("id,message\nc,z\nb,y\na,x\n")
    assert short.items() <= long.items()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "needs the columns id"),
        ("id,body\n1,x\n", "needs the columns id, and original or message"),
        ("id,message\n,\n1,\n", "no row that can be sent .1 bad rows."),
        ('"id', "is not a CSV header"),
    ],
)
def test_a_file_that_is_no_replay_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ReplayError, match=message):
        replay(_write(tmp_path, text))


def test_a_replay_needs_a_file_and_a_length(tmp_path: Path) -> None:
    with pytest.raises(ReplayError, match="can't be read"):
        replay(tmp_path / "none.csv")
    with pytest.raises(ReplayError, match="more than 0"):
        replay(_write(tmp_path, "id,message\n1,x\n"), over_s=0)
