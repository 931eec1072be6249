"""What intake takes back, what it tells and what it lets go: a Redis that forgets, messages from
people, their words, and garbage at every door."""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path
from typing import Any
from uuid import UUID

import grpc
from google.rpc import code_pb2
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from mawja.audit.v1 import service_pb2 as audit_service
from mawja.audit.v1 import service_pb2_grpc as audit_service_grpc
from mawja.broadcast.v1 import events_pb2 as broadcast_pb2
from mawja.common.v1 import common_pb2
from mawja.intake.v1 import events_pb2, service_pb2, service_pb2_grpc

from services.intake.accept import prepare
from services.intake.entries import Entry
from services.intake.index import Index
from services.runtime import clock, ids, rpc, store
from services.runtime.config import Settings
from services.runtime.identity import Caller, Role
from services.runtime.own import LogReader
from services.runtime.privacy import Keyring
from services.runtime.produce import Producer, acknowledged
from services.runtime.topics import CONTACT_ACCEPTED, INBOUND_MESSAGE, INTAKE_DEAD, partition_of
from tests.dedup_rig import seen
from tests.intake_rig import (
    NUMBER,
    Intake,
    ask,
    contact,
    contacts,
    outcome,
    refused,
    shown,
    stored,
    stub,
    until_taken,
)

SERVICE = "/mawja.intake.v1.IntakeService/"


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

    def placed(**changes: Any) -> broadcast_pb2.MessagePart:
        fields = {"total": 2, "sequence": 1, "coding": "ucs2", **changes}
        return broadcast_pb2.MessagePart(**fields)

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
        message("coded otherwise", part=placed(coding="ebcdic")),
        message("nowhere", part=placed(sequence=3)),
        message("other octets", part=placed(sealed_octets=keyring.seal("octets", "ا", now))),
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
    assert len(letters) == 8
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


async def test_words_are_told_to_desks_for_a_reason_that_stands_in_the_audit(
    shared: Intake, settings: Settings, gateway: Any
) -> None:
    said, why = "لا ماء 4711", "to know where it burns"
    async with rpc.channel(shared.target) as channel:
        intake_stub: Any = service_pb2_grpc.IntakeServiceStub(channel)
        request = ask("words", agency="moh", text=said, place="Jahra")
        contact_id = (await intake_stub.SubmitContact(request, metadata=gateway)).contact_id

        async def reveal(role: Role, **changes: str) -> Any:
            asked = {"contact_id": contact_id, "reason": why, "request_id": "1", **changes}
            return await intake_stub.RevealContact(
                service_pb2.RevealContactRequest(**asked), metadata=shown(settings, "ag-1", role)
            )

        found = await reveal(Role.COORDINATOR)
        assert (found.text, found.place, found.HasField("parts")) == (said, "Jahra", False)
        for role in (Role.LIAISON, Role.AUDITOR, Role.GATEWAY):
            assert (await refused(reveal(role))).code() is grpc.StatusCode.PERMISSION_DENIED
        unknown = reveal(Role.AGENT, contact_id=ids.contact_id("gw", "never"))
        assert (await refused(unknown)).code() is grpc.StatusCode.NOT_FOUND
        unsaid = reveal(Role.AGENT, reason="because")
        assert (await refused(unsaid)).code() is grpc.StatusCode.INVALID_ARGUMENT

        auditing: Any = audit_service_grpc.AuditServiceStub(channel)
        listed = audit_service.ListAuditRequest(about=contact_id)

        async def noted() -> Any:
            metadata = shown(settings, "au-1", Role.AUDITOR)
            answer = await auditing.ListAudit(listed, metadata=metadata)
            return sorted(answer.calls, key=lambda call: call.asked_ms)

        calls = await seen(noted, lambda calls: len(calls) == 4)
        denied = code_pb2.PERMISSION_DENIED
        assert [call.code for call in calls] == [code_pb2.OK, denied, denied, denied]
        told = {(call.subject, call.deed, call.reason) for call in calls}
        assert told == {("ag-1", "IntakeService/RevealContact", why)}
    assert "4711" not in shared.said
