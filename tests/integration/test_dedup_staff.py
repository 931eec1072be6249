"""The dedup room as staff see it, a process on real Kafka and Valkey: cases, lists of them, and
what they change."""

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest
import redis
from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2, service_pb2

from services.runtime import clock, ids
from services.runtime.config import Settings
from services.runtime.identity import Role
from services.runtime.topics import CALL_EVENT, CONTACT_ACCEPTED
from tests.dedup_rig import HEALTH, calling, worked_through, writing
from tests.room_process import room


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
            assert [(note.text, note.about) for note in got.notes] == [
                ("اتصلت به", events_pb2.CASE_CHANGE_UNSPECIFIED),
                ("again", events_pb2.CASE_CHANGE_REOPENED),
            ]

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
            [marina] = [one for one in every.places if one.place == "Marina"]
            assert marina.names["ar"] == "مرسى دبي"


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
            # By the very number, also after the flush; another number is nobody's.
            asked_for = service_pb2.FindCasesRequest(number="+999501000004")
            [found] = (await stub.FindCases(asked_for, metadata=token)).cases
            assert found.case_id == ids.case_id(ids.contact_id("test", "l4"))
            assert not found.sealed_number
            nobody = service_pb2.FindCasesRequest(number="+99950100000")
            assert not (await stub.FindCases(nobody, metadata=token)).cases
        async with calling(target, settings, Role.LIAISON, agency="interior") as (stub, token):
            assert not (await stub.FindCases(asked_for, metadata=token)).cases


async def test_what_triage_is_unsure_of_goes_to_a_person(
    settings: Settings, tmp_path: Path
) -> None:
    """Until somebody says what it is about, a later contact does, or the need is met."""
    vague = ("أبغى أستفسر عن الموضوع لو سمحتم", "عندي سؤال لو سمحتم")
    clear = "انقطعت الكهرباء عن منزلنا منذ الصباح"
    with room("dedup", settings, tmp_path) as running:
        target = await asyncio.to_thread(running.target)
        now = clock.now_ms()
        async with writing(settings) as intake:
            await intake.send(
                CONTACT_ACCEPTED,
                [
                    intake.contact(
                        f"u{n}",
                        f"+99950400{n:04d}",
                        text,
                        agency="",
                        channel=common_pb2.CHANNEL_WHATSAPP,
                        event_ms=now + n,
                    )
                    for n, text in enumerate((*vague, *vague, clear))
                ],
            )
            await worked_through(settings, running)
            mine = [ids.case_id(ids.contact_id("test", f"u{n}")) for n in range(5)]

            async def waiting(stub: Any, token: Any, **given: Any) -> list[str]:
                found = await listed(stub, token, unsure=True, **given)
                assert all(case.triage.unsure for case in found)
                return [case.case_id for case in found if case.case_id in mine]

            async with calling(target, settings, Role.AGENT) as (stub, token):
                assert await waiting(stub, token) == mine[:4]
                assert await waiting(stub, token, state=events_pb2.CASE_STATE_OPEN) == mine[:4]
                assert await waiting(stub, token, state=events_pb2.CASE_STATE_RESOLVED) == []
                resolve = service_pb2.ResolveCaseRequest(case_id=mine[0], request_id="1")
                await stub.ResolveCase(resolve, metadata=token)
                request = service_pb2.TriageCaseRequest(
                    case_id=mine[1], topic="ambulance", request_id="1"
                )
                request.topic = "no-such-service"
                with pytest.raises(grpc.aio.AioRpcError) as refused:
                    await stub.TriageCase(request, metadata=token)
                assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
                request.topic = "fire"
                said = (await stub.TriageCase(request, metadata=token)).case
                assert (said.agency, said.topic) == ("civil-defence", "fire")
                assert (await stub.TriageCase(request, metadata=token)).case == said
                other = service_pb2.TriageCaseRequest(
                    case_id=mine[1], topic="power-cut", request_id="2"
                )
                with pytest.raises(grpc.aio.AioRpcError) as refused:
                    await stub.TriageCase(other, metadata=token)
                assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
                assert await waiting(stub, token) == mine[2:4]
            told = intake.contact(
                "u9", "+999504000002", agency="utilities", topic="power-cut", event_ms=now + 60
            )
            named = intake.contact("u8", "+999504000003", agency="utilities", event_ms=now + 60)
            await intake.send(CONTACT_ACCEPTED, [told, named])
            await worked_through(settings, running)
        async with calling(target, settings, Role.AGENT) as (stub, token):
            assert await waiting(stub, token) == mine[3:4]
        async with calling(target, settings, Role.LIAISON, agency="utilities") as (stub, token):
            assert await waiting(stub, token) == mine[3:4]
        async with calling(target, settings, Role.LIAISON, agency="interior") as (stub, token):
            assert await waiting(stub, token) == []
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await waiting(stub, token, agency="utilities")
            assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
