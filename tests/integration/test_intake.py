"""Intake's contract, as a process on real Kafka and Valkey: what it takes, from whom, and how it
answers streams."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from mawja.intake.v1 import events_pb2, service_pb2
from typer.testing import CliRunner

from services.runtime import clock, ids, rpc, token_keys
from services.runtime.config import Settings
from services.runtime.identity import Role, create_token_key, issue
from services.runtime.privacy import Keyring, mask
from services.runtime.token_keys import LOOK_S
from services.runtime.topics import CALL_EVENT, partition_of
from services.tools.__main__ import app
from tests.intake_rig import (
    NUMBER,
    Intake,
    ask,
    contact,
    contacts,
    details,
    intake,
    outcome,
    refused,
    reported,
    shown,
    stored,
    stub,
    through,
)

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


def keys_turned(settings: Settings, *words: str) -> None:
    """`mawja keys`, as runbooks/rotate-keys.md has it."""
    said = CliRunner().invoke(app, ["keys", "--keys", str(settings.keys), *words])
    assert said.exit_code == 0, said.output


async def test_one_token_key_takes_anothers_place_while_intake_runs(
    shared: Intake, settings: Settings
) -> None:
    # Their names are of this try: a ring has each name once.
    before, after = token_keys.signing(settings.keys, "")[0], f"next-{clock.now_ms()}"
    old = shown(settings, "gw", Role.GATEWAY)
    keys_turned(settings, "--new-token-key", after)
    new = shown(settings, "gw", Role.GATEWAY)
    async with stub(shared.target) as intake_stub:
        # At once: who signs does not wait until a room has looked.
        first = await intake_stub.SubmitContact(ask("turned"), metadata=new)
        assert await intake_stub.SubmitContact(ask("turned"), metadata=old) == first
        keys_turned(settings, "--take-away", before)
        deadline = time.monotonic() + LOOK_S + 5
        while await outcome(intake_stub.SubmitContact(ask("turned"), metadata=old)) == first:
            assert time.monotonic() < deadline, "the old key's token is taken still"
            await asyncio.sleep(0.1)
        late = await refused(intake_stub.SubmitContact(ask("turned"), metadata=old))
        assert late.code() is grpc.StatusCode.UNAUTHENTICATED
        assert await intake_stub.SubmitContact(ask("turned"), metadata=new) == first
    assert shared.process.poll() is None, "it was never started again"


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


def packed(sequence: int, *keys: str, **changes: Any) -> service_pb2.SubmitContactsRequest:
    """Ordinary contacts as the shipped client sends them; their sequences follow 100 × their
    own."""
    bundle = [
        service_pb2.SubmitContactsRequest(sequence=100 * sequence + i, contact=contact(key))
        for i, key in enumerate(keys)
    ]
    ordinary = service_pb2.SubmitContactsRequest(bundle=bundle).SerializeToString()
    given = {"ordinary": ordinary, "ordinary_count": len(bundle), **changes}
    return service_pb2.SubmitContactsRequest(sequence=sequence, **given)


async def test_ordinary_contacts_that_are_not_what_they_say_are_refused_together(
    shared: Intake, gateway: Any
) -> None:
    urgent = service_pb2.SubmitContactsRequest(
        sequence=9, contact=contact("packed-urgent", life_safety=True)
    )
    answers = await through(
        shared.target,
        gateway,
        [
            packed(1, "packed-1", "packed-2"),
            packed(2, ordinary=b"\xff\xff", ordinary_count=3),
            packed(3, "packed-3", ordinary_count=2),
            # Beside ordinary ones that are refused, what is urgent is taken.
            packed(4, "packed-4", ordinary_count=0, bundle=[urgent]),
        ],
    )
    assert {s for s, a in answers.items() if a.HasField("accepted")} == {100, 101, 9}
    refused = {s: a for s, a in answers.items() if a.HasField("refused")}
    assert all(a.whole and a.refused.code == 3 for a in refused.values())
    fields = {s: [v.field for v in a.refused.violations] for s, a in refused.items()}
    assert fields == {2: ["ordinary"], 3: ["ordinary_count"], 4: ["ordinary_count"]}


async def test_a_stream_of_conflicts_is_answered_soon(shared: Intake, gateway: Any) -> None:
    """A gateway that stamps a repeat with a new time: each is looked up to name what differs."""
    first = [
        service_pb2.SubmitContactsRequest(sequence=i, contact=contact(f"c{i}")) for i in range(500)
    ]
    await through(shared.target, gateway, first)
    for request in first:
        request.contact.event_ms -= 1000
    conflict = grpc.StatusCode.ALREADY_EXISTS.value[0]
    started = time.monotonic()
    while first:
        # A busy index may answer that it can't say now: what was not answered is sent again.
        answers = await through(shared.target, gateway, first)
        first = [one for one in first if answers[one.sequence].refused.code != conflict]
        told = {a.refused.message[-20:] for a in answers.values() if a.refused.code == conflict}
        assert told <= {" different: event_ms"}
        assert time.monotonic() - started < 15


async def test_the_server_says_that_it_bundles(shared: Intake, gateway: Any) -> None:
    async with stub(shared.target) as intake_stub:
        call = intake_stub.SubmitContacts(metadata=gateway)
        assert (await call.initial_metadata()).get("mawja-bundles") == "1"
        call.cancel()


async def test_calls_are_reported_in_batches_and_refused_by_index(
    shared: Intake, settings: Settings, gateway: Any
) -> None:
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
