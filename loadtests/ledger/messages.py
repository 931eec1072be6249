"""What was asked for, by outreach, by hand or for a campaign, and what broadcast says became of it.

What a campaign asks for stands in no topic of its own: its messages are known by their ids, which
follow from campaign and person.
"""

from array import array
from collections import Counter
from typing import TypeAlias

from mawja.broadcast.v1 import events_pb2 as broadcast_pb2
from mawja.outreach.v1 import events_pb2 as outreach_pb2

from loadtests.ledger.account import Account, Messages, Problems
from loadtests.ledger.cases import Cases
from loadtests.ledger.columns import NONE, Names, Numbers, Places, key_of
from loadtests.ledger.letters import Letters
from services.runtime import ids
from services.runtime.own import Record

State: TypeAlias = broadcast_pb2.MessageState.ValueType
NEVER_STATED = broadcast_pb2.MESSAGE_STATE_UNSPECIFIED
QUEUED = broadcast_pb2.MESSAGE_STATE_QUEUED
CLAIMED = broadcast_pb2.MESSAGE_STATE_CLAIMED
RELEASED = broadcast_pb2.MESSAGE_STATE_RELEASED
SUBMITTED = broadcast_pb2.MESSAGE_STATE_SUBMITTED
UNKNOWN = broadcast_pb2.MESSAGE_STATE_UNKNOWN
DELIVERED = broadcast_pb2.MESSAGE_STATE_DELIVERED
FAILED = broadcast_pb2.MESSAGE_STATE_FAILED
SUPPRESSED = broadcast_pb2.MESSAGE_STATE_SUPPRESSED
EXPIRED = broadcast_pb2.MESSAGE_STATE_EXPIRED

FINAL = frozenset({DELIVERED, FAILED, SUPPRESSED, EXPIRED})
MAY_BE_AT_CARRIER = frozenset({CLAIMED, SUBMITTED, UNKNOWN, DELIVERED, FAILED})
_BEFORE_CARRIER = frozenset({CLAIMED, SUPPRESSED, EXPIRED})
NEXT: dict[int, frozenset[State]] = {
    NEVER_STATED: _BEFORE_CARRIER | {QUEUED},
    QUEUED: _BEFORE_CARRIER,
    CLAIMED: frozenset({RELEASED, SUBMITTED, UNKNOWN, FAILED}),
    RELEASED: _BEFORE_CARRIER,
    # Again the same: more has become known of a part. UNKNOWN: its receipt did not come in time.
    SUBMITTED: frozenset({SUBMITTED, UNKNOWN, DELIVERED, FAILED}),
    UNKNOWN: frozenset({UNKNOWN, DELIVERED, FAILED}),
}
BUCKETS: dict[int, str] = {
    RELEASED: "queued",
    CLAIMED: "claimed",
    SUBMITTED: "submitted",
    UNKNOWN: "unknown",
    DELIVERED: "delivered",
    FAILED: "failed",
    SUPPRESSED: "suppressed",
    EXPIRED: "expired",
}
SET_ASIDE = "set aside"

BY_OUTREACH = 1
BY_HAND = 2
BY_HAND_LONG_AGO = 4
"""What asked for it is not kept any more."""
IN_LANE = 8
_ASKED_AS_DRILL = 16
_LOST_DRILL_MARK = 32
BY_CAMPAIGN = 64
_WANTED = BY_OUTREACH | BY_HAND | BY_HAND_LONG_AGO | BY_CAMPAIGN
_LONGEST_VALID_MS = 7 * 24 * 3600 * 1000
"""How long after it was queued by hand a message can still be sent."""
_NOTHING_KEPT = 2**63 - 1


class MessageBook:
    """Columns by message. Times are Unix ms."""

    def __init__(self, cases: Cases, letters: Letters) -> None:
        self.flags = bytearray()
        self.state = bytearray()
        self.reason = array("H")
        self.reasons = Names()
        self.since_ms = array("q")
        """When it entered its state; when it was asked for, as long as it has none."""
        self.carrier_ids: list[bytes] = []
        """The SMS centre's ids of its parts, separated by a zero byte."""
        self._numbers = Numbers()
        self._attempt = array("I")
        self._changed_ms = array("q")
        self._accepted_ms = array("q")
        self._expires_ms = array("q")
        self._partition = array("i")
        self._case = array("i")
        self._entered: Counter[int] = Counter()
        self._steps: set[int] = set()
        self._step_numbers: dict[str, int] = {}
        self._places = Places()
        self._commands_since_ms: dict[int, int] = {}
        self._broken: Counter[str] = Counter()
        self._cases = cases
        self._letters = letters

    def begins(self, partition: int) -> None:
        """The oldest commands of `partition`, by which people queue messages, are kept no more."""
        self._commands_since_ms[partition] = _NOTHING_KEPT

    def _number(self, message_id: str) -> int:
        number, new = self._numbers.add(key_of(message_id))
        if new:
            self.flags.append(0)
            self.state.append(NEVER_STATED)
            self.reason.append(0)
            self.since_ms.append(0)
            self.carrier_ids.append(b"")
            self._attempt.append(0)
            self._changed_ms.append(0)
            self._accepted_ms.append(0)
            self._expires_ms.append(0)
            self._partition.append(NONE)
            self._case.append(NONE)
        return number

    # Taking records up.

    def request(self, request: outreach_pb2.MessageRequested, record: Record | None) -> None:
        """Outreach asked for a message: once, for one step of a case. Without its `record` a person
        gave it again, mended."""
        number = self._number(request.message_id)
        if record is None and self.flags[number] & BY_OUTREACH:
            return
        case = self._case[number] = self._cases.number(request.case_id)
        step = case << 32 | self._step_numbers.setdefault(request.step, len(self._step_numbers))
        if self.flags[number] & BY_OUTREACH:
            self._broken["messages were requested more than once"] += 1
        elif step in self._steps:
            self._broken["messages are second ones for the same step of a case"] += 1
        self._steps.add(step)
        self._asked(number, BY_OUTREACH, request.drill, request.requested_ms, record)
        self._accepted_ms[number] = request.accepted_ms

    def command(self, command: broadcast_pb2.BroadcastCommand, record: Record | None) -> None:
        """Somebody queued a message by hand; asking again is the same message. Without its `record`
        a person gave it again, mended."""
        if record is not None and record.partition in self._commands_since_ms:
            since_ms = self._commands_since_ms[record.partition]
            self._commands_since_ms[record.partition] = min(since_ms, record.timestamp)
        queued = command.queue
        if queued.message_id:
            number = self._number(queued.message_id)
            self._asked(number, BY_HAND, queued.drill, queued.requested_ms, record)

    def _asked(self, number: int, how: int, drill: bool, at_ms: int, record: Record | None) -> None:
        if record is not None:
            self._places.add(record.topic, record.partition, record.offset, number)
        self.flags[number] = self.flags[number] & ~_ASKED_AS_DRILL | how
        if drill:
            self.flags[number] |= _ASKED_AS_DRILL
        self.since_ms[number] = self.since_ms[number] or at_ms

    def lane(self, queued: broadcast_pb2.QueuedMessage, record: Record) -> None:
        """Broadcast put a message into its lane."""
        number = self._number(queued.message_id)
        self.flags[number] |= IN_LANE
        self._places.add(record.topic, record.partition, record.offset, number)

    def status(self, status: broadcast_pb2.StatusRecord, partition: int) -> None:
        """Broadcast decided."""
        for change in status.changes:
            number = self._number(change.message_id)
            if change.campaign_id and not self.flags[number] & BY_CAMPAIGN:
                self._campaigns(number, change, status.decided_ms)
            before = self.state[number]
            self._entered[change.state] += change.state != before
            attempt = self._attempt[number] + (change.state == CLAIMED)
            if before in FINAL:
                self._broken["messages left their final state"] += 1
            elif change.state == CLAIMED and before in MAY_BE_AT_CARRIER:
                self._broken["messages were claimed again while the carrier might have them"] += 1
            elif change.state not in NEXT[before] or change.attempt != attempt:
                self._broken["states of messages do not follow from the ones before"] += 1
            else:
                # A change that may not follow counts for no reader.
                self._partition[number] = partition
                self._change(number, change, status.decided_ms)

    def _campaigns(self, number: int, change: broadcast_pb2.MessageChange, at_ms: int) -> None:
        """A message that says that it is a campaign's, if that is so."""
        what = "campaign-correction" if change.correction else "campaign-message"
        if ids.derive(what, change.campaign_id, change.person.hex()) == change.message_id:
            self._asked(number, BY_CAMPAIGN, change.drill, at_ms, None)

    def _change(self, number: int, change: broadcast_pb2.MessageChange, at_ms: int) -> None:
        if change.state != self.state[number]:
            self.since_ms[number] = at_ms
        self.state[number] = change.state
        self.reason[number] = self.reasons.add(change.reason)
        self.carrier_ids[number] = b"\0".join(one.encode() for one in change.carrier_ids)
        self._attempt[number] = change.attempt
        self._changed_ms[number] = at_ms
        self._accepted_ms[number] = self._accepted_ms[number] or change.accepted_ms
        self._expires_ms[number] = change.expires_ms
        if not change.drill:
            self.flags[number] |= _LOST_DRILL_MARK

    # The account.

    def bucket(self, state: int, flags: int) -> str | None:
        """The bucket of a message that was asked for and is in no dead letter, None when nobody
        asked for it. One that was given back unused waits in its lane again."""
        if not flags & _WANTED:
            return None
        return BUCKETS.get(state) or ("queued" if flags & IN_LANE else "waiting")

    def set_aside(self) -> set[int]:
        """Messages that were asked for, are in a dead letter, and of which no status tells."""
        found = {self._places.find(*place) for place in self._letters.waiting()}
        return {
            number
            for number in found
            if number != NONE
            and self.state[number] == NEVER_STATED
            and self.flags[number] & _WANTED
        }

    def buckets(self) -> Counter[str]:
        """Every message that was asked for, in exactly one bucket."""
        self._excuse()
        found: Counter[str] = Counter()
        for (state, flags), count in Counter(zip(self.state, self.flags, strict=True)).items():
            bucket = self.bucket(state, flags)
            if bucket is not None:
                found[bucket] += count
        for number in self.set_aside():
            found[self.bucket(self.state[number], self.flags[number]) or ""] -= 1
            found[SET_ASIDE] += 1
        return found

    def _excuse(self) -> None:
        # Statuses are kept longer than the commands that queue messages by hand.
        if not self._commands_since_ms:
            return
        for number, flags in enumerate(self.flags):
            since_ms = self._commands_since_ms.get(self._partition[number])
            if since_ms is None or flags & _WANTED:
                continue
            if self._expires_ms[number] - _LONGEST_VALID_MS < since_ms:
                self.flags[number] |= BY_HAND_LONG_AGO

    @property
    def open(self) -> int:
        """Messages that wait for a carrier, a receipt or a first status."""
        found = self.buckets()
        return sum(found[name] for name in ("waiting", "queued", "claimed", "submitted"))

    def end_to_end_s(self) -> list[float]:
        """Seconds from acceptance of a contact to delivery of the message it caused, ascending."""
        times = zip(self.state, self._changed_ms, self._accepted_ms, strict=True)
        return sorted(
            (changed_ms - accepted_ms) / 1000
            for state, changed_ms, accepted_ms in times
            if state == DELIVERED and accepted_ms
        )

    def silent(self) -> int:
        """Messages that the SMS centre may have without our knowing which of its own they are: no
        answer came, or not for every part."""
        return sum(
            state in MAY_BE_AT_CARRIER
            # One that failed without any id was refused as a whole.
            and not (state == FAILED and not ids.strip(b"\0"))
            and not all(ids.split(b"\0"))
            for state, ids in zip(self.state, self.carrier_ids, strict=True)
        )

    def count(self, account: Account) -> None:
        """Fills the account in."""
        found = self.buckets()
        account.messages = Messages(
            requested=found.total(),
            submitted=sum(found[n] for n in ("delivered", "failed", "submitted", "unknown")),
            delivered=found["delivered"],
            failed=found["failed"],
            unknown=found["submitted"] + found["unknown"],
            suppressed=found["suppressed"],
            expired=found["expired"],
            set_aside=found[SET_ASIDE],
            waiting=found["waiting"] + found["queued"] + found["claimed"],
        )

    def hold(self, account: Account, problems: Problems) -> None:
        """What must hold of messages."""
        m, cases = account.messages, self._cases
        nowhere = unmarked = 0
        for case, flags in zip(self._case, self.flags, strict=True):
            if case != NONE:
                nowhere += not cases.decided[case]
                unmarked += bool(cases.drill[case]) and not flags & _ASKED_AS_DRILL
        problems.note(nowhere, "messages are for cases that are not there")
        problems.note(unmarked, "messages for drill cases carry no drill mark")
        lost = _ASKED_AS_DRILL | _LOST_DRILL_MARK
        unwanted = stated = 0
        for state, flags in zip(self.state, self.flags, strict=True):
            if not flags & _WANTED:
                unwanted += 1
                stated += state != NEVER_STATED
        problems.note(
            sum(flags & lost == lost for flags in self.flags),
            "messages lost their drill mark on the way to the carrier",
        )
        problems.note(stated, "messages have a status and were never requested")
        problems.note(unwanted - stated, "messages are in a lane and were never requested")
        # The final buckets as they were entered, the others as they stand: two ways that must meet.
        ended = sum(self._entered[state] for state in FINAL)
        problems.note(
            abs(m.requested - (ended + m.unknown + m.set_aside + m.waiting)),
            "messages are in no bucket or in two",
        )
        for sentence, count in self._broken.items():
            problems.note(count, sentence)
