"""What became of the messages that were not of a campaign, and what carriers said of all. Pure.

A message is held in some 250 bytes: its id, a few columns and the case that it is about. Requests
and results stand in different topics and may be read in any order.
"""

from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, cast

from mawja.broadcast.v1 import campaigns_pb2, events_pb2
from mawja.broadcast.v1.events_pb2 import MessageChange
from mawja.outreach.v1.events_pb2 import MessageRequested

from loadtests.ledger.columns import Names, Numbers, key_of
from services.broadcast.campaigns.tally import bucket_of
from services.broadcast.messages import (
    FAILED,
    NEXT,
    QUEUED,
    RELEASED,
    UNKNOWN,
    State,
)

BY_HAND = "by-hand"
"""What a person asked for, not a rule."""
_ID = 16
_TROUBLE = frozenset({RELEASED, UNKNOWN, FAILED})
_NO_CASE = bytes(_ID)
_KEY = 8
_MOMENT_MS = 10_000


def person_key(person: bytes) -> int:
    """The first 8 bytes of a person's keyed hash, 0 for nobody: enough to count people by."""
    return int.from_bytes(person[:_KEY], "big")


class Message(NamedTuple):
    """One message. `step`: of its case, without what it tells of, e.g. "answer"; `bucket`: as the
    protos name it; `accepted_ms`: of the contact that caused it; `first_ms`, `ended_ms`: of its
    first and last change: all Unix ms, 0 where not known; `case`: 16 bytes; `person`: see
    `person_key`."""

    step: str
    language: str
    bucket: str
    reason: str
    asked_ms: int
    accepted_ms: int
    first_ms: int
    ended_ms: int
    case: bytes
    person: int


class Trouble(NamedTuple):
    """What one carrier said, or did not say, for one reason: how often, from when to when."""

    times: int
    first_ms: int
    last_ms: int


@dataclass(slots=True)
class Messages:
    """The messages of rehearsals if `drill`, else real ones. `forbidden`: changes that no state
    allows, which count for nothing."""

    drill: bool = False
    forbidden: int = 0
    _trouble: dict[tuple[str, str, str], Counter[int]] = field(default_factory=dict)
    """How often in each ten seconds (Unix), campaigns included."""
    _people: "array[int]" = field(default_factory=lambda: array("Q"))
    _numbers: Numbers = field(default_factory=Numbers)
    _names: Names = field(default_factory=Names)
    _state: "array[int]" = field(default_factory=lambda: array("B"))
    _step: "array[int]" = field(default_factory=lambda: array("H"))
    _language: "array[int]" = field(default_factory=lambda: array("H"))
    _reason: "array[int]" = field(default_factory=lambda: array("H"))
    _asked_ms: "array[int]" = field(default_factory=lambda: array("q"))
    _accepted_ms: "array[int]" = field(default_factory=lambda: array("q"))
    _first_ms: "array[int]" = field(default_factory=lambda: array("q"))
    _ended_ms: "array[int]" = field(default_factory=lambda: array("q"))
    _cases: bytearray = field(default_factory=bytearray)

    def requested(self, asked: MessageRequested) -> None:
        """A record of outreach.message-requested.v1."""
        if asked.drill != self.drill:
            return
        number = self._number(asked.message_id)
        self._step[number] = self._names.add(asked.step.partition(":")[0])
        self._language[number] = self._names.add(asked.language.partition("-")[0].lower())
        self._asked_ms[number] = asked.requested_ms
        self._accepted_ms[number] = asked.accepted_ms
        case = key_of(asked.case_id)
        if len(case) == _ID:
            self._cases[number * _ID : (number + 1) * _ID] = case

    def status(self, change: MessageChange, at_ms: int) -> None:
        """A change of any message, decided at `at_ms`."""
        if change.drill != self.drill:
            return
        if change.state in _TROUBLE:
            state = events_pb2.MessageState.Name(change.state).removeprefix("MESSAGE_STATE_")
            key = change.carrier, state.lower(), change.reason
            self._trouble.setdefault(key, Counter())[at_ms // _MOMENT_MS] += 1
        if change.campaign_id:
            return
        number = self._number(change.message_id)
        before = cast("State", self._state[number]) or QUEUED
        if change.state not in NEXT[before]:
            self.forbidden += 1
            return
        self._state[number] = change.state
        self._reason[number] = self._names.add(change.reason)
        self._first_ms[number] = self._first_ms[number] or at_ms
        self._ended_ms[number] = at_ms
        self._people[number] = person_key(change.person)
        if change.request_hash:
            self._step[number] = self._names.add(BY_HAND)
            self._language[number] = self._names.add(change.language.partition("-")[0].lower())
            self._asked_ms[number] = self._asked_ms[number] or at_ms

    def _number(self, message_id: str) -> int:
        number, new = self._numbers.add(key_of(message_id))
        if new:
            self._state.append(0)
            self._people.append(0)
            for names in (self._step, self._language, self._reason):
                names.append(0)
            for times in (self._asked_ms, self._accepted_ms, self._first_ms, self._ended_ms):
                times.append(0)
            self._cases += _NO_CASE
        return number

    def all(self, since_ms: int = 0, until_ms: int = 0) -> Iterator[Message]:
        """Those that were asked for in [since_ms, until_ms); `until_ms` 0 is no end. What was asked
        for before reading began is none of them."""
        for number, asked_ms in enumerate(self._asked_ms):
            if not asked_ms or asked_ms < since_ms or (until_ms and asked_ms >= until_ms):
                continue
            state = cast("State", self._state[number]) or QUEUED
            reason = self._names[self._reason[number]]
            bucket = campaigns_pb2.Bucket.Name(bucket_of(state, reason))
            yield Message(
                step=self._names[self._step[number]],
                language=self._names[self._language[number]],
                bucket=bucket.removeprefix("BUCKET_").lower(),
                reason=reason,
                asked_ms=asked_ms,
                accepted_ms=self._accepted_ms[number],
                first_ms=self._first_ms[number],
                ended_ms=self._ended_ms[number],
                case=bytes(self._cases[number * _ID : (number + 1) * _ID]),
                person=self._people[number],
            )

    def trouble(self, since_ms: int, until_ms: int) -> dict[tuple[str, str, str], Trouble]:
        """What there was in [since_ms, until_ms), to ten seconds, by carrier, state ("released",
        "unknown", "failed") and reason; campaigns included. `until_ms` 0 is no end."""
        found = {}
        for key, moments in sorted(self._trouble.items()):
            within = {
                moment * _MOMENT_MS: times
                for moment, times in moments.items()
                if (moment + 1) * _MOMENT_MS > since_ms
                if not until_ms or moment * _MOMENT_MS < until_ms
            }
            if within:
                found[key] = Trouble(sum(within.values()), min(within), max(within))
        return found
