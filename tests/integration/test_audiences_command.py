"""Audiences as a coordinator types them: callers into a list, a plan with a question in it, what is
in it before anything is rehearsed."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from mawja.dedup.v1 import events_pb2
from typer.testing import CliRunner, Result

from services.local.parts import Parts
from services.runtime.clock import now_ms
from services.tools.__main__ import app
from services.tools.local import write_addresses
from tests.audiences_rig import Dedup
from tests.broadcast_rig import PARTITIONS, Rig, digits, drilled, numbers, running, wait_until

HOUR = 3_600_000
P = numbers("33", 30)
PLAN = """\
name: عاد الماء
kind: information
drill: true
audience:
  except:
    - any_of:
        - callers: {agency: water, since: 2h}
        - LIST
    - callers: {agency: water, state: resolved}
texts:
  ar: عاد الماء
language: ar
expires: 30m
corrections:
  ar: "تصحيح: لم يعد الماء"
"""


@pytest.fixture(scope="module")
def rig(parts: Parts) -> Iterator[Rig]:
    with running(
        parts, "audiences-command", {"fast": ({}, {})}, [{"prefix": "+", "carrier": "fast"}]
    ) as started:
        write_addresses(started.system)
        now = now_ms()
        dedup = Dedup(parts.kafka, started.keyring, PARTITIONS)
        resolved = events_pb2.CASE_STATE_RESOLVED
        for place, number in enumerate(P[:20]):
            dedup.contact(
                f"w{place}",
                number,
                at_ms=now - (4 * HOUR if place < 5 else HOUR),
                agency="water",
                state=resolved if place >= 15 else events_pb2.CASE_STATE_OPEN,
            )
        dedup.contact("withheld", "", agency="water")
        dedup.flush()
        dedup.close()
        yield started


def typed(rig: Rig, *words: str, who: str = "maryam", code: int = 0) -> Result:
    line = ["campaign", *words, f"--home={rig.parts.home}", f"--as={who}"]
    done = CliRunner().invoke(app, line, env={"MAWJA_TOKEN": None, "COLUMNS": "100"})
    assert done.exit_code == code, done.output
    return done


def told(rig: Rig, *words: str) -> Any:
    return json.loads(typed(rig, *words, "--json").stdout)


def test_from_a_question_to_telephones(rig: Rig, tmp_path: Path) -> None:
    callers = typed(rig, "audience", "--drill", "--callers", "agency=water since=2h")
    assert "asked for by maryam" in callers.stdout
    assert "15 recipients: ar 15" in callers.stdout
    assert "withheld" in callers.stdout
    people = tmp_path / "people.csv"
    people.write_text("number,language\n" + "".join(f"{one},ar\n" for one in P[18:]))
    file = told(rig, "audience", str(people), "--drill")["audience_id"]
    plan = tmp_path / "plan.yaml"
    plan.write_text(PLAN.replace("LIST", file), "utf-8")
    new = typed(rig, "new", str(plan)).stdout
    # Both questions are told with counts, then what was made of them.
    assert "15 recipients" in new
    assert "5 recipients" in new
    assert "DRILL" in new
    [campaign] = told(rig, "list")["campaigns"]
    name = campaign["campaign_id"]
    # Before anything is rehearsed.
    seen = told(rig, "preview", name)
    assert "rehearsal" not in seen
    assert seen["people"] == 20
    assert seen["exclusions"]["withheld"] == 1
    assert len(seen["samples"]) == 6
    assert all("•" in one["masked_number"] for one in seen["samples"])
    assert seen["query"].startswith("except(any_of(callers(agency=water, since=")
    shown = typed(rig, "preview", name).stdout
    assert "20 people: ar 20" in shown
    assert "not rehearsed" in shown
    typed(rig, "rehearse", name)
    typed(rig, "approve", name, "--yes", who="khalid")
    typed(rig, "start", name)
    meant = {digits(one) for one in (*P[5:15], *P[20:])}

    def got() -> set[str]:
        messages = rig.smsc["fast"].messages()
        return {one.destination for one in messages if one.text == drilled("عاد الماء")}

    wait_until(lambda: got() >= meant, 60)
    assert got() == meant


def test_what_is_wrong_is_told(rig: Rig, tmp_path: Path) -> None:
    for words, rule in (
        ((), "give one of LIST, --callers and --subscribers"),
        (("a.csv", "--callers=agency=water"), "give one of LIST, --callers and --subscribers"),
        (("--callers=agency=WATER",), "--callers: agency: must be an agency's code"),
        (("--callers=since=1h until=2h",), "until_ms: must be after since_ms"),
        (
            ("--callers=incident=3f0c5a52-7c1e-5d0e-9a53-0d6f3c1b2a44",),
            "there is no such incident",
        ),
    ):
        assert rule in typed(rig, "audience", *words, code=1).stderr
    plan = tmp_path / "plan.yaml"
    plan.write_text(PLAN.replace("agency: water,", "agency: WATER,", 1), "utf-8")
    refused = typed(rig, "new", str(plan), code=1).stderr
    assert "plan.yaml, line 7: audience.callers.agency: must be" in refused


def test_files_of_arabic_windows_and_of_many_sheets(rig: Rig, tmp_path: Path) -> None:
    old = tmp_path / "old.csv"
    old.write_bytes(f"number,name\n{P[0]},محمد\n{P[1]},سارة\n".encode("windows-1256"))
    refused = typed(rig, "audience", str(old), "--drill", code=1).stderr
    assert "say in which encoding it was saved" in refused
    taken = told(rig, "audience", str(old), "--drill", "--encoding", "windows-1256")
    assert (taken["recipients"], taken["bad"]) == (2, 0)
    book = openpyxl.Workbook()
    for name, people in (("East", P[:2]), ("West", P[2:5])):
        sheet = book.create_sheet(name)
        for cell in ("number", *people):
            sheet.append([cell])
    book.save(tmp_path / "people.xlsx")
    brought = ("audience", str(tmp_path / "people.xlsx"), "--drill")
    assert "give one of: " in typed(rig, *brought, code=1).stderr
    assert told(rig, *brought, "--sheet", "West")["recipients"] == 3
    consent = ("--agency=health", "--topic=vaccines", "--source=counter", "--consented=2d")
    listed = told(rig, "subscribers", str(old), *consent, "--encoding=windows-1256")
    assert listed["taken"] == 2
    listed = told(rig, "subscribers", str(tmp_path / "people.xlsx"), *consent, "--sheet=East")
    assert listed["taken"] == 2
