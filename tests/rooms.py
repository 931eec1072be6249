"""The owners of one partition in three rooms, on logs that a test holds: the rooms' own pure code,
with `Epochs` to say who counts.
"""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from mawja.broadcast.v1 import events_pb2 as broadcast
from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2 as dedup_pb2
from mawja.intake.v1 import events_pb2 as intake
from mawja.outreach.v1 import events_pb2 as outreach_pb2

from services.broadcast import messages, outcome
from services.broadcast.carriers.base import Accepted, Refused, SubmitOutcome, Unknown
from services.broadcast.carriers.base import UnknownReason as Why
from services.broadcast.carriers.errors import SendError
from services.broadcast.changes import claim, next_change
from services.broadcast.messages import MAY_BE_CLAIMED, UNKNOWN
from services.broadcast.receipts import Receipts
from services.dedup import data
from services.dedup.cases import Cases, Decision
from services.dedup.reading import NOTHING
from services.outreach import callbacks, decide, shelf
from services.runtime.own import EPOCH, MARKER, Epochs, epoch_of
from services.runtime.topics import CASE
from tests.model.world import Stored

CASE_RULES, WORDS = data.rules(), shelf.read(None).rules
NOW = 1_800_000_000_000
PEOPLE = (b"a" * 16, b"m" * 16)
ANSWERS: dict[str, SubmitOutcome] = {
    "taken": Accepted("id"),
    "silent": Unknown(Why.TIMEOUT),
    "lost": Unknown(Why.BIND_LOST),
    "throttled": Refused(SendError.THROTTLED),
}
DUE = outreach_pb2.CALLBACK_STATE_DUE
HAS_IT = frozenset({"taken", "silent"})


class Log:
    """A decision log. Appending tells whether the writer is still the owner."""

    def __init__(self) -> None:
        self.records: list[Stored] = []

    def mark(self) -> int:
        self.records.append(Stored(CASE.name, len(self.records), b"", [(MARKER, b"o")]))
        return len(self.records) - 1

    def append(self, epoch: int, values: list[bytes]) -> bool:
        for value in values:
            header = (EPOCH, epoch.to_bytes(8, "big"))
            self.records.append(Stored(CASE.name, len(self.records), value, [header]))
        return not any(r.headers[0][0] == MARKER for r in self.records[epoch + 1 :])

    def counted(self, upto: int | None = None) -> Iterator[Stored]:
        epochs = Epochs()
        for record in self.records[:upto]:
            if epochs.admits(0, record.offset, record.headers):
                yield record


@dataclass
class World:
    """What stands in Kafka, and what the carrier did."""

    inputs: dict[str, list[bytes]] = field(
        default_factory=lambda: {"contact": [], "call": [], "command": []}
    )
    cases: Log = field(default_factory=Log)
    callbacks: Log = field(default_factory=Log)
    requests: Log = field(default_factory=Log)
    status: Log = field(default_factory=Log)
    had: Counter[str] = field(default_factory=Counter)
    sent: list[broadcast.MessageChange] = field(default_factory=list)


def decided(cases: Cases, topic: str, value: bytes, at: common_pb2.Input) -> Decision:
    """The decision on one input."""
    if topic == "contact":
        return cases.contact(intake.ContactAccepted.FromString(value), NOTHING, at, NOW)
    if topic == "call":
        return cases.call(intake.CallEvent.FromString(value), at, NOW)
    return cases.command(dedup_pb2.CaseCommand.FromString(value), at, NOW)


class Dedup:
    """Decides contacts and calls, one decision for each."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.epoch = world.cases.mark()
        self.cases = Cases(CASE_RULES)
        for record in world.cases.counted(self.epoch):
            self.cases.fold(Decision.FromString(record.value or b""), record.offset)
        self.read = {t: self.cases.decided.get(t, -1) + 1 for t in world.inputs}

    def work(self, pick: random.Random, kept: int, _: str) -> bool:
        waiting = [t for t, values in self.world.inputs.items() if self.read[t] < len(values)]
        if not waiting:
            return True
        topic = pick.choice(waiting)
        offset = self.read[topic]
        self.read[topic] += 1
        at = common_pb2.Input(topic=topic, offset=offset)
        value = self.world.inputs[topic][offset]
        decision = decided(self.cases, topic, value, at)
        return self.world.cases.append(self.epoch, [decision.SerializeToString()][:kept])

    def idle(self) -> bool:
        return all(self.read[t] >= len(values) for t, values in self.world.inputs.items())


class Outreach:
    """Requests messages and keeps callbacks; two logs, callbacks first."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.epochs = world.callbacks.mark(), world.requests.mark()
        self.callbacks, self.messages = callbacks.Callbacks(), decide.Messages(rules=WORDS)
        for record in world.callbacks.counted(self.epochs[0]):
            self.callbacks.take(outreach_pb2.Callback.FromString(record.value or b""))
        for record in world.requests.counted(self.epochs[1]):
            self.messages.take(outreach_pb2.MessageRequested.FromString(record.value or b""))
        start = (0, -1)
        resume = [one.resume(CASE.name) or start for one in (self.callbacks, self.messages)]
        self.at, epoch = min(resume)
        self.reading = Epochs()
        self.reading.start(0, epoch)

    def work(self, _: random.Random, kept: int, __: str) -> bool:
        if self.idle():
            return True
        record = self.world.cases.records[self.at]
        self.at += 1
        if not self.reading.admits(0, record.offset, record.headers):
            return True
        decision = dedup_pb2.CaseDecision.FromString(record.value or b"")
        cause = common_pb2.Input(topic=CASE.name, offset=record.offset, epoch=epoch_of(record))
        callbacks = self.callbacks.decide(WORDS, decision, cause, NOW)
        drafts = self.messages.decide(WORDS, decision, cause, NOW)
        for callback in callbacks:
            self.callbacks.take(callback)
            said = [callback.SerializeToString()][:kept]
            if not self.world.callbacks.append(self.epochs[0], said):
                return False
        for draft in drafts:
            self.messages.take(draft.request)
        said = [draft.request.SerializeToString() for draft in drafts][: kept // 2]
        return self.world.requests.append(self.epochs[1], said)

    def idle(self) -> bool:
        return self.at >= len(self.world.cases.records)


class Broadcast:
    """Claims, sends, and writes what became of it. `stage`: what its process has in hand."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.epoch = world.status.mark()
        self.messages = messages.Messages()
        self.receipts = Receipts(self.messages)
        for record in world.status.counted(self.epoch):
            change = broadcast.MessageChange.FromString(record.value or b"")
            assert self.messages.fold(change, NOW, record.offset), "the table forbids it"
        for orphan in self.messages.claimed():
            self.put(next_change(orphan, UNKNOWN, "takeover"))
        # It reads all requests again: what it does twice changes nothing.
        self.at = 0
        self.reading = Epochs()
        self.ready: list[broadcast.MessageChange] = []
        self.later: list[broadcast.QueuedMessage] = []

    def put(self, change: broadcast.MessageChange, kept: int = 1) -> bool:
        self.messages.decide(change)
        return self.world.status.append(self.epoch, [change.SerializeToString()][:kept])

    def work(self, pick: random.Random, kept: int, answer: str) -> bool:
        if self.ready:
            return self.send(self.ready.pop(), kept, answer)
        if self.later and pick.random() < 0.5:
            return self.claim(self.later.pop(), kept)
        if self.at >= len(self.world.requests.records):
            return self.claim(self.later.pop(), kept) if self.later else True
        record = self.world.requests.records[self.at]
        self.at += 1
        if not self.reading.admits(0, record.offset, record.headers):
            return True
        request = outreach_pb2.MessageRequested.FromString(record.value or b"")
        return self.claim(
            broadcast.QueuedMessage(
                message_id=request.message_id, person=request.person, lane=request.lane, parts=1
            ),
            kept,
        )

    def claim(self, queued: broadcast.QueuedMessage, kept: int) -> bool:
        if self.messages.state(queued.message_id) not in MAY_BE_CLAIMED:
            return True
        change = claim(self.messages, queued, "c", 1, NOW)
        if not self.put(change, kept):
            return False
        self.ready.append(change)
        return True

    def send(self, change: broadcast.MessageChange, kept: int, answer: str) -> bool:
        """Its process may have slept between the claim and this."""
        if answer in HAS_IT:
            self.world.had[change.message_id] += 1
            self.world.sent.append(change)
        message = self.messages.get(change.message_id)
        assert message is not None
        result = outcome.verdict([ANSWERS[answer]])
        following = next_change(message, result.state, result.reason)
        following.carrier_ids.extend(f"{one}-{change.message_id}" for one in result.carrier_ids)
        if result.state == messages.RELEASED:
            self.later.append(
                broadcast.QueuedMessage(
                    message_id=change.message_id, person=change.person, lane=change.lane, parts=1
                )
            )
        return self.put(following, kept)

    def receive(self, of: broadcast.MessageChange, state: Any) -> bool:
        receipt = broadcast.Receipt(
            carrier="c", person=of.person, reference=of.reference, state=state, received_ms=NOW
        )
        change, _ = self.receipts.take(receipt, 0)
        return True if change is None else self.put(change)

    def idle(self) -> bool:
        return not self.ready and not self.later and self.at >= len(self.world.requests.records)


Owner = Dedup | Outreach | Broadcast
ROOMS: dict[str, type[Owner]] = {"dedup": Dedup, "outreach": Outreach, "broadcast": Broadcast}
