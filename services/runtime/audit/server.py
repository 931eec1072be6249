"""AuditService of a room: shows auditors its audit, and notes what the console tells of sessions.
Reads the log itself; nothing is kept."""

from typing import TYPE_CHECKING, Any

from mawja.audit.v1 import service_pb2, service_pb2_grpc

from services.runtime.audit.clerk import Clerk
from services.runtime.audit.reading import Pages, shown
from services.runtime.privacy import Keyring

if TYPE_CHECKING:
    import grpc

    Context = grpc.aio.ServicerContext[Any, Any]


class AuditServicer(service_pb2_grpc.AuditServiceServicer):
    """The RPCs. Errors are those of the closed list."""

    def __init__(self, pages: Pages, keyring: Keyring, clerk: Clerk) -> None:
        self._pages = pages
        self._keyring = keyring
        self._clerk = clerk

    async def ListAudit(
        self, request: service_pb2.ListAuditRequest, context: "Context"
    ) -> service_pb2.ListAuditResponse:
        """A page of the audit."""
        page, token = await self._pages.page(request)
        return service_pb2.ListAuditResponse(
            calls=(shown(one, self._keyring) for one in page), next_page_token=token
        )

    async def NoteSession(
        self, request: service_pb2.NoteSessionRequest, context: "Context"
    ) -> service_pb2.NoteSessionResponse:
        """Notes what became of a session of the console."""
        await self._clerk.session(request)
        return service_pb2.NoteSessionResponse()
