"""The WhatsApp carrier against a server with the shape of the Cloud API."""

import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.broadcast.carriers.base import (
    Accepted,
    ReceiptState,
    Refused,
    SubmitOutcome,
    Unknown,
    UnknownReason,
)
from services.broadcast.carriers.errors import SendError
from services.broadcast.carriers.whatsapp import WhatsappCarrier, WhatsappNumber
from services.broadcast.carriers.whole import NotSigned
from tests.smpp_rig import Got
from tests.web_peers import (
    APP_SECRET,
    AUTHORIZATION,
    PHONE,
    VERIFY_TOKEN,
    Act,
    CloudApi,
    changed,
    hub_signed,
)
from tests.web_rig import ARABIC, config, message


@contextlib.asynccontextmanager
async def at_whatsapp(peer: CloudApi, got: Got, **number: Any) -> AsyncIterator[WhatsappCarrier]:
    await peer.start()
    carrier = WhatsappCarrier(
        config(f"http://127.0.0.1:{peer.port}{peer.path}"),
        WhatsappNumber(PHONE, APP_SECRET, VERIFY_TOKEN, **number),
    )
    await carrier.start(got.on_receipts, got.on_inbound, got.on_late)
    try:
        assert await carrier.wait_bound(10)
        yield carrier
    finally:
        await carrier.stop()
        await peer.stop()


async def test_a_text_and_a_template_have_the_cloud_apis_shape() -> None:
    peer = CloudApi()
    async with at_whatsapp(peer, Got()) as carrier:
        outcome = await carrier.submit(message(7), write_by=time.monotonic() + 5)
        assert outcome == Accepted("wamid.1")
    template = {"template": "agency_notice", "languages": ("en", "ar", "pt_BR")}
    async with at_whatsapp(peer, Got(), **template) as carrier:
        for language in ("ar-AE", "pt-BR", "pt", "zz"):
            one = message(7, language=language)
            await carrier.submit(one, write_by=time.monotonic() + 5)
    text, *templates = (one.body for one in peer.asked)
    assert text == {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": "+999500000007",
        "biz_opaque_callback_data": "8",
        "type": "text",
        "text": {"preview_url": False, "body": ARABIC},
    }
    assert templates[0]["template"] == {
        "name": "agency_notice",
        "language": {"policy": "deterministic", "code": "ar"},
        "components": [{"type": "body", "parameters": [{"type": "text", "text": ARABIC}]}],
    }
    codes = [one["template"]["language"]["code"] for one in templates]
    assert codes == ["ar", "pt_BR", "pt_BR", "en"]


@pytest.mark.parametrize(
    ("status", "code", "outcome"),
    [
        (400, 131026, Refused(SendError.INVALID_DESTINATION, 131026)),
        (400, 131047, Refused(SendError.NOT_PERMITTED, 131047)),
        (400, 131050, Refused(SendError.OPTED_OUT, 131050)),
        (429, 130429, Refused(SendError.THROTTLED, 130429)),
        (401, 190, Refused(SendError.NOT_BOUND, 190)),
        (403, 203, Refused(SendError.NOT_BOUND, 203)),
        (500, 131016, Refused(SendError.SYSTEM_ERROR, 131016)),
        (500, 131000, Unknown(UnknownReason.SERVER_ERROR)),
        (503, 2, Unknown(UnknownReason.SERVER_ERROR)),
        (400, 999999, Refused(SendError.REFUSED, 999999)),
    ],
)
async def test_what_the_cloud_apis_codes_say(
    status: int, code: int, outcome: SubmitOutcome
) -> None:
    peer = CloudApi()
    peer.plan.append(Act(take=False, status=status, body={"error": {"code": code}}))
    async with at_whatsapp(peer, Got()) as carrier:
        assert await carrier.submit(message(), write_by=time.monotonic() + 5) == outcome
    assert len(peer.asked) == 1


def at_rest(got: Got) -> WhatsappCarrier:
    carrier = WhatsappCarrier(
        config("http://127.0.0.1:1/"), WhatsappNumber(PHONE, APP_SECRET, VERIFY_TOKEN)
    )
    carrier.on_receipts, carrier.on_inbound = got.on_receipts, got.on_inbound
    return carrier


async def test_statuses_and_messages_of_the_cloud_api_are_read() -> None:
    got = Got()
    carrier = at_rest(got)
    about = {"id": "wamid.1", "recipient_id": "999500000007", "timestamp": "1763800000"}
    statuses = [
        about | {"status": "sent", "biz_opaque_callback_data": "8"},
        about | {"status": "read", "biz_opaque_callback_data": "not ours"},
        about | {"status": "failed", "errors": [{"code": 131026, "title": "x"}]},
        about | {"status": "failed", "errors": [{"code": 131049}]},
        about | {"status": "new word"},
        about | {"status": "delivered", "recipient_id": "a group"},
        about | {"status": "failed", "errors": 5},
    ]
    head = {"from": "999500000007", "id": "wamid.9", "timestamp": "1763800000"}
    messages = [
        head | {"type": "text", "text": {"body": "إيقاف"}},
        head | {"type": "image", "image": {"id": "1"}},
        head | {"type": "button", "button": {"text": "Stop", "payload": "x"}},
        {"type": "text"},
    ]
    body = changed(statuses=statuses, messages=messages)
    await carrier.take(hub_signed(body), body)
    assert [(one.state, one.reference, one.error) for one in got.receipts] == [
        (ReceiptState.ENROUTE, 8, ""),
        (ReceiptState.DELIVERED, None, ""),
        (ReceiptState.UNDELIVERABLE, None, "131026"),
        (ReceiptState.REJECTED, None, "131049"),
        (ReceiptState.UNKNOWN, None, ""),
    ]
    assert {one.recipient for one in got.receipts} == {"+999500000007"}
    assert [one.text for one in got.inbound] == ["إيقاف", "", "Stop"]
    assert {(one.sender, one.destination) for one in got.inbound} == {
        ("+999500000007", "97143211234")
    }
    assert carrier.counters.unreadable == 3


async def test_another_numbers_delivery_is_not_ours() -> None:
    got = Got()
    status = {"id": "wamid.1", "recipient_id": "999500000007", "status": "delivered"}
    body = changed(phone="1", statuses=[status])
    await at_rest(got).take(hub_signed(body), body)
    assert not got.receipts


async def test_a_delivery_that_meta_did_not_sign_is_refused() -> None:
    body = changed(statuses=[])
    for headers in ({}, hub_signed(body, "another"), hub_signed(body + b" ")):
        with pytest.raises(NotSigned):
            await at_rest(Got()).take(headers, body)


def test_the_challenge_is_answered_to_who_knows_the_token() -> None:
    carrier = at_rest(Got())
    right = {"hub.mode": "subscribe", "hub.verify_token": VERIFY_TOKEN, "hub.challenge": "1158"}
    assert carrier.challenge(right) == "1158"
    assert carrier.challenge(right | {"hub.verify_token": "guess"}) is None
    assert carrier.challenge(right | {"hub.mode": "other"}) is None
    assert carrier.challenge(right | {"hub.challenge": "<script>"}) is None
    assert carrier.challenge({}) is None


def test_secrets_stand_in_no_text_of_theirs() -> None:
    number = WhatsappNumber(PHONE, APP_SECRET, VERIFY_TOKEN)
    shown = f"{number!r} {config('http://127.0.0.1:1/')!r}"
    for secret in (APP_SECRET, VERIFY_TOKEN, AUTHORIZATION):
        assert secret not in shown
