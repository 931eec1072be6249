"""Folders of playbooks: a wrong one is left out and named with line and field; the others work."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY
from typer.testing import CliRunner

from services.outreach import shelf
from services.outreach.__main__ import load
from services.outreach.playbook_file import folder_of
from services.outreach.rules import CHANNELS, Event, Facts, Limits
from services.runtime.errors import ConfigError
from services.tools.__main__ import app

SHARED = "centre: {ar: م, en: c}\non-call: {night: [first, second]}\n"
TEXTS = 'texts: {ar: "{centre} {case_number}", en: "{centre} {case_number}"}'
OPENED = f"""\
name: opened
version: 1
when: {{event: case-opened}}
do:
  message: {{expires: 1h, {TEXTS}}}
"""
WAITING = f"""\
name: waiting
version: 2
when:
  event: waiting
  channels: [sms]
  agencies: [moh]
  lines: ["109"]
  languages: [ar, en]
  life-safety: false
  confidence: 0.7
  after: 30m
  every: 2h
  times: 3
limits:
  hours: "08:00-20:30"
  person: {{most: 2, within: 1d}}
do:
  message: {{expires: 1h, {TEXTS}}}
"""
DANGER = """\
name: danger
version: 1
when: {event: life-safety}
do:
  hand-over: {to: night, every: 2m}
"""
BURST = """\
name: burst
version: 1
when: {event: burst, people: 20}
do:
  proposal: {lasts: 6h}
  announcement:
    lasts: 2h
    lines: ["109", "16000"]
    texts: {ar: "{centre} ا", en: "{centre} e"}
"""
RESOLVED = f"""\
name: resolved
version: 1
when: {{event: case-resolved}}
do:
  message: {{expires: 1h, {TEXTS}}}
  satisfaction: {{within: 3d}}
"""
RIGHT = {
    "centre.yaml": SHARED,
    "opened.yaml": OPENED,
    "waiting.yaml": WAITING,
    "danger.yaml": DANGER,
    "burst.yaml": BURST,
    "resolved.yaml": RESOLVED,
}


def written(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).write_text(text, "utf-8")
    return folder


def test_every_field_is_read() -> None:
    found = folder_of(RIGHT, {})
    assert not found.wrong
    by_name = {rule.name: rule for rule in found.rules}
    waiting = by_name["waiting"]
    assert waiting.channels == frozenset({CHANNELS["sms"]})
    assert waiting.where.agencies == frozenset({"moh"})
    assert waiting.where.lines == frozenset({"109"})
    assert waiting.where.languages == frozenset({"ar", "en"})
    assert waiting.where.life_safety is False
    assert waiting.where.confidence == 0.7
    assert waiting.timing is not None
    assert (waiting.timing.after_ms, waiting.timing.every_ms) == (1_800_000, 7_200_000)
    assert waiting.timing.times == 3
    assert waiting.limits is not None
    assert (waiting.limits.hours, waiting.limits.most) == ((480, 1230), 2)
    danger = by_name["danger"].hand_over
    assert danger is not None
    assert (danger.to, danger.every_ms) == (("first", "second"), 120_000)
    burst = by_name["burst"]
    assert burst.proposal is not None
    assert burst.announcement is not None
    assert burst.announcement.lines == frozenset({"109", "16000"})
    assert burst.announcement.texts == {"ar": "م ا", "en": "c e"}
    assert burst.asked(Event.BURST, Facts(people=20))
    assert not burst.asked(Event.BURST, Facts(people=19))
    assert by_name["resolved"].score_ms == 3 * 86_400_000


@pytest.mark.parametrize(
    ("file", "old", "new", "line", "field", "rule"),
    [
        ("opened.yaml", "case-opened", "opened", 3, "when.event", "must be case-opened"),
        ("opened.yaml", "{centre} {", "{", 5, "do.message.texts.ar", "{centre} is missing"),
        ("opened.yaml", "name: opened", "name: other", 1, "name", "must be the file's: other.yaml"),
        ("opened.yaml", "do:\n", "does:\n", 4, "does", "is not known"),
        ("opened.yaml", "version: 1", "version: 1\ninstead: none", 3, "instead", "earlier rule"),
        ("waiting.yaml", "after: 30m", "after: 30", 11, "when.after", "must be a number and s"),
        ("waiting.yaml", "  every: 2h\n", "", 12, "when.every", "is missing"),
        ("waiting.yaml", "  after: 30m\n", "", 4, "when.after", "is missing"),
        ("waiting.yaml", "event: waiting", "event: case-opened", 11, "when.after", "does not go"),
        ("waiting.yaml", "times: 3", "times: 0", 13, "when.times", "from 1 to 20"),
        ("waiting.yaml", "confidence: 0.7", "confidence: 7", 10, "when.confidence", "from 0 to 1"),
        ("waiting.yaml", "life-safety: false", "life-safety: no", 9, "when.life-safety", "true"),
        ("waiting.yaml", "[moh]", "[MOH]", 6, "when.agencies[0]", "codes of agencies"),
        ("waiting.yaml", "08:00-20:30", "20:30-08:00", 15, "limits.hours", "hours of a day"),
        ("waiting.yaml", "most: 2, ", "", 16, "limits.person.most", "is missing"),
        ("danger.yaml", "to: night", "to: day", 5, "do.hand-over.to", "list of on-call: night"),
        ("danger.yaml", "life-safety}", "case-opened}", 5, "do.hand-over", "goes only with"),
        ("burst.yaml", "people: 20", "people: many", 3, "when.people", "whole number"),
        ("burst.yaml", "people: 20", "channels: [sms]", 3, "when.channels", "does not go"),
        ("burst.yaml", "event: burst", "event: incident", 5, "do.proposal", "goes only with burst"),
        ("burst.yaml", "lasts: 6h", "lasts: 6y", 5, "do.proposal.lasts", "must be a number and s"),
        ("burst.yaml", 'en: "', 'fr: "', 9, "do.announcement.texts.en", "is missing"),
        ("resolved.yaml", "case-resolved", "waiting, after: 1h", 6, "do.satisfaction", "goes only"),
        ("resolved.yaml", "  message", "  mesage", 5, "do.mesage", "is not known"),
    ],
)
def test_a_mistake_stops_nothing_else_and_names_its_line(
    file: str, old: str, new: str, line: int, field: str, rule: str
) -> None:
    assert old in RIGHT[file]
    found = folder_of(RIGHT | {file: RIGHT[file].replace(old, new, 1)}, {})
    assert {rule.name for rule in found.rules} == {
        name.removesuffix(".yaml") for name in RIGHT if name not in (file, "centre.yaml")
    }
    assert list(found.wrong) == [file]
    told = [one for one in found.wrong[file] if f"line {line}, {field}: " in one and rule in one]
    assert told, found.wrong[file]
    assert told[0].startswith(f"{file}: ")


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "it is empty"),
        ("a: [", "line 1: not YAML"),
        ("- a", "must be a mapping"),
        ("a\x00b", "not YAML"),
        ("name: opened", "version: is missing"),
        ("name: opened\nversion: 1\nwhen: {event: case-opened}\ndo: {}", "does nothing"),
        (f"{OPENED}tests:\n  - name: x\n    given: [{{event: dance}}]\n    expect: []",
         "line 8, tests[0].given[0].event: must be contact"),
    ],
)  # fmt: skip
def test_what_is_no_playbook_is_left_out(text: str, rule: str) -> None:
    found = folder_of(RIGHT | {"opened.yaml": text}, {"other.yaml": "other.yaml: unreadable"})
    assert set(found.wrong) == {"opened.yaml", "other.yaml"}
    assert any(rule in problem for problem in found.wrong["opened.yaml"]), found.wrong
    assert len(found.rules) == 4


@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda raw: raw.decode("latin-1")))
def test_no_file_stops_the_others(text: str) -> None:
    assert len(folder_of(RIGHT | {"strange.yaml": text}, {}).rules) == 5


def test_what_they_share_must_be_right() -> None:
    with pytest.raises(ConfigError, match=r"centre\.yaml: is missing"):
        folder_of({"opened.yaml": OPENED}, {})
    wrong = RIGHT | {"centre.yaml": SHARED.replace("[first", "[1 2")}
    with pytest.raises(ConfigError, match=re.escape("line 2, on-call.night[0]: must be the name")):
        folder_of(wrong, {})
    with pytest.raises(ConfigError, match="no playbook that could work"):
        folder_of({"centre.yaml": SHARED, "opened.yaml": "a: b"}, {})


def test_the_service_works_with_what_is_right_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(tmp_path, RIGHT | {"waiting.yaml": WAITING.replace("30m", "soon")})
    (tmp_path / "notes.txt").write_text("no playbook")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    assert len(load(tmp_path).rules) == 4
    said = "".join(capsys.readouterr())
    assert "waiting.yaml: line 11, when.after" in said
    assert "bytes.yaml: cannot be read" in said
    for state, count in (("working", 4), ("left-out", 2)):
        assert REGISTRY.get_sample_value("mawja_outreach_playbooks", {"state": state}) == count


def test_check_names_what_is_wrong(tmp_path: Path) -> None:
    run = CliRunner()
    written(tmp_path, RIGHT)
    right = run.invoke(app, ["playbook", "check", str(tmp_path)])
    assert right.exit_code == 0, right.output
    assert "waiting@2" in right.output
    written(tmp_path, {"danger.yaml": DANGER.replace("2m", "2")})
    wrong = run.invoke(app, ["playbook", "check", str(tmp_path)])
    assert wrong.exit_code == 1
    assert "danger.yaml: line 5, do.hand-over.every: must be" in wrong.output
    assert "waiting@2" in wrong.output
    shipped = run.invoke(app, ["playbook", "check"])
    assert shipped.exit_code == 0, shipped.output


def test_shipped_playbooks_are_all_right() -> None:
    found = shelf.read(None)
    assert not found.wrong
    assert found.shared.on_call["life-safety"]


def test_hours_are_of_the_zone() -> None:
    limits = Limits(shelf.read(None).shared.calling.zone, (8 * 60, 20 * 60))
    eight_in_dubai = 1_800_000_000_000 - 1_800_000_000_000 % 86_400_000 + 4 * 3_600_000
    assert limits.in_hours(eight_in_dubai)
    assert not limits.in_hours(eight_in_dubai - 1)
    assert not limits.in_hours(eight_in_dubai + 12 * 3_600_000)
    assert limits.told() == "08:00-20:00 (Asia/Dubai)"
