"""Rules of outreach: the shipped ones are right, and a wrong file says where it is wrong."""

import re
from pathlib import Path

import pytest
from mawja.common.v1 import common_pb2

from services.broadcast.segments import split
from services.outreach import shelf
from services.outreach.rule_file import parse
from services.outreach.rules import CHANNELS, SEVERAL, Event, Message, Rule
from services.runtime import ids
from services.runtime.errors import ConfigError

SHIPPED = (Path(__file__).parents[1] / "fixtures" / "outreach_rules.yaml").read_text("utf-8")
"""One file of rules, which an installation may have in the place of a folder of playbooks."""
LANGUAGES = ("ar", "en", "hi", "ur", "bn", "ml", "tl")
SCRIPTS = {
    "ar": r"[\u0600-\u06ff]",
    "en": r"[a-z]",
    "hi": r"[\u0900-\u097f]",
    "ur": r"[\u0679\u06be\u06c1\u06d2]",
    "bn": r"[\u0980-\u09ff]",
    "ml": r"[\u0d00-\u0d7f]",
    "tl": r"\b(ang|namin|hindi)\b",
}
NUMBER = ids.case_number(ids.case_id("a"))


def shipped() -> dict[str, Rule]:
    return {rule.name: rule for rule in shelf.read(None).rules}


def message(name: str) -> Message:
    found = shipped()[name].message
    assert found is not None
    return found


TOLD = ["callback-promised", "callback-moved", "callback-given-up"]


def test_what_is_shipped() -> None:
    rules = shipped()
    names = ["acknowledge", "callback-offer", "answer", "clarify", *TOLD]
    assert set(rules) >= set(names)
    acknowledge, offer, answer, clarify, *told = (rules[name] for name in names)
    # The folder says the same as the one file of all of them.
    assert {rule.name: rule for rule in parse(SHIPPED, "f")} == {n: rules[n] for n in names}
    assert [rule.event for rule in told] == TOLD
    assert (answer.event, answer.instead) == (Event.QUESTION_ANSWERED, "acknowledge")
    assert (clarify.event, clarify.instead) == (Event.QUESTION_UNCLEAR, "acknowledge")
    assert answer.channels == clarify.channels == acknowledge.channels
    assert acknowledge.label == "acknowledge@1"
    assert not acknowledge.callback
    assert offer.callback
    for channel in ("sms", "whatsapp", "web", "social", "email"):
        assert acknowledge.applies(Event.CASE_OPENED, CHANNELS[channel])
    for channel in ("voice", "sign-language-video"):
        assert not acknowledge.applies(Event.CASE_OPENED, CHANNELS[channel])
        assert offer.applies(Event.CALL_ABANDONED, CHANNELS[channel])
    assert not acknowledge.applies(Event.CALL_ABANDONED, common_pb2.CHANNEL_SMS)


WINDOW = {"window": dict.fromkeys(LANGUAGES, "22/11 16:00-20:00")}


@pytest.mark.parametrize("name", ["acknowledge", "callback-offer", *TOLD])
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_text_in_each_language(name: str, language: str) -> None:
    words = WINDOW if name in TOLD[:2] else {}
    rendered, text = message(name).render(language, NUMBER, words)
    assert rendered == language
    assert text.count(NUMBER) == 1
    assert "{" not in text
    assert re.search(SCRIPTS[language], text)
    # Who writes comes first, so that people trust the rest.
    centre = re.search(rf"^  {language}: (.*)$", SHIPPED, re.MULTILINE)
    assert centre is not None
    assert text.startswith(f"{centre[1]}: ")
    cut = split(text)
    assert cut.part_count <= (1 if language in ("en", "tl") else 2), cut.units


@pytest.mark.parametrize("name", ["acknowledge", "callback-offer"])
def test_another_language_gets_arabic_and_english(name: str) -> None:
    both = message(name)
    language, text = both.render("am", NUMBER)
    assert language == SEVERAL
    assert text == f"{both.render('ar', NUMBER)[1]}\n{both.render('en', NUMBER)[1]}"
    assert both.render("", NUMBER) == (language, text)
    assert split(text).part_count <= 4


@pytest.mark.parametrize(
    ("tag", "language"), [("ar-AE", "ar"), ("UR", "ur"), ("fil-PH", "tl"), ("en-GB", "en")]
)
def test_a_tag_finds_its_language(tag: str, language: str) -> None:
    assert message("acknowledge").render(tag, NUMBER)[0] == language


def line_of(text: str) -> int:
    return SHIPPED[: SHIPPED.index(text)].count("\n") + 1


@pytest.mark.parametrize(
    ("old", "new", "field", "rule"),
    [
        ("expires: 1h", "expires: soon", "rules[0].message.expires", "e.g. 30m"),
        ("expires: 1h", "expires: 3600", "rules[0].message.expires", "e.g. 30m"),
        ("expires: 1h", "expires: 8d", "rules[0].message.expires", "to 7d"),
        ("name: acknowledge", "name: Thank You", "rules[0].name", "lower-case"),
        ("version: 1", "version: one", "rules[0].version", "whole number"),
        (
            "when:\n      event: case-opened",
            "when:\n      event: opened",
            "rules[0].when.event",
            "case-opened, call-",
        ),
        ("[sms, whatsapp", "[sms, fax", "rules[0].when.channels[1]", "voice, sms"),
        ("callback: true", "callback: maybe", "rules[1].callback", "true or false"),
        (
            "event: call-abandoned\n    callback: true",
            "event: case-opened\n    callback: true",
            "rules[1].callback",
            "call-abandoned",
        ),
        ("    callback: true", "    call: true", "rules[1].call", "is not known"),
        ('ar: "{centre}: نعتذر', 'ar: "نعتذر', "rules[1].message.texts.ar", "{centre} is missing"),
        ("reference {case_number}", "reference", "rules[0].message.texts.en", "{case_number} is"),
        ("no. {case_number}", "no. {case}", "rules[0].message.texts.tl", "{case} stands for"),
        ("  ml: സർക്കാർ", "  mm: സർക്കാർ", "rules[0].message.texts.ml", "centre.ml is missing"),
        ('        bn: "{centre}: আপনার', '        hi: "{centre}: আপনার', "texts.hi", "stands twice"),
        ("  - name: callback-offer", "  - name: acknowledge", "rules[1].name", "earlier rule"),
        ("    instead: acknowledge", "    instead: thanks", "rules[2].instead", "an earlier rule"),
        ("{centre}: {answer}", "{centre}: {first}", "rules[2].message.texts.ar", "{first} stands"),
        ("1 {first}", "1 {answer}", "rules[3].message.texts.ar", "{answer} stands for"),
        ("سنتصل بكم {window}", "سنتصل بكم", "rules[4].message.texts.ar", "{window} is missing"),
        (
            "event: callback-given-up\n",
            "event: callback-given-up\n      channels: [sms]\n",
            "rules[6].when.channels",
            "does not go with",
        ),
    ],
)
def test_a_mistake_is_told_with_line_and_field(old: str, new: str, field: str, rule: str) -> None:
    assert old in SHIPPED
    changed = SHIPPED.replace(old, new, 1)
    with pytest.raises(ConfigError) as failure:
        parse(changed, "mine.yaml")
    told = [line for line in str(failure.value).splitlines() if field in line]
    assert told, str(failure.value)
    assert rule in told[0]
    place = re.match(r"mine\.yaml: line (\d+), ", told[0])
    assert place is not None
    # centre.ml is missing where the text needs it; the rest is wrong where it was changed.
    if "centre.ml" not in rule:
        assert int(place[1]) == line_of(old) + old.count("\n")


def test_every_mistake_is_told_at_once() -> None:
    wrong = SHIPPED.replace("expires: 1h", "expires: 1y").replace("version: 1", "version: 0")
    with pytest.raises(ConfigError) as failure:
        parse(wrong, "mine.yaml")
    told = str(failure.value)
    assert told.count(".expires: ") == 4
    assert told.count(".version: ") == 4 + len(TOLD)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "it is empty"),
        ("centre: [", "line 1: not YAML"),
        ("rules: &a [*a]\ncentre: x", "rules[0]: must be a mapping"),
        ("- a", "must be a mapping"),
        ("centre:\n  ar: x\n  en: y\nrules: []", "line 4, rules: must be a list of at least one"),
        ("centre:\n  en: y\nrules: 1", "line 2, centre.ar: is missing"),
        ("a\x00b", "not YAML"),
        ("centre: {ar: a, en: b}\nrules: [{name: a, version: 1, when: {event: case-opened}}]",
         "rules[0]: does nothing"),
    ],
)  # fmt: skip
def test_what_is_no_rules_file_is_refused(text: str, rule: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(rule)):
        parse(text, "mine.yaml")


def test_a_file_takes_the_place_of_the_shipped_one(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(SHIPPED.replace("version: 1", "version: 7"), "utf-8")
    assert [rule.label for rule in shelf.read(mine).rules] == [
        "acknowledge@7",
        "callback-offer@7",
        "answer@7",
        "clarify@7",
        *(f"{name}@7" for name in TOLD),
    ]
    with pytest.raises(ConfigError, match=r"MAWJA_RULES: .*none\.yaml cannot be read"):
        shelf.read(tmp_path / "none.yaml")
    mine.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="MAWJA_RULES"):
        shelf.read(mine)
