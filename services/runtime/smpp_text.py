"""What a part of an SMS holds: its place in the message, and the octets that are its text. Pure.

The carrier session writes and reads parts with it, and the local SMS centre reads them, so that a
text counts and comes back the same at both ends.

Sources: SMPP v3.4 issue 1.2, 5.2.19 (``data_coding``), 3GPP TS 23.038 (alphabets), 3GPP TS 23.040
9.2.3.24 (user data header; .15 and .16 name the national language tables of a part).
"""

import enum
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import groupby

from services.runtime.national_tables import IDENTIFIERS, LANGUAGES, LOCKING, SINGLE

ESCAPE = 0x1B
GSM7_BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
GSM7_EXTENSION = {
    0x0A: "\f",
    0x14: "^",
    0x28: "{",
    0x29: "}",
    0x2F: "\\",
    0x3C: "[",
    0x3D: "~",
    0x3E: "]",
    0x40: "|",
    0x65: "€",
}
GSM7_ESCAPED = frozenset(GSM7_EXTENSION.values())
"""Characters that take two septets."""

_ENCODE_GSM7: dict[int, str] = {
    ord(char): chr(code) for code, char in enumerate(GSM7_BASIC) if code != ESCAPE
} | {ord(char): chr(ESCAPE) + chr(code) for code, char in GSM7_EXTENSION.items()}
_GSM7_CHARS = frozenset(map(chr, _ENCODE_GSM7))
# An escape before a code that the extension table lacks shows the basic table's character
# (TS 23.038 6.2.1.1); an escape that stands alone shows a space.
_DECODE_BASIC = [*GSM7_BASIC, *("\ufffd" * 128)]
_DECODE_BASIC[ESCAPE] = " "
_DECODE_ESCAPED = {code: GSM7_EXTENSION.get(code, _DECODE_BASIC[code]) for code in range(256)}


class Alphabet(enum.Enum):
    """What a carrier means by ``data_coding`` 0, "the SMS centre's default": carrier data.

    Whatever the wire says, the air speaks GSM-7: a text counts in septets, and one that GSM-7
    can't hold, or this wire can't, goes as UCS-2.
    """

    GSM7 = "gsm7"
    """GSM-7 codes, one to an octet (unpacked)."""
    LATIN1 = "latin1"
    ASCII = "ascii"

    def can_encode(self, text: str) -> bool:
        """Whether every character is in GSM-7 and on this wire."""
        return _CHARS_OF[self].issuperset(text)

    def encode(self, text: str) -> bytes:
        """The octets of ``text``; ValueError names no character, since texts are personal."""
        if not self.can_encode(text):
            raise ValueError(f"the text has characters outside {self.value}; send it as UCS-2")
        if self is Alphabet.GSM7:
            return text.translate(_ENCODE_GSM7).encode("latin-1")
        return text.encode("latin-1")

    def decode(self, octets: bytes) -> str:
        """The text of ``octets``; what can't be read becomes U+FFFD."""
        if self is Alphabet.GSM7:
            return gsm7_decode(octets)
        return octets.decode("latin-1" if self is Alphabet.LATIN1 else "ascii", "replace")


_CHARS_OF = {
    Alphabet.GSM7: _GSM7_CHARS,
    Alphabet.LATIN1: frozenset(char for char in _GSM7_CHARS if ord(char) < 256),
    Alphabet.ASCII: frozenset(char for char in _GSM7_CHARS if ord(char) < 128),
}


def gsm7_decode(octets: bytes) -> str:
    """Text of unpacked GSM-7 (a septet an octet), basic and extension table."""
    return _septets(octets, _DECODE_BASIC, _DECODE_ESCAPED)


def _septets(octets: bytes, basic: list[str], after_escape: dict[int, str]) -> str:
    if ESCAPE not in octets:
        return "".join([basic[code] for code in octets])
    chars: list[str] = []
    escaped = False
    for code in octets:
        if escaped:
            chars.append(after_escape[code])
            escaped = False
        elif code == ESCAPE:
            escaped = True
        else:
            chars.append(basic[code])
    if escaped:
        chars.append(" ")
    return "".join(chars)


@dataclass(frozen=True, slots=True)
class Shift:
    """The tables that the septets of a part are in, each by its language ("hi", "ur"); "" is the
    default alphabet, and the default extension table after the escape (TS 23.038 6.2.1.2).

    On the wire a septet is an octet of its own (unpacked), as for the default alphabet: SMPP counts
    octets, and it is the SMS centre that packs septets behind the header for the air.
    """

    locking: str = ""
    single: str = ""

    @property
    def elements(self) -> bytes:
        """What the header says of it: an element of 3 octets for each table that is not default."""
        single = bytes((_IE_SINGLE, 1, IDENTIFIERS[self.single])) if self.single else b""
        locking = bytes((_IE_LOCKING, 1, IDENTIFIERS[self.locking])) if self.locking else b""
        return single + locking

    def can_encode(self, text: str) -> bool:
        """Whether every character is in one of the two tables."""
        return _codec(self).chars.issuperset(text)

    @property
    def doubles(self) -> frozenset[str]:
        """Characters that take two septets."""
        return _codec(self).doubles

    def encode(self, text: str) -> bytes:
        """Unpacked septets; ValueError names no character, since texts are personal."""
        if not self.can_encode(text):
            raise ValueError("the text has characters outside these tables; send it as UCS-2")
        return text.translate(_codec(self).codes).encode("latin-1")

    def decode(self, octets: bytes) -> str:
        """The text of unpacked septets; a code without a character becomes U+FFFD."""
        if self == DEFAULT_SHIFT:
            return gsm7_decode(octets)
        return _septets(octets, _codec(self).basic, _codec(self).after_escape)


DEFAULT_SHIFT = Shift()


@dataclass(frozen=True, slots=True)
class _Codec:
    codes: dict[int, str]
    chars: frozenset[str]
    doubles: frozenset[str]
    basic: list[str]
    after_escape: dict[int, str]


@lru_cache
def _codec(shift: Shift) -> _Codec:
    basic = LOCKING[shift.locking] if shift.locking else _BASIC
    single = SINGLE[shift.single] if shift.single else GSM7_EXTENSION
    # Backwards: of two codes for one character the lower one is sent.
    codes = {ord(char): chr(ESCAPE) + chr(code) for code, char in reversed(single.items())}
    codes |= {ord(char): chr(code) for code, char in reversed(basic.items())}
    shown = [basic.get(code, "\ufffd") for code in range(256)]
    shown[ESCAPE] = " "
    return _Codec(
        codes,
        frozenset(map(chr, codes)),
        frozenset(chr(char) for char, code in codes.items() if len(code) == 2),
        shown,
        # As for the default tables (6.2.1.1): what is not in the table shows the main one's.
        {code: single.get(code, shown[code]) for code in range(256)},
    )


_BASIC = {code: char for code, char in enumerate(GSM7_BASIC) if code != ESCAPE}


@dataclass(frozen=True, slots=True)
class Concat:
    """Place of a part in its message: ``sequence`` of ``total``, joined by ``reference``."""

    reference: int
    total: int
    sequence: int


@dataclass(frozen=True, slots=True)
class Coded:
    """The octets of a part's text, and how to read them. ``coding``: an ``Alphabet``'s value,
    "ucs2", "binary", or another codec's name; ``shift`` counts for "gsm7" alone."""

    octets: bytes = field(repr=False)
    coding: str
    shift: Shift = DEFAULT_SHIFT

    @property
    def known(self) -> bool:
        """Whether there is such a coding, and there are such tables."""
        return (
            self.coding in _CODINGS
            and self.shift.locking in ("", *LOCKING)
            and self.shift.single in ("", *SINGLE)
        )

    @property
    def text(self) -> str | None:
        """The text; None if it is binary. Never raises when it is known: what can't be read becomes
        U+FFFD."""
        match self.coding:
            case "gsm7":
                return self.shift.decode(self.octets)
            case "ucs2":
                return self.octets.decode("utf-16-be", "replace")
            case "binary":
                return None
            case codec:
                return self.octets.decode(codec, "replace")


@dataclass(frozen=True, slots=True)
class Decoded:
    """A received payload: its octets, and its place in a longer message."""

    coded: Coded
    concat: Concat | None

    @property
    def text(self) -> str | None:
        """Its text; None if it is binary."""
        return self.coded.text


_IE_CONCAT_8 = 0x00
_IE_CONCAT_16 = 0x08
_IE_SINGLE = 0x24
_IE_LOCKING = 0x25


@dataclass(frozen=True, slots=True)
class Header:
    """What a user data header says, and the octets behind it."""

    concat: Concat | None
    shift: Shift
    octets: bytes


def read_header(payload: bytes) -> Header:
    """Cut the user data header off; without a whole header the payload is given back as it is.

    A table that is not known here counts as the default one (TS 23.038 6.2.1.2.4), and of a
    repeated element the last one counts (TS 23.040 9.2.3.24).
    """
    if not payload or payload[0] + 1 > len(payload):
        return Header(None, DEFAULT_SHIFT, payload)
    end = payload[0] + 1
    concat: Concat | None = None
    locking = single = ""
    at = 1
    while at + 2 <= end:
        element, size = payload[at], payload[at + 1]
        value = payload[at + 2 : min(at + 2 + size, end)]
        at += 2 + size
        if element == _IE_CONCAT_8 and len(value) == 3:
            concat = Concat(value[0], value[1], value[2])
        elif element == _IE_CONCAT_16 and len(value) == 4:
            concat = Concat(value[0] << 8 | value[1], value[2], value[3])
        elif element == _IE_SINGLE and size == len(value) == 1:
            single = LANGUAGES.get(value[0], "")
        elif element == _IE_LOCKING and size == len(value) == 1:
            locking = LANGUAGES.get(value[0], "")
    if concat is not None and not 1 <= concat.sequence <= concat.total:
        concat = None
    # Spanish has a single shift table alone.
    shift = Shift(locking if locking in LOCKING else "", single)
    return Header(concat, shift, payload[end:])


def split_header(payload: bytes) -> tuple[Concat | None, bytes]:
    """A part's place in its message, and what stands behind the header."""
    header = read_header(payload)
    return header.concat, header.octets


def header_of(elements: bytes) -> bytes:
    """The user data header of `elements`; without any there is none."""
    return bytes((len(elements),)) + elements if elements else b""


def concat_element(reference: int, total: int, sequence: int) -> bytes:
    """The 5 octets that say a part's place: concatenation with an 8-bit reference."""
    return bytes((_IE_CONCAT_8, 3, reference, total, sequence))


def coding_of(
    data_coding: int,
    alphabet: Alphabet = Alphabet.GSM7,
    shift: Shift = DEFAULT_SHIFT,
    ia5: Alphabet = Alphabet.ASCII,
) -> str:
    """How octets of a ``data_coding`` are read (``Coded.coding``), by SMPP 5.2.19.

    ``alphabet`` is what 0 means to the carrier, and ``ia5`` what 1 does: IA5 by the standard, but
    some programs write septets under it.
    """
    match _family(data_coding):
        # A header that names tables says that these are septets, whatever the carrier's default;
        # aggregators take data_coding 1 beside it as well as 0.
        case "default" | "ascii" if shift != DEFAULT_SHIFT:
            return Alphabet.GSM7.value
        case "default":
            return alphabet.value
        case "ascii":
            return ia5.value
        case coding:
            return coding


def _family(data_coding: int) -> str:
    if data_coding in _FAMILY:
        return _FAMILY[data_coding]
    if data_coding & 0xF0 == 0xF0:
        return "binary" if data_coding & 0x04 else "default"
    if data_coding & 0xC0 == 0x00 and data_coding & 0x30:
        return ("default", "binary", "ucs2", "binary")[data_coding >> 2 & 3]
    return "binary"


_FAMILY = {
    0: "default",
    1: "ascii",
    2: "binary",
    3: "latin-1",
    4: "binary",
    6: "iso8859-5",
    7: "iso8859-8",
    8: "ucs2",
}
_CODINGS = {*_FAMILY.values(), *(alphabet.value for alphabet in Alphabet)} - {"default"}


def decode_payload(
    payload: bytes,
    data_coding: int,
    udhi: bool,
    alphabet: Alphabet = Alphabet.GSM7,
    ia5: Alphabet = Alphabet.ASCII,
) -> Decoded:
    """Text and place of one received payload. Never raises, whatever the octets are."""
    header = _header(payload, udhi)
    coding = coding_of(data_coding, alphabet, header.shift, ia5)
    return Decoded(Coded(header.octets, coding, header.shift), header.concat)


def join_payloads(
    payloads: Iterable[bytes], data_coding: int, udhi: bool, alphabet: Alphabet = Alphabet.GSM7
) -> str | None:
    """Text of a whole message from the payloads of its parts, in order; None if it is binary."""
    decoded = [decode_payload(one, data_coding, udhi, alphabet) for one in payloads]
    return join_coded(one.coded for one in decoded)


def join_coded(parts: Iterable[Coded]) -> str | None:
    """Text of parts that follow each other; None if one is binary. Their octets are joined before
    they are read: other senders cut between the halves of a character, and behind an escape."""
    texts: list[str] = []
    for (coding, shift), group in groupby(parts, key=lambda one: (one.coding, one.shift)):
        text = Coded(b"".join(one.octets for one in group), coding, shift).text
        if text is None:
            return None
        texts.append(text)
    return "".join(texts)


def _header(payload: bytes, udhi: bool) -> Header:
    return read_header(payload) if udhi else Header(None, DEFAULT_SHIFT, payload)
