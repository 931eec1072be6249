"""The carrier behind an aggregator's HTTP API: JSON there, signed JSON back.

Every aggregator has its own names for the same fields; this is one plain form of them, and who
offers another is put behind a few lines that translate.

    POST <url>
    Authorization: <what authorization_file holds>
    Idempotency-Key: <message id>-<attempt>     asked twice under one key it is sent once
    {"to": "+971501234567", "from": "GovCare", "text": "…", "reference": "4711",
     "validity_s": 3600}                        no validity_s: the aggregator's own

    200, 201 or 202  {"id": "a1b2"}             it has the message under this id
    anything else    {"error": "throttled"}     it has not, for a reason of ``BY_ERROR``

Without such an error the status decides, by ``BY_STATUS``; a status of 5xx and 409 (a request under
this key is being worked on: RFC draft ietf-httpapi-idempotency-key-header) say neither, and what
they leave is *unknown*.

    POST <MAWJA_OPT_OUT>/carriers/<name>        signed as Standard Webhooks 1.0 says
    {"receipts": [{"id": "a1b2", "to": "+971501234567", "reference": "4711",
                   "status": "delivered", "error": "", "at": 1763800000}],
     "messages": [{"id": "m1", "from": "+971501234567", "to": "8001", "text": "STOP"}]}

It is answered with 200 when Kafka has it; anything else means: bring it again. A receipt needs
`to`, `status`, and `id` or `reference`; an entry that can't be read is counted and left, the others
count.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from services.broadcast.carriers.base import (
    Accepted,
    InboundMessage,
    OutMessage,
    Receipt,
    ReceiptState,
    Refused,
    SubmitOutcome,
    Unknown,
    UnknownReason,
)
from services.broadcast.carriers.entries import (
    Unreadable,
    entries,
    inbound_of,
    json_of,
    moment,
    text_of,
)
from services.broadcast.carriers.errors import SendError, said_by
from services.broadcast.carriers.web import Answer, WebCarrier, WebConfig
from services.broadcast.carriers.whole import NotSigned
from services.runtime import webhooks
from services.runtime.clock import Millis

BY_ERROR: Mapping[str, SendError] = MappingProxyType(
    {
        "malformed": SendError.MALFORMED,
        "throttled": SendError.THROTTLED,
        "queue_full": SendError.QUEUE_FULL,
        "unavailable": SendError.SYSTEM_ERROR,
        "try_again": SendError.TEMPORARY,
        "unauthorized": SendError.NOT_BOUND,
        "no_credit": SendError.NO_CREDIT,
        "invalid_to": SendError.INVALID_DESTINATION,
        "invalid_from": SendError.INVALID_SENDER,
        "invalid_text": SendError.REJECTED_CONTENT,
        "not_permitted": SendError.NOT_PERMITTED,
        "opted_out": SendError.OPTED_OUT,
        "expired": SendError.EXPIRED,
        "rejected": SendError.REFUSED,
    }
)
"""The aggregator's word that it does not have the message, whatever the status beside it."""

BY_STATUS: Mapping[int, SendError] = MappingProxyType(
    {
        400: SendError.MALFORMED,
        # About the account, not about this message: it helps to try again once that is mended.
        401: SendError.NOT_BOUND,
        402: SendError.NO_CREDIT,
        403: SendError.NOT_BOUND,
        404: SendError.NOT_BOUND,
        405: SendError.NOT_BOUND,
        # It did not get the whole of the request in time.
        408: SendError.TEMPORARY,
        410: SendError.NOT_BOUND,
        411: SendError.MALFORMED,
        413: SendError.REJECTED_CONTENT,
        415: SendError.MALFORMED,
        422: SendError.REFUSED,
        425: SendError.TEMPORARY,
        429: SendError.THROTTLED,
        431: SendError.MALFORMED,
    }
)
"""What a status alone says (RFC 9110, chapter 15; 425: RFC 8470; 429 and 431: RFC 6585)."""

BY_WORD: Mapping[str, ReceiptState] = MappingProxyType(
    {
        "queued": ReceiptState.ENROUTE,
        "sent": ReceiptState.ENROUTE,
        "enroute": ReceiptState.ENROUTE,
        "accepted": ReceiptState.ACCEPTED,
        "delivered": ReceiptState.DELIVERED,
        "expired": ReceiptState.EXPIRED,
        "deleted": ReceiptState.DELETED,
        "undelivered": ReceiptState.UNDELIVERABLE,
        "failed": ReceiptState.UNDELIVERABLE,
        "rejected": ReceiptState.REJECTED,
        "unknown": ReceiptState.UNKNOWN,
    }
)
"""A receipt's status; one that is not here says nothing, as "unknown" does."""

_NUMBER = re.compile(r"\+\d{5,15}")


class HttpCarrier(WebCarrier):
    """An account at an aggregator. ``secret`` signs what it brings."""

    def __init__(self, config: WebConfig, secret: bytes, clock: Millis) -> None:
        super().__init__(config)
        self._secret = secret
        self._clock = clock

    def request(self, message: OutMessage) -> tuple[Mapping[str, str], Mapping[str, Any]]:
        """The headers and the body that ask for a message."""
        body: dict[str, Any] = {
            "to": message.destination,
            "from": message.sender,
            "text": message.text,
            "reference": str(message.reference),
        }
        if message.validity_s is not None:
            body["validity_s"] = message.validity_s
        return {"Idempotency-Key": message.key}, body

    def meaning(self, answer: Answer) -> SubmitOutcome:
        """What an answer says of its message."""
        body = answer.body if isinstance(answer.body, dict) else {}
        if answer.status in (200, 201, 202):
            carrier_id = body.get("id")
            if isinstance(carrier_id, str) and 0 < len(carrier_id) <= 128:
                return Accepted(carrier_id)
            # Some page of a machine in between: nobody said that the aggregator has it.
            return Unknown(UnknownReason.NO_ID)
        word = body.get("error")
        error = BY_ERROR.get(word) if isinstance(word, str) else None
        if error is None:
            error = said_by(answer.status, BY_STATUS) if answer.status != 409 else None
        if error is None:
            return Unknown(UnknownReason.SERVER_ERROR)
        return Refused(error, answer.status)

    async def take(self, headers: Mapping[str, str], body: bytes) -> None:
        """Takes receipts and messages from people."""
        timestamp = headers.get("webhook-timestamp", "")
        if not webhooks.fresh(timestamp, self._clock()) or not webhooks.verify(
            self._secret,
            headers.get("webhook-id", ""),
            timestamp,
            body,
            headers.get("webhook-signature", ""),
        ):
            raise NotSigned
        brought = json_of(body)
        receipts: list[Receipt] = []
        inbound: list[InboundMessage] = []
        for entry in entries(brought, "receipts"):
            try:
                receipts.append(receipt_of(entry))
            except Unreadable as error:
                self.left("receipts", error)
        for entry in entries(brought, "messages"):
            try:
                inbound.append(_message_of(entry))
            except Unreadable as error:
                self.left("messages", error)
        await self.hand_over(receipts, inbound)


def receipt_of(entry: Mapping[str, Any]) -> Receipt:
    """A receipt. Raises Unreadable naming the field and the rule."""
    recipient = text_of(entry, "to", 16)
    if not _NUMBER.fullmatch(recipient):
        raise Unreadable("to", "is E.164 with its plus")
    carrier_id = text_of(entry, "id", 128, default="")
    raw = text_of(entry, "reference", 5, default="")
    if raw and not (raw.isascii() and raw.isdigit() and 0 < int(raw) <= 0xFFFF):
        raise Unreadable("reference", "is the one that was given, 1 to 65535")
    if not carrier_id and not raw:
        raise Unreadable("id", "or reference must say which message it is about")
    return Receipt(
        carrier_id=carrier_id,
        state=BY_WORD.get(text_of(entry, "status", 32).lower(), ReceiptState.UNKNOWN),
        error=text_of(entry, "error", 64, default=""),
        done_at=moment(entry, "at"),
        recipient=recipient,
        reference=int(raw) if raw else None,
        whole=True,
    )


def _message_of(entry: Mapping[str, Any]) -> InboundMessage:
    sender = text_of(entry, "from", 16)
    if not _NUMBER.fullmatch(sender):
        raise Unreadable("from", "is E.164 with its plus")
    return inbound_of(
        sender,
        text_of(entry, "to", 32, default=""),
        text_of(entry, "text", 16_384),
        text_of(entry, "id", 128, default=""),
    )
