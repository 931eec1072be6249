"""Numbers of an audience's file: what is remembered of a block is what would be said of each."""

import random
import re

import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.broadcast.audiences import rules
from services.broadcast.audiences.plans import Plan, Unreadable, longest
from services.broadcast.audiences.rules import RULES, Rule
from services.broadcast.audiences.telephone import TAIL, Numbers
from services.runtime.errors import Invalid

REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)
TYPES = (
    phonenumbers.PhoneNumberType.MOBILE,
    phonenumbers.PhoneNumberType.FIXED_LINE,
    phonenumbers.PhoneNumberType.TOLL_FREE,
    phonenumbers.PhoneNumberType.UAN,
    phonenumbers.PhoneNumberType.PREMIUM_RATE,
)

READ = [
    ("0501234567", "+971501234567"),
    ("+971501234567", "+971501234567"),
    ("00971501234567", "+971501234567"),
    ("+00971501234567", "+971501234567"),
    ("971501234567", "+971501234567"),
    ("501234567", "+971501234567"),
    ("+971 (0)50 123 4567", "+971501234567"),
    ("+971-50-123-4567", "+971501234567"),
    ("050/1234567", "+971501234567"),
    ("050.123.4567", "+971501234567"),
    ("050\u00a0123\u202f4567", "+971501234567"),
    ("050\u2011123\u20134567", "+971501234567"),
    ("\u202a+971501234567\u202c", "+971501234567"),
    ("\u200f0501234567\u200e", "+971501234567"),
    ("050\u200b123\u200d4567\ufeff", "+971501234567"),
    ("٠٥٠١٢٣٤٥٦٧", "+971501234567"),
    ("۰۵۰۱۲۳۴۵۶۷", "+971501234567"),
    ("०५०१२३४५६७", "+971501234567"),
    ("050123٤٥٦٧", "+971501234567"),
    ("971501234567+", "+971501234567"),
    ("＋971501234567", "+971501234567"),
    ("'0501234567", "+971501234567"),
    ("’0501234567", "+971501234567"),
    ('="0501234567"', "+971501234567"),
    ("tel:+971501234567", "+971501234567"),
    ("971501234567.0", "+971501234567"),
    ("971501234567,00", "+971501234567"),
    ("9.71501234567E+11", "+971501234567"),
    ("971501234567E+00", "+971501234567"),
    (" 0501234567\t", "+971501234567"),
    # A range that the plan does not know yet is not a wrong one.
    ("0531234567", "+971531234567"),
    ("+971531234567", "+971531234567"),
    ("+966 50 123 4567", "+966501234567"),
    ("+999512345678", "+999512345678"),
]
BAD = [
    ("", rules.NUMBER_MISSING),
    ("\u200f \u00a0", rules.NUMBER_MISSING),
    ("'", rules.NUMBER_MISSING),
    ("9.71501E+11", rules.DIGITS_LOST),
    ("9,71501E+11", rules.DIGITS_LOST),
    ("9.715012345E+11", rules.DIGITS_LOST),
    ("٩.٧١٥٠١E+١١", rules.DIGITS_LOST),
    ("-9.71501234567E+11", rules.DIGITS_LOST),
    ("9.71501234567E+10", rules.DIGITS_LOST),
    ("abc", rules.NUMBER_CHARACTERS),
    ("05012***67", rules.NUMBER_CHARACTERS),
    ("#N/A", rules.NUMBER_CHARACTERS),
    ("=cmd|' /C calc'!A0", rules.NUMBER_CHARACTERS),
    ("05012\x004567", rules.NUMBER_CHARACTERS),
    ("5" * 2000, rules.NUMBER_CHARACTERS),
    ("0501234567 / 0507654321", rules.SEVERAL_NUMBERS),
    ("0501234567;0507654321", rules.SEVERAL_NUMBERS),
    ("0501234567 أو 0507654321", rules.SEVERAL_NUMBERS),
    ("0501234567\n0507654321", rules.SEVERAL_NUMBERS),
    ("+971501234567 +971507654321", rules.SEVERAL_NUMBERS),
    ("04 234 5678 ext 12", rules.EXTENSION),
    ("042345678x12", rules.EXTENSION),
    ("042345678 تحويلة 12", rules.EXTENSION),
    ("12", rules.TOO_SHORT),
    ("+", rules.NUMBER_CHARACTERS),
    ("+97150", rules.TOO_SHORT),
    ("+9715012345678901", rules.TOO_LONG),
    ("1234567890123456789", rules.TOO_LONG),
    ("+0501234567", rules.COUNTRY_UNKNOWN),
    ("+210123456789", rules.COUNTRY_UNKNOWN),
    ("447911123456", rules.PLUS_NEEDED),
    # One digit too many: nobody in Belize is written to because of it.
    ("5012345678", rules.NOT_A_NUMBER),
    ("+99951234567", rules.NOT_A_NUMBER),
]


@pytest.mark.parametrize(("cell", "number"), READ)
def test_a_number_is_read_however_it_is_written(cell: str, number: str) -> None:
    numbers = Numbers("AE")
    assert numbers.read(cell) == (number, "")
    # Also when the numbers around it are known.
    for known in ("0501237654", "0501237655", "+971501237654", "+971501237655"):
        assert isinstance(numbers.read(known), tuple)
    assert numbers.read(cell) == (number, "")


@pytest.mark.parametrize(("cell", "rule"), BAD)
def test_what_is_wrong_with_a_number_is_said(cell: str, rule: Rule) -> None:
    numbers = Numbers("AE")
    assert numbers.read(cell) == rule
    # Also when the numbers around it are known.
    for known in ("0501234567", "+971501234567", "971501234567"):
        numbers.read(known)
    assert numbers.read(cell) == rule


def test_a_fixed_line_is_kept_and_marked() -> None:
    assert Numbers("AE").read("04 234 5678") == ("+97142345678", "landline")
    assert Numbers("").read("+999412345678") == ("+999412345678", "landline")


def test_without_a_country_bare_digits_are_nobody_s() -> None:
    assert Numbers("").read("0501234567") == rules.COUNTRY_NEEDED
    assert Numbers("").read("00971501234567") == ("+971501234567", "")


def test_a_lost_plus_may_be_declared() -> None:
    numbers = Numbers("AE", with_country_code=True)
    assert numbers.read("447911123456") == ("+447911123456", "")
    assert numbers.read("971501234567") == ("+971501234567", "")
    assert numbers.read("0501234567") == rules.COUNTRY_UNKNOWN


@pytest.mark.parametrize("country", ["XX", "971", "ARE", "é"])
def test_a_country_that_is_none_is_refused(country: str) -> None:
    with pytest.raises(Invalid, match="ISO 3166"):
        Numbers(country)


def forms(number: phonenumbers.PhoneNumber, region: str) -> list[str]:
    """How the number is written: abroad, at home, bare, with a lost plus."""
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    national = phonenumbers.national_significant_number(number)
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(region)
    assert metadata is not None
    prefix = metadata.national_prefix or ""
    return [e164, prefix + national, national, e164[1:]]


class Forgetful(Numbers):
    """Asks for every number."""

    def _is_alike(self, head: str, free: int) -> bool:
        return False


def test_what_is_remembered_is_what_is_said_of_each_in_every_country() -> None:
    chance = random.Random(20260101)
    remembered = 0
    for region in REGIONS:
        numbers, forgetful = Numbers(region), Forgetful(region)
        for kind in TYPES:
            example = phonenumbers.example_number_for_type(region, kind)
            for form in forms(example, region) if example is not None else ():
                # Neighbours in the block, near it, and shorter and longer ones.
                at = chance.randrange(len(form) // 2, len(form))
                changed = form[:at] + str(chance.randrange(10)) + form[at + 1 :]
                for head in (form[:-TAIL], form[:-TAIL], changed[:-TAIL], changed[: -TAIL - 1]):
                    for _ in range(2):
                        digits = head + f"{chance.randrange(10**TAIL):0{TAIL}}"
                        remembered += digits[:-TAIL] in numbers._blocks
                        assert numbers.read(digits) == forgetful.read(digits)
    assert remembered > 5_000


@settings(max_examples=300, deadline=None)
@given(
    country=st.sampled_from(["AE", "SA", "US", "IN", "GB", "IT", "BR", "RU", "MX", "AR", "JM", ""]),
    home=st.sampled_from(REGIONS),
    kind=st.sampled_from(TYPES),
    form=st.integers(0, 3),
    cut=st.integers(0, 8),
    middle=st.text("0123456789", max_size=5),
    tails=st.lists(st.text("0123456789", min_size=TAIL, max_size=TAIL), min_size=2, max_size=5),
)
def test_a_neighbour_gets_the_answer_it_would_get_alone(
    country: str, home: str, kind: int, form: int, cut: int, middle: str, tails: list[str]
) -> None:
    example = phonenumbers.example_number_for_type(home, kind)
    if example is None:
        return
    written = forms(example, home)[form]
    head = written[: max(1, len(written) - TAIL - cut)] + middle
    numbers, forgetful = Numbers(country), Forgetful(country)
    for tail in tails:
        assert numbers.read(head + tail) == forgetful.read(head + tail)


@given(st.text(max_size=30))
def test_any_text_is_a_number_or_breaks_a_rule(cell: str) -> None:
    found = Numbers("AE").read(cell)
    if isinstance(found, Rule):
        assert found in RULES.values()
    else:
        assert re.fullmatch(r"\+[1-9][0-9]{4,14}", found[0], re.ASCII)


@given(st.text("0123456789+ -()٠٥٠١", max_size=20))
def test_what_looks_like_a_number_is_one_or_breaks_a_rule(cell: str) -> None:
    test_any_text_is_a_number_or_breaks_a_rule.hypothesis.inner_test(cell)  # type: ignore[attr-defined]


digits = st.sampled_from("0123456789")
atoms = st.one_of(
    digits,
    st.just(r"\d"),
    st.tuples(digits, digits).map(lambda two: f"[{min(two)}-{max(two)}]"),
    st.lists(digits, min_size=1, max_size=3).map(lambda some: f"[{''.join(some)}]"),
)
patterns = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.lists(inner, min_size=1, max_size=3).map(lambda some: f"(?:{'|'.join(some)})"),
        st.tuples(inner, st.integers(0, 2), st.integers(0, 2)).map(
            lambda made: f"(?:{made[0]}){{{made[1]},{made[1] + made[2]}}}"
        ),
        inner.map(lambda one: f"(?:{one})?"),
    ),
    max_leaves=6,
)


@settings(max_examples=200, deadline=None)
@given(st.lists(patterns, min_size=1, max_size=3), st.text("0123456789", max_size=4))
def test_a_block_is_alike_exactly_when_no_pattern_tells_its_numbers_apart(
    some: list[str], prefix: str
) -> None:
    plan = Plan(some)
    for free in range(3):
        matches = {
            tuple(
                bool(re.fullmatch(one, f"{prefix}{rest:0{free}}" if free else prefix))
                for one in some
            )
            for rest in range(10**free)
        }
        assert plan.alike(prefix, free) == (len(matches) == 1)


@given(patterns)
def test_the_longest_match_of_a_pattern_is_known(pattern: str) -> None:
    limit = longest(pattern)
    assert not any(re.fullmatch(pattern, digit * (limit + 1)) for digit in "0123456789")


@pytest.mark.parametrize(
    "pattern", ["0$", "(?!1)2", "a", "1{2,}", "1*", "1+", ".", "(1", "1)", "[a]"]
)
def test_a_pattern_that_is_not_understood_is_not_used(pattern: str) -> None:
    with pytest.raises(Unreadable):
        Plan([pattern])
