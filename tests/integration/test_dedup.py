"""The dedup room as a process on real Kafka and Valkey: what it decides, shows and survives."""

import asyncio
import random
from collections import Counter
from pathlib import Path
from typing import Any

import grpc
import pytest
import redis
from kafka.admin import KafkaAdminClient
from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2, service_pb2

from loadtests.steps import Submit
from loadtests.surge import script
from services.dedup.cases import Decision
from services.runtime import clock, ids, topics, trace
from services.runtime.config import Settings
from services.runtime.identity import Role
from services.runtime.own import EPOCH, LogReader
from services.runtime.produce import acknowledged
from services.runtime.topics import CALL_EVENT, CASE, CONTACT_ACCEPTED, DEDUP_COMMAND
from tests.dedup_rig import (
    HEALTH,
    calling,
    check_log_and_tallies,
    committed_of,
    log_of,
    worked_through,
    writing,
)
from tests.room_process import Room, room

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def test_a_surge_survives_kill_after_kill(settings: Settings, tmp_path: Path) -> None:
    pick = random.Random(7)
    contacts, calls = [], []
    start = clock.now_ms() - 3_600_000
    people = {}
    states = {"offered": 1, "queued": 2, "answered": 3, "abandoned": 4, "ended": 5}
    async with writing(settings) as intake:
        for step in script("covid-78k", calls=1_500, seed=5):
            at_ms = start + int(step.at * 10)
            if isinstance(step, Submit):
                people[ids.contact_id("test", step.key)] = step
                contacts.append(
                    intake.contact(
                        step.key,
                        step.number or "",
                        step.text or "",
                        agency=step.agency or "",
                        channel=common_pb2.Channel.Value(f"CHANNEL_{step.channel.upper()}"),
                        event_ms=at_ms,
                    )
                )
            else:
                calls.append(
                    intake.call(step.key, states[step.event], step.number or "", at_ms=at_ms)
                )
        # Some come twice, and calls overtake their contacts.
        contacts += pick.sample(contacts, 100)
        calls += pick.sample(calls, 100)
        pick.shuffle(calls)
        for part in range(3):
            killed = Room("dedup", settings, tmp_path)
            await intake.send(CALL_EVENT, calls[part::4])
            await intake.send(CONTACT_ACCEPTED, contacts[part::4])
            await asyncio.to_thread(killed.target)
            await asyncio.sleep(pick.random())
            killed.kill()
        with room("dedup", settings, tmp_path) as running:
            await intake.send(CALL_EVENT, calls[3::4])
            await intake.send(CONTACT_ACCEPTED, contacts[3::4])
            await asyncio.to_thread(running.target)
            await worked_through(settings, running)
    states_by_partition = await check_log_and_tallies(settings)

    taken = [
        cases.link(n).contact_id
        for cases in states_by_partition.values()
        for n in range(len(cases.contacts.id))
    ]
    assert sorted(taken) == sorted(people)
    assert all(cases.waiting == 0 for cases in states_by_partition.values())
    log = await log_of(settings)
    assert sum(len(d) for d in log.values()) == len(contacts) + len(calls)
    needs: dict[tuple[str, str], set[str]] = {}
    for decisions in log.values():
        for _, decision, _ in decisions:
            if decision.change in (1, 2):
                step = people[decision.link.contact_id]
                if step.number and not step.shared_number and not step.organisation:
                    case = decision.case.case_id
                    needs.setdefault((step.number, step.need), set()).add(case)
    assert Counter(len(found) for found in needs.values()) == {1: len(needs)}


async def test_staff_see_cases_and_change_them(settings: Settings, tmp_path: Path) -> None:
    number = "+999500000001"
    with room("dedup", settings, tmp_path) as running:
        target = await asyncio.to_thread(running.target)
        async with writing(settings) as intake:
            now = clock.now_ms()
            await intake.send(
                CONTACT_ACCEPTED,
                [
                    intake.contact("s1", number, "أين نتيجة الفحص رقم 445566", event_ms=now),
                    intake.contact("s2", number, event_ms=now + 60_000),
                    intake.contact("s3", number, agency="interior", event_ms=now + 70_000),
                ],
            )
            await worked_through(settings, running)
        case_id = ids.case_id(ids.contact_id("test", "s1"))
        async with calling(target, settings, Role.AGENT) as (stub, token):
            got = await stub.GetCase(service_pb2.GetCaseRequest(case=case_id), metadata=token)
            assert got.case.contacts == 2
            assert got.case.language == "ar"
            assert not got.case.sealed_number
            assert [link.level for link in got.links] == [1, 3]
            assert got.links[1].reason == "same number, same agency, 1 min later"
            mistyped = got.case.case_number[:-1] + ("0" if got.case.case_number[-1] != "0" else "1")
            again = await stub.GetCase(
                service_pb2.GetCaseRequest(case=got.case.case_number.lower()), metadata=token
            )
            assert again.case == got.case
            for asked, code in ((mistyped, "INVALID_ARGUMENT"), (ids.case_id("x"), "NOT_FOUND")):
                with pytest.raises(grpc.aio.AioRpcError) as refused:
                    await stub.GetCase(service_pb2.GetCaseRequest(case=asked), metadata=token)
                assert refused.value.code().name == code

            watching = stub.WatchCases(service_pb2.WatchCasesRequest(agency=HEALTH), metadata=token)
            await asyncio.sleep(1)
            assigned = await stub.AssignCase(
                service_pb2.AssignCaseRequest(case_id=case_id, assignee="ag-7", request_id="1"),
                metadata=token,
            )
            assert assigned.case.assignee == "ag-7"
            change = await asyncio.wait_for(watching.read(), 10)
            assert change.change == events_pb2.CASE_CHANGE_ASSIGNED
            assert change.case == assigned.case
            watching.cancel()

            await stub.AddCaseNote(
                service_pb2.AddCaseNoteRequest(case_id=case_id, text="اتصلت به", request_id="1"),
                metadata=token,
            )
            resolve = service_pb2.ResolveCaseRequest(case_id=case_id, request_id="1")
            first = await stub.ResolveCase(resolve, metadata=token)
            assert first.case.state == events_pb2.CASE_STATE_RESOLVED
            # The same request gets the first outcome; another one is refused.
            assert (await stub.ResolveCase(resolve, metadata=token)).case == first.case
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await stub.ResolveCase(
                    service_pb2.ResolveCaseRequest(case_id=case_id, request_id="2"),
                    metadata=token,
                )
            assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
            reopened = await stub.ReopenCase(
                service_pb2.ReopenCaseRequest(case_id=case_id, reason="again", request_id="1"),
                metadata=token,
            )
            assert reopened.case.state == events_pb2.CASE_STATE_OPEN
            got = await stub.GetCase(service_pb2.GetCaseRequest(case=case_id), metadata=token)
            assert [note.text for note in got.notes] == ["اتصلت به", "again"]

        async with calling(target, settings, Role.LIAISON, agency="interior") as (stub, token):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await stub.GetCase(service_pb2.GetCaseRequest(case=case_id), metadata=token)
            assert refused.value.code() is grpc.StatusCode.NOT_FOUND
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await stub.ListCases(service_pb2.ListCasesRequest(agency=HEALTH), metadata=token)
            assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
            page = await stub.ListCases(service_pb2.ListCasesRequest(), metadata=token)
            assert page.cases
            assert {case.agency for case in page.cases} == {"interior"}
            # A procedure is nobody's secret: whoever hands a case over may look up what comes next.
            request = service_pb2.GetCatalogueRequest(agency="civil-defence")
            [fire_service] = (await stub.GetCatalogue(request, metadata=token)).agencies
            [fire] = [one for one in fire_service.services if one.topic == "fire"]
            assert fire.life_safety
            assert fire.names["ar"] == "حريق"
            assert 0 < fire.first_step_limit_ms < fire.resolve_limit_ms
            assert len(fire.steps) >= 3
            assert all({"ar", "en"} == set(step.texts) for step in fire.steps)
            every = await stub.GetCatalogue(service_pb2.GetCatalogueRequest(), metadata=token)
            assert len(every.agencies) >= 35


async def listed(stub: Any, token: Any, **given: Any) -> list[Any]:
    cases, place = [], ""
    while True:
        page = await stub.ListCases(
            service_pb2.ListCasesRequest(page_size=3, page_token=place, **given), metadata=token
        )
        cases += page.cases
        place = page.next_page_token
        if not place:
            return cases


async def eventually_listed(stub: Any, token: Any) -> list[Any]:
    """Every case. Never "there is none" while the view is not whole: until then, UNAVAILABLE."""
    codes = []
    for _ in range(300):
        try:
            return await listed(stub, token)
        except grpc.aio.AioRpcError as error:
            codes.append(error.code())
            await asyncio.sleep(0.1)
    raise AssertionError(codes)


async def test_lists_follow_the_cases_and_a_flushed_redis_is_rebuilt(
    settings: Settings, tmp_path: Path
) -> None:
    with room("dedup", settings, tmp_path) as running:
        target = await asyncio.to_thread(running.target)
        now = clock.now_ms()
        async with writing(settings) as intake:
            await intake.send(
                CONTACT_ACCEPTED,
                [
                    intake.contact(f"l{n}", f"+99950100{n:04d}", agency="listed", event_ms=now - n)
                    for n in range(10)
                ],
            )
            await intake.send(
                CALL_EVENT,
                [
                    intake.call("l3", state, "+999501000003", at_ms=now + 1, disposition=done)
                    for state, done in ((3, 0), (5, 1))
                ],
            )
            await worked_through(settings, running)
        asked: dict[str, Any] = {"agency": "listed", "state": events_pb2.CASE_STATE_OPEN}
        wanted = [
            ids.case_id(ids.contact_id("test", f"l{n}")) for n in reversed(range(10)) if n != 3
        ]
        async with calling(target, settings, Role.COORDINATOR) as (stub, token):
            assert [c.case_id for c in await listed(stub, token, **asked)] == wanted
            assert len(await listed(stub, token, agency="listed")) == 10
            everything = await listed(stub, token)
            assert len(everything) > 10

            client = redis.Redis.from_url(settings.redis_url)
            client.flushall()
            client.close()
            assert await eventually_listed(stub, token) == everything
            assert [c.case_id for c in await listed(stub, token, **asked)] == wanted
            got = await stub.GetCase(service_pb2.GetCaseRequest(case=wanted[0]), metadata=token)
            assert len(got.links) == 1


async def test_a_group_set_back_to_the_start_decides_nothing_again(
    settings: Settings, tmp_path: Path
) -> None:
    before = await log_of(settings)
    admin = KafkaAdminClient(bootstrap_servers=settings.kafka)
    try:
        admin.delete_groups(["dedup"])
    finally:
        admin.close()
    with room("dedup", settings, tmp_path) as running:
        await asyncio.to_thread(running.target)
        await worked_through(settings, running)
    after = await log_of(settings)
    assert {p: len(found) for p, found in after.items()} == {
        p: len(found) for p, found in before.items()
    }
    await check_log_and_tallies(settings)


async def test_poison_is_set_aside_and_the_rest_goes_on(settings: Settings, tmp_path: Path) -> None:
    with room("dedup", settings, tmp_path) as running:
        await asyncio.to_thread(running.target)
        async with writing(settings) as intake:
            good = intake.contact("p1", "+999502000001")
            person = intake.keyring.person("+999502000001")
            partition = topics.partition_of(person, settings.partitions)
            bad = [
                b"\xff\xff",
                intake.contact("p2", "", contact_id="x"),
                random.Random(1).randbytes(300),
            ]
            await intake.send(CONTACT_ACCEPTED, [*bad, good], partition=partition)
            await intake.send(CALL_EVENT, bad[:1], partition=partition)
            await intake.send(DEDUP_COMMAND, bad[:1], partition=partition)
            await intake.send(
                CONTACT_ACCEPTED,
                [intake.contact("p3", "+999502000001")],
                headers=[(trace.HEADER, TRACE.encode())],
            )
            await worked_through(settings, running)
        depth = await LogReader(settings.kafka, "test").depth(topics.DEDUP_DEAD, [partition])
        assert depth[partition] == 5
        decided = (await log_of(settings))[partition]
        by_contact = {d.link.contact_id: (d, record) for _, d, record in decided}
        assert ids.contact_id("test", "p1") in by_contact
        decision, record = by_contact[ids.contact_id("test", "p3")]
        assert decision.case.contacts == 2
        passed_on = trace.of(record.headers)
        assert passed_on is not None
        assert passed_on.split("-")[1] == TRACE.split("-")[1]


async def test_at_the_limit_of_dead_letters_it_stops_and_commits_nothing_past_it(
    settings: Settings, tmp_path: Path
) -> None:
    async with writing(settings) as intake:
        await intake.send(CONTACT_ACCEPTED, [b"\xff"] * 3, partition=1)
        end = (await LogReader(settings.kafka, "test").end(CONTACT_ACCEPTED, [1]))[1]
    stopped = Room("dedup", settings, tmp_path, MAWJA_DEAD_LETTER_LIMIT="1")
    try:
        assert await asyncio.to_thread(stopped.process.wait, 60) == 1
    finally:
        stopped.kill()
    assert "the limit (MAWJA_DEAD_LETTER_LIMIT)" in stopped.said
    committed = await asyncio.to_thread(committed_of, settings)
    assert committed[CONTACT_ACCEPTED.name, 1] <= end - 3
    # With the limit raised it goes on.
    with room("dedup", settings, tmp_path) as running:
        await asyncio.to_thread(running.target)
        await worked_through(settings, running)


async def test_a_past_owners_late_decision_is_void_for_watchers_too(
    settings: Settings, tmp_path: Path
) -> None:
    with room("dedup", settings, tmp_path) as running:
        target = await asyncio.to_thread(running.target)
        async with (
            calling(target, settings, Role.AGENT) as (stub, token),
            writing(settings) as intake,
        ):
            watching = stub.WatchCases(service_pb2.WatchCasesRequest(), metadata=token)
            await asyncio.sleep(1)
            partition = topics.partition_of(
                intake.keyring.person("+999503000001"), settings.partitions
            )
            late = Decision(
                change=events_pb2.CASE_CHANGE_OPENED,
                case=events_pb2.Case(case_id=ids.case_id("late")),
                input=common_pb2.Input(topic=CONTACT_ACCEPTED.name, offset=10**6),
            )
            future = await intake.producer.send(
                CASE,
                partition,
                late.SerializeToString(),
                headers=[(EPOCH, (0).to_bytes(8, "big"))],
            )
            await acknowledged([future])
            await intake.send(CONTACT_ACCEPTED, [intake.contact("z1", "+999503000001")])
            change = await asyncio.wait_for(watching.read(), 15)
            assert change.case.case_id == ids.case_id(ids.contact_id("test", "z1"))
            watching.cancel()
        await worked_through(settings, running)
