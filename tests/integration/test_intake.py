"""Intake itself, as a process on real Kafka and Valkey: every promise of its contract, and its
partners killed, flushed and frozen under it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from uuid import UUID

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from mawja.broadcast.v1 import events_pb2 as broadcast_pb2
from mawja.common.v1 import common_pb2
from mawja.intake.v1 import events_pb2, service_pb2, service_pb2_grpc

from services.intake.accept import prepare
from services.intake.client import CallReporter, ContactStream
from services.intake.entries import Entry
from services.intake.index import Index
from services.local.kafka import wait_ready
from services.local.parts import Parts
from services.runtime import clock, ids, rpc, store
from services.runtime.config import Settings
from services.runtime.identity import Caller, Role, create_token_key, issue
from services.runtime.own import LogReader
from services.runtime.privacy import Keyring, mask
from services.runtime.produce import Producer, acknowledged
from services.runtime.topics import (
    CALL_EVENT,
    CONTACT_ACCEPTED,
    INBOUND_MESSAGE,
    INTAKE_DEAD,
    partition_of,
)
from tests.intake_rig import (
    NOW,
    NUMBER,
    Intake,
    ask,
    contact,
    contacts,
    intake,
    outcome,
    refused,
    shown,
    stored,
    stub,
    through,
)

SERVICE = "/mawja.intake.v1.IntakeService/"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("intake")


@pytest.fixture(scope="module")
def shared(settings: Settings, folder: Path) -> Iterator[Intake]:
    with intake(settings, folder, "shared") as started:
        yield started


@pytest.fixture
def gateway(settings: Settings) -> Any:
    return shown(settings, "gw", Role.GATEWAY)


def details(error: Any) -> Any:
    """The first detail (google.rpc) of an error."""
    status = rpc_status.from_call(error)
    assert status is not None
    return status.details[0]


# What is taken.


async def test_a_contact_is_in_kafka_when_it_is_acknowledged(
    shared: Intake, settings: Settings, gateway: Any, keys: Path
) -> None:
    async with stub(shared.target) as intake_stub:
        answer = await intake_stub.SubmitContact(ask("first", text="نص"), metadata=gateway)
    [event] = [e for e in contacts(settings) if e.contact_id == answer.contact_id]
    keyring = Keyring(keys)
    assert answer.contact_id == ids.contact_id("gw", "first")
    assert answer.accepted_ms == event.accepted_ms
    assert keyring.unseal("text", event.sealed_text) == "نص"
    [record] = [r for r in stored(settings) if answer.contact_id.encode() in (r.value or b"")]
    assert record.key == keyring.person(NUMBER)
    assert record.partition == partition_of(keyring.person(NUMBER), settings.partitions)


async def test_one_key_submitted_a_thousand_times_at_once_is_one_contact(
    shared: Intake, settings: Settings, gateway: Any
) -> None:
    async with stub(shared.target) as intake_stub:
        answers = await asyncio.gather(
            *(intake_stub.SubmitContact(ask("k1000"), metadata=gateway) for _ in range(1000))
        )
    assert len({(a.contact_id, a.accepted_ms) for a in answers}) == 1
    written = [e for e in contacts(settings) if e.contact_id == answers[0].contact_id]
    assert len(written) == 1


async def test_one_key_at_two_replicas_is_one_contact(
    shared: Intake, settings: Settings, folder: Path, gateway: Any
) -> None:
    with intake(settings, folder, "second") as second:
        async with stub(shared.target) as one, stub(second.target) as two:
            answers = await asyncio.gather(
                *(
                    replica.SubmitContact(ask(f"both-{i % 50}"), metadata=gateway)
                    for i in range(300)
                    for replica in (one, two)
                )
            )
    by_id: dict[str, set[int]] = {}
    for answer in answers:
        by_id.setdefault(answer.contact_id, set()).add(answer.accepted_ms)
    assert len(by_id) == 50
    assert all(len(times) == 1 for times in by_id.values())
    # Of two replicas at one key at the same moment both may write; dedup counts the first.
    written = Counter(e.contact_id for e in contacts(settings) if e.contact_id in by_id)
    assert max(written.values()) <= 2


async def test_one_key_with_two_bodies_at_once_is_one_of_them(
    shared: Intake, settings: Settings, gateway: Any
) -> None:
    async with stub(shared.target) as intake_stub:
        answers = await asyncio.gather(
            *(
                intake_stub.SubmitContact(ask("two", agency=f"a{i % 2}"), metadata=gateway)
                for i in range(400)
            ),
            return_exceptions=True,
        )
    taken = {a.contact_id for a in answers if isinstance(a, service_pb2.SubmitContactResponse)}
    refusals = [a for a in answers if isinstance(a, grpc.aio.AioRpcError)]
    assert len(taken) == 1
    assert len(refusals) == 200
    assert {r.code() for r in refusals} == {grpc.StatusCode.ALREADY_EXISTS}
    assert all("different: agency" in (r.details() or "") for r in refusals)
    written = {e.agency for e in contacts(settings) if e.contact_id in taken}
    assert len(written) == 1


async def test_another_body_is_refused_naming_what_differs(shared: Intake, gateway: Any) -> None:
    async with stub(shared.target) as intake_stub:
        first = await intake_stub.SubmitContact(ask("conflict", text="a"), metadata=gateway)
        error = await refused(
            intake_stub.SubmitContact(
                ask("conflict", text="b", number="+999598765432", line="109"), metadata=gateway
            )
        )
        assert error.code() is grpc.StatusCode.ALREADY_EXISTS
        assert (error.details() or "").endswith("different: line, number, text")
        assert "9995" not in (error.details() or "")
        again = await intake_stub.SubmitContact(ask("conflict", text="a"), metadata=gateway)
    assert again == first


async def test_every_broken_rule_is_listed_in_the_details(shared: Intake, gateway: Any) -> None:
    async with stub(shared.target) as intake_stub:
        error = await refused(
            intake_stub.SubmitContact(
                ask("", channel=99, number="12", language="??"), metadata=gateway
            )
        )
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    bad = error_details_pb2.BadRequest()
    assert details(error).Unpack(bad)
    assert {v.field for v in bad.field_violations} >= {
        "contact.idempotency_key",
        "contact.channel",
        "contact.number",
        "contact.language",
    }
    assert all(v.description for v in bad.field_violations)


async def test_a_request_without_a_contact_is_invalid(shared: Intake, gateway: Any) -> None:
    async with stub(shared.target) as intake_stub:
        error = await refused(
            intake_stub.SubmitContact(service_pb2.SubmitContactRequest(), metadata=gateway)
        )
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT


# Who may.


async def test_only_a_verified_caller_with_a_role_gets_in(
    shared: Intake, settings: Settings, tmp_path: Path
) -> None:
    create_token_key(tmp_path)
    now = clock.now_ms()
    gateway_role = frozenset({Role.GATEWAY})
    expired = issue(settings.keys, "gw", gateway_role, now=now - 7200_000, valid_s=3600)
    forged = issue(tmp_path, "gw", gateway_role, now=now)
    nobody: list[Any] = [
        None,
        rpc.bearer("garbage"),
        rpc.bearer(expired),
        rpc.bearer(forged),
        (("authorization", "Basic dTpw"),),
        (("authorization-bin", b"\xff"),),
    ]
    wrong: dict[str, Any] = {
        "SubmitContact": shown(settings, "gw", Role.AUDITOR, Role.COORDINATOR),
        "SubmitContacts": shown(settings, "gw", Role.AGENT),
        "ReportCalls": shown(settings, "gw", Role.AGENT, Role.ADMINISTRATOR),
        "GetContact": shown(settings, "gw", Role.GATEWAY, Role.LOAD_TESTER),
    }
    async with stub(shared.target) as intake_stub:

        async def call(method: str, metadata: Any) -> None:
            if method == "SubmitContact":
                await intake_stub.SubmitContact(ask("role"), metadata=metadata)
            elif method == "GetContact":
                request = service_pb2.GetContactRequest(contact_id=ids.contact_id("gw", "first"))
                await intake_stub.GetContact(request, metadata=metadata)
            elif method == "SubmitContacts":
                await intake_stub.SubmitContacts(metadata=metadata).read()
            else:
                await intake_stub.ReportCalls(metadata=metadata).read()

        for method, metadata in wrong.items():
            for none in nobody:
                error = await refused(call(method, none))
                assert error.code() is grpc.StatusCode.UNAUTHENTICATED, (method, none)
            error = await refused(call(method, metadata))
            assert error.code() is grpc.StatusCode.PERMISSION_DENIED, method
            assert method in (error.details() or "")


async def test_a_contact_is_shown_to_those_who_may_see_it(
    shared: Intake, settings: Settings, gateway: Any
) -> None:
    async with stub(shared.target) as intake_stub:
        answer = await intake_stub.SubmitContact(
            ask("shown", agency="moh", text="secret"), metadata=gateway
        )
        request = service_pb2.GetContactRequest(contact_id=answer.contact_id)

        async def get(*roles: Role, agency: str = "") -> service_pb2.GetContactResponse:
            metadata = shown(settings, "staff", *roles, agency=agency)
            found: service_pb2.GetContactResponse = await intake_stub.GetContact(
                request, metadata=metadata
            )
            return found

        found = await get(Role.AGENT)
        assert found.masked_number == mask(NUMBER)
        assert (found.agency, found.accepted_ms) == ("moh", answer.accepted_ms)
        assert "secret" not in str(found)
        assert await get(Role.LIAISON, agency="moh") == found
        for hidden in (get(Role.LIAISON, agency="moi"), get(Role.LIAISON)):
            assert (await refused(hidden)).code() is grpc.StatusCode.NOT_FOUND
        request.contact_id = ids.contact_id("gw", "never")
        assert (await refused(get(Role.AGENT))).code() is grpc.StatusCode.NOT_FOUND
        request.contact_id = "no uuid"
        assert (await refused(get(Role.AGENT))).code() is grpc.StatusCode.INVALID_ARGUMENT


# Streams.


@pytest.mark.parametrize("bundle", [1, 64])
async def test_in_a_stream_only_the_bad_contact_is_refused(
    shared: Intake, settings: Settings, gateway: Any, bundle: int
) -> None:
    elements = []
    for i in range(2000):
        changes: dict[str, Any] = {}
        if i % 100 == 1:
            changes = {"number": "12"}
        elif i % 100 == 2:
            changes = {"source": "other"}
        elif i % 100 == 3:
            # The key of its neighbour with another body.
            changes = {"idempotency_key": f"s{bundle}-{i + 1}", "agency": "zz"}
        made = contact(f"s{bundle}-{i}", **changes)
        elements.append(service_pb2.SubmitContactsRequest(sequence=i, contact=made))
    requests = elements
    if bundle > 1:
        requests = [
            service_pb2.SubmitContactsRequest(bundle=elements[i : i + bundle])
            for i in range(0, len(elements), bundle)
        ]
    answers = await through(shared.target, gateway, requests)
    assert len(answers) == 2000
    codes = Counter(a.refused.code if a.HasField("refused") else 0 for a in answers.values())
    assert codes == {0: 1940, 3: 20, 7: 20, 6: 20}
    for i in range(1, 2000, 100):
        assert [v.field for v in answers[i].refused.violations] == ["contact.number"]
        assert not answers[i].refused.retry_after_ms
        one_of = (answers[i + 2], answers[i + 3])
        conflict = next(a for a in one_of if a.HasField("refused"))
        assert conflict.refused.message.endswith("different: agency")
    taken = {a.accepted.contact_id for a in answers.values() if a.HasField("accepted")}
    assert taken <= {e.contact_id for e in contacts(settings)}
    assert len(taken) == 1940


async def test_a_stream_of_conflicts_is_answered_soon(shared: Intake, gateway: Any) -> None:
    """A gateway that stamps a repeat with a new time: each is looked up to name what differs."""
    first = [
        service_pb2.SubmitContactsRequest(sequence=i, contact=contact(f"c{i}")) for i in range(500)
    ]
    await through(shared.target, gateway, first)
    for request in first:
        request.contact.event_ms -= 1000
    started = time.monotonic()
    answers = await through(shared.target, gateway, first)
    assert {a.refused.message[-20:] for a in answers.values()} == {" different: event_ms"}
    assert time.monotonic() - started < 15


async def test_the_server_says_that_it_bundles(shared: Intake, gateway: Any) -> None:
    async with stub(shared.target) as intake_stub:
        call = intake_stub.SubmitContacts(metadata=gateway)
        assert (await call.initial_metadata()).get("mawja-bundles") == "1"
        call.cancel()


async def test_calls_are_reported_in_batches_and_refused_by_index(
    shared: Intake, settings: Settings, gateway: Any
) -> None:
    def reported(key: str, **changes: Any) -> service_pb2.ReportedCall:
        fields: dict[str, Any] = {
            "source": "gw",
            "contact_key": key,
            "state": events_pb2.CALL_STATE_OFFERED,
            "number": NUMBER,
            "event_ms": NOW,
            "drill": True,
            **changes,
        }
        return service_pb2.ReportedCall(**fields)

    batches = [
        service_pb2.ReportCallsRequest(
            sequence=7,
            calls=[
                reported("c1"),
                reported("c1", state=0),
                reported("c1", state=events_pb2.CALL_STATE_ABANDONED, queue_wait_ms=9),
                reported("c1", source="other"),
            ],
        ),
        service_pb2.ReportCallsRequest(sequence=8, calls=[reported(f"d{i}") for i in range(500)]),
    ]
    async with stub(shared.target) as intake_stub:
        answers = [a async for a in intake_stub.ReportCalls(iter(batches), metadata=gateway)]
        assert [(a.sequence, a.accepted) for a in answers] == [(7, 2), (8, 500)]
        assert [(r.index, r.refusal.code) for r in answers[0].refused] == [(1, 3), (3, 7)]
        for wrong in ([], [reported("x")] * 501):
            request = service_pb2.ReportCallsRequest(calls=wrong)
            call = intake_stub.ReportCalls(iter([request]), metadata=gateway)
            error = await refused(anext(aiter(call)))
            assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    events = [events_pb2.CallEvent.FromString(r.value or b"") for r in stored(settings, CALL_EVENT)]
    mine = [e.state for e in events if e.contact_id == ids.contact_id("gw", "c1")]
    assert mine == [events_pb2.CALL_STATE_OFFERED, events_pb2.CALL_STATE_ABANDONED]


# Overload.


async def test_overload_is_refused_fast_and_life_safety_last(
    settings: Settings, folder: Path, gateway: Any, parts: Parts, shared: Intake
) -> None:
    """Kafka stands still, so that what is taken stays under way: 50 places, 10 of them reserved."""
    assert parts.local_kafka is not None
    [node] = parts.local_kafka.nodes
    with intake(settings, folder, "small", MAWJA_INFLIGHT="50") as small:
        async with stub(small.target) as intake_stub:
            await intake_stub.SubmitContact(ask("warm"), metadata=gateway)

            def send(key: str, **changes: Any) -> asyncio.Task[Any]:
                async def one() -> Any:
                    started = time.monotonic()
                    try:
                        return await intake_stub.SubmitContact(
                            ask(key, **changes), metadata=gateway, timeout=40
                        )
                    except grpc.aio.AioRpcError as error:
                        return error, time.monotonic() - started

                return asyncio.create_task(one())

            node.suspend()
            try:
                ordinary = [send(f"o{i}") for i in range(70)]
                done, _ = await asyncio.wait(ordinary, timeout=2)
                assert len(done) == 30, "40 are under way"
                urgent = [send(f"u{i}", life_safety=True) for i in range(15)]
                done_urgent, _ = await asyncio.wait(urgent, timeout=2)
                assert len(done_urgent) == 5, "the reserved share has 10 places"
                for task in (*done, *done_urgent):
                    error, _ = task.result()
                    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
                    retry = error_details_pb2.RetryInfo()
                    assert details(error).Unpack(retry)
                    assert 0.2 < retry.retry_delay.ToTimedelta().total_seconds() <= 8
                # What one refusal costs when nothing else goes on: less than 50 ms.
                _, took = await send("fast")
                assert took < 0.05, took
            finally:
                node.resume()
            results = [t.result() for t in await asyncio.gather(*map(_ended, (*ordinary, *urgent)))]
            taken = [r for r in results if isinstance(r, service_pb2.SubmitContactResponse)]
            assert len(taken) == 50
            await intake_stub.SubmitContact(ask("normal again"), metadata=gateway)
        assert "a life-safety contact was turned away" in small.said


async def test_what_the_client_was_told_to_bring_again_is_taken_once_in_the_end(
    settings: Settings, folder: Path
) -> None:
    """Six clients want more places than there are, by bundles that are turned away as wholes and
    by such that are looked at."""
    token = issue(settings.keys, "gw", frozenset({Role.GATEWAY}), now=clock.now_ms())
    answers: Counter[str] = Counter()
    with intake(settings, folder, "crowded", MAWJA_INFLIGHT="1000") as crowded:
        async with AsyncExitStack() as stack:
            streams = [
                ContactStream(await stack.enter_async_context(rpc.channel(crowded.target)), token)
                for _ in range(6)
            ]

            async def send(number: int, stream: ContactStream) -> None:
                for i in range(1500):
                    key = f"crowd-{number}-{i}"

                    def answered(
                        answer: service_pb2.SubmitContactsResponse, key: str = key
                    ) -> None:
                        assert answer.HasField("accepted")
                        answers[key] += 1

                    await stream.submit(contact(key, life_safety=i % 20 == 0), answered)
                await stream.close()

            async with asyncio.timeout(60):
                await asyncio.gather(*(send(n, stream) for n, stream in enumerate(streams)))
        assert len(answers) == 9000
        assert set(answers.values()) == {1}
        assert sum(stream.counts.refused for stream in streams) > 0
    kept = Counter(e.contact_id for e in contacts(settings))
    assert all(kept[ids.contact_id("gw", key)] == 1 for key in answers)


async def _ended(task: asyncio.Task[Any]) -> asyncio.Task[Any]:
    await asyncio.wait([task])
    return task


# Keys survive.


async def test_a_flushed_redis_forgets_no_key(
    shared: Intake, settings: Settings, gateway: Any
) -> None:
    client = store.connect(settings.redis_url)
    async with stub(shared.target) as intake_stub:
        firsts = [
            await intake_stub.SubmitContact(ask(f"f{i}"), metadata=gateway) for i in range(20)
        ]
        before = len(stored(settings))
        for times in (1, 2):
            await client.flushall()
            if times == 2:
                # Once more in the middle of the reading back: half an index is none.
                await asyncio.sleep(2.1)
                await client.flushall()
            deadline = time.monotonic() + 30
            for i, first in enumerate(firsts):
                again = await outcome(intake_stub.SubmitContact(ask(f"f{i}"), metadata=gateway))
                while again is grpc.StatusCode.UNAVAILABLE:
                    assert time.monotonic() < deadline
                    await asyncio.sleep(0.1)
                    again = await outcome(intake_stub.SubmitContact(ask(f"f{i}"), metadata=gateway))
                assert again == first
                other = await refused(
                    intake_stub.SubmitContact(ask(f"f{i}", agency="other"), metadata=gateway)
                )
                assert other.code() is grpc.StatusCode.ALREADY_EXISTS
                assert "different: agency" in (other.details() or "")
    assert len(stored(settings)) == before
    await client.aclose()


async def test_a_flush_while_the_index_is_read_back_does_not_make_half_of_it_whole(
    settings: Settings,
) -> None:
    client, other = store.connect(settings.redis_url), store.connect(settings.redis_url)
    flushed = 0

    class Reader(LogReader):
        async def read_many(self, spans: Any, each: Any) -> None:
            nonlocal flushed
            await super().read_many(spans, each)
            if flushed < 2:
                flushed += 1
                await other.flushall()

    total = len({e.contact_id for e in contacts(settings)})
    index = Index(client, Reader(settings.kafka, "t"), settings.partitions, "t")
    await client.flushall()
    # Another replica must not do it in our place.
    keeping = asyncio.create_task(index.keep())
    deadline = time.monotonic() + 60
    while not index.whole:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    keys = [key async for key in client.scan_iter(b"i:*", count=1000)]
    assert len(keys) == total
    await client.aclose()
    await other.aclose()


async def test_garbage_among_the_contacts_does_not_stop_the_reading_back(
    settings: Settings, shared: Intake, gateway: Any
) -> None:
    producer = Producer(settings.kafka, "t")
    await producer.start()
    bad = events_pb2.ContactAccepted(contact_id="no uuid")
    odd = events_pb2.ContactAccepted(
        contact_id=ids.contact_id("x", "y"), body_mac=b"m" * 16, accepted_ms=-1
    )
    await acknowledged(
        [
            await producer.send(CONTACT_ACCEPTED, 0, value)
            for value in (b"\xff\xff", b"", bad.SerializeToString(), odd.SerializeToString())
        ]
    )
    await producer.stop()
    client = store.connect(settings.redis_url)
    await client.flushall()
    await client.aclose()
    async with stub(shared.target) as intake_stub:
        await until_taken(intake_stub, ask("after garbage"), gateway)
    assert shared.process.poll() is None


async def until_taken(
    intake_stub: service_pb2_grpc.IntakeServiceAsyncStub,
    request: service_pb2.SubmitContactRequest,
    gateway: Any,
    timeout_s: float = 60,
) -> service_pb2.SubmitContactResponse:
    deadline = time.monotonic() + timeout_s
    while True:
        answer = await outcome(intake_stub.SubmitContact(request, metadata=gateway, timeout=15))
        if isinstance(answer, service_pb2.SubmitContactResponse):
            return answer
        assert answer in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)


async def test_a_key_that_was_claimed_by_one_who_died_is_taken_with_the_first_time(
    shared: Intake, settings: Settings, gateway: Any, keys: Path
) -> None:
    client = store.connect(settings.redis_url)
    index = Index(client, LogReader(settings.kafka, "t"), settings.partitions, "t")
    caller = Caller("gw", frozenset({Role.GATEWAY}), "", 0)
    earlier = clock.now_ms() - 5000
    dead = prepare(contact("orphan"), caller, Keyring(keys), settings.partitions, earlier)
    assert await index.claim(
        [(dead.index_key, Entry(dead.mac, earlier, dead.partition, None))]
    ) == [None]
    async with stub(shared.target) as intake_stub:
        answer = await intake_stub.SubmitContact(ask("orphan"), metadata=gateway)
        assert answer.accepted_ms == earlier
        # Another body is refused, although nothing stood yet when it was claimed.
        error = await refused(
            intake_stub.SubmitContact(ask("orphan", agency="x"), metadata=gateway)
        )
        assert error.code() is grpc.StatusCode.ALREADY_EXISTS
    assert [e.accepted_ms for e in contacts(settings) if e.contact_id == answer.contact_id] == [
        earlier
    ]
    entry = await index.lookup(UUID(answer.contact_id).bytes)
    assert entry is not None
    assert entry.offset is not None
    await client.aclose()


# Inbound messages.


async def test_messages_from_people_become_contacts_once(
    shared: Intake, settings: Settings, keys: Path
) -> None:
    keyring = Keyring(keys)
    now = clock.now_ms()
    dead_before = len(stored(settings, INTAKE_DEAD))

    def message(inbound_id: str, text: str = "hi", **changes: Any) -> bytes:
        fields: dict[str, Any] = {
            "inbound_id": ids.derive("inbound", inbound_id),
            "carrier": "c1",
            "person": keyring.person(NUMBER),
            "line": "1099",
            "received_ms": now,
            "drill": True,
            "sealed_number": keyring.seal("number", NUMBER, now),
            "sealed_text": keyring.seal("text", text, now),
            **changes,
        }
        return broadcast_pb2.InboundMessage(**fields).SerializeToString()

    values = [
        message("m1"),
        message("m1"),
        message("m1", received_ms=now + 60_000),  # the carrier brought it once more
        message("m2", opt_out=True),
        message("m3", text=""),
        message("m4", received_ms=now + 3_600_000),  # the clock of its room was stepped
        message("bad number", sealed_number=b"\x01garbage"),
        message("swapped", sealed_text=keyring.seal("number", "x", now)),
        message("carrier", carrier="NOT/../ok"),
        b"\xff\xffgarbage",
        b"",
        message("m5"),
    ]
    producer = Producer(settings.kafka, "t")
    await producer.start()
    partition = partition_of(keyring.person(NUMBER), settings.partitions)
    await acknowledged(
        [
            await producer.send(INBOUND_MESSAGE, partition, v, headers=[("traceparent", b"\xff")])
            for v in values
        ]
    )
    await producer.stop()

    def key(inbound_id: str) -> str:
        return ids.contact_id("sms/c1", ids.derive("inbound", inbound_id))

    deadline = time.monotonic() + 30
    while key("m5") not in {e.contact_id for e in contacts(settings)}:
        assert time.monotonic() < deadline, shared.said[-2000:]
        await asyncio.sleep(0.2)
    found = [e for e in contacts(settings) if e.source == "sms/c1"]
    assert sorted(e.contact_id for e in found) == sorted(map(key, ("m1", "m3", "m4", "m5")))
    [first] = [e for e in found if e.contact_id == key("m1")]
    assert (first.channel, first.line, first.drill) == (common_pb2.CHANNEL_SMS, "1099", True)
    assert keyring.unseal("text", first.sealed_text) == "hi"
    letters = [
        common_pb2.DeadLetter.FromString(r.value or b"")
        for r in stored(settings, INTAKE_DEAD)[dead_before:]
    ]
    assert len(letters) == 5
    assert {letter.value for letter in letters} <= set(values)
    assert not any(NUMBER in letter.reason for letter in letters)


# Garbage at every door.


@hypothesis_settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.sampled_from(["SubmitContact", "SubmitContacts", "ReportCalls", "GetContact", "Nothing"]),
    st.lists(
        st.binary(max_size=80)
        | st.builds(
            lambda data: service_pb2.SubmitContactsRequest(sequence=1).SerializeToString() + data,
            st.binary(max_size=20),
        ),
        min_size=1,
        max_size=4,
    ),
)
def test_any_bytes_are_answered(
    shared: Intake, settings: Settings, method: str, messages: list[bytes]
) -> None:
    metadata = shown(settings, "gw", Role.GATEWAY, Role.AGENT)
    with grpc.insecure_channel(shared.target) as channel:
        stream: Any = channel.stream_stream(SERVICE + method)
        call = stream(iter(messages), metadata=metadata, timeout=10)
        with contextlib.suppress(grpc.RpcError):
            for _ in call:
                pass
    assert call.code() in {
        grpc.StatusCode.OK,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.PERMISSION_DENIED,
    }
    assert shared.process.poll() is None


@hypothesis_settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.binary(max_size=60), min_size=1, max_size=5))
def test_any_inbound_bytes_do_not_stall_a_partition(
    shared: Intake, settings: Settings, values: list[bytes]
) -> None:
    """Checked at the end by a good one: see the test that follows."""

    async def run() -> None:
        producer = Producer(settings.kafka, "fuzz")
        await producer.start()
        await acknowledged(
            [
                await producer.send(INBOUND_MESSAGE, i % settings.partitions, value)
                for i, value in enumerate(values)
            ]
        )
        await producer.stop()

    asyncio.run(run())


async def test_after_all_the_garbage_everything_still_works(
    shared: Intake, settings: Settings, gateway: Any, keys: Path
) -> None:
    keyring = Keyring(keys)
    now = clock.now_ms()
    producer = Producer(settings.kafka, "t")
    await producer.start()
    wanted = set()
    for partition in range(settings.partitions):
        inbound_id = ids.derive("inbound", f"after-{partition}")
        wanted.add(ids.contact_id("sms/c2", inbound_id))
        value = broadcast_pb2.InboundMessage(
            inbound_id=inbound_id,
            carrier="c2",
            received_ms=now,
            drill=True,
            sealed_number=keyring.seal("number", NUMBER, now),
            sealed_text=keyring.seal("text", "hi", now),
        ).SerializeToString()
        await acknowledged([await producer.send(INBOUND_MESSAGE, partition, value)])
    await producer.stop()
    deadline = time.monotonic() + 30
    while not wanted <= {e.contact_id for e in contacts(settings)}:
        assert time.monotonic() < deadline, shared.said[-2000:]
        await asyncio.sleep(0.2)
    async with stub(shared.target) as intake_stub:
        await intake_stub.SubmitContact(ask("after fuzz"), metadata=gateway)
    assert NUMBER not in shared.said
    assert "Traceback" not in shared.said


# Starting and stopping.


async def test_sigterm_lets_streams_go_tells_watchers_and_ends_with_0(
    settings: Settings, folder: Path, gateway: Any
) -> None:
    with intake(settings, folder, "terminated") as started:
        announced = json.loads(started.ready_file.read_text())
        assert announced["pid"] == started.process.pid
        assert announced["grpc"] == started.grpc
        assert announced["webhook"] == started.webhook
        assert announced["metrics"] == started.metrics
        async with rpc.channel(started.target) as channel:
            health: Any = health_pb2_grpc.HealthStub(channel)
            status = health_pb2.HealthCheckResponse
            for name in ("", "live"):
                checked = await health.Check(health_pb2.HealthCheckRequest(service=name))
                assert checked.status == status.SERVING
            watch = health.Watch(health_pb2.HealthCheckRequest(service=""))
            assert (await watch.read()).status == status.SERVING
            contacts_stub: service_pb2_grpc.IntakeServiceAsyncStub = (
                service_pb2_grpc.IntakeServiceStub(channel)
            )
            stream: Any = contacts_stub.SubmitContacts(metadata=gateway)
            calls = contacts_stub.ReportCalls(metadata=gateway)
            for i in range(100):
                await stream.write(
                    service_pb2.SubmitContactsRequest(sequence=i, contact=contact(f"term{i}"))
                )
            answered = [await stream.read() for _ in range(100)]
            assert all(a.HasField("accepted") for a in answered)
            for i in range(100, 120):
                await stream.write(
                    service_pb2.SubmitContactsRequest(sequence=i, contact=contact(f"term{i}"))
                )
            began = time.monotonic()
            started.process.send_signal(signal.SIGTERM)
            assert (await watch.read()).status == status.NOT_SERVING
            # What was read is answered, then the stream is told to go elsewhere.
            late = 0
            while isinstance(
                answer := await outcome(stream.read()), service_pb2.SubmitContactsResponse
            ):
                assert answer.HasField("accepted")
                late += 1
            assert answer is grpc.StatusCode.UNAVAILABLE
            assert late <= 20
            calls.cancel()
        code = await asyncio.to_thread(started.process.wait, 30)
        assert code == 0, started.said[-2000:]
        assert time.monotonic() - began < 10, "an open stream must not hold up the drain"
        assert '"stopping"' in started.said


def test_wrong_settings_end_with_one_line(settings: Settings, folder: Path) -> None:
    def run(**env: str) -> subprocess.CompletedProcess[str]:
        made = Intake(settings, folder, "wrong", **env)
        return subprocess.run(
            [sys.executable, "-m", "services.intake"],
            env=made.env,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        cases = {
            "MAWJA_PARTITIONS": ("many", 2),
            "MAWJA_REDIS_URL": ("nonsense", 1),
            "MAWJA_KEYS": (str(folder / "nowhere"), 1),
            "MAWJA_LISTEN": (address, 1),
            "MAWJA_METRICS": (address, 1),
            "MAWJA_WEBHOOK": (address, 1),
        }
        for name, (value, code) in cases.items():
            ended = run(**{name: value})
            assert ended.returncode == code, (name, ended.stderr)
            assert "Traceback" not in ended.stderr, (name, ended.stderr)
            assert name in ended.stderr or "mawja keys" in ended.stderr, (name, ended.stderr)


async def test_kill_9_loses_no_acknowledged_contact_and_the_client_answers_all(
    settings: Settings, folder: Path, gateway: Any
) -> None:
    token = issue(settings.keys, "gw", frozenset({Role.GATEWAY}), now=clock.now_ms())
    victim = Intake(settings, folder, "victim").start().ready()
    answers: dict[str, service_pb2.SubmitContactsResponse] = {}
    answered_twice: list[str] = []
    try:
        async with rpc.channel(victim.target) as channel:
            stream, reporter = ContactStream(channel, token), CallReporter(channel, token)

            async def submit(i: int) -> None:
                key = f"v{i}"

                def answered(answer: service_pb2.SubmitContactsResponse) -> None:
                    if key in answers:
                        answered_twice.append(key)
                    answers[key] = answer

                await stream.submit(contact(key), answered)
                reporter.report(
                    service_pb2.ReportedCall(
                        source="gw",
                        contact_key=key,
                        state=events_pb2.CALL_STATE_OFFERED,
                        number=NUMBER,
                        event_ms=NOW,
                        drill=True,
                    )
                )

            async def kill() -> None:
                for kills in range(3):
                    await asyncio.sleep(0.5)
                    victim.process.kill()
                    await asyncio.to_thread(victim.process.wait)
                    acknowledged_now = {k for k, a in answers.items() if a.HasField("accepted")}
                    kept = {e.contact_id for e in contacts(settings)}
                    assert {ids.contact_id("gw", k) for k in acknowledged_now} <= kept
                    victim.start()
                    await asyncio.to_thread(victim.ready)
                    assert kills < 3

            killing = asyncio.create_task(kill())
            count = 0
            while not killing.done() or count < 3000:
                await submit(count)
                count += 1
            await killing
            async with asyncio.timeout(60):
                await stream.close()
                await reporter.close()
        assert len(answers) == count
        assert not answered_twice
        assert all(a.HasField("accepted") for a in answers.values())
        assert stream.counts.reconnects >= 1
        assert stream.counts.resent > 0
        kept = {e.contact_id for e in contacts(settings)}
        assert {ids.contact_id("gw", f"v{i}") for i in range(count)} <= kept
        assert reporter.accepted >= count
        events = {
            events_pb2.CallEvent.FromString(r.value or b"").contact_id
            for r in stored(settings, CALL_EVENT)
        }
        assert {ids.contact_id("gw", f"v{i}") for i in range(count)} <= events
    finally:
        victim.end()


async def test_the_stream_client_tells_that_its_token_is_refused(
    shared: Intake, settings: Settings
) -> None:
    async with rpc.channel(shared.target) as channel:
        stream = ContactStream(channel, "garbage")

        async def submit_for_ever() -> None:
            while True:
                await stream.submit(contact("x"), lambda _: None)

        async with asyncio.timeout(10):
            error = await refused(submit_for_ever())
        assert error.code() is grpc.StatusCode.UNAUTHENTICATED


# From here on Valkey and Kafka are killed: keep these last.


async def test_redis_away_is_unavailable_and_keys_hold_when_it_is_back_empty(
    shared: Intake, settings: Settings, gateway: Any, parts: Parts
) -> None:
    assert parts.local_valkey is not None
    async with stub(shared.target) as intake_stub:
        first = await intake_stub.SubmitContact(ask("redis"), metadata=gateway)
        parts.local_valkey.child.kill9()
        error = await refused(
            intake_stub.SubmitContact(ask("redis 2"), metadata=gateway, timeout=20)
        )
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        parts.local_valkey.restart()
        assert await until_taken(intake_stub, ask("redis"), gateway) == first
        error = await refused(intake_stub.SubmitContact(ask("redis", topic="x"), metadata=gateway))
        assert error.code() is grpc.StatusCode.ALREADY_EXISTS
        await until_taken(intake_stub, ask("redis 2"), gateway)


async def test_kafka_away_is_unavailable_never_ok_and_taken_again_when_it_is_back(
    shared: Intake, settings: Settings, gateway: Any, parts: Parts
) -> None:
    """For longer than a batch lives in Kafka's client: then its numbers are used and not written,
    and the broker refuses everything that follows."""
    assert parts.local_kafka is not None
    [node] = parts.local_kafka.nodes
    # Without the retries of the shipped channel: what the service itself says.
    async with grpc.aio.insecure_channel(shared.target) as channel:
        intake_stub: service_pb2_grpc.IntakeServiceAsyncStub = service_pb2_grpc.IntakeServiceStub(
            channel
        )
        await intake_stub.SubmitContact(ask("before"), metadata=gateway)
        node.kill9()
        down = time.monotonic()
        codes: Counter[Any] = Counter()
        while time.monotonic() - down < 24:
            calls = [
                intake_stub.SubmitContact(
                    ask(f"away-{time.monotonic()}-{i}"), metadata=gateway, timeout=30
                )
                for i in range(5)
            ]
            codes.update(await asyncio.gather(*(outcome(call) for call in calls)))
            await asyncio.sleep(0.05)
        assert set(codes) == {grpc.StatusCode.UNAVAILABLE}
        assert shared.process.poll() is None
        node.start()
        await asyncio.to_thread(wait_ready, settings.kafka, 1, 60.0, lambda: None)
        back = time.monotonic()
        for i in range(40):
            # Every partition takes again.
            number = f"+99951234{i:04d}"
            await until_taken(intake_stub, ask(f"back-{i}", number=number), gateway)
        assert time.monotonic() - back < 60
    kept = {e.contact_id for e in contacts(settings)}
    assert {ids.contact_id("gw", f"back-{i}") for i in range(40)} <= kept


async def test_sigterm_without_kafka_and_redis_still_ends_in_grace(
    settings: Settings, folder: Path, parts: Parts, gateway: Any
) -> None:
    assert parts.local_kafka is not None
    assert parts.local_valkey is not None
    with intake(settings, folder, "alone") as started:
        parts.local_kafka.nodes[0].kill9()
        parts.local_valkey.child.kill9()
        async with stub(started.target) as intake_stub:
            error = await refused(
                intake_stub.SubmitContact(ask("alone"), metadata=gateway, timeout=30)
            )
            assert error.code() is grpc.StatusCode.UNAVAILABLE
        began = time.monotonic()
        started.process.send_signal(signal.SIGTERM)
        code = await asyncio.to_thread(started.process.wait, 60)
        assert time.monotonic() - began < 40
        assert code == 0, started.said[-2000:]
