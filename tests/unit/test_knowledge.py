"""The knowledge file: the shipped one is right, and a wrong one says where it is wrong."""

import re
from importlib import resources
from pathlib import Path

import pytest

from services.dedup import catalogue
from services.runtime.errors import ConfigError
from services.runtime.knowledge import spoken
from services.runtime.knowledge_file import parse, read

SHIPPED = (resources.files("services.runtime") / "knowledge.yaml").read_text("utf-8")
LANGUAGES = {"ar", "ar-Latn", "en", "hi", "ur", "bn", "ml", "tl"}
SMALL = """
version: 1
sure: 0.8
ask: 0.5
close: 0.2
asking: {en: [where]}
entries:
  roads:
    version: 2
    agency: roads
    topic: road-closure
    questions: {en: [which roads are open], ar: [أي طريق مفتوح]}
    ask: {ar: الطرق, en: roads}
    answer: {ar: جواب, en: an answer}
    valid_from: 2026-11-22T06:00:00Z
    valid_until: 2026-11-24
    approver: staff-7
    approved_on: 2026-11-22T10:00:00+04:00
"""
SIX_UTC = 1_795_327_200_000


def test_what_is_written_is_read() -> None:
    knowledge = parse(SMALL, "small.yaml")
    assert (knowledge.sure, knowledge.ask, knowledge.close) == (0.8, 0.5, 0.2)
    assert not knowledge.examples
    entry = knowledge.entries["roads"]
    assert (entry.label, entry.agency, entry.topic) == ("roads@2", "roads", "road-closure")
    assert entry.questions["en"] == ("which roads are open",)
    assert (entry.ask["en"], entry.answer["ar"]) == ("roads", "جواب")
    assert entry.valid_from_ms == entry.approved_ms == SIX_UTC
    assert entry.valid_until_ms == SIX_UTC + 42 * 3_600_000
    assert entry.approver == "staff-7"


@pytest.mark.parametrize(
    ("at_ms", "sendable"),
    [
        (SIX_UTC - 1, False),
        (SIX_UTC, True),
        (SIX_UTC + 42 * 3_600_000 - 1, True),
        (SIX_UTC + 42 * 3_600_000, False),
    ],
)
def test_an_answer_may_be_sent_while_it_is_valid(at_ms: int, sendable: bool) -> None:
    assert parse(SMALL, "small.yaml").entries["roads"].sendable(at_ms) is sendable


def test_a_draft_may_not_be_sent() -> None:
    draft = SMALL.replace("    approver: staff-7\n", "").replace(
        "    approved_on: 2026-11-22T10:00:00+04:00\n", ""
    )
    assert not parse(draft, "small.yaml").entries["roads"].sendable(SIX_UTC)


def test_what_is_approved_later_may_not_be_sent_yet() -> None:
    later = SMALL.replace("2026-11-22T10:00:00+04:00", "2026-11-22T10:00:01+04:00")
    entry = parse(later, "small.yaml").entries["roads"]
    assert not entry.sendable(SIX_UTC + 999)
    assert entry.sendable(SIX_UTC + 1000)


@pytest.mark.parametrize(
    ("old", "new", "where", "rule"),
    [
        ("version: 1\n", "version: 2\n", "small.yaml: version", "must be 1"),
        ("sure: 0.8\n", "", "small.yaml", "missing or not known: sure"),
        ("sure: 0.8", "sure: 80", "small.yaml: sure", "at most 1"),
        ("close: 0.2", "close: yes", "small.yaml: close", "at most 1"),
        ("ask: 0.5", "ask: 0.9", "small.yaml: ask", "not be above sure"),
        ("close: 0.2", "close: 0.2\nexamples: 1", "small.yaml: examples", "true, or left out"),
        ("asking: {en: [where]}", "asking: []", "small.yaml: asking", "by language"),
        ("{en: [where]}", "{en: [no]}", "small.yaml: asking, en", "quote no"),
        ("  roads:\n    version: 2", "  Roads:\n    version: 2", "small.yaml: Roads", "a-z, 0-9"),
        ("version: 2", "version: 0", "small.yaml: roads: version", "whole number"),
        ("version: 2", "version: true", "small.yaml: roads: version", "whole number"),
        ("agency: roads", "agency: Ministry of Roads", "small.yaml: roads: agency", "a-z, 0-9"),
        ("    topic: road-closure\n", "", "small.yaml: roads", "missing or not known: topic"),
        ("    topic:", "    tropic: x\n    topic:", "small.yaml: roads", "not known: tropic"),
        ("{en: [which roads are open]", "{en: []", "small.yaml: roads: questions, en", "one text"),
        ("{en: [which roads are open]", "{en: [112]", "small.yaml: roads: questions, en", "quote"),
        ("answer: {ar: جواب, ", "answer: {", "small.yaml: roads: answer", "ar and en"),
        ("en: an answer", "en: ''", "small.yaml: roads: answer, en", "must be a text"),
        ("en: an answer", "en: 'to {you}'", "small.yaml: roads: answer, en", "nothing is filled"),
        ("en: an answer", "en: " + "a" * 461, "small.yaml: roads: answer, en", "at most 460"),
        ("ar: جواب", "ar: " + "ج" * 201, "small.yaml: roads: answer, ar", "at most 200"),
        ("ar: جواب", "ar: " + "😀" * 101, "small.yaml: roads: answer, ar", "at most 200"),
        ("en: roads}", "en: " + "r" * 61 + "}", "small.yaml: roads: ask, en", "at most 60"),
        ("2026-11-22T06:00:00Z", "tomorrow", "small.yaml: roads: valid_from", "2026-11-22T18"),
        ("2026-11-22T06:00:00Z", "2026-11-22 06:00", "small.yaml: roads: valid_from", "must be"),
        ("2026-11-22T06:00:00Z", "2026-11-22T06:00:00", "small.yaml: roads: valid_from", "must"),
        ("2026-11-24", "2026-11-22", "small.yaml: roads: valid_until", "after valid_from"),
        ("    approver: staff-7\n", "", "small.yaml: roads: approver and", "go together"),
        ("approver: staff-7", "approver: ''", "small.yaml: roads: approver", "staff id"),
        ("approver: staff-7", "approver: 7", "small.yaml: roads: approver", "staff id"),
        ("entries:\n", "entries: [\n", "small.yaml", "is not YAML in line"),
    ],
)
def test_a_mistake_is_told_with_entry_field_and_rule(
    old: str, new: str, where: str, rule: str
) -> None:
    assert old in SMALL
    with pytest.raises(ConfigError) as failure:
        parse(SMALL.replace(old, new, 1), "small.yaml")
    assert str(failure.value).startswith(where)
    assert rule in str(failure.value)


@pytest.mark.parametrize("text", ["", "a", "- a", "version: 1", "a\x00b", "entries: &a [*a]"])
def test_what_is_no_knowledge_file_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"small\.yaml"):
        parse(text, "small.yaml")


def test_a_file_without_entries_answers_nothing() -> None:
    assert parse(SMALL[: SMALL.index("entries:")] + "entries: {}", "small.yaml").entries == {}


def test_a_file_takes_the_place_of_the_shipped_one(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(SMALL, "utf-8")
    assert list(read(mine).entries) == ["roads"]
    with pytest.raises(ConfigError, match=r"MAWJA_KNOWLEDGE: .*none\.yaml cannot be read"):
        read(tmp_path / "none.yaml")
    mine.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="MAWJA_KNOWLEDGE"):
        read(mine)


# The shipped file.


def test_the_shipped_file_is_marked_as_examples() -> None:
    knowledge = read()
    assert knowledge.examples
    assert len(knowledge.entries) >= 25
    assert all(entry.approver == "example-approver" for entry in knowledge.entries.values())
    # Whoever copies it sees what it is before anything else.
    assert re.search(r"^# EXAMPLES\.", SHIPPED, re.MULTILINE)


@pytest.mark.parametrize("name", sorted(read().entries))
def test_each_entry_is_asked_in_every_language_and_belongs_to_the_catalogue(name: str) -> None:
    entry = read().entries[name]
    assert entry.questions.keys() == LANGUAGES
    assert len(entry.questions["ar"]) >= 3
    assert catalogue.read().agency_of(entry.topic) == entry.agency


@pytest.mark.parametrize(
    ("tag", "language"),
    [("ar-AE", "ar"), ("ar-Latn", "ar"), ("EN", "en"), ("fil-PH", "tl"), ("am", ""), ("", "")],
)
def test_a_tag_finds_its_language(tag: str, language: str) -> None:
    assert spoken({"ar": "", "en": "", "tl": ""}, tag) == language
