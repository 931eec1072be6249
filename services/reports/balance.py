"""Whether the books of a running system balance, counted as it runs: what intake accepted against
what dedup decided, and what outreach asked for against where broadcast has it. Pure.

`mawja ledger` judges everything that is kept and remembers all of it. This one judges what came
since it began, and remembers only what has not ended, or did so within the hour; what has not moved
for a day it only counts. Messages of campaigns, which stand in buckets of their own, it leaves out.
Like the ledger it takes its law from the design, not from the services' code.

A round takes records of `TOPICS` up to ends that were asked for in that order, effects before
causes, and is judged by `settle`. What is missing counts when two rounds miss it: of two effects
of one cause the first may stand beyond an end that was asked for early.
"""

from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from google.protobuf.message import DecodeError
from mawja.broadcast.v1.events_pb2 import (
    BroadcastCommand,
    QueuedMessage,
    StatusRecord,
)
from mawja.common.v1.common_pb2 import DeadLetter
from mawja.dedup.v1.events_pb2 import CaseDecision
from mawja.outreach.v1.events_pb2 import MessageRequested

from loadtests.ledger.columns import key_of
from loadtests.ledger.messages import BUCKETS, CLAIMED, FINAL, MAY_BE_AT_CARRIER, NEVER_STATED, NEXT
from services.runtime.own import Record
from services.runtime.topics import (
    BROADCAST_COMMAND,
    BROADCAST_DEAD,
    CASE,
    CONTACT_ACCEPTED,
    DEDUP_DEAD,
    MESSAGE_REQUESTED,
    MESSAGE_STATUS,
    QUEUED_BULK,
    QUEUED_NORMAL,
    QUEUED_URGENT,
    Topic,
)

_LANES = (QUEUED_URGENT, QUEUED_NORMAL, QUEUED_BULK)
TOPICS: tuple[Topic, ...] = (
    MESSAGE_STATUS,
    BROADCAST_DEAD,
    *_LANES,
    MESSAGE_REQUESTED,
    BROADCAST_COMMAND,
    CASE,
    DEDUP_DEAD,
    CONTACT_ACCEPTED,
)
"""What is read, effects before their causes."""
SLACK_MS = 60_000
"""Records are read from so long before the first one that counts: clocks of two rooms differ."""
_KEPT_MS = 24 * 3600_000
_ENDED_KEPT_MS = 3600_000
_TOLD_MS = 3600_000
"""How long something that happened once is told."""
_MOST = 10_000
CONTACTS, MESSAGES = "contacts", "messages"
Thing: TypeAlias = str
Kind: TypeAlias = tuple[Thing, str]
PASSED_OVER, UNCAUSED, TWICE, AFTER_END = "passed-over", "uncaused", "twice", "after-its-end"
KINDS: tuple[Kind, ...] = (
    (CONTACTS, PASSED_OVER),
    (CONTACTS, TWICE),
    (MESSAGES, PASSED_OVER),
    (MESSAGES, UNCAUSED),
    (MESSAGES, TWICE),
    (MESSAGES, AFTER_END),
)
"""Passed over: later ones are decided on, and it is not. Uncaused: nobody asked for it. Twice: a
contact that was decided on before, a message claimed while the carrier may have it. After its end:
a message whose states do not follow from each other."""
_WAITING, _QUEUED, _SET_ASIDE, _DECIDED = "waiting", "queued", "set-aside", "decided"
BUCKETS_OF: Mapping[Thing, tuple[str, ...]] = {
    CONTACTS: (_WAITING, _DECIDED, _SET_ASIDE),
    MESSAGES: tuple(dict.fromkeys((_WAITING, _QUEUED, _SET_ASIDE, *BUCKETS.values()))),
}


@dataclass(frozen=True, slots=True)
class Standing:
    """What adds up, and what does not, after a round. `missing`: the places of what was passed
    over, as thing, partition and offset of what accepted or asked for it."""

    buckets: Mapping[tuple[Thing, str], int]
    wrong: Mapping[Kind, int]
    missing: frozenset[tuple[Thing, int, int]]


@dataclass(slots=True)
class _Message:
    """`asked_at` and `offset`: the partition and place of its request while nobody has judged it;
    -1 when it was, or when a person asked. `ours`: it was asked for since we count. Times are Unix
    ms."""

    moved_ms: int
    asked_at: int = -1
    offset: int = -1
    state: int = NEVER_STATED
    in_lane: bool = False
    set_aside: bool = False
    ours: bool = True


class _Change(NamedTuple):
    """What is judged of a change. A round may read an hour of them, and the record as it came takes
    seven times the memory."""

    key: bytes
    state: int
    attempt: int
    accepted_ms: int


class _Line:
    """What of one partition waits to be decided on, by offset."""

    def __init__(self) -> None:
        self.begins = -1
        """Offset of the first that counts; -1 when none came yet."""
        self.waiting: dict[int, int] = {}
        """When each was written (Unix ms)."""
        self.aside: set[int] = set()
        self.forgotten: set[int] = set()
        """Contacts that waited for longer than is judged: they are only counted, until they are
        decided on after all."""
        self.reached = -1
        """Offset of the last that was decided on."""

    def begin(self, record: Record, since_ms: int) -> bool:
        """Whether a record counts: all from the first on that was written at `since_ms`."""
        if self.begins < 0 and record.timestamp >= since_ms:
            self.begins = record.offset
        return 0 <= self.begins <= record.offset

    def passed_over(self) -> Iterator[int]:
        """Those that wait while a later one was decided on."""
        return (offset for offset in self.waiting if offset < self.reached)


class Balance:
    """Of everything that was caused at `since_ms` (Unix ms) or later."""

    def __init__(self, since_ms: int) -> None:
        self._since_ms = since_ms
        self._contacts: dict[int, _Line] = {}
        self._requests: dict[int, _Line] = {}
        self._messages: dict[bytes, _Message] = {}
        self._counts: Counter[tuple[Thing, str]] = Counter()
        self._happened: deque[tuple[int, Kind]] = deque(maxlen=_MOST)
        self._missed: set[tuple[Thing, int, int]] = set()
        # Effects of this round, in the order of their partitions.
        self._decisions: list[tuple[int, int]] = []
        self._letters: list[tuple[str, int, int]] = []
        self._laned: list[bytes] = []
        self._changes: list[_Change] = []
        self._takers = {
            CONTACT_ACCEPTED.name: self._contact,
            CASE.name: self._decision,
            DEDUP_DEAD.name: self._letter,
            BROADCAST_DEAD.name: self._letter,
            MESSAGE_REQUESTED.name: self._request,
            BROADCAST_COMMAND.name: self._command,
            MESSAGE_STATUS.name: self._status,
            **{topic.name: self._lane for topic in _LANES},
        }

    def take(self, record: Record) -> None:
        """One record that counts, of one of `TOPICS`; in order within a partition. What is not what
        its topic holds is its room's to set aside."""
        try:
            self._takers[record.topic](record)
        except DecodeError:
            return

    def _contact(self, record: Record) -> None:
        line = self._contacts.setdefault(record.partition, _Line())
        if line.begin(record, self._since_ms):
            line.waiting[record.offset] = record.timestamp

    def _decision(self, record: Record) -> None:
        at = CaseDecision.FromString(record.value or b"").input
        if at.topic == CONTACT_ACCEPTED.name:
            self._decisions.append((record.partition, at.offset))

    def _letter(self, record: Record) -> None:
        letter = DeadLetter.FromString(record.value or b"")
        deed = letter.WhichOneof("deed")
        if deed is None:
            self._letters.append((letter.topic, letter.partition, letter.offset))
        elif deed == "replay" and letter.topic == MESSAGE_REQUESTED.name:
            # Mended, it may be another message than the one that could not be processed.
            message_id = MessageRequested.FromString(letter.value).message_id
            self._messages.setdefault(key_of(message_id), _Message(record.timestamp))

    def _request(self, record: Record) -> None:
        line = self._requests.setdefault(record.partition, _Line())
        if not line.begin(record, self._since_ms):
            return
        request = MessageRequested.FromString(record.value or b"")
        key = key_of(request.message_id)
        if key in self._messages:
            return
        message = self._messages[key] = _Message(record.timestamp)
        # One whose time was over before it was asked for need not be judged.
        if request.expires_ms > record.timestamp:
            message.asked_at, message.offset = record.partition, record.offset
            line.waiting[record.offset] = record.timestamp

    def _command(self, record: Record) -> None:
        message_id = BroadcastCommand.FromString(record.value or b"").queue.message_id
        if message_id:
            self._messages.setdefault(key_of(message_id), _Message(record.timestamp))

    def _lane(self, record: Record) -> None:
        self._laned.append(key_of(QueuedMessage.FromString(record.value or b"").message_id))

    def _status(self, record: Record) -> None:
        for change in StatusRecord.FromString(record.value or b"").changes:
            if not change.campaign_id:
                key = key_of(change.message_id)
                self._changes.append(_Change(key, change.state, change.attempt, change.accepted_ms))

    # The end of a round.

    def settle(self, now_ms: int) -> Standing:
        """Judges what was taken, as of `now_ms` (Unix ms)."""
        for topic, partition, offset in self._letters:
            self._set_aside(topic, partition, offset)
        for partition, offset in self._decisions:
            self._decided(partition, offset, now_ms)
        for key in self._laned:
            if (message := self._messages.get(key)) is not None:
                message.in_lane = True
                self._judged(message)
        for change in self._changes:
            self._changed(change, now_ms)
        for taken in (self._letters, self._decisions, self._laned, self._changes):
            taken.clear()
        self._forget(now_ms)
        return self._stands()

    def _set_aside(self, topic: str, partition: int, offset: int) -> None:
        lines = {CONTACT_ACCEPTED.name: self._contacts, MESSAGE_REQUESTED.name: self._requests}
        line = lines.get(topic, {}).get(partition)
        if line is None or not self._left(line, offset):
            return
        line.aside.add(offset)
        if topic == CONTACT_ACCEPTED.name:
            self._counts[CONTACTS, _SET_ASIDE] += 1
            return
        for message in self._messages.values():
            if (message.asked_at, message.offset) == (partition, offset):
                message.set_aside = True

    def _decided(self, partition: int, offset: int, now_ms: int) -> None:
        line = self._contacts.get(partition)
        if line is None or not 0 <= line.begins <= offset:
            return
        line.reached = max(line.reached, offset)
        if self._left(line, offset):
            self._counts[CONTACTS, _DECIDED] += 1
        elif offset not in line.aside:
            self._happened.append((now_ms, (CONTACTS, TWICE)))

    def _left(self, line: _Line, offset: int) -> bool:
        """Whether it waited; it does no more."""
        if line.waiting.pop(offset, None) is not None:
            return True
        if offset not in line.forgotten:
            return False
        line.forgotten.remove(offset)
        self._counts[CONTACTS, _WAITING] -= 1
        return True

    def _judged(self, message: _Message) -> None:
        if message.asked_at >= 0:
            line = self._requests[message.asked_at]
            line.waiting.pop(message.offset, None)
            line.reached = max(line.reached, message.offset)
            message.asked_at = -1

    def _changed(self, change: _Change, now_ms: int) -> None:
        message = self._messages.get(change.key)
        if message is None:
            # It is of before, but for the first state of what cannot be.
            first = change.state in NEXT[NEVER_STATED] and change.attempt == (
                change.state == CLAIMED
            )
            began_ms = max(self._since_ms + SLACK_MS, now_ms - _KEPT_MS + SLACK_MS)
            if first and change.accepted_ms > began_ms:
                self._happened.append((now_ms, (MESSAGES, UNCAUSED)))
            self._messages[change.key] = _Message(now_ms, state=change.state, ours=False)
            return
        self._judged(message)
        before, message.moved_ms = message.state, now_ms
        if change.state == CLAIMED and before in MAY_BE_AT_CARRIER:
            self._happened.append((now_ms, (MESSAGES, TWICE)))
        elif change.state not in NEXT.get(before, frozenset()):
            self._happened.append((now_ms, (MESSAGES, AFTER_END)))
        else:
            # A change that may not follow counts for no reader.
            message.state = change.state

    def _forget(self, now_ms: int) -> None:
        old_ms, ended_ms = now_ms - _KEPT_MS, now_ms - _ENDED_KEPT_MS
        for thing, lines in ((CONTACTS, self._contacts), (MESSAGES, self._requests)):
            for line in lines.values():
                for offset in [at for at, written in line.waiting.items() if written < old_ms]:
                    del line.waiting[offset]
                    if thing == CONTACTS:
                        line.forgotten.add(offset)
                        self._counts[CONTACTS, _WAITING] += 1
        for key, message in list(self._messages.items()):
            if message.moved_ms < (ended_ms if message.state in FINAL else old_ms):
                del self._messages[key]
                if message.ours:
                    self._counts[MESSAGES, _bucket(message)] += 1
        while self._happened and self._happened[0][0] < now_ms - _TOLD_MS:
            self._happened.popleft()

    def _buckets(self) -> Mapping[tuple[Thing, str], int]:
        found = Counter(self._counts)
        found[CONTACTS, _WAITING] += sum(len(line.waiting) for line in self._contacts.values())
        for message in self._messages.values():
            if message.ours:
                found[MESSAGES, _bucket(message)] += 1
        return found

    def _stands(self) -> Standing:
        missed = {
            (thing, partition, offset)
            for thing, lines in ((CONTACTS, self._contacts), (MESSAGES, self._requests))
            for partition, line in lines.items()
            for offset in line.passed_over()
        }
        missing = frozenset(missed & self._missed)
        self._missed = missed
        wrong = Counter[Kind](kind for _, kind in self._happened)
        wrong.update((thing, PASSED_OVER) for thing, _, _ in missing)
        return Standing(self._buckets(), wrong, missing)


def _bucket(message: _Message) -> str:
    if message.state == NEVER_STATED:
        if message.set_aside:
            return _SET_ASIDE
        return _QUEUED if message.in_lane else _WAITING
    return BUCKETS.get(message.state, _QUEUED)
