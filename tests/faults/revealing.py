"""An agent who asks what people said while everything is killed."""

from collections.abc import Awaitable, Callable
from typing import Any

from mawja.intake.v1 import service_pb2, service_pb2_grpc

from services.local.system import System
from services.runtime import rpc
from services.runtime.identity import Role


async def reveal(
    system: System, answered: Callable[..., Awaitable[Any]], contact_id: str, index: int
) -> str:
    """The words of a contact, asked for again until they are told."""
    async with rpc.channel(system.target("intake")) as channel:
        stub = service_pb2_grpc.IntakeServiceStub(channel)
        request = service_pb2.RevealContactRequest(
            contact_id=contact_id, reason=f"rehearsal {index}", request_id=f"reveal/{index}"
        )
        found = await answered(stub.RevealContact, request, role=Role.AGENT)
    return str(found.text)
