"""Damage to the records that the ledger holds against each other, and how it must be named."""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

from mawja.broadcast.v1 import events_pb2 as broadcast_pb2
from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2 as dedup_pb2
from mawja.outreach.v1 import events_pb2 as outreach_pb2

from loadtests.ledger import Truth
from services.runtime import ids, topics
from tests.ledger_world import (
    CLAIMED,
    DELIVERED,
    EXPIRED,
    FAILED,
    SOURCE,
    START_MS,
    SUBMITTED,
    SUPPRESSED,
    UNKNOWN,
    Read,
    World,
    submits,
)


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


def callback_after_its_end(made: World, rng: random.Random) -> None:
    again = outreach_pb2.Callback()
    again.CopyFrom(made.callbacks[-1])
    again.state, again.version = outreach_pb2.CALLBACK_STATE_CLAIMED, again.version + 1
    made.callbacks.append(again)


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
    callback_after_its_end: ({"decisions on a callback come after its end"}, set()),
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
