"""Broadcast with carriers that take whole messages: what they took, and what the log says."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from mawja.broadcast.v1 import events_pb2

from services.local.parts import Parts
from tests import burying
from tests.broadcast_rig import LONG_ARABIC, drilled, inbound, numbers, wait_until
from tests.web_peers import (
    VERIFY_TOKEN,
    Act,
    Asked,
    Peer,
    brought,
    changed,
    hub_signed,
    signed,
)
from tests.whole_rig import Whole, fetch, whole_running

ARABIC_MARK = "تمرين DRILL: "


@pytest.fixture(scope="module")
def whole(parts: Parts) -> Iterator[Whole]:
    with whole_running(parts, "whole") as made:
        yield made


def of(peer: Peer, number: str) -> list[Asked]:
    return [one for one in peer.asked if one.body["to"] == number]


def receipt(asked: Asked, **changes: Any) -> dict[str, Any]:
    body = asked.body
    given = {"to": body["to"], "reference": body["reference"], "status": "delivered"}
    return given | changes


def test_a_long_text_goes_whole_and_one_signed_receipt_delivers_it(whole: Whole) -> None:
    rig, [number] = whole.rig, numbers("20", 1)
    asked = rig.outreach.request(number, LONG_ARABIC)
    rig.outreach.flush()
    rig.ledger.wait_for([asked], "SUBMITTED")
    [request] = of(whole.aggregator, number)
    assert request.body["text"] == ARABIC_MARK + LONG_ARABIC
    assert request.headers["Idempotency-Key"] == f"{asked}-1"
    submitted = rig.ledger.last[asked]
    assert submitted.parts > 1, "its parts are what it costs"
    assert len(set(submitted.carrier_ids)) == 1
    [carrier_id] = set(submitted.carrier_ids)
    body = brought([receipt(request, id=carrier_id)])
    forged = signed(body, secret=b"y" * 32)
    assert whole.call("aggregator", body, forged)[0] == 401
    assert whole.call("nobody", body, signed(body))[0] == 401
    assert whole.call("aggregator", body, signed(body, at=time.time() - 400))[0] == 401
    assert whole.call("aggregator", b"x" * 300_000)[0] == 413
    whole.bring(receipt(request, id=carrier_id, status="sent"))
    assert rig.ledger.states([asked]) == {"SUBMITTED": 1}
    for _ in range(3):
        assert whole.call("aggregator", body, signed(body)) == (200, "taken")
    rig.ledger.wait_for([asked], "DELIVERED")
    assert rig.ledger.last[asked].part_outcomes == bytes([1] * submitted.parts)
    assert number not in rig.log()


def test_an_aggregator_that_fails_after_taking_it_is_not_asked_again(whole: Whole) -> None:
    rig, people = whole.rig, numbers("20", 4)[1:]
    failed, busy, wrong = people
    whole.aggregator.plan.extend([Act(status=500, body="oops")])
    one = rig.outreach.request(failed, "taken, then failed")
    rig.outreach.flush()
    rig.ledger.wait_for([one], "UNKNOWN")
    assert rig.ledger.last[one].reason == "server-error"
    whole.aggregator.plan.append(
        Act(take=False, status=429, headers={"Retry-After": "1"}, body={"error": "throttled"})
    )
    two = rig.outreach.request(busy, "too fast")
    rig.outreach.flush()
    rig.ledger.wait_for([two], "SUBMITTED")
    keys = [asked.headers["Idempotency-Key"] for asked in of(whole.aggregator, busy)]
    assert keys == [f"{two}-1", f"{two}-2"], "refused for certain, so asked under another key"
    whole.aggregator.plan.append(Act(take=False, status=422, body={"error": "invalid_to"}))
    three = rig.outreach.request(wrong, "to nobody")
    rig.outreach.flush()
    rig.ledger.wait_for([three], "FAILED")
    assert rig.ledger.last[three].reason == "invalid-destination"
    [request] = of(whole.aggregator, failed)
    whole.bring(receipt(request, id="a-late-id"))
    rig.ledger.wait_for([one], "DELIVERED")
    assert len(of(whole.aggregator, failed)) == 1


def test_killed_between_request_and_answer_is_unknown_until_the_receipt(whole: Whole) -> None:
    rig, [*_, number] = whole.rig, numbers("20", 10)
    whole.aggregator.plan.append(Act(status=0))
    asked = rig.outreach.request(number, LONG_ARABIC)
    rig.outreach.flush()
    wait_until(lambda: len(of(whole.aggregator, number)) == 1)
    burying.kill(rig.parts.kafka, rig.replica)
    rig.ledger.wait_for([asked], "UNKNOWN")
    assert rig.ledger.last[asked].reason == "takeover"
    # Neither the new process nor the request read again asks once more.
    rig.outreach.request(number, LONG_ARABIC)
    after = rig.outreach.request(numbers("20", 11)[-1], "after it")
    rig.outreach.flush()
    rig.ledger.wait_for([after], "SUBMITTED")
    [request] = of(whole.aggregator, number)
    whole.bring(receipt(request, id="a-id-never-heard"))
    rig.ledger.wait_for([asked], "DELIVERED")
    states = [change.state for change in rig.ledger.history[asked]]
    assert states == [
        events_pb2.MESSAGE_STATE_CLAIMED,
        events_pb2.MESSAGE_STATE_UNKNOWN,
        events_pb2.MESSAGE_STATE_DELIVERED,
    ]
    assert rig.ledger.last[asked].parts > 1
    assert len(of(whole.aggregator, number)) == 1


def test_whatsapp_delivers_refuses_and_brings_stop(whole: Whole) -> None:
    rig, (good, bad, heard) = whole.rig, numbers("21", 3)
    query = "?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token="
    assert whole.call("whatsapp", None, query=query + VERIFY_TOKEN) == (200, "1158201444")
    assert whole.call("whatsapp", None, query=query + "guess")[0] == 403
    first = rig.outreach.request(good, LONG_ARABIC)
    rig.outreach.flush()
    rig.ledger.wait_for([first], "SUBMITTED")
    whole.whatsapp.plan.append(Act(take=False, status=400, body={"error": {"code": 131026}}))
    second = rig.outreach.request(bad, "not on WhatsApp")
    rig.outreach.flush()
    rig.ledger.wait_for([second], "FAILED")
    assert rig.ledger.last[second].reason == "invalid-destination"
    [request] = of(whole.whatsapp, good)
    assert request.body["text"]["body"] == drilled(LONG_ARABIC)
    assert rig.ledger.last[first].parts == 1
    [carrier_id] = rig.ledger.last[first].carrier_ids
    status = {"id": carrier_id, "recipient_id": good[1:], "timestamp": "1763800000"}
    stop = {"id": "wamid.in", "from": heard[1:], "type": "text", "text": {"body": "STOP"}}
    body = changed(statuses=[status | {"status": "read"}], messages=[stop])
    assert whole.call("whatsapp", body, hub_signed(body, "another"))[0] == 401
    for _ in range(2):
        assert whole.call("whatsapp", body, hub_signed(body))[0] == 200
    rig.ledger.wait_for([first], "DELIVERED")
    third = rig.outreach.request(heard, "still there?")
    rig.outreach.flush()
    rig.ledger.wait_for([third], "SUPPRESSED")
    assert rig.ledger.last[third].reason == "opt-out"
    kept = {one.inbound_id for one in inbound(rig) if one.person == rig.keyring.person(heard)}
    assert len(kept) == 1, "what is brought twice has one id"


def test_files_are_fetched_and_their_receipts_taken(whole: Whole) -> None:
    rig, people = whole.rig, numbers("22", 300)
    asked = {rig.outreach.request(number, f"{LONG_ARABIC} {number}"): number for number in people}
    rig.outreach.flush()
    rig.ledger.wait_for(list(asked), "SUBMITTED")
    rows = list(fetch(whole.outbox))
    assert {row["id"]: row["to"] for row in rows} == {f"{m}-1": n for m, n in asked.items()}
    assert len(rows) == 300
    assert all(row["text"] == f"{ARABIC_MARK}{LONG_ARABIC} {row['to']}" for row in rows)
    lines = [json.dumps({"id": row["id"], "to": row["to"], "status": "delivered"}) for row in rows]
    hidden = whole.inbox / ".receipts"
    hidden.write_text("\n".join(lines) + "\n")
    hidden.rename(whole.inbox / "receipts.jsonl")
    rig.ledger.wait_for(list(asked), "DELIVERED")
    wait_until(lambda: len(list((whole.inbox / "done").glob("*"))) == 1)
