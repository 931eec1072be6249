"""What two cases of one person come to as one, and a case of some contacts alone. Pure.

Nobody may lose their place or their urgency by it: the one that stays has the earliest arrival and
the danger of either, and is anybody's to do while either was. What belongs to no contact (danger,
triage) stays with both parts of a split.
"""

from collections.abc import Sequence

from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2

from services.dedup import contacts as step
from services.dedup.case import ASSIGNED, MERGED, OPEN, RESOLVED, Case, reopen
from services.dedup.contacts import Contacts
from services.dedup.tally import Row, Tallies
from services.runtime import ids

_COUNTS = ("contacts", "dialled", "reconnects", "abandoned", "answered")


def absorb(case: Case, source: Case) -> None:
    """Takes another case of the same person into `case`."""
    for count in _COUNTS:
        setattr(case, count, getattr(case, count) + getattr(source, count))
    if source.first_arrival_ms < case.first_arrival_ms:
        case.first_arrival_ms, case.accepted_ms = source.first_arrival_ms, source.accepted_ms
        case.channel, case.line = source.channel, source.line or case.line
    if source.last_contact_ms >= case.last_contact_ms:
        case.last_contact_ms = source.last_contact_ms
        case.sealed_number = source.sealed_number or case.sealed_number
        if source.HasField("triage"):
            case.triage.CopyFrom(source.triage)
    case.kind = case.kind or source.kind
    case.party = case.party or source.party
    case.number_line = case.number_line or source.number_line
    case.line = case.line or source.line
    case.agency = case.agency or source.agency
    case.topic = case.topic or source.topic
    case.language = case.language or source.language
    case.life_safety = case.life_safety or source.life_safety
    if case.state == RESOLVED and source.state == RESOLVED:
        case.resolved_ms = max(case.resolved_ms, source.resolved_ms)
    elif case.state == RESOLVED:
        reopen(case)
    if case.state == OPEN and source.state == ASSIGNED:
        case.state, case.assignee = ASSIGNED, source.assignee


def empty(source: Case, case: Case, merge_id: str) -> None:
    """What is left of a case whose contacts went into `case`."""
    into = events_pb2.MergedInto(
        case_number=case.case_number, merge_id=merge_id, across=False, was=source.state
    )
    into.into.case_id = case.case_id
    source.merged_into.CopyFrom(into)
    source.state, source.assignee, source.resolved_ms = MERGED, "", 0
    source.sealed_number = b""
    for count in _COUNTS:
        setattr(source, count, 0)


def part(
    case: Case, moved: Sequence[int], kept: Sequence[int], contacts: Contacts, tallies: Tallies
) -> Case:
    """Takes the contacts `moved` out of `case`, where `kept` stay, and gives the case of them; it
    has no id yet. Reconnects are left to whoever counts them."""
    other = Case()
    other.CopyFrom(case)
    for field in ("merged_into", "linked", "case_id", "case_number"):
        other.ClearField(field)
    other.state, other.version = OPEN, 0
    other.assignee, other.resolved_ms, other.reconnects = "", 0, 0
    for field, mark in (("dialled", step.VOICE), ("abandoned", step.ABANDONED)):
        count = sum(bool(contacts.steps[contact] & mark) for contact in moved)
        setattr(other, field, count)
        setattr(case, field, getattr(case, field) - count)
    other.answered = sum(bool(contacts.steps[contact] & step.ANSWERED) for contact in moved)
    case.answered -= other.answered
    other.contacts = len(moved)
    case.contacts -= len(moved)
    gone = [contacts.event_ms[contact] for contact in moved]
    stay = [contacts.event_ms[contact] for contact in kept]
    other.first_arrival_ms, other.last_contact_ms = min(gone), max(gone)
    rows = [tallies.rows[contacts.row[contact]] for contact in _by_arrival(moved, contacts)]
    _describe(other, rows)
    # When the log no longer keeps all contacts of the case, an earlier one may be of those.
    if other.first_arrival_ms <= case.first_arrival_ms < min(stay):
        first = tallies.rows[contacts.row[_by_arrival(kept, contacts)[0]]]
        case.first_arrival_ms = min(stay)
        case.channel, case.line = _channel(first), first.line or case.line
    if other.last_contact_ms >= case.last_contact_ms:
        case.last_contact_ms = max(stay)
    return other


def name(other: Case, first_contact_id: str, command_id: str) -> None:
    """Gives a case that was split off its id and number."""
    other.case_id = ids.split_case_id(first_contact_id, command_id)
    other.case_number = ids.case_number(other.case_id)


def earliest(moved: Sequence[int], contacts: Contacts) -> int:
    """The contact that reached out first; the id settles a tie."""
    return _by_arrival(moved, contacts)[0]


def _by_arrival(moved: Sequence[int], contacts: Contacts) -> list[int]:
    return sorted(moved, key=lambda c: (contacts.event_ms[c], contacts.id[c]))


def _describe(other: Case, rows: Sequence[Row]) -> None:
    """What the contacts say of themselves; of what none says, the case that they were in."""
    other.channel = _channel(rows[0])
    for field in ("line", "agency", "topic", "language"):
        told = (getattr(row, field) for row in rows)
        setattr(other, field, next(filter(None, told), getattr(other, field)))


def _channel(row: Row) -> common_pb2.Channel.ValueType:
    return common_pb2.Channel.ValueType(row.channel)
