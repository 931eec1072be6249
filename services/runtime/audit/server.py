"""AuditService of a room: shows auditors its audit. Reads the log itself; nothing is kept."""

from typing import TYPE_CHECKING, Any

from mawja.audit.v1 import service_pb2, service_pb2_grpc

from services.runtime.audit.reading import Pages, shown
from services.runtime.privacy import Keyring

if TYPE_CHECKING:
    import grpc

    Context = grpc.aio.ServicerContext[Any, Any]


class AuditServicer(service_pb2_grpc.AuditServiceServicer):
    """The RPC. Errors are those of the closed list."""

    def __init__(self, pages: Pages, keyring: Keyring) -> None:
        self._pages = pages
        self._keyring = keyring

    async def ListAudit(
        self, request: service_pb2.ListAuditRequest, context: "Context"
    ) -> service_pb2.ListAuditResponse:
        """A page of the audit."""
        page, token = await self._pages.page(request)
        return service_pb2.ListAuditResponse(
            calls=(shown(one, self._keyring) for one in page), next_page_token=token
        )
