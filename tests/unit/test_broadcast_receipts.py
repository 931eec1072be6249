"""Receipts settle the parts of messages, in any order and any number of times."""

from itertools import permutations
from types import SimpleNamespace
from typing import Any

import pytest
from mawja.broadcast.v1 import events_pb2

from services.broadcast.admission import Turn
from services.broadcast.changes import claim, next_change
from services.broadcast.messages import DELIVERED, FAILED, SUBMITTED, UNKNOWN, Message, Messages
from services.broadcast.receipts import PATIENCE_MS, TOGETHER, Receipts, receipts_in, records_of
from services.broadcast.worker import Partition
from services.runtime.errors import Poison
from tests.broadcast_parts import queued

PERSON = b"p" * 16
HAS = events_pb2.RECEIPT_STATE_DELIVERED
HAS_NOT = events_pb2.RECEIPT_STATE_UNDELIVERABLE


def claimed(messages: Messages, parts: int) -> Message:
    request = queued("m", parts=parts)
    request.person = PERSON
    return messages.decide(claim(messages, request, "c", parts, 1_000))


def submit(messages: Messages, message: Message, *ids: str) -> None:
    change = next_change(message, SUBMITTED if ids else UNKNOWN, "" if ids else "timeout")
    change.carrier_ids.extend(ids)
    messages.decide(change)


def receipt(
    carrier_id: str, state: events_pb2.ReceiptState.ValueType = HAS, reference: int = 0
) -> events_pb2.Receipt:
    return events_pb2.Receipt(
        carrier="c",
        carrier_id=carrier_id,
        state=state,
        reference=reference,
        person=PERSON,
        received_ms=1_000,
    )


def take(receipts: Receipts, messages: Messages, one: events_pb2.Receipt, offset: int = 0) -> bool:
    change, kept = receipts.take(one, offset)
    if change is not None:
        messages.decide(change)
    return kept


@pytest.mark.parametrize("order", list(permutations(["a", "b", "c", "a", "b"])))
def test_parts_are_settled_in_any_order_and_any_number_of_times(order: tuple[str, ...]) -> None:
    messages = Messages()
    receipts = Receipts(messages)
    message = claimed(messages, 3)
    submit(messages, message, "a", "b", "c")
    seen: set[str] = set()
    for carrier_id in order:
        assert not take(receipts, messages, receipt(carrier_id))
        seen.add(carrier_id)
        assert (message.state == DELIVERED) == (len(seen) == 3)


def test_one_undelivered_part_fails_the_message_and_the_reason_is_kept() -> None:
    messages = Messages()
    receipts = Receipts(messages)
    message = claimed(messages, 2)
    submit(messages, message, "a", "b")
    take(receipts, messages, receipt("a"))
    take(receipts, messages, receipt("b", HAS_NOT))
    assert message.state == FAILED
    assert message.change().reason == "undeliverable"
    assert message.change().part_outcomes == b"\x01\x02"
    assert not take(receipts, messages, receipt("b", HAS))
    assert message.state == FAILED


def test_what_is_on_its_way_changes_nothing() -> None:
    messages = Messages()
    receipts = Receipts(messages)
    message = claimed(messages, 1)
    submit(messages, message, "a")
    for state in (
        events_pb2.RECEIPT_STATE_ENROUTE,
        events_pb2.RECEIPT_STATE_ACCEPTED,
        events_pb2.RECEIPT_STATE_UNKNOWN,
        events_pb2.RECEIPT_STATE_UNSPECIFIED,
    ):
        assert receipts.take(receipt("a", state), 0) == (None, False)
    assert message.state == SUBMITTED


@pytest.mark.parametrize("by_reference", [True, False])
def test_a_receipt_before_the_answer_waits_for_it(by_reference: bool) -> None:
    messages = Messages()
    receipts = Receipts(messages)
    message = claimed(messages, 1)
    reference = message.change().reference if by_reference else 0
    assert take(receipts, messages, receipt("a", reference=reference), offset=7)
    assert take(receipts, messages, receipt("a", reference=reference), offset=8)
    assert receipts.kept == 2
    submit(messages, message, "a")
    freed = receipts.answered(message)
    assert [kept.offset for kept in freed] == [7, 8]
    for kept in freed:
        assert not take(receipts, messages, kept.receipt)
    assert message.state == DELIVERED
    assert receipts.kept == 0


def test_a_receipt_settles_what_was_unknown_by_person_and_reference() -> None:
    messages = Messages()
    receipts = Receipts(messages)
    message = claimed(messages, 2)
    submit(messages, message)
    first = message.change().reference
    take(receipts, messages, receipt("x", reference=first))
    assert (message.state, list(message.change().carrier_ids)) == (UNKNOWN, ["x", ""])
    take(receipts, messages, receipt("y", reference=first + 1))
    assert (message.state, message.change().reason) == (DELIVERED, "")


def test_a_receipt_that_nobody_waits_for_is_given_up_after_its_time() -> None:
    messages = Messages()
    receipts = Receipts(messages)
    assert take(receipts, messages, receipt("stranger"), offset=3)
    assert receipts.give_up(1_000 + PATIENCE_MS) == []
    assert [kept.offset for kept in receipts.give_up(1_001 + PATIENCE_MS)] == [3]
    assert receipts.kept == 0


@pytest.mark.parametrize("answered", [True, False], ids=["submitted", "unknown"])
def test_a_receipt_for_the_whole_settles_every_part(answered: bool) -> None:
    messages = Messages()
    receipts, message = Receipts(messages), claimed(messages, 3)
    # A carrier that takes whole messages gives all parts one id.
    submit(messages, message, *(["w"] * 3 if answered else []))
    word = receipt("w", reference=0 if answered else message.change().reference)
    word.whole = True
    assert not take(receipts, messages, word)
    assert message.state == DELIVERED
    assert list(message.change().carrier_ids) == ["w"] * 3
    assert message.change().part_outcomes == bytes([1, 1, 1])


@pytest.mark.parametrize("count", [0, 1, 2, TOGETHER, 2 * TOGETHER + 1])
def test_receipts_come_out_of_their_records_as_they_went_in(count: int) -> None:
    some = [receipt(str(number)) for number in range(count)]
    records = [events_pb2.Receipt.FromString(r.SerializeToString()) for r in records_of(some)]
    assert len(records) == -(-count // TOGETHER)
    assert [one for record in records for one in receipts_in(record)] == some


def test_who_does_not_know_of_several_receipts_sets_their_record_aside() -> None:
    [record] = records_of([receipt("a"), receipt("b")])
    del record.receipts[:]
    with pytest.raises(Poison):
        Receipts(Messages()).take(record, 0)


async def test_a_damaged_receipt_keeps_back_no_other_of_its_record() -> None:
    taken: list[str] = []

    def receive(one: events_pb2.Receipt, offset: int) -> None:
        assert offset == 7
        if one.carrier_id == "bad":
            raise Poison("damaged")
        taken.append(one.carrier_id)

    [record] = records_of([receipt("a"), receipt("bad"), receipt("b")])
    partition: Any = SimpleNamespace(_answers=SimpleNamespace(receive=receive))
    with pytest.raises(Poison):
        await Partition._receipts(partition, record, 7, Turn())
    assert taken == ["a", "b"]
