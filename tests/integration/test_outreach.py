"""The outreach room as a process on real Kafka and Valkey: what it asks for, shows and survives."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
import redis
from kafka.admin import KafkaAdminClient
from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2 as dedup
from mawja.outreach.v1 import events_pb2 as outreach
from mawja.outreach.v1 import service_pb2

from services.runtime import ids, trace
from services.runtime.config import Settings
from services.runtime.identity import Role
from services.runtime.own import EPOCH, Entry, LogReader
from services.runtime.produce import acknowledged
from services.runtime.topics import CASE, MESSAGE_REQUESTED, OUTREACH_DEAD
from tests.outreach_rig import Dedup, caller, deciding, logged, records, requested, until
from tests.room_process import Room, room

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
DUE = outreach.CALLBACK_STATE_DUE


@pytest.fixture(scope="module")
def reader(settings: Settings) -> LogReader:
    return LogReader(settings.kafka, "test-reader")


@pytest.fixture(scope="module")
async def told(settings: Settings) -> AsyncIterator[Dedup]:
    async with deciding(settings) as owner:
        yield owner


async def test_a_text_is_acknowledged_and_an_abandoned_call_offered_a_callback(
    settings: Settings, folder: Path, told: Dedup, reader: LogReader
) -> None:
    text = told.case("by text", channel=common_pb2.CHANNEL_WHATSAPP, language="hi")
    call = told.case("by call", channel=common_pb2.CHANNEL_VOICE, language="xx")
    await text.tell(text.opened(), traceparent=TRACE)
    await call.tell(call.opened(), call.abandoned(30), call.abandoned(90))
    with room("outreach", settings, folder) as running:
        target = running.target()

        async def done() -> bool:
            return len(await requested(reader, settings, text, call)) == 2

        await until(done)
        by_case = {m.case_id: m for m in await requested(reader, settings, text, call)}
        acknowledgement = by_case[text.case.case_id]
        offer = by_case[call.case.case_id]
        assert (acknowledgement.step, acknowledgement.language) == ("acknowledge", "hi")
        assert (offer.step, offer.language) == ("callback-offer", "mul")
        for message, case in ((acknowledgement, text), (offer, call)):
            words = told.keyring.unseal("text", message.sealed_text)
            assert case.case.case_number in words
            assert told.keyring.unseal("number", message.sealed_number) == case.number
            assert message.drill
            assert 0 <= message.expires_ms - message.requested_ms <= 3_600_000
        headers = [
            record.headers
            for record in await records(reader, MESSAGE_REQUESTED, settings.partitions)
            if record.key == text.case.person
        ]
        passed_on = trace.of(headers[0])
        assert passed_on is not None
        assert passed_on.split("-")[1] == TRACE.split("-")[1]
        async with caller(target, settings) as agent:
            [shown] = [c for c in await agent.due() if c.case_id == call.case.case_id]
            assert shown == await agent.get(shown.callback_id)
        assert (shown.state, shown.version) == (DUE, 2)
        assert shown.place_ms == call.case.first_arrival_ms
        assert shown.drill
        assert not shown.sealed_number
        assert call.number not in running.said


async def test_due_callbacks_are_listed_in_the_order_of_calling(
    settings: Settings, folder: Path, told: Dedup, reader: LogReader
) -> None:
    cases = [
        told.case(f"order {i}", channel=common_pb2.CHANNEL_VOICE, agency=f"order-{i % 2}")
        for i in range(9)
    ]
    for i, case in enumerate(cases):
        # Two of each agency share a moment, so that pages end in the middle of it.
        case.case.first_arrival_ms -= (i // 4) * 1000
        case.case.life_safety = i == 6
        await case.tell(case.opened(), case.abandoned(30))
    with room("outreach", settings, folder) as running:
        target = running.target()

        async def done() -> bool:
            return len(await requested(reader, settings, *cases)) == len(cases)

        await until(done)
        async with caller(target, settings) as agent:
            for page in (1, 2, 3, 0):
                own = [c for c in await agent.due(page=page) if c.agency.startswith("order-")]
                assert own[0].case_id == cases[6].case.case_id
                assert len({c.case_id for c in own}) == len(cases)
                places = [c.place_ms for c in own[1:]]
                assert places == sorted(places)
            await cases[0].tell(cases[0].answered(60))

            async def withdrawn() -> bool:
                return len(await agent.due("order-0")) == 4

            await until(withdrawn)
            [callback, _] = await logged(reader, settings, cases[0])
            gone = await agent.get(callback.callback_id)
            assert gone.state == outreach.CALLBACK_STATE_WITHDRAWN
            for wrong in ("?", "AAAA", "f_gAAAAAAAA="):
                with pytest.raises(grpc.aio.AioRpcError, match="page_token"):
                    await agent.stub.ListCallbacks(
                        service_pb2.ListCallbacksRequest(page_token=wrong),
                        metadata=agent.bearer,
                        timeout=10,
                    )
            with pytest.raises(grpc.aio.AioRpcError) as missing:
                await agent.get(ids.derive("nothing"))
            assert missing.value.code() is grpc.StatusCode.NOT_FOUND
        async with caller(target, settings, Role.LIAISON, "order-1") as liaison:
            assert {c.agency for c in await liaison.due()} == {"order-1"}
            with pytest.raises(grpc.aio.AioRpcError) as hidden:
                await liaison.get(callback.callback_id)
            assert hidden.value.code() is grpc.StatusCode.NOT_FOUND
            with pytest.raises(grpc.aio.AioRpcError) as forbidden:
                await liaison.due("order-0")
            assert forbidden.value.code() is grpc.StatusCode.PERMISSION_DENIED
        async with caller(target, settings, Role.GATEWAY) as gateway:
            with pytest.raises(grpc.aio.AioRpcError) as denied:
                await gateway.due()
            assert denied.value.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_a_view_that_redis_lost_is_written_again(
    settings: Settings, folder: Path, told: Dedup
) -> None:
    case = told.case("flushed", channel=common_pb2.CHANNEL_VOICE, agency="flushed")
    await case.tell(case.opened(), case.abandoned(30))
    with room("outreach", settings, folder) as running:
        async with caller(running.target(), settings) as agent:

            async def shown() -> bool:
                try:
                    return len(await agent.due("flushed")) == 1
                except grpc.aio.AioRpcError as error:
                    # Never "nobody waits" while the view is not whole.
                    if error.code() is not grpc.StatusCode.UNAVAILABLE:
                        raise
                    return False

            await until(shown)
            before = await agent.due()
            client = redis.Redis.from_url(settings.redis_url)
            client.flushall()
            await until(shown)
            assert await agent.due() == before
            client.close()


async def test_what_is_no_decision_is_set_aside_and_a_past_owners_is_ignored(
    settings: Settings, folder: Path, told: Dedup, reader: LogReader
) -> None:
    case = told.case("poison", channel=common_pb2.CHANNEL_SMS)
    void = told.case("void", channel=common_pb2.CHANNEL_SMS)
    void.case.person = case.case.person
    log = told.log(case.case.person)
    no_id = dedup.CaseDecision(change=dedup.CASE_CHANGE_OPENED, case=dedup.Case(agency="x"))
    no_time = case.opened()
    no_time.decided_ms = 2**63 - 1
    await log.append(
        [Entry(b"\xff\xff\xff"), *(Entry(b.SerializeToString()) for b in (no_id, no_time))]
    )
    past = (EPOCH, max(0, log.epoch - 1).to_bytes(8, "big"))
    await log.acquire("test-dedup")
    late = void.opened().SerializeToString()
    await acknowledged([await told.producer.send(CASE, log.partition, late, headers=[past])])
    await case.tell(case.opened())
    with room("outreach", settings, folder) as running:
        running.target()

        async def done() -> bool:
            return len(await requested(reader, settings, case)) == 1

        await until(done)
        assert await requested(reader, settings, void) == []
        letters = [
            common_pb2.DeadLetter.FromString(record.value or b"")
            for record in await records(reader, OUTREACH_DEAD, settings.partitions)
        ]
        assert {letter.reason for letter in letters} == {
            "not a CaseDecision",
            "a CaseDecision whose case has no id",
            "a CaseDecision with a time out of range",
        }
        assert letters[0].value == b"\xff\xff\xff"


async def test_kills_and_a_reset_group_lose_and_repeat_nothing(
    settings: Settings, folder: Path, told: Dedup, reader: LogReader
) -> None:
    chance = random.Random(7)
    cases = [told.case(f"killed {i}", channel=common_pb2.CHANNEL_SMS) for i in range(600)]

    async def feed() -> None:
        for case in cases:
            await case.tell(case.opened(), case.abandoned(10), case.abandoned(20))
            await case.tell(case.answered(30))
            await asyncio.sleep(0.02)

    feeding = asyncio.create_task(feed())
    for _ in range(2):
        with_kill = Room("outreach", settings, folder)
        try:
            await asyncio.to_thread(with_kill.target)
            await asyncio.sleep(chance.uniform(0.2, 2))
        finally:
            with_kill.kill()

    async def done() -> bool:
        states = [c.state for c in await logged(reader, settings, *cases)]
        return states.count(outreach.CALLBACK_STATE_WITHDRAWN) >= len(cases)

    with room("outreach", settings, folder) as running:
        await asyncio.to_thread(running.target)
        await feeding
        await until(done, 60)
    messages = await requested(reader, settings, *cases)
    callbacks = await logged(reader, settings, *cases)
    assert len(messages) == len({m.message_id for m in messages}) == 2 * len(cases)
    assert len({c.callback_id for c in callbacks}) == len(cases)
    by_case: dict[str, list[outreach.Callback]] = {}
    for callback in callbacks:
        by_case.setdefault(callback.case_id, []).append(callback)
    for case in cases:
        own = by_case[case.case.case_id]
        assert [c.version for c in own] == [1, 2, 3]
        assert {c.place_ms for c in own} == {case.case.first_arrival_ms}

    admin = KafkaAdminClient(bootstrap_servers=settings.kafka)
    admin.delete_groups(["outreach"])
    admin.close()
    last = told.case("after the reset", channel=common_pb2.CHANNEL_SMS)
    with room("outreach", settings, folder) as running:
        await asyncio.to_thread(running.target)
        await last.tell(last.opened())

        async def answered() -> bool:
            return len(await requested(reader, settings, last)) == 1

        await until(answered)
    assert await requested(reader, settings, *cases) == messages
    assert await logged(reader, settings, *cases) == callbacks


def test_wrong_rules_stop_it_at_the_start(settings: Settings, folder: Path) -> None:
    mine = folder / "mine.yaml"
    mine.write_text("centre: {ar: م, en: c}\nrules:\n  - name: a\n", "utf-8")
    stopped = Room("outreach", settings, folder, MAWJA_RULES=str(mine))
    assert stopped.process.wait(timeout=30) == 1
    assert "mine.yaml: line 3, rules[0].when: is missing" in stopped.said
