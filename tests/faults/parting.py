"""A coordinator who says that a case does not belong to an incident, asked while everything is
killed. What meanings alone would say waits for processor time, and may be late for a crash."""

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from mawja.dedup.v1 import service_pb2, service_pb2_grpc

from services.local.system import System
from services.runtime import rpc


async def part(system: System, answered: Callable[..., Awaitable[Any]], index: int) -> None:
    """Parts a case from the incident that was last heard of, where there is one."""
    async with rpc.channel(system.target("dedup")) as channel:
        stub = service_pb2_grpc.DedupServiceStub(channel)
        listed = await answered(stub.ListIncidents, service_pb2.ListIncidentsRequest(page_size=1))
        for one in listed.incidents:
            name = one.incident.incident_id
            found = await answered(
                stub.GetIncident, service_pb2.GetIncidentRequest(incident_id=name)
            )
            for case_id in found.case_ids[:1]:
                request = service_pb2.UnlinkRequest(
                    case_id=case_id,
                    incident_id=found.incident.incident.incident_id,
                    reason=f"rehearsal {index}",
                    request_id=f"part/{index}",
                )
                try:
                    await answered(stub.Unlink, request)
                except grpc.aio.AioRpcError as error:
                    # It has gone elsewhere meanwhile.
                    if error.code() not in _GONE:
                        raise


_GONE = (grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.NOT_FOUND)
