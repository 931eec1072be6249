"""Parts are exact for given people, and what is said before there are any holds for all of them."""

from decimal import Decimal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.broadcast import segments, wording
from services.broadcast.segments import Wire
from services.broadcast.texts.fields import MAX_VALUE
from services.broadcast.texts.ladder import Ladder, Reason
from services.broadcast.texts.parts import NOT_PLAIN, Count, Length, Span, estimate, parts_of
from services.broadcast.texts.template import parse, render

GSM = Wire()
INDIAN = Wire(national=("hi", "ur", "bn", "ml"))
SAID = {
    "ar": "عزيزي {name|المواطن}، موعدك يوم {day} رقم {code}.",
    "en": "Dear {name|citizen}, your appointment is on {day}, number {code}. Please bring it.",
    "hi": "प्रिय {name|नागरिक}, आपकी मुलाक़ात {day} को है, संख्या {code}। कृपया इसे साथ लाएँ।",
    "ur": "عزیز {name|شہری}، آپ کی ملاقات {day} کو ہے، نمبر {code}۔",
}
LADDER = Ladder({one: parse(one, said) for one, said in SAID.items()}, "")
LENGTHS = {
    "name": Length(0, 12, 40),
    "day": Length(4, 6, 10, "plain"),
    "code": Length(3, 6, 8, "digits"),
}


@pytest.mark.parametrize(
    ("text", "wire", "drill", "parts"),
    [
        ("a" * 160, GSM, False, 1),
        ("a" * 153, GSM, True, 1),
        ("a" * 154, GSM, True, 2),
        ("ب" * 70, GSM, False, 1),
        ("ب" * 57, GSM, True, 1),
        ("ب" * 58, GSM, True, 2),
        ("क" * 155, INDIAN, False, 1),
        ("क" * 155, GSM, False, 3),
        # "DRILL: " takes the single shift table too: 152 - 7 - 5 septets are left.
        ("क" * 140, INDIAN, True, 1),
        ("क" * 141, INDIAN, True, 2),
    ],
)
def test_the_parts_of_a_text(text: str, wire: Wire, drill: bool, parts: int) -> None:
    assert parts_of(text, wire, drill) == parts


def one(text: str, language: str = "en") -> Ladder:
    return Ladder({language: parse(language, text)}, language)


@pytest.mark.parametrize(
    ("text", "lengths", "wire", "span"),
    [
        ("x" * 150 + "{v}", Length(1, 10, 11, "digits"), GSM, Span(1, 1, 2)),
        ("x" * 150 + "{v}", Length(1, 10, 10, "digits"), GSM, Span(1, 1, 1)),
        # A name in another script: 60 + 10 and two isolates in UCS-2.
        ("x" * 60 + "{v}", Length(1, 5, 8, "any"), GSM, Span(1, 1, 1)),
        ("x" * 60 + "{v}", Length(1, 5, 9, "any"), GSM, Span(1, 1, 2)),
        ("ب" * 60 + "{v}", Length(1, 10, 10, "any"), GSM, Span(1, 1, 2)),
        # Digits by themselves need no isolates in an Arabic line, letters do.
        ("ب" * 60 + "{v}", Length(1, 10, 10, "digits"), GSM, Span(1, 1, 1)),
        ("ب" * 60 + "{v}", Length(1, 8, 10, "plain"), GSM, Span(1, 1, 2)),
        ("ب" * 60 + "{v}", Length(1, 9, 10, "plain"), GSM, Span(1, 2, 2)),
        ("x" * 150 + "{v|" + "y" * 11 + "}", Length(0, 0, 5, "digits"), GSM, Span(1, 2, 2)),
        ("x" * 160 + "{v|}", Length(0, 0, 0, "digits"), GSM, Span(1, 1, 2)),
        ("{v}", Length(0, 0, 0, "digits"), GSM, Span(1, 1, 1)),
        ("क" * 140 + "{v}", Length(1, 15, 15, "digits"), INDIAN, Span(1, 1, 1)),
        ("क" * 140 + "{v}", Length(1, 15, 15, "digits"), GSM, Span(3, 3, 3)),
        ("क" * 140 + "{v}", Length(1, 6, 6, "plain"), INDIAN, Span(1, 1, 1)),
        ("क" * 140 + "{v}", Length(1, 7, 7, "plain"), INDIAN, Span(1, 1, 2)),
    ],
)
def test_known_spans(text: str, lengths: Length, wire: Wire, span: Span) -> None:
    assert estimate(one(text).choose("en"), {"v": lengths}, wire) == span


PLAIN = "".join(char for char in map(chr, range(0x20, 0x7F)) if char not in NOT_PLAIN)
NAMES = st.text(
    st.sampled_from("abcXYZ -.منىکےئनेश্সোé0٤७") | st.characters(max_codepoint=0xFFFF), max_size=40
).filter(lambda name: not any("\ud800" <= char <= "\udfff" for char in name))


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from([*SAID, "bn"]),
    NAMES,
    st.text(PLAIN, min_size=4, max_size=10).filter(str.strip),
    st.text("0123456789", min_size=3, max_size=8),
    st.sampled_from([GSM, INDIAN, Wire(national=("ur",))]),
    st.booleans(),
)
@example("hi", "", "A" * 10, "9" * 8, INDIAN, True)
@example("ur", "Mona Ali", "22-11", "123", INDIAN, False)
def test_no_message_is_longer_than_was_said(
    language: str, name: str, day: str, code: str, wire: Wire, drill: bool
) -> None:
    choice = LADDER.choose(language)
    span = estimate(choice, LENGTHS, wire, drill)
    assert 1 <= span.shortest <= span.typical <= span.longest
    text = choice.render({"name": name, "day": day, "code": code}, wire.holds)
    assert parts_of(text, wire, drill) <= span.longest


def test_a_length_is_needed_for_each_field_and_rises() -> None:
    with pytest.raises(ValueError, match=r"how long \{day\} is; the text in hi has it"):
        estimate(LADDER.choose("hi"), {"name": LENGTHS["name"]}, GSM)
    for lengths in [(2, 1, 3), (-1, 0, 0), (0, 0, MAX_VALUE + 1)]:
        with pytest.raises(ValueError, match="rise from 0"):
            Length(*lengths)


def test_a_field_without_a_default_has_at_least_one_character() -> None:
    ladder = Ladder({one: parse(one, "{v|}" if one == "ar" else "{v}") for one in ("ar", "en")}, "")
    assert estimate(ladder.choose("bn"), {"v": Length(0, 0, 0)}, GSM) == Span(1, 1, 1)


def test_many_defaults_are_bounded_at_once() -> None:
    text = "".join(f"{{f{n}|{'x' * 10}}}" for n in range(12))
    lengths = {f"f{n}": Length(0, 5, 10, "plain") for n in range(12)}
    span = estimate(one(text).choose("en"), lengths, GSM)
    assert (span.shortest, span.typical) == (1, 1)
    assert span.longest == parts_of("x" * 240, GSM)


# --- given recipients ----------------------------------------------------------------------------

PEOPLE = [
    ("ar-AE", {"name": "منى", "day": "22/11", "code": "123456"}, "du", GSM),
    ("en", {"name": "Mona", "day": "22/11", "code": "123456"}, "du", GSM),
    ("en", {"name": "منى", "day": "22/11", "code": "123456"}, "du", GSM),
    ("hi", {"name": "आशा", "day": "22/11", "code": "123456"}, "du", GSM),
    ("hi", {"name": "आशा", "day": "22/11", "code": "123456"}, "etisalat", INDIAN),
    ("bn", {"name": "", "day": "22/11", "code": "123456"}, "etisalat", INDIAN),
    ("en", {"name": "Mona", "day": " ", "code": "123456"}, "du", GSM),
    ("en", {"name": "x" * 41, "day": "22/11", "code": "123456"}, "du", GSM),
]


@pytest.mark.parametrize("drill", [False, True])
def test_given_recipients_are_counted_exactly(drill: bool) -> None:
    count = Count(LADDER, limits={"name": 40}, drill=drill)
    taken = [count.add(*person) for person in PEOPLE]
    for (language, values, _, wire), parts in zip(PEOPLE[:5], taken, strict=False):
        template = parse(language, SAID[language[:2]])
        text = wording.shown(
            render(template, values, wire.holds), drill, wire.alphabet, wire.national
        )
        cut = segments.split(text, national=wire.national)
        assert parts == len(cut.payloads(1))
    assert taken[6:] == [0, 0]
    assert sum(tally.messages for tally in count.tallies.values()) == 6
    assert count.parts == sum(taken)
    assert {key: dict(tally.by_parts) for key, tally in count.tallies.items()} == {
        ("du", ("ar",)): {taken[0]: 1},
        ("du", ("en",)): {1: 1, 2: 1},
        ("du", ("hi",)): {2: 1},
        ("etisalat", ("hi",)): {1: 1},
        ("etisalat", ("ar", "en")): {taken[5]: 1},
    }
    assert count.reasons == {
        ("ar-AE", Reason.OWN_OTHERWISE): 1,
        ("en", Reason.OWN): 2,
        ("hi", Reason.OWN): 2,
        ("bn", Reason.BOTH): 1,
    }
    assert {(language, field) for language, field, _ in count.refused} == {
        ("en", "day"),
        ("en", "name"),
    }


def test_the_cost_is_parts_times_the_price_of_each_carrier() -> None:
    count = Count(LADDER)
    for person in PEOPLE[:6]:
        count.add(*person)
    du = sum(tally.parts for (name, _), tally in count.tallies.items() if name == "du")
    prices = {"du": Decimal("0.035"), "etisalat": Decimal("0.04")}
    assert count.cost(prices) == du * prices["du"] + (count.parts - du) * prices["etisalat"]
    assert count.cost(prices).as_tuple().exponent == -3, "decimal: nothing is rounded"
    with pytest.raises(ValueError, match="carrier etisalat has no price"):
        count.cost({"du": Decimal(1)})
    assert Count(LADDER).cost({}) == 0


def test_a_text_that_no_message_can_hold_is_refused_and_named() -> None:
    ladder = one("ب" * 67 * 255 + "{v}", "ar")
    count = Count(ladder)
    assert count.add("ar", {"v": "x"}, "du", GSM) == 0
    ((language, field, rule),) = count.refused
    assert (language, field) == ("ar", "")
    assert "SMS parts and 255 is the most" in rule
