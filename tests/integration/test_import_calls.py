"""Call records of another phone system, imported into real rooms: the scorecard is what a plain
count of the file says, importing again changes nothing, and nobody is written to because of it."""

import csv
import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from mawja.intake.v1 import events_pb2

from services.local.system import token
from services.runtime import clock
from services.runtime.config import Settings
from services.runtime.identity import Role
from services.runtime.own import Record
from services.runtime.scan import Scan
from services.runtime.topics import CALLBACK, CONTACT_ACCEPTED, MESSAGE_REQUESTED
from services.tools.scorecards.figures import card
from services.tools.scorecards.reading import read
from tests.call_counts import counts, write
from tests.intake_rig import intake, stored
from tests.room_process import environment, room

MAWJA = Path(sys.executable).with_name("mawja")
DUBAI = ZoneInfo("Asia/Dubai")


@dataclass
class Rooms:
    """Intake, dedup and outreach, as the command finds them."""

    settings: Settings
    env: dict[str, str]

    def mawja(self, *said: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [MAWJA, *said], env=self.env, capture_output=True, text=True, check=False, timeout=120
        )

    def imported(self, path: Path, *said: str) -> dict[str, Any]:
        done = self.mawja("import", "calls", str(path), "--yes", "--json", *said)
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def scorecard(self, *said: str) -> dict[str, Any]:
        done = self.mawja("scorecard", "--json", *said)
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def settled(self, dialled: int, ended: int, *said: str) -> dict[str, Any]:
        """The scorecard when dedup has decided on everything."""
        deadline = time.monotonic() + 40
        while True:
            whole = card(read(self.settings.kafka, "--drill" in said, 0)).whole
            if whole.dialled >= dialled and whole.answered + whole.abandoned >= ended:
                return self.scorecard(*said)
            assert time.monotonic() < deadline, whole
            time.sleep(0.2)


@pytest.fixture(scope="module")
def rooms(settings: Settings, folder: Path) -> Iterator[Rooms]:
    with (
        intake(settings, folder, "import-intake") as door,
        room("dedup", settings, folder),
        room("outreach", settings, folder),
    ):
        env = environment(settings, folder / "nobody.json")
        env["MAWJA_INTAKE"] = door.target
        env["MAWJA_TOKEN"] = token(settings.keys, "avaya", Role.GATEWAY)
        yield Rooms(settings, env)


def told(settings: Settings) -> list[Record]:
    """What outreach has decided for anybody."""
    found: list[Record] = []
    with Scan(settings.kafka, (CALLBACK, MESSAGE_REQUESTED)) as scan:
        scan.advance(found.append)
    return found


HEADINGS = ["Arrival Time", "Caller ID", "Queue", "Wait", "Talk", "ACW", "Status", "Resolved"]


def records(path: Path) -> list[dict[str, Any]]:
    """A phone system's file of calls that came as the counts say, and what stands in it."""
    rng = random.Random(7)
    # Yesterday's, since intake takes no calls for ever.
    begin = datetime.now(DUBAI).replace(hour=8, minute=0, second=0, microsecond=0)
    begin -= timedelta(days=1)
    held = counts(1)[:6]
    first = held[0][0]
    calls: list[dict[str, Any]] = []
    for slot, count in held:
        for number in range(count):
            wait = rng.choice([0, 3, 19, 20, 21, 45, 130])
            calls.append(
                {
                    "at": begin + (slot - first) + timedelta(seconds=300 * number // count),
                    "who": f"+97150{rng.randint(1_000_000, 1_000_000 + 399)}",
                    "queue": rng.choice(["109", "16000", "155"]),
                    "wait": wait,
                    "talk": rng.randint(20, 400),
                    "wrap": rng.randint(0, 60),
                    "answered": rng.random() < (0.95 if wait < 40 else 0.5),
                    "resolved": rng.random() < 0.8,
                }
            )
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEADINGS)
        for at, call in enumerate(calls):
            if at in (5, 50):
                writer.writerow(["yesterday", *["1"] * 5, "ANSWERED", "yes"])
            talk = f"{call['talk'] // 60}:{call['talk'] % 60:02}" if call["answered"] else ""
            writer.writerow(
                [
                    f"{call['at']:%d/%m/%Y %H:%M:%S}",
                    call["who"],
                    call["queue"],
                    call["wait"],
                    talk,
                    call["wrap"] if call["answered"] else "",
                    "ANSWERED" if call["answered"] else "NO ANSWER",
                    ("yes" if call["resolved"] else "no") if call["answered"] else "",
                ]
            )
    return calls


def plain_count(calls: list[dict[str, Any]]) -> dict[str, Any]:
    answered = [call for call in calls if call["answered"]]
    waits = sorted(call["wait"] for call in answered)
    handled = [call["talk"] + call["wrap"] for call in answered]
    return {
        "contacts": len(calls),
        "dialled": len(calls),
        "people": len({call["who"] for call in calls}),
        "withheld": 0,
        "scores": 0,
        "answered": len(answered),
        "abandoned": len(calls) - len(answered),
        "open": 0,
        "answered_share": pytest.approx(len(answered) / len(calls)),
        "answered_in_20s_share": pytest.approx(sum(w <= 20 for w in waits) / len(calls)),
        "mean_wait_s": pytest.approx(sum(waits) / len(waits)),
        "p90_wait_s": waits[-(-len(waits) * 9 // 10) - 1],
        "mean_handling_s": pytest.approx(sum(handled) / len(handled)),
        "handled_in_4min_share": pytest.approx(sum(h <= 240 for h in handled) / len(handled)),
        "satisfaction": None,
    }


def test_the_scorecard_is_what_a_plain_count_of_the_file_says(rooms: Rooms, tmp_path: Path) -> None:
    path = tmp_path / "calls.csv"
    calls = records(path)
    order = () if calls[0]["at"].day > 12 else ("--dates=dmy",)
    before = len(stored(rooms.settings))
    taken = rooms.imported(path, *order)
    assert (taken["calls"], taken["imported"], taken["refused"]) == (len(calls), len(calls), 0)
    assert [(one["line"], one["field"]) for one in taken["bad"]] == [
        (7, "arrived"),
        (53, "arrived"),
    ]
    assert taken["known_before"] == 0

    found = rooms.settled(len(calls), len(calls))
    whole = dict(found["whole"])
    needs = whole.pop("needs")
    assert whole.pop("first_contact_resolved_share") < 0.8
    assert whole == plain_count(calls)
    assert whole["people"] <= needs < whole["dialled"]
    for group in found["groups"]:
        of_line = [call for call in calls if call["queue"] == group["group"]]
        assert {name: group[name] for name in plain_count(of_line)} == plain_count(of_line)
    assert sum(group["needs"] for group in found["groups"]) == needs

    # The same again, and nothing more than that.
    again = rooms.imported(path, *order)
    assert (again["imported"], again["known_before"]) == (len(calls), len(calls))
    assert rooms.settled(len(calls), len(calls)) == found
    accepted = [
        events_pb2.ContactAccepted.FromString(record.value or b"")
        for record in stored(rooms.settings)[before:]
    ]
    assert len({contact.contact_id for contact in accepted}) == len(calls)
    assert all(contact.recorded and not contact.drill for contact in accepted)
    # People hung up, and have mobile numbers; but that was yesterday.
    assert told(rooms.settings) == []


def test_counts_as_a_rehearsal_by_the_hour_after_an_interruption(
    rooms: Rooms, tmp_path: Path
) -> None:
    path = tmp_path / "counts.csv"
    held = counts(1)[:26]
    write(path, held)
    total = sum(count for _, count in held)
    real = card(read(rooms.settings.kafka, False, 0)).whole

    before = len(stored(rooms.settings))
    command: list[str | Path] = [MAWJA, "import", "calls", path, "--drill", "--yes"]
    with subprocess.Popen(command, env=rooms.env, stderr=subprocess.PIPE, text=True) as importing:
        deadline = time.monotonic() + 30
        with Scan(rooms.settings.kafka, [CONTACT_ACCEPTED]) as scan:
            seen = scan.advance(lambda _: None)
            while seen < before + 100:
                assert importing.poll() is None
                assert time.monotonic() < deadline
                seen += scan.advance(lambda _: None)
        importing.send_signal(signal.SIGINT)
        assert importing.stderr is not None
        said = importing.stderr.read()
        assert importing.wait(30) == 130, said
    assert "import the file again" in said
    assert "Traceback" not in said

    taken = rooms.imported(path, "--drill")
    assert taken["imported"] == total
    assert 0 < taken["known_before"] < total
    found = rooms.settled(total, 0, "--drill", "--by=hour")
    assert (found["whole"]["dialled"], found["whole"]["open"]) == (total, total)
    assert (found["whole"]["people"], found["whole"]["withheld"]) == (0, total)
    by_hour: Counter[int] = Counter()
    for at, count in held:
        by_hour[int(at.timestamp()) // 3600 * 3_600_000] += count
    assert {one["group"]: one["dialled"] for one in found["groups"]} == by_hour
    assert card(read(rooms.settings.kafka, False, 0)).whole == real


def test_reading_begins_late_and_counts_the_same(rooms: Rooms) -> None:
    kafka, now = rooms.settings.kafka, clock.now_ms()
    ago = now - 3 * 86_400_000
    assert card(read(kafka, False, ago), None, ago).whole == card(read(kafka, False, 0)).whole
    # Half an hour ahead nothing was written yet.
    assert len(read(kafka, False, now + 1_800_000)) == 0


def test_who_may_not_report_calls_is_told_so(rooms: Rooms, tmp_path: Path) -> None:
    path = tmp_path / "one.csv"
    at = datetime.fromtimestamp(clock.now_ms() / 1000, DUBAI)
    path.write_text(f"Arrival,Wait,Talk\n{at:%Y-%m-%d %H:%M:%S},1,1\n")
    shown = token(rooms.settings.keys, "somebody", Role.COORDINATOR)
    done = rooms.mawja("import", "calls", str(path), "--yes", f"--token={shown}")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert rooms.mawja("import", "calls", str(path)).returncode == 1, "nobody was asked"
