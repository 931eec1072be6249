"""The wire of SMPP 3.4, as both ends of it need it: frames, headers, fields and their names.

Shared by our carrier session (client) and by the local SMS centre (server), so that the two agree
on framing, on times (`smpp_time`) and on text (`smpp_text`), and on nothing else. PDUs with a body
of their own (``submit_sm``, ``deliver_sm``) are encoded and decoded by the ``smpp34`` codec; the
fixed-size headers around them are cheap enough to pack here. Pure.

Source: SMPP v3.4 issue 1.2 (PDUs, statuses).
"""

import enum
import struct
from typing import NamedTuple

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


class Frame(NamedTuple):
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
