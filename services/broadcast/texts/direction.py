"""Which way a text runs, and when a value in it must be kept apart from the text around it. Pure.

A phone decides a line's direction by its first strong letter and orders the rest by the Unicode
bidirectional algorithm (UAX #9). A value of the other direction pulls the numbers and signs beside
it to its side, and one at the start of a line turns the whole line; a telephone number or a date
among Arabic letters is shown with its groups in reverse. Between FSI and PDI a value is ordered by
itself, and the line as if it were one sign (P2, P3, X5c).

A link is never put between them: phones that find links in texts take U+2069 for a part of the
address (Android's `Patterns.WEB_URL` takes every character of the plane but spaces), and it would
lead nowhere. Links need no help: they have strong letters at both ends of what matters.
"""

import re
import unicodedata
from collections.abc import Iterator

FSI, PDI = "\u2068", "\u2069"

_OPENING = frozenset("\u2066\u2067\u2068")
_LINK = re.compile(r"[a-z][a-z0-9+.-]*://|www\.|[a-z0-9-]+(\.[a-z0-9-]+)*\.[a-z]{2,}/", re.I)
# A number that stands together in either direction: W4 joins two of one kind over one separator.
_NUMBER = re.compile(r"e+(c(e+))*|a+(c(a+))*")
_CLASSES = {"EN": "e", "AN": "a", "CS": "c", "L": "L", "R": "R", "AL": "R"}


def base(text: str) -> str:
    """The direction of a line by its first strong letter outside isolates: "L", "R", or "" when it
    has none."""
    return next((one for one in _classes(text) if one in "LR"), "")


def needs_isolate(value: str, line: str) -> bool:
    """Whether `value` must be kept apart in a line of direction `line` ("L" or "R")."""
    if _LINK.search(value):
        return False
    classes = "".join(_classes(value))
    if ("R" if line == "L" else "L") in classes:
        return True
    if line in classes or not ("e" in classes or "a" in classes):
        return False
    if line == "L":
        return "a" in classes and not _NUMBER.fullmatch(classes)
    return not _NUMBER.fullmatch(classes)


def isolated(value: str) -> str:
    """`value` between FSI and PDI."""
    return f"{FSI}{value}{PDI}"


def _classes(text: str) -> Iterator[str]:
    depth = 0
    for char in text:
        if char in _OPENING:
            depth += 1
        elif char == PDI:
            depth = max(0, depth - 1)
        elif not depth:
            yield _CLASSES.get(unicodedata.bidirectional(char), ".")
