"""Merging and parting cases on real Kafka and Valkey: what staff see, and what a crash leaves."""

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest
import redis
from mawja.dedup.v1 import events_pb2, service_pb2

from services.runtime import clock
from services.runtime.config import Settings
from services.runtime.identity import Role
from services.runtime.topics import CALL_EVENT, CONTACT_ACCEPTED
from tests.dedup_rig import (
    HEALTH,
    calling,
    case_id,
    contact_id,
    numbers,
    worked_through,
    writing,
)
from tests.room_process import room

MERGED = events_pb2.CASE_STATE_MERGED
CHANGE_MERGED = events_pb2.CASE_CHANGE_MERGED


async def refused(call: Any) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call
    assert error.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    return error.value.details() or ""


async def test_staff_merge_and_part_cases(settings: Settings, tmp_path: Path) -> None:
    number, _ = numbers(settings, 100)
    with room("dedup", settings, tmp_path) as running:
        target = await asyncio.to_thread(running.target)
        now = clock.now_ms() - 600_000
        async with writing(settings) as intake:
            await intake.send(
                CONTACT_ACCEPTED,
                [
                    intake.contact("m1", number, event_ms=now),
                    intake.contact("m2", number, agency="interior", event_ms=now + 60_000),
                    intake.contact("m3", number, agency="interior", event_ms=now + 120_000),
                ],
            )
            await worked_through(settings, running)
            source, into = case_id("m1"), case_id("m2")
            async with calling(target, settings, Role.AGENT) as (stub, token):

                async def shown(case: str) -> Any:
                    return await stub.GetCase(service_pb2.GetCaseRequest(case=case), metadata=token)

                async def listed(state: int, agency: str) -> set[str]:
                    request = service_pb2.ListCasesRequest(state=state, agency=agency)  # type: ignore[arg-type]
                    page = await stub.ListCases(request, metadata=token)
                    return {case.case_id for case in page.cases}

                number_of_source = (await shown(source)).case.case_number
                watching = stub.WatchCases(service_pb2.WatchCasesRequest(), metadata=token)
                await asyncio.sleep(1)
                merge = service_pb2.MergeCasesRequest(
                    case_id=source, into=into, reason="the same need", request_id="1"
                )
                merged = await stub.MergeCases(merge, metadata=token)
                assert merged.case.contacts == 3
                assert merged.case.first_arrival_ms == now
                assert (merged.merged.state, merged.merged.contacts) == (MERGED, 0)
                told = [await asyncio.wait_for(watching.read(), 10) for _ in range(2)]
                assert [(one.change, one.case) for one in told] == [
                    (CHANGE_MERGED, merged.case),
                    (CHANGE_MERGED, merged.merged),
                ]
                watching.cancel()
                assert await stub.MergeCases(merge, metadata=token) == merged

                got = await shown(into)
                assert [link.contact_id for link in got.links] == [
                    contact_id("m1"),
                    contact_id("m2"),
                    contact_id("m3"),
                ]
                assert [link.came_to for link in got.links] == [source, "", ""]
                assert got.links[0].reason == "first contact of this number"
                [note] = got.notes
                assert (note.author, note.text, note.about) == (
                    "ag-1",
                    "the same need",
                    CHANGE_MERGED,
                )
                assert note.other_number == number_of_source
                # By its old number it is still found, and says where it went.
                old = await shown(number_of_source)
                assert old.case.merged_into.into.case_id == into
                assert old.case.merged_into.case_number == got.case.case_number
                assert list(old.links) == []
                assert [note.text for note in old.notes] == ["the same need"]
                assert source not in await listed(events_pb2.CASE_STATE_OPEN, HEALTH)
                assert source in await listed(MERGED, HEALTH)
                why = await refused(
                    stub.ResolveCase(
                        service_pb2.ResolveCaseRequest(case_id=source, request_id="1"),
                        metadata=token,
                    )
                )
                assert got.case.case_number in why
                # A call of a contact that went, and a redial like it.
                await intake.send(
                    CALL_EVENT,
                    [intake.call("m1", 3, number, at_ms=now + 5_000)],
                )
                await intake.send(
                    CONTACT_ACCEPTED, [intake.contact("m4", number, event_ms=now + 180_000)]
                )
                await worked_through(settings, running)
                assert (await shown(into)).case.answered == 1
                assert (await shown(into)).case.contacts == 4

                split = service_pb2.SplitCaseRequest(
                    case_id=into,
                    contact_ids=[contact_id("m1"), contact_id("m4")],
                    reason="two needs after all",
                    request_id="1",
                )
                parted = await stub.SplitCase(split, metadata=token)
                assert (parted.case.contacts, parted.split.contacts) == (2, 2)
                assert (parted.case.answered, parted.split.answered) == (0, 1)
                assert await stub.SplitCase(split, metadata=token) == parted
                new = await shown(parted.split.case_number)
                assert new.case == parted.split
                assert [link.contact_id for link in new.links] == split.contact_ids
                assert len((await shown(into)).links) == 2
                assert parted.split.case_id in await listed(events_pb2.CASE_STATE_OPEN, HEALTH)
                every = service_pb2.SplitCaseRequest(
                    case_id=into,
                    contact_ids=[contact_id("m2"), contact_id("m3")],
                    reason="all",
                    request_id="2",
                )
                assert "at least one" in await refused(stub.SplitCase(every, metadata=token))

                before = [await shown(case) for case in (source, into, new.case.case_id)]
                client = redis.Redis.from_url(settings.redis_url)
                client.flushall()
                client.close()
                again = await eventually(
                    lambda: asyncio.gather(
                        *(shown(case) for case in (source, into, new.case.case_id))
                    )
                )
                for now_shown, was_shown in zip(again, before, strict=True):
                    assert now_shown.case == was_shown.case
                    assert now_shown.links == was_shown.links
                    assert now_shown.notes == was_shown.notes


async def eventually(call: Any) -> Any:
    """What is answered once the view is whole."""
    codes = set()
    for _ in range(300):
        try:
            answer = await call()
        except grpc.aio.AioRpcError as error:
            codes.add(error.code())
            await asyncio.sleep(0.1)
        else:
            # Until then it is never "there is none".
            assert codes <= {grpc.StatusCode.UNAVAILABLE}
            return answer
    raise AssertionError(codes)


async def test_cases_of_two_people_are_linked_and_parted(
    settings: Settings, tmp_path: Path
) -> None:
    one, other = numbers(settings, 300)
    with room("dedup", settings, tmp_path) as running:
        target = await asyncio.to_thread(running.target)
        now = clock.now_ms() - 600_000
        async with writing(settings) as intake:
            await intake.send(
                CONTACT_ACCEPTED,
                [
                    intake.contact("p1", one, event_ms=now),
                    intake.contact("p2", other, event_ms=now + 1_000),
                ],
            )
            await worked_through(settings, running)
            source, into = case_id("p1"), case_id("p2")
            async with calling(target, settings, Role.COORDINATOR) as (stub, token):

                async def until(case: str, state: int) -> Any:
                    got = None
                    for _ in range(100):
                        got = await stub.GetCase(
                            service_pb2.GetCaseRequest(case=case), metadata=token
                        )
                        if got.case.state == state:
                            return got
                        await asyncio.sleep(0.1)
                    raise AssertionError(got)

                merge = service_pb2.MergeCasesRequest(
                    case_id=source, into=into, reason="mother and son", request_id="1"
                )
                merged = await stub.MergeCases(merge, metadata=token)
                assert not merged.HasField("merged")
                assert merged.case.contacts == 1
                [link] = merged.case.linked
                assert link.level == events_pb2.LINK_LEVEL_BY_HAND
                assert (link.linked.case_id, link.author) == (source, "ag-1")
                followed = await until(source, MERGED)
                assert followed.case.merged_into.case_number == merged.case.case_number
                assert [note.text for note in followed.notes] == ["mother and son"]
                # Nobody's contacts moved.
                assert [link.contact_id for link in followed.links] == [contact_id("p1")]
                assert await stub.MergeCases(merge, metadata=token) == merged

                # Whoever is behind the merged case is heard where it went.
                resolve = service_pb2.ResolveCaseRequest(case_id=into, request_id="1")
                await stub.ResolveCase(resolve, metadata=token)
                later = intake.contact("p3", one, event_ms=clock.now_ms() + 1_000, life_safety=True)
                await intake.send(CONTACT_ACCEPTED, [later])
                heard = await until(into, events_pb2.CASE_STATE_OPEN)
                assert heard.case.life_safety
                assert (await until(source, MERGED)).case.contacts == 2

                split = service_pb2.SplitCaseRequest(
                    case_id=source, reason="not family", request_id="1"
                )
                parted = await stub.SplitCase(split, metadata=token)
                assert parted.case.state == events_pb2.CASE_STATE_OPEN
                assert not parted.HasField("split")
                await worked_through(settings, running)
                left = await until(into, events_pb2.CASE_STATE_OPEN)
                assert not left.case.linked
                assert [note.text for note in left.notes] == ["mother and son", "not family"]
                assert "name the contacts" in await refused(
                    stub.SplitCase(
                        service_pb2.SplitCaseRequest(
                            case_id=source, reason="again", request_id="2"
                        ),
                        metadata=token,
                    )
                )
        async with calling(target, settings, Role.LIAISON, agency=HEALTH) as (stub, token):
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await stub.MergeCases(merge, metadata=token)
            assert error.value.code() is grpc.StatusCode.PERMISSION_DENIED
