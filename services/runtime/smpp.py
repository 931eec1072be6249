"""The wire of SMPP 3.4, as both ends of it need it: frames, headers, times and text.

Shared by our carrier session (client) and by the local SMS centre (server), so that the two agree
on framing and on nothing else. PDUs with a body of their own (``submit_sm``, ``deliver_sm``) are
encoded and decoded by the ``smpp34`` codec; the fixed-size headers around them are cheap enough to
pack here. Everything in this module is pure.

Sources: SMPP v3.4 issue 1.2 (PDUs, statuses, time format 7.1.1), 3GPP TS 23.038 (alphabets),
3GPP TS 23.040 9.2.3.24 (user data header).
"""

import datetime
import enum
import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass

from smpp34 import DeliverSm, SubmitSm

GENERIC_NACK = 0x80000000
BIND_RECEIVER = 0x00000001
BIND_TRANSMITTER = 0x00000002
SUBMIT_SM = 0x00000004
DELIVER_SM = 0x00000005
UNBIND = 0x00000006
BIND_TRANSCEIVER = 0x00000009
ENQUIRE_LINK = 0x00000015
RESPONSE = 0x80000000
"""Bit that turns a request's command id into its response's."""

SUBMIT_SM_RESP = SUBMIT_SM | RESPONSE
DELIVER_SM_RESP = DELIVER_SM | RESPONSE
UNBIND_RESP = UNBIND | RESPONSE
BIND_TRANSCEIVER_RESP = BIND_TRANSCEIVER | RESPONSE
ENQUIRE_LINK_RESP = ENQUIRE_LINK | RESPONSE

BINDS = frozenset((BIND_RECEIVER, BIND_TRANSMITTER, BIND_TRANSCEIVER))

TAG_RECEIPTED_MESSAGE_ID = 0x001E
TAG_USER_MESSAGE_REFERENCE = 0x0204
TAG_SAR_MSG_REF_NUM = 0x020C
TAG_SAR_TOTAL_SEGMENTS = 0x020E
TAG_SAR_SEGMENT_SEQNUM = 0x020F
TAG_SC_INTERFACE_VERSION = 0x0210
TAG_MESSAGE_PAYLOAD = 0x0424
TAG_MESSAGE_STATE = 0x0427

ESM_UDHI = 0x40
"""``esm_class`` bit: the message starts with a user data header."""
ESM_TYPE_MASK = 0x3C
ESM_RECEIPT = 0x04
ESM_INTERMEDIATE = 0x20

MAX_PDU_OCTETS = 70_000
"""Longest PDU taken: a 64 KiB ``message_payload`` and its header; a longer length is garbage."""

HEADER = struct.Struct(">IIII")


class Status(enum.IntEnum):
    """``command_status`` values of SMPP 3.4 table 5-2 that one of the two ends uses by name."""

    ESME_ROK = 0x00
    ESME_RINVMSGLEN = 0x01
    ESME_RINVCMDLEN = 0x02
    ESME_RINVCMDID = 0x03
    ESME_RINVBNDSTS = 0x04
    ESME_RALYBND = 0x05
    ESME_RINVPRTFLG = 0x06
    ESME_RINVREGDLVFLG = 0x07
    ESME_RSYSERR = 0x08
    ESME_RINVSRCADR = 0x0A
    ESME_RINVDSTADR = 0x0B
    ESME_RINVMSGID = 0x0C
    ESME_RBINDFAIL = 0x0D
    ESME_RINVPASWD = 0x0E
    ESME_RINVSYSID = 0x0F
    ESME_RMSGQFUL = 0x14
    ESME_RINVSERTYP = 0x15
    ESME_RINVESMCLASS = 0x43
    ESME_RSUBMITFAIL = 0x45
    ESME_RINVSRCTON = 0x48
    ESME_RINVSRCNPI = 0x49
    ESME_RINVDSTTON = 0x50
    ESME_RINVDSTNPI = 0x51
    ESME_RINVSYSTYP = 0x53
    ESME_RINVREPFLAG = 0x54
    ESME_RINVNUMMSGS = 0x55
    ESME_RTHROTTLED = 0x58
    ESME_RINVSCHED = 0x61
    ESME_RINVEXPIRY = 0x62
    ESME_RINVDFTMSGID = 0x63
    ESME_RX_T_APPN = 0x64
    ESME_RX_P_APPN = 0x65
    ESME_RX_R_APPN = 0x66
    ESME_RQUERYFAIL = 0x67
    ESME_RINVOPTPARSTREAM = 0xC0
    ESME_ROPTPARNOTALLWD = 0xC1
    ESME_RINVPARLEN = 0xC2
    ESME_RMISSINGOPTPARAM = 0xC3
    ESME_RINVOPTPARAMVAL = 0xC4
    ESME_RDELIVERYFAILURE = 0xFE
    ESME_RUNKNOWNERR = 0xFF


class FrameError(ValueError):
    """The stream is not SMPP any more: no later byte of it can be trusted, close it."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One whole PDU with its header read; ``raw`` is the PDU itself, header included."""

    command: int
    status: int
    sequence: int
    raw: bytes


class Framer:
    """Cuts a byte stream into PDUs; keeps the unfinished tail between reads."""

    __slots__ = ("_tail",)

    def __init__(self) -> None:
        self._tail = b""

    def feed(self, data: bytes) -> tuple[list[Frame], FrameError | None]:
        """Take one read; give every PDU that is now whole, and the error that ends the stream.

        PDUs before a broken length are still given: they were good. After an error the framer
        is to be thrown away with its connection.
        """
        if self._tail:
            data = self._tail + data
        frames: list[Frame] = []
        start, end = 0, len(data)
        unpack = HEADER.unpack_from
        while end - start >= 4:
            length = int.from_bytes(data[start : start + 4], "big")
            if not 16 <= length <= MAX_PDU_OCTETS:
                self._tail = b""
                return frames, FrameError(f"a PDU declares {length} octets; this is not SMPP")
            if end - start < length:
                break
            _, command, status, sequence = unpack(data, start)
            frames.append(Frame(command, status, sequence, data[start : start + length]))
            start += length
        self._tail = data[start:]
        return frames, None


def pdu(command: int, status: int, sequence: int, body: bytes = b"") -> bytes:
    """A PDU from its header fields and its body."""
    return HEADER.pack(16 + len(body), command, status, sequence) + body


def c_string(value: str, limit: int) -> bytes:
    """A C-octet string of at most ``limit`` octets with its NUL; ValueError if longer."""
    raw = value.encode("ascii")
    if len(raw) >= limit or b"\0" in raw:
        raise ValueError(f"an SMPP field takes at most {limit - 1} octets, none of them NUL")
    return raw + b"\0"


def read_c_string(data: bytes, start: int) -> tuple[str, int]:
    """The C-octet string at ``start`` and the offset after its NUL; ValueError without one."""
    end = data.find(b"\0", start)
    if end < 0:
        raise ValueError("a C-octet string without its NUL")
    return data[start:end].decode("latin-1"), end + 1


def bind_body(system_id: str, password: str, system_type: str) -> bytes:
    """Body of a ``bind_*`` request (SMPP 4.1.5): interface 3.4, no address range."""
    return (
        c_string(system_id, 16)
        + c_string(password, 9)
        + c_string(system_type, 13)
        + b"\x34\x00\x00\x00"
    )


def tlv(tag: int, value: bytes) -> bytes:
    """An optional parameter, packed."""
    return struct.pack(">HH", tag, len(value)) + value


def tlvs_of(message: SubmitSm | DeliverSm) -> dict[int, bytes]:
    """Optional parameters by tag; the first of a repeated tag counts."""
    found: dict[int, bytes] = {}
    for one in message.tlvs:
        found.setdefault(one.tag, bytes(one.value))
    return found


# --- time (SMPP 7.1.1) ---------------------------------------------------------------------------

_TIME = re.compile(r"(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d)(\d\d)([-+R])")
_MAX_RELATIVE_DAYS = 31


def absolute_time(unix_s: float) -> str:
    """``YYMMDDhhmmsst00+``: an instant in UTC, to the tenth of a second (rounded down)."""
    tenths = int(unix_s * 10)
    moment = datetime.datetime.fromtimestamp(tenths // 10, datetime.UTC)
    return f"{moment:%y%m%d%H%M%S}{tenths % 10}00+"


def relative_time(seconds: int) -> str:
    """``0000DDhhmmss000R``: seconds from arrival, up to 31 days; ValueError beyond."""
    if seconds < 0 or seconds > _MAX_RELATIVE_DAYS * 86_400:
        raise ValueError("a relative validity period is 0 s to 31 days; use an absolute one")
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    return f"0000{days:02d}{hour:02d}{minute:02d}{second:02d}000R"


def read_time(value: str, now_unix_s: float) -> float | None:
    """The instant (Unix seconds) that an SMPP time names; None if empty; ValueError if broken."""
    if not value:
        return None
    match = _TIME.fullmatch(value)
    if match is None:
        raise ValueError("an SMPP time is 16 characters: YYMMDDhhmmsstnnp")
    year, month, day, hour, minute, second, tenth, quarters = map(int, match.groups()[:8])
    sign = match[9]
    if sign == "R":
        days = year * 365 + month * 30 + day
        return now_unix_s + days * 86_400 + hour * 3600 + minute * 60 + second
    moment = datetime.datetime(2000 + year, month, day, hour, minute, second, tzinfo=datetime.UTC)
    offset = quarters * 900 * (1 if sign == "+" else -1)
    return moment.timestamp() + tenth / 10 - offset


# --- text (3GPP TS 23.038) -----------------------------------------------------------------------

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
