"""How `mawja campaign` says names, times and spans, and what it gives to programs."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mawja.broadcast.v1.campaigns_pb2 import (
    Rehearsal,
)

from services.tools.campaigns import words
from tests.campaigns_shown import AT, GULF, NASTY, UNDER_WAY, campaign, count


def test_arabic_stands_between_isolates_and_nothing_else_does() -> None:
    assert words.said("ملجأ 12") == "\u2068ملجأ 12\u2069"
    assert words.said("Shelter 12") == "Shelter 12"
    assert words.said("a\u202eb\x1b[2J\nc\u2069") == "ab[2J c"
    assert words.said_lines("one\nاثنان") == ["one", "\u2068اثنان\u2069"]


@settings(deadline=None)
@given(st.text(max_size=60))
def test_what_anybody_wrote_stays_in_its_line(text: str) -> None:
    shown = words.said(text)
    assert "\x1b" not in shown
    assert len(shown.splitlines()) <= 1
    assert shown.count("\u2068") == shown.count("\u2069") <= 1
    inner = shown.strip("\u2068\u2069")
    assert not set(inner) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def test_times_say_their_zone() -> None:
    assert words.when(AT, GULF) == "2026-11-22 18:00 +04"
    assert words.hour(AT + 5_000, GULF) == "18:00:05 +04"


@pytest.mark.parametrize(
    ("ms", "said"),
    [
        (0, "0 s"),
        (1, "1 s"),
        (59_000, "59 s"),
        (61_000, "2 min"),
        (3_600_000, "1 h"),
        (3_660_000, "1 h 1 min"),
        (90_000_000, "1 d 1 h"),
    ],
)
def test_times_that_pass_are_never_told_too_short(ms: int, said: str) -> None:
    assert words.lasting(ms) == said


def test_json_is_for_programs() -> None:
    told = words.as_dict(
        campaign(rehearsal=Rehearsal(hash=b"\x01\xff", cost_milli={"AED": 5}, rehearsed_ms=AT))
    )
    assert (told["state"], told["version"], told["plan"]["drill"]) == ("running", 0, True)
    assert told["plan"]["name"] == NASTY
    assert told["rehearsal"]["hash"] == "01ff"
    assert told["rehearsal"]["cost_milli"] == {"AED": 5}
    assert told["rehearsal"]["rehearsed_ms"] == AT
    assert "approved" not in told
    assert words.as_dict(count(UNDER_WAY, 3))["bucket"] == "under_way"
