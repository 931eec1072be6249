"""Whatever crashes, wakes up late or repeats, in any order: a message is sent at most once for each
attempt."""

import uuid
from collections.abc import Callable
from functools import partial

from hypothesis import given, settings
from hypothesis import strategies as st
from mawja.broadcast.v1 import events_pb2
from mawja.broadcast.v1.events_pb2 import MessageChange, QueuedMessage

from services.broadcast.carriers.base import Accepted, Refused, SubmitOutcome, Unknown
from services.broadcast.carriers.base import UnknownReason as Why
from services.broadcast.carriers.errors import SendError
from services.broadcast.changes import claim, ending, next_change
from services.broadcast.lanes import BULK
from services.broadcast.messages import (
    DELIVERED,
    EXPIRED,
    FINAL,
    MAY_BE_CLAIMED,
    SUBMITTED,
    UNKNOWN,
    Message,
    Messages,
)
from services.broadcast.outcome import verdict
from services.broadcast.receipts import Receipts

PERSON = b"p" * 16
REQUEST = QueuedMessage(
    message_id=str(uuid.uuid5(uuid.NAMESPACE_OID, "m")), person=PERSON, lane=BULK, parts=1
)
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
