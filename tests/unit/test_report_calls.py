"""What a campaign did to calls stands in its report where a share was held back, in both languages,
and nowhere else.
"""

from dataclasses import replace

import pytest

from services.broadcast.rules.zones import zone
from services.tools.effects.measuring import Effect, Part
from services.tools.reports.facts import Measured
from services.tools.reports.page import html
from services.tools.reports.telling import document
from services.tools.reports.words import LANGUAGES, Language, Words
from tests.report_log import eventful

DAY = 86_400_000
FEWER = Effect(Part(9_000, 540, 600), Part(1_000, 100, 120), 8_500)


def page(effect: Effect | None, language: Language, over: bool = True) -> str:
    facts = eventful().facts()
    if effect is not None:
        until_ms = facts.made.at_ms + (0 if over else DAY)
        facts = replace(facts, measured=Measured(effect, until_ms))
    words = Words(language, zone("Asia/Dubai"), "Asia/Dubai")
    return html(document(facts, words, "campaign.json"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_callers_of_both_parts_stand_beside_each_other(language: Language) -> None:
    words = Words(language)
    made = page(FEWER, language)
    for told in ("calls", "calls_sent", "calls_held", "calls_key"):
        assert words.say(told) in made
    for figure in ("9,000", "540", "6.0%", "600", "1,000", "100", "10.0%", "120"):
        assert f">{figure}<" in made
    # 4 points of 9,000, Newcombe's interval.
    found, low, high = FEWER.avoided
    assert f"{found:,.0f}" == "360"
    assert f"{low:,.0f} … {high:,.0f}" in made
    assert words.say("calls_chance") not in made
    assert words.say("calls") not in page(None, language)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_campaign_that_brought_calls_says_so(language: Language) -> None:
    brought = Effect(Part(9_000, 900, 900), Part(1_000, 60, 60), 8_500)
    made, words = page(brought, language), Words(language)
    assert words.say("calls_more", found="360", range="|").split("|")[0] in made
    _, low, high = brought.avoided
    assert f"{-high:,.0f} … {-low:,.0f}" in made


def test_what_may_be_chance_or_is_not_over_is_said() -> None:
    little = page(Effect(Part(90, 6, 6), Part(10, 1, 1), 80), "en", over=False)
    assert "That may be chance" in little
    assert "is not over: it ends at" in little
    assert "is not over" not in page(FEWER, "en")
    nobody = page(Effect(Part(0, 0, 0), Part(10, 1, 1), 0), "en")
    assert "Nobody can be compared" in nobody
