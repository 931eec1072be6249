"""Every string of a report is there in every language, and says what the services may state."""

import ast
import inspect
import re
from datetime import UTC
from pathlib import Path
from string import Formatter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mawja.broadcast.v1 import campaigns_pb2, events_pb2

from services.broadcast.audiences import rules as rows
from services.broadcast.campaigns import life, register
from services.broadcast.carriers.base import UnknownReason
from services.broadcast.carriers.errors import SendError
from services.broadcast.outcome import reason_of
from services.broadcast.rules.judge import Reason
from services.broadcast.rules.zones import zone
from services.tools.reports.facts import BUCKETS
from services.tools.reports.words import LANGUAGES, Language, Words, apart, plain, tables

PACKAGE = Path("services/tools/reports")
ARABIC = re.compile("[\u0600-\u06ff]")
# Placeholders are names, and are no words.
_FIELD = re.compile(r"\{[a-z]+\}")


def strings(language: Language) -> list[tuple[str, str]]:
    found = []
    for table, entries in tables().items():
        for entry, told in entries.items():
            where = f"{table}.{entry}"
            if table == "months":
                found += [(where, one) for one in told] if entry == language else []
            elif table == "plurals":
                forms = told[language]
                assert isinstance(forms, dict)
                found += [(f"{where}.{form}", text) for form, text in forms.items()]
            else:
                found.append((where, str(told[language])))
    return found


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_string_is_in_its_language(language: Language) -> None:
    for where, text in strings(language):
        words = _FIELD.sub("", text)
        assert text.strip(), where
        if where == "texts.mark":
            # In both, whatever the language: it must be understood at a glance.
            assert ARABIC.search(words)
            assert "DRILL" in words
        elif language == "en":
            assert not ARABIC.search(words), where
        elif words not in ("–",):
            assert ARABIC.search(words), where


def test_the_languages_take_the_same_values() -> None:
    fields = [
        [(where, sorted(name for _, name, _, _ in Formatter().parse(text) if name))
         for where, text in strings(language) if not where.startswith(("months", "plurals"))]
        for language in LANGUAGES
    ]  # fmt: skip
    assert fields[0] == fields[1]


def test_every_string_is_used() -> None:
    code = "".join(path.read_text() for path in PACKAGE.glob("*.py"))
    for entry in tables()["texts"]:
        if not entry.startswith("wrong_"):
            assert re.search(f"""["']{entry}["']""", code), entry


def test_whatever_the_services_state_has_words() -> None:
    known = set(tables()["reasons"])
    stated = {
        *(reason_of(error) for error in SendError),
        *(one.value.replace("_", "-") for one in UnknownReason),
        *(one.value for one in Reason),
        "takeover", "no-receipt", "restored", "erased", "no-route", "synthetic-number", "landline",
        "invalid-number", "field-missing", "text-not-sendable",
        "campaign-held", "no-text", "damaged",
    }  # fmt: skip
    room = Path("services/broadcast")
    written = (room / "receipts.py").read_text()
    stated |= set(re.findall(r'PART_FAILED, "([a-z-]+)"', written))
    stated |= set(rows.RULES)
    assert stated - known == set(), "words.yaml must tell these reasons in every language"
    assert set(BUCKETS) == set(tables()["buckets"])
    assert set(BUCKETS) == named(campaigns_pb2.Bucket.keys(), "BUCKET_")
    states = named(campaigns_pb2.CampaignState.keys(), "CAMPAIGN_STATE_")
    assert states == set(tables()["states"])
    assert named(events_pb2.CampaignKind.keys(), "CAMPAIGN_KIND_") == set(tables()["kinds"])


def test_whatever_campaigns_are_refused_for_has_words() -> None:
    said = {rule for _, rule in life._MAY.values()} | {life.OTHER_TERMS}
    for module in (life, register):
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Refused":
                told = node.args[1]
                if isinstance(told, ast.Constant):
                    said.add(str(told.value))
                elif isinstance(told, ast.JoinedStr):
                    said.add("".join(_constant(one) for one in told.values))
    said.discard("it is x: x")
    assert len(said) > 18
    for sentence in said:
        assert ARABIC.search(Words("ar").refusal(str(sentence))), sentence
    held = "it is paused: only a running campaign can be paused"
    assert Words("ar").refusal(held) == "هي موقوفة مؤقتًا: لا يوقف مؤقتًا إلا ما هو قيد الإرسال"
    assert Words("en").refusal(held) == "it is held: only a running campaign can be paused"
    assert Words("ar").refusal("what nobody wrote yet") == apart("what nobody wrote yet")


def _constant(part: ast.expr) -> str:
    return str(part.value) if isinstance(part, ast.Constant) else "x"


def named(keys: list[str], prefix: str) -> set[str]:
    return {key.removeprefix(prefix).lower() for key in keys} - {"unspecified"}


@pytest.mark.parametrize(
    ("count", "arabic", "english"),
    [
        (0, "لا مستلم", "0 recipients"),
        (1, "مستلم واحد", "1 recipient"),
        (2, "مستلمان", "2 recipients"),
        (7, "7 مستلمين", "7 recipients"),
        (11, "11 مستلمًا", "11 recipients"),
        (100, "100 مستلم", "100 recipients"),
        (1_103, "1,103 مستلمين", "1,103 recipients"),
        (1_250, "1,250 مستلمًا", "1,250 recipients"),
    ],
)
def test_plurals(count: int, arabic: str, english: str) -> None:
    assert Words("ar").count("recipients", count) == arabic
    assert Words("en").count("recipients", count) == english


def test_times_are_told_in_their_zone() -> None:
    at_ms = 1_795_330_800_000
    dubai = zone("Asia/Dubai")
    assert Words("en", UTC).time(at_ms) == "22 November 2026, 07:00:00"
    assert Words("en", dubai, "Asia/Dubai").time(at_ms) == "22 November 2026, 11:00:00"
    day_ms = 24 * 3_600_000
    assert Words("en", dubai).near(at_ms + 60_000, at_ms) == "11:01:00"
    assert Words("en", dubai).near(at_ms + day_ms, at_ms) == "23 November 11:00"
    assert Words("ar", dubai, "Asia/Dubai").time(at_ms) == "22 نوفمبر 2026، 11:00:00"


@pytest.mark.parametrize(
    ("ms", "arabic", "english"),
    [
        (0, "0 ملّي ثانية", "0 milliseconds"),
        (200_000, "3 دقائق و20 ثانية", "3 minutes 20 seconds"),
        (7_205_000, "ساعتين", "2 hours"),
        (90_061_000, "يوم واحد وساعة واحدة", "1 day 1 hour"),
    ],
)
def test_durations(ms: int, arabic: str, english: str) -> None:
    assert (Words("ar").duration(ms), Words("en").duration(ms)) == (arabic, english)


def test_a_share_is_all_or_nothing_only_when_it_is() -> None:
    words = Words("en")
    shares = [words.percent(n, 1_000_000) for n in (0, 1, 999_999, 1_000_000)]
    assert shares == ["0.0%", "0.1%", "99.9%", "100%"]
    assert words.percent(0, 0) == "–"


@given(st.text())
def test_no_text_of_staff_turns_the_line_around_it(text: str) -> None:
    shown = apart(text)
    assert shown[0] == "\u2068"
    assert shown[-1] == "\u2069"
    assert not set(shown[1:-1]) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\0")
    # A name written with joiners is still the same name.
    assert plain("می\u200cخواهم") == "می\u200cخواهم"
