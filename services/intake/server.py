"""IntakeService over gRPC: contacts and call events in, an answer for each."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import grpc
from mawja.intake.v1 import events_pb2, service_pb2, service_pb2_grpc

from services.intake.accept import call_event
from services.intake.submit import Submitter
from services.runtime import metrics, rpc
from services.runtime.clock import now_ms
from services.runtime.errors import Conflict, Invalid, MawjaError, NotFound, Violation
from services.runtime.privacy import Keyring, mask
from services.runtime.produce import Producer, acknowledged
from services.runtime.topics import CALL_EVENT, partition_of

UNANSWERED = 1_000
"""Contacts of one stream that may be under way; beyond it the stream is not read."""

_Context = grpc.aio.ServicerContext


class IntakeServicer(service_pb2_grpc.IntakeServiceServicer):
    """See protos/mawja/intake/v1/service.proto."""

    def __init__(
        self, submitter: Submitter, keyring: Keyring, producer: Producer, partitions: int
    ) -> None:
        self._submitter = submitter
        self._keyring = keyring
        self._producer = producer
        self._partitions = partitions

    async def SubmitContact(
        self, request: service_pb2.SubmitContactRequest, context: _Context[Any, Any]
    ) -> service_pb2.SubmitContactResponse:
        """Takes one contact."""
        try:
            # Shielded: a caller that leaves does not undo what is half done for others.
            return await asyncio.shield(
                self._submitter.submit(request.contact, rpc.CALLER.get(), rpc.TRACEPARENT.get())
            )
        except Conflict as error:
            raise await self._submitter.explain_conflict(request.contact, error) from None

    async def SubmitContacts(
        self,
        request_iterator: AsyncIterator[service_pb2.SubmitContactsRequest],
        context: _Context[Any, Any],
    ) -> AsyncIterator[service_pb2.SubmitContactsResponse]:
        """Takes contacts as they come."""
        caller, traceparent = rpc.CALLER.get(), rpc.TRACEPARENT.get()
        answers: asyncio.Queue[service_pb2.SubmitContactsResponse | None] = asyncio.Queue()
        room = asyncio.Semaphore(UNANSWERED)
        explaining: set[asyncio.Task[None]] = set()

        def answer(sequence: int, error: MawjaError | None, accepted: Any = None) -> None:
            response = service_pb2.SubmitContactsResponse(sequence=sequence)
            if error is None:
                response.accepted.CopyFrom(accepted)
            else:
                response.refused.CopyFrom(refusal(error))
            answers.put_nowait(response)
            room.release()

        async def explain(request: service_pb2.SubmitContactsRequest, error: Conflict) -> None:
            # Without the list of fields the plain refusal stands.
            with contextlib.suppress(MawjaError):
                error = await self._submitter.explain_conflict(request.contact, error)
            answer(request.sequence, error)

        def settled(
            request: service_pb2.SubmitContactsRequest,
            future: asyncio.Future[service_pb2.SubmitContactResponse],
        ) -> None:
            if future.cancelled():
                return
            error = future.exception()
            if isinstance(error, Conflict):
                task = asyncio.get_running_loop().create_task(explain(request, error))
                explaining.add(task)
                task.add_done_callback(explaining.discard)
            elif error is None or isinstance(error, MawjaError):
                answer(request.sequence, error, None if error else future.result())
            else:
                answers.put_nowait(None)

        async def read() -> None:
            try:
                async for request in request_iterator:
                    await room.acquire()
                    try:
                        future = self._submitter.submit(request.contact, caller, traceparent)
                    except MawjaError as error:
                        answer(request.sequence, error)
                        continue
                    future.add_done_callback(
                        lambda done, request=request: settled(request, done)  # type: ignore[misc]
                    )
                # Every place in the room free again: everything has been answered.
                for _ in range(UNANSWERED):
                    await room.acquire()
            finally:
                answers.put_nowait(None)

        reading = asyncio.create_task(read())
        try:
            while (response := await answers.get()) is not None:
                yield response
            await reading
        finally:
            reading.cancel()

    async def ReportCalls(
        self,
        request_iterator: AsyncIterator[service_pb2.ReportCallsRequest],
        context: _Context[Any, Any],
    ) -> AsyncIterator[service_pb2.ReportCallsResponse]:
        """Takes call events, a batch at a time, in order."""
        caller = rpc.CALLER.get()
        async for request in request_iterator:
            if not 1 <= len(request.calls) <= 500:
                raise Invalid([Violation("calls", "must be 1 to 500 events")])
            response = service_pb2.ReportCallsResponse(sequence=request.sequence)
            events: list[tuple[events_pb2.CallEvent, bytes]] = []
            now = now_ms()
            for index, call in enumerate(request.calls):
                try:
                    events.append(call_event(call, caller, self._keyring, now))
                except MawjaError as error:
                    response.refused.add(index=index, refusal=refusal(error))
            sent = [
                await self._producer.send(
                    CALL_EVENT,
                    partition_of(key, self._partitions),
                    event.SerializeToString(),
                    key=key,
                )
                for event, key in events
            ]
            await acknowledged(sent)
            for event, _ in events:
                metrics.CALL_EVENTS.labels(str(event.state)).inc()
            response.accepted = len(events)
            yield response

    async def GetContact(
        self, request: service_pb2.GetContactRequest, context: _Context[Any, Any]
    ) -> service_pb2.GetContactResponse:
        """Shows one contact."""
        first = await self._submitter.first(UUID(request.contact_id).bytes)
        # A liaison of another agency is told the same as for a contact that is not there.
        if first is None or not rpc.CALLER.get().sees(first.agency):
            raise NotFound("no such contact in the last 7 days")
        return service_pb2.GetContactResponse(
            contact_id=first.contact_id,
            source=first.source,
            channel=first.channel,
            kind=first.kind,
            line=first.line,
            agency=first.agency,
            topic=first.topic,
            language=first.language,
            life_safety=first.life_safety,
            drill=first.drill,
            event_ms=first.event_ms,
            accepted_ms=first.accepted_ms,
            masked_number=mask(self._keyring.unseal("number", first.sealed_number)),
        )


def refusal(error: MawjaError) -> service_pb2.Refusal:
    """An error as the answer to one element of a stream or batch."""
    violations = error.violations if isinstance(error, Invalid) else ()
    return service_pb2.Refusal(
        code=rpc.code_of(error),
        message=str(error),
        violations=[service_pb2.FieldViolation(field=v.field, rule=v.rule) for v in violations],
        retry_after_ms=rpc.retry_after_ms(error),
    )
