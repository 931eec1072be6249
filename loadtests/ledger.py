"""The ledger: four records of one surge, held against each other.

- the generator's truth: which person and which need is behind each contact;
- the client's record: which contacts were acknowledged;
- the topics: which case each contact is in, which messages were asked for, what became of them;
- the SMS centre's own record: what it was given, and what it accepted.

Pure: it is fed records and answers with an account. What does not add up is named.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field

from mawja.broadcast.v1 import events_pb2 as broadcast_pb2
from mawja.dedup.v1 import events_pb2 as dedup_pb2
from mawja.intake.v1 import events_pb2 as intake_pb2
from mawja.outreach.v1 import events_pb2 as outreach_pb2

from services.runtime.own import Record
from services.runtime.topics import (
    CALLBACK,
    CASE,
    CONTACT_ACCEPTED,
    MESSAGE_REQUESTED,
    MESSAGE_STATUS,
    Topic,
)

TOPICS: tuple[Topic, ...] = (CONTACT_ACCEPTED, CASE, MESSAGE_REQUESTED, CALLBACK, MESSAGE_STATUS)
"""The topics that the ledger reads."""

_FINAL = {
    broadcast_pb2.MESSAGE_STATE_DELIVERED: "delivered",
    broadcast_pb2.MESSAGE_STATE_FAILED: "failed",
    broadcast_pb2.MESSAGE_STATE_SUPPRESSED: "suppressed",
    broadcast_pb2.MESSAGE_STATE_EXPIRED: "expired",
}
# The carrier may have these, and no receipt has settled them.
_UNSETTLED = {
    broadcast_pb2.MESSAGE_STATE_UNKNOWN,
    broadcast_pb2.MESSAGE_STATE_SUBMITTED,
}


@dataclass(frozen=True, slots=True)
class Truth:
    """What is really behind a contact. `identity` is what the person can be known by (their
    number), None when they can't (withheld, a shared telephone, a handle only)."""

    identity: str | None
    person: str
    need: str


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
    """What the ledger found. `problems` is empty when everything adds up."""

    accepted: int = 0
    cases: int = 0
    merged: int = 0
    repeated: int = 0
    callbacks: int = 0
    lost: int = 0
    unacknowledged: int = 0
    duplicate_cases: int = 0
    false_merges: int = 0
    duplicate_messages: int = 0
    carrier_messages: int = 0
    messages: Messages = field(default_factory=Messages)
    problems: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, object]:
        """For the report."""
        return asdict(self)


@dataclass(slots=True)
class _Message:
    state: broadcast_pb2.MessageState.ValueType = broadcast_pb2.MESSAGE_STATE_UNSPECIFIED
    changed_ms: int = 0
    accepted_ms: int = 0


class Ledger:
    """Takes the records up in any number of rounds, and gives an account at any time."""

    def __init__(self) -> None:
        self._truth: dict[str, Truth] = {}
        self._acknowledged: set[str] = set()
        self._accepted: set[str] = set()
        self._case_of: dict[str, str] = {}
        self._in_two_cases: set[str] = set()
        self._opened: Counter[str] = Counter()
        self._changes: Counter[int] = Counter()
        self._requested: Counter[str] = Counter()
        self._callbacks: set[str] = set()
        self._messages: defaultdict[str, _Message] = defaultdict(_Message)
        self._carrier_texts: Counter[tuple[str, str]] = Counter()

    # The generator and the client.

    def expect(self, contact_id: str, truth: Truth) -> None:
        """The generator made this contact."""
        self._truth[contact_id] = truth

    def acknowledge(self, contact_id: str) -> None:
        """The client was told that this contact is safe."""
        self._acknowledged.add(contact_id)

    # The topics.

    def take(self, record: Record) -> None:
        """One record that counts, of one of TOPICS."""
        value = record.value or b""
        if record.topic == CONTACT_ACCEPTED.name:
            self._accepted.add(intake_pb2.ContactAccepted.FromString(value).contact_id)
        elif record.topic == CASE.name:
            self._decision(dedup_pb2.CaseDecision.FromString(value))
        elif record.topic == MESSAGE_REQUESTED.name:
            requested = outreach_pb2.MessageRequested.FromString(value)
            self._requested[requested.message_id] += 1
            self._messages[requested.message_id].accepted_ms = requested.accepted_ms
        elif record.topic == CALLBACK.name:
            self._callbacks.add(outreach_pb2.Callback.FromString(value).callback_id)
        elif record.topic == MESSAGE_STATUS.name:
            self._status(broadcast_pb2.StatusRecord.FromString(value))

    def _decision(self, decision: dedup_pb2.CaseDecision) -> None:
        self._changes[decision.change] += 1
        if decision.change not in (dedup_pb2.CASE_CHANGE_OPENED, dedup_pb2.CASE_CHANGE_LINKED):
            return
        contact, case = decision.link.contact_id, decision.case.case_id
        if decision.change == dedup_pb2.CASE_CHANGE_OPENED:
            self._opened[case] += 1
        before = self._case_of.setdefault(contact, case)
        if before != case:
            self._in_two_cases.add(contact)

    def _status(self, status: broadcast_pb2.StatusRecord) -> None:
        for change in status.changes:
            message = self._messages[change.message_id]
            message.state = change.state
            message.changed_ms = status.decided_ms
            message.accepted_ms = message.accepted_ms or change.accepted_ms

    # The SMS centre.

    def carrier_accepted(self, messages: Iterable[tuple[str, str]]) -> None:
        """(destination, whole text) of every message that the SMS centre accepted, once for each
        time it did."""
        self._carrier_texts.update(messages)

    # The account.

    @property
    def open_messages(self) -> int:
        """Messages that wait for a carrier, a receipt or a first status."""
        return sum(
            self._messages[m].state not in _FINAL
            and self._messages[m].state != broadcast_pb2.MESSAGE_STATE_UNKNOWN
            for m in self._requested
        )

    def end_to_end_s(self) -> list[float]:
        """Seconds from acceptance of a contact to delivery of the message it caused, ascending."""
        return sorted(
            (m.changed_ms - m.accepted_ms) / 1000
            for m in self._messages.values()
            if m.state == broadcast_pb2.MESSAGE_STATE_DELIVERED and m.accepted_ms
        )

    def account(self) -> Account:
        """What adds up, and what does not."""
        account = Account(
            accepted=len(self._accepted),
            cases=len(self._opened),
            merged=self._changes[dedup_pb2.CASE_CHANGE_LINKED],
            repeated=self._changes[dedup_pb2.CASE_CHANGE_REPEATED],
            callbacks=len(self._callbacks),
            lost=len(self._acknowledged - self._case_of.keys()),
            unacknowledged=len(self._truth.keys() - self._acknowledged),
            carrier_messages=self._carrier_texts.total(),
            duplicate_messages=sum(n - 1 for n in self._carrier_texts.values()),
            messages=self._buckets(),
        )
        account.duplicate_cases = self._duplicate_cases()
        account.false_merges = self._false_merges()
        account.problems = self._problems(account)
        return account

    def _buckets(self) -> Messages:
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
            + len(self._in_two_cases)
            + sum(n - 1 for n in self._opened.values())
        )

    def _false_merges(self) -> int:
        # Needs that share a case with another need, beyond the first.
        needs: defaultdict[str, set[str]] = defaultdict(set)
        for contact, case in self._case_of.items():
            truth = self._truth.get(contact)
            if truth is not None:
                needs[case].add(truth.need)
        return sum(len(found) - 1 for found in needs.values())

    def _problems(self, account: Account) -> list[str]:
        found: list[str] = []

        def note(count: int, sentence: str) -> None:
            if count:
                found.append(f"{count} {sentence}")

        m = account.messages
        note(account.lost, "acknowledged contacts are in no case")
        note(account.duplicate_cases, "duplicate cases")
        note(account.duplicate_messages, "messages reached the SMS centre more than once")
        note(
            len(self._acknowledged - self._accepted),
            "acknowledged contacts are not in intake.contact-accepted.v1",
        )
        note(
            len(self._case_of.keys() - self._accepted),
            "contacts are in a case and were never accepted",
        )
        note(
            sum(n - 1 for n in self._requested.values()),
            "messages were requested more than once",
        )
        note(
            len(self._messages.keys() - self._requested.keys()),
            "messages have a status and were never requested",
        )
        note(
            abs(
                m.requested
                - (m.delivered + m.failed + m.unknown + m.suppressed + m.expired + m.waiting)
            ),
            "messages are in no bucket or in two",
        )
        note(
            max(0, m.delivered - len(self._carrier_texts)), "deliveries the SMS centre knows not of"
        )
        note(
            max(0, len(self._carrier_texts) - m.submitted),
            "messages at the SMS centre that no status tells of",
        )
        return found


def percentile(ascending: list[float], share: float) -> float:
    """The value below which `share` (0 to 1) of the values lie (nearest rank); 0 for none."""
    if not ascending:
        return 0.0
    return ascending[min(len(ascending) - 1, int(share * len(ascending)))]
