"""How a text becomes SMS parts: which encoding it needs, how many parts, and where they break.

The count is what the carrier bills and what the pace is measured in, so it is exact (3GPP TS
23.038 and 23.040): a part has 140 octets, that is 160 septets of GSM-7 or 70 UTF-16 code units;
a longer message gives 6 octets of each part to its concatenation header, which leaves 153 or 67.
A character that takes two units (an escaped GSM-7 character, a surrogate pair) is never split.
A visible character made of several (emoji with modifiers, a letter with its vowel signs) is kept
whole wherever that costs no further part. Pure.

National-language tables fit in as further encodings: their header elements only make the part
smaller, which ``seven_bit_limit`` computes.
"""

import enum
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from services.runtime.smpp_text import GSM7_ESCAPED, Alphabet, concat_header

PART_OCTETS = 140
CONCAT_HEADER_OCTETS = 6
MAX_PARTS = 255
"""The concatenation header counts parts in one octet."""


class TextError(ValueError):
    """The text can't be sent as SMS; the message says why without quoting it."""


class Encoding(enum.Enum):
    """How a text travels on the air; the value is the SMPP ``data_coding``."""

    GSM7 = 0
    UCS2 = 8


@dataclass(frozen=True, slots=True)
class Segmentation:
    """A text cut into parts.

    ``texts`` and ``parts`` run in parallel: each part's text and its octets, without header.
    ``units`` is the length of the whole text in septets (GSM-7) or UTF-16 code units (UCS-2).
    """

    encoding: Encoding
    texts: tuple[str, ...]
    parts: tuple[bytes, ...]
    units: int

    @property
    def part_count(self) -> int:
        """Number of SMS the carrier counts."""
        return len(self.parts)

    @property
    def data_coding(self) -> int:
        """The SMPP ``data_coding`` of every part."""
        return self.encoding.value

    @property
    def udhi(self) -> bool:
        """Whether the parts, once through ``with_udh``, start with a user data header."""
        return len(self.parts) > 1


def seven_bit_limit(header_octets: int) -> int:
    """Septets a part holds beside a header of so many octets (160, or 153 beside 6)."""
    return (PART_OCTETS - header_octets) * 8 // 7


def ucs2_limit(header_octets: int) -> int:
    """UTF-16 code units a part holds beside a header of so many octets (70, or 67 beside 6)."""
    return (PART_OCTETS - header_octets) // 2


def split(
    text: str, *, encoding: Encoding | None = None, alphabet: Alphabet = Alphabet.GSM7
) -> Segmentation:
    """Cut ``text`` into the fewest parts that hold it.

    ``encoding`` None takes GSM-7 if it can hold the text and ``alphabet``, the carrier's
    ``data_coding`` 0, can write it, else UCS-2. An empty text is one empty part.
    Raises ``TextError`` for an unpaired surrogate, for a text that the demanded encoding can't
    hold, and beyond 255 parts.
    """
    seven_bit = alphabet.can_encode(text)
    if encoding is Encoding.GSM7 and not seven_bit:
        raise TextError(f"the text has characters outside {alphabet.value}; send it as UCS-2")
    if seven_bit and encoding is not Encoding.UCS2:
        return _cut(
            text,
            Encoding.GSM7,
            alphabet.encode,
            GSM7_ESCAPED.__contains__,
            seven_bit_limit(0),
            seven_bit_limit(CONCAT_HEADER_OCTETS),
        )
    return _cut(
        text,
        Encoding.UCS2,
        _ucs2,
        "\uffff".__lt__,
        ucs2_limit(0),
        ucs2_limit(CONCAT_HEADER_OCTETS),
    )


def with_udh(parts: Sequence[bytes], reference: int) -> tuple[bytes, ...]:
    """Payloads as they are submitted: each of several parts behind its concatenation header.

    ``reference`` (0 to 255) tells the phone which parts belong together; a single part needs no
    header and stays as it is.
    """
    total = len(parts)
    if not 1 <= total <= MAX_PARTS:
        raise TextError(f"a message has 1 to {MAX_PARTS} parts")
    if not 0 <= reference <= 255:
        raise ValueError("the concatenation reference is one octet: 0 to 255")
    if total == 1:
        return tuple(parts)
    return tuple(
        concat_header(reference, total, sequence) + part
        for sequence, part in enumerate(parts, start=1)
    )


def _ucs2(text: str) -> bytes:
    try:
        return text.encode("utf-16-be")
    except UnicodeEncodeError:
        raise TextError(
            "the text has an unpaired surrogate, half of a character; mend it where it was made"
        ) from None


def _cut(
    text: str,
    encoding: Encoding,
    encode: Callable[[str], bytes],
    is_double: Callable[[str], bool],
    alone: int,
    limit: int,
) -> Segmentation:
    units = len(text) + sum(map(is_double, text))
    if units <= alone:
        return Segmentation(encoding, (text,), (encode(text),), units)
    # ends[i]: units of the first i+1 characters, so that a break is one binary search.
    ends = list(accumulate(1 + is_double(char) for char in text))
    tight = _breaks(text, ends, limit, keep_clusters=False)
    kind = _breaks(text, ends, limit, keep_clusters=True)
    stops = kind if len(kind) == len(tight) else tight
    if len(stops) > MAX_PARTS:
        raise TextError(
            f"the text needs {len(stops)} SMS parts and {MAX_PARTS} is the most; shorten it"
        )
    texts = tuple(text[start:stop] for start, stop in zip([0, *stops], stops, strict=False))
    return Segmentation(encoding, texts, tuple(map(encode, texts)), units)


def _breaks(text: str, ends: list[int], limit: int, *, keep_clusters: bool) -> list[int]:
    stops: list[int] = []
    start = 0
    while start < len(text):
        base = ends[start - 1] if start else 0
        furthest = bisect_right(ends, base + limit)
        stop = furthest
        if keep_clusters:
            while start < stop < len(text) and _joined(text, stop):
                stop -= 1
            if stop == start:
                stop = furthest
        stops.append(stop)
        start = stop
    return stops


_ZWJ = "\u200d"
_ZWNJ = "\u200c"


def _joined(text: str, at: int) -> bool:
    """Whether the characters on both sides of ``at`` show as one (a short form of UAX #29)."""
    before, after = text[at - 1], text[at]
    if before == _ZWJ or after in (_ZWJ, _ZWNJ) or (before == "\r" and after == "\n"):
        return True
    if unicodedata.category(after) in ("Mn", "Mc", "Me"):
        return True
    if "\U0001f3fb" <= after <= "\U0001f3ff" or "\U000e0020" <= after <= "\U000e007f":
        return True
    if _is_regional(after) and _is_regional(before):
        run = at
        while run > 0 and _is_regional(text[run - 1]):
            run -= 1
        return (at - run) % 2 == 1
    return False


def _is_regional(char: str) -> bool:
    return "\U0001f1e6" <= char <= "\U0001f1ff"
