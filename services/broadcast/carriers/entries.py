"""Reads what carriers write as JSON or as rows: field by field, and never trusting any. Pure.

What is wrong is named by field and rule, never by content: it is about a person.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from services.broadcast.carriers.base import InboundMessage
from services.broadcast.carriers.whole import BadDelivery
from services.runtime.smpp_text import Coded

MOST = 10_000
"""Entries of one list in a delivery."""
_LATEST_S = 253_402_300_799
"""The end of the year 9999: later there are no dates."""


class Unreadable(ValueError):
    """One entry that can't be read."""

    def __init__(self, field: str, rule: str) -> None:
        super().__init__(f"{field} {rule}")


def json_of(body: bytes) -> Mapping[str, Any]:
    """The object that a delivery is. Raises BadDelivery."""
    try:
        brought = json.loads(body)
    except (ValueError, RecursionError):
        raise BadDelivery("the body must be JSON") from None
    if not isinstance(brought, dict):
        raise BadDelivery("the body must be an object")
    return brought


def entries(within: Any, field: str) -> Iterator[Mapping[str, Any]]:
    """The objects of the list `field`; nothing where it is left out. Raises BadDelivery."""
    held = within.get(field, []) if isinstance(within, dict) else None
    if not isinstance(held, list) or len(held) > MOST:
        raise BadDelivery(f"{field} must be a list of at most {MOST}")
    for entry in held:
        if not isinstance(entry, dict):
            raise BadDelivery(f"{field} must be a list of objects")
        yield entry


def text_of(entry: Mapping[str, Any], field: str, most: int, *, default: str | None = None) -> str:
    """A text of at most `most` characters; not empty unless there is a `default`.
    Raises Unreadable."""
    value = entry.get(field)
    if value is None or value == "":
        if default is None:
            raise Unreadable(field, "is missing")
        return default
    if not isinstance(value, str) or len(value) > most:
        raise Unreadable(field, f"is a text of at most {most} characters")
    try:
        value.encode()
    except UnicodeEncodeError:
        # JSON may escape half of a character, which neither Kafka's records nor a log can hold.
        raise Unreadable(field, "has half of a character") from None
    return value


def moment(entry: Mapping[str, Any], field: str) -> float | None:
    """Unix seconds, as a number or its digits; None where it is left out. Raises Unreadable."""
    value = entry.get(field)
    if value is None or value == "":
        return None
    try:
        at = float(value) if isinstance(value, int | float | str) else -1.0
    except (ValueError, OverflowError):
        at = -1.0
    if isinstance(value, bool) or not 0 <= at <= _LATEST_S:
        raise Unreadable(field, "is Unix time in seconds")
    return at


def inbound_of(sender: str, destination: str, text: str, carrier_id: str) -> InboundMessage:
    """A whole message from a person."""
    payload = text.encode("utf-16-be", "replace")
    head = "\0".join((carrier_id, sender, destination)).encode("utf-8", "replace")
    return InboundMessage(
        sender=sender,
        destination=destination,
        payload=payload,
        data_coding=8,
        udhi=False,
        coded=Coded(payload, "ucs2"),
        concat=None,
        carrier_id=carrier_id,
        identity=head + b"\0" + payload,
    )
