"""What a part of an SMS holds: its place in the message, and the octets that are its text. Pure.

The carrier session writes and reads parts with it, and the local SMS centre reads them, so that a
text counts and comes back the same at both ends.

Sources: SMPP v3.4 issue 1.2, 5.2.19 (``data_coding``), 3GPP TS 23.038 (alphabets), 3GPP TS 23.040
9.2.3.24 (user data header).
"""

import enum
from collections.abc import Iterable
from dataclasses import dataclass

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
    if ESCAPE not in octets:
        return "".join([_DECODE_BASIC[code] for code in octets])
    chars: list[str] = []
    escaped = False
    for code in octets:
        if escaped:
            chars.append(_DECODE_ESCAPED[code])
            escaped = False
        elif code == ESCAPE:
            escaped = True
        else:
            chars.append(_DECODE_BASIC[code])
    if escaped:
        chars.append(" ")
    return "".join(chars)


@dataclass(frozen=True, slots=True)
class Concat:
    """Place of a part in its message: ``sequence`` of ``total``, joined by ``reference``."""

    reference: int
    total: int
    sequence: int


@dataclass(frozen=True, slots=True)
class Decoded:
    """A received payload: its text (None if it is binary) and its place in a longer message."""

    text: str | None
    concat: Concat | None


_IE_CONCAT_8 = 0x00
_IE_CONCAT_16 = 0x08


def split_header(payload: bytes) -> tuple[Concat | None, bytes]:
    """Cut the user data header off; without a whole header the payload is given back as it is."""
    if not payload or payload[0] + 1 > len(payload):
        return None, payload
    end = payload[0] + 1
    concat: Concat | None = None
    at = 1
    while at + 2 <= end:
        element, size = payload[at], payload[at + 1]
        value = payload[at + 2 : min(at + 2 + size, end)]
        at += 2 + size
        if element == _IE_CONCAT_8 and len(value) == 3:
            concat = Concat(value[0], value[1], value[2])
        elif element == _IE_CONCAT_16 and len(value) == 4:
            concat = Concat(value[0] << 8 | value[1], value[2], value[3])
    if concat is not None and not 1 <= concat.sequence <= concat.total:
        concat = None
    return concat, payload[end:]


def concat_header(reference: int, total: int, sequence: int) -> bytes:
    """The 6-octet user data header of a part: concatenation with an 8-bit reference."""
    return bytes((5, _IE_CONCAT_8, 3, reference, total, sequence))


def text_of(octets: bytes, data_coding: int, alphabet: Alphabet = Alphabet.GSM7) -> str | None:
    """Text of ``octets`` (header already cut off) by SMPP 5.2.19; None if it is binary.

    Never raises: what can't be read becomes U+FFFD. Parts of one message are joined before they
    are decoded, since other senders do split surrogate pairs.
    """
    match _family(data_coding):
        case "default":
            return alphabet.decode(octets)
        case "ucs2":
            return octets.decode("utf-16-be", "replace")
        case "binary":
            return None
        case codec:
            return octets.decode(codec, "replace")


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


def decode_payload(
    payload: bytes, data_coding: int, udhi: bool, alphabet: Alphabet = Alphabet.GSM7
) -> Decoded:
    """Text and place of one received payload. Never raises, whatever the octets are."""
    concat, octets = split_header(payload) if udhi else (None, payload)
    return Decoded(text_of(octets, data_coding, alphabet), concat)


def join_payloads(
    payloads: Iterable[bytes], data_coding: int, udhi: bool, alphabet: Alphabet = Alphabet.GSM7
) -> str | None:
    """Text of a whole message from the payloads of its parts, in order."""
    octets = b"".join(split_header(one)[1] if udhi else one for one in payloads)
    return text_of(octets, data_coding, alphabet)
