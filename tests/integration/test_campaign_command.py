"""`mawja campaign` as two people type it, on real Kafka, Valkey and an SMS centre: from a list to a
recall, with what goes wrong on the way."""

import codecs
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from services.local.parts import Parts
from services.local.system import token
from services.runtime.identity import Role
from services.tools.__main__ import app
from services.tools.local import write_addresses
from services.tools.told import AWAY
from tests.broadcast_rig import Rig, digits, drilled, numbers, running, wait_until

PEOPLE = 800
MAKER, OTHER = "maryam", "khalid"
PLAN = """\
name: ملاجئ الفيضان
kind: information
drill: true
texts:
  ar: الملجأ رقم {place} مفتوح الآن
  en: Shelter {place} is open now
language: ar
expires: 30m
corrections:
  ar: "تصحيح: الملجأ مغلق"
"""


@pytest.fixture(scope="module")
def rig(parts: Parts) -> Iterator[Rig]:
    with running(
        parts,
        "campaign-command",
        {"slow": ({"parts_per_second": 40}, {})},
        [{"prefix": "+", "carrier": "slow"}],
    ) as started:
        write_addresses(started.system)
        yield started


class Desk:
    """What two people type. `MAWJA_TOKEN` of the machine says nothing here."""

    def __init__(self, rig: Rig, folder: Path) -> None:
        self.home = rig.parts.home
        self.keys = rig.system.keys
        self.folder = folder

    def type(self, who: str, *words: str, code: int = 0) -> Result:
        typed = ["campaign", *words, f"--home={self.home}", *([f"--as={who}"] if who else [])]
        done = CliRunner().invoke(app, typed, env={"MAWJA_TOKEN": None, "COLUMNS": "60"})
        assert done.exit_code == code, done.output
        assert done.exception is None or isinstance(done.exception, SystemExit)
        return done

    def told(self, who: str, *words: str) -> Any:
        return json.loads(self.type(who, *words, "--json").stdout)

    def file(self, name: str, content: str) -> str:
        path = self.folder / name
        path.write_text(content, "utf-8")
        return str(path)

    def command(self, who: str, *words: str) -> list[str]:
        mawja = [sys.executable, "-m", "services.tools", "campaign"]
        return [*mawja, *words, f"--home={self.home}", f"--as={who}"]

    def at_terminal(self, who: str, *words: str, answer: str = "", until: str = "") -> "Terminal":
        return Terminal(self.command(who, *words), answer, until)


class Terminal:
    """A command on a terminal of 40 columns: answers once it asks, and is interrupted with Ctrl-C
    when `until` (a pattern) was seen."""

    def __init__(self, command: list[str], answer: str, until: str) -> None:
        ours, theirs = pty.openpty()
        env = {**os.environ, "COLUMNS": "40", "TERM": "xterm"}
        self.output, interrupted = "", False
        # A letter may come in two pieces.
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        with subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, env=env, start_new_session=True
        ) as process:
            os.close(theirs)
            deadline = time.monotonic() + 90
            while time.monotonic() < deadline and self._read(ours):
                if answer and "[y/N]" in self.output:
                    os.write(ours, answer.encode())
                    answer = ""
                if until and not interrupted and re.search(until, "\n".join(plain(self.output))):
                    process.send_signal(signal.SIGINT)
                    interrupted = True
            process.terminate()
            self.code = process.wait(30)
        os.close(ours)

    def _read(self, from_: int) -> bool:
        if not select.select([from_], [], [], 0.2)[0]:
            return True
        try:
            data = os.read(from_, 65536)
        except OSError:
            return False
        self.output += self._decoder.decode(data)
        return bool(data)


@pytest.fixture(scope="module")
def desk(rig: Rig, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return Desk(rig, tmp_path_factory.mktemp("desk"))


def people_file(desk: Desk, people: list[str]) -> str:
    rows = [f"{number},{'en' if at % 4 == 0 else 'ar'},{at}" for at, number in enumerate(people)]
    rows += [f"{people[0]},ar,0", "12,ar,7", "+971501234567,ar,8"]
    return desk.file("people.csv", "\n".join(["الهاتف,language,place", *rows, ""]))


def test_wrong_input_is_told_by_line_field_and_rule(desk: Desk) -> None:
    listed = people_file(desk, numbers("10", 5))
    taken = desk.told(MAKER, "audience", listed, "--drill")
    audience = f"--audience={taken['audience_id']}"
    # What the file alone shows to be wrong, and what the service finds.
    for wrong, said in (
        (PLAN.replace("kind: information", "kind: news"), "line 2: kind: must be information or"),
        (PLAN.replace("{place} مفتوح", "{place مفتوح"), "line 5: texts.ar: ar, character 12: this"),
        (PLAN.replace("expires: 30m", "expires: 2020-01-01 10:00"), "line 8: expires: must be"),
        (PLAN.replace("expires: 30m", "expires: 9d"), "line 8: expires: must be at most 7 days"),
    ):
        told = desk.type(MAKER, "new", desk.file("wrong.yaml", wrong), audience, code=1)
        assert f"mawja: wrong.yaml, {said}" in told.stderr
        assert told.stdout == ""
    plan = desk.file("plan.yaml", PLAN)
    assert "audience: is missing" in desk.type(MAKER, "new", plan, code=1).stderr
    nobody = "--audience=00000000-0000-4000-8000-000000000000"
    draft = desk.told(MAKER, "new", plan, nobody)
    assert "no such file" in desk.type(MAKER, "rehearse", draft["campaign_id"], code=1).stderr
    assert "cannot be read" in desk.type(MAKER, "audience", "/no/such.csv", code=1).stderr
    assert "set MAWJA_TOKEN" in desk.type("", "list", code=1).stderr
    agent = token(desk.keys, "agent", Role.AGENT)
    assert "roles" in desk.type("", "new", plan, audience, f"--token={agent}", code=1).stderr
    assert "no campaign" in desk.type(MAKER, "show", "ffff", code=1).stderr
    away = CliRunner().invoke(
        app, ["campaign", "list", "--broadcast=127.0.0.1:1", f"--token={agent}"]
    )
    assert (away.exit_code, "does not answer" in away.stderr) == (AWAY, True)


def test_a_campaign_from_a_list_to_its_recall(rig: Rig, desk: Desk) -> None:
    people = numbers("20", PEOPLE)
    bad = desk.folder / "bad.csv"
    brought = desk.type(
        MAKER, "audience", people_file(desk, people), "--drill", f"--bad-rows={bad}"
    )
    assert "801 recipients: ar 601, en 200" in brought.stdout
    assert "2 rows could not be read" in brought.stdout
    assert people[0] not in brought.output
    assert "501234567" not in brought.output
    lines = bad.read_text("utf-8").splitlines()
    assert [line.split(",")[0] for line in lines] == ["line", "803", "804"]
    found = re.search(r"--audience ([0-9a-f-]{36})", brought.stdout)
    assert found is not None
    audience = found[1]

    [line] = [one for one in desk.type(MAKER, "audiences").stdout.splitlines() if "801" in one]
    short = line.split()[0]
    assert audience.startswith(short)
    assert audience in desk.type(OTHER, "audience", short).stdout
    assert "no list" in desk.type(OTHER, "audience", "00000000", code=1).stderr
    made = desk.type(MAKER, "new", desk.file("plan.yaml", PLAN), f"--audience={short}")
    assert "DRILL" in made.stdout
    assert "\u2068ملاجئ الفيضان\u2069" in made.stdout
    [listed] = [
        one
        for one in desk.told(MAKER, "list")["campaigns"]
        if one["plan"]["audience"]["upload"] == audience
    ]
    name = listed["campaign_id"]
    assert listed["state"] == "draft"
    preview = desk.type(MAKER, "preview", name[:8]).stdout
    assert audience in preview
    assert "not rehearsed" in preview
    assert "{place}" in preview
    assert "it is draft" in desk.type(OTHER, "approve", name, "--yes", code=1).stderr

    rehearsed = desk.type(MAKER, "rehearse", name[:8]).stdout
    assert re.search(r"^slow +ar +600 +600", rehearsed, re.M)
    assert re.search(r"^duplicate +1$", rehearsed, re.M)
    examples = re.findall(r"^(\S+•\d\d) +(ar|en) +1$", rehearsed, re.M)
    assert {language for _, language in examples} == {"ar", "en"}
    assert not {number for number, _ in examples} & set(people)
    assert desk.told(MAKER, "preview", name)["rehearsal"]["hash"] in rehearsed.replace("\n", "")
    assert rig.smsc["slow"].submits() == []

    refused = desk.type(MAKER, "approve", name, "--yes", code=1)
    assert "you are maryam" in refused.stderr
    assert "--yes" in desk.type(OTHER, "approve", name, code=1).stderr
    assert "another hash" in desk.type(OTHER, "approve", name, "--hash=00", "--yes", code=1).stderr
    hesitant = desk.at_terminal(OTHER, "approve", name, answer="n\n")
    assert (hesitant.code, desk.told(OTHER, "show", name)["campaign"]["state"]) == (1, "rehearsed")
    assert "only an approved" in desk.type(MAKER, "start", name, code=1).stderr
    approved = desk.at_terminal(OTHER, "approve", name, answer="y\n")
    assert approved.code == 0, approved.output
    assert "DRILL, to test carriers only: 800 messages" in approved.output.replace("\r\n", " ")

    assert "running" in desk.type(MAKER, "start", name).stdout
    watched = desk.at_terminal(MAKER, "watch", name, until=r"delivered +\d")
    assert watched.code == 130, watched.output
    shown, _, left = watched.output.partition("you no longer")
    assert "it goes on" in left
    assert [line for line in plain(shown) if len(line) > 40] == []
    held = desk.type(OTHER, "pause", name, "--reason=look at the text")
    assert "held by khalid" in held.stdout
    time.sleep(1.0)
    count = len(rig.smsc["slow"].submits())
    time.sleep(1.5)
    assert len(rig.smsc["slow"].submits()) == count
    assert "--reason" in desk.type(MAKER, "resume", name, code=1).stderr
    desk.type(MAKER, "resume", name, "--reason=it is right")
    wait_until(lambda: len(rig.smsc["slow"].submits()) > count)

    unasked = desk.type(MAKER, "cancel", name, "--reason=the shelter is full", code=1)
    assert "nobody is here to be asked: look at it, then give --yes" in unasked.stderr
    ended = desk.at_terminal(MAKER, "cancel", name, "--reason=the shelter is full", answer="y\n")
    asked = " ".join(ended.output.split())
    assert re.search(
        r"End it\? \d+ were given to carriers and stay sent; \d+ wait and never", asked
    )
    assert "cancelled by maryam" in desk.type(MAKER, "show", name).stdout
    assert "cancelled" in ended.output
    assert "--yes" in desk.type(OTHER, "recall", name, "--reason=closed", code=1).stderr
    desk.type(OTHER, "recall", name, "--reason=closed", "--yes")
    over = subprocess.run(
        desk.command(MAKER, "watch", name), capture_output=True, text=True, timeout=120, check=False
    )
    assert over.returncode == 0, over.stderr
    assert "recalled" in over.stdout.splitlines()[-1]
    last = json.loads(desk.type(MAKER, "watch", name, "--json").stdout.splitlines()[-1])
    assert sum(one["recipients"] for one in last["buckets"]) == last["recipients"] == PEOPLE + 3
    texts = {drilled("تصحيح: الملجأ مغلق")}
    messages = [one for one in rig.smsc["slow"].messages() if one.complete]
    corrected = {one.destination for one in messages if one.text in texts}
    told = {one.destination for one in messages if one.text not in texts}
    assert corrected == told
    assert told < {digits(number) for number in people}
    books = CliRunner().invoke(app, ["ledger", "--json", f"--home={desk.home}"])
    account = json.loads(books.stdout)
    assert (books.exit_code, account["good"], account["problems"]) == (0, True, [])
    assert account["for_campaigns"] == sum(one["count"] for one in account["messages"].values()) > 0


def plain(output: str) -> list[str]:
    """What a terminal showed, without its control sequences and marks of no width."""
    bare = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", output)
    return [re.sub("[\u2068\u2069]", "", line) for line in re.split(r"[\r\n]+", bare)]
