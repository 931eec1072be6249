"""OutreachService over gRPC: callbacks as the view has them."""

from __future__ import annotations

import base64
import math
import struct
from typing import TYPE_CHECKING, Any

from mawja.outreach.v1 import events_pb2, service_pb2, service_pb2_grpc

from services.outreach import views
from services.runtime import rpc, seen
from services.runtime.errors import Forbidden, Invalid, Violation

if TYPE_CHECKING:
    import grpc

    from services.runtime.views import Views

_PAGE = 50
_DUE = events_pb2.CALLBACK_STATE_DUE
_Place = tuple[float, bytes]


class OutreachServicer(service_pb2_grpc.OutreachServiceServicer):
    """See protos/mawja/outreach/v1/service.proto."""

    def __init__(self, shown: Views) -> None:
        self._views = shown

    async def GetCallback(
        self,
        request: service_pb2.GetCallbackRequest,
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> service_pb2.GetCallbackResponse:
        """One callback."""
        callback = await seen.one(
            self._views,
            views.key(request.callback_id.lower()),
            _read,
            lambda found: found.agency,
            "there is no such callback that you may see",
        )
        return service_pb2.GetCallbackResponse(callback=callback)

    async def ListCallbacks(
        self,
        request: service_pb2.ListCallbacksRequest,
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> service_pb2.ListCallbacksResponse:
        """Callbacks that are due, in the order in which people should be called."""
        caller = rpc.CALLER.get()
        agency = request.agency or caller.agency
        if not caller.sees(agency):
            raise Forbidden("a liaison sees callbacks of their own agency only")
        size = request.page_size or _PAGE
        place = _place(request.page_token) if request.page_token else None
        response = service_pb2.ListCallbacksResponse()
        while len(response.callbacks) < size:
            wanted = size - len(response.callbacks)
            entries = await self._views.after(views.due_index(agency), place, wanted)
            if entries:
                place = entries[-1]
                keys = [views.key(member.decode()) for _, member in entries]
                for payload in await self._views.get(*keys):
                    # Withdrawn since the index was read: not due any more.
                    if payload is not None and (callback := _read(payload)).state == _DUE:
                        response.callbacks.append(callback)
            if len(entries) < wanted:
                return response
        assert place is not None
        response.next_page_token = _token(place)
        return response


def _read(payload: bytes) -> events_pb2.Callback:
    callback = events_pb2.Callback.FromString(payload)
    callback.ClearField("sealed_number")
    return callback


def _token(place: _Place) -> str:
    score, member = place
    return base64.urlsafe_b64encode(struct.pack(">d", score) + member).decode()


def _place(token: str) -> _Place:
    try:
        raw = base64.b64decode(token, altchars=b"-_", validate=True)
        [score] = struct.unpack(">d", raw[:8])
        if not math.isfinite(score):
            raise ValueError
    except (ValueError, struct.error):
        raise Invalid(
            [Violation("page_token", "must be the next_page_token of an answer")]
        ) from None
    return score, raw[8:]
