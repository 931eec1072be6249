"""An administrator who erases people while everything is killed."""

from collections.abc import Awaitable, Callable
from typing import Any

from mawja.dedup.v1 import service_pb2, service_pb2_grpc

from services.local.system import System
from services.runtime import rpc
from services.runtime.identity import Role


async def erase(system: System, answered: Callable[..., Awaitable[Any]], index: int) -> str:
    """Erases somebody, asked again until it is answered; gives the number."""
    number = f"+9995520{index:05d}"
    async with rpc.channel(system.target("dedup")) as channel:
        stub = service_pb2_grpc.DedupServiceStub(channel)
        request = service_pb2.ErasePersonRequest(
            number=number, reason=f"rehearsal {index}", request_id=f"erase/{index}"
        )
        await answered(stub.ErasePerson, request, role=Role.ADMINISTRATOR)
    return number
