"""What a person's field may bring into a text: letters as they are, and nothing else. Pure.

A value comes from a file or a case and is shown beside what an agency wrote. It must not break the
line, reorder or hide what stands around it, or make the message longer than was approved. So line
breaks and tabs become spaces, control characters and marks of direction go, and a value that is too
long is refused: cut, a name is another name and an amount another amount. Letters, marks and
joiners of every script stay as they are, one by one; nothing is normalised.
"""

import re
import unicodedata

MAX_VALUE = 160
"""Longest value, in characters after cleaning, where the template's author gives no limit."""

_BREAKS = re.compile(r"[\s\x1c-\x1f\x85\u2028\u2029]+")
# Marks of direction, invisible operators, annotation anchors, the byte order mark, tags.
_UNSEEN = re.compile(
    "[\u061c\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)


class FieldError(ValueError):
    """A person's value can't be put into the text; says language, position, field and rule, and
    never what the value is."""

    def __init__(self, language: str, position: int, field: str, rule: str) -> None:
        super().__init__(f"{language}, character {position}, field {field}: {rule}")
        self.language = language
        self.position = position
        self.field = field
        self.rule = rule


class TooLong(FieldError):
    """The value is there, and longer than it may be."""


def cleaned(value: str) -> str:
    """`value` without what would act on the text around it; a run of white space is one space."""
    if value.isascii() and value.isprintable() and "  " not in value:
        return value.strip()
    seen = _UNSEEN.sub("", _BREAKS.sub(" ", value))
    kept = "".join(char for char in seen if unicodedata.category(char) not in ("Cc", "Cs"))
    return " ".join(kept.split())
