"""What the tests of the outreach room share: a stand-in for dedup, which owns the log of cases,
callers, and outreach's topics read from outside."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2 as dedup
from mawja.intake.v1 import events_pb2 as intake
from mawja.outreach.v1 import events_pb2 as outreach
from mawja.outreach.v1 import service_pb2, service_pb2_grpc

from services.runtime import clock, ids, rpc, topics
from services.runtime.config import Settings
from services.runtime.identity import Role, issue
from services.runtime.own import Entry, Epochs, LogReader, OwnedLog, Record, admitted
from services.runtime.privacy import Keyring
from services.runtime.produce import Producer
from services.runtime.topics import CALLBACK, CASE, MESSAGE_REQUESTED, Topic


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
        person, now = self.keyring.person(number), clock.now_ms()
        case_id = ids.case_id(name)
        return Case(
            self,
            number,
            dedup.Case(
                case_id=case_id,
                case_number=ids.case_number(case_id),
                person=person,
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
                sealed_number=self.keyring.seal("number", number, now, person),
            ),
        )

    def log(self, person: bytes) -> OwnedLog:
        return self.logs[topics.partition_of(person, len(self.logs))]


@asynccontextmanager
async def deciding(settings: Settings) -> AsyncIterator[Dedup]:
    """Dedup, as the owner of its log."""
    producer, reader = Producer(settings.kafka, "test-dedup"), LogReader(settings.kafka, "dedup")
    await producer.start()
    try:
        logs = [OwnedLog(producer, reader, CASE, p) for p in range(settings.partitions)]
        for log in logs:
            await log.acquire("test-dedup")
        yield Dedup(producer, Keyring(settings.keys), logs)
    finally:
        await reader.close()
        await producer.stop()


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
    """The callbacks of `cases`, each change of them."""
    wanted = {case.case.case_id for case in cases}
    found = [
        outreach.Callback.FromString(record.value or b"")
        for record in await records(reader, CALLBACK, settings.partitions)
    ]
    own = [callback for callback in found if callback.case_id in wanted]
    return sorted(own, key=lambda callback: (callback.callback_id, callback.version))


async def until(condition: Callable[[], Awaitable[bool]], within_s: float = 30) -> None:
    """Waits for something to become true."""
    deadline = time.monotonic() + within_s
    while not await condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.1)


@asynccontextmanager
async def caller(
    target: str, settings: Settings, role: Role = Role.AGENT, agency: str = ""
) -> AsyncIterator[Caller]:
    """Somebody with a role, for as long as the block lasts."""
    token = issue(settings.keys, "t", frozenset({role}), now=clock.now_ms(), agency=agency)
    async with rpc.channel(target) as channel:
        yield Caller(service_pb2_grpc.OutreachServiceStub(channel), rpc.bearer(token))


@dataclass
class Caller:
    """Calls outreach as a person with some role."""

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
                service_pb2.ListCallbacksRequest(
                    agency=agency, page_size=page, page_token=token, work=outreach.WORK_DRILL
                ),
                metadata=self.bearer,
                timeout=10,
            )
            assert len(response.callbacks) <= (page or 50)
            found += response.callbacks
            token = response.next_page_token
            if not token:
                return found
