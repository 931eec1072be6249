"""The ledger must be able to fail: a consistent world gives an account without problems, and damage
to any one of the four records is named for what it is."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mawja.broadcast.v1 import events_pb2 as broadcast_pb2
from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2 as dedup_pb2
from mawja.intake.v1 import events_pb2 as intake_pb2
from mawja.outreach.v1 import events_pb2 as outreach_pb2

from loadtests.ledger import TOPICS, Account, Ledger, Truth, percentile
from services.broadcast import segments
from services.local.smsc.record import Submit
from services.runtime import ids, topics
from services.runtime.produce import Header
from services.runtime.smpp import Status, split_header
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

    def again(self, contact: str) -> None:
        """The same contact is delivered again: accepted again, and repeated for dedup."""
        first = next(a for a in self.accepted if a.contact_id == contact)
        self.accepted.append(first)
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
        for version in (1, 2):
            self.callbacks.append(
                outreach_pb2.Callback(
                    callback_id=ids.callback_id(case, "call"),
                    case_id=case,
                    place_ms=self.cases[case].first_arrival_ms,
                    version=version,
                )
            )

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
        if at_carrier:
            self.submits.extend(sent)
        if FAILED in way and not at_carrier:
            self.submits.extend(replace(one, carrier_id=None, status=11) for one in sent)
        return message

    def status(self, change: broadcast_pb2.MessageChange, decided_ms: int = START_MS) -> None:
        """One more record of the status log."""
        self.statuses.append(broadcast_pb2.StatusRecord(changes=[change], decided_ms=decided_ms))

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


# What adds up.


def test_a_consistent_world_has_no_problems() -> None:
    account = world(20).account()
    assert account.problems == []
    assert (account.lost, account.duplicate_cases, account.duplicate_messages) == (0, 0, 0)
    assert (account.false_merges, account.unacknowledged, account.dead_letters) == (0, 0, 0)
    assert account.accepted == len(world(20).truth) == account.cases + account.merged
    assert account.repeated == 1
    assert account.callbacks == 5


@given(st.integers(0, 45))
@settings(max_examples=20, deadline=None)
def test_buckets_add_up(people: int) -> None:
    made = world(people)
    account = made.account()
    m, c = account.messages, account.contacts
    assert account.problems == []
    assert account.accepted == c.opened + c.linked + c.set_aside + c.waiting
    assert m.requested == m.submitted + m.suppressed + m.expired + m.waiting == made.messages
    assert m.submitted == m.delivered + m.failed + m.unknown
    for name in ("delivered", "failed", "unknown", "suppressed", "expired"):
        assert getattr(m, name) > 0 or people < len(WAYS)


def test_records_may_come_in_rounds() -> None:
    made = world()
    ledger = Ledger()
    for record in made.records():
        ledger.take(record)
        ledger.account(running=True)
    assert ledger.account().contacts == made.account().contacts


def test_what_is_under_way_is_no_problem_while_it_runs() -> None:
    made = world()
    drop_status_of(made, made.states(DELIVERED)[0])
    made.decisions.pop()  # the redelivery, which says nothing new
    made.contact(Truth("+999577777777", "late", "late"))
    made.decisions.pop()
    ledger = made.ledger(carrier=False)
    running, ended = ledger.account(running=True), ledger.account()
    # Still: an acknowledged contact without a case is told as such, so that lag is not hidden.
    assert sentences(running) == {"acknowledged contacts are in no case"}
    assert sentences(ended) - sentences(running) == {
        "accepted contacts are in no case",
        "messages were asked for and have no end",
    }
    assert ledger.open_messages == len(made.states(SUBMITTED)) + 1


def test_latency_counts_from_acceptance_to_delivery() -> None:
    made = World()
    case = made.contact(Truth("+999500000000", "p", "n"))
    made.message(case, "acknowledge", (CLAIMED, SUBMITTED, DELIVERED), at_carrier=True)
    assert made.ledger().end_to_end_s() == [6.0]
    assert percentile([], 0.5) == 0.0
    assert [percentile([1.0, 2.0, 3.0], share) for share in (0, 0.5, 0.99, 1)] == [1, 2, 3, 3]


def test_it_reads_every_log_that_it_judges() -> None:
    assert {t.name for t in TOPICS} >= {
        topics.CONTACT_ACCEPTED.name,
        topics.CASE.name,
        topics.MESSAGE_REQUESTED.name,
        topics.CALLBACK.name,
        topics.MESSAGE_STATUS.name,
    }


# The identity rule.


def test_who_can_not_be_known_has_no_duplicate_cases() -> None:
    made = World()
    for _ in range(4):
        made.contact(Truth(None, "somebody", "need"))
    account = made.account()
    assert account.cases == 4
    assert account.duplicate_cases == 0
    assert account.problems == []


def test_a_family_shares_a_need_and_not_a_case() -> None:
    made = World()
    made.contact(Truth("+999500000001", "mother", "need"))
    made.contact(Truth("+999500000002", "son", "need"))
    assert made.account().duplicate_cases == 0
    assert made.account().false_merges == 0


def test_two_numbers_in_one_case_are_a_false_merge() -> None:
    made = World()
    case = made.contact(Truth("+999500000001", "mother", "need"))
    made.contact(Truth("+999500000002", "son", "need"), case)
    assert made.account().false_merges == 1


def test_the_same_person_and_need_in_three_cases_are_two_duplicates() -> None:
    made = World()
    mine = Truth("+999500000001", "p", "n")
    for _ in range(3):
        made.contact(mine)
    account = made.account()
    assert account.duplicate_cases == 2
    assert account.problems == ["2 duplicate cases"]


def test_a_false_merge_is_counted_for_each_need_too_many() -> None:
    made = World()
    case = made.contact(Truth("+999500000001", "p", "a"))
    made.contact(Truth("+999500000001", "p", "b"), case)
    made.contact(Truth("+999500000001", "p", "c"), case)
    account = made.account()
    assert account.false_merges == 2
    # It is told, and can be split; nothing was lost by it.
    assert account.problems == []


# Damage, one record at a time.


def pick(things: Sequence[str], rng: random.Random) -> str:
    return things[rng.randrange(len(things))]


def drop_status_of(made: World, message: str) -> None:
    made.statuses = [r for r in made.statuses if r.changes[0].message_id != message]


def decision_of(made: World, change: dedup_pb2.CaseChange.ValueType, rng: random.Random) -> int:
    found = [i for i, d in enumerate(made.decisions) if d.change == change]
    return found[rng.randrange(len(found))]


OPENED = dedup_pb2.CASE_CHANGE_OPENED
LINKED = dedup_pb2.CASE_CHANGE_LINKED
CALL = dedup_pb2.CASE_CHANGE_CALL


def acknowledged_for_nothing(made: World, rng: random.Random) -> None:
    contact = ids.contact_id(SOURCE, f"never/{rng.random()}")
    made.truth[contact] = Truth("+999599999999", "p", "n")
    made.acknowledged.append(contact)


def acknowledged_by_another_name(made: World, rng: random.Random) -> None:
    made.acknowledged.remove(pick(made.acknowledged, rng))
    made.acknowledged.append(ids.contact_id("another source", "key"))


def acceptance_lost(made: World, rng: random.Random) -> None:
    at = rng.randrange(1, len(made.truth))
    made.accepted[at] = made.accepted[0]


def mark_of_contact_lost(made: World, rng: random.Random) -> None:
    made.accepted[rng.randrange(1, len(made.truth))].drill = False


def contact_never_decided(made: World, rng: random.Random) -> None:
    # The last of its case, so that nothing else tells of it.
    case = made.contact(Truth("+999566666666", "late", "late"))
    made.decisions.pop()
    del made.cases[case]


def opening_lost(made: World, rng: random.Random) -> None:
    """The decision on a contact that nothing else tells of is gone."""
    asked = {r.case_id for r in made.requests}
    alone = [
        i
        for i, d in enumerate(made.decisions)
        if d.change == OPENED and d.case == made.cases[d.case.case_id]
        if d.case.case_id not in asked
    ]
    del made.decisions[alone[rng.randrange(len(alone))]]


def known(made: World) -> set[str]:
    return {c.message_id for r in made.statuses for c in r.changes}


def link_lost(made: World, rng: random.Random) -> None:
    del made.decisions[decision_of(made, LINKED, rng)]


def decided_twice(made: World, rng: random.Random) -> None:
    at = decision_of(made, LINKED, rng)
    made.decisions.insert(at, made.decisions[at])


def second_case(made: World, rng: random.Random) -> None:
    """A zombie opens a case for a contact that is in one."""
    contact = made.decisions[decision_of(made, LINKED, rng)].link.contact_id
    decision = dedup_pb2.CaseDecision(change=OPENED)
    decision.input.topic, decision.input.offset = topics.CONTACT_ACCEPTED.name, 1_000_000
    decision.link.contact_id = contact
    decision.case.case_id = ids.case_id("zombie")
    decision.case.version = decision.case.contacts = 1
    decision.case.first_arrival_ms = START_MS
    decision.case.drill = True
    made.decisions.append(decision)


def case_opened_twice(made: World, rng: random.Random) -> None:
    at = decision_of(made, OPENED, rng)
    again = dedup_pb2.CaseDecision()
    again.CopyFrom(made.decisions[at])
    again.input.offset = 1_000_000
    made.decisions.append(again)


def duplicate_case(made: World, rng: random.Random) -> None:
    """Dedup did not see that it is the same person with the same need."""
    known_by = [t for t in made.truth.values() if t.identity is not None]
    made.contact(known_by[rng.randrange(len(known_by))])


def place_moved(made: World, rng: random.Random) -> None:
    at = decision_of(made, LINKED, rng)
    case = made.decisions[at].case.case_id
    for decision in made.decisions[at:]:
        if decision.case.case_id == case:
            decision.case.first_arrival_ms += 5000


def wrong_count(made: World, rng: random.Random) -> None:
    alone = [
        d for d in made.decisions if d.change == OPENED and d.case == made.cases[d.case.case_id]
    ]
    alone[rng.randrange(len(alone))].case.contacts += 1


def decision_on_a_call_lost(made: World, rng: random.Random) -> None:
    at = decision_of(made, CALL, rng)
    following = dedup_pb2.CaseDecision()
    following.CopyFrom(made.decisions[at])
    following.input.offset = 1_000_000
    following.case.version += 2
    made.decisions.append(following)


def callback_of_no_case(made: World, rng: random.Random) -> None:
    made.callbacks.append(
        outreach_pb2.Callback(callback_id="x", case_id="none", version=1, place_ms=START_MS)
    )


def callback_lost_its_place(made: World, rng: random.Random) -> None:
    made.callbacks[-1].place_ms += 60_000


def callback_forgot(made: World, rng: random.Random) -> None:
    del made.callbacks[0]


def requested_twice(made: World, rng: random.Random) -> None:
    made.requests.append(made.requests[rng.randrange(len(made.requests))])


def step_twice(made: World, rng: random.Random) -> None:
    """Another message for the same step of a case: a person would read both."""
    request = made.requests[rng.randrange(len(made.requests))]
    made.message(request.case_id, "another", (SUPPRESSED,), at_carrier=False)
    made.requests[-1].step = request.step


def request_lost(made: World, rng: random.Random) -> None:
    message = pick(made.states(SUPPRESSED), rng)
    made.requests = [r for r in made.requests if r.message_id != message]


def message_for_no_case(made: World, rng: random.Random) -> None:
    made.message(ids.case_id("nowhere"), "acknowledge", (SUPPRESSED,), at_carrier=False)


def mark_of_message_lost(made: World, rng: random.Random) -> None:
    message = pick(made.states(SUPPRESSED), rng)
    next(r for r in made.requests if r.message_id == message).drill = False


def mark_lost_on_the_way(made: World, rng: random.Random) -> None:
    message = pick(made.states(DELIVERED), rng)
    record = next(r for r in made.statuses if r.changes[0].message_id == message)
    record.changes[0].drill = False


def status_lost(made: World, rng: random.Random) -> None:
    drop_status_of(made, pick(made.states(SUPPRESSED), rng))


def changed(made: World, message: str, state: broadcast_pb2.MessageState.ValueType) -> None:
    change = broadcast_pb2.MessageChange()
    for record in made.statuses:
        if record.changes[0].message_id == message:
            change.CopyFrom(record.changes[0])
    change.state = state
    change.attempt += state == CLAIMED
    made.status(change)


def left_final(made: World, rng: random.Random) -> None:
    changed(made, pick(made.states(DELIVERED), rng), FAILED)


def back_from_final(made: World, rng: random.Random) -> None:
    changed(made, pick(made.states(EXPIRED, SUPPRESSED), rng), SUBMITTED)


def sent_blindly(made: World, rng: random.Random) -> None:
    changed(made, pick(made.states(UNKNOWN, SUBMITTED), rng), CLAIMED)


def sent_without_claim(made: World, rng: random.Random) -> None:
    message = pick(made.states(SUBMITTED), rng)
    at = next(
        i
        for i, r in enumerate(made.statuses)
        if r.changes[0].message_id == message and r.changes[0].state == CLAIMED
    )
    del made.statuses[at]


def unknown_state(made: World, rng: random.Random) -> None:
    message = pick(made.states(SUBMITTED), rng)
    made.status(
        broadcast_pb2.MessageChange.FromString(
            broadcast_pb2.MessageChange(
                message_id=message, attempt=1, drill=True
            ).SerializeToString()
            + b"\x10\x63"  # state = 99, of a version that is not ours
        )
    )


def attempt_skipped(made: World, rng: random.Random) -> None:
    message = pick(made.states(SUBMITTED), rng)
    for record in made.statuses:
        if record.changes[0].message_id == message:
            record.changes[0].attempt += 1


def sent_twice(made: World, rng: random.Random) -> None:
    """The SMS centre was given a message a second time, and no status tells of it."""
    message = pick(made.states(DELIVERED), rng)
    found = made.ids_of(message)
    again = [s for s in made.submits if s.carrier_id in found]
    made.submits.extend(replace(one, carrier_id=str(900_000 + at)) for at, one in enumerate(again))
    # An answer that never came could hide it, if the text did not give it away.
    made.message(made.requests[0].case_id, "hides", (CLAIMED, UNKNOWN), at_carrier=False)


def part_sent_twice(made: World, rng: random.Random) -> None:
    parts = [s for s in made.submits if s.concat is not None and s.accepted]
    part = parts[rng.randrange(len(parts))]
    made.submits.append(replace(part, carrier_id="900000"))
    made.message(made.requests[0].case_id, "hides", (CLAIMED, UNKNOWN), at_carrier=False)


def carrier_forgot(made: World, rng: random.Random) -> None:
    found = made.ids_of(pick(made.states(DELIVERED), rng))
    made.submits = [s for s in made.submits if s.carrier_id not in found]


def carrier_has_another(made: World, rng: random.Random) -> None:
    """Somebody got a message that nobody asked for."""
    for at in range(1 + len(made.states(UNKNOWN))):
        made.submits.extend(submits(f"Who wrote this? {at}", first_id=800_000 + at))


def one_id_for_two(made: World, rng: random.Random) -> None:
    first, second = made.states(DELIVERED)[:2]
    for record in made.statuses:
        if record.changes[0].message_id == second and record.changes[0].carrier_ids:
            record.changes[0].carrier_ids[:] = made.ids_of(first)
    # What the second was is hidden behind an answer that never came.
    made.message(made.requests[0].case_id, "hides", (CLAIMED, UNKNOWN), at_carrier=False)


def set_aside(made: World, rng: random.Random) -> None:
    """A contact can't be processed: it is in a dead letter, and in no case."""
    contact_never_decided(made, rng)
    made.dead.append(
        common_pb2.DeadLetter(topic=topics.CONTACT_ACCEPTED.name, offset=len(made.accepted) - 1)
    )


def unreadable(made: World, rng: random.Random) -> None:
    made.garbage.append(Read(topics.CASE.name, 0, 999_999, b"\xff\xff"))


Damage: TypeAlias = Callable[[World, random.Random], None]
NO_CASE = "acknowledged contacts are in no case"
WAITS = "accepted contacts are in no case"
NOT_ACCEPTED = "acknowledged contacts are not in intake.contact-accepted.v1"
NEVER_ACCEPTED = "contacts are in a case and were never accepted"
MISSING = "decisions on a case are missing, or stand twice"
TWICE_DECIDED = "records were decided on twice, or out of order"
CONTACT_BUCKETS = "contacts are in no bucket or in two"
MESSAGE_BUCKETS = "messages are in no bucket or in two"
COUNTS = "cases count other contacts than are in them"
ARRIVAL = "cases do not keep the first arrival of their contacts"
DUPLICATES = "duplicate cases"
PLACE = "callbacks do not keep the caller's place"
NO_END = "messages were asked for and have no end"
DOES_NOT_FOLLOW = "states of messages do not follow from the ones before"
CARRIER_KNOWS_NOT = "messages are said to be with the SMS centre, which knows not of them"
NO_STATUS_TELLS = "messages are at the SMS centre and no status tells of them"

DAMAGES: dict[Damage, tuple[set[str], set[str]]] = {
    # What must be named, and what may be named besides when more hangs on the same record.
    acknowledged_for_nothing: ({NO_CASE, NOT_ACCEPTED}, set()),
    acknowledged_by_another_name: (
        {NO_CASE, NOT_ACCEPTED, "contacts were acknowledged that nobody sent"},
        set(),
    ),
    acceptance_lost: ({NOT_ACCEPTED, NEVER_ACCEPTED, CONTACT_BUCKETS}, {ARRIVAL}),
    mark_of_contact_lost: ({"synthetic contacts were accepted without their drill mark"}, set()),
    contact_never_decided: ({NO_CASE, WAITS}, set()),
    opening_lost: ({NO_CASE, WAITS}, set()),
    link_lost: ({NO_CASE, WAITS}, {MISSING, COUNTS}),
    decided_twice: ({TWICE_DECIDED, MISSING, CONTACT_BUCKETS}, set()),
    second_case: ({DUPLICATES, "contacts are in two cases", CONTACT_BUCKETS, COUNTS}, set()),
    case_opened_twice: ({DUPLICATES, MISSING, CONTACT_BUCKETS}, {COUNTS}),
    duplicate_case: ({DUPLICATES}, set()),
    place_moved: ({"cases moved their first arrival later", ARRIVAL}, {PLACE}),
    wrong_count: ({COUNTS}, set()),
    decision_on_a_call_lost: ({MISSING}, set()),
    callback_of_no_case: ({"callbacks are for cases that are not there"}, set()),
    callback_lost_its_place: ({PLACE}, set()),
    callback_forgot: ({"decisions on a callback are missing, or stand twice"}, set()),
    requested_twice: ({"messages were requested more than once"}, set()),
    step_twice: ({"messages are second ones for the same step of a case"}, set()),
    request_lost: ({"messages have a status and were never requested", MESSAGE_BUCKETS}, set()),
    message_for_no_case: ({"messages are for cases that are not there"}, set()),
    mark_of_message_lost: ({"messages for drill cases carry no drill mark"}, set()),
    mark_lost_on_the_way: ({"messages lost their drill mark on the way to the carrier"}, set()),
    status_lost: ({NO_END}, set()),
    left_final: ({"messages left their final state", MESSAGE_BUCKETS}, set()),
    back_from_final: ({"messages left their final state"}, set()),
    sent_blindly: ({"messages were claimed again while the carrier might have them"}, set()),
    sent_without_claim: ({DOES_NOT_FOLLOW, NO_END}, {NO_STATUS_TELLS}),
    unknown_state: ({DOES_NOT_FOLLOW}, set()),
    attempt_skipped: ({DOES_NOT_FOLLOW, NO_END}, {NO_STATUS_TELLS}),
    sent_twice: ({"messages reached the SMS centre more than once"}, set()),
    part_sent_twice: ({"messages reached the SMS centre more than once"}, set()),
    carrier_forgot: ({CARRIER_KNOWS_NOT}, set()),
    carrier_has_another: ({NO_STATUS_TELLS}, set()),
    one_id_for_two: ({"ids of the SMS centre stand for more than one message"}, set()),
    set_aside: ({NO_CASE, "records were set aside as dead letters"}, set()),
    unreadable: ({"records can't be read and no room set them aside"}, set()),
}


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_damage_is_named_for_what_it_is(damage: Damage) -> None:
    must, may = DAMAGES[damage]
    for seed in range(4):
        made = world()
        damage(made, random.Random(seed))
        found = sentences(made.account())
        assert found >= must, f"seed {seed}"
        assert found <= must | may, f"seed {seed}"


@given(
    people=st.integers(12, 40),
    damage=st.sampled_from(list(DAMAGES)),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=60, deadline=None)
def test_damage_is_caught_in_any_world(people: int, damage: Damage, seed: int) -> None:
    made = world(people)
    damage(made, random.Random(seed))
    assert sentences(made.account()) >= DAMAGES[damage][0]


def test_figures_tell_how_much() -> None:
    made = world()
    acknowledged_for_nothing(made, random.Random(1))
    acknowledged_for_nothing(made, random.Random(2))
    sent_twice(made, random.Random(1))
    duplicate_case(made, random.Random(1))
    account = made.account()
    assert (account.lost, account.duplicate_messages, account.duplicate_cases) == (2, 1, 1)
    assert f"2 {NO_CASE}" in account.problems
    made.acknowledged = []
    account = made.account()
    assert (account.lost, account.unacknowledged) == (0, len(made.truth))


def test_the_sms_centre_is_matched_one_by_one() -> None:
    """One delivery is invented and one message stands unexplained: the sums agree all the same."""
    made = World()
    for p in range(5):
        case = made.contact(Truth(f"+99950000000{p}", f"p{p}", f"n{p}"))
        made.message(case, "acknowledge", (CLAIMED, SUBMITTED, DELIVERED), at_carrier=True)
    assert made.account().problems == []
    made.submits[2:3] = submits("Somebody else's.", first_id=5000)
    account = made.account()
    assert account.carrier_messages == account.messages.delivered == 5
    assert sentences(account) == {CARRIER_KNOWS_NOT, NO_STATUS_TELLS}


def test_a_poison_record_that_was_set_aside_is_told_once() -> None:
    made = world()
    made.garbage.append(Read(topics.CONTACT_ACCEPTED.name, 3, 7, b"\xff\xff"))
    made.dead.append(
        common_pb2.DeadLetter(topic=topics.CONTACT_ACCEPTED.name, partition=3, offset=7)
    )
    assert made.account().problems == ["1 records were set aside as dead letters"]


# Damage, of any record.


@given(st.data())
@settings(max_examples=120, deadline=None)
def test_no_record_goes_or_comes_twice_unseen(data: st.DataObject) -> None:
    made = world(12)
    log = data.draw(
        st.sampled_from(["accepted", "decisions", "requests", "callbacks", "statuses", "submits"])
    )
    records = getattr(made, log)
    at = data.draw(st.integers(0, len(records) - 1))
    if data.draw(st.booleans(), label="twice"):
        innocent = may_stand_twice(made, log, at)
        records.insert(at, records[at])
    else:
        innocent = may_be_missing(made, log, at)
        del records[at]
    assert bool(made.account().problems) is not innocent


def may_stand_twice(made: World, log: str, at: int) -> bool:
    """A redelivery, a part's news, or a refusal means nothing the second time."""
    if log == "statuses":
        return made.statuses[at].changes[0].state in (SUBMITTED, UNKNOWN)
    if log == "submits":
        return not made.submits[at].accepted
    return log == "accepted"


def may_be_missing(made: World, log: str, at: int) -> bool:
    """Nothing that anybody else tells of, or promises, hangs on it."""
    if log == "accepted":
        contact = made.accepted[at].contact_id
        return sum(a.contact_id == contact for a in made.accepted) > 1
    if log == "decisions":
        decision = made.decisions[at]
        later = any(d.case.case_id == decision.case.case_id for d in made.decisions[at + 1 :])
        return decision.change == dedup_pb2.CASE_CHANGE_REPEATED or (
            decision.change == CALL and not later
        )
    if log == "callbacks":
        return made.callbacks[at].version == 2
    if log == "statuses":
        message = made.statuses[at].changes[0].message_id
        path = [
            (i, r.changes[0].state)
            for i, r in enumerate(made.statuses)
            if r.changes[0].message_id == message
        ]
        place = [i for i, _ in path].index(at)
        states = [0, *(state for _, state in path), 0]
        before, state, after = states[place : place + 3]
        # The news of a state that the message is in already, or the end that a receipt would bring,
        # or that the carrier had taken what failed or has no receipt, or that the receipt was late.
        return (
            state in (QUEUED, before, after)
            or (before in (SUBMITTED, UNKNOWN) and not after)
            or (state == SUBMITTED and after in (FAILED, UNKNOWN))
            or (before == SUBMITTED and state == UNKNOWN)
        )
    if log == "submits":
        told = {i for message in known(made) for i in made.ids_of(message)}
        return made.submits[at].carrier_id not in told
    return False
