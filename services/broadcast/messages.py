"""What became of each message of a partition: the fold of the status log, and what may come next.

A message is one thing that one person gets once. Its states form a table (`NEXT`): within an
attempt they only move forward, a new attempt needs proof that the one before reached nobody (the
claim was given back unused, or the carrier definitely refused) or a person's recorded decision, and
a final state is never left.
The owner of the partition decides a change with `decide`, which takes it up at once, then appends
it; `fold` takes up the same change from the log and gives the same result. Readers ignore a change
that the table forbids, so that no writer's mistake can make a message be sent again. Pure.
"""

import heapq
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from mawja.broadcast.v1 import events_pb2
from mawja.broadcast.v1.events_pb2 import MessageChange
from mawja.common.v1 import common_pb2

State: TypeAlias = events_pb2.MessageState.ValueType

QUEUED = events_pb2.MESSAGE_STATE_QUEUED
CLAIMED = events_pb2.MESSAGE_STATE_CLAIMED
RELEASED = events_pb2.MESSAGE_STATE_RELEASED
SUBMITTED = events_pb2.MESSAGE_STATE_SUBMITTED
UNKNOWN = events_pb2.MESSAGE_STATE_UNKNOWN
DELIVERED = events_pb2.MESSAGE_STATE_DELIVERED
FAILED = events_pb2.MESSAGE_STATE_FAILED
SUPPRESSED = events_pb2.MESSAGE_STATE_SUPPRESSED
EXPIRED = events_pb2.MESSAGE_STATE_EXPIRED

FINAL = frozenset({DELIVERED, FAILED, SUPPRESSED, EXPIRED})
MAY_BE_CLAIMED = frozenset({QUEUED, RELEASED})
"""States in which the carrier certainly has nothing of the message."""
WITH_CARRIER = frozenset({SUBMITTED, UNKNOWN})
"""States in which a receipt is awaited, or hoped for."""

NEXT: dict[State, frozenset[State]] = {
    QUEUED: frozenset({CLAIMED, SUPPRESSED, EXPIRED}),
    CLAIMED: frozenset({RELEASED, SUBMITTED, UNKNOWN, FAILED}),
    RELEASED: frozenset({CLAIMED, SUPPRESSED, EXPIRED}),
    # The same state again: another part's outcome, or a part's id, has become known. UNKNOWN: the
    # receipt that the carrier owes has not come in time.
    SUBMITTED: frozenset({SUBMITTED, UNKNOWN, DELIVERED, FAILED}),
    # Claimed only by a decision to send it once more, of which an attempt is made only once.
    UNKNOWN: frozenset({UNKNOWN, DELIVERED, FAILED, CLAIMED}),
    DELIVERED: frozenset(),
    FAILED: frozenset(),
    SUPPRESSED: frozenset(),
    EXPIRED: frozenset(),
}

PART_OPEN, PART_DELIVERED, PART_FAILED = 0, 1, 2
MAX_REFERENCE = 0xFFFF
RECEIPT_WITHIN_MS = 10 * 60 * 1000
"""A carrier that owes a receipt has so long after the message's end."""
_RECOGNISED_MS = 2 * 3600 * 1000
_REMEMBERED_MS = 30 * 24 * 3600 * 1000
"""Longer than any request lives (7 days) and waits in Kafka (8 days), so that a request read again
meets what became of it."""


class Illegal(ValueError):
    """A change that the table forbids; the message names states, never a person."""


@dataclass(slots=True)
class Message:
    """One message as it stands.

    `latest` is its last decided MessageChange, serialised; `durable` the last one that the log is
    known to hold, decided at `durable_ms` (Unix ms), in the record at `offset`. They differ only
    while an append is under way. `resend`: by which decision to send it once more, 0 by none.
    """

    message_id: str
    state: State
    attempt: int
    latest: bytes
    durable: bytes = b""
    durable_ms: int = 0
    offset: int = -1
    resend: int = 0

    def change(self) -> MessageChange:
        """A copy of the last decided change."""
        return MessageChange.FromString(self.latest)

    def last(self) -> MessageChange:
        """The last decided change, for reading only: it is everybody's."""
        return _read(self.latest)


# Who looks for a message and who changes it look at the same change, one after the other.
@lru_cache(maxsize=1)
def _read(change: bytes) -> MessageChange:
    return MessageChange.FromString(change)


def follows(state: State, attempt: int, resend: int, change: MessageChange) -> bool:
    """Whether the table allows `change` to a message in `state` at its `attempt`, made by the
    decision number `resend` to send it once more (0: by none)."""
    expected = attempt + 1 if change.state == CLAIMED else attempt
    if change.state not in NEXT[state] or change.attempt != expected or change.resend < resend:
        return False
    # Of one decision one attempt is made.
    return not (state == UNKNOWN and change.state == CLAIMED and change.resend == resend)


class Messages:
    """The messages of one partition."""

    def __init__(self) -> None:
        self._by_id: dict[str, Message] = {}
        self._by_carrier_id: dict[tuple[str, str], Message] = {}
        # Person and reference, of messages that are not final.
        self._by_reference: dict[bytes, Message] = {}
        # (when its receipt is overdue, message), of messages that were submitted.
        self._owed: list[tuple[int, str]] = []
        self._final: deque[tuple[int, str]] = deque()
        self._recognised: deque[tuple[int, tuple[str, str], Message]] = deque()

    def __len__(self) -> int:
        return len(self._by_id)

    def get(self, message_id: str) -> Message | None:
        """The message, or None when nothing is known of it beyond a request."""
        return self._by_id.get(message_id)

    def state(self, message_id: str) -> State:
        """Its state; QUEUED when the log does not know it."""
        message = self._by_id.get(message_id)
        return QUEUED if message is None else message.state

    def claimed(self) -> list[Message]:
        """Claims without result. At a takeover, before anything is decided, they are the last
        owner's: each must become UNKNOWN, since its carrier may have it."""
        return [message for message in self._by_id.values() if message.state == CLAIMED]

    def all(self) -> Iterator[Message]:
        """Every message that is remembered."""
        return iter(self._by_id.values())

    def may(self, message_id: str, state: State) -> bool:
        """Whether the table allows the message to enter `state` (at its own attempt, or the next
        one for CLAIMED)."""
        return state in NEXT[self.state(message_id)]

    def may_be_there(self, queued: events_pb2.QueuedMessage) -> bool:
        """Whether the carrier may have it from an attempt before the one that it is queued for: by
        a decision to send it once more."""
        message = self._by_id.get(queued.message_id)
        return bool(queued.resend or (message is not None and message.resend))

    def resendable(self, message_id: str, resend: int, decided_ms: int) -> bool:
        """Whether the decision number `resend`, made at `decided_ms` (Unix ms), is about the
        message: it was unknown by then, and no attempt has followed from the decision."""
        message = self._by_id.get(message_id)
        return (
            message is not None
            and message.state == UNKNOWN
            and message.resend < resend
            and 0 < message.durable_ms <= decided_ms
        )

    def decide(self, change: MessageChange) -> Message:
        """Takes up a change of the owner's. Raises Illegal."""
        message = self._apply(change)
        if message is None:
            before = events_pb2.MessageState.Name(self.state(change.message_id))
            raise Illegal(f"{before} to {events_pb2.MessageState.Name(change.state)}")
        return message

    def fold(self, change: MessageChange, decided_ms: int, offset: int) -> bool:
        """Takes up a change from the log; False when the table forbids it, so it is ignored."""
        message = self._apply(change)
        if message is None:
            return False
        self.written(message, message.latest, decided_ms, offset, change)
        return True

    def written(
        self,
        message: Message,
        change: bytes,
        decided_ms: int,
        offset: int,
        read: MessageChange | None = None,
    ) -> None:
        """The log holds `change` (serialised; `read`: the same, where it is known) in the record at
        `offset`."""
        message.durable = change
        message.durable_ms = decided_ms
        message.offset = offset
        if message.latest == change:
            # One object, not two equal ones.
            message.latest = change
            if message.state in FINAL:
                self._final.append((decided_ms, message.message_id))
                written = message.last() if read is None else read
                self._recognised.extend(
                    (decided_ms, (written.carrier, carrier_id), message)
                    for carrier_id in written.carrier_ids
                    if carrier_id
                )

    def reference_for(self, message_id: str, person: bytes, attempt: int, parts: int) -> int:
        """A reference for a claim: `parts` consecutive numbers from it (1 to 65,535) that none of
        this person's open messages uses."""
        highest = MAX_REFERENCE - parts + 1
        start = int(message_id[:8], 16) + attempt - 1
        reference = start % highest + 1
        if parts == 1 and _reference_key(person, reference) not in self._by_reference:
            # As nearly always.
            return reference
        for step in range(MAX_REFERENCE):
            reference = (start + step * parts) % highest + 1
            if not any(
                _reference_key(person, reference + part) in self._by_reference
                for part in range(parts)
            ):
                return reference
        return start % highest + 1

    def find(
        self, carrier: str, carrier_id: str, person: bytes, reference: int
    ) -> tuple[Message, int] | None:
        """The message and part that a carrier speaks of: by the carrier's id, else by person and
        reference. None when nothing matches (yet).

        An id counts for the person it was given for only, and for a message that has come to its
        end only when no open one is meant: carriers use their ids again.
        """
        ended: tuple[Message, int] | None = None
        message = self._by_carrier_id.get((carrier, carrier_id)) if carrier_id else None
        if message is not None:
            change = message.last()
            # A late answer may have given the part another id than a receipt before it.
            if change.person == person and carrier_id in change.carrier_ids:
                ended = message, list(change.carrier_ids).index(carrier_id)
                if message.state not in FINAL:
                    return ended
        message = self._by_reference.get(_reference_key(person, reference)) if reference else None
        if message is not None:
            change = message.last()
            part = reference - change.reference
            known = change.carrier_ids[part] if change.carrier_ids else ""
            # Another id under the same reference is another attempt, long past.
            if change.carrier == carrier and not (known and carrier_id):
                return message, part
        return ended

    def forget(self, now_ms: int) -> None:
        """Lets go of what no record can ask for any more."""
        while self._recognised and self._recognised[0][0] < now_ms - _RECOGNISED_MS:
            _, key, message = self._recognised.popleft()
            # Carriers use ids again: a later message may have it now.
            if self._by_carrier_id.get(key) is message:
                del self._by_carrier_id[key]
        while self._final and self._final[0][0] < now_ms - _REMEMBERED_MS:
            self._by_id.pop(self._final.popleft()[1], None)

    def overdue(self, now_ms: int) -> list[Message]:
        """Messages whose receipt has not come long after the carrier's time for them ended; each is
        given once."""
        found = []
        while self._owed and self._owed[0][0] <= now_ms:
            message = self._by_id.get(heapq.heappop(self._owed)[1])
            if message is not None and message.state == SUBMITTED:
                found.append(message)
        return found

    def settled_long_ago(self, expires_ms: int, now_ms: int) -> bool:
        """Whether a request that ended at `expires_ms` is so old that its outcome may have been
        forgotten: then it is neither sent nor stated again."""
        return expires_ms < now_ms - _REMEMBERED_MS // 2

    def _apply(self, change: MessageChange) -> Message | None:
        message = self._by_id.get(change.message_id)
        before = QUEUED if message is None else message.state
        attempt = 0 if message is None else message.attempt
        resend = 0 if message is None else message.resend
        if not follows(before, attempt, resend, change):
            return None
        latest = change.SerializeToString()
        if message is None:
            message = self._by_id[change.message_id] = Message(
                change.message_id, change.state, change.attempt, latest, resend=change.resend
            )
        else:
            if before == UNKNOWN and change.state == CLAIMED:
                # What a carrier still says of the attempt before speaks of no part of this one.
                self._forget_references(message, message.last())
            message.state, message.attempt, message.latest = change.state, change.attempt, latest
            message.resend = change.resend
        self._index(message, change)
        return message

    def _index(self, message: Message, change: MessageChange) -> None:
        if change.reference:
            if change.state in FINAL or change.state == RELEASED:
                self._forget_references(message, change)
            elif change.state == CLAIMED:
                for key in _reference_keys(change):
                    self._by_reference[key] = message
        if change.state == SUBMITTED and change.expires_ms:
            heapq.heappush(self._owed, (change.expires_ms + RECEIPT_WITHIN_MS, change.message_id))
        if change.state in WITH_CARRIER or change.state in FINAL:
            for carrier_id in change.carrier_ids:
                if carrier_id:
                    self._by_carrier_id[change.carrier, carrier_id] = message

    def _forget_references(self, message: Message, change: MessageChange) -> None:
        for key in _reference_keys(change):
            if self._by_reference.get(key) is message:
                del self._by_reference[key]


def lane_name(lane: common_pb2.Lane.ValueType) -> str:
    """E.g. "urgent", for metrics."""
    return common_pb2.Lane.Name(lane).removeprefix("LANE_").lower()


def state_name(state: State) -> str:
    """E.g. "delivered", for metrics."""
    return events_pb2.MessageState.Name(state).removeprefix("MESSAGE_STATE_").lower()


def _reference_keys(change: MessageChange) -> list[bytes]:
    if change.parts == 1:
        return [_reference_key(change.person, change.reference)]
    return [_reference_key(change.person, change.reference + part) for part in range(change.parts)]


def _reference_key(person: bytes, reference: int) -> bytes:
    return person + reference.to_bytes(2, "big")
