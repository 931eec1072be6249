"""Cases of two people that a person merged: one is linked to the other, in two partitions. Pure.

The case that stays is decided on first; then the owner of the other one is told, by a command whose
id is derived from the merge, so that telling twice is telling once. If that one can't follow (it
was merged elsewhere meanwhile, or others are merged into it), it says so and the link is taken
back: no case ever leaves the lists for one that does not name it. A case with links is never merged
into another itself, so no chain and no ring of cases can hide from everybody.

Contacts stay where they are, also later ones; the case that stays hears of those, and opens again
when it was resolved before. When an agent resolves it or opens it again, the other one hears of it.
"""

from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2
from mawja.intake.v1 import events_pb2 as intake_pb2

from services.dedup.case import MERGED, OPEN, RESOLVED, Case, reopen
from services.runtime import ids

ACTIONS = frozenset({"follow_merge", "follow_split", "follow_state", "hear"})
_DEDUP = "dedup"
"""Subject of what nobody in particular asked for."""


def others(case: Case) -> set[str]:
    """Ids of the cases of other people that a case is merged with, on either side."""
    found = {link.linked.case_id for link in case.linked}
    if case.state == MERGED and case.merged_into.across:
        found.add(case.merged_into.into.case_id)
    return found


def note(
    decision: events_pb2.CaseDecision,
    envelope: common_pb2.CommandEnvelope,
    sealed_reason: bytes,
    other_number: str,
) -> None:
    """Notes who did in a decision what it changes, when and why."""
    decision.note.author, decision.note.noted_ms = envelope.subject, envelope.asked_ms
    decision.note.sealed_text = sealed_reason
    decision.note.about, decision.note.other_number = decision.change, other_number


def unlike(case: Case, source: Case) -> str:
    """Why `source` can't be merged into `case`, whoever's they are; empty when it can."""
    if source.case_id == case.case_id:
        return "a case can't be merged into itself: name two"
    if source.case_id in others(case):
        return "the two are merged already"
    if source.state == MERGED:
        return f"the case was merged into {source.merged_into.case_number}: ask for that one"
    if source.drill != case.drill:
        return "one of the two is a rehearsal and the other is not: they stay apart"
    if source.recorded != case.recorded:
        return "one of the two is made of records of past calls: they stay apart"
    if source.linked:
        return "another person's case is merged into it: split that first, or merge the other way"
    return ""


def merge(command: events_pb2.CaseCommand, decision: events_pb2.CaseDecision) -> str:
    """Links another person's case to that of the decision. Why not, in a sentence; else empty."""
    case, asked, envelope = decision.case, command.merge, command.envelope
    source_id = asked.source.case_id
    seen = Case()
    seen.CopyFrom(asked.seen)
    seen.case_id = source_id
    refusal = unlike(case, seen)
    if refusal:
        return refusal
    case.linked.append(
        events_pb2.LinkedCase(
            linked=asked.source,
            case_number=ids.case_number(source_id),
            level=events_pb2.LINK_LEVEL_BY_HAND,
            score=1.0,
            author=envelope.subject,
            linked_ms=envelope.asked_ms,
            merge_id=envelope.command_id,
        )
    )
    case.life_safety = case.life_safety or asked.seen.life_safety
    if case.state == RESOLVED and asked.seen.state != RESOLVED:
        reopen(case)
    case.version += 1
    decision.change = events_pb2.CASE_CHANGE_MERGED
    note(decision, envelope, asked.sealed_reason, ids.case_number(source_id))
    follow = _follow(decision, asked.source, "merge", envelope.command_id, envelope)
    follow.follow_merge.into.case_id = case.case_id
    follow.follow_merge.into.partition = asked.partition
    follow.follow_merge.merge_id = envelope.command_id
    follow.follow_merge.sealed_reason = asked.sealed_reason
    return ""


def obey(command: events_pb2.CaseCommand, decision: events_pb2.CaseDecision) -> str:
    """Does in the decision's case what follows from a merge, or undoes it. Why not, in a sentence;
    else empty."""
    action = command.WhichOneof("action")
    if action == "split":
        return _part(command, decision)
    if action == "follow_merge":
        return _follow_merge(command, decision)
    if action == "follow_split":
        return _follow_split(command, decision)
    if action == "follow_state":
        return _follow_state(command, decision)
    return _hear(command, decision)


def unknown(command: events_pb2.CaseCommand, decision: events_pb2.CaseDecision) -> None:
    """The case of a command is not there: whoever waits for it to follow is told."""
    if command.WhichOneof("action") == "follow_merge":
        _refuse(command, decision)


def heard(
    contact: intake_pb2.ContactAccepted, case: Case, decision: events_pb2.CaseDecision
) -> None:
    """A contact joined a case: the one that it is merged into, if it is, hears of it."""
    if case.state != MERGED:
        return
    merged = case.merged_into
    envelope = common_pb2.CommandEnvelope(subject=_DEDUP, asked_ms=contact.event_ms)
    cause = f"{contact.contact_id}/{merged.merge_id}"
    hear = _follow(decision, merged.into, "hear", cause, envelope).hear
    hear.source_id, hear.merge_id = case.case_id, merged.merge_id
    hear.event_ms, hear.life_safety = contact.event_ms, contact.life_safety


def settled(command: events_pb2.CaseCommand, decision: events_pb2.CaseDecision) -> None:
    """An agent resolved a case, or opened it again: so are those that are merged into it."""
    if decision.change not in (
        events_pb2.CASE_CHANGE_RESOLVED,
        events_pb2.CASE_CHANGE_REOPENED,
    ):
        return
    envelope = command.envelope
    for link in decision.case.linked:
        cause = f"{envelope.command_id}/{link.merge_id}"
        follow = _follow(decision, link.linked, "state", cause, envelope).follow_state
        follow.merge_id, follow.resolved_ms = link.merge_id, decision.case.resolved_ms


def _part(command: events_pb2.CaseCommand, decision: events_pb2.CaseDecision) -> str:
    case, envelope, merged = decision.case, command.envelope, events_pb2.MergedInto()
    merged.CopyFrom(case.merged_into)
    if not merged.across:
        return (
            f"its contacts are in {merged.case_number}: name those that become a case of their own"
        )
    case.state = merged.was
    if case.state == OPEN:
        case.assignee = ""
    case.ClearField("merged_into")
    case.version += 1
    decision.change = events_pb2.CASE_CHANGE_SPLIT
    note(decision, envelope, command.split.sealed_reason, merged.case_number)
    follow = _follow(decision, merged.into, "split", envelope.command_id, envelope).follow_split
    follow.source_id, follow.merge_id = case.case_id, merged.merge_id
    follow.sealed_reason = command.split.sealed_reason
    return ""


def _follow_merge(command: events_pb2.CaseCommand, decision: events_pb2.CaseDecision) -> str:
    case, asked, envelope = decision.case, command.follow_merge, command.envelope
    if case.state == MERGED and case.merged_into.merge_id == asked.merge_id:
        return "it followed already"
    if case.state == MERGED or case.linked:
        _refuse(command, decision)
        return "it is merged with another case: the merge is taken back"
    number = ids.case_number(asked.into.case_id)
    case.merged_into.CopyFrom(
        events_pb2.MergedInto(
            into=asked.into,
            case_number=number,
            merge_id=asked.merge_id,
            across=True,
            was=case.state,
        )
    )
    case.state = MERGED
    case.version += 1
    decision.change = events_pb2.CASE_CHANGE_MERGED
    note(decision, envelope, asked.sealed_reason, number)
    return ""


def _refuse(command: events_pb2.CaseCommand, decision: events_pb2.CaseDecision) -> None:
    asked, envelope = command.follow_merge, command.envelope
    follow = _follow(decision, asked.into, "refuse", asked.merge_id, envelope).follow_split
    follow.source_id, follow.merge_id, follow.refused = command.case_id, asked.merge_id, True


def _follow_split(command: events_pb2.CaseCommand, decision: events_pb2.CaseDecision) -> str:
    case, asked = decision.case, command.follow_split
    kept = [link for link in case.linked if not _is(link, asked.source_id, asked.merge_id)]
    if len(kept) == len(case.linked):
        return "the two are not merged"
    del case.linked[:]
    case.linked.extend(kept)
    case.version += 1
    decision.change = events_pb2.CASE_CHANGE_SPLIT
    number = ids.case_number(asked.source_id)
    note(decision, command.envelope, asked.sealed_reason, number)
    if asked.refused:
        decision.note.about = events_pb2.CASE_CHANGE_REFUSED
    return ""


def _follow_state(command: events_pb2.CaseCommand, decision: events_pb2.CaseDecision) -> str:
    case, asked, merged = decision.case, command.follow_state, decision.case.merged_into
    if case.state != MERGED or merged.merge_id != asked.merge_id:
        return "the two are not merged"
    if asked.resolved_ms:
        if case.last_contact_ms > asked.resolved_ms:
            return "its person reached out since"
        merged.was, case.resolved_ms = RESOLVED, asked.resolved_ms
        decision.change = events_pb2.CASE_CHANGE_RESOLVED
    else:
        if merged.was == RESOLVED:
            merged.was = OPEN
        case.resolved_ms = 0
        decision.change = events_pb2.CASE_CHANGE_REOPENED
    case.version += 1
    return ""


def _hear(command: events_pb2.CaseCommand, decision: events_pb2.CaseDecision) -> str:
    case, asked = decision.case, command.hear
    if not any(_is(link, asked.source_id, asked.merge_id) for link in case.linked):
        return "the two are not merged"
    case.life_safety = case.life_safety or asked.life_safety
    if case.state == RESOLVED and asked.event_ms > case.resolved_ms:
        reopen(case)
    case.version += 1
    decision.change = events_pb2.CASE_CHANGE_HEARD
    return ""


def _is(link: events_pb2.LinkedCase, source_id: str, merge_id: str) -> bool:
    return link.linked.case_id == source_id and link.merge_id == merge_id


def _follow(
    decision: events_pb2.CaseDecision,
    to: events_pb2.CaseRef,
    what: str,
    cause: str,
    envelope: common_pb2.CommandEnvelope,
) -> events_pb2.CaseCommand:
    """A command for the owner of another case, of which the action is not set yet."""
    follow_up = decision.follow_ups.add(partition=to.partition)
    command = follow_up.command
    command.case_id = to.case_id
    command.envelope.command_id = ids.follow_up_id(cause, what)
    command.envelope.subject = envelope.subject
    command.envelope.asked_ms = envelope.asked_ms
    return command
