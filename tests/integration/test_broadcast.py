"""Broadcast on real Kafka, Valkey and SMS centres: what the SMS centres' own records say."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import grpc
import pytest
import redis
from mawja.broadcast.v1 import events_pb2, service_pb2, service_pb2_grpc
from mawja.common.v1 import common_pb2

from services.broadcast import wording
from services.local.parts import Parts
from services.local.smsc.record import duplicates
from services.local.system import token
from services.runtime import rpc, topics
from services.runtime.identity import Role
from services.runtime.scan import Scan
from services.runtime.smpp_text import Alphabet
from tests.broadcast_rig import PARTITIONS, Rig, running, wait_until

URGENT, NORMAL, BULK = common_pb2.LANE_URGENT, common_pb2.LANE_NORMAL, common_pb2.LANE_BULK
LONG_ARABIC = (
    "تم استلام بلاغكم عن انقطاع المياه في المنطقة الصناعية، وتعمل الفرق الآن على إصلاحه. "
    "سنرسل إليكم رسالة عند عودة المياه. رقم الحالة MW-7KQ2M-4XW9D 💧"
)


def drilled(text: str) -> str:
    """The text of a rehearsal as a phone shows it."""
    return wording.shown(text, True, Alphabet.GSM7)


@pytest.fixture(scope="module")
def rig(parts: Parts) -> Iterator[Rig]:
    """One broadcast with an SMS centre for each kind of carrier, told apart by prefix."""
    with running(
        parts,
        "broadcast",
        {
            "plain": ({}, {}),
            "slow": ({"parts_per_second": 20}, {}),
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
            {"prefix": "+", "carrier": "plain"},
            {"prefix": "+999511", "carrier": "slow"},
            {"prefix": "+999512", "carrier": "paced"},
            {"prefix": "+999513", "carrier": "odd"},
            {"prefix": "+999514", "carrier": "rude"},
            {"prefix": "+999515", "carrier": "silent"},
            {"prefix": "+999516", "carrier": "away"},
            {"prefix": "+97150", "carrier": "live"},
        ],
    ) as started:
        yield started


def numbers(prefix: str, count: int) -> list[str]:
    return [f"+9995{prefix}{index:06d}" for index in range(count)]


def digits(number: str) -> str:
    return number.removeprefix("+")


class Client:
    """Calls broadcast as a person with some roles."""

    def __init__(self, rig: Rig, *roles: Role) -> None:
        self._channel = rpc.channel(rig.system.target("broadcast"))
        self._stub: Any = service_pb2_grpc.BroadcastServiceStub(self._channel)
        self._metadata = rpc.bearer(token(rig.system.keys, "somebody", *roles))

    async def __aenter__(self) -> "Client":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._channel.close()

    async def queue(
        self, number: str, text: str, request_id: str, **fields: Any
    ) -> service_pb2.QueueMessageResponse:
        request = service_pb2.QueueMessageRequest(
            request_id=request_id,
            number=number,
            text=text,
            **{"lane": NORMAL, "drill": True, **fields},
        )
        answer: service_pb2.QueueMessageResponse = await self._stub.QueueMessage(
            request, metadata=self._metadata, timeout=15
        )
        return answer

    async def get(self, message_id: str) -> service_pb2.GetMessageResponse:
        answer: service_pb2.GetMessageResponse = await self._stub.GetMessage(
            service_pb2.GetMessageRequest(message_id=message_id),
            metadata=self._metadata,
            timeout=10,
        )
        return answer

    async def opt_out(self, number: str) -> None:
        await self._stub.OptOut(
            service_pb2.OptOutRequest(number=number), metadata=self._metadata, timeout=10
        )

    def watch(self, agency: str = "") -> Any:
        return self._stub.WatchMessages(
            service_pb2.WatchMessagesRequest(agency=agency), metadata=self._metadata
        )


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


async def test_an_opt_out_holds_for_what_is_queued(rig: Rig) -> None:
    people = numbers("11", 200)
    asked = [rig.outreach.request(number, "bulk", lane=BULK) for number in people]
    rig.outreach.flush()
    last = people[-1]
    async with Client(rig, Role.AGENT) as agent:
        await agent.opt_out(last)
    started = time.monotonic()
    await asyncio.to_thread(rig.ledger.wait_for, asked[-1:], "SUPPRESSED", timeout_s=5)
    assert time.monotonic() - started < 5
    assert rig.ledger.last[asked[-1]].reason == "opt-out"
    await asyncio.to_thread(rig.ledger.wait_for, asked[:-1], "DELIVERED")
    reached = {message.destination for message in rig.smsc["slow"].messages()}
    assert reached == {digits(number) for number in people[:-1]}


async def test_stop_in_arabic_opts_out_and_is_kept_as_a_message(rig: Rig) -> None:
    number = numbers("10", 800)[-1]
    person = rig.keyring.person(number)
    rig.smsc["plain"].ask(op="inbound", **{"from": number, "to": "Mawja", "text": "إيقاف."})
    await asyncio.to_thread(wait_until, lambda: person in inbound(rig))
    message = inbound(rig)[person]
    assert (message.opt_out, message.drill, message.carrier) == (True, True, "plain")
    assert rig.keyring.unseal("text", message.sealed_text) == "إيقاف."
    asked = rig.outreach.request(number, "still there?")
    rig.outreach.flush()
    await asyncio.to_thread(rig.ledger.wait_for, [asked], "SUPPRESSED")
    async with Client(rig, Role.AGENT) as agent:
        answer = await agent.queue(number, "hello?", "after-stop")
    assert (answer.state, answer.reason) == (events_pb2.MESSAGE_STATE_SUPPRESSED, "opt-out")


def test_a_sentence_with_stop_in_it_is_an_ordinary_message(rig: Rig) -> None:
    number = numbers("10", 801)[-1]
    person = rig.keyring.person(number)
    text = "please stop the water leak"
    ids = {
        rig.smsc["plain"].ask(op="inbound", **{"from": number, "to": "Mawja", "text": text})["id"]
        for _ in range(2)
    }
    assert len(ids) == 2
    wait_until(lambda: person in inbound(rig))
    assert not inbound(rig)[person].opt_out
    asked = rig.outreach.request(number, "we are on our way")
    rig.outreach.flush()
    rig.ledger.wait_for([asked], "DELIVERED")


def inbound(rig: Rig) -> dict[bytes, events_pb2.InboundMessage]:
    found: dict[bytes, events_pb2.InboundMessage] = {}
    with Scan(rig.parts.kafka, [topics.INBOUND_MESSAGE]) as scan:

        def take(record: Any) -> None:
            message = events_pb2.InboundMessage.FromString(record.value)
            found[message.person] = message

        scan.advance(take)
    return found


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


async def test_queue_message_is_one_message_for_each_request_id(rig: Rig) -> None:
    number = numbers("10", 750)[-1]
    async with Client(rig, Role.COORDINATOR) as person:
        first, second = await asyncio.gather(
            person.queue(number, LONG_ARABIC, "r1", agency="water", language="ar"),
            person.queue(number, LONG_ARABIC, "r1", agency="water", language="ar"),
        )
        again = await person.queue(number, LONG_ARABIC, "r1", agency="water", language="ar")
        other = await person.queue(number, LONG_ARABIC, "r2", agency="water", language="ar")
        assert first.message_id == second.message_id == again.message_id != other.message_id
        assert first.state == events_pb2.MESSAGE_STATE_QUEUED
        assert first.parts == 3
        await asyncio.to_thread(
            rig.ledger.wait_for, [first.message_id, other.message_id], "DELIVERED"
        )
        await settled(person, first.message_id)
        shown = await person.get(first.message_id)
    assert shown.message == rig.ledger.last[first.message_id]
    assert (shown.message.agency, shown.message.language) == ("water", "ar")
    arrived = [m for m in rig.smsc["plain"].messages() if m.destination == digits(number)]
    assert [message.text for message in arrived] == [drilled(LONG_ARABIC)] * 2


async def test_a_request_id_with_another_body_is_refused(rig: Rig) -> None:
    number, other = numbers("10", 753)[-2:]
    async with Client(rig, Role.COORDINATOR) as person:

        async def refused(number: str, text: str, **fields: Any) -> bool:
            try:
                await person.queue(number, text, "once", **fields)
            except grpc.aio.AioRpcError as error:
                if error.code() != grpc.StatusCode.ALREADY_EXISTS:
                    raise
                return True
            return False

        # At once: one of them is the message, and keeps being it.
        texts = ("the first body", "the second body")
        found = await asyncio.gather(*(refused(number, text) for text in texts))
        assert sorted(found) == [False, True]
        chosen, another = texts if not found[0] else texts[::-1]
        assert [await refused(number, text) for text in (chosen, another)] == [False, True]
        message_id = (await person.queue(number, chosen, "once")).message_id
        await asyncio.to_thread(rig.ledger.wait_for, [message_id], "DELIVERED")
        assert not await refused(number, chosen)
        assert await refused(number, another)
        assert await refused(number, chosen, agency="water")
        assert await refused(other, chosen)
        # The next owner knows it from the log.
        await asyncio.to_thread(rig.replica.process.kill9)
        await asyncio.to_thread(wait_until, rig.replica.ready)
        await settled(person, message_id)
        assert await refused(number, another)
        assert not await refused(number, chosen)
    arrived = [m for m in rig.smsc["plain"].messages() if m.destination == digits(number)]
    assert [message.text for message in arrived] == [drilled(chosen)]
    assert digits(other) not in {m.destination for m in rig.smsc["plain"].messages()}


async def settled(person: Client, message_id: str) -> None:
    for _ in range(100):
        with suppress(grpc.aio.AioRpcError):
            shown = await person.get(message_id)
            if shown.message.state == events_pb2.MESSAGE_STATE_DELIVERED:
                return
        await asyncio.sleep(0.05)
    raise AssertionError("the view did not follow the log")


async def test_watchers_see_every_change_of_their_agency(rig: Rig) -> None:
    number = numbers("10", 760)[-1]
    async with Client(rig, Role.COORDINATOR) as person:
        changes = person.watch(agency="roads")
        # The stream is open when the server has begun to follow; it sends nothing until then.
        await asyncio.sleep(0.5)
        await person.queue(number, "not yours", "w0", agency="water")
        answer = await person.queue(number, "yours", "w1", agency="roads")
        seen = []
        async with asyncio.timeout(20):
            async for change in changes:
                assert change.message.message_id == answer.message_id
                seen.append(change.message.state)
                if change.message.state == events_pb2.MESSAGE_STATE_DELIVERED:
                    break
        changes.cancel()
    assert seen == [
        events_pb2.MESSAGE_STATE_CLAIMED,
        events_pb2.MESSAGE_STATE_SUBMITTED,
        events_pb2.MESSAGE_STATE_DELIVERED,
    ]


async def refusal(call: Any) -> grpc.StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    return refused.value.code()


async def test_who_may_do_what(rig: Rig) -> None:
    [number] = numbers("10", 1)
    async with Client(rig, Role.LOAD_TESTER) as tester:
        code = await refusal(tester.queue(number, "real?", "t1", drill=False))
        assert code == grpc.StatusCode.PERMISSION_DENIED
        assert (await tester.queue(number, "drill", "t2")).state == events_pb2.MESSAGE_STATE_QUEUED
        assert await refusal(tester.opt_out(number)) == grpc.StatusCode.PERMISSION_DENIED
    async with Client(rig, Role.AGENT) as agent:
        code = await refusal(agent.queue("no number", "", "t3", lane=0))
        assert code == grpc.StatusCode.INVALID_ARGUMENT
        missing = "00000000-0000-5000-8000-000000000000"
        assert await refusal(agent.get(missing)) == grpc.StatusCode.NOT_FOUND


async def test_the_view_is_written_again_after_a_flush(rig: Rig) -> None:
    number = numbers("10", 770)[-1]
    async with Client(rig, Role.AGENT) as agent:
        answer = await agent.queue(number, "remember me", "flush")
        await settled(agent, answer.message_id)
        with redis.Redis.from_url(rig.parts.redis_url) as client:
            client.flushall()
        await settled(agent, answer.message_id)


async def test_nothing_personal_stands_outside_sealed_fields(rig: Rig) -> None:
    number, text = numbers("10", 780)[-1], "zanzibarically unmistakable"
    async with Client(rig, Role.AGENT) as agent:
        answer = await agent.queue(number, text, "privacy")
        await settled(agent, answer.message_id)
    rig.smsc["plain"].ask(op="inbound", **{"from": number, "to": "Mawja", "text": text})
    await asyncio.to_thread(wait_until, lambda: rig.keyring.person(number) in inbound(rig))
    needles = [number.encode(), digits(number).encode(), text.encode()]
    everywhere = [topic for topic in topics.TOPICS if topic.owner == "broadcast"]
    places: list[bytes] = []
    with Scan(rig.parts.kafka, everywhere) as scan:
        scan.advance(
            lambda record: places.append(
                (record.key or b"") + (record.value or b"") + repr(record.headers).encode()
            )
        )
    with redis.Redis.from_url(rig.parts.redis_url) as client:
        places += [key + (client.get(key) or b"") for key in client.keys("broadcast:*")]
    places.append(rig.log().encode())
    assert len(places) > 100
    assert not [needle for needle in needles if any(needle in place for place in places)]
