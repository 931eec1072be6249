"""What is believed of messages after Kafka was restored from a backup."""

import asyncio
from collections.abc import Iterable

import pytest
from google.protobuf.message import DecodeError
from mawja.broadcast.v1.events_pb2 import (
    RECEIPT_STATE_DELIVERED,
    MessageChange,
    QueuedMessage,
    Receipt,
    Restoration,
)

from services.broadcast.answers import Answers
from services.broadcast.books import Books
from services.broadcast.changes import claim
from services.broadcast.messages import CLAIMED, DELIVERED, UNKNOWN, Messages
from services.broadcast.restored import Restorations
from tests.broadcast_parts import queued

DECLARED = 1_000


def said(name: str = "a", declared_ms: int = DECLARED, resumed_ms: int = 0) -> bytes:
    return Restoration(
        restoration_id=name, backup_ms=500, declared_ms=declared_ms, resumed_ms=resumed_ms
    ).SerializeToString()


def asked(requested_ms: int, accepted_ms: int = 0) -> QueuedMessage:
    return QueuedMessage(requested_ms=requested_ms, accepted_ms=accepted_ms)


def test_nothing_is_paused_or_doubted_where_nothing_was_restored() -> None:
    nothing = Restorations()
    assert not nothing.paused
    assert not nothing.doubtful(asked(0))


def test_sending_is_paused_until_somebody_resumes() -> None:
    known = Restorations()
    states = []
    for record in (said(), said(resumed_ms=2_000), said(resumed_ms=2_000)):
        # Resumed it is only once.
        states.append((known.take(record), known.paused))
    assert states == [(False, True), (True, False), (False, False)]


def test_of_two_restores_both_must_be_resumed() -> None:
    known = Restorations()
    known.take(said("a"))
    known.take(said("b", declared_ms=3_000))
    assert not known.take(said("a", resumed_ms=4_000))
    assert known.paused
    assert known.take(said("b", declared_ms=3_000, resumed_ms=4_000))
    assert known.before_ms == 3_000


def test_what_was_asked_for_before_is_doubtful_for_ever() -> None:
    known = Restorations()
    known.take(said(resumed_ms=2_000))
    assert known.doubtful(asked(DECLARED - 1))
    assert not known.doubtful(asked(DECLARED))
    # Outreach asks once more for what a contact of before the loss has caused.
    assert known.doubtful(asked(DECLARED + 50, accepted_ms=DECLARED - 50))
    assert not known.doubtful(asked(DECLARED + 50, accepted_ms=DECLARED + 1))


def test_a_record_that_is_none_is_not_passed_over() -> None:
    known = Restorations()
    with pytest.raises(DecodeError):
        known.take(b"\xff")
    assert not known.take(None)


class Decided:
    """A status log that has what was put at once."""

    def __init__(self, messages: Messages) -> None:
        self.changes: list[MessageChange] = []
        self._messages = messages

    def put(self, changes: Iterable[MessageChange]) -> "asyncio.Future[None]":
        for change in changes:
            self._messages.decide(change)
            self.changes.append(change)
        done = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done


async def test_a_receipt_that_came_before_its_message_was_doubted_settles_it() -> None:
    # Receipts and lanes are read beside each other: the receipt of what the lost log had sent may
    # be read first.
    books, message = Books(), queued("m")
    books.status = decided = Decided(books.messages)  # type: ignore[assignment]
    answers = Answers(books)
    receipt = Receipt(
        carrier="c",
        person=message.person,
        reference=claim(Messages(), message, "c", 1, 0).reference,
        state=RECEIPT_STATE_DELIVERED,
    )
    assert answers.receive(receipt, 7) is None
    assert books.held["broadcast.receipt.v1"].up_to(9) == 7
    books.doubt(message, "c")
    assert [one.state for one in decided.changes] == [CLAIMED, UNKNOWN, DELIVERED]
    await asyncio.sleep(0)
    assert books.held["broadcast.receipt.v1"].up_to(9) == 9, "its place is given up"
