"""Audiences of what dedup itself decided on: the people of an incident, and those near a place."""

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest
from mawja.broadcast.v1.audiences_pb2 import Callers
from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import service_pb2

from services.local.parts import Parts
from services.runtime import clock, ids
from services.runtime.config import Settings
from services.runtime.identity import Role
from services.runtime.topics import CONTACT_ACCEPTED
from tests.audiences_rig import Finder, people_of
from tests.broadcast_rig import PARTITIONS, running
from tests.dedup_rig import calling, writing
from tests.room_process import room

FLOOD = (
    "نفق خيطان غرق بالماي والسيارات عالقة، السيارة تنطفي وسط نفق خيطان",
    "Khaitan underpass is flooded, cars are stuck in the water at the Khaitan tunnel",
    "مياه الأمطار أغرقت نفق خيطان والسيارات عالقة فيه، نرجو سحب المياه من النفق",
)
POWER = "انقطعت الكهرباء عن منطقة السالمية قطعة 4 منذ ساعتين"
P = [f"+99950007{place:05d}" for place in range(4)]
MINUTE = 60_000


async def flood(stub: Any, metadata: Any) -> str:
    """The incident of three cases, once it is there."""
    for _ in range(150):
        answer = await stub.ListIncidents(service_pb2.ListIncidentsRequest(), metadata=metadata)
        for one in answer.incidents:
            if one.incident.cases == len(FLOOD):
                return str(one.incident.incident_id)
        await asyncio.sleep(0.2)
    raise AssertionError("no incident was found in time")


async def test_the_people_of_an_incident_and_of_a_place(
    parts: Parts, settings: Settings, tmp_path: Path
) -> None:
    start = clock.now_ms() - 60 * MINUTE
    routes = [{"prefix": "+", "carrier": "fast"}]
    with (
        running(parts, "audiences-dedup", {"fast": ({}, {})}, routes) as rig,
        room("dedup", settings, tmp_path) as dedup,
    ):
        assert settings.partitions == PARTITIONS
        target = await asyncio.to_thread(dedup.target)
        finder = Finder(rig.system, "maryam")
        async with (
            writing(settings) as intake,
            calling(target, settings, Role.COORDINATOR) as (stub, metadata),
        ):

            def contact(name: str, number: str, text: str, minute: int) -> bytes:
                return intake.contact(
                    name,
                    number,
                    text,
                    event_ms=start + minute * MINUTE,
                    channel=common_pb2.CHANNEL_WHATSAPP,
                    agency="municipality",
                )

            for place, text in enumerate(FLOOD):
                await intake.send(CONTACT_ACCEPTED, [contact(f"f{place}", P[place], text, place)])
            await intake.send(CONTACT_ACCEPTED, [contact("e", P[3], POWER, 5)])
            incident = await flood(stub, metadata)
            await asyncio.sleep(1)

            def found(**asked: Any) -> list[str]:
                made = finder.make(Callers(**asked))
                return people_of(parts.kafka, made, rig.keyring)

            def all_found() -> None:
                assert found(incident_id=incident.upper()) == P[:3]
                assert found(place="khaitan") == P[:3]
                assert found(place="Salmiya") == [P[3]]
                since = start + MINUTE
                assert found(incident_id=incident, since_ms=since) == P[1:3]
                assert found(place="khaitan", since_ms=since) == P[1:3]
                assert found(agency="municipality", until_ms=since) == P[:1]

            await asyncio.to_thread(all_found)
            # An agent takes one out of it.
            unlink = service_pb2.UnlinkRequest(
                case_id=ids.case_id(ids.contact_id("test", "f1")),
                incident_id=incident,
                reason="another tunnel",
                request_id="1",
            )
            await stub.Unlink(unlink, metadata=metadata)

            def after() -> None:
                assert found(incident_id=incident) == [P[0], P[2]]
                assert found(place="Khaitan") == P[:3]

            await asyncio.to_thread(after)
            assert "Traceback" not in rig.log()
            with pytest.raises(grpc.RpcError):
                finder.make(Callers(incident_id=ids.derive("incident", "none")))
