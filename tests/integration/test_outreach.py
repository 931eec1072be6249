"""The outreach room as a process on real Kafka and Valkey: what it asks for, shows and survives."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest
import redis
from kafka.admin import KafkaAdminClient
from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2 as dedup
from mawja.intake.v1 import events_pb2 as intake
from mawja.outreach.v1 import events_pb2 as outreach
from mawja.outreach.v1 import service_pb2, service_pb2_grpc

from services.runtime import clock, ids, rpc, topics, trace
from services.runtime.config import Settings
from services.runtime.identity import Role, issue
from services.runtime.own import EPOCH, Entry, Epochs, LogReader, OwnedLog, Record, admitted
from services.runtime.privacy import Keyring
from services.runtime.produce import Producer, acknowledged
from services.runtime.topics import CALLBACK, CASE, MESSAGE_REQUESTED, OUTREACH_DEAD, Topic
from tests.room_process import Room, room

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
DUE = outreach.CALLBACK_STATE_DUE


@dataclass
class Dedup:
    """Writes case decisions as dedup would: the owner of every partition of its log."""

    producer: Producer
    keyring: Keyring
    logs: Sequence[OwnedLog]
    people: int = 0

    def case(self, name: str, *, channel: int, language: str = "ar", agency: str = "moh") -> Case:
        self.people += 1
        number = f"+99950{self.people:07d}"
        now = clock.now_ms()
        case_id = ids.case_id(name)
        return Case(
            self,
            number,
            dedup.Case(
                case_id=case_id,
                case_number=ids.case_number(case_id),
                person=self.keyring.person(number),
                state=dedup.CASE_STATE_OPEN,
                first_arrival_ms=now - 60_000,
                last_contact_ms=now - 60_000,
                channel=channel,  # type: ignore[arg-type]
                number_line=common_pb2.LINE_MOBILE,
                line="109",
                agency=agency,
                language=language,
                drill=True,
                accepted_ms=now,
                sealed_number=self.keyring.seal("number", number, now),
            ),
        )

    def log(self, person: bytes) -> OwnedLog:
        return self.logs[topics.partition_of(person, len(self.logs))]


@dataclass
class Case:
    """One case, told whole with each decision."""

    teller: Dedup
    number: str
    case: dedup.Case = field(repr=False)

    def decision(self, change: int, state: int = 0, at_s: float = 0) -> dedup.CaseDecision:
        now = clock.now_ms()
        self.case.version += 1
        decision = dedup.CaseDecision(change=change, decided_ms=now)  # type: ignore[arg-type]
        decision.case.CopyFrom(self.case)
        decision.link.contact_id = ids.derive("contact", self.number)
        if state:
            decision.call.state = state  # type: ignore[assignment]
            decision.call.contact_id = ids.derive("contact", self.number, str(at_s))
            decision.call.event_ms = self.case.first_arrival_ms + int(at_s * 1000)
            decision.call.accepted_ms = now
        return decision

    def opened(self) -> dedup.CaseDecision:
        return self.decision(dedup.CASE_CHANGE_OPENED)

    def abandoned(self, at_s: float) -> dedup.CaseDecision:
        return self.decision(dedup.CASE_CHANGE_CALL, intake.CALL_STATE_ABANDONED, at_s)

    def answered(self, at_s: float) -> dedup.CaseDecision:
        return self.decision(dedup.CASE_CHANGE_CALL, intake.CALL_STATE_ANSWERED, at_s)

    async def tell(self, *decisions: dedup.CaseDecision, traceparent: str | None = None) -> None:
        await self.teller.log(self.case.person).append(
            [
                Entry(decision.SerializeToString(), self.case.person, traceparent)
                for decision in decisions
            ]
        )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("outreach")


@pytest.fixture(scope="module")
def reader(settings: Settings) -> LogReader:
    return LogReader(settings.kafka, "test-reader")


@pytest.fixture(scope="module")
async def told(settings: Settings, reader: LogReader) -> AsyncIterator[Dedup]:
    producer = Producer(settings.kafka, "test-dedup")
    await producer.start()
    try:
        logs = [OwnedLog(producer, reader, CASE, p) for p in range(settings.partitions)]
        for log in logs:
            await log.acquire("test-dedup")
        yield Dedup(producer, Keyring(settings.keys), logs)
    finally:
        await producer.stop()


async def records(reader: LogReader, topic: Topic, partitions: int) -> list[Record]:
    """What counts in a topic of outreach, in order within each partition."""
    found: list[Record] = []
    epochs = Epochs()

    def each(record: Record) -> None:
        if not topic.log or admitted(epochs, record):
            found.append(record)

    ends = await reader.end(topic, range(partitions))
    await reader.read_many({(topic, p): (0, end) for p, end in ends.items()}, each)
    return found


async def requested(
    reader: LogReader, settings: Settings, *cases: Case
) -> list[outreach.MessageRequested]:
    """The messages of `cases`; each record stands in the partition of its person."""
    wanted = {case.case.case_id for case in cases}
    found = []
    for record in await records(reader, MESSAGE_REQUESTED, settings.partitions):
        message = outreach.MessageRequested.FromString(record.value or b"")
        assert record.key == message.person
        assert record.partition == topics.partition_of(message.person, settings.partitions)
        if message.case_id in wanted:
            found.append(message)
    return sorted(found, key=lambda message: message.message_id)


async def logged(reader: LogReader, settings: Settings, *cases: Case) -> list[outreach.Callback]:
    wanted = {case.case.case_id for case in cases}
    found = [
        outreach.Callback.FromString(record.value or b"")
        for record in await records(reader, CALLBACK, settings.partitions)
    ]
    own = [callback for callback in found if callback.case_id in wanted]
    return sorted(own, key=lambda callback: (callback.callback_id, callback.version))


async def until(condition: Callable[[], Awaitable[bool]], within_s: float = 30) -> None:
    deadline = time.monotonic() + within_s
    while not await condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.1)


@asynccontextmanager
async def caller(
    target: str, settings: Settings, role: Role = Role.AGENT, agency: str = ""
) -> AsyncIterator[Caller]:
    token = issue(settings.keys, "t", frozenset({role}), now=clock.now_ms(), agency=agency)
    async with rpc.channel(target) as channel:
        yield Caller(service_pb2_grpc.OutreachServiceStub(channel), rpc.bearer(token))


@dataclass
class Caller:
    stub: service_pb2_grpc.OutreachServiceAsyncStub
    bearer: tuple[tuple[str, str], ...]

    async def get(self, callback_id: str) -> outreach.Callback:
        request = service_pb2.GetCallbackRequest(callback_id=callback_id)
        return (await self.stub.GetCallback(request, metadata=self.bearer, timeout=10)).callback

    async def due(self, agency: str = "", page: int = 0) -> list[outreach.Callback]:
        """Every page."""
        found: list[outreach.Callback] = []
        token = ""
        while True:
            response = await self.stub.ListCallbacks(
                service_pb2.ListCallbacksRequest(agency=agency, page_size=page, page_token=token),
                metadata=self.bearer,
                timeout=10,
            )
            assert len(response.callbacks) <= (page or 50)
            found += response.callbacks
            token = response.next_page_token
            if not token:
                return found


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
