"""Notes people's calls for the audit: before anything is done, and when it is answered.

Nothing is decided that is not noted: while Kafka does not take the note, the call is refused. Who
dies in between leaves a call without an answer, which the audit shows as that; the same request
asked again is a call of its own, and gets the first outcome.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

from google.protobuf.message import Message
from google.rpc import code_pb2
from mawja.audit.v1 import events_pb2, service_pb2

from services.runtime import ids, log
from services.runtime.audit.table import (
    AUDITED,
    SESSIONS,
    Deed,
    Kind,
    room_of,
    short,
    text_at,
)
from services.runtime.clock import Millis, now_ms
from services.runtime.errors import Away, MawjaError
from services.runtime.identity import Caller, Role, authorise
from services.runtime.privacy import Keyring
from services.runtime.produce import Producer, acknowledged
from services.runtime.status import code_of
from services.runtime.topics import AUDITS, partition_of

_MACHINES = frozenset({Role.GATEWAY, Role.LOAD_TESTER})
_log = log.get("audit")


@dataclass(slots=True)
class Noted:
    """A call under way."""

    deed: Deed
    note: events_pb2.AuditNote

    def saw(self, answer: object) -> None:
        """Takes from an answer what the call is about, where the request did not say."""
        if not self.note.about and not self.deed.number:
            self.note.about = text_at(answer, self.deed.about)


class Clerk:
    """Notes the calls that one replica of a room takes. Raises Away where a note must stand."""

    def __init__(
        self,
        room: str,
        replica: str,
        producer: Producer,
        keyring: Keyring,
        partitions: int,
        clock: Millis = now_ms,
    ) -> None:
        self._room = room
        self._topic = AUDITS[room].notes
        self._replica = replica
        self._producer = producer
        self._keyring = keyring
        self._partitions = partitions
        self._clock = clock
        self._began_ms = clock()
        self._calls = count()

    def audits(self, method: str) -> bool:
        """Whether calls of `method` are audited here."""
        return method in AUDITED and room_of(method) == self._room

    async def refused(self, method: str, request: object, caller: Caller) -> None:
        """Notes that a caller's roles do not allow a call."""
        if self.audits(method):
            call = self._call(method, request, caller)
            call.note.code = code_pb2.PERMISSION_DENIED
            await self._answered(call)

    async def unary(
        self,
        method: str,
        caller: Caller,
        inner: Callable[[Any, Any], Awaitable[Any]],
        request: Any,
        context: Any,
    ) -> Any:
        """The answer of `inner`, noted."""
        if not self._of_person(method, caller):
            return await inner(request, context)
        async with self._noted(method, request, caller) as call:
            answer = await inner(request, context)
            call.saw(answer)
            return answer

    async def stream(
        self, method: str, caller: Caller, request: object, answers: AsyncIterator[Any]
    ) -> AsyncIterator[Any]:
        """The answers of a stream, noted."""
        if not self._of_person(method, caller):
            async for answer in answers:
                yield answer
            return
        async with self._noted(method, request, caller) as call:
            async for answer in answers:
                call.saw(answer)
                yield answer

    async def session(self, told: service_pb2.NoteSessionRequest) -> None:
        """Notes what became of a session of the console. Told again of the same session it is the
        same call."""
        number, now = str(next(self._calls)), self._clock()
        what = service_pb2.SessionEvent.Name(told.event).removeprefix("SESSION_EVENT_")
        once = told.session_id and ids.derive("session", told.session_id, what, told.by)
        note = events_pb2.AuditNote(
            call_id=once or ids.derive("call", self._replica, str(self._began_ms), number),
            subject=told.by or told.user,
            roles=sorted(told.roles),
            agency=told.agency,
            deed=f"Console/{what.title().replace('_', '')}",
            about=told.user if told.by else "",
            asked_ms=now,
            answered_ms=now,
            code=SESSIONS.get(told.event, code_pb2.OK),
            replica=self._replica,
            session_id=told.session_id,
            way=told.way,
        )
        await self._put(note, events_pb2.STAGE_ANSWERED)

    @asynccontextmanager
    async def command(
        self, deed: str, about: str, reason: str, caller: Caller
    ) -> AsyncIterator[None]:
        """Notes what a person does by a command that asks no service, e.g. "Restored/Declare": who
        chains it does so when the room works again. Raises Away: then nothing may be done."""
        call = Noted(Deed(), self._note(deed, about, reason, caller))
        async with self._standing(call):
            yield

    @asynccontextmanager
    async def _noted(self, method: str, request: object, caller: Caller) -> AsyncIterator[Noted]:
        call = self._call(method, request, caller)
        async with self._standing(call):
            yield call

    @asynccontextmanager
    async def _standing(self, call: Noted) -> AsyncIterator[None]:
        decides = call.deed.kind is Kind.DECISION
        if decides:
            await self._put(call.note, events_pb2.STAGE_ASKED)
        try:
            yield
        except Exception as error:
            call.note.code = code_of(error) if isinstance(error, MawjaError) else code_pb2.INTERNAL
            if decides:
                await self._try_to_answer(call)
            raise
        if decides:
            # It is done, and that it was asked stands: whoever asked must hear of it.
            await self._try_to_answer(call)
        elif call.note.about:
            await self._answered(call)

    def _of_person(self, method: str, caller: Caller) -> bool:
        machine = caller.roles <= _MACHINES and authorise(method, caller)
        return self.audits(method) and not machine

    def _call(self, method: str, request: object, caller: Caller) -> Noted:
        deed = AUDITED[method]
        message = request if isinstance(request, Message) else None
        about = text_at(message, deed.about)
        if about and deed.number:
            about = f"person:{self._keyring.person(about).hex()}"
        note = self._note(short(method), about, text_at(message, deed.reason), caller)
        note.request_id = text_at(message, "request_id")
        return Noted(deed, note)

    def _note(self, deed: str, about: str, reason: str, caller: Caller) -> events_pb2.AuditNote:
        number, now = str(next(self._calls)), self._clock()
        return events_pb2.AuditNote(
            call_id=ids.derive("call", self._replica, str(self._began_ms), number),
            subject=caller.subject,
            roles=sorted(caller.roles),
            agency=caller.agency,
            deed=deed,
            about=about,
            sealed_reason=self._keyring.seal("reason", reason, now),
            asked_ms=now,
            replica=self._replica,
        )

    async def _try_to_answer(self, call: Noted) -> None:
        try:
            await self._answered(call)
        except Away as error:
            _log.warning(
                "a call stands in the audit without its answer",
                call=call.note.call_id,
                why=str(error),
            )

    async def _answered(self, call: Noted) -> None:
        call.note.answered_ms = self._clock()
        await self._put(call.note, events_pb2.STAGE_ANSWERED)

    async def _put(self, note: events_pb2.AuditNote, stage: events_pb2.Stage.ValueType) -> None:
        note.stage = stage
        # One person's calls stand in one chain, in order.
        key = bytes.fromhex(ids.derive("subject", note.subject).replace("-", ""))
        partition = partition_of(key, self._partitions)
        sending = await self._producer.send(self._topic, partition, note.SerializeToString())
        await acknowledged([sending])
