"""BroadcastService over gRPC: takes messages and opt-outs, shows what became of messages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from mawja.broadcast.v1 import events_pb2, service_pb2, service_pb2_grpc
from mawja.common.v1 import common_pb2

from services.broadcast import importing, shown
from services.broadcast.admission import ANOTHER_BODY
from services.runtime import ids, rpc, seen
from services.runtime.clock import now_ms
from services.runtime.errors import Conflict, Forbidden
from services.runtime.topics import BROADCAST_COMMAND, partition_of

if TYPE_CHECKING:
    import grpc

    from services.broadcast.opting import OptOuts
    from services.runtime.own import Record
    from services.runtime.privacy import Keyring
    from services.runtime.produce import Producer
    from services.runtime.replies import Replies
    from services.runtime.tail import Tail
    from services.runtime.views import Views

DEFAULT_VALID_MS = 3600 * 1000
Changes = tuple[list[events_pb2.MessageChange], int]
"""Changes of one record, and when they were decided (Unix ms)."""


class BroadcastServicer(service_pb2_grpc.BroadcastServiceServicer):
    """See protos/mawja/broadcast/v1/service.proto."""

    def __init__(
        self,
        keyring: Keyring,
        producer: Producer,
        replies: Replies,
        views: Views,
        tail: Tail[Changes],
        partitions: int,
        opt_outs: OptOuts,
    ) -> None:
        self._keyring = keyring
        self._producer = producer
        self._replies = replies
        self._views = views
        self._tail = tail
        self._partitions = partitions
        self._opt_outs = opt_outs

    async def QueueMessage(
        self,
        request: service_pb2.QueueMessageRequest,
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> service_pb2.QueueMessageResponse:
        """Queues one message; answers when the partition's owner has judged it."""
        caller = rpc.CALLER.get()
        if caller.must_drill and not request.drill:
            raise Forbidden("drill must be set: the caller is a load tester")
        if not caller.sees(request.agency):
            raise Forbidden("the caller may send in the name of their own agency only")
        now = now_ms()
        person = self._keyring.person(request.number)
        asked = ids.command_id(caller.subject, "QueueMessage", request.request_id)
        request_hash = self._keyring.mac("request", request.SerializeToString(deterministic=True))
        message_id = ids.derive("message", asked)
        await self._refuse_another_body(message_id, request_hash)
        # With another body another outcome is awaited.
        command_id = ids.derive("command", asked, request_hash.hex())
        command = events_pb2.BroadcastCommand(
            envelope=common_pb2.CommandEnvelope(
                command_id=command_id,
                reply_to=self._replies.channel,
                subject=caller.subject,
                asked_ms=now,
            ),
            queue=events_pb2.QueuedMessage(
                message_id=message_id,
                person=person,
                lane=request.lane,
                language=request.language,
                agency=request.agency,
                drill=request.drill,
                requested_ms=now,
                expires_ms=now + (request.valid_for_ms or DEFAULT_VALID_MS),
                sealed_number=self._keyring.seal("number", request.number, now, person),
                sealed_text=self._keyring.seal("text", request.text, now, person),
                request_hash=request_hash,
            ),
        )
        told = await self._replies.ask(
            self._producer,
            BROADCAST_COMMAND,
            partition_of(person, self._partitions),
            command_id,
            command.SerializeToString(),
            key=person,
        )
        if told == ANOTHER_BODY:
            raise _another_body()
        return service_pb2.QueueMessageResponse.FromString(told)

    async def _refuse_another_body(self, message_id: str, request_hash: bytes) -> None:
        """The owner judges this too, of its own partition: with another number it is another's."""
        [payload] = await self._views.get(shown.key_of(message_id))
        if payload is not None:
            known = service_pb2.GetMessageResponse.FromString(payload).message.request_hash
            if known not in (b"", request_hash):
                raise _another_body()

    async def GetMessage(
        self,
        request: service_pb2.GetMessageRequest,
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> service_pb2.GetMessageResponse:
        """One message as the log has it."""
        return await seen.one(
            self._views,
            shown.key_of(request.message_id.lower()),
            service_pb2.GetMessageResponse.FromString,
            lambda response: response.message.agency,
            "there is no such message of the last 7 days that you may see",
        )

    async def WatchMessages(
        self,
        request: service_pb2.WatchMessagesRequest,
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> AsyncIterator[service_pb2.WatchMessagesResponse]:
        """Every change that the status log gets from now on."""
        caller = rpc.CALLER.get()
        agency = request.agency or caller.agency
        if not caller.sees(agency):
            raise Forbidden("a liaison sees messages of their own agency only")
        with self._tail.watch() as records:
            async for changes, decided_ms in records:
                for change in changes:
                    if agency in ("", change.agency):
                        yield service_pb2.WatchMessagesResponse(
                            message=change, changed_ms=decided_ms
                        )

    async def OptOut(
        self,
        request: service_pb2.OptOutRequest,
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> service_pb2.OptOutResponse:
        """Records that a person wants no more messages; answers when Kafka has it."""
        numbers = dict.fromkeys((request.number, *request.other_numbers))
        recorded_ms = await self._opt_outs.by_agent(numbers, rpc.CALLER.get().subject)
        return service_pb2.OptOutResponse(recorded_ms=recorded_ms)

    async def ImportOptOuts(
        self,
        request_iterator: AsyncIterator[service_pb2.ImportOptOutsRequest],
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> AsyncIterator[service_pb2.ImportOptOutsResponse]:
        """Records the people of a file; tells bad rows as they are met."""
        async for told in importing.take(
            request_iterator, self._opt_outs, rpc.CALLER.get().subject
        ):
            yield told


def _another_body() -> Conflict:
    return Conflict("the request_id was used with another body")


def changes_of(record: Record) -> Changes:
    """What one record of the status log says."""
    status = events_pb2.StatusRecord.FromString(record.value or b"")
    return list(status.changes), status.decided_ms
