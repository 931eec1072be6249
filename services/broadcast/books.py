"""What the owner of a partition keeps: its messages, what waits in lanes, who opted out, what is
still needed of its topics. Deciding goes through `status`, which exists once it has taken over.

Everyone's wish not to be written to holds for every lane. Only a campaign that names a legal basis
overrides it, where the sending rules say that the basis does.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from google.protobuf.message import DecodeError
from mawja.broadcast.v1 import events_pb2
from mawja.broadcast.v1.events_pb2 import MessageChange, QueuedMessage

from services.broadcast.changes import claim, ending, next_change
from services.broadcast.lanes import BULK, NORMAL, URGENT, Held, Lane, Lanes, Waiting
from services.broadcast.messages import (
    EXPIRED,
    FINAL,
    SUPPRESSED,
    UNKNOWN,
    WITH_CARRIER,
    Message,
    Messages,
    State,
)
from services.broadcast.restored import REASON, Restorations
from services.broadcast.status_log import StatusLog
from services.runtime.clock import now_ms
from services.runtime.own import Record
from services.runtime.topics import QUEUED_BULK, QUEUED_NORMAL, QUEUED_URGENT, RECEIPT, Topic

LANE_TOPICS: dict[Lane, Topic] = {
    URGENT: QUEUED_URGENT,
    NORMAL: QUEUED_NORMAL,
    BULK: QUEUED_BULK,
}


def state_for(reason: str) -> State:
    """The end of a message that may not go for `reason`."""
    return EXPIRED if reason == "expired" else SUPPRESSED


def _held() -> dict[str, Held]:
    return {topic.name: Held() for topic in (*LANE_TOPICS.values(), RECEIPT)}


@dataclass(slots=True)
class Books:
    """The books of one partition. `held`: by topic, the offsets that are still needed."""

    messages: Messages = field(default_factory=Messages)
    lanes: Lanes = field(default_factory=Lanes)
    held: dict[str, Held] = field(default_factory=_held)
    opted_out: set[bytes] = field(default_factory=set)
    restorations: Restorations = field(default_factory=Restorations)
    # Where the lane record of a message stands that has not been settled.
    _places: dict[str, tuple[str, int]] = field(default_factory=dict)
    status: StatusLog = field(init=False)
    # Told of a message that may have been sent: its receipt may be here already.
    doubted: Callable[[Message], None] = lambda _: None

    def take_opt_out(self, record: Record) -> bytes | None:
        """Takes up one record of the table. Gives the person who has just opted out."""
        person = record.key or b""
        if record.value is None:
            self.opted_out.discard(person)
            return None
        try:
            opted_out = events_pb2.OptOut.FromString(record.value).opted_out
        except DecodeError:
            # What it says cannot be read; who it is about can. Not writing is the safe side.
            opted_out = True
        if not opted_out:
            self.opted_out.discard(person)
            return None
        self.opted_out.add(person)
        return person

    def forbidden(self, queued: QueuedMessage) -> str:
        """Why a message may not go (any more), whatever its carrier; empty when it may."""
        if queued.expires_ms <= now_ms():
            return "expired"
        opted_out = queued.person in self.opted_out and not queued.overrides_opt_out
        return "opt-out" if opted_out else ""

    def end(self, gone: Sequence[Waiting], reason: str) -> None:
        """Ends messages that the carrier does not have, for `reason`. One that was to be sent once
        more stays unknown: the carrier may have it."""
        state = state_for(reason)
        ended = [one.message for one in gone if not self.messages.may_be_there(one.message)]
        if ended:
            self.status.put([ending(self.messages, one, state, reason) for one in ended])

    def doubt(self, queued: QueuedMessage, carrier: str) -> None:
        """States of a message that `carrier` may have it, by an attempt whose claim was lost with
        what came after a backup. The reference is the one that claim most likely had."""
        self.status.put([claim(self.messages, queued, carrier, queued.parts, 0)])
        message = self.messages.get(queued.message_id)
        assert message is not None, "a claimed message is known"
        self.status.put([next_change(message, UNKNOWN, REASON)])
        self.doubted(message)

    def has_place(self, message_id: str) -> bool:
        """Whether the message's lane record was read and is not settled."""
        return message_id in self._places

    def place(self, message_id: str, topic: str, offset: int) -> None:
        """The message's lane record stands at `offset`, which is needed until it is settled."""
        self._places[message_id] = (topic, offset)
        self.held[topic].hold(offset)

    def settled(self, change: MessageChange) -> None:
        """The log holds `change`: what has come to its carrier or its end needs no place."""
        if self._places and (change.state in FINAL or change.state in WITH_CARRIER):
            place = self._places.pop(change.message_id, None)
            if place is not None:
                self.held[place[0]].release(place[1])
