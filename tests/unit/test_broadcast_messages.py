"""A message is sent at most once for each attempt, whoever crashes, wakes up late or repeats."""

import uuid
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mawja.broadcast.v1 import events_pb2
from mawja.broadcast.v1.events_pb2 import MessageChange, QueuedMessage

from services.broadcast.carriers.base import Accepted, Refused, SubmitOutcome, Unknown
from services.broadcast.carriers.base import UnknownReason as Why
from services.broadcast.carriers.errors import SendError
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
    claim,
    ending,
    first_change,
    next_change,
)
from services.broadcast.outcome import verdict
from services.broadcast.receipts import Receipts

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
    assert {state for state, after in NEXT.items() if CLAIMED in after} == MAY_BE_CLAIMED


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


REQUEST = queued()
ID = REQUEST.message_id
ANSWERS = ("accepted", "silent", "lost", "throttled", "invalid", "not-sent")
Action = Callable[[], None]


class Owner:
    """A process that believes it owns the partition."""

    def __init__(self, epoch: int, messages: Messages) -> None:
        self.epoch = epoch
        self.next_offset = epoch + 1
        self.messages = messages
        self.receipts = Receipts(messages)
        self.confirmed = False
        self.answer: SubmitOutcome | None = None
        self.alive = True

    def message(self) -> Message:
        message = self.messages.get(ID)
        assert message is not None
        return message


class World:
    """One message, one log, one carrier; an owner, and the one before it, which may be frozen and
    go on later. The carrier remembers how often it took the message; nobody else counts that."""

    def __init__(self) -> None:
        self.log: list[tuple[int, MessageChange | None]] = []
        self.owners: list[Owner] = []
        self.taken = 0
        self.sent: list[tuple[int, str]] = []
        self.final: int | None = None
        self.take_over()

    def counts(self, upto: int) -> list[tuple[int, MessageChange]]:
        """The records below `upto` that count, as any reader tells them."""
        highest, found = -1, []
        for offset, (epoch, change) in enumerate(self.log[:upto]):
            if change is None:
                highest = offset
            elif epoch >= highest:
                found.append((offset, change))
        return found

    def append(self, owner: Owner, change: MessageChange) -> bool:
        """As OwnedLog: True when the record counts; else the owner ends."""
        self.log.append((owner.epoch, change))
        offset = len(self.log) - 1
        between = self.log[owner.next_offset : offset]
        owner.next_offset = offset + 1
        if any(change is None for _, change in between):
            owner.alive = False
            return False
        return True

    def decide(self, owner: Owner, change: MessageChange) -> bool:
        message = owner.messages.decide(change)
        if not self.append(owner, change):
            return False
        owner.messages.written(message, message.latest, 0, owner.next_offset - 1)
        return True

    def actions(self) -> list[Action]:
        """All that may happen next."""
        found: list[Action] = [self.take_over]
        for owner in self.owners:
            if not owner.alive:
                continue
            found.append(partial(self.crash, owner))
            if owner.messages.state(ID) in MAY_BE_CLAIMED:
                found += [partial(self.claims, owner)] * 3
                found.append(partial(self.ends_unsent, owner, EXPIRED))
            if owner.confirmed:
                found += [partial(self.calls_the_carrier, owner, answer) for answer in ANSWERS]
            if owner.answer is not None:
                found += [partial(self.writes_the_result, owner)] * 3
            found += [
                partial(self.receipt, owner, reference, carrier_id, state)
                for own_reference, own_id in self.sent[-1:]
                for reference, carrier_id in (
                    (own_reference, own_id),
                    (own_reference, ""),
                    (0, own_id),
                )
                for state in (events_pb2.RECEIPT_STATE_DELIVERED, events_pb2.RECEIPT_STATE_EXPIRED)
            ]
        return found

    def take_over(self) -> None:
        self.log.append((-1, None))
        epoch = len(self.log) - 1
        messages = Messages()
        for offset, change in self.counts(epoch):
            messages.fold(change, 0, offset)
        owner = Owner(epoch, messages)
        for orphan in messages.claimed():
            assert self.decide(owner, next_change(orphan, UNKNOWN, "takeover"))
        self.owners = [*self.owners[-1:], owner]

    def crash(self, owner: Owner) -> None:
        owner.alive = False

    def claims(self, owner: Owner) -> None:
        owner.confirmed = self.decide(owner, claim(owner.messages, REQUEST, "c", 1, 1_000))

    def calls_the_carrier(self, owner: Owner, answer: str) -> None:
        """Uses a claim, once; a crash may come before the result is written."""
        owner.confirmed = False
        carrier_id = f"id{len(self.sent)}"
        if answer in ("accepted", "silent"):
            self.taken += 1
            self.sent.append((owner.message().change().reference, carrier_id))
        outcomes: dict[str, SubmitOutcome] = {
            "accepted": Accepted(carrier_id),
            "silent": Unknown(Why.TIMEOUT),
            "lost": Unknown(Why.BIND_LOST),
            "throttled": Refused(SendError.THROTTLED),
            "invalid": Refused(SendError.INVALID_DESTINATION),
            "not-sent": Refused(SendError.NOT_SENT),
        }
        owner.answer = outcomes[answer]

    def writes_the_result(self, owner: Owner) -> None:
        assert owner.answer is not None
        result = verdict([owner.answer])
        owner.answer = None
        change = next_change(owner.message(), result.state, result.reason)
        change.carrier_ids.extend(result.carrier_ids)
        if self.decide(owner, change):
            for kept in owner.receipts.answered(owner.message()):
                follow, _ = owner.receipts.take(kept.receipt, kept.offset)
                if follow is not None:
                    self.decide(owner, follow)

    def ends_unsent(self, owner: Owner, state: events_pb2.MessageState.ValueType) -> None:
        self.decide(owner, ending(owner.messages, REQUEST, state, "because"))

    def receipt(
        self,
        owner: Owner,
        reference: int,
        carrier_id: str,
        state: events_pb2.ReceiptState.ValueType,
    ) -> None:
        receipt = events_pb2.Receipt(
            carrier="c", carrier_id=carrier_id, reference=reference, person=PERSON, state=state
        )
        change, _ = owner.receipts.take(receipt, 0)
        if change is not None:
            self.decide(owner, change)

    def check(self) -> None:
        assert self.taken <= 1, "a person got a message twice"
        reader = Messages()
        for offset, change in self.counts(len(self.log)):
            assert reader.fold(change, 0, offset), "an owner wrote what the table forbids"
        state = reader.state(ID)
        assert self.final in (None, state), "a final state was left"
        if state in FINAL:
            self.final = state
        assert state not in (DELIVERED, SUBMITTED) or self.taken == 1
        assert state != EXPIRED or self.taken == 0


@settings(max_examples=1_500, deadline=None)
@given(st.lists(st.integers(0, 59), min_size=4, max_size=30))
def test_whatever_happens_nobody_gets_a_message_twice(steps: list[int]) -> None:
    """Claims, answers, receipts, crashes, takeovers and late owners, in any order."""
    world = World()
    for step in steps:
        actions = world.actions()
        actions[step % len(actions)]()
        world.check()
