"""What somebody types to find a case: its number, or the person's whole telephone number. Pure."""

import re

from services.runtime import ids

_FILLING = re.compile(r"[\s().\u200e\u200f\u2066-\u2069/-]+")
_NUMBER = re.compile(r"[+][1-9][0-9]{6,14}")


def case_number(typed: str) -> str:
    """The case number that was typed; "" when it is none."""
    return ids.parse_case_number(_plain(typed)) or ""


def telephone(typed: str) -> str:
    """The number that was typed, in international form (E.164); "" when it is no whole one. Arabic
    and Persian digits count; 00 stands for the plus."""
    plain = _plain(typed)
    if plain.startswith("00"):
        plain = "+" + plain[2:]
    return plain if _NUMBER.fullmatch(plain) else ""


def _plain(typed: str) -> str:
    digits = "".join(str(int(c)) if c.isdecimal() else c for c in typed)
    return _FILLING.sub("", digits)
