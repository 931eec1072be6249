"""IntakeService over gRPC: contacts and call events in, an answer for each; and what was taken, to
those who may see it."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

import grpc
from google.protobuf.message import DecodeError
from mawja.common.v1 import common_pb2
from mawja.intake.v1 import events_pb2, service_pb2, service_pb2_grpc

from services.intake.accept import call_event
from services.intake.showing import masked, words
from services.intake.submit import Submitter
from services.intake.turns import Turns
from services.runtime import metrics, rpc
from services.runtime.clock import now_ms
from services.runtime.errors import (
    Away,
    Conflict,
    Invalid,
    MawjaError,
    NotFound,
    Violation,
)
from services.runtime.identity import Caller
from services.runtime.privacy import Keyring
from services.runtime.produce import Producer, acknowledged
from services.runtime.topics import CALL_EVENT, partition_of

UNANSWERED = 4_000
"""With so many contacts under way a stream is not read."""
BUNDLES = "mawja-bundles"
"""The initial metadata by which a sender knows that it may send bundles."""
_BUNDLE = 500
# Answers to a sender of bundles wait so long for others that are still to come: a message costs as
# much as taking five contacts. Good ones with few or with many under way, or when there is more to
# do than can be done; and a whole bundle that is turned away.
_COMPANY_S = 0.005
_MANY = 200
_MUCH_COMPANY_S = 0.05
_REFUSAL_S = 0.01

_Context = grpc.aio.ServicerContext
_R = TypeVar("_R")


class IntakeServicer(service_pb2_grpc.IntakeServiceServicer):
    """See protos/mawja/intake/v1/service.proto."""

    def __init__(
        self,
        submitter: Submitter,
        keyring: Keyring,
        producer: Producer,
        partitions: int,
        ending: asyncio.Event,
    ) -> None:
        self._submitter = submitter
        self._keyring = keyring
        self._producer = producer
        self._partitions = partitions
        self._ending = ending

    # The submitter looks at the contact after it has looked whether there is room.
    @rpc.checks_by_itself
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
        await context.send_initial_metadata(((BUNDLES, "1"),))
        stream = _Stream(self._submitter, rpc.CALLER.get(), rpc.TRACEPARENT.get(), self._ending)
        reading = asyncio.create_task(stream.read(request_iterator))
        stopping = asyncio.create_task(self._stop(reading))
        try:
            async for response in stream.answers(reading):
                yield response
        finally:
            stopping.cancel()
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _stop(self, reading: asyncio.Task[None]) -> None:
        await self._ending.wait()
        reading.cancel()

    async def ReportCalls(
        self,
        request_iterator: AsyncIterator[service_pb2.ReportCallsRequest],
        context: _Context[Any, Any],
    ) -> AsyncIterator[service_pb2.ReportCallsResponse]:
        """Takes call events, a batch at a time, in order."""
        caller = rpc.CALLER.get()
        async for request in _until(self._ending, request_iterator):
            if not 1 <= len(request.calls) <= 500:
                raise Invalid([Violation("calls", "must be 1 to 500 events")])
            response = service_pb2.ReportCallsResponse(sequence=request.sequence)
            events: list[tuple[events_pb2.CallEvent, bytes]] = []
            now, turns = now_ms(), Turns()
            for index, call in enumerate(request.calls):
                try:
                    events.append(call_event(call, caller, self._keyring, now))
                except MawjaError as error:
                    response.refused.add(index=index, refusal=refusal(error))
                await turns.end()
            sent = []
            for event, key in events:
                sent.append(
                    await self._producer.send(
                        CALL_EVENT,
                        partition_of(key, self._partitions),
                        event.SerializeToString(),
                        key=key,
                    )
                )
                await turns.end()
            await acknowledged(sent)
            for state, count in Counter(event.state for event, _ in events).items():
                metrics.CALL_EVENTS.labels(str(state)).inc(count)
            response.accepted = len(events)
            yield response

    async def GetContact(
        self, request: service_pb2.GetContactRequest, context: _Context[Any, Any]
    ) -> service_pb2.GetContactResponse:
        """Shows one contact."""
        return masked(await self._seen(request.contact_id), self._keyring)

    async def RevealContact(
        self, request: service_pb2.RevealContactRequest, context: _Context[Any, Any]
    ) -> service_pb2.RevealContactResponse:
        """The words of one contact. Who asked for them, and why, stands in the audit before."""
        return words(await self._seen(request.contact_id), self._keyring)

    async def _seen(self, contact_id: str) -> events_pb2.ContactAccepted:
        first = await self._submitter.first(UUID(contact_id).bytes)
        # A liaison of another agency is told the same as for a contact that is not there.
        if first is None or not rpc.CALLER.get().sees(first.agency):
            raise NotFound("no such contact in the last 7 days")
        return first


async def _until(ending: asyncio.Event, requests: AsyncIterator[_R]) -> AsyncIterator[_R]:
    """`requests`, to the end of the sender's side. Raises Away when the process ends before."""
    ended = asyncio.ensure_future(ending.wait())
    try:
        while True:
            following = asyncio.ensure_future(anext(requests))
            try:
                await asyncio.wait((following, ended), return_when=asyncio.FIRST_COMPLETED)
            finally:
                if not following.done():
                    following.cancel()
            if following.cancelled() or not following.done():
                raise Away("intake is stopping; connect again and send what was not answered")
            try:
                yield following.result()
            except StopAsyncIteration:
                return
    finally:
        ended.cancel()


class _Stream:
    """One SubmitContacts: reads contacts while there is room, and hands out answers as they come,
    many in one message to a sender that does the same."""

    def __init__(
        self,
        submitter: Submitter,
        caller: Caller,
        traceparent: str | None,
        ending: asyncio.Event,
    ) -> None:
        self._submitter = submitter
        self._caller = caller
        self._traceparent = traceparent
        self._ending = ending
        self._room = asyncio.Event()
        self._unanswered = 0
        self._bundles = False
        self._answered: list[service_pb2.SubmitContactsResponse] = []
        self._wake = asyncio.Event()
        # What is turned away together does not wait for company, nor does anything when the sender
        # has said all.
        self._hurry = asyncio.Event()
        self._said_all = False
        self._explaining: set[asyncio.Task[None]] = set()

    async def read(
        self, request_iterator: AsyncIterator[service_pb2.SubmitContactsRequest]
    ) -> None:
        """Submits what comes in, to the end of the sender's side."""
        try:
            async for request in request_iterator:
                while self._unanswered + len(self._answered) >= UNANSWERED:
                    self._room.clear()
                    await self._room.wait()
                if not request.bundle and not request.ordinary:
                    self._submit((request,))
                    continue
                self._bundles = True
                if request.bundle:
                    self._submit(request.bundle)
                if request.ordinary:
                    self._submit_ordinary(request)
        finally:
            self._said_all = True
            self._hurry.set()
            self._wake.set()

    def _submit(self, requests: Sequence[service_pb2.SubmitContactsRequest]) -> None:
        self._unanswered += len(requests)
        for request in requests:
            contact = request.contact
            try:
                future = self._submitter.submit(contact, self._caller, self._traceparent)
            except MawjaError as error:
                self._refuse(request.sequence, error)
            else:
                future.add_done_callback(partial(self._settled, request))

    def _submit_ordinary(self, request: service_pb2.SubmitContactsRequest) -> None:
        door, count = self._submitter.door, request.ordinary_count
        if not door.admits_bundle(count):
            # Nothing of them is looked at, so nothing is told of their channels.
            self._refuse_all(request, door.turn_away(common_pb2.CHANNEL_UNSPECIFIED, count))
            return
        try:
            ordinary = service_pb2.SubmitContactsRequest.FromString(request.ordinary).bundle
        except DecodeError:
            violation = Violation("ordinary", "must be a SubmitContactsRequest")
            self._refuse_all(request, Invalid([violation]))
            return
        if len(ordinary) != count:
            violation = Violation("ordinary_count", "must be how many contacts `ordinary` holds")
            self._refuse_all(request, Invalid([violation]))
            return
        self._submit(ordinary)

    def _refuse_all(self, request: service_pb2.SubmitContactsRequest, error: MawjaError) -> None:
        self._hurry.set()
        self._answer(
            service_pb2.SubmitContactsResponse(
                sequence=request.sequence, refused=refusal(error), whole=True
            )
        )

    def _settled(
        self,
        request: service_pb2.SubmitContactsRequest,
        future: asyncio.Future[service_pb2.SubmitContactResponse],
    ) -> None:
        if future.cancelled():
            self._refuse(request.sequence, Away("intake is stopping; send again"))
            return
        error = future.exception()
        if error is None:
            self._answer(
                service_pb2.SubmitContactsResponse(
                    sequence=request.sequence, accepted=future.result()
                )
            )
        elif isinstance(error, Conflict):
            task = asyncio.get_running_loop().create_task(self._explain(request, error))
            self._explaining.add(task)
            task.add_done_callback(self._explaining.discard)
        elif isinstance(error, MawjaError):
            self._refuse(request.sequence, error)
        else:
            raise AssertionError("a submitter's error is of the closed list") from error

    async def _explain(self, request: service_pb2.SubmitContactsRequest, error: Conflict) -> None:
        try:
            self._refuse(
                request.sequence, await self._submitter.explain_conflict(request.contact, error)
            )
        except MawjaError as away:
            # A refusal that says what differs is worth coming again for.
            self._refuse(request.sequence, away)

    def _refuse(self, sequence: int, error: MawjaError) -> None:
        self._answer(service_pb2.SubmitContactsResponse(sequence=sequence, refused=refusal(error)))

    def _answer(self, response: service_pb2.SubmitContactsResponse) -> None:
        self._answered.append(response)
        self._wake.set()

    async def _company(self) -> None:
        if not self._hurry.is_set() and len(self._answered) < min(_BUNDLE, self._unanswered):
            many = self._unanswered > _MANY or self._submitter.door.overloaded
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_MUCH_COMPANY_S if many else _COMPANY_S):
                    await self._hurry.wait()
        if not self._said_all and self._hurry.is_set():
            await asyncio.sleep(_REFUSAL_S)
            self._hurry.clear()

    async def answers(
        self, reading: asyncio.Task[None]
    ) -> AsyncIterator[service_pb2.SubmitContactsResponse]:
        """The answers, until everything that was read has one. Raises Away when the process ends
        before the sender does."""
        while not (reading.done() and not self._unanswered and not self._answered):
            self._wake.clear()
            await self._wake.wait()
            if self._bundles:
                await self._company()
            while self._answered:
                answered, self._answered = self._answered, []
                self._unanswered -= sum(not response.whole for response in answered)
                self._room.set()
                if not self._bundles:
                    for response in answered:
                        yield response
                else:
                    for start in range(0, len(answered), _BUNDLE):
                        yield service_pb2.SubmitContactsResponse(
                            bundle=answered[start : start + _BUNDLE]
                        )
        if reading.cancelled() and self._ending.is_set():
            raise Away("intake is stopping; connect again and send what was not answered")
        await reading


def refusal(error: MawjaError) -> service_pb2.Refusal:
    """An error as the answer to one element of a stream or batch."""
    violations = error.violations if isinstance(error, Invalid) else ()
    return service_pb2.Refusal(
        code=rpc.code_of(error),
        message=str(error),
        violations=[service_pb2.FieldViolation(field=v.field, rule=v.rule) for v in violations],
        retry_after_ms=rpc.retry_after_ms(error),
    )
