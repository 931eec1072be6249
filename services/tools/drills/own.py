"""Which records of a system that runs are of one drill: the ledger judges by those alone. Pure.

Real callers come at the same time, and other drills may. What is ours is known from the contacts
that were sent, their cases, and the messages asked for on those. Effects are read before their
causes, so what is marked as drill and not known yet waits until it is.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from google.protobuf.message import DecodeError
from mawja.broadcast.v1 import events_pb2 as broadcast
from mawja.dedup.v1 import events_pb2 as dedup
from mawja.intake.v1 import events_pb2 as intake
from mawja.outreach.v1 import events_pb2 as outreach

from services.runtime.own import Record
from services.runtime.produce import Header
from services.runtime.topics import (
    CALLBACK,
    CASE,
    CONTACT_ACCEPTED,
    MESSAGE_REQUESTED,
    MESSAGE_STATUS,
    Topic,
)

TOPICS: tuple[Topic, ...] = (MESSAGE_STATUS, MESSAGE_REQUESTED, CALLBACK, CASE, CONTACT_ACCEPTED)
"""Effects before causes, as the ledger reads them."""
Take = Callable[[Record], None]


@dataclass(slots=True)
class _Part:
    """A record of which only a part is ours."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[Header]


class Own:
    """Gives on to `take` what is of the drill. `sent`: whether a contact id is one of ours.
    `called`, `decided`: told of every callback of ours and decision on it too."""

    def __init__(
        self,
        sent: Callable[[str], bool],
        take: Take,
        called: Callable[[outreach.Callback], None],
        decided: Callable[[dedup.CaseDecision], None],
    ) -> None:
        self._sent = sent
        self._take = take
        self._called = called
        self._decided = decided
        self._cases: set[str] = set()
        self._messages: set[str] = set()
        self._of_case: defaultdict[str, list[Callable[[], None]]] = defaultdict(list)
        self._of_message: defaultdict[str, list[Record]] = defaultdict(list)
        self.taken = 0
        """Records given on so far."""

    def take(self, record: Record) -> None:
        """One record of TOPICS. What can't be read is nobody's."""
        value = record.value or b""
        try:
            if record.topic == CONTACT_ACCEPTED.name:
                self._contact(intake.ContactAccepted.FromString(value), record)
            elif record.topic == CASE.name:
                self._case(dedup.CaseDecision.FromString(value), record)
            elif record.topic == MESSAGE_REQUESTED.name:
                asked = outreach.MessageRequested.FromString(value)
                if asked.drill:
                    self._when(asked.case_id, lambda: self._message(asked.message_id, record))
            elif record.topic == CALLBACK.name:
                callback = outreach.Callback.FromString(value)
                if callback.drill and not callback.HasField("exercise"):
                    self._when(callback.case_id, lambda: self._callback(callback, record))
            elif record.topic == MESSAGE_STATUS.name:
                self._status(broadcast.StatusRecord.FromString(value), record)
        except DecodeError:
            return

    def _give(self, record: Record) -> None:
        self.taken += 1
        self._take(record)

    def _when(self, case_id: str, then: Callable[[], None]) -> None:
        if case_id in self._cases:
            then()
        else:
            self._of_case[case_id].append(then)

    def _contact(self, contact: intake.ContactAccepted, record: Record) -> None:
        if contact.drill and self._sent(contact.contact_id):
            self._give(record)

    def _case(self, decision: dedup.CaseDecision, record: Record) -> None:
        if not decision.case.drill and not decision.call.drill:
            return
        case_id = decision.case.case_id
        if self._sent(decision.link.contact_id) and case_id not in self._cases:
            self._cases.add(case_id)
            self._decided(decision)
            self._give(record)
            for then in self._of_case.pop(case_id, ()):
                then()
        elif case_id in self._cases or self._sent(decision.call.contact_id):
            self._decided(decision)
            self._give(record)

    def _message(self, message_id: str, record: Record) -> None:
        self._messages.add(message_id)
        self._give(record)
        for status in self._of_message.pop(message_id, ()):
            self._give(status)

    def _callback(self, callback: outreach.Callback, record: Record) -> None:
        self._called(callback)
        self._give(record)

    def _status(self, stated: broadcast.StatusRecord, record: Record) -> None:
        for change in stated.changes:
            if not change.drill or change.campaign_id:
                continue
            alone = broadcast.StatusRecord(changes=[change], decided_ms=stated.decided_ms)
            only = _Part(
                record.topic,
                record.partition,
                record.offset,
                record.timestamp,
                record.key,
                alone.SerializeToString(),
                record.headers,
            )
            if change.message_id in self._messages:
                self._give(only)
            else:
                self._of_message[change.message_id].append(only)
