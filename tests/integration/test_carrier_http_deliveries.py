"""What an aggregator brings to the HTTP carrier: receipts and messages, signed or not."""

import time
from typing import Any

import pytest

from services.broadcast.carriers.base import (
    ReceiptState,
)
from services.broadcast.carriers.http import HttpCarrier
from services.broadcast.carriers.whole import BadDelivery, NotSigned
from services.runtime.clock import now_ms
from services.runtime.errors import Away
from tests.smpp_rig import Got
from tests.web_peers import (
    SECRET,
    brought,
    signed,
)
from tests.web_rig import config

RECEIPT = {"id": "a1", "to": "+999500000007", "reference": "8", "status": "delivered", "at": 1e9}


def idle(got: Got) -> HttpCarrier:
    carrier = HttpCarrier(config("http://127.0.0.1:1/"), SECRET, now_ms)
    carrier.on_receipts, carrier.on_inbound = got.on_receipts, got.on_inbound
    return carrier


async def test_a_signed_delivery_is_taken_and_what_is_no_receipt_left() -> None:
    got = Got()
    carrier = idle(got)
    bad: list[dict[str, Any]] = [
        {},
        {"to": "97150", "status": "delivered", "id": "x"},
        RECEIPT | {"id": 5},
        RECEIPT | {"reference": "70000"},
        RECEIPT | {"at": "soon"},
        {"to": "+999500000007", "status": "delivered"},
        RECEIPT | {"id": "\ud800"},
    ]
    body = brought(
        [*bad, RECEIPT, RECEIPT | {"status": "on its way"}],
        [{"id": "m1", "from": "+999500000007", "to": "8001", "text": "إيقاف"}, {"from": "x"}],
    )
    await carrier.take(signed(body), body)
    first, second = got.receipts
    assert (first.carrier_id, first.state, first.reference, first.recipient, first.whole) == (
        "a1", ReceiptState.DELIVERED, 8, "+999500000007", True,
    )  # fmt: skip
    assert second.state is ReceiptState.UNKNOWN
    [heard] = got.inbound
    assert (heard.sender, heard.text, heard.carrier_id) == ("+999500000007", "إيقاف", "m1")
    assert carrier.counters.unreadable == len(bad) + 1


@pytest.mark.parametrize("what", ["none", "other secret", "other body", "old", "early", "no id"])
async def test_what_is_not_signed_now_by_the_secret_is_refused(what: str) -> None:
    got, body = Got(), brought([RECEIPT])
    headers = signed(body)
    match what:
        case "none":
            headers = {}
        case "other secret":
            headers = signed(body, secret=b"x" * 32)
        case "other body":
            body = brought([RECEIPT | {"status": "failed"}])
        case "old":
            headers = signed(body, at=time.time() - 301)
        case "early":
            headers = signed(body, at=time.time() + 310)
        case _:
            headers["webhook-id"] = "another"
    with pytest.raises(NotSigned):
        await idle(got).take(headers, body)
    assert not got.receipts


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"5", b"{", b'{"receipts": 5}', b'{"receipts": [5]}', b"[" * 100_000]
)
async def test_a_body_that_is_none_is_refused_as_such(body: bytes) -> None:
    with pytest.raises(BadDelivery):
        await idle(Got()).take(signed(body), body)


async def test_what_kafka_does_not_have_is_not_acknowledged() -> None:
    carrier = idle(Got())

    async def away(_: object) -> None:
        raise Away("Kafka is away")

    carrier.on_receipts = away
    body = brought([RECEIPT])
    with pytest.raises(Away):
        await carrier.take(signed(body), body)
