"""Incidents as people see them: found while cases arrive, parted by a person, and the same after a
kill, on real Kafka and Valkey."""

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
from services.runtime.topics import CONTACT_ACCEPTED, NEED
from tests.dedup_rig import Intake, calling, incidents_of, records_of, seen, writing
from tests.room_process import Room, room

FLOOD = {
    "f1": "نفق خيطان غرق بالماي والسيارات عالقة، السيارة تنطفي وسط نفق خيطان",
    "f2": "Khaitan underpass is flooded, cars are stuck in the water at the Khaitan tunnel",
    "f3": "مياه الأمطار أغرقت نفق خيطان والسيارات عالقة فيه، نرجو سحب المياه من النفق",
    "f4": "للحين نفق خيطان غرق بالماي والسيارات عالقة وسط النفق، مياه الأمطار تزيد",
}
ELSEWHERE = {
    "e1": "انقطعت الكهرباء عن منطقة السالمية قطعة 4 منذ ساعتين",
    "e2": "الكهرباء مقطوعة في السالمية قطعة 4 من ساعتين، متى ترجع الكهرباء؟",
}
NUMBER = {name: f"+99950001000{n}" for n, name in enumerate([*FLOOD, *ELSEWHERE])}
CASE = {name: ids.case_id(ids.contact_id("test", name)) for name in NUMBER}


def contact(intake: Intake, name: str, minute: int, start: int, **given: Any) -> bytes:
    text = (FLOOD | ELSEWHERE)[name]
    at = start + minute * 60_000
    given = {"channel": common_pb2.CHANNEL_WHATSAPP, "agency": "municipality", **given}
    return intake.contact(name, NUMBER[name], text, event_ms=at, **given)


async def test_one_flood_is_one_incident_and_what_a_person_parts_stays_apart(
    settings: Settings, tmp_path: Path
) -> None:
    start = clock.now_ms() - 3_600_000
    listed = service_pb2.ListIncidentsRequest()
    async with writing(settings) as intake:
        killed = Room("dedup", settings, tmp_path)
        target = await asyncio.to_thread(killed.target)
        await intake.send(CONTACT_ACCEPTED, [contact(intake, "f1", 0, start)])
        await intake.send(CONTACT_ACCEPTED, [contact(intake, "e1", 1, start, agency="utilities")])
        await intake.send(CONTACT_ACCEPTED, [contact(intake, "f2", 3, start)])
        killed.kill()
        with room("dedup", settings, tmp_path) as running:
            target = await asyncio.to_thread(running.target)
            async with calling(target, settings, Role.COORDINATOR) as (stub, token):
                watching = stub.WatchIncidents(service_pb2.WatchIncidentsRequest(), metadata=token)
                await asyncio.sleep(1)
                await intake.send(
                    CONTACT_ACCEPTED,
                    [
                        contact(intake, "f3", 4, start),
                        contact(intake, "e2", 6, start, agency="utilities"),
                    ],
                )
                answer = await seen(
                    lambda: stub.ListIncidents(listed, metadata=token),
                    lambda a: sorted(i.incident.cases for i in a.incidents) == [2, 3],
                )
                flood = next(i for i in answer.incidents if i.incident.cases == 3)
                assert {c.value for c in flood.incident.languages} == {"ar", "en"}
                assert [c.value for c in flood.incident.places] == ["Khaitan"]
                assert flood.incident.people == 3
                assert flood.hourly == 18
                assert not flood.incident.samples
                assert {sample.language for sample in flood.samples} == {"ar", "en"}
                assert not any(c.isdigit() for sample in flood.samples for c in sample.text)
                told = await asyncio.wait_for(watching.read(), 10)
                assert told.incident.incident.cases >= 2

                case = await stub.GetCase(
                    service_pb2.GetCaseRequest(case=CASE["f3"]), metadata=token
                )
                assert case.incident.incident.incident_id == flood.incident.incident_id
                assert {link.case_id for link in case.linked} <= {CASE["f1"], CASE["f2"]}
                assert case.linked[0].level in (
                    events_pb2.LINK_LEVEL_OTHER_PERSON,
                    events_pb2.LINK_LEVEL_SAME_INCIDENT,
                )
                assert "same place (Khaitan)" in case.linked[0].reason

                unlink = service_pb2.UnlinkRequest(
                    case_id=CASE["f2"],
                    incident_id=flood.incident.incident_id,
                    reason="another tunnel, I called back",
                    request_id="1",
                )
                parted = await stub.Unlink(unlink, metadata=token)
                assert not parted.incident_id
                assert await stub.Unlink(unlink, metadata=token) == parted
                unlink.request_id = "2"
                with pytest.raises(grpc.aio.AioRpcError) as refused:
                    await stub.Unlink(unlink, metadata=token)
                assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        # Another owner folds the log; what the person parted speaks again, and so does another.
        redis.Redis.from_url(settings.redis_url).flushall()
        with room("dedup", settings, tmp_path) as running:
            target = await asyncio.to_thread(running.target)
            more = intake.contact(
                "f2-again",
                NUMBER["f2"],
                "Still flooded: cars stuck in the Khaitan underpass, water is rising",
                event_ms=start + 8 * 60_000,
                channel=common_pb2.CHANNEL_WHATSAPP,
                agency="municipality",
            )
            await intake.send(CONTACT_ACCEPTED, [more, contact(intake, "f4", 9, start)])
            async with calling(target, settings, Role.AGENT) as (stub, token):
                got = await seen(
                    lambda: stub.GetIncident(
                        service_pb2.GetIncidentRequest(incident_id=flood.incident.incident_id),
                        metadata=token,
                    ),
                    lambda a: CASE["f4"] in a.case_ids,
                )
                assert sorted(got.case_ids) == sorted([CASE["f1"], CASE["f3"], CASE["f4"]])
                case = await stub.GetCase(
                    service_pb2.GetCaseRequest(case=CASE["f2"]), metadata=token
                )
                assert case.case.contacts == 2
                assert not case.HasField("incident")
                [unlinked] = case.unlinked
                assert (unlinked.author, unlinked.reason) == (
                    "ag-1",
                    "another tunnel, I called back",
                )
    log = await incidents_of(settings)
    inputs = [(d.input.topic, d.input.offset) for d in log]
    # All are drills of one field: one partition.
    assert len(inputs) == len(set(inputs))
    needs = await records_of(settings, NEED)
    assert sum(1 for topic, _ in inputs if topic == NEED.name) == len(needs)
    said = running.log.read_text()
    assert not any(number in said for number in NUMBER.values())
    assert "Traceback" not in said
