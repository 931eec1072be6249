"""Who gets which text, and that nobody goes without one unnoticed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.broadcast.segments import Wire
from services.broadcast.texts.direction import FSI, PDI
from services.broadcast.texts.fields import FieldError
from services.broadcast.texts.ladder import Ladder, LadderError, MissingTranslations, Reason
from services.broadcast.texts.template import parse

HOLDS = Wire().holds
SAID = {
    "ar": "مرحباً {name}",
    "en": "Hello {name}",
    "hi": "नमस्ते {name}",
    "tl": "Kumusta {name}",
    "zh-Hant": "你好 {name}",
    "ur": "سلام {name}",
}


def ladder(*languages: str, campaign: str = "") -> Ladder:
    return Ladder({one: parse(one, SAID[one]) for one in languages}, campaign)


ALL = ladder(*SAID, campaign="ar")
FOOT = ladder("ar", "en", "hi")


@pytest.mark.parametrize(
    ("language", "campaign", "gets", "reason"),
    [
        ("hi", "ar", ("hi",), Reason.OWN),
        ("HI", "ar", ("hi",), Reason.OWN),
        ("hi-Latn", "ar", ("hi",), Reason.OWN_OTHERWISE),
        ("hi-Latn-IN", "ar", ("hi",), Reason.OWN_OTHERWISE),
        ("ar-AE", "en", ("ar",), Reason.OWN_OTHERWISE),
        ("ar_AE", "en", ("ar",), Reason.OWN_OTHERWISE),
        ("ar-x-private", "en", ("ar",), Reason.OWN_OTHERWISE),
        # Two codes of one language.
        ("fil", "ar", ("tl",), Reason.OWN),
        ("tl-PH", "ar", ("tl",), Reason.OWN_OTHERWISE),
        # A text for a part of a language is not one for all of it.
        ("zh", "ar", ("ar",), Reason.CAMPAIGN),
        ("zh-Hant-TW", "ar", ("zh-Hant",), Reason.OWN_OTHERWISE),
        ("bn", "hi", ("hi",), Reason.CAMPAIGN),
        ("bn", "", ("ar", "en"), Reason.BOTH),
        ("", "hi", ("hi",), Reason.CAMPAIGN),
        ("und", "", ("ar", "en"), Reason.BOTH),
        ("bn", "bn", ("ar", "en"), Reason.BOTH),
        ("bn", "hi-Latn", ("hi",), Reason.CAMPAIGN),
    ],
)
def test_the_ladder(language: str, campaign: str, gets: tuple[str, ...], reason: Reason) -> None:
    choice = ladder(*SAID, campaign=campaign).choose(language)
    assert (choice.languages, choice.reason) == (gets, reason)
    assert choice.language == ("" if language == "und" else language)


@given(st.lists(st.sampled_from(sorted(SAID)), unique=True), st.sampled_from(["", *SAID, "bn"]))
def test_a_ladder_has_a_foot_or_is_refused(languages: list[str], campaign: str) -> None:
    stands = campaign in languages or {"ar", "en"} <= set(languages)
    if not stands:
        with pytest.raises(LadderError, match="in Arabic and English"):
            ladder(*languages, campaign=campaign)
        return
    made = ladder(*languages, campaign=campaign)
    for language in ("", "bn", *SAID):
        choice = made.choose(language)
        assert choice.texts
        assert (choice.reason is Reason.OWN) == (language in languages)
        assert choice.missing == (language not in (*languages, ""))
        assert choice == made.choose(language)


def test_a_language_has_one_text() -> None:
    texts = {one: parse(one, "x") for one in ("tl", "fil", "ar", "en")}
    with pytest.raises(LadderError, match="two texts in fil"):
        Ladder(texts, "ar")


def test_a_missing_translation_is_refused_or_openly_accepted() -> None:
    needed = ["ar-AE", "bn", "hi", "", "und", "so", "bn", "hi-Latn"]
    assert FOOT.missing(needed) == ("bn", "so")
    with pytest.raises(MissingTranslations, match="no text in bn, so; write it, or accept") as no:
        FOOT.settle(needed)
    assert no.value.languages == ("bn", "so")
    accepted = FOOT.settle(needed, accept_missing=True)
    assert {language: choice.reason for language, choice in accepted.items()} == {
        "": Reason.BOTH,
        "und": Reason.BOTH,
        "ar-AE": Reason.OWN_OTHERWISE,
        "bn": Reason.BOTH,
        "hi": Reason.OWN,
        "hi-Latn": Reason.OWN_OTHERWISE,
        "so": Reason.BOTH,
    }
    assert [one for one, choice in accepted.items() if choice.missing] == ["bn", "so"]
    assert set(FOOT.settle(["ar", "hi", ""])) == {"ar", "hi", ""}


def test_arabic_and_english_stand_in_one_message_arabic_first() -> None:
    both = FOOT.choose("bn")
    assert both.render({"name": "Mona"}, HOLDS) == f"مرحباً {FSI}Mona{PDI}\nHello Mona"
    # The Arabic half takes the message to UCS-2, so the English half may have isolates too.
    assert both.render({"name": "منى"}, HOLDS) == f"مرحباً منى\nHello {FSI}منى{PDI}"
    with pytest.raises(FieldError, match="ar, character 8, field name"):
        both.render({}, HOLDS)


def test_where_the_alphabet_holds_both_neither_has_isolates() -> None:
    texts = {"ar": parse("ar", "دفتر {v}"), "en": parse("en", "office {v}")}
    both = Ladder(texts, "").choose("bn")
    wire = Wire(national=("ur",))
    assert wire.holds("دفتر office")
    assert both.render({"v": "ab"}, wire.holds) == "دفتر ab\noffice ab"
    assert both.render({"v": "ab"}, HOLDS) == f"دفتر {FSI}ab{PDI}\noffice ab"


def test_each_language_gets_its_own() -> None:
    assert ALL.choose("ur").render({"name": "علی"}, HOLDS) == "سلام علی"
    assert ALL.choose("hi").render({"name": "Asha"}, HOLDS) == "नमस्ते Asha"
