"""Receipts: what a carrier's word about a part does to its message, and words that come too early.

A receipt may come before the submit's answer is recorded, late, several times, for each part, in
any order. One that matches no message, or a message whose answer is still awaited, is kept with
its offset until it does; the offset is not committed meanwhile, so that a crash loses none. After
`PATIENCE_MS` it is given up: nothing of ours is under that id. Pure.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mawja.broadcast.v1 import events_pb2
from mawja.broadcast.v1.events_pb2 import MessageChange, Receipt

from services.broadcast.changes import next_change
from services.broadcast.messages import (
    CLAIMED,
    DELIVERED,
    FAILED,
    MAX_REFERENCE,
    PART_DELIVERED,
    PART_FAILED,
    PART_OPEN,
    WITH_CARRIER,
    Message,
    Messages,
)
from services.runtime.errors import Poison

TOGETHER = 200
"""Most receipts of a record: some 15 kB."""
PATIENCE_MS = 10 * 60 * 1000
CAPACITY = 20_000
"""Most receipts of a partition that are kept unmatched; beyond it the oldest is given up."""

_NO_REFERENCE = MAX_REFERENCE + 1
_OUTCOMES: dict[events_pb2.ReceiptState.ValueType, tuple[int, str]] = {
    events_pb2.RECEIPT_STATE_DELIVERED: (PART_DELIVERED, ""),
    events_pb2.RECEIPT_STATE_EXPIRED: (PART_FAILED, "expired-at-carrier"),
    events_pb2.RECEIPT_STATE_DELETED: (PART_FAILED, "deleted-at-carrier"),
    events_pb2.RECEIPT_STATE_UNDELIVERABLE: (PART_FAILED, "undeliverable"),
    events_pb2.RECEIPT_STATE_REJECTED: (PART_FAILED, "rejected-by-carrier"),
}
"""What ends a part; every other state only says that it is on its way."""


def records_of(receipts: Sequence[Receipt]) -> Iterator[Receipt]:
    """Receipts of one carrier for people of one partition, as they are written: together."""
    for begin in range(0, len(receipts), TOGETHER):
        some = receipts[begin : begin + TOGETHER]
        if len(some) == 1:
            yield some[0]
        else:
            yield Receipt(
                carrier=some[0].carrier,
                received_ms=some[0].received_ms,
                reference=_NO_REFERENCE,
                receipts=some,
            )


def receipts_in(record: Receipt) -> Sequence[Receipt]:
    """The receipts that a record holds."""
    return record.receipts or (record,)


@dataclass(slots=True)
class Kept:
    """A receipt that waits for its message."""

    receipt: Receipt
    offset: int
    waiting: bool = True


class Receipts:
    """Applies the receipts of one partition to its messages."""

    def __init__(self, messages: Messages) -> None:
        self._messages = messages
        self._kept: deque[Kept] = deque()
        self._by_key: dict[tuple[str, str | bytes], list[Kept]] = {}

    @property
    def kept(self) -> int:
        """How many wait."""
        return sum(1 for kept in self._kept if kept.waiting)

    def take(self, receipt: Receipt, offset: int) -> tuple[MessageChange | None, bool]:
        """What `receipt`, read at `offset`, changes, if anything; and whether it must be kept,
        because its message, or the answer to its submit, is not known yet.

        The change is to be decided before the next receipt is taken. Raises Poison.
        """
        if receipt.reference > MAX_REFERENCE:
            raise Poison("a receipt for a reference that no message can have")
        if receipt.state not in _OUTCOMES:
            return None, False
        found = self._messages.find(
            receipt.carrier, receipt.carrier_id, receipt.person, receipt.reference
        )
        if found is None or found[0].state == CLAIMED:
            self._keep(receipt, offset)
            return None, True
        return self._change(*found, receipt), False

    def answered(self, message: Message) -> list[Kept]:
        """The receipts that waited for what is now known of `message`; they are let go of, and are
        to be taken again."""
        if not self._by_key:
            return []
        change = message.last()
        keys: list[tuple[str, str | bytes]] = [
            (change.carrier, carrier_id) for carrier_id in change.carrier_ids if carrier_id
        ]
        keys += [
            (change.carrier, _reference(change.person, change.reference + part))
            for part in range(change.parts)
        ]
        freed = []
        for key in keys:
            for kept in self._by_key.pop(key, ()):
                if kept.waiting:
                    kept.waiting = False
                    freed.append(kept)
        return freed

    def give_up(self, now_ms: int) -> list[Kept]:
        """Lets go of those that waited too long, and of the oldest when there are too many."""
        gone = []
        while self._kept and (
            not self._kept[0].waiting
            or self._kept[0].receipt.received_ms < now_ms - PATIENCE_MS
            or len(self._kept) > CAPACITY
        ):
            kept = self._kept.popleft()
            if kept.waiting:
                kept.waiting = False
                gone.append(kept)
        if gone or len(self._by_key) > 2 * CAPACITY:
            self._by_key = {
                key: still
                for key, waiting in self._by_key.items()
                if (still := [kept for kept in waiting if kept.waiting])
            }
        return gone

    def _keep(self, receipt: Receipt, offset: int) -> None:
        # Alone: as one of many it would keep all of its record in memory.
        kept = Kept(Receipt.FromString(receipt.SerializeToString()), offset)
        self._kept.append(kept)
        if receipt.carrier_id:
            self._by_key.setdefault((receipt.carrier, receipt.carrier_id), []).append(kept)
        if receipt.reference:
            key = _reference(receipt.person, receipt.reference)
            self._by_key.setdefault((receipt.carrier, key), []).append(kept)

    def _change(self, message: Message, part: int, receipt: Receipt) -> MessageChange | None:
        if message.state not in WITH_CARRIER:
            return None
        outcome, reason = _OUTCOMES[receipt.state]
        before = message.last()
        outcomes = bytearray(before.part_outcomes or bytes(before.parts))
        if outcomes[part] != PART_OPEN:
            return None
        spoken_of = range(before.parts) if receipt.whole else (part,)
        for one in spoken_of:
            outcomes[one] = outcome
        state = message.state
        if outcome == PART_FAILED:
            # Without one part nobody can read the whole.
            state = FAILED
        elif all(one == PART_DELIVERED for one in outcomes):
            state = DELIVERED
        change = next_change(
            message, state, reason or (before.reason if state != DELIVERED else "")
        )
        change.part_outcomes = bytes(outcomes)
        if receipt.carrier_id and not (change.carrier_ids and change.carrier_ids[part]):
            ids = list(change.carrier_ids) or [""] * change.parts
            for one in spoken_of:
                ids[one] = receipt.carrier_id
            del change.carrier_ids[:]
            change.carrier_ids.extend(ids)
        return change


def _reference(person: bytes, reference: int) -> bytes:
    return person + reference.to_bytes(2, "big")
