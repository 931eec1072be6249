"""Deliveries of any JSON, rightly signed: taken or refused as what they are, never a surprise."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mawja.broadcast.v1 import events_pb2

from services.broadcast.carriers.http import HttpCarrier
from services.broadcast.carriers.web import WebConfig
from services.broadcast.carriers.whatsapp import WhatsappCarrier, WhatsappNumber
from services.broadcast.carriers.whole import BadDelivery
from services.runtime.clock import now_ms
from tests.smpp_rig import Got
from tests.web_peers import APP_SECRET, PHONE, SECRET, VERIFY_TOKEN, hub_signed, signed

WORDS = [
    *("receipts", "messages", "id", "to", "from", "text", "status", "reference", "at", "error"),
    *("entry", "changes", "value", "metadata", "phone_number_id", "statuses", "errors", "code"),
    *("recipient_id", "timestamp", "biz_opaque_callback_data", "type", "body", "field"),
]
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["+999500000007", "999500000007", "delivered", "7", "\ud800", "٣", PHONE]),
    st.sampled_from(WORDS),
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(WORDS), inner, max_size=6)
    ),
    max_leaves=20,
)
CONFIG = WebConfig("web", "test", "http://127.0.0.1:1/", "Bearer x")


def holds(got: Got) -> None:
    """What was read can stand in Kafka."""
    for receipt in got.receipts:
        events_pb2.Receipt(
            carrier_id=receipt.carrier_id,
            error=receipt.error,
            reference=receipt.reference or 0,
            done_ms=int((receipt.done_at or 0) * 1000),
        ).SerializeToString()
        receipt.recipient.encode()
    for heard in got.inbound:
        events_pb2.InboundMessage(line=heard.destination).SerializeToString()
        (heard.sender + (heard.text or "")).encode()


@given(st.dictionaries(st.sampled_from(["receipts", "messages"]), ANYTHING))
async def test_an_aggregators_garbage(body: Any) -> None:
    carrier, got = HttpCarrier(CONFIG, SECRET, now_ms), Got()
    carrier.on_receipts, carrier.on_inbound = got.on_receipts, got.on_inbound
    octets = json.dumps(body).encode()
    with suppress(BadDelivery):
        await carrier.take(signed(octets), octets)
    holds(got)


@given(ANYTHING, ANYTHING, ANYTHING, ANYTHING)
async def test_whatsapps_garbage(line: Any, statuses: Any, messages: Any, other: Any) -> None:
    carrier, got = WhatsappCarrier(CONFIG, WhatsappNumber(PHONE, APP_SECRET, VERIFY_TOKEN)), Got()
    carrier.on_receipts, carrier.on_inbound = got.on_receipts, got.on_inbound
    value = {
        "metadata": {"phone_number_id": PHONE, "display_phone_number": line},
        "statuses": statuses,
        "messages": messages,
    }
    changes = [{"field": "messages", "value": value}, {"field": "messages", "value": other}]
    octets = json.dumps({"entry": [{"changes": changes}]}).encode()
    with suppress(BadDelivery):
        await carrier.take(hub_signed(octets), octets)
    holds(got)


@pytest.mark.parametrize("line", ["\ud800", "x" * 33, 5, None])
async def test_a_line_that_cannot_be_kept_is_left_out(line: Any) -> None:
    carrier, got = WhatsappCarrier(CONFIG, WhatsappNumber(PHONE, APP_SECRET, VERIFY_TOKEN)), Got()
    carrier.on_receipts, carrier.on_inbound = got.on_receipts, got.on_inbound
    message = {"id": "wamid.1", "from": "999500000007", "type": "text", "text": {"body": "\ud800?"}}
    value = {
        "metadata": {"phone_number_id": PHONE, "display_phone_number": line},
        "messages": [message],
    }
    octets = json.dumps({"entry": [{"changes": [{"field": "messages", "value": value}]}]}).encode()
    await carrier.take(hub_signed(octets), octets)
    holds(got)
    assert len(got.inbound) == 1
