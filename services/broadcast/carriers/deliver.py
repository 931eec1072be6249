"""Reads what a carrier delivers: a receipt for a part of ours, or a message from a person.

Carriers write the same receipt in many ways (SMPP 3.4 appendix B is only an example), so reading
is lenient and never fails: what is missing is empty or unknown, and the caller decides. What makes
it a receipt is the carrier's own mark, never the text: a person may write anything. Pure.
"""

import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import phonenumbers
from smpp34 import DeliverSm

from services.broadcast.carriers.base import InboundMessage, Receipt, ReceiptState
from services.runtime import smpp
from services.runtime.smpp_text import Alphabet, Concat, decode_payload

IdFormat = Literal["same", "hex_to_dec", "dec_to_hex"]


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one carrier writes; data from its own documentation.

    ``id_format``: how a message id in the submit's answer becomes the one in the receipt's text
    (a ``receipted_message_id`` parameter has the answer's form, SMPP 5.3.2.12).
    ``alphabet``: what ``data_coding`` 0 means. ``data_coding_1``: what 1 does in what people write;
    IA5 by the standard, but some programs (node-smpp) write septets under it.
    ``utc_offset_min``: zone of dates in receipts.
    ``inbound_id_tag``: the optional parameter with the id of an inbound message.
    ``country``: ISO 3166 code of the country whose numbers it writes without their country code;
    "": it writes none so.
    """

    id_format: IdFormat = "same"
    alphabet: Alphabet = Alphabet.GSM7
    data_coding_1: Alphabet = Alphabet.ASCII
    utc_offset_min: int = 0
    inbound_id_tag: int = smpp.TAG_RECEIPTED_MESSAGE_ID
    country: str = ""

    def answer_id(self, raw: str) -> str:
        """Normal form of an id as the submit's answer writes it."""
        return _normal(raw, {"same": 0, "hex_to_dec": 16, "dec_to_hex": 10}[self.id_format])

    def receipt_id(self, raw: str) -> str:
        """Normal form of an id as a receipt's text writes it."""
        return _normal(raw, {"same": 0, "hex_to_dec": 10, "dec_to_hex": 16}[self.id_format])


def _normal(raw: str, base: int) -> str:
    value = raw.strip(" \0\r\n\t")
    if base == 0:
        return value
    try:
        return str(int(value, base))
    except ValueError:
        return value


_FIELD = re.compile(r"\b(id|sub|dlvrd|submit date|done date|stat|err):(\S*)", re.I)
_TEXT = re.compile(r"\btext:", re.I)
_ID_FIRST = re.compile(r"id:(\S*)\s", re.I)
_STATES = {
    "ENROUTE": ReceiptState.ENROUTE,
    "DELIVRD": ReceiptState.DELIVERED,
    "DELIVERED": ReceiptState.DELIVERED,
    "EXPIRED": ReceiptState.EXPIRED,
    "DELETED": ReceiptState.DELETED,
    "UNDELIV": ReceiptState.UNDELIVERABLE,
    "UNDELIVERABLE": ReceiptState.UNDELIVERABLE,
    "FAILED": ReceiptState.UNDELIVERABLE,
    "ACCEPTD": ReceiptState.ACCEPTED,
    "ACCEPTED": ReceiptState.ACCEPTED,
    "BUFFERED": ReceiptState.ENROUTE,
    "UNKNOWN": ReceiptState.UNKNOWN,
    "REJECTD": ReceiptState.REJECTED,
    "REJECTED": ReceiptState.REJECTED,
}


def read(message: DeliverSm, dialect: Dialect) -> Receipt | InboundMessage:
    """Tell a receipt from a message and read it. Never raises."""
    tlvs = smpp.tlvs_of(message)
    kind = message.esm_class & smpp.ESM_TYPE_MASK
    marked = kind in (smpp.ESM_RECEIPT, smpp.ESM_INTERMEDIATE)
    state_tlv = tlvs.get(smpp.TAG_MESSAGE_STATE)
    payload = bytes(message.short_message) or tlvs.get(smpp.TAG_MESSAGE_PAYLOAD, b"")
    if marked or (state_tlv is not None and smpp.TAG_RECEIPTED_MESSAGE_ID in tlvs):
        return _receipt(message, payload, tlvs, dialect)
    return _inbound(message, payload, tlvs, dialect)


def _receipt(
    message: DeliverSm, payload: bytes, tlvs: dict[int, bytes], dialect: Dialect
) -> Receipt:
    fields = _fields(payload.decode("latin-1"))
    if smpp.TAG_RECEIPTED_MESSAGE_ID in tlvs:
        carrier_id = dialect.answer_id(tlvs[smpp.TAG_RECEIPTED_MESSAGE_ID].decode("latin-1"))
    else:
        carrier_id = dialect.receipt_id(fields.get("id", ""))
    state = _STATES.get(fields.get("stat", "").upper())
    if state is None:
        number = int.from_bytes(tlvs.get(smpp.TAG_MESSAGE_STATE, b""), "big")
        state = ReceiptState(number) if 1 <= number <= 8 else ReceiptState.UNKNOWN
    return Receipt(
        carrier_id=carrier_id,
        state=state,
        error=fields.get("err", ""),
        done_at=_done_at(fields.get("done date", ""), dialect.utc_offset_min),
        recipient=_person(message.source_addr, message.source_addr_ton, dialect.country),
        reference=_short(tlvs.get(smpp.TAG_USER_MESSAGE_REFERENCE)),
    )


def _fields(text: str) -> Mapping[str, str]:
    cut = _TEXT.search(text)
    head = text[: cut.start()] if cut else text
    first = _ID_FIRST.match(head)
    return {"id": first[1], **_read(head[first.end() :])} if first else _read(head)


# Behind the id, receipts of the same minute say the same.
@lru_cache(maxsize=1024)
def _read(head: str) -> Mapping[str, str]:
    return {match[1].lower(): match[2] for match in _FIELD.finditer(head)}


def _inbound(
    message: DeliverSm, payload: bytes, tlvs: dict[int, bytes], dialect: Dialect
) -> InboundMessage:
    udhi = bool(message.esm_class & smpp.ESM_UDHI)
    decoded = decode_payload(
        payload, message.data_coding, udhi, dialect.alphabet, dialect.data_coding_1
    )
    concat = decoded.concat or _sar(tlvs)
    sender = _person(message.source_addr, message.source_addr_ton, dialect.country)
    destination = _international(message.destination_addr, message.dest_addr_ton)
    carrier_id = tlvs.get(dialect.inbound_id_tag, b"").decode("latin-1").strip(" \0")
    place = f"{concat.reference}/{concat.total}/{concat.sequence}" if concat else ""
    head = (carrier_id, sender, destination, str(message.data_coding), place)
    return InboundMessage(
        sender=sender,
        destination=destination,
        payload=payload,
        data_coding=message.data_coding,
        udhi=udhi,
        coded=decoded.coded,
        concat=concat,
        carrier_id=carrier_id,
        identity="\0".join(head).encode("utf-8", "replace") + b"\0" + payload,
    )


def _sar(tlvs: dict[int, bytes]) -> Concat | None:
    reference = _short(tlvs.get(smpp.TAG_SAR_MSG_REF_NUM))
    total = int.from_bytes(tlvs.get(smpp.TAG_SAR_TOTAL_SEGMENTS, b""), "big")
    sequence = int.from_bytes(tlvs.get(smpp.TAG_SAR_SEGMENT_SEQNUM, b""), "big")
    if reference is None or not 1 <= sequence <= total <= 255:
        return None
    return Concat(reference, total, sequence)


def _short(value: bytes | None) -> int | None:
    return int.from_bytes(value, "big") if value is not None and len(value) == 2 else None


_TON_INTERNATIONAL, _TON_NATIONAL = 1, 2
_LONGEST_SHORT_CODE = 8


def lacks_country(number: str) -> bool:
    """Whether a read number is no short code, and still without its country code."""
    return number.isascii() and number.isdigit() and len(number) > _LONGEST_SHORT_CODE


# A person's parts and receipts come together.
@lru_cache(maxsize=4096)
def _person(raw: str, ton: int, country: str) -> str:
    """E.164 wherever that can be known: a number in another form would be another person, whose
    request to stop holds for nobody and whose receipt finds no message."""
    if country and raw.isascii() and raw.isdigit():
        national = "" if ton == _TON_INTERNATIONAL and raw[0] != "0" else _national(raw, country)
        if national:
            return national
    return _international(raw, ton)


def _national(raw: str, country: str) -> str:
    try:
        number = phonenumbers.parse(raw, country)
    except phonenumbers.NumberParseException:
        return ""
    if not phonenumbers.is_valid_number_for_region(number, country):
        return ""
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _international(raw: str, ton: int) -> str:
    if not (raw.isascii() and raw.isdigit()):
        return raw
    if raw.startswith("00") and len(raw) > _LONGEST_SHORT_CODE:
        return "+" + raw.removeprefix("00")
    # No country code begins with 0 (E.164): it is a trunk prefix, whatever the type says.
    if raw.startswith("0") or ton == _TON_NATIONAL:
        return raw
    if ton == _TON_INTERNATIONAL or len(raw) > _LONGEST_SHORT_CODE:
        return "+" + raw
    return raw


# Dates have the resolution of minutes or seconds: neighbouring receipts share theirs.
@lru_cache(maxsize=1024)
def _done_at(value: str, utc_offset_min: int) -> float | None:
    form = {10: "%y%m%d%H%M", 12: "%y%m%d%H%M%S"}.get(len(value))
    if form is None or not (value.isascii() and value.isdigit()):
        return None
    zone = datetime.timezone(datetime.timedelta(minutes=utc_offset_min))
    try:
        return datetime.datetime.strptime(value, form).replace(tzinfo=zone).timestamp()
    except ValueError:
        return None
