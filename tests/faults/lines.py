"""What lines play, and whose a call is, asked while everything is killed."""

from collections.abc import Awaitable, Callable
from typing import Any

from mawja.outreach.v1 import (
    announcements_pb2,
    announcements_pb2_grpc,
    playbooks_pb2,
    playbooks_pb2_grpc,
)
from mawja.wave.v1 import contracts_pb2, contracts_pb2_grpc

from services.local.system import System
from services.runtime import rpc
from services.runtime.clock import now_ms
from services.runtime.identity import Role
from services.tools.surge import SOURCE


async def announce(
    system: System, answered: Callable[..., Awaitable[Any]], until_ms: int, index: int
) -> None:
    """A coordinator has rehearsing lines play something until then (Unix ms)."""
    async with rpc.channel(system.target("outreach")) as channel:
        stub = announcements_pb2_grpc.AnnouncementServiceStub(channel)
        texts = [
            announcements_pb2.AnnouncementText(language=one, text=f"{index}")
            for one in ("ar", "en")
        ]
        request = announcements_pb2.SetAnnouncementRequest(
            request_id=f"{index}", lines=["109"], texts=texts, until_ms=until_ms, drill=True
        )
        await answered(stub.SetAnnouncement, request)

        switching = playbooks_pb2_grpc.PlaybookServiceStub(channel)
        switch = playbooks_pb2.SwitchPlaybookRequest(
            request_id=f"{index}", playbook="busy-line", on=True, reason=f"rehearsal {index}"
        )
        await answered(switching.SwitchPlaybook, switch)


async def route(system: System, answered: Callable[..., Awaitable[Any]], index: int) -> None:
    """A telephone system asks whose a call is, and an agency tells its queue."""
    async with rpc.channel(system.target("wave")) as channel:
        stub = contracts_pb2_grpc.ContractServiceStub(channel)
        request = contracts_pb2.RouteCallRequest(
            source=f"{SOURCE}/route", contact_key=f"{index}", agency="education", drill=True
        )
        await answered(stub.RouteCall, request, SOURCE, Role.LOAD_TESTER)
        queue = contracts_pb2.ReportQueueRequest(
            agency="education",
            state=contracts_pb2.QUEUE_CONDITION_ACTIVE,
            queue_length=index % 10,
            queue_max_length=10,
            event_ms=now_ms(),
            drill=True,
        )
        await answered(stub.ReportQueue, queue, SOURCE, Role.LOAD_TESTER)
