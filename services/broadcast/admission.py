"""A request is judged once: it ends with a reason, or waits in its lane's topic for its turn.

From the topic it comes into its lane's memory when there is room, and is looked at again: what it
needs may have changed while it waited.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from mawja.broadcast.v1 import events_pb2, service_pb2
from mawja.broadcast.v1.events_pb2 import QueuedMessage
from mawja.outreach.v1 import events_pb2 as outreach_pb2

from services.broadcast import numbers, segments, shown, wording
from services.broadcast.books import LANE_TOPICS, Books, state_for
from services.broadcast.changes import ending, first_change
from services.broadcast.desk import Desk
from services.broadcast.lanes import Waiting
from services.broadcast.messages import MAY_BE_CLAIMED, QUEUED, SUPPRESSED
from services.broadcast.routes import CarrierSpec
from services.runtime import trace
from services.runtime.clock import now_ms
from services.runtime.errors import Poison
from services.runtime.own import Record
from services.runtime.privacy import PERSON_BYTES, Erased
from services.runtime.store import Item

ANOTHER_BODY = b""
"""The outcome of a command whose request_id was used with another body."""


_MOST_PARTS = 255
"""A part's number is one octet (3GPP TS 23.040, 9.2.3.24.1)."""
_LATEST_MS = 253_402_300_799_999
"""The end of the year 9999: later there are no dates."""


@dataclass(slots=True)
class Turn:
    """The effects of one call of a partition's `work`."""

    sent: list["asyncio.Future[Any]"] = field(default_factory=list)
    # One future for all that goes into the log together.
    decided: set["asyncio.Future[None]"] = field(default_factory=set)
    dead: list["asyncio.Future[None]"] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    replies: list[shown.Reply] = field(default_factory=list)
    stopped: set[bytes] = field(default_factory=set)


class Admission:
    """Takes requests and lane records of one partition, since `since_ms`, under `epoch`."""

    def __init__(self, desk: Desk, books: Books, partition: int, epoch: int, since_ms: int) -> None:
        self._desk = desk
        self._books = books
        self._partition = partition
        self._epoch = epoch
        self._since_ms = since_ms
        # What persons asked for, while it stands in its lane's topic and has not come from there.
        self._under_way: dict[str, bytes] = {}

    async def request(self, record: Record, turn: Turn) -> None:
        """Takes a record of outreach's log."""
        queued = _queued(outreach_pb2.MessageRequested.FromString(record.value or b""))
        parent = trace.of(record.headers)
        if parent is None:
            # Whether a contact is traced was decided at the door.
            await self._admit(queued, turn, None)
        else:
            with trace.span("broadcast.admit", parent) as traceparent:
                await self._admit(queued, turn, traceparent)

    async def command(self, command: events_pb2.BroadcastCommand, turn: Turn) -> None:
        """Takes a person's command, and answers it."""
        if command.WhichOneof("action") != "queue":
            raise Poison("a command without an action that this version knows")
        queued, envelope = command.queue, command.envelope
        if self._asked(queued.message_id) in (b"", queued.request_hash):
            outcome = (await self._admit(queued, turn, None)).SerializeToString()
        else:
            outcome = ANOTHER_BODY
        turn.replies.append(shown.Reply(envelope.reply_to, envelope.command_id, outcome))

    def _asked(self, message_id: str) -> bytes:
        """The hash of the request that the message was made for; empty when there was none."""
        known = self._books.messages.get(message_id)
        if known is not None:
            return known.change().request_hash
        waiting = self._books.lanes.get(message_id)
        if waiting is not None:
            return waiting.message.request_hash
        return self._under_way.get(message_id, b"")

    def lane(self, record: Record, turn: Turn) -> None:
        """Takes a message from its lane's topic into memory, unless it is settled or here."""
        queued, books = QueuedMessage.FromString(record.value or b""), self._books
        _check(queued)
        if LANE_TOPICS[queued.lane].name != record.topic or not 0 < queued.parts <= _MOST_PARTS:
            raise Poison("a message in another's lane, or of no number of parts")
        message_id = queued.message_id
        self._under_way.pop(message_id, None)
        if (
            books.messages.state(message_id) not in MAY_BE_CLAIMED
            or books.has_place(message_id)
            or books.messages.settled_long_ago(queued.expires_ms, now_ms())
        ):
            return
        # First what may find it to be a dead letter: whose place is held by nobody.
        route = self._route(queued)
        books.place(message_id, record.topic, record.offset)
        if isinstance(route, CarrierSpec) and books.restorations.doubtful(queued):
            books.doubt(queued, route.name)
        elif isinstance(route, CarrierSpec):
            books.lanes.add(Waiting(queued, record.offset, route.name))
            if record.timestamp < self._since_ms and books.messages.get(message_id) is None:
                # Another owner queued it and may not have come to show it.
                turn.items.append(self.queued_item(queued))
        else:
            books.status.put([ending(books.messages, queued, state_for(route), route)])

    def queued_item(self, queued: QueuedMessage) -> Item:
        """The view of a message that is only queued."""
        return shown.queued_item(first_change(queued, QUEUED), queued.requested_ms, self._epoch)

    async def _admit(
        self, queued: QueuedMessage, turn: Turn, traceparent: str | None
    ) -> service_pb2.QueueMessageResponse:
        """Ends a message that may not go, or puts it into its lane's topic; once."""
        _check(queued)
        books = self._books
        answer = service_pb2.QueueMessageResponse(message_id=queued.message_id, state=QUEUED)
        known = books.messages.get(queued.message_id)
        if known is not None:
            change = known.change()
            if change.state == SUPPRESSED:
                answer.state, answer.reason = SUPPRESSED, change.reason
            answer.parts = change.parts
            return answer
        if books.messages.settled_long_ago(queued.expires_ms, now_ms()):
            return answer
        route = self._route(queued)
        if isinstance(route, CarrierSpec):
            parts, reason = self._parts(queued, route)
            queued.parts = answer.parts = parts
        else:
            reason = route
        if reason:
            state = state_for(reason)
            turn.decided.add(books.status.put([first_change(queued, state, reason)]))
            answer.state, answer.reason = state, reason
        elif queued.message_id not in books.lanes:
            headers = [] if traceparent is None else [(trace.HEADER, traceparent.encode())]
            turn.sent.append(
                await self._desk.producer.send(
                    LANE_TOPICS[queued.lane],
                    self._partition,
                    queued.SerializeToString(),
                    key=queued.person,
                    headers=headers,
                )
            )
            turn.items.append(self.queued_item(queued))
            if queued.request_hash:
                self._under_way[queued.message_id] = queued.request_hash
        return answer

    def _route(self, queued: QueuedMessage) -> CarrierSpec | str:
        """The carrier that the message may go to, or why it may not go."""
        # What may have been sent has not expired, and nobody's wish came before it.
        if not self._books.restorations.doubtful(queued) and (
            reason := self._books.forbidden(queued)
        ):
            return reason
        try:
            number = self._desk.keyring.unseal("number", queued.sealed_number)
        except Erased:
            return "erased"
        return numbers.obstacle(number) or self._desk.routes.choose(
            number, queued.language, queued.drill, queued.person
        )

    def _parts(self, queued: QueuedMessage, carrier: CarrierSpec) -> tuple[int, str]:
        """How many parts the text takes at `carrier`, or why it cannot be sent."""
        try:
            text = self._desk.keyring.unseal("text", queued.sealed_text)
            if not text:
                return 0, "no-text"
            wire = carrier.wire
            text = wording.shown(text, queued.drill, wire.alphabet, wire.national)
            return wire.split(text).part_count, ""
        except Erased:
            return 0, "erased"
        except segments.TextError:
            return 0, "text-not-sendable"


def _check(queued: QueuedMessage) -> None:
    """Raises Poison for what can be no message of ours, whatever its seals say."""
    try:
        identified = str(UUID(queued.message_id)) == queued.message_id
    except ValueError:
        identified = False
    if (
        not identified
        or len(queued.person) != PERSON_BYTES
        or queued.lane not in LANE_TOPICS
        or not queued.sealed_number
        or queued.expires_ms > _LATEST_MS
    ):
        raise Poison("a message without id, person, lane, number or end")


def _queued(request: outreach_pb2.MessageRequested) -> QueuedMessage:
    return QueuedMessage(
        message_id=request.message_id,
        person=request.person,
        case_id=request.case_id,
        lane=request.lane,
        language=request.language,
        agency=request.agency,
        drill=request.drill,
        requested_ms=request.requested_ms,
        expires_ms=request.expires_ms,
        accepted_ms=request.accepted_ms,
        sealed_number=request.sealed_number,
        sealed_text=request.sealed_text,
    )
