"""AudienceService over gRPC: makes lists of the people whom a query means, and shows what is in an
audience. Any replica serves; one query at a time and process, so that what it remembers stays
bounded and sending has the machine.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import TYPE_CHECKING, Any, TypeVar

from mawja.broadcast.v1 import audiences_pb2, audiences_pb2_grpc
from mawja.broadcast.v1.campaigns_pb2 import (
    AudienceFile,
    CampaignCommand,
    CampaignDeed,
)

from services.broadcast.campaigns.packing import Packing
from services.broadcast.campaigns.plans import uploads
from services.broadcast.gathering.gather import Gathering
from services.broadcast.gathering.preview import Preview
from services.broadcast.gathering.query import agency_of, canonical, problems
from services.broadcast.gathering.subscribing import Import, Ledger
from services.runtime import ids, rpc
from services.runtime.clock import now_ms
from services.runtime.errors import Conflict, Forbidden, Invalid, Violation
from services.runtime.produce import acknowledged

if TYPE_CHECKING:
    import grpc

    from services.broadcast.campaigns.asking import Asking
    from services.broadcast.campaigns.looking import Looking
    from services.runtime.own import LogReader
    from services.runtime.privacy import Keyring
    from services.runtime.produce import Producer

    Context = grpc.aio.ServicerContext[Any, Any]

_TELL_EVERY_S = 0.5
_AHEAD_MS = 60_000
"""So much the caller's clock may be ahead."""
_NOT_YOURS = "the caller may record subscriptions to their own agency only"
_T = TypeVar("_T")


class AudienceServicer(audiences_pb2_grpc.AudienceServiceServicer):
    """See protos/mawja/broadcast/v1/audiences.proto."""

    def __init__(
        self,
        keyring: Keyring,
        producer: Producer,
        asking: Asking,
        looking: Looking,
        reader: LogReader,
        partitions: int,
    ) -> None:
        self._keyring = keyring
        self._producer = producer
        self._asking = asking
        self._looking = looking
        self._reader = reader
        self._partitions = partitions
        self._turn = asyncio.Lock()
        self._ledger = Ledger(keyring, producer, partitions)

    async def MakeAudience(
        self, request: audiences_pb2.MakeAudienceRequest, context: Context
    ) -> AsyncIterator[audiences_pb2.MakeAudienceResponse]:
        """Finds people and keeps them as a list."""
        caller, now = rpc.CALLER.get(), now_ms()
        if found := problems(request.query, now):
            raise Invalid(found)
        self._allow(request)
        asked = ids.command_id(caller.subject, "MakeAudience", request.request_id)
        file = AudienceFile(
            audience_id=ids.derive("audience", asked),
            name=request.name,
            agency=request.agency,
            drill=request.drill,
            query=canonical(request.query),
            uploaded=CampaignDeed(subject=caller.subject, done_ms=now),
        )
        known = await self._known(file)
        if known is None:
            gathering = Gathering(
                request.query,
                drill=request.drill,
                scope=caller.agency,
                reader=self._reader,
                keyring=self._keyring,
                packing=Packing(file.audience_id, self._producer, self._partitions),
                partitions=self._partitions,
            )
            task = asyncio.ensure_future(self._in_turn(gathering.run()))
            async for _ in _until(task):
                yield audiences_pb2.MakeAudienceResponse(
                    read=gathering.reading.read, of=gathering.reading.of, found=gathering.found
                )
            file.MergeFrom(task.result())
            known = await self._attested(file, asked)
        yield audiences_pb2.MakeAudienceResponse(found=known.recipients, audience=known)

    async def PreviewAudience(
        self, request: audiences_pb2.PreviewAudienceRequest, context: Context
    ) -> AsyncIterator[audiences_pb2.PreviewAudienceResponse]:
        """Tells who is in an audience."""
        files = await self._looking.audiences(dict.fromkeys(uploads(request.audience)))
        preview = Preview(request.audience, files, self._reader, self._keyring, self._partitions)
        task = asyncio.ensure_future(self._in_turn(preview.run()))
        async for _ in _until(task):
            yield audiences_pb2.PreviewAudienceResponse(read=preview.read, of=preview.of)
        yield audiences_pb2.PreviewAudienceResponse(
            read=preview.of, of=preview.of, preview=task.result()
        )

    async def Subscribe(
        self, request: audiences_pb2.SubscribeRequest, context: Context
    ) -> audiences_pb2.SubscribeResponse:
        """Records a consent; answers when Kafka has it."""
        _consents(request.consent, "consent")
        subject = rpc.CALLER.get().subject
        future = await self._ledger.subscribe(
            request.number, request.language, request.consent, subject
        )
        await acknowledged([future])
        return audiences_pb2.SubscribeResponse(recorded_ms=now_ms())

    async def Unsubscribe(
        self, request: audiences_pb2.UnsubscribeRequest, context: Context
    ) -> audiences_pb2.UnsubscribeResponse:
        """Records that a consent is taken back; answers when Kafka has it."""
        caller = rpc.CALLER.get()
        if not caller.sees(request.agency):
            raise Forbidden(_NOT_YOURS)
        recorded_ms = await self._ledger.unsubscribe(
            request.number, request.agency, request.topic, request.source, caller.subject
        )
        return audiences_pb2.UnsubscribeResponse(recorded_ms=recorded_ms)

    async def ImportSubscribers(
        self,
        requests: AsyncIterator[audiences_pb2.ImportSubscribersRequest],
        context: Context,
    ) -> audiences_pb2.ImportSubscribersResponse:
        """Records the consents of everybody in a file."""
        first = await anext(requests, audiences_pb2.ImportSubscribersRequest())
        if first.WhichOneof("piece") != "start":
            raise Invalid([Violation("start", "the first piece says what file comes")])
        if not first.start.consent.consented_ms:
            rule = "must say when they consented, the latest of them"
            raise Invalid([Violation("start.consent.consented_ms", rule)])
        _consents(first.start.consent, "start.consent")
        subject = rpc.CALLER.get().subject
        coming = Import(first.start, self._ledger, subject)
        async for request in requests:
            if request.WhichOneof("piece") != "data":
                raise Invalid([Violation("data", "after the first piece come bytes")])
            await coming.take(request.data)
        return await coming.end()

    def _allow(self, request: audiences_pb2.MakeAudienceRequest) -> None:
        caller = rpc.CALLER.get()
        if not caller.sees(request.agency):
            raise Forbidden("the caller may make lists of their own agency only")
        wanted = agency_of(request.query)
        if wanted and not caller.sees(wanted):
            raise Forbidden("the caller may ask for people of their own agency only")

    async def _in_turn(self, work: Awaitable[_T]) -> _T:
        async with self._turn:
            return await work

    async def _known(self, file: AudienceFile) -> AudienceFile | None:
        """The list that this request made before. Raises Conflict when it asked for another."""
        known = await self._looking.known(file.audience_id)
        if known is not None and any(
            getattr(known, name) != getattr(file, name)
            for name in ("query", "name", "agency", "drill")
        ):
            raise Conflict("this request_id asked for another list: use a new one")
        return known

    async def _attested(self, file: AudienceFile, asked: str) -> AudienceFile:
        """The list as the owner of its partition took it up. Raises Conflict, Away."""
        question = f"{file.query}/{file.name}/{file.agency}/{file.drill}"
        command = CampaignCommand(campaign_id=file.audience_id, audience=file)
        command_id = ids.derive("command", asked, question)
        return (await self._asking.decided(command, command_id)).audience


def _consents(consent: audiences_pb2.Consent, field: str) -> None:
    """Raises Forbidden for another agency's, Invalid for a time that is ahead."""
    if not rpc.CALLER.get().sees(consent.agency):
        raise Forbidden(_NOT_YOURS)
    if consent.consented_ms > now_ms() + _AHEAD_MS:
        raise Invalid([Violation(f"{field}.consented_ms", "must not be ahead of now")])


async def _until(task: asyncio.Future[Any]) -> AsyncIterator[None]:
    """Comes by now and then until a task has ended; a caller who leaves ends it."""
    try:
        while not task.done():
            await asyncio.wait((task,), timeout=_TELL_EVERY_S)
            if not task.done():
                yield
    finally:
        task.cancel()
