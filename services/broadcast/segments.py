"""How a text becomes SMS parts: which encoding it needs, how many parts, and where they break.

The count is what the carrier bills and what the pace is measured in, so it is exact (3GPP TS
23.038 and 23.040): a part has 140 octets, that is 160 septets of GSM-7 or 70 UTF-16 code units;
a longer message gives 6 octets of each part to its concatenation header, which leaves 153 or 67.
A character that takes two units (an escaped GSM-7 character, a surrogate pair) is never split.
A visible character made of several (emoji with modifiers, a letter with its vowel signs) is kept
whole wherever that costs no further part. Pure.

Where the carrier says that it has a language's national tables (23.038 annex A), a text that GSM-7
can't hold may still go in septets: each part then names its tables in 3 octets of header for each,
which leaves 155 or 152 septets alone and 149 or 146 beside the concatenation header. That is done
where it saves a part. Where it saves none the text goes as UCS-2, which every phone can read.
Arabic has no such table (23.038 6.2.1.2.4), so it is always UCS-2.
"""

import enum
import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from services.runtime.national_tables import IDENTIFIERS, LOCKING
from services.runtime.smpp_text import (
    DEFAULT_SHIFT,
    GSM7_ESCAPED,
    Alphabet,
    Shift,
    concat_element,
    header_of,
)

PART_OCTETS = 140
CONCAT_HEADER_OCTETS = 6
MAX_PARTS = 255
"""The concatenation header counts parts in one octet."""

NATIONAL = tuple(IDENTIFIERS)
"""Languages whose national tables a carrier may say that it has."""


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
    ``units`` is the length of the whole text in septets (GSM-7) or UTF-16 code units (UCS-2);
    ``shift`` names the tables of the septets.
    """

    encoding: Encoding
    texts: tuple[str, ...]
    parts: tuple[bytes, ...]
    units: int
    shift: Shift = DEFAULT_SHIFT

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
        """Whether the payloads start with a user data header."""
        return len(self.parts) > 1 or self.shift != DEFAULT_SHIFT

    def payloads(self, reference: int) -> tuple[bytes, ...]:
        """The parts as they are submitted; see ``with_udh``."""
        return with_udh(self.parts, reference, self.shift)


def seven_bit_limit(header_octets: int) -> int:
    """Septets a part holds beside a header of so many octets (160, or 153 beside 6)."""
    return (PART_OCTETS - header_octets) * 8 // 7


def ucs2_limit(header_octets: int) -> int:
    """UTF-16 code units a part holds beside a header of so many octets (70, or 67 beside 6)."""
    return (PART_OCTETS - header_octets) // 2


@dataclass(frozen=True, slots=True)
class Wire:
    """What a carrier's wire can hold: ``alphabet`` is its ``data_coding`` 0, ``national`` the
    languages whose national tables it says that it has (``NATIONAL`` lists what there is).
    ``whole`` is for carriers without parts: the most characters of a message, in any script (0:
    SMS); ``one_line`` where such a message may have no line breaks, tabs or long gaps."""

    alphabet: Alphabet = Alphabet.GSM7
    national: tuple[str, ...] = ()
    whole: int = 0
    one_line: bool = False

    def holds(self, text: str) -> bool:
        """Whether ``text`` can go in septets, without UCS-2; always, where there are no parts."""
        if self.whole:
            return True
        return seven_bit(text, self.alphabet, self.national)

    def split(self, text: str) -> Segmentation:
        """``text`` in parts for this wire; raises as ``split`` does, and for a text that a carrier
        without parts does not take."""
        if self.whole:
            return self._one(text)
        return split(text, alphabet=self.alphabet, national=self.national)

    def _one(self, text: str) -> Segmentation:
        if len(text) > self.whole:
            raise TextError(
                f"the text has {len(text)} characters and this carrier takes {self.whole}; "
                "shorten it"
            )
        if self.one_line and _NO_ONE_LINE.search(text):
            raise TextError(
                "the text has a line break, a tab or a long gap, which this carrier's template "
                "does not take; write it in one line"
            )
        octets = _ucs2(text)
        return Segmentation(Encoding.UCS2, (text,), (octets,), len(octets) // 2)


_NO_ONE_LINE = re.compile(r"[\r\n\t]| {5}")


def seven_bit(text: str, alphabet: Alphabet = Alphabet.GSM7, national: Sequence[str] = ()) -> bool:
    """Whether the carrier's alphabet or one of its national tables holds the whole of ``text``."""
    return alphabet.can_encode(text) or next(_shifts(text, national), None) is not None


def split(
    text: str,
    *,
    encoding: Encoding | None = None,
    alphabet: Alphabet = Alphabet.GSM7,
    national: Sequence[str] = (),
) -> Segmentation:
    """Cut ``text`` into the fewest parts that hold it.

    ``encoding`` None takes GSM-7 if it can hold the text and ``alphabet``, the carrier's
    ``data_coding`` 0, can write it; else the tables of a language in ``national`` if that takes
    fewer parts than UCS-2; else UCS-2. An empty text is one empty part.
    Raises ``TextError`` for an unpaired surrogate, for a text that the demanded encoding can't
    hold, and beyond 255 parts.
    """
    if encoding is not Encoding.UCS2:
        if alphabet.can_encode(text):
            return _cut(text, Encoding.GSM7, alphabet.encode, GSM7_ESCAPED.__contains__)
        shifted = _in_national(text, national)
        if encoding is Encoding.GSM7:
            if shifted is None:
                raise TextError(
                    f"the text has characters outside {alphabet.value}; send it as UCS-2"
                )
            return shifted
        # Septets never take more parts than UCS-2: 73 pairs are more than 67 code units.
        if shifted is not None and not _fits_ucs2(text, shifted.part_count):
            return shifted
    octets = _ucs2(text)
    if len(octets) <= PART_OCTETS:
        return Segmentation(Encoding.UCS2, (text,), (octets,), len(octets) // 2)
    return _cut(text, Encoding.UCS2, _ucs2, _OUTSIDE_BMP)


def _in_national(text: str, national: Sequence[str]) -> Segmentation | None:
    cuts = [
        _cut(text, Encoding.GSM7, shift.encode, shift.doubles.__contains__, shift)
        for shift in _shifts(text, national)
    ]
    # With equal parts the first: fewer tables that a phone has to know.
    return min(cuts, key=lambda cut: cut.part_count, default=None)


def _shifts(text: str, national: Sequence[str]) -> Iterator[Shift]:
    """The tables that hold all of ``text``, in each language fewer of them first. A locking table
    beside the default's extension needs no single shift table of its own: what that adds takes two
    septets either way."""
    for language in national:
        single = Shift(single=language)
        if single.can_encode(text):
            yield single
        if language in LOCKING:
            locking, both = Shift(locking=language), Shift(language, language)
            if locking.can_encode(text):
                yield locking
            elif both.can_encode(text):
                yield both


def _fits_ucs2(text: str, parts: int) -> bool:
    # What is in the tables is in the basic plane: a character is a code unit.
    return len(text) <= (ucs2_limit(0) if parts == 1 else parts * ucs2_limit(CONCAT_HEADER_OCTETS))


def with_udh(
    parts: Sequence[bytes], reference: int, shift: Shift = DEFAULT_SHIFT
) -> tuple[bytes, ...]:
    """Payloads as they are submitted: each of several parts behind its concatenation header, and
    every part in national tables behind what names them.

    ``reference`` (0 to 255) tells the phone which parts belong together; a single part in the
    default alphabet needs no header and stays as it is.
    """
    total = len(parts)
    if not 1 <= total <= MAX_PARTS:
        raise TextError(f"a message has 1 to {MAX_PARTS} parts")
    if not 0 <= reference <= 255:
        raise ValueError("the concatenation reference is one octet: 0 to 255")
    tables = shift.elements
    if total == 1:
        return (header_of(tables) + parts[0],) if tables else tuple(parts)
    return tuple(
        header_of(concat_element(reference, total, sequence) + tables) + part
        for sequence, part in enumerate(parts, start=1)
    )


def _ucs2(text: str) -> bytes:
    try:
        return text.encode("utf-16-be")
    except UnicodeEncodeError:
        raise TextError(
            "the text has an unpaired surrogate, half of a character; mend it where it was made"
        ) from None


_OUTSIDE_BMP = "\uffff".__lt__


def _cut(
    text: str,
    encoding: Encoding,
    encode: Callable[[str], bytes],
    is_double: Callable[[str], bool],
    shift: Shift = DEFAULT_SHIFT,
) -> Segmentation:
    room = seven_bit_limit if encoding is Encoding.GSM7 else ucs2_limit
    tables = shift.elements
    units = len(text) + sum(map(is_double, text))
    if units <= room(len(header_of(tables))):
        return Segmentation(encoding, (text,), (encode(text),), units, shift)
    limit = room(CONCAT_HEADER_OCTETS + len(tables))
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
    return Segmentation(encoding, texts, tuple(map(encode, texts)), units, shift)


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
