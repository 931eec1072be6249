"""Templates say what their author wrote and what a field holds, and nothing else."""

import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.broadcast.segments import Wire
from services.broadcast.texts.direction import FSI, PDI, base, needs_isolate
from services.broadcast.texts.fields import MAX_VALUE, FieldError, cleaned
from services.broadcast.texts.template import (
    Field,
    TemplateError,
    differences,
    parse,
    render,
)

PLAIN = Wire().holds
URDU = Wire(national=("ur",)).holds
ANY = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
# Without what has a meaning to the template or to a line's direction.
LITERAL = st.text(
    st.characters(
        exclude_categories=["Cs", "Cc"],
        exclude_characters="{}\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069",
    ),
    max_size=40,
)
SCRIPTS = [
    "مرحباً بكم، رقم الطلب ٤٥ — شكراً",
    "आपका अनुरोध मिल गया है। ज़रूर क्‍ष",
    "آپ کی درخواست موصول ہو گئی ہے۔",
    "আপনার অনুরোধ পাওয়া গেছে",
    "നിങ്ങളുടെ അപേക്ഷ ന്‍ ൻ",
    "e\u0301 \u00e9 😀👨\u200d👩\u200d👧 🇦🇪",
]


# --- the syntax ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Dear {name}, {{yes}}", "Dear Mona, {yes}"),
        ("{name|citizen}{other|citizen}", "Monacitizen"),
        ("{other|}.", "."),
        ("{{{name}}}", "{Mona}"),
        ("{ name }", "Mona"),
        ("{other|a|b}", "a|b"),
        ("{رقم الطلب}", "45"),
        ("a\r\nb", "a\nb"),
        ("100% $name %s {{0}}", "100% $name %s {0}"),
    ],
)
def test_what_a_template_says(text: str, says: str) -> None:
    assert render(parse("en", text), {"name": "Mona", "رقم الطلب": "45"}, PLAIN) == says


@pytest.mark.parametrize(
    ("text", "position", "rule"),
    [
        ("Dear {name", 6, "this brace is not closed"),
        ("Dear {name, {day}", 6, "this brace is not closed"),
        ("Dear {name\n}", 6, "this brace is not closed"),
        ("Dear name}", 10, "this brace closes nothing"),
        ("{name}}", 7, "this brace closes nothing"),
        ("a {} b", 3, "a field's name is 1 to 64"),
        ("a {na:me} b", 3, "a field's name is 1 to 64"),
        ("a {x!r} b", 3, "a field's name is 1 to 64"),
        ("a {x[0]} b", 3, "a field's name is 1 to 64"),
        ("a {__class__} b", 3, "a field's name is 1 to 64"),
        ("a {" + "x" * 65 + "} b", 3, "a field's name is 1 to 64"),
        ("a {x\u202e} b", 3, "a field's name is 1 to 64"),
        ("a\tb", 2, "this is a control character"),
        ("a {x|b\x00}", 7, "this is a control character"),
        ("a\ud83d", 2, "this is half a character"),
        ("a\u202eb", 2, "this mark overrides the order"),
        ("a\u2067b", 2, "this direction isolate is not closed"),
        ("a\u2067b\nc\u2069", 2, "this direction isolate is not closed in its line"),
        ("ab\u2069", 3, "this mark ends a direction isolate, and none is open"),
        ("a {x|\u2067b} \u2069", 3, "a direction isolate in a default ends there"),
        (" \n", 0, "the text is empty"),
        ("", 0, "the text is empty"),
    ],
)
def test_a_mistake_is_named_by_language_position_and_rule(
    text: str, position: int, rule: str
) -> None:
    with pytest.raises(TemplateError) as refused:
        parse("ur", text)
    first = refused.value.faults[0]
    assert (first.language, first.position) == ("ur", position)
    assert first.rule.startswith(rule)
    where = f"ur, character {position}: " if position else "ur: "
    assert str(refused.value).startswith(where + rule)


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(TemplateError) as refused:
        parse("en", "a} {x!r} b\t{c")
    assert [one.position for one in refused.value.faults] == [2, 4, 11, 12]


@settings(max_examples=300)
@given(ANY)
def test_reading_gives_a_template_or_its_faults(text: str) -> None:
    try:
        template = parse("en", text)
    except TemplateError as refused:
        positions = [one.position for one in refused.faults]
    else:
        positions = [field.position for field in template.fields]
        values = {field.name: "x" for field in template.fields}
        assert render(template, values, PLAIN)
    assert positions == sorted(positions)
    assert all(0 <= one <= len(text) for one in positions)


@settings(max_examples=200)
@given(st.lists(LITERAL, min_size=1, max_size=4), st.sampled_from(SCRIPTS))
def test_letters_stay_one_by_one(literals: list[str], script: str) -> None:
    literals = [script, *literals]
    escaped = [one.replace("{", "{{").replace("}", "}}") for one in literals]
    template = parse("xx", "{name}".join(escaped))
    assert render(template, {"name": "7"}, PLAIN) == "7".join(literals)


@settings(max_examples=300)
@given(ANY)
def test_nothing_of_a_value_is_read_as_a_template(value: str) -> None:
    template = parse("en", "<{name|nobody}>")
    for hostile in (value, "{name}", "{name.__class__}", "{{", "}}{", "%(name)s", "${name}"):
        text = render(template, {"name": hostile}, PLAIN, {"name": 1000})
        inner = text[1:-1].removeprefix(FSI).removesuffix(PDI)
        assert inner == (cleaned(hostile) or "nobody")


# --- values --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("  Mona\t Ali \r\n", "Mona Ali"),
        ("a\x00b\x7f\x9fc", "abc"),
        ("line\u2028two\x85three", "line two three"),
        ("\ufeffمنى\u200f", "منى"),
        ("\u202eevil\u2066\u2069\u061c\u200e", "evil"),
        ("tag\U000e0041", "tag"),
        ("half\ud83d", "half"),
        # Joiners are spelling in Persian, Hindi and Malayalam; number signs are characters.
        ("می\u200cخواهم क्\u200dष", "می\u200cخواهم क्\u200dष"),
        ("\u0600\u0664\u0665", "\u0600\u0664\u0665"),
        ("e\u0301 ﻻ", "e\u0301 ﻻ"),
        ("👨\u200d👩\u200d👧", "👨\u200d👩\u200d👧"),
    ],
)
def test_a_value_is_cleaned(value: str, kept: str) -> None:
    assert cleaned(value) == kept


@settings(max_examples=300)
@given(ANY)
def test_what_is_cleaned_acts_on_nothing(value: str) -> None:
    kept = cleaned(value)
    assert cleaned(kept) == kept
    assert not {unicodedata.category(char) for char in kept} & {"Cc", "Cs", "Zl", "Zp"}
    assert not {unicodedata.bidirectional(char) for char in kept} & {
        "LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI", "B", "S",
    }  # fmt: skip
    letters = [char for char in value if unicodedata.category(char)[0] in "LMNPS"]
    assert [char for char in kept if unicodedata.category(char)[0] in "LMNPS"] == letters


def test_a_field_that_does_not_fit_is_named_and_never_shown() -> None:
    template = parse("en", "Dear {name}, {code}")
    with pytest.raises(FieldError) as refused:
        render(template, {"name": " \n", "code": "7"}, PLAIN)
    error = refused.value
    assert (error.language, error.position, error.field) == ("en", 6, "name")
    assert "no value and the text no default" in error.rule
    with pytest.raises(FieldError) as refused:
        render(template, {"name": "Mona", "code": "secret"}, PLAIN, {"code": 5})
    assert (refused.value.field, refused.value.position) == ("code", 14)
    assert "longer than 5 characters" in str(refused.value)
    assert "secret" not in str(refused.value)
    with pytest.raises(FieldError, match=f"longer than {MAX_VALUE}"):
        render(template, {"name": "x" * (MAX_VALUE + 1), "code": "7"}, PLAIN)
    assert render(template, {"name": "x" * MAX_VALUE, "code": "7"}, PLAIN)


# --- direction -----------------------------------------------------------------------------------


def wrapped(value: str) -> str:
    return FSI + value + PDI


@pytest.mark.parametrize(
    ("text", "value", "shown"),
    [
        # A Latin name in an Arabic line, also at its start, which would turn the line.
        ("عزيزي {v}، أهلاً", "Mona", wrapped("Mona")),
        ("{v}، أهلاً", "Mona", wrapped("Mona")),
        ("عزيزي {v}، أهلاً", "منى", "منى"),
        ("عزيزي {v}، أهلاً", "منى Ali", wrapped("منى Ali")),
        # What a line of Arabic shows in reverse: groups of digits.
        ("اتصل على {v} الآن", "+971 50 123 4567", wrapped("+971 50 123 4567")),
        ("موعدك {v} صباحاً", "2026-11-22", wrapped("2026-11-22")),
        ("موعدك {v} صباحاً", "10:30", "10:30"),
        ("رقم {v} هنا", "45", "45"),
        ("رقم {v} هنا", "٤٥", "٤٥"),
        ("المبلغ {v} درهم", "1,250.75", "1,250.75"),
        # A link would be broken by it on phones that find links themselves.
        ("زوروا {v} الآن", "https://gov.example/a", "https://gov.example/a"),
        ("زوروا {v} الآن", "www.gov.example", "www.gov.example"),
        ("زوروا {v} الآن", "gov.example/x1", "gov.example/x1"),
        # A line of Hindi runs as Latin does.
        ("नमस्ते {v} जी", "Mona", "Mona"),
        ("नमस्ते {v} जी", "منى", wrapped("منى")),
        ("नमस्ते {v} जी", "+971 50", "+971 50"),
        # Needed, and its author has done it.
        ("عزيزي \u2068{v}\u2069، أهلاً", "Mona", "Mona"),
        # Its default too, where its author has not.
        ("عزيزي {other|friend}", "", wrapped("friend")),
        ("عزيزي {other|\u2068friend\u2069}", "", wrapped("friend")),
        # Each line has its own direction.
        ("Dear {v}, you\nمرحباً", "منى", wrapped("منى")),
        ("Dear you\nمرحباً {v}", "منى", "منى"),
        ("مرحباً\n{v}", "Mona", wrapped("Mona")),
    ],
)
def test_a_value_of_the_other_direction_is_kept_apart(text: str, value: str, shown: str) -> None:
    place = text[text.index("{") : text.index("}") + 1]
    assert render(parse("xx", text), {"v": value}, PLAIN) == text.replace(place, shown)


def test_only_where_the_alphabet_can_carry_it() -> None:
    urdu = parse("ur", "آپ کا نمبر {v} ہے")
    assert URDU("آپ کا نمبر ab ہے")
    assert render(urdu, {"v": "ab 12"}, URDU) == "آپ کا نمبر ab 12 ہے"
    assert render(urdu, {"v": "ab 12"}, PLAIN) == f"آپ کا نمبر {wrapped('ab 12')} ہے"
    # An Arabic name takes an English text to UCS-2, which carries it.
    english = parse("en", "Dear {v}.")
    assert render(english, {"v": "منى"}, PLAIN) == f"Dear {wrapped('منى')}."
    assert render(english, {"v": "Mona"}, PLAIN) == "Dear Mona."


@pytest.mark.parametrize(
    ("text", "direction"),
    [
        ("", ""),
        ("123 +", ""),
        ("12 a", "L"),
        ("«ب a", "R"),
        ("\u2068a\u2069 ب", "R"),
        ("\u2067ب\u2069 a", "L"),
        ("अ", "L"),
    ],
)
def test_the_direction_of_a_line(text: str, direction: str) -> None:
    assert base(text) == direction


@given(ANY.map(cleaned), st.sampled_from("LR"))
def test_a_value_of_one_direction_needs_nothing_in_its_own(value: str, line: str) -> None:
    classes = {unicodedata.bidirectional(char) for char in value}
    other = {"R", "AL"} if line == "L" else {"L"}
    if not classes & (other | {"EN", "AN"}):
        assert not needs_isolate(value, line)


# --- translations --------------------------------------------------------------------------------


def test_translations_have_the_same_placeholders() -> None:
    texts = {
        "ar": parse("ar", "{name}: {day} {day}"),
        "en": parse("en", "{name}: {day}"),
        "hi": parse("hi", "{name} {day} {day} {place}"),
        "ur": parse("ur", "{day} {name|x} {day}"),
    }
    assert [str(one) for one in differences(texts, "ar")] == [
        "en: {day} is too seldom here; ar has it 2 times",
        "hi, character 20: {place} is one too many; ar has none",
    ]
    del texts["hi"], texts["ur"]
    texts["bn"] = parse("bn", "{day}")
    assert [str(one) for one in differences(texts, "en")] == [
        "ar, character 15: {day} is one too many; en has it once",
        "bn: {name} is missing; en has it once",
    ]


def test_a_template_knows_its_fields() -> None:
    assert parse("ar", "مرحباً {a|\u2068b\u2069}\n\u2068{c}\u2069 x").fields == (
        Field("a", "\u2068b\u2069", 8, "R", False),
        Field("c", None, 17, "L", True),
    )


def test_a_text_of_any_length_is_read_in_time_that_grows_with_it() -> None:
    def took_s(length: int) -> float:
        text = "نص {name} plain " + "د" * length
        times = []
        for _ in range(3):
            began = time.process_time()
            parse("ar", text)
            times.append(time.process_time() - began)
        return min(times)

    # Eight times the text: by squares it would be sixty-four times the work.
    assert took_s(160_000) < 24 * took_s(20_000)
