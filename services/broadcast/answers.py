"""What a carrier says of a message after its submit was written: answers in time and late, and
receipts, in whatever order they come.
"""

import asyncio

from mawja.broadcast.v1 import events_pb2
from mawja.broadcast.v1.events_pb2 import MessageChange

from services.broadcast import outcome
from services.broadcast.books import Books
from services.broadcast.carriers.base import Accepted, LateAnswer, OutMessage
from services.broadcast.changes import next_change
from services.broadcast.messages import FAILED, UNKNOWN, Message
from services.broadcast.receipts import Kept, Receipts
from services.runtime import metrics
from services.runtime.topics import RECEIPT


class Answers:
    """The answers and receipts of one partition."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._receipts = Receipts(books.messages)
        books.doubted = self._known

    def receive(self, receipt: events_pb2.Receipt, offset: int) -> "asyncio.Future[None] | None":
        """Takes the receipt at `offset`; what it decides is in the log when the future is done."""
        change, keep = self._receipts.take(receipt, offset)
        if keep:
            self._books.held[RECEIPT.name].hold(offset)
        return None if change is None else self._books.status.put([change])

    def answered(self, change: MessageChange) -> None:
        """Decides a submit's result, then what the receipts say that came before it."""
        self._books.status.put([change])
        message = self._books.messages.get(change.message_id)
        assert message is not None, "a decided message is known"
        self._known(message)

    def late(self, carrier: str, person: bytes, answer: LateAnswer) -> None:
        """The carrier answered after its message had become unknown."""
        found = self._books.messages.find(carrier, "", person, answer.part.reference)
        if found is None or found[0].state != UNKNOWN:
            return
        message, part = found
        if isinstance(answer.outcome, Accepted):
            if not answer.outcome.carrier_id:
                return
            change = next_change(message, UNKNOWN, message.change().reason)
            carrier_ids = list(change.carrier_ids) or [""] * change.parts
            whole = isinstance(answer.part, OutMessage)
            for one in range(change.parts) if whole else (part,):
                carrier_ids[one] = answer.outcome.carrier_id
            del change.carrier_ids[:]
            change.carrier_ids.extend(carrier_ids)
        else:
            # Definitely refused after all. Its text is gone from here, so there is no next attempt.
            change = next_change(message, FAILED, outcome.reason_of(answer.outcome.error))
        self.answered(change)

    def sweep(self, now: int) -> None:
        """At `now` (Unix ms): what is overdue becomes unknown, what nobody meant is let go of."""
        books = self._books
        late = [
            next_change(message, UNKNOWN, "no-receipt") for message in books.messages.overdue(now)
        ]
        if late:
            books.status.put(late)
        for kept in self._receipts.give_up(now):
            metrics.RECEIPTS_UNMATCHED.labels(kept.receipt.carrier).inc()
            books.held[RECEIPT.name].release(kept.offset)

    def _known(self, message: Message) -> None:
        for kept in self._receipts.answered(message):
            self._apply_kept(kept)

    def _apply_kept(self, kept: Kept) -> None:
        held = self._books.held[RECEIPT.name]
        change, keep = self._receipts.take(kept.receipt, kept.offset)
        if keep:
            # Held already, from when it came.
            return
        if change is None:
            held.release(kept.offset)
            return
        # Committed only when the log has what it says.
        self._books.status.put([change]).add_done_callback(
            lambda done: held.release(kept.offset) if done.exception() is None else None
        )
