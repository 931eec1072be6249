"""OutreachService over gRPC: callbacks as the view has them, and what agents do with them.

A number is unsealed for the agent who has claimed its callback and for nobody else. The claim in
the log, with the agent's name, is the record of who was shown it.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import math
import struct
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from mawja.outreach.v1 import commands_pb2, events_pb2, service_pb2, service_pb2_grpc

from services.outreach import practice, views
from services.outreach.proposals.server import ProposalRpcs
from services.outreach.working import COMPLETED, PRACTICE, work_of
from services.runtime import rpc, seen
from services.runtime.clock import now_ms
from services.runtime.errors import Forbidden, Invalid, Violation
from services.runtime.identity import Role
from services.runtime.privacy import Erased

if TYPE_CHECKING:
    import grpc

    from services.outreach.claiming import Claiming
    from services.outreach.proposals.server import Proposing
    from services.runtime.privacy import Keyring
    from services.runtime.views import Views

_PAGE = 50
_RETRY_MS = 5_000
_LOOK_S = 1.0
_DUE = events_pb2.CALLBACK_STATE_DUE
_Place = tuple[float, bytes]


class OutreachServicer(ProposalRpcs, service_pb2_grpc.OutreachServiceServicer):
    """See protos/mawja/outreach/v1/service.proto. `ending`: set when the process begins to stop."""

    def __init__(
        self,
        shown: Views,
        claiming: Claiming,
        keyring: Keyring,
        proposing: Proposing,
        ending: asyncio.Event,
    ) -> None:
        super().__init__(proposing, ending)
        self._views = shown
        self._claiming = claiming
        self._keyring = keyring

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
        if request.mine:
            held = await self._claiming.held()
            return service_pb2.ListCallbacksResponse(callbacks=[_shown(held)] if held else [])
        caller = rpc.CALLER.get()
        agency = request.agency or caller.agency
        if not caller.sees(agency):
            raise Forbidden("a liaison sees callbacks of their own agency only")
        size = request.page_size or _PAGE
        if request.work == PRACTICE:
            agency = views.trainee(caller.subject)
        index = views.due_index(agency, "", request.work)
        place = _place(request.page_token) if request.page_token else None
        response = service_pb2.ListCallbacksResponse()
        while len(response.callbacks) < size:
            wanted = size - len(response.callbacks)
            entries = await self._views.after(index, place, wanted)
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

    async def WatchCallbacks(
        self,
        request: service_pb2.WatchCallbacksRequest,
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> AsyncIterator[service_pb2.WatchCallbacksResponse]:
        """How many are due, until the caller leaves or the process ends."""
        caller = rpc.CALLER.get()
        agencies = list(request.agencies) or [caller.agency]
        if not all(caller.sees(agency) for agency in agencies):
            raise Forbidden("a liaison sees callbacks of their own agency only")
        indexes = [views.due_index(agency, "", request.work) for agency in agencies]
        told: list[int] | None = None
        while not self._ending.is_set():
            counts = await self._views.count(*indexes)
            if counts != told:
                told = counts
                due = (
                    service_pb2.DueCallbacks(agency=agency, count=count)
                    for agency, count in zip(agencies, counts, strict=True)
                )
                yield service_pb2.WatchCallbacksResponse(due=due)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), _LOOK_S)

    async def ClaimCallback(
        self,
        request: service_pb2.ClaimCallbackRequest,
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> service_pb2.ClaimCallbackResponse:
        """A callback to make, with its number."""
        if request.callback_id:
            callback = await self._claiming.this(request.callback_id, request.work)
            return self._to_call(callback)
        held = await self._claiming.again(request.work)
        if held is not None:
            return self._to_call(held, held=True)
        found = await self._claiming.next(
            request.languages, request.agencies, request.lines, request.work
        )
        if found is None:
            return service_pb2.ClaimCallbackResponse(retry_after_ms=_RETRY_MS)
        return self._to_call(found)

    async def ExtendClaim(
        self, request: service_pb2.ExtendClaimRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> service_pb2.ExtendClaimResponse:
        """The claim lasts longer."""
        command = commands_pb2.OutreachCommand(extend=commands_pb2.Extend())
        return service_pb2.ExtendClaimResponse(
            callback=await self._decided("ExtendClaim", request, command)
        )

    async def CompleteCallback(
        self,
        request: service_pb2.CompleteCallbackRequest,
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> service_pb2.CompleteCallbackResponse:
        """The call was made."""
        found = await self._claiming.get(request.callback_id)
        note = self._keyring.seal("note", request.note, now_ms(), found.person)
        complete = commands_pb2.Complete(outcome=request.outcome, sealed_note=note)
        exercise = work_of(found) == PRACTICE
        if exercise != request.HasField("answer"):
            rule = "is what you take an exercise for" if exercise else "is for exercises only"
            raise Invalid([Violation("answer", rule)])
        if exercise:
            judged = practice.judged(found.exercise.solution, request.answer)
            complete.practised.answer.CopyFrom(request.answer)
            complete.practised.score = practice.score(judged)
        command = commands_pb2.OutreachCommand(complete=complete)
        callback = await self._decided("CompleteCallback", request, command)
        response = service_pb2.CompleteCallbackResponse(callback=callback)
        if exercise:
            response.feedback.CopyFrom(practice.feedback(callback))
        return response

    async def ListPractice(
        self,
        request: service_pb2.ListPracticeRequest,
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> service_pb2.ListPracticeResponse:
        """What agents practised."""
        caller = rpc.CALLER.get()
        overseer = bool(caller.roles & {Role.COORDINATOR, Role.AUDITOR})
        agent = request.agent or ("" if overseer else caller.subject)
        if not overseer and agent != caller.subject:
            raise Forbidden("you see your own exercises only")
        size = request.page_size or _PAGE
        members = await self._views.range(views.practised_index(agent), 0, size)
        payloads = await self._views.get(*(views.key(one.decode()) for one in members))
        return service_pb2.ListPracticeResponse(
            practised=[practice.told(_read(one)) for one in payloads if one is not None]
        )

    async def ReportNoAnswer(
        self,
        request: service_pb2.ReportNoAnswerRequest,
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> service_pb2.ReportNoAnswerResponse:
        """Nobody answered."""
        command = commands_pb2.OutreachCommand(no_answer=commands_pb2.NoAnswer())
        return service_pb2.ReportNoAnswerResponse(
            callback=await self._decided("ReportNoAnswer", request, command)
        )

    async def ReleaseCallback(
        self,
        request: service_pb2.ReleaseCallbackRequest,
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> service_pb2.ReleaseCallbackResponse:
        """It is given back."""
        if bool(request.promised_from_ms) != bool(request.promised_until_ms):
            rule = "a promised time has a beginning and an end"
            raise Invalid([Violation("promised_until_ms", rule)])
        release = commands_pb2.Release(
            promised_from_ms=request.promised_from_ms,
            promised_until_ms=request.promised_until_ms,
            from_anyone=Role.COORDINATOR in rpc.CALLER.get().roles,
        )
        command = commands_pb2.OutreachCommand(release=release)
        return service_pb2.ReleaseCallbackResponse(
            callback=await self._decided("ReleaseCallback", request, command)
        )

    async def GiveUpCallback(
        self,
        request: service_pb2.GiveUpCallbackRequest,
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> service_pb2.GiveUpCallbackResponse:
        """It is ended without a call."""
        found = await self._claiming.get(request.callback_id)
        reason = self._keyring.seal("note", request.reason, now_ms(), found.person)
        command = commands_pb2.OutreachCommand(give_up=commands_pb2.GiveUp(sealed_note=reason))
        return service_pb2.GiveUpCallbackResponse(
            callback=await self._decided("GiveUpCallback", request, command)
        )

    async def _decided(
        self, method: str, request: Any, command: commands_pb2.OutreachCommand
    ) -> events_pb2.Callback:
        found = await self._claiming.get(request.callback_id)
        return _shown(await self._claiming.decided(method, found, request.request_id, command))

    def _to_call(
        self, callback: events_pb2.Callback, *, held: bool = False
    ) -> service_pb2.ClaimCallbackResponse:
        try:
            number = self._keyring.unseal("number", callback.sealed_number)
        except Erased:
            number = ""
        return service_pb2.ClaimCallbackResponse(
            callback=_shown(callback), number=number, held=held
        )


def _read(payload: bytes) -> events_pb2.Callback:
    return _shown(events_pb2.Callback.FromString(payload))


def _shown(callback: events_pb2.Callback) -> events_pb2.Callback:
    callback.ClearField("sealed_number")
    callback.ClearField("sealed_note")
    if callback.state != COMPLETED and callback.HasField("exercise"):
        callback.exercise.ClearField("solution")
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
