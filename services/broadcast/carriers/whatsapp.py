"""The carrier behind WhatsApp's Cloud API: texts or one template there, signed webhooks back.

    POST <url>/<phone number id>/messages, Authorization: Bearer <token>
    GET  <MAWJA_OPT_OUT>/carriers/<name>?hub.mode=subscribe&hub.verify_token=…&hub.challenge=…
    POST <MAWJA_OPT_OUT>/carriers/<name>, X-Hub-Signature-256: sha256=<HMAC of the body>

Free text reaches only who wrote to the number in the last 24 hours, so a campaign needs a template:
its body is the message, as the one parameter {{1}} among its own approved words. The API has no
idempotency key: what was asked and not answered stays *unknown* until its status comes, which
brings back our reference (``biz_opaque_callback_data``). It has no validity either: an aged message
may still arrive.

Meta signs the body and no time, so a recording of a delivery can't be told from a delivery that is
brought again, for days if need be. A status twice changes nothing, and a message has its id.
A person is found by `recipient_id`: in the few countries where WhatsApp writes a number differently
(Brazil, Mexico, Argentina) the status of a message is not found.
"""

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
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
from services.broadcast.carriers.errors import said_by
from services.broadcast.carriers.web import Answer, WebCarrier, WebConfig
from services.broadcast.carriers.whatsapp_codes import BY_STATUS, BY_WORD, error_of, failed_as
from services.broadcast.carriers.whole import BadDelivery, NotSigned

_DIGITS = re.compile(r"\d{5,15}")


@dataclass(frozen=True, slots=True)
class WhatsappNumber:
    """A business number. ``template`` empty: free text. ``languages``: those that the template was
    approved in, as Meta writes them; the first is for every other language."""

    phone_number_id: str
    app_secret: str = field(repr=False)
    verify_token: str = field(repr=False)
    template: str = ""
    languages: tuple[str, ...] = ()


class WhatsappCarrier(WebCarrier):
    """A business number at the Cloud API."""

    largest = 3 * 1024 * 1024
    """Meta's webhooks are up to 3 MB."""

    def __init__(self, config: WebConfig, number: WhatsappNumber) -> None:
        super().__init__(config)
        self._number = number

    def request(self, message: OutMessage) -> tuple[Mapping[str, str], Mapping[str, Any]]:
        """The headers and the body that ask for a message."""
        body: dict[str, Any] = {
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            "to": message.destination,
            "biz_opaque_callback_data": str(message.reference),
        }
        if self._number.template:
            parameter = {"type": "text", "text": message.text}
            body["type"] = "template"
            body["template"] = {
                "name": self._number.template,
                "language": {"policy": "deterministic", "code": self._language(message.language)},
                "components": [{"type": "body", "parameters": [parameter]}],
            }
        else:
            body["type"] = "text"
            body["text"] = {"preview_url": False, "body": message.text}
        return {}, body

    def _language(self, wanted: str) -> str:
        exact = wanted.replace("-", "_")
        spoken = exact.partition("_")[0].lower()
        for language in (exact, spoken):
            if language in self._number.languages:
                return language
        alike = (one for one in self._number.languages if one.partition("_")[0] == spoken)
        return next(alike, self._number.languages[0])

    def meaning(self, answer: Answer) -> SubmitOutcome:
        """What an answer says of its message."""
        body = answer.body if isinstance(answer.body, dict) else {}
        if answer.status == 200:
            try:
                return Accepted(text_of(body["messages"][0], "id", 256))
            except (KeyError, IndexError, TypeError, AttributeError, Unreadable):
                return Unknown(UnknownReason.NO_ID)
        said = body.get("error")
        code = said.get("code") if isinstance(said, dict) else None
        error = error_of(code)
        if error is None:
            error = said_by(answer.status, BY_STATUS)
        if error is None:
            return Unknown(UnknownReason.SERVER_ERROR)
        return Refused(error, code if isinstance(code, int) else answer.status)

    def challenge(self, query: Mapping[str, str]) -> str | None:
        """The answer that proves to Meta that the webhook is ours."""
        given = query.get("hub.verify_token", "").encode(errors="surrogateescape")
        right = hmac.compare_digest(given, self._number.verify_token.encode())
        if not right or query.get("hub.mode") != "subscribe":
            return None
        challenge = query.get("hub.challenge", "")
        # It is shown as it came: digits can't be anything else than a number.
        return challenge if re.fullmatch(r"\w{1,64}", challenge, re.ASCII) else None

    async def take(self, headers: Mapping[str, str], body: bytes) -> None:
        """Takes statuses and messages from people."""
        secret = self._number.app_secret.encode()
        expected = f"sha256={hmac.new(secret, body, 'sha256').hexdigest()}".encode()
        given = headers.get("X-Hub-Signature-256", "").encode(errors="surrogateescape")
        if not hmac.compare_digest(expected, given):
            raise NotSigned
        receipts: list[Receipt] = []
        inbound: list[InboundMessage] = []
        for entry in entries(json_of(body), "entry"):
            for change in entries(entry, "changes"):
                value = change.get("value")
                # Other numbers of the same account, and other fields, come the same way.
                if isinstance(value, dict) and change.get("field") == "messages":
                    self._read(value, receipts, inbound)
        await self.hand_over(receipts, inbound)

    def _read(
        self, value: Mapping[str, Any], receipts: list[Receipt], inbound: list[InboundMessage]
    ) -> None:
        metadata = value.get("metadata")
        if (
            not isinstance(metadata, dict)
            or metadata.get("phone_number_id") != self._number.phone_number_id
        ):
            return
        line = metadata.get("display_phone_number")
        for status in entries(value, "statuses"):
            try:
                receipts.append(receipt_of(status))
            except (Unreadable, BadDelivery) as error:
                self.left("statuses", error)
        for message in entries(value, "messages"):
            try:
                text = _text_of(message)
                sender = _person(message, "from")
                known = isinstance(line, str) and line.isascii() and len(line) <= 32
                destination = str(line) if known else ""
                inbound.append(inbound_of(sender, destination, text, text_of(message, "id", 256)))
            except Unreadable as error:
                self.left("messages", error)


def receipt_of(status: Mapping[str, Any]) -> Receipt:
    """A receipt. Raises Unreadable or BadDelivery naming the field and the rule."""
    word = text_of(status, "status", 32)
    state = BY_WORD.get(word, ReceiptState.UNKNOWN)
    code = next((error.get("code") for error in entries(status, "errors")), None)
    if state is ReceiptState.REJECTED:
        state = failed_as(code)
    raw = status.get("biz_opaque_callback_data")
    # Somebody else may send by the same number, with data of theirs.
    ours = isinstance(raw, str) and re.fullmatch(r"[1-9]\d{0,4}", raw, re.ASCII)
    reference = int(raw) if isinstance(raw, str) and ours else 0
    return Receipt(
        carrier_id=text_of(status, "id", 256),
        state=state,
        error=str(code) if isinstance(code, int) else "",
        done_at=moment(status, "timestamp"),
        recipient=_person(status, "recipient_id"),
        reference=reference if 0 < reference <= 0xFFFF else None,
        whole=True,
    )


def _person(entry: Mapping[str, Any], field: str) -> str:
    digits = text_of(entry, field, 16)
    if not _DIGITS.fullmatch(digits):
        raise Unreadable(field, "is a number's digits")
    return f"+{digits}"


def _text_of(message: Mapping[str, Any]) -> str:
    """The words of a message: a text, or the button that was pressed; none of a picture."""
    match message:
        case {"type": "text", "text": {"body": str() as body}}:
            return body
        case {"type": "button", "button": {"text": str() as body}}:
            return body
        case {"type": "interactive", "interactive": {"button_reply": {"title": str() as body}}}:
            return body
        case _:
            return ""
