"""The driver sends at the scheduled instant, whatever the system does, and tells no truth."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import grpc
import pytest
from mawja.common.v1 import common_pb2
from mawja.intake.v1 import events_pb2, service_pb2, service_pb2_grpc

from loadtests.driver import Driver, contact, reported, truth
from loadtests.ledger import Ledger, Truth
from loadtests.steps import Call, Step, Submit
from services.runtime import ids, rpc

START_MS = 1_700_000_000_000
STEP = Submit(
    at=2.5,
    key="flash/1/1",
    person="p1",
    need="n1",
    topic="water",
    family="f1",
    reason="redial",
    attempt=2,
    channel="voice",
    kind="complaint",
    number="+999512345678",
    handle=None,
    shared_number=False,
    organisation=False,
    line="109",
    agency="moh",
    language="ar",
    speaks="ar",
    text="لا يوجد ماء",
    place="Sharjah",
    life_safety=True,
)

Answer = Callable[[service_pb2.SubmitContactsRequest], service_pb2.SubmitContactsResponse]


def accepts(request: service_pb2.SubmitContactsRequest) -> service_pb2.SubmitContactsResponse:
    made = ids.contact_id(request.contact.source, request.contact.idempotency_key)
    return service_pb2.SubmitContactsResponse(
        sequence=request.sequence, accepted=service_pb2.SubmitContactResponse(contact_id=made)
    )


class Intake(service_pb2_grpc.IntakeServiceServicer):
    """Speaks IntakeService over a real connection, as slowly and as wrongly as a test wants."""

    def __init__(self, answer: Answer, ready: asyncio.Event) -> None:
        self.answer = answer
        self.ready = ready
        self.came: list[tuple[float, str]] = []
        self.calls: list[service_pb2.ReportedCall] = []

    async def SubmitContacts(
        self, request_iterator: AsyncIterator[service_pb2.SubmitContactsRequest], context: Any
    ) -> AsyncIterator[service_pb2.SubmitContactsResponse]:
        answers: asyncio.Queue[service_pb2.SubmitContactsResponse] = asyncio.Queue()

        async def read() -> None:
            async for request in request_iterator:
                now = asyncio.get_running_loop().time()
                self.came.append((now, request.contact.idempotency_key))
                answers.put_nowait(self.answer(request))

        reading = asyncio.create_task(read())
        try:
            await self.ready.wait()
            while not reading.done() or not answers.empty():
                try:
                    async with asyncio.timeout(0.02):
                        response = await answers.get()
                except TimeoutError:
                    continue
                yield response
        finally:
            reading.cancel()

    async def SubmitContact(self, request: Any, context: Any) -> Any:
        raise NotImplementedError

    async def GetContact(self, request: Any, context: Any) -> Any:
        raise NotImplementedError

    async def RevealContact(self, request: Any, context: Any) -> Any:
        raise NotImplementedError

    async def ReportCalls(
        self, request_iterator: AsyncIterator[service_pb2.ReportCallsRequest], context: Any
    ) -> AsyncIterator[service_pb2.ReportCallsResponse]:
        async for request in request_iterator:
            self.calls.extend(request.calls)
            yield service_pb2.ReportCallsResponse(
                sequence=request.sequence, accepted=len(request.calls)
            )


@asynccontextmanager
async def intake(answer: Answer = accepts, *, stalled: bool = False) -> AsyncIterator[Any]:
    """An intake and a driver in front of it: (servicer, make_driver, ledger)."""
    ready = asyncio.Event()
    if not stalled:
        ready.set()
    servicer = Intake(answer, ready)
    server = grpc.aio.server()
    service_pb2_grpc.add_IntakeServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    ledger = Ledger()
    try:
        async with rpc.channel(f"127.0.0.1:{port}") as channel:

            def make(compression: float = 1.0) -> Driver:
                return Driver(
                    channel,
                    "token",
                    "load-test",
                    start_ms=START_MS,
                    compression=compression,
                    ledger=ledger,
                )

            yield servicer, make, ledger
    finally:
        await server.stop(0.1)


def steps(count: int, every_s: float) -> list[Step]:
    return [replace(STEP, at=i * every_s, key=f"k{i}", person=f"p{i}") for i in range(count)]


def never() -> bool:
    return False


def test_a_contact_carries_what_the_person_shows_and_the_drill_mark() -> None:
    sent = contact(STEP, "load-test", START_MS)
    assert sent == service_pb2.Contact(
        source="load-test",
        idempotency_key="flash/1/1",
        kind=common_pb2.CONTACT_KIND_COMPLAINT,
        channel=common_pb2.CHANNEL_VOICE,
        line="109",
        agency="moh",
        language="ar",
        number="+999512345678",
        party=common_pb2.PARTY_PERSON,
        text="لا يوجد ماء",
        place="Sharjah",
        life_safety=True,
        event_ms=START_MS + 2500,
        drill=True,
    )


def test_none_of_the_truth_is_sent() -> None:
    plain = contact(STEP, "load-test", START_MS)
    other = replace(
        STEP,
        person="another",
        need="another",
        topic="another",
        family=None,
        reason="new",
        attempt=9,
        speaks="ur",
        shared_number=True,
    )
    assert contact(other, "load-test", START_MS) == plain


def test_withheld_is_said_when_there_is_neither_number_nor_handle() -> None:
    assert contact(replace(STEP, number=None), "s", 0).withheld
    assert not contact(replace(STEP, number=None, handle="@p1"), "s", 0).withheld
    assert not contact(STEP, "s", 0).withheld


@pytest.mark.parametrize(
    ("step", "identity"),
    [
        (STEP, "+999512345678"),
        (replace(STEP, number=None), None),
        (replace(STEP, number=None, handle="@p1", channel="social"), None),
        (replace(STEP, shared_number=True), None),
        (replace(STEP, organisation=True), None),
    ],
)
def test_a_person_is_known_by_a_number_of_their_own_alone(
    step: Submit, identity: str | None
) -> None:
    assert truth(step) == Truth(identity, "p1", "n1")


def test_a_call_event_carries_its_times_in_milliseconds() -> None:
    call = Call(
        10.25,
        "flash/1/1",
        "ended",
        None,
        "109",
        "moh",
        "ar",
        agent=7,
        queue_wait_s=1.5,
        handling_s=240.0,
        disposition="resolved",
    )
    sent = reported(call, "load-test", START_MS)
    assert (sent.queue_wait_ms, sent.handling_ms, sent.agent) == (1500, 240_000, "agent-7")
    assert sent.state == events_pb2.CALL_STATE_ENDED
    assert sent.disposition == events_pb2.DISPOSITION_RESOLVED
    assert sent.event_ms == START_MS + 10_250
    assert sent.drill


async def test_a_stalled_system_is_sent_to_all_the_same_and_pays_for_it() -> None:
    """Open loop: who waits for an answer before sending would see one slow contact, not many."""
    async with intake(stalled=True) as (servicer, make, _):
        driver = make()
        loop = asyncio.get_running_loop()
        began = loop.time()
        loop.call_later(0.6, servicer.ready.set)
        await driver.perform(steps(10, 0.05), never)
        arrived = [at - began for at, _ in servicer.came]
        assert max(arrived) < 0.58
        assert len(driver.sent.latencies_s) == driver.sent.accepted == 10
        first, *_, last = sorted(driver.sent.latencies_s, reverse=True)
        assert first >= 0.55
        assert first - last == pytest.approx(0.45, abs=0.15)


async def test_virtual_time_is_compressed_by_the_stated_factor() -> None:
    async with intake() as (servicer, make, _):
        driver = make(compression=100.0)
        await driver.perform(steps(5, 10.0), never)
        times = [at for at, _ in servicer.came]
        assert max(times) - min(times) == pytest.approx(0.4, abs=0.15)


async def test_the_ledger_is_told_truth_and_acknowledgements() -> None:
    call = Call(0.0, "k0", "offered", STEP.number, "109", "moh", "ar")
    async with intake() as (servicer, make, ledger):
        driver = make()
        await driver.perform([*steps(3, 0.0), call], never)
        assert (driver.sent.contacts, driver.sent.accepted, driver.sent.call_events) == (3, 3, 1)
        assert [c.contact_key for c in servicer.calls] == ["k0"]
        account = ledger.account()
        # Acknowledged, and nothing of it in any topic: lost.
        assert (account.unacknowledged, account.lost) == (0, 3)


async def test_a_refusal_is_no_acknowledgement() -> None:
    def refuses(request: service_pb2.SubmitContactsRequest) -> service_pb2.SubmitContactsResponse:
        return service_pb2.SubmitContactsResponse(
            sequence=request.sequence,
            refused=service_pb2.Refusal(
                code=grpc.StatusCode.INVALID_ARGUMENT.value[0], message="number: not E.164"
            ),
        )

    async with intake(refuses) as (_, make, ledger):
        driver = make()
        await driver.perform(steps(2, 0.0), never)
        assert driver.sent.refused_for_good == 2
        assert driver.sent.first_refusal == "number: not E.164"
        account = ledger.account()
        assert (account.unacknowledged, account.lost) == (2, 0)


async def test_an_acknowledgement_of_something_else_is_seen() -> None:
    def confuses(request: service_pb2.SubmitContactsRequest) -> service_pb2.SubmitContactsResponse:
        answer = accepts(request)
        answer.accepted.contact_id = ids.contact_id("somebody", "else")
        return answer

    async with intake(confuses) as (_, make, ledger):
        await make().perform(steps(1, 0.0), never)
        problems = " ".join(ledger.account().problems)
        assert "acknowledged that nobody sent" in problems


async def test_stopping_leaves_the_rest_unsent() -> None:
    async with intake() as (servicer, make, _):
        driver = make()
        await driver.perform(steps(100, 0.05), lambda: len(servicer.came) >= 3)
        assert 3 <= driver.sent.contacts <= 6
        assert driver.sent.accepted == driver.sent.contacts
        assert driver.unanswered == 0
