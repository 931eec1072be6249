"""Broadcast on real Kafka, Valkey and SMS centres: what the SMS centres' own records say."""

import time
from collections import Counter
from collections.abc import Iterator

import pytest
from mawja.broadcast.v1 import events_pb2
from mawja.common.v1 import common_pb2

from services.local.parts import Parts
from services.local.smsc.record import duplicates
from services.runtime import topics
from services.runtime.scan import Scan
from tests.broadcast_rig import (
    LONG_ARABIC,
    PARTITIONS,
    Rig,
    digits,
    drilled,
    numbers,
    running,
    wait_until,
)

URGENT, BULK = common_pb2.LANE_URGENT, common_pb2.LANE_BULK


@pytest.fixture(scope="module")
def rig(parts: Parts) -> Iterator[Rig]:
    """One broadcast with an SMS centre for each kind of carrier, told apart by prefix."""
    with running(
        parts,
        "broadcast",
        {
            "plain": ({}, {}),
            "paced": ({"parts_per_second": 50, "window": 20}, {"answer_delay_ms": 100}),
            "odd": (
                {"id_format": "hex_to_dec", "response_timeout_s": 3},
                {
                    "answer_id": "hex",
                    "receipt_tlvs": False,
                    "receipt_before_answer": 0.3,
                    "receipt_copies": 3,
                    "receipt_shuffle": True,
                    "receipt_delay_ms": {"uniform": [0, 400]},
                },
            ),
            "rude": (
                {},
                {
                    "throttle_parts_per_s": 300,
                    "refuse": {"ESME_RSYSERR": 0.05, "ESME_RINVDSTADR": 0.1},
                    "undelivered": 0.1,
                },
            ),
            "silent": ({"response_timeout_s": 1}, {"accept_silently": 0.3}),
            "away": ({}, {}),
            "live": ({"declared": "live"}, {}),
        },
        [
            # Not "+": it would be a way round all the others.
            {"prefix": "+999510", "carrier": "plain"},
            {"prefix": "+971", "carrier": "plain"},
            {"prefix": "+999512", "carrier": "paced"},
            {"prefix": "+999513", "carrier": "odd"},
            {"prefix": "+999514", "carrier": "rude"},
            {"prefix": "+999515", "carrier": "silent"},
            {"prefix": "+999516", "carrier": "away"},
            {"prefix": "+97150", "carrier": "live"},
        ],
    ) as started:
        yield started


def test_each_message_arrives_once_letter_for_letter(rig: Rig) -> None:
    wanted = {}
    asked = []
    for index, number in enumerate(numbers("10", 500)):
        text = (
            f"{LONG_ARABIC} {index}"
            if index % 2
            else f"Case {index}: we have your report [€{index}]"
        )
        wanted[digits(number)] = drilled(text)
        asked.append(rig.outreach.request(number, text))
        if index % 5 == 0:
            # Outreach crashed and asked again: the same message.
            rig.outreach.request(number, text)
    rig.outreach.flush()
    rig.ledger.wait_for(asked, "DELIVERED")
    arrived = rig.smsc["plain"].messages()
    assert {message.destination: message.text for message in arrived} == wanted
    assert len(arrived) == 500
    assert {message.sender for message in arrived} == {"Mawja"}
    for one in asked:
        states = [change.state for change in rig.ledger.history[one]]
        assert states[:2] == [events_pb2.MESSAGE_STATE_CLAIMED, events_pb2.MESSAGE_STATE_SUBMITTED]
        assert states[-1] == events_pb2.MESSAGE_STATE_DELIVERED
        assert states.count(events_pb2.MESSAGE_STATE_CLAIMED) == 1


def test_a_request_read_again_after_the_end_sends_nothing(rig: Rig) -> None:
    [number] = numbers("10", 1)
    asked = rig.outreach.request(number, "twice?")
    rig.outreach.flush()
    rig.ledger.wait_for([asked], "DELIVERED")
    rig.outreach.request(number, "twice?")
    after = rig.outreach.request(number, "later")
    rig.outreach.flush()
    rig.ledger.wait_for([after], "DELIVERED")
    texts = Counter(message.text for message in rig.smsc["plain"].messages())
    assert texts[drilled("twice?")] == 1


def test_a_rehearsal_reaches_no_carrier_declared_live(rig: Rig) -> None:
    citizens = [f"+97150{index:07d}" for index in range(40)]
    drills = [rig.outreach.request(number, "drill") for number in citizens]
    synthetic = [
        rig.outreach.request(number, "no drill", drill=False) for number in numbers("10", 20)
    ]
    nowhere = rig.outreach.request("+97451234567", "no live route", drill=False)
    rig.outreach.flush()
    rig.ledger.wait_for(drills, "DELIVERED")
    rig.ledger.wait_for([*synthetic, nowhere], "SUPPRESSED")
    assert rig.smsc["live"].submits() == []
    assert rig.smsc["live"].ask(op="stats")["binds"] == 1, "it was there to be reached"
    assert {rig.ledger.last[one].reason for one in synthetic} == {"synthetic-number"}
    assert rig.ledger.last[nowhere].reason == "no-route"
    assert {rig.ledger.last[one].carrier for one in drills} == {"plain"}
    real = [rig.outreach.request(number, "for real", drill=False) for number in citizens]
    rig.outreach.flush()
    rig.ledger.wait_for(real, "DELIVERED")
    assert {message.text for message in rig.smsc["live"].messages()} == {"for real"}


def test_what_cannot_be_sent_says_why(rig: Rig) -> None:
    asked = {
        "landline": rig.outreach.request("+999412345678", "to a landline"),
        "invalid-number": rig.outreach.request("+9995123", "to nobody"),
        "text-not-sendable": rig.outreach.request(numbers("10", 1)[0], "x" * 40_000),
        "no-text": rig.outreach.request(numbers("10", 2)[1], ""),
    }
    late = rig.outreach.request(numbers("10", 3)[2], "too late", valid_ms=-1)
    rig.outreach.flush()
    rig.ledger.wait_for(list(asked.values()), "SUPPRESSED")
    assert {rig.ledger.last[one].reason for one in asked.values()} == set(asked)
    rig.ledger.wait_for([late], "EXPIRED")


def test_urgent_overtakes_a_full_lane_of_bulk(rig: Rig) -> None:
    for number in numbers("12", 600):
        rig.outreach.request(number, "bulk", lane=BULK)
    rig.outreach.flush()
    wait_until(lambda: len(rig.smsc["paced"].submits()) > 50)
    waits = []
    for index in range(3):
        before = time.time()
        number = numbers("12", 900)[-1 - index]
        rig.outreach.request(number, "leave the building", lane=URGENT)
        rig.outreach.flush()
        wait_until(lambda number=number: digits(number) in arrivals(rig, "paced"), every_s=0.02)  # type: ignore[misc]
        waits.append(arrivals(rig, "paced")[digits(number)] - before)
    assert len(rig.smsc["paced"].submits()) < 590, "bulk was still waiting"
    assert max(waits) < 1.0, waits


def arrivals(rig: Rig, name: str) -> dict[str, float]:
    return {submit.destination: submit.t for submit in rig.smsc[name].submits()}


def test_receipts_early_thrice_shuffled_and_in_another_notation(rig: Rig) -> None:
    asked = [
        rig.outreach.request(number, LONG_ARABIC if index % 2 else "short")
        for index, number in enumerate(numbers("13", 200))
    ]
    rig.outreach.flush()
    rig.ledger.wait_for(asked, "DELIVERED")
    assert duplicates(rig.smsc["odd"].submits()) == []


def test_throttling_and_refusals_end_in_the_right_state(rig: Rig) -> None:
    asked = [
        rig.outreach.request(number, LONG_ARABIC if index % 3 == 0 else f"short {index}")
        for index, number in enumerate(numbers("14", 400))
    ]
    rig.outreach.flush()
    rig.ledger.wait_for(asked, "DELIVERED", "FAILED")
    submits = rig.smsc["rude"].submits()
    assert duplicates(submits) == []
    assert any(submit.status == 0x58 for submit in submits), "it did throttle"
    whole = {message.destination for message in rig.smsc["rude"].messages() if message.complete}
    for one, number in zip(asked, numbers("14", 400), strict=True):
        change = rig.ledger.last[one]
        if change.state == events_pb2.MESSAGE_STATE_DELIVERED:
            assert digits(number) in whole
        else:
            assert change.reason in {"invalid-destination", "undeliverable"}
        if change.reason == "invalid-destination":
            assert digits(number) not in whole
    retried = [one for one in asked if rig.ledger.last[one].attempt > 1]
    assert retried
    assert {
        change.reason
        for one in retried
        for change in rig.ledger.history[one]
        if change.state == events_pb2.MESSAGE_STATE_RELEASED
    } <= {"throttled", "system-error"}


def test_a_carrier_that_never_answers_is_believed_by_its_receipts(rig: Rig) -> None:
    asked = [rig.outreach.request(number, "anybody?") for number in numbers("15", 100)]
    rig.outreach.flush()
    rig.ledger.wait_for(asked, "DELIVERED")
    unknown = [
        one
        for one in asked
        if events_pb2.MESSAGE_STATE_UNKNOWN in [change.state for change in rig.ledger.history[one]]
    ]
    assert unknown
    assert duplicates(rig.smsc["silent"].submits()) == []
    assert all(rig.ledger.last[one].attempt == 1 for one in asked)


def test_messages_wait_for_a_carrier_that_is_away_or_expire(rig: Rig) -> None:
    centre = rig.smsc["away"]
    centre.stop()
    patient = [rig.outreach.request(number, "wait") for number in numbers("16", 30)]
    hasty = [
        rig.outreach.request(number, "hurry", valid_ms=1_500) for number in numbers("16", 60)[30:]
    ]
    rig.outreach.flush()
    rig.ledger.wait_for(hasty, "EXPIRED")
    assert set(rig.ledger.states(patient)) <= {"NONE", "RELEASED"}
    centre.start()
    rig.ledger.wait_for(patient, "DELIVERED")
    assert {message.text for message in centre.messages()} == {drilled("wait")}
    assert len(centre.messages()) == 30


def test_poison_is_set_aside_and_the_rest_goes_on(rig: Rig) -> None:
    number = numbers("10", 700)[-1]
    partition = topics.partition_of(rig.keyring.person(number), PARTITIONS)
    for topic in (topics.BROADCAST_COMMAND, topics.QUEUED_BULK, topics.RECEIPT):
        rig.outreach.raw(topic, partition, b"\xff\xff\xff", key=b"k" * 16)
    rig.outreach.raw(topics.MESSAGE_REQUESTED, partition, b"")
    asked = rig.outreach.request(number, "after the poison")
    rig.outreach.flush()
    rig.ledger.wait_for([asked], "DELIVERED")
    found: list[str] = []
    with Scan(rig.parts.kafka, [topics.BROADCAST_DEAD]) as scan:
        scan.advance(lambda r: found.append(common_pb2.DeadLetter.FromString(r.value or b"").topic))
    assert set(found) == {
        "broadcast.command.v1",
        "broadcast.queued-bulk.v1",
        "broadcast.receipt.v1",
        "outreach.message-requested.v1",
    }
