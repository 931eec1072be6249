"""What people ask of a real broadcast: that it stops, and what its methods promise them."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import grpc
import pytest
import redis
from mawja.broadcast.v1 import events_pb2, service_pb2, service_pb2_grpc
from mawja.common.v1 import common_pb2

from services.local.parts import Parts
from services.local.system import token
from services.runtime import rpc, topics
from services.runtime.identity import Role
from services.runtime.scan import Scan
from tests.broadcast_rig import LONG_ARABIC, Rig, digits, drilled, numbers, running, wait_until

NORMAL, BULK = common_pb2.LANE_NORMAL, common_pb2.LANE_BULK


@pytest.fixture(scope="module")
def rig(parts: Parts) -> Iterator[Rig]:
    """One broadcast with an SMS centre that is quick, and one that lets messages queue."""
    with running(
        parts,
        "service",
        {"plain": ({}, {}), "slow": ({"parts_per_second": 20}, {})},
        [{"prefix": "+", "carrier": "plain"}, {"prefix": "+999511", "carrier": "slow"}],
    ) as started:
        yield started


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
