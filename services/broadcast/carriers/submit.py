"""A part on its way into ``submit_sm``: the call it belongs to, and its octets."""

from dataclasses import dataclass

import smpp34

from services.broadcast.carriers.base import (
    OnOutcomes,
    OutPart,
    SubmitOutcome,
    Unknown,
    UnknownReason,
)
from services.broadcast.carriers.errors import SendError
from services.runtime import smpp, smpp_time

_TON_UNKNOWN, _TON_INTERNATIONAL, _TON_ALPHANUMERIC = 0, 1, 5
_NPI_UNKNOWN, _NPI_E164 = 0, 1
_MAX_DIGITS = 20
_MAX_ALPHANUMERIC = 11
_NONE_YET = Unknown(UnknownReason.STOPPED)


class Batch:
    """Parts that belong together, and their outcomes: ``then`` is told when none is missing."""

    __slots__ = ("_left", "_outcomes", "_then", "over", "write_by")

    def __init__(self, count: int, write_by: float, then: OnOutcomes) -> None:
        self._outcomes: list[SubmitOutcome] = [_NONE_YET] * count
        self._left = count
        self._then = then
        self.write_by = write_by
        self.over = False
        """Nothing more is to be written of it."""

    def settle(self, index: int, outcome: SubmitOutcome) -> None:
        self._outcomes[index] = outcome
        self._left -= 1
        if not self._left and not self.over:
            self.over = True
            self._then(self._outcomes)

    def cancel(self) -> None:
        self.over = True


@dataclass(slots=True)
class Waiting:
    batch: Batch
    index: int
    part: OutPart


def encode(part: OutPart, sequence: int) -> bytes | SendError:
    """The ``submit_sm`` of a part, or why there can't be one."""
    digits = part.destination.removeprefix("+")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= _MAX_DIGITS):
        return SendError.INVALID_DESTINATION
    sender = _sender(part.sender)
    if sender is None:
        return SendError.INVALID_SENDER
    source, ton, npi = sender
    validity = ""
    try:
        if part.not_after is not None:
            validity = smpp_time.absolute_time(part.not_after)
        elif part.validity_s is not None:
            validity = smpp_time.relative_time(part.validity_s)
        reference = part.reference.to_bytes(2, "big")
        return smpp34.SubmitSm(
            source,
            digits,
            part.payload,
            source_addr_ton=ton,
            source_addr_npi=npi,
            dest_addr_ton=_TON_INTERNATIONAL,
            dest_addr_npi=_NPI_E164,
            esm_class=smpp.ESM_UDHI if part.udhi else 0,
            validity_period=validity,
            registered_delivery=int(part.registered_delivery),
            data_coding=part.data_coding,
            tlvs=[smpp34.Tlv(smpp.TAG_USER_MESSAGE_REFERENCE, reference)],
            sequence_number=sequence,
        ).encode()
    except (ValueError, OverflowError, OSError, smpp34.SmppError):
        return SendError.MALFORMED


def _sender(sender: str) -> tuple[str, int, int] | None:
    digits = sender.removeprefix("+")
    if digits.isascii() and digits.isdigit() and len(digits) <= _MAX_DIGITS:
        if sender.startswith("+"):
            return digits, _TON_INTERNATIONAL, _NPI_E164
        return digits, _TON_UNKNOWN, _NPI_UNKNOWN
    if sender.isascii() and sender.isprintable() and 1 <= len(sender) <= _MAX_ALPHANUMERIC:
        return sender, _TON_ALPHANUMERIC, _NPI_UNKNOWN
    return None
