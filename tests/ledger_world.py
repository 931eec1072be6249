"""Four records of one surge, made up and consistent, each open to damage, to try the ledger on."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from google.protobuf.message import Message
from mawja.broadcast.v1 import events_pb2 as broadcast_pb2
from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2 as dedup_pb2
from mawja.intake.v1 import events_pb2 as intake_pb2
from mawja.outreach.v1 import events_pb2 as outreach_pb2

from loadtests.ledger import Account, Ledger, Truth
from services.broadcast import segments
from services.local.smsc.record import Submit
from services.runtime import ids, topics
from services.runtime.produce import Header
from services.runtime.smpp import Status
from services.runtime.smpp_text import split_header
from services.runtime.topics import Topic

START_MS = 1_700_000_000_000
SOURCE = "load-test"

QUEUED = broadcast_pb2.MESSAGE_STATE_QUEUED
CLAIMED = broadcast_pb2.MESSAGE_STATE_CLAIMED
RELEASED = broadcast_pb2.MESSAGE_STATE_RELEASED
SUBMITTED = broadcast_pb2.MESSAGE_STATE_SUBMITTED
UNKNOWN = broadcast_pb2.MESSAGE_STATE_UNKNOWN
DELIVERED = broadcast_pb2.MESSAGE_STATE_DELIVERED
FAILED = broadcast_pb2.MESSAGE_STATE_FAILED
SUPPRESSED = broadcast_pb2.MESSAGE_STATE_SUPPRESSED
EXPIRED = broadcast_pb2.MESSAGE_STATE_EXPIRED

# Every way that a message may go, and whether the SMS centre took it.
WAYS: tuple[tuple[tuple[broadcast_pb2.MessageState.ValueType, ...], bool], ...] = (
    ((CLAIMED, SUBMITTED, DELIVERED), True),
    ((QUEUED, CLAIMED, SUBMITTED, SUBMITTED, DELIVERED), True),
    ((CLAIMED, RELEASED, CLAIMED, SUBMITTED, FAILED), True),
    ((CLAIMED, FAILED), False),
    ((CLAIMED, UNKNOWN), True),
    ((CLAIMED, UNKNOWN), False),
    ((CLAIMED, UNKNOWN, UNKNOWN, DELIVERED), True),
    ((CLAIMED, SUBMITTED), True),
    ((CLAIMED, SUBMITTED, UNKNOWN), True),
    ((CLAIMED, SUBMITTED, UNKNOWN, DELIVERED), True),
    ((SUPPRESSED,), False),
    ((CLAIMED, RELEASED, EXPIRED), False),
)


@dataclass
class Read:
    """A record as the ledger reads it."""

    topic: str
    partition: int
    offset: int
    value: bytes | None
    timestamp: int = 0
    key: bytes | None = None
    headers: Sequence[Header] = ()


@dataclass
class World:
    """Four records of one surge, each open to damage. One partition."""

    truth: dict[str, Truth] = field(default_factory=dict)
    acknowledged: list[str] = field(default_factory=list)
    accepted: list[intake_pb2.ContactAccepted] = field(default_factory=list)
    decisions: list[dedup_pb2.CaseDecision] = field(default_factory=list)
    requests: list[outreach_pb2.MessageRequested] = field(default_factory=list)
    callbacks: list[outreach_pb2.Callback] = field(default_factory=list)
    statuses: list[broadcast_pb2.StatusRecord] = field(default_factory=list)
    dead: list[common_pb2.DeadLetter] = field(default_factory=list)
    submits: list[Submit] = field(default_factory=list)
    garbage: list[Read] = field(default_factory=list)
    cases: dict[str, dedup_pb2.Case] = field(default_factory=dict)
    calls: int = 0
    messages: int = 0
    history: list[str] = field(default_factory=list)
    """The log that each thing stands in, in the order in which they happened."""

    # Building.

    def contact(self, truth: Truth, case: str | None = None) -> str:
        """A contact that is sent, accepted and put into `case`, or opens one. Returns the case."""
        number = len(self.truth)
        contact = ids.contact_id(SOURCE, f"k{number}")
        event_ms = START_MS + 1000 * number
        self.truth[contact] = truth
        self.acknowledged.append(contact)
        self.accepted.append(
            intake_pb2.ContactAccepted(contact_id=contact, event_ms=event_ms, drill=True)
        )
        self.history.append("accepted")
        change = dedup_pb2.CASE_CHANGE_LINKED
        if case is None:
            case = ids.case_id(contact)
            change = dedup_pb2.CASE_CHANGE_OPENED
            self.cases[case] = dedup_pb2.Case(case_id=case, first_arrival_ms=event_ms, drill=True)
        self.cases[case].contacts += 1
        self._decide(change, case, topics.CONTACT_ACCEPTED, len(self.accepted) - 1, contact)
        return case

    def _decide(
        self,
        change: dedup_pb2.CaseChange.ValueType,
        case: str,
        topic: Topic,
        offset: int,
        contact: str,
    ) -> None:
        held = self.cases[case]
        held.version += change != dedup_pb2.CASE_CHANGE_REPEATED
        decision = dedup_pb2.CaseDecision(
            input=common_pb2.Input(topic=topic.name, offset=offset), change=change, case=held
        )
        if topic is topics.CONTACT_ACCEPTED:
            decision.link.contact_id = contact
        self.decisions.append(decision)
        self.history.append("decisions")

    def again(self, contact: str) -> None:
        """The same contact is delivered again: accepted again, and repeated for dedup."""
        first = next(a for a in self.accepted if a.contact_id == contact)
        self.accepted.append(first)
        self.history.append("accepted")
        case = next(d.case.case_id for d in self.decisions if d.link.contact_id == contact)
        self._decide(
            dedup_pb2.CASE_CHANGE_REPEATED,
            case,
            topics.CONTACT_ACCEPTED,
            len(self.accepted) - 1,
            contact,
        )

    def abandoned(self, case: str) -> None:
        """A call of the case is given up: a callback that keeps the place is owed, then not."""
        self.calls += 1
        self._decide(dedup_pb2.CASE_CHANGE_CALL, case, topics.CALL_EVENT, self.calls, "")
        due, withdrawn = outreach_pb2.CALLBACK_STATE_DUE, outreach_pb2.CALLBACK_STATE_WITHDRAWN
        for version, state in ((1, due), (2, withdrawn)):
            self.callbacks.append(
                outreach_pb2.Callback(
                    state=state,
                    callback_id=ids.callback_id(case, "call"),
                    case_id=case,
                    place_ms=self.cases[case].first_arrival_ms,
                    version=version,
                )
            )
            self.history.append("callbacks")

    def message(
        self,
        case: str,
        step: str,
        way: Sequence[broadcast_pb2.MessageState.ValueType],
        *,
        at_carrier: bool,
        text: str = "Your request is {}.",
    ) -> str:
        """A message of a step of a case goes its way. Returns its id."""
        self.messages += 1
        message = ids.message_id(case, step)
        self.requests.append(
            outreach_pb2.MessageRequested(
                message_id=message,
                case_id=case,
                step=step,
                drill=True,
                accepted_ms=START_MS,
            )
        )
        self.history.append("requests")
        sent = submits(text.format(f"{self.messages}/{step}"), first_id=10 * self.messages)
        answered = SUBMITTED in way or way[-1] == DELIVERED
        attempt = 0
        for at, state in enumerate(way):
            attempt += state == CLAIMED
            known = answered and attempt == list(way).count(CLAIMED) and state != CLAIMED
            self.status(
                broadcast_pb2.MessageChange(
                    message_id=message,
                    state=state,
                    attempt=attempt,
                    drill=True,
                    carrier_ids=[str(one.carrier_id) for one in sent] if known else [],
                ),
                START_MS + 2000 * (at + 1),
            )
            if state == CLAIMED and attempt == list(way).count(CLAIMED):
                self._submit(sent, at_carrier=at_carrier, refused=FAILED in way and not at_carrier)
        return message

    def _submit(self, sent: Sequence[Submit], *, at_carrier: bool, refused: bool) -> None:
        if refused:
            sent = [replace(one, carrier_id=None, status=11) for one in sent]
        if at_carrier or refused:
            self.submits.extend(sent)
            self.history.extend(["submits"] * len(sent))

    def status(self, change: broadcast_pb2.MessageChange, decided_ms: int = START_MS) -> None:
        """One more record of the status log."""
        self.statuses.append(broadcast_pb2.StatusRecord(changes=[change], decided_ms=decided_ms))
        self.history.append("statuses")

    # Hearing.

    def ledger(self, *, carrier: bool = True) -> Ledger:
        """The ledger that has heard all of it, the topics in any order."""
        ledger = Ledger()
        for contact, truth in self.truth.items():
            ledger.expect(contact, truth)
        for contact in self.acknowledged:
            ledger.acknowledge(contact)
        for record in self.records():
            ledger.take(record)
        if carrier:
            ledger.carrier_accepted(self.submits)
        return ledger

    def records(self) -> list[Read]:
        logs = (
            (topics.MESSAGE_STATUS, self.statuses),
            (topics.CALLBACK, self.callbacks),
            (topics.CONTACT_ACCEPTED, self.accepted),
            (topics.DEDUP_DEAD, self.dead),
            (topics.MESSAGE_REQUESTED, self.requests),
            (topics.CASE, self.decisions),
        )
        return [
            Read(topic.name, 0, offset, value.SerializeToString())
            for topic, values in logs
            for offset, value in enumerate(values)
        ] + self.garbage

    def account(self) -> Account:
        return self.ledger().account()

    def states(self, *last: broadcast_pb2.MessageState.ValueType) -> list[str]:
        """Messages whose last state is one of these."""
        state = {c.message_id: c.state for record in self.statuses for c in record.changes}
        return [message for message, found in state.items() if found in last]

    def ids_of(self, message: str) -> list[str]:
        """The SMS centre's ids of a message."""
        changes = [c for r in self.statuses for c in r.changes if c.message_id == message]
        return list(changes[-1].carrier_ids)


def submits(text: str, *, first_id: int, to: str = "999512345678") -> list[Submit]:
    """What the SMS centre records of a text that it accepts."""
    cut = segments.split(text)
    return [
        Submit(
            t=1.5,
            destination=to,
            sender="Mawja",
            data_coding=cut.data_coding,
            udhi=cut.udhi,
            payload=payload,
            concat=split_header(payload)[0] if cut.udhi else None,
            reference=first_id % 65_535 + at,
            validity="",
            carrier_id=str(first_id + at),
            status=Status.ESME_ROK,
            system_id="mawja",
        )
        for at, payload in enumerate(segments.with_udh(cut.parts, first_id % 256))
    ]


def world(people: int = 20) -> World:
    """A consistent world: redials, families, shared phones, withheld numbers, every way of a
    message, a redelivery, an abandoned call."""
    made = World()
    for p in range(people):
        person = f"p{p}"
        mine = Truth(f"+99950000{p:04d}", person, f"n{p}")
        case = made.contact(mine)
        for _ in range(p % 3):
            made.contact(mine, case)
        way, at_carrier = WAYS[p % len(WAYS)]
        made.message(case, "acknowledge", way, at_carrier=at_carrier)
        if p % 4 == 0:
            made.abandoned(case)
            long = "اتصلتم بنا، وسنعاود الاتصال بكم في أقرب وقت ممكن حسب دوركم الأول. {}"
            way = (CLAIMED, SUBMITTED, DELIVERED)
            made.message(case, "callback-offer", way, at_carrier=True, text=long)
        if p % 5 == 0:
            second = Truth(mine.identity, person, f"n{p}b")
            made.contact(second)
        if p % 6 == 0:
            # A relative: the same need, a phone and a case of their own.
            made.contact(Truth(f"+99951111{p:04d}", f"p{p}r", mine.need))
    # Nobody can be known by these: each contact may have a case of its own.
    for n in range(3):
        made.contact(Truth(None, "withheld", "same-need"))
        made.contact(Truth(None, f"behind-the-switchboard-{n}", "same-need"))
    one_phone = made.contact(Truth(None, "mother", "family-need"))
    made.contact(Truth(None, "daughter", "family-need"), one_phone)
    made.again(made.acknowledged[0])
    return made


def sentences(account: Account) -> set[str]:
    """The problems without their counts."""
    return {problem.partition(" ")[2] for problem in account.problems}


# As a running system is read.


def take(ledger: Ledger, topic: Topic, values: Sequence[Message], start: int = 0) -> None:
    """The ledger reads records of partition 0."""
    for offset, value in enumerate(values, start=start):
        ledger.take(Read(topic.name, 0, offset, value.SerializeToString()))


def topics_only(made: World) -> Ledger:
    ledger = Ledger()
    for record in made.records():
        ledger.take(record)
    ledger.carrier_accepted(made.submits)
    return ledger


def problems(ledger: Ledger) -> set[str]:
    return sentences(ledger.account(running=True))
