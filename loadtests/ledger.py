"""The ledger: four records of one surge, held against each other.

- the generator's truth: which person and which need is behind each contact;
- the client's record: which contacts were acknowledged;
- the topics: which case each contact is in, which messages were asked for, what became of them;
- the SMS centre's own record: what it was given, and what it accepted.

Pure: it is fed records and answers with an account. What does not add up is named. It judges by
what the design promises, stated here a second time, and by nothing of the services' own code: a
mistake there must not excuse itself here.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import TypeAlias

from google.protobuf.message import DecodeError
from mawja.broadcast.v1 import events_pb2 as broadcast_pb2
from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2 as dedup_pb2
from mawja.intake.v1 import events_pb2 as intake_pb2
from mawja.outreach.v1 import events_pb2 as outreach_pb2

from services.local.smsc.record import Submit, duplicates, reassemble
from services.runtime.own import Record
from services.runtime.topics import (
    BROADCAST_DEAD,
    CALLBACK,
    CASE,
    CONTACT_ACCEPTED,
    DEDUP_DEAD,
    INTAKE_DEAD,
    MESSAGE_REQUESTED,
    MESSAGE_STATUS,
    OUTREACH_DEAD,
    Topic,
)

_DEAD = (INTAKE_DEAD, DEDUP_DEAD, OUTREACH_DEAD, BROADCAST_DEAD)
_DEAD_NAMES = frozenset(topic.name for topic in _DEAD)
TOPICS: tuple[Topic, ...] = (
    CONTACT_ACCEPTED,
    CASE,
    MESSAGE_REQUESTED,
    CALLBACK,
    MESSAGE_STATUS,
    *_DEAD,
)
"""The topics that the ledger reads."""

_State: TypeAlias = broadcast_pb2.MessageState.ValueType
_NONE = broadcast_pb2.MESSAGE_STATE_UNSPECIFIED
_QUEUED = broadcast_pb2.MESSAGE_STATE_QUEUED
_CLAIMED = broadcast_pb2.MESSAGE_STATE_CLAIMED
_RELEASED = broadcast_pb2.MESSAGE_STATE_RELEASED
_SUBMITTED = broadcast_pb2.MESSAGE_STATE_SUBMITTED
_UNKNOWN = broadcast_pb2.MESSAGE_STATE_UNKNOWN
_DELIVERED = broadcast_pb2.MESSAGE_STATE_DELIVERED
_FAILED = broadcast_pb2.MESSAGE_STATE_FAILED
_SUPPRESSED = broadcast_pb2.MESSAGE_STATE_SUPPRESSED
_EXPIRED = broadcast_pb2.MESSAGE_STATE_EXPIRED

_FINAL: dict[_State, str] = {
    _DELIVERED: "delivered",
    _FAILED: "failed",
    _SUPPRESSED: "suppressed",
    _EXPIRED: "expired",
}
# The carrier may have these, and no receipt has settled them.
_UNSETTLED = frozenset({_UNKNOWN, _SUBMITTED})
_MAY_BE_AT_CARRIER = frozenset({_CLAIMED, _SUBMITTED, _UNKNOWN, _DELIVERED, _FAILED})
_BEFORE_CARRIER = frozenset({_CLAIMED, _SUPPRESSED, _EXPIRED})
_NEXT: dict[_State, frozenset[_State]] = {
    _NONE: _BEFORE_CARRIER | {_QUEUED},
    _QUEUED: _BEFORE_CARRIER,
    _CLAIMED: frozenset({_RELEASED, _SUBMITTED, _UNKNOWN, _FAILED}),
    _RELEASED: _BEFORE_CARRIER,
    # Again the same: more has become known of a part. Unknown: its receipt has not come in time.
    _SUBMITTED: frozenset({_SUBMITTED, _UNKNOWN, _DELIVERED, _FAILED}),
    _UNKNOWN: frozenset({_UNKNOWN, _DELIVERED, _FAILED}),
}
# How far the clocks of a telephone system and of a channel may lie apart.
_CLOCKS_MS = 1_000
# Decisions that change their case, and so raise its version by one.
_CHANGING = frozenset(
    {
        dedup_pb2.CASE_CHANGE_OPENED,
        dedup_pb2.CASE_CHANGE_LINKED,
        dedup_pb2.CASE_CHANGE_CALL,
        dedup_pb2.CASE_CHANGE_ASSIGNED,
        dedup_pb2.CASE_CHANGE_RESOLVED,
        dedup_pb2.CASE_CHANGE_REOPENED,
        dedup_pb2.CASE_CHANGE_NOTED,
    }
)


@dataclass(frozen=True, slots=True)
class Truth:
    """What is really behind a contact. `identity` is what the person can be known by (their
    number), None when they can't (withheld, a shared telephone, a handle only)."""

    identity: str | None
    person: str
    need: str


@dataclass(slots=True)
class Contacts:
    """Every accepted contact, in exactly one bucket: accepted = opened + linked + set_aside (in a
    dead letter) + waiting (for dedup)."""

    opened: int = 0
    linked: int = 0
    set_aside: int = 0
    waiting: int = 0


@dataclass(slots=True)
class Messages:
    """Every message asked for, in exactly one bucket: requested = delivered + failed + unknown +
    suppressed + expired + waiting, and submitted = delivered + failed + unknown."""

    requested: int = 0
    submitted: int = 0
    delivered: int = 0
    failed: int = 0
    unknown: int = 0
    suppressed: int = 0
    expired: int = 0
    waiting: int = 0


@dataclass(slots=True)
class Account:
    """What the ledger found. `problems` is empty when everything adds up; `false_merges` are told
    and are no problem of the account, since a link can be split.

    `lost`: acknowledged, and in no case. `unkept`: acknowledged, and not even in
    intake.contact-accepted.v1. `unacknowledged`: sent, and never acknowledged (refused, or the
    client ended before). `carrier_messages`: messages that the SMS centre says it accepted.
    `dead_letters`: records set aside by any room.
    """

    accepted: int = 0
    cases: int = 0
    merged: int = 0
    repeated: int = 0
    callbacks: int = 0
    lost: int = 0
    unkept: int = 0
    unacknowledged: int = 0
    duplicate_cases: int = 0
    false_merges: int = 0
    duplicate_messages: int = 0
    carrier_messages: int = 0
    dead_letters: int = 0
    contacts: Contacts = field(default_factory=Contacts)
    messages: Messages = field(default_factory=Messages)
    problems: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, object]:
        """For the report."""
        return asdict(self)


@dataclass(slots=True)
class _Case:
    opened: int = 0
    version: int = 0
    contacts: int = 0
    opening_ms: int = 0
    first_ms: int = 0
    drill: bool = False


@dataclass(slots=True)
class _Message:
    state: _State = _NONE
    attempt: int = 0
    changed_ms: int = 0
    accepted_ms: int = 0
    asked_as_drill: bool = False
    sent_as_drill: bool = True
    carrier_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Callback:
    case: str
    version: int
    place_ms: int


class Ledger:
    """Takes the records up in any number of rounds, and gives an account at any time."""

    def __init__(self) -> None:
        self._truth: dict[str, Truth] = {}
        self._acknowledged: set[str] = set()
        # By contact, the time at which the person reached out (the first record counts).
        self._accepted: dict[str, int] = {}
        self._contact_at: dict[tuple[int, int], str] = {}
        self._case_of: dict[str, str] = {}
        self._cases: defaultdict[str, _Case] = defaultdict(_Case)
        self._changes: Counter[int] = Counter()
        self._decided: dict[tuple[str, int], int] = {}
        self._requested: Counter[str] = Counter()
        self._steps: dict[tuple[str, str], set[str]] = {}
        self._messages: defaultdict[str, _Message] = defaultdict(_Message)
        self._entered: Counter[_State] = Counter()
        self._callbacks: dict[str, _Callback] = {}
        self._dead: set[tuple[str, int, int]] = set()
        self._unreadable: set[tuple[str, int, int]] = set()
        self._submits: list[Submit] | None = None
        # Broken promises that are seen at once, by the sentence that tells them.
        self._broken: Counter[str] = Counter()

    # The generator and the client.

    def expect(self, contact_id: str, truth: Truth) -> None:
        """The generator made this contact."""
        self._truth[contact_id] = truth

    def acknowledge(self, contact_id: str) -> None:
        """The client was told that this contact is safe."""
        self._acknowledged.add(contact_id)

    # The topics.

    def take(self, record: Record) -> None:
        """One record that counts, of one of TOPICS. In order within a partition."""
        value = record.value or b""
        try:
            if record.topic == CONTACT_ACCEPTED.name:
                self._contact(intake_pb2.ContactAccepted.FromString(value), record)
            elif record.topic == CASE.name:
                self._decision(dedup_pb2.CaseDecision.FromString(value), record.partition)
            elif record.topic == MESSAGE_REQUESTED.name:
                self._request(outreach_pb2.MessageRequested.FromString(value))
            elif record.topic == CALLBACK.name:
                self._callback(outreach_pb2.Callback.FromString(value))
            elif record.topic == MESSAGE_STATUS.name:
                self._status(broadcast_pb2.StatusRecord.FromString(value))
            elif record.topic in _DEAD_NAMES:
                letter = common_pb2.DeadLetter.FromString(value)
                self._dead.add((letter.topic, letter.partition, letter.offset))
        except DecodeError:
            self._unreadable.add((record.topic, record.partition, record.offset))

    def _contact(self, contact: intake_pb2.ContactAccepted, record: Record) -> None:
        self._contact_at[record.partition, record.offset] = contact.contact_id
        if contact.contact_id in self._accepted:
            return
        self._accepted[contact.contact_id] = contact.event_ms
        if not contact.drill and contact.contact_id in self._truth:
            self._broken["synthetic contacts were accepted without their drill mark"] += 1

    def _decision(self, decision: dedup_pb2.CaseDecision, partition: int) -> None:
        source = (decision.input.topic, partition)
        if decision.input.offset <= self._decided.get(source, -1):
            self._broken["records were decided on twice, or out of order"] += 1
        self._decided[source] = decision.input.offset
        change = decision.change
        self._changes[change] += 1
        if not decision.HasField("case"):
            return
        case = self._cases[decision.case.case_id]
        if decision.case.version != case.version + (change in _CHANGING):
            self._broken["decisions on a case are missing, or stand twice"] += 1
        if change not in _CHANGING:
            return
        case.version = decision.case.version
        case.contacts = decision.case.contacts
        case.drill = decision.case.drill
        first_ms = decision.case.first_arrival_ms
        if change == dedup_pb2.CASE_CHANGE_OPENED:
            case.opened += 1
            case.opening_ms = case.opening_ms or first_ms
        elif first_ms > case.first_ms:
            self._broken["cases moved their first arrival later"] += 1
        case.first_ms = first_ms
        if change in (dedup_pb2.CASE_CHANGE_OPENED, dedup_pb2.CASE_CHANGE_LINKED):
            self._link(decision.link.contact_id, decision.case.case_id)

    def _link(self, contact: str, case: str) -> None:
        before = self._case_of.setdefault(contact, case)
        if before != case:
            self._broken["contacts are in two cases"] += 1

    def _request(self, request: outreach_pb2.MessageRequested) -> None:
        self._requested[request.message_id] += 1
        self._steps.setdefault((request.case_id, request.step), set()).add(request.message_id)
        message = self._messages[request.message_id]
        message.accepted_ms = request.accepted_ms
        message.asked_as_drill = request.drill

    def _callback(self, callback: outreach_pb2.Callback) -> None:
        before = self._callbacks.get(callback.callback_id)
        if callback.version != (before.version if before else 0) + 1:
            self._broken["decisions on a callback are missing, or stand twice"] += 1
        self._callbacks[callback.callback_id] = _Callback(
            callback.case_id, callback.version, callback.place_ms
        )

    def _status(self, status: broadcast_pb2.StatusRecord) -> None:
        for change in status.changes:
            message = self._messages[change.message_id]
            before = message.state
            self._entered[change.state] += change.state != before
            attempt = message.attempt + (change.state == _CLAIMED)
            if before in _FINAL:
                self._broken["messages left their final state"] += 1
            elif change.state == _CLAIMED and before in _MAY_BE_AT_CARRIER:
                self._broken["messages were claimed again while the carrier might have them"] += 1
            elif change.state not in _NEXT[before] or change.attempt != attempt:
                self._broken["states of messages do not follow from the ones before"] += 1
            else:
                # A change that may not follow counts for no reader.
                message.state = change.state
                message.attempt = attempt
                message.changed_ms = status.decided_ms
                message.accepted_ms = message.accepted_ms or change.accepted_ms
                message.carrier_ids = tuple(change.carrier_ids)
                message.sent_as_drill = message.sent_as_drill and change.drill

    # The SMS centre.

    def carrier_accepted(self, submits: Iterable[Submit]) -> None:
        """What the SMS centre says that it was given; what it refused counts for nothing. Until
        this is told, nothing is held against the SMS centre."""
        if self._submits is None:
            self._submits = []
        self._submits.extend(submit for submit in submits if submit.accepted)

    # The account.

    @property
    def open_messages(self) -> int:
        """Messages that wait for a carrier, a receipt or a first status."""
        return sum(
            self._messages[m].state not in _FINAL and self._messages[m].state != _UNKNOWN
            for m in self._requested
        )

    def end_to_end_s(self) -> list[float]:
        """Seconds from acceptance of a contact to delivery of the message it caused, ascending."""
        return sorted(
            (m.changed_ms - m.accepted_ms) / 1000
            for m in self._messages.values()
            if m.state == _DELIVERED and m.accepted_ms
        )

    def account(self, *, running: bool = False) -> Account:
        """What adds up, and what does not. `running`: not everything has been worked through yet,
        so that what waits is no problem."""
        account = Account(
            accepted=len(self._accepted),
            cases=len(self._opened()),
            merged=self._changes[dedup_pb2.CASE_CHANGE_LINKED],
            repeated=self._changes[dedup_pb2.CASE_CHANGE_REPEATED],
            callbacks=len(self._callbacks),
            lost=len(self._acknowledged - self._case_of.keys()),
            unkept=len(self._acknowledged - self._accepted.keys()),
            unacknowledged=len(self._truth.keys() - self._acknowledged),
            duplicate_cases=self._duplicate_cases(),
            false_merges=self._false_merges(),
            dead_letters=len(self._dead),
            contacts=self._contact_buckets(),
            messages=self._message_buckets(),
        )
        problems = _Problems()
        self._hold_contacts(account, problems)
        self._hold_cases(account, problems)
        self._hold_messages(account, problems)
        self._hold_carrier(account, problems)
        if not running:
            problems.note(account.contacts.waiting, "accepted contacts are in no case")
            problems.note(account.messages.waiting, "messages were asked for and have no end")
        problems.note(account.dead_letters, "records were set aside as dead letters")
        problems.note(
            len(self._unreadable - self._dead), "records can't be read and no room set them aside"
        )
        for sentence, count in self._broken.items():
            problems.note(count, sentence)
        account.problems = problems.found
        return account

    def _opened(self) -> list[str]:
        return [case for case, held in self._cases.items() if held.opened]

    def _set_aside(self) -> set[str]:
        return {
            self._contact_at[partition, offset]
            for topic, partition, offset in self._dead
            if topic == CONTACT_ACCEPTED.name and (partition, offset) in self._contact_at
        } - self._case_of.keys()

    def _contact_buckets(self) -> Contacts:
        # Opened and linked come from the decisions, the rest from the contacts: two sources that
        # must meet.
        set_aside = self._set_aside()
        return Contacts(
            opened=self._changes[dedup_pb2.CASE_CHANGE_OPENED],
            linked=self._changes[dedup_pb2.CASE_CHANGE_LINKED],
            set_aside=len(set_aside),
            waiting=len(self._accepted.keys() - self._case_of.keys() - set_aside),
        )

    def _message_buckets(self) -> Messages:
        buckets = Messages(requested=len(self._requested))
        for message_id in self._requested:
            message = self._messages[message_id]
            name = _FINAL.get(message.state)
            if name is None:
                name = "unknown" if message.state in _UNSETTLED else "waiting"
            setattr(buckets, name, getattr(buckets, name) + 1)
        buckets.submitted = buckets.delivered + buckets.failed + buckets.unknown
        return buckets

    def _duplicate_cases(self) -> int:
        # One person with one need has one case; a contact has one case; a case opens once.
        cases: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        for contact, case in self._case_of.items():
            truth = self._truth.get(contact)
            if truth is not None and truth.identity is not None:
                cases[truth.identity, truth.need].add(case)
        return (
            sum(len(found) - 1 for found in cases.values())
            + self._broken["contacts are in two cases"]
            + sum(case.opened - 1 for case in self._cases.values() if case.opened)
        )

    def _false_merges(self) -> int:
        # Needs, or people with numbers of their own, that share a case beyond the first.
        needs: defaultdict[str, set[str]] = defaultdict(set)
        people: defaultdict[str, set[str]] = defaultdict(set)
        for contact, case in self._case_of.items():
            truth = self._truth.get(contact)
            if truth is not None:
                needs[case].add(truth.need)
                if truth.identity is not None:
                    people[case].add(truth.identity)
        return sum(max(len(found), len(people[case])) - 1 for case, found in needs.items())

    # What must hold.

    def _hold_contacts(self, account: Account, problems: "_Problems") -> None:
        accepted, contacts = self._accepted.keys(), account.contacts
        problems.note(account.lost, "acknowledged contacts are in no case")
        if self._truth:
            problems.note(
                len(self._acknowledged - self._truth.keys()),
                "contacts were acknowledged that nobody sent",
            )
        problems.note(account.unkept, "acknowledged contacts are not in intake.contact-accepted.v1")
        problems.note(
            len(self._case_of.keys() - accepted),
            "contacts are in a case and were never accepted",
        )
        problems.note(
            abs(
                account.accepted
                - (contacts.opened + contacts.linked + contacts.set_aside + contacts.waiting)
            ),
            "contacts are in no bucket or in two",
        )

    def _hold_cases(self, account: Account, problems: "_Problems") -> None:
        problems.note(account.duplicate_cases, "duplicate cases")
        linked: Counter[str] = Counter()
        first_ms: dict[str, int] = {}
        for contact, case in self._case_of.items():
            linked[case] += 1
            event_ms = self._accepted.get(contact)
            if event_ms is not None:
                first_ms[case] = min(event_ms, first_ms.get(case, event_ms))
        cases = self._cases
        problems.note(
            sum(not held.opened for held in cases.values()),
            "cases have decisions and were never opened",
        )
        problems.note(
            sum(held.contacts != linked[case] for case, held in cases.items()),
            "cases count other contacts than are in them",
        )
        problems.note(
            sum(cases[case].first_ms != at_ms for case, at_ms in first_ms.items()),
            "cases do not keep the first arrival of their contacts",
        )
        problems.note(
            sum(
                callback.case in cases
                and not cases[callback.case].first_ms - _CLOCKS_MS
                <= callback.place_ms
                <= cases[callback.case].opening_ms
                for callback in self._callbacks.values()
            ),
            "callbacks do not keep the caller's place",
        )
        problems.note(
            sum(callback.case not in cases for callback in self._callbacks.values()),
            "callbacks are for cases that are not there",
        )

    def _hold_messages(self, account: Account, problems: "_Problems") -> None:
        m = account.messages
        problems.note(
            sum(n - 1 for n in self._requested.values()), "messages were requested more than once"
        )
        problems.note(
            sum(len(found) - 1 for found in self._steps.values()),
            "messages are second ones for the same step of a case",
        )
        problems.note(
            sum(len(found) for (case, _), found in self._steps.items() if case not in self._cases),
            "messages are for cases that are not there",
        )
        problems.note(
            sum(
                not self._messages[message].asked_as_drill
                for (case, _), found in self._steps.items()
                if case in self._cases and self._cases[case].drill
                for message in found
            ),
            "messages for drill cases carry no drill mark",
        )
        problems.note(
            sum(m.asked_as_drill and not m.sent_as_drill for m in self._messages.values()),
            "messages lost their drill mark on the way to the carrier",
        )
        problems.note(
            len(self._messages.keys() - self._requested.keys()),
            "messages have a status and were never requested",
        )
        # The final buckets as they were entered, the others as they stand: two ways that must meet.
        ended = sum(self._entered[state] for state in _FINAL)
        problems.note(
            abs(m.requested - (ended + m.unknown + m.waiting)),
            "messages are in no bucket or in two",
        )

    def _hold_carrier(self, account: Account, problems: "_Problems") -> None:
        if self._submits is None:
            return
        at_carrier = reassemble(self._submits)
        account.carrier_messages = len(at_carrier)
        account.duplicate_messages = sum(
            found.count - (found.text is not None) for found in duplicates(self._submits)
        )
        problems.note(account.duplicate_messages, "messages reached the SMS centre more than once")
        known = {submit.carrier_id for submit in self._submits}
        told: Counter[str] = Counter()
        unheard = silent = 0
        for message in self._messages.values():
            ids = [carrier_id for carrier_id in message.carrier_ids if carrier_id]
            told.update(ids)
            unheard += any(carrier_id not in known for carrier_id in ids)
            # No answer came, or not for every part: which of the carrier's it is can't be told. One
            # that failed without any id was refused as a whole.
            refused = message.state == _FAILED and not ids
            silent += (
                message.state in _MAY_BE_AT_CARRIER
                and not refused
                and (not ids or len(ids) < len(message.carrier_ids))
            )
        untold = sum(
            not any(part.carrier_id in told for part in message.parts) for message in at_carrier
        )
        m = account.messages
        problems.note(
            max(unheard, m.delivered - len(at_carrier)),
            "messages are said to be with the SMS centre, which knows not of them",
        )
        problems.note(
            max(0, untold - silent), "messages are at the SMS centre and no status tells of them"
        )
        problems.note(
            sum(n - 1 for n in told.values()),
            "ids of the SMS centre stand for more than one message",
        )


class _Problems:
    """Sentences with the counts that make them."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def note(self, count: int, sentence: str) -> None:
        if count > 0:
            self.found.append(f"{count:,} {sentence}")


def percentile(ascending: list[float], share: float) -> float:
    """The value below which `share` (0 to 1) of the values lie (nearest rank); 0 for none."""
    if not ascending:
        return 0.0
    return ascending[min(len(ascending) - 1, int(share * len(ascending)))]
