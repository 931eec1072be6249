"""A message is sent at most once for each attempt, whoever crashes, wakes up late or repeats."""

import uuid

import pytest
from mawja.broadcast.v1 import events_pb2
from mawja.broadcast.v1.events_pb2 import MessageChange, QueuedMessage

from services.broadcast.changes import claim, ending, first_change, next_change
from services.broadcast.lanes import BULK
from services.broadcast.messages import (
    CLAIMED,
    DELIVERED,
    EXPIRED,
    FAILED,
    FINAL,
    MAY_BE_CLAIMED,
    NEXT,
    RECEIPT_WITHIN_MS,
    RELEASED,
    SUBMITTED,
    SUPPRESSED,
    UNKNOWN,
    Illegal,
    Message,
    Messages,
)

PERSON = b"p" * 16


def queued(name: str = "m", parts: int = 1, person: bytes = PERSON) -> QueuedMessage:
    return QueuedMessage(
        message_id=str(uuid.uuid5(uuid.NAMESPACE_OID, name)), person=person, lane=BULK, parts=parts
    )


def claimed(messages: Messages, message: QueuedMessage) -> Message:
    return messages.decide(claim(messages, message, "c", message.parts, 1_000))


def answered(messages: Messages, message: Message, *ids: str) -> Message:
    change = next_change(message, SUBMITTED)
    change.carrier_ids.extend(ids)
    return messages.decide(change)


def test_the_table_never_leads_back_and_never_out_of_a_final_state() -> None:
    assert set(NEXT) == set(events_pb2.MessageState.values()) - {0}
    for state, following in NEXT.items():
        if state in FINAL:
            assert not following
        else:
            # Back to an earlier number only with a new attempt.
            assert all(after >= state or after == CLAIMED for after in following)
    # What may have arrived only by a person's decision.
    claimable = {state for state, after in NEXT.items() if CLAIMED in after}
    assert claimable == MAY_BE_CLAIMED | {UNKNOWN}


@pytest.mark.parametrize("final", sorted(FINAL))
def test_nothing_follows_a_final_state(final: events_pb2.MessageState.ValueType) -> None:
    messages = Messages()
    if final in (SUPPRESSED, EXPIRED):
        message = messages.decide(first_change(queued(), final, "because"))
    else:
        message = messages.decide(next_change(claimed(messages, queued()), FAILED))
        message.state = final
    for state in NEXT:
        change = next_change(message, state)
        change.attempt = message.attempt + (state == CLAIMED)
        with pytest.raises(Illegal):
            messages.decide(change)
        assert not messages.fold(change, 5, 5)
    assert message.state == final


def test_the_unknown_is_claimed_once_for_each_decision_to_send_it_once_more() -> None:
    messages = Messages()
    message = claimed(messages, queued())
    before = message.change()
    unknown = messages.decide(next_change(message, UNKNOWN, "timeout"))
    with pytest.raises(Illegal):
        claimed(messages, queued())
    again = queued()
    again.resend = 1
    assert not messages.resendable(again.message_id, 1, 1_000)
    messages.written(unknown, unknown.latest, 500, 1)
    assert not messages.resendable(again.message_id, 1, 499)
    assert messages.resendable(again.message_id, 1, 500)
    assert claimed(messages, again).attempt == 2
    # Its carrier's word about the attempt before speaks of no part of this one.
    now = message.change()
    assert now.reference != before.reference
    assert messages.find(before.carrier, "", before.person, before.reference) is None
    assert messages.find(now.carrier, "", now.person, now.reference) == (message, 0)
    messages.decide(next_change(message, UNKNOWN, "takeover"))
    assert not messages.resendable(again.message_id, 1, 10_000)
    with pytest.raises(Illegal):
        claimed(messages, again)
    again.resend = 2
    assert claimed(messages, again).attempt == 3
    # Given back it is claimed again by the same decision.
    messages.decide(next_change(message, RELEASED, "campaign-held"))
    assert claimed(messages, again).attempt == 4


def test_a_new_attempt_needs_a_release() -> None:
    messages = Messages()
    message = claimed(messages, queued())
    with pytest.raises(Illegal, match="CLAIMED to MESSAGE_STATE_CLAIMED"):
        claimed(messages, queued())
    messages.decide(next_change(message, RELEASED))
    assert claimed(messages, queued()).attempt == 2
    messages.decide(next_change(message, UNKNOWN))
    with pytest.raises(Illegal):
        claimed(messages, queued())


def test_a_result_of_another_attempt_is_ignored() -> None:
    messages = Messages()
    message = claimed(messages, queued())
    late = next_change(message, SUBMITTED)
    messages.decide(next_change(message, RELEASED))
    claimed(messages, queued())
    assert not messages.fold(late, 5, 5)
    assert message.state == CLAIMED


def test_a_message_that_never_went_ends_at_the_attempt_it_had() -> None:
    messages = Messages()
    message = claimed(messages, queued())
    messages.decide(next_change(message, RELEASED))
    ended = messages.decide(ending(messages, queued(), EXPIRED, "expired"))
    assert (ended.state, ended.attempt, ended.change().reason) == (EXPIRED, 1, "expired")


def test_the_fold_of_what_was_decided_is_what_was_decided() -> None:
    owner, reader = Messages(), Messages()
    log: list[MessageChange] = []
    message = claimed(owner, queued(parts=2))
    log.append(message.change())
    log.append(answered(owner, message, "a", "b").change())
    for offset, change in enumerate(log):
        assert reader.fold(change, 7, offset)
    copy = reader.get(message.message_id)
    assert copy is not None
    assert (copy.state, copy.latest, copy.offset) == (SUBMITTED, message.latest, 1)
    assert reader.find("c", "b", PERSON, 0) == (copy, 1)


def test_references_of_one_person_do_not_meet() -> None:
    messages = Messages()
    taken: list[int] = []
    for number in range(200):
        change = claimed(messages, queued(f"m{number}", parts=3)).change()
        taken += range(change.reference, change.reference + 3)
    assert len(set(taken)) == len(taken)
    assert min(taken) >= 1
    assert max(taken) <= 0xFFFF


def test_a_reference_is_free_again_after_the_end() -> None:
    messages = Messages()
    message = claimed(messages, queued())
    reference = message.change().reference
    assert messages.find("c", "", PERSON, reference) == (message, 0)
    assert messages.find("other", "", PERSON, reference) is None
    assert messages.find("c", "", b"q" * 16, reference) is None
    messages.decide(next_change(message, FAILED))
    assert messages.find("c", "", PERSON, reference) is None


def test_another_id_under_the_same_reference_is_not_ours() -> None:
    messages = Messages()
    message = answered(messages, claimed(messages, queued()), "mine")
    reference = message.change().reference
    assert messages.find("c", "mine", PERSON, reference) == (message, 0)
    assert messages.find("c", "theirs", PERSON, reference) is None


def test_an_id_that_a_late_answer_replaced_is_nobodys() -> None:
    """A carrier whose receipts write ids otherwise than its answers, which come too late."""
    messages = Messages()
    message = claimed(messages, queued(parts=2))
    for carrier_id in ("receipt", "answer"):
        change = next_change(message, UNKNOWN)
        del change.carrier_ids[:]
        change.carrier_ids.extend([carrier_id, ""])
        messages.decide(change)
    assert messages.find("c", "receipt", PERSON, 0) is None
    assert messages.find("c", "answer", PERSON, 0) == (message, 0)


def test_a_receipt_that_does_not_come_leaves_the_message_unknown() -> None:
    messages = Messages()
    request = queued()
    request.expires_ms = 5_000
    message = answered(messages, claimed(messages, request), "a")
    assert messages.overdue(5_000 + RECEIPT_WITHIN_MS - 1) == []
    assert messages.overdue(5_000 + RECEIPT_WITHIN_MS) == [message]
    assert messages.overdue(5_000 + RECEIPT_WITHIN_MS) == []
    messages.decide(next_change(message, UNKNOWN, "no-receipt"))
    assert messages.find("c", "a", PERSON, 0) == (message, 0), "it may still come"
    messages.decide(next_change(message, DELIVERED))


def test_an_id_that_the_carrier_uses_again_is_the_open_message() -> None:
    messages = Messages()
    old = answered(messages, claimed(messages, queued("old")), "7")
    messages.decide(next_change(old, DELIVERED))
    assert messages.find("c", "7", PERSON, 0) == (old, 0)
    assert messages.find("c", "7", b"q" * 16, 0) is None, "another person's"
    new = claimed(messages, queued("new"))
    # Before the submit's answer is known, the reference tells them apart.
    assert messages.find("c", "7", PERSON, new.change().reference) == (new, 0)
    answered(messages, new, "7")
    assert messages.find("c", "7", PERSON, 0) == (new, 0)


def test_old_messages_are_forgotten_when_no_request_can_come_back() -> None:
    messages = Messages()
    day = 24 * 3600 * 1000
    message = answered(messages, claimed(messages, queued()), "id")
    final = messages.decide(next_change(message, DELIVERED))
    messages.written(final, final.latest, 1 * day, 3)
    messages.forget(2 * day)
    assert messages.get(final.message_id) is final
    assert messages.find("c", "id", PERSON, 0) is None
    messages.forget(32 * day)
    assert messages.get(final.message_id) is None
    assert messages.settled_long_ago(8 * day, 32 * day)
    assert not messages.settled_long_ago(31 * day, 32 * day)
