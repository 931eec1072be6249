"""The audit of a room, a process on real Kafka: whatever a person asks of it stands in the chain
once, before it is done, and auditors read it."""

import asyncio
import contextlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import code_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient
from mawja.audit.v1 import events_pb2 as audit
from mawja.audit.v1 import service_pb2 as asked
from mawja.audit.v1 import service_pb2_grpc
from mawja.dedup.v1 import service_pb2
from mawja.dedup.v1 import service_pb2_grpc as dedup_grpc
from typer.testing import CliRunner

from services.runtime import channels, clock, ids, rpc
from services.runtime.audit.chain import Check
from services.runtime.audit.reading import Found, Pages
from services.runtime.config import Settings
from services.runtime.identity import Role, issue
from services.runtime.own import LogReader, Record
from services.runtime.topics import CONTACT_ACCEPTED, DEDUP_AUDIT, DEDUP_NOTES, ensure
from services.tools.__main__ import app
from tests.certificates import Authority, put
from tests.dedup_rig import calling, records_of, seen, worked_through, writing
from tests.room_process import Room, room

NUMBER = "+999500004711"
AGENT = frozenset({Role.AGENT})
WHY = "Karim 0501234567 asked us to ring back"
CASE = ids.case_id(ids.contact_id("test", "a1"))


async def chain_of(settings: Settings) -> list[audit.AuditNote]:
    """The notes of the chain, which is whole."""
    found = await records_of(settings, DEDUP_AUDIT, rightful=True)
    checks = {p: Check(DEDUP_AUDIT.name, p) for p in range(settings.partitions)}
    wrong = [one for r in found for one in checks[r.partition].take(r.value or b"")]
    assert not wrong
    return [note_of(record) for record in found]


def note_of(record: Record) -> audit.AuditNote:
    chained = audit.AuditRecord.FromString(record.value or b"")
    return audit.AuditNote.FromString(chained.note)


async def listed(
    target: str, settings: Settings, *roles: Role, **request: Any
) -> Sequence[asked.AuditedCall]:
    """The audit as someone with `roles` reads it."""
    token = issue(settings.keys, "au-1", frozenset(roles), now=clock.now_ms())
    async with rpc.channel(target) as channel:
        stub = service_pb2_grpc.AuditServiceStub(channel)
        answer = await stub.ListAudit(asked.ListAuditRequest(**request), metadata=rpc.bearer(token))
        return answer.calls


def reveal(request_id: str, reason: str = WHY) -> service_pb2.RevealPersonRequest:
    return service_pb2.RevealPersonRequest(case_id=CASE, reason=reason, request_id=request_id)


async def test_what_people_ask_stands_in_the_chain_once_also_after_a_kill(
    settings: Settings, tmp_path: Path
) -> None:
    running = Room("dedup", settings, tmp_path)
    try:
        target = await asyncio.to_thread(running.target)
        async with writing(settings) as intake:
            await intake.send(CONTACT_ACCEPTED, [intake.contact("a1", NUMBER)])
            await worked_through(settings, running)
        await sees_who_may(target, settings)
        await sees_what_was_asked(target, settings)
        before = {note.call_id for note in await chain_of(settings)}
        async with calling(target, settings, Role.AGENT) as (stub, _):

            async def ask(n: int, stub: Any = stub) -> None:
                who = issue(settings.keys, f"ag-{n % 5}", AGENT, now=clock.now_ms())
                with contextlib.suppress(grpc.aio.AioRpcError):
                    await stub.RevealPerson(
                        reveal(f"dying-{n}"), metadata=rpc.bearer(who), timeout=15
                    )

            asking = [asyncio.create_task(ask(n)) for n in range(60)]
            # Somewhere among them.
            await asyncio.wait(asking[:20])
            running.kill()
            await asyncio.gather(*asking)
    finally:
        running.kill()
    assert WHY not in running.said
    put(tmp_path / "tls", Authority(tmp_path, "ca"), "dedup")
    with_tls = {"MAWJA_TLS": str(tmp_path / "tls"), "MAWJA_HEALTH": "127.0.0.1:0"}
    with room("dedup", settings, tmp_path, replica="next", **with_tls) as running:
        target = await asyncio.to_thread(running.target)
        await serves_with_tls_only(target, running, settings, tmp_path / "tls")
        ends = await LogReader(settings.kafka, "test-ends").end(
            DEDUP_NOTES, range(settings.partitions)
        )

        async def chained() -> bool:
            return len(await chain_of(settings)) == sum(ends.values())

        await seen(chained, bool)
        paged = await by_pages(target, settings, tmp_path / "tls")
        every = sorted({note.call_id for note in await chain_of(settings)})
        assert sorted(paged) == every
        assert sorted(await by_spans(settings)) == every
    notes = [note for note in await chain_of(settings) if note.call_id not in before]
    assert len(notes) >= 40
    steps = [(note.call_id, note.stage) for note in notes]
    assert len(steps) == len(set(steps)), "a note stands twice"
    of_stage = {
        stage: {note.call_id for note in notes if note.stage == stage}
        for stage in (audit.STAGE_ASKED, audit.STAGE_ANSWERED)
    }
    assert of_stage[audit.STAGE_ANSWERED] <= of_stage[audit.STAGE_ASKED]
    commands_tell(settings, tmp_path)


async def by_pages(target: str, settings: Settings, folder: Path) -> list[str]:
    """The ids of all calls, page by page; each page has the latest first."""
    found: list[str] = []
    metadata = rpc.bearer(
        issue(settings.keys, "au-1", frozenset({Role.AUDITOR}), now=clock.now_ms())
    )
    async with channels.channel(target, folder) as channel:
        stub = service_pb2_grpc.AuditServiceStub(channel)
        request, pages = asked.ListAuditRequest(page_size=7), 0
        while not pages or request.page_token:
            answer = await stub.ListAudit(request, metadata=metadata)
            found += (call.call_id for call in answer.calls)
            request.page_token = answer.next_page_token
            pages += 1
            assert pages < 100
        assert pages > 2
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.ListAudit(asked.ListAuditRequest(page_token="eHg="), metadata=metadata)
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    return found


async def by_spans(settings: Settings) -> list[str]:
    """The same, looking at few records of each chain at a time."""
    reader = LogReader(settings.kafka, "test-pages")
    pages = Pages(reader, DEDUP_AUDIT, settings.partitions, span=15)
    found: list[Found] = []
    request, count = asked.ListAuditRequest(page_size=9), 0
    while not count or request.page_token:
        page, request.page_token = await pages.page(request)
        found += page
        count += 1
        assert count < 100
    times = [one.record.chained_ms for one in found]
    assert times == sorted(times, reverse=True), "an earlier page has what is older"
    return [one.note.call_id for one in found]


async def serves_with_tls_only(
    target: str, running: Room, settings: Settings, folder: Path
) -> None:
    """Who shows a certificate is served; health is told beside, to anybody."""
    catalogue = service_pb2.GetCatalogueRequest(agency="health")
    async with channels.channel(target, folder) as channel:
        stub: Any = dedup_grpc.DedupServiceStub(channel)
        token = issue(settings.keys, "ag-1", frozenset({Role.AGENT}), now=clock.now_ms())
        answer = await stub.GetCatalogue(catalogue, metadata=rpc.bearer(token))
        assert [agency.agency for agency in answer.agencies] == ["health"]
    async with rpc.channel(running.at("health")) as channel:
        probed: Any = health_pb2_grpc.HealthStub(channel)
        assert (await probed.Check(health_pb2.HealthCheckRequest())).status == 1
        stub = dedup_grpc.DedupServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.GetCatalogue(catalogue, metadata=rpc.bearer(token))
        assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
    async with calling(target, settings, Role.AGENT) as (plain, metadata):
        with pytest.raises(grpc.aio.AioRpcError):
            await plain.GetCatalogue(catalogue, metadata=metadata, timeout=1)


def mawja(settings: Settings, *words: str, code: int = 0, role: Role | None = None) -> str:
    """What the command says."""
    env = {
        "MAWJA_KAFKA": settings.kafka,
        "MAWJA_REDIS_URL": settings.redis_url,
        "MAWJA_KEYS": str(settings.keys),
    }
    if role is not None:
        env["MAWJA_TOKEN"] = issue(settings.keys, "x", frozenset({role}), now=clock.now_ms())
    done = CliRunner().invoke(app, ["audit", *words], env=env)
    assert done.exit_code == code, (done.output, done.exception)
    return done.output


def commands_tell(settings: Settings, folder: Path) -> None:
    """Heads, checks and lists; what is cut off is found by either of two ways."""
    head = folder / "head.json"
    head.write_text(mawja(settings, "head"))
    assert "0 findings" in mawja(settings, "verify", "--head", str(head))
    assert "administrator or auditor" in mawja(settings, "list", code=1, role=Role.COORDINATOR)
    lines = mawja(settings, "list", "--json", "--what", "Reveal", role=Role.AUDITOR).splitlines()
    outcomes = {call["request_id"]: call["outcome"] for call in map(json.loads, lines)}
    assert (outcomes["1"], outcomes["3"]) == ("done", "permission_denied")
    assert "2" not in outcomes, "a request that breaks a rule decides nothing"
    cut = cut_off(settings, 2)
    for given in ([], ["--head", str(head)]):
        said = json.loads(mawja(settings, "verify", "--json", *given, code=1))["findings"]
        assert [(one["partition"], one["sequence"]) for one in said] == [cut]
        assert "cut off" in said[0]["finding"]


def cut_off(settings: Settings, last: int) -> tuple[int, int]:
    """Takes the last records off the longest chain: its partition, and the first that is gone."""
    consumer = KafkaConsumer(
        bootstrap_servers=settings.kafka, auto_offset_reset="earliest", enable_auto_commit=False
    )
    every = [TopicPartition(DEDUP_AUDIT.name, p) for p in range(settings.partitions)]
    consumer.assign(every)
    kept: list[Any] = []
    ends = consumer.end_offsets(every)
    while any(consumer.position(tp) < end for tp, end in ends.items()):
        for records in consumer.poll(timeout_ms=500).values():
            kept += records
    consumer.close()
    longest = max(ends, key=lambda tp: ends[tp]).partition
    gone = [r for r in kept if r.partition == longest][-last:]
    admin = KafkaAdminClient(bootstrap_servers=settings.kafka)
    admin.delete_topics([DEDUP_AUDIT.name])
    admin.close()
    ensure(settings.kafka, settings.partitions, 1)
    producer = KafkaProducer(bootstrap_servers=settings.kafka)
    for r in kept:
        if r not in gone:
            producer.send(DEDUP_AUDIT.name, r.value, partition=r.partition, headers=r.headers)
    producer.close()
    return longest, audit.AuditRecord.FromString(gone[0].value).sequence


async def sees_who_may(target: str, settings: Settings) -> None:
    """Agents with a reason see the number; others don't."""
    async with calling(target, settings, Role.AGENT) as (stub, token):

        async def shown() -> Any:
            return await stub.RevealPerson(reveal("1"), metadata=token)

        answer = await seen(shown, lambda it: True)
        assert answer.number == NUMBER
        case = await stub.GetCase(service_pb2.GetCaseRequest(case=CASE), metadata=token)
        assert not case.case.sealed_number
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.RevealPerson(reveal("2", "because"), metadata=token)
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    async with calling(target, settings, Role.APPROVER) as (stub, token):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.RevealPerson(reveal("3"), metadata=token)
        assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED


async def sees_what_was_asked(target: str, settings: Settings) -> None:
    """Auditors read all of it, the refused too; the log has no word of it in the clear."""

    async def calls() -> Sequence[asked.AuditedCall]:
        return await listed(target, settings, Role.AUDITOR, about=CASE)

    denied, told = (await seen(calls, lambda found: found and found[0].request_id == "3"))[:2]
    assert (denied.code, denied.roles) == (code_pb2.PERMISSION_DENIED, ["approver"])
    assert (told.code, told.subject, told.deed) == (0, "ag-1", "DedupService/RevealPerson")
    assert (told.reason, told.request_id) == (WHY, "1")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await listed(target, settings, Role.COORDINATOR)
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
    notes = [note for note in await chain_of(settings) if note.request_id == "1"]
    assert [note.stage for note in notes[-2:]] == [audit.STAGE_ASKED, audit.STAGE_ANSWERED]
    assert notes[-1].call_id == notes[-2].call_id
    for record in await records_of(settings, DEDUP_AUDIT):
        assert b"0501234567" not in (record.value or b"")
