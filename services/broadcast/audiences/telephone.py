"""From what a cell holds to a number that can be called, or the rule it breaks. Pure.

`phonenumbers` is asked about a block of numbers once: those that differ in their last four digits
only, and that `plans` has shown to be alike for every pattern of their country. Everything that is
not shown is asked number by number, so that the answer is always its own.

A number that states its country (+, 00) or begins with the national prefix gets the benefit that
broadcast gives it (a new range is not a wrong one); bare digits are an interpretation, and have to
be valid numbers of the file's country.
"""

import re

import phonenumbers
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, NumberParseException, PhoneMetadata
from phonenumbers import PhoneNumberType as Type
from phonenumbers import ValidationResult as Possible

from services.broadcast import numbers
from services.broadcast.audiences import rules
from services.broadcast.audiences.plans import Plan, Unreadable, longest
from services.broadcast.audiences.rules import Rule
from services.runtime.errors import Invalid, Violation
from services.runtime.numbers import is_synthetic

TAIL = 4
"""How many last digits the numbers of a block differ in."""
_BLOCKS = 65_536
_RANGES = 16_384
_LONGEST_CELL = 100
_LONGEST_NUMBER = 17
_KINDS = (
    "general_desc",
    "fixed_line",
    "mobile",
    "toll_free",
    "premium_rate",
    "shared_cost",
    "personal_number",
    "voip",
    "pager",
    "uan",
    "voicemail",
)

_ZEROS = "٠۰०০０"
_CHARS: dict[int, str | None] = {
    ord(zero) + digit: str(digit) for zero in _ZEROS for digit in range(10)
}
# Direction marks, embeddings and isolates, zero-width characters, the soft hyphen, the byte order
# mark, and the vowel-less stretch of Arabic: nobody sees them, and cells are full of them.
_CHARS |= dict.fromkeys(
    [
        *range(0x200B, 0x2010),
        *range(0x202A, 0x202F),
        *range(0x2060, 0x206A),
        0x00AD,
        0x0640,
        0x061C,
        0xFEFF,
    ]
)
_CHARS |= dict.fromkeys([0x00A0, 0x2007, 0x202F], " ")
_CHARS |= dict.fromkeys([*range(0x2010, 0x2016), 0x2212], "-")
_CHARS |= {0xFF0B: "+", 0x066B: ".", 0x060C: ",", 0x2018: "'", 0x2019: "'"}

_QUOTED = re.compile(r'="?([^"]*)"?')
_ROUNDED = re.compile(r"([+-]?)(\d+)(?:[.,](\d*))?[eE]\+?(\d{1,3})")
_DECIMAL = re.compile(r"(\+?\d{7,})[.,]0{1,2}")
_SEVERAL = re.compile(r"[/\\;,|&\n]|\bor\b|\bأو\b|\s(?=\+|00)")
_EXTENSION = re.compile(r"\d[\s)-]*(?:extn?\.?|x|#|تحويلة|داخلي)[\s:]*\d{1,6}$", re.I)
_SIGNS = str.maketrans("", "", " \t\r\n-()./·'")
_DIGITS = re.compile(r"\+?[0-9]+", re.ASCII)


class Numbers:
    """Reads numbers as they are written in one country.

    `country` is an ISO 3166 code of two letters, or "" when every number states its own;
    `with_country_code` says that each begins with its country code, also without a +. Raises
    Invalid for a country that is none.
    """

    def __init__(self, country: str, with_country_code: bool = False) -> None:
        country = country.strip().upper()
        if country and country not in phonenumbers.SUPPORTED_REGIONS:
            raise Invalid(
                [Violation("country", "must be a country's ISO 3166 code of two letters, e.g. AE")]
            )
        self._country = country
        self._bare = "+" if with_country_code else ""
        # Head of a number as written, all but the last four digits: head in E.164, and obstacle.
        self._blocks: dict[str, tuple[str, str]] = {}
        # As many first digits, and the length, that numbers of one answer have in common.
        self._ranges: dict[tuple[str, int], tuple[str, str]] = {}
        self._lengths: dict[int, list[int]] = {}
        self._plans: dict[tuple[int, str], _Known | None] = {}

    def read(self, cell: str) -> tuple[str, str] | Rule:
        """The number in E.164 and its obstacle ("landline" or ""), or the rule it breaks."""
        found = self._blocks.get(cell[:-TAIL])
        if found is not None:
            tail = cell[-TAIL:]
            # isdecimal alone would let other scripts' digits pass as they are.
            if tail.isascii() and tail.isdecimal():
                return found[0] + tail, found[1]
        digits = _digits(cell)
        if not isinstance(digits, str):
            return digits
        if digits[0] != "+":
            digits = self._bare + digits
        found = self._blocks.get(digits[:-TAIL])
        if found is not None:
            return found[0] + digits[-TAIL:], found[1]
        return self._ask(digits)

    def _ask(self, digits: str) -> tuple[str, str] | Rule:
        length = len(digits)
        for first in self._lengths.get(length, ()):
            found = self._ranges.get((digits[:first], length))
            if found is not None:
                head = found[0] + digits[first:-TAIL]
                self._remember(digits[:-TAIL], head, found[1])
                return head + digits[-TAIL:], found[1]
        answer = judge(digits, self._country)
        if isinstance(answer, tuple) and self._is_alike(digits[:-TAIL], TAIL):
            number, obstacle = answer
            first = next(n for n in range(1, length) if self._is_alike(digits[:n], length - n))
            # What phonenumbers does with national numbers of some countries is more than to put
            # something else before their last digits.
            if number.endswith(digits[first:]):
                if len(self._ranges) >= _RANGES:
                    self._ranges.clear()
                    self._lengths.clear()
                self._ranges[digits[:first], length] = number[: first - length], obstacle
                lengths = self._lengths.setdefault(length, [])
                if first not in lengths:
                    lengths.append(first)
        return answer

    def _remember(self, written: str, head: str, obstacle: str) -> None:
        if len(self._blocks) >= _BLOCKS:
            self._blocks.clear()
        self._blocks[written] = (head, obstacle)

    def _is_alike(self, head: str, free: int) -> bool:
        """Whether all numbers of `head` and `free` more digits get the same answer."""
        if is_synthetic(head):
            # The digit after the country code and the length decide (runtime.numbers).
            return len(head) > len("+9995")
        if not head:
            return False
        if head[0] == "+":
            code = next((int(head[1:n]) for n in (2, 3, 4) if _is_code(head[1:n])), 0)
            country = ""
        else:
            code, country = phonenumbers.country_code_for_region(self._country), self._country
        if (code, country) not in self._plans:
            self._plans[code, country] = _known(code, country)
        plan = self._plans[code, country]
        return plan is not None and plan.is_alike(head, free)


def judge(digits: str, country: str) -> tuple[str, str] | Rule:
    """What `Numbers.read` says of digits (with + or without), by asking `phonenumbers`."""
    if len(digits) > _LONGEST_NUMBER:
        return rules.TOO_LONG
    if is_synthetic(digits):
        return _possible(digits)
    stated = digits[0] == "+"
    if not stated and not country:
        return rules.COUNTRY_NEEDED
    try:
        number = phonenumbers.parse(digits, None if stated else country)
    except NumberParseException as error:
        if error.error_type == NumberParseException.INVALID_COUNTRY_CODE:
            return rules.COUNTRY_UNKNOWN
        too_long = error.error_type == NumberParseException.TOO_LONG
        return rules.TOO_LONG if too_long else rules.TOO_SHORT
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    if stated or phonenumbers.is_valid_number(number) or _has_prefix(digits, number, country):
        return _possible(e164)
    if _is_valid("+" + digits):
        return rules.PLUS_NEEDED
    return _why(number)


def _possible(e164: str) -> tuple[str, str] | Rule:
    obstacle = numbers.obstacle(e164)
    if obstacle != "invalid-number":
        return e164, obstacle
    if is_synthetic(e164):
        return rules.NOT_A_NUMBER
    return _why(phonenumbers.parse(e164))


def _why(number: phonenumbers.PhoneNumber) -> Rule:
    possible = phonenumbers.is_possible_number_with_reason(number)
    if possible in (Possible.TOO_SHORT, Possible.IS_POSSIBLE_LOCAL_ONLY):
        return rules.TOO_SHORT
    return rules.TOO_LONG if possible == Possible.TOO_LONG else rules.NOT_A_NUMBER


def _has_prefix(digits: str, number: phonenumbers.PhoneNumber, country: str) -> bool:
    """Whether the digits begin with the national prefix, and are as many as a mobile's."""
    metadata = PhoneMetadata.metadata_for_region(country)
    prefix = None if metadata is None else metadata.national_prefix
    national = phonenumbers.national_significant_number(number)
    return (
        bool(prefix)
        and digits == f"{prefix}{national}"
        and phonenumbers.is_possible_number_for_type(number, Type.MOBILE)
    )


def _is_valid(text: str) -> bool:
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(text))
    except NumberParseException:
        return False


def _digits(cell: str) -> str | Rule:
    """The digits of a cell, with a leading + where it states the country."""
    text = cell.translate(_CHARS).strip() if len(cell) <= _LONGEST_CELL * 10 else cell
    if text.startswith("="):
        quoted = _QUOTED.fullmatch(text)
        text = quoted[1] if quoted else text
    text = text.strip("' \t\r\n")
    if not text:
        return rules.NUMBER_MISSING
    if len(text) > _LONGEST_CELL:
        return rules.NUMBER_CHARACTERS
    rounded = _ROUNDED.fullmatch(text)
    if rounded:
        sign, whole, fraction, exponent = rounded.groups(default="")
        # As many digits as the number has, or more, of which the last are zeros: none was lost.
        shift = int(exponent) - len(fraction)
        if sign == "-" or shift != 0:
            return rules.DIGITS_LOST
        text = sign + whole + fraction
    decimal = _DECIMAL.fullmatch(text)
    if decimal:
        text = decimal[1]
    text = text.removeprefix("tel:").removeprefix("Tel:").removeprefix("TEL:")
    return _plain(text)


def _plain(text: str) -> str | Rule:
    plain = text.translate(_SIGNS)
    # Where Arabic is written, the sign stands behind the number as often as before it.
    if plain.endswith("+") and plain[:1].isdecimal():
        plain = "+" + plain[:-1]
    parts = [p for p in _SEVERAL.split(text) if len(re.sub(r"\D", "", p)) >= 7]
    if len(parts) > 1:
        return rules.SEVERAL_NUMBERS
    if not _DIGITS.fullmatch(plain):
        return rules.EXTENSION if _EXTENSION.search(text) else rules.NUMBER_CHARACTERS
    if plain.startswith("00"):
        plain = "+" + plain[2:]
    plain = plain.replace("+00", "+", 1)
    if len(plain) <= 2:
        return rules.TOO_SHORT
    return plain


class _Known:
    """What is known of a country code's plan."""

    def __init__(self, code: int, country: str) -> None:
        regions = COUNTRY_CODE_TO_REGION_CODE[code]
        found = [PhoneMetadata.metadata_for_region(region) for region in regions]
        metadata = [one for one in found if one is not None]
        main = [one for one in metadata if one.id in (regions[0], country)]
        self._code = str(code)
        self._stated = not country
        self._plan = Plan(
            description.national_number_pattern
            for one in metadata
            for description in (getattr(one, kind) for kind in _KINDS)
            if description is not None and description.national_number_pattern
        )
        starts = [one.national_prefix_for_parsing for one in main]
        starts += [one.leading_digits for one in metadata]
        self._prefixes = [
            re.compile(one.national_prefix_for_parsing)
            for one in main
            if one.national_prefix_for_parsing
        ]
        abroad = [] if self._stated else [one.international_prefix for one in main]
        self._abroad = [re.compile(one) for one in abroad if one]
        # A pattern that looks at the beginning only sees no further than this.
        self._sight = max(map(longest, (one for one in starts + abroad if one)), default=0)

    def is_alike(self, head: str, free: int) -> bool:
        """Whether nothing that is asked of a number can tell those of `head` apart: every pattern,
        on the digits as a whole and on what is left without codes and prefixes."""
        if self._stated:
            rests = {head[1 + len(self._code) :]}
        else:
            # Where an international call begins, or may begin, more is asked than here.
            begins = self._code.startswith(head) and head != self._code
            if begins or any(one.match(head) for one in self._abroad):
                return False
            rests = {head}
            if head.startswith(self._code):
                rests.add(head[len(self._code) :])
        for rest in tuple(rests):
            for prefix in self._prefixes:
                match = prefix.match(rest)
                if match is not None:
                    # What a transformation puts in their place is not looked at here.
                    if any(match.groups()):
                        return False
                    rests.add(rest[match.end() :])
        return all(
            # Leading zeros are counted, so there must be an end of them.
            len(rest) >= self._sight and rest.strip("0") and self._plan.alike(rest, free)
            for rest in rests
        )


def _known(code: int, country: str) -> _Known | None:
    if COUNTRY_CODE_TO_REGION_CODE.get(code, ("001",))[0] == "001":
        return None
    try:
        return _Known(code, country)
    except Unreadable:
        return None


def _is_code(digits: str) -> bool:
    return int(digits or 0) in COUNTRY_CODE_TO_REGION_CODE


def is_blank(cell: str) -> bool:
    """Whether nobody sees anything in the cell."""
    return not cell or not cell[:1000].translate(_CHARS).strip()
