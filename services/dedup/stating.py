"""What a decision on a case says to those who look at the cases of many people. Pure.

A case is stated with each of its first contacts that say something (later ones hardly say anything
new, but for danger), when its need was met, and when staff said what it is about, opened it again,
merged or split it.
What is stated stands in the decision, so that a new owner can state it again from the log alone.
"""

from collections.abc import Iterator

from mawja.dedup.v1 import events_pb2, needs_pb2

from services.dedup.case import Case
from services.dedup.incidents.heard import Heard

NOTHING_HEARD = Heard((), ())
_FIRST_CONTACTS = 4
_LONGEST_SEALED = 4_096
"""Bytes of a sealed text that may become a sample: every case that is remembered holds one."""
_HEARD = (events_pb2.CASE_CHANGE_OPENED, events_pb2.CASE_CHANGE_LINKED)
_CHANGED = (
    events_pb2.CASE_CHANGE_RESOLVED,
    events_pb2.CASE_CHANGE_REOPENED,
    events_pb2.CASE_CHANGE_MERGED,
    events_pb2.CASE_CHANGE_SPLIT,
    events_pb2.CASE_CHANGE_HEARD,
)


def hears(decision: events_pb2.CaseDecision) -> bool:
    """Whether what the contact of a decision says is stated."""
    return (
        decision.change in _HEARD
        and decision.HasField("triage")
        and (decision.case.contacts <= _FIRST_CONTACTS or decision.triage.life_safety)
    )


def state(decision: events_pb2.CaseDecision, heard: Heard, sealed_text: bytes) -> None:
    """Puts into a decision what is stated because of it. `heard`, `sealed_text`: of its contact."""
    if hears(decision):
        case, link = decision.case, decision.link
        need = _need(case, link.event_ms)
        need.channel = link.channel
        need.language = link.language
        need.sounds.extend(heard.sounds)
        need.places.extend(heard.places)
        if len(sealed_text) <= _LONGEST_SEALED:
            need.sealed_text = sealed_text
        decision.needs.append(need)
    elif decision.change in _CHANGED or _told_of_text(decision):
        decision.needs.append(_need(decision.case, decision.case.last_contact_ms))
        if decision.HasField("other"):
            decision.needs.append(_need(decision.other, decision.other.last_contact_ms))


def stated(decision: events_pb2.CaseDecision) -> Iterator[needs_pb2.NeedStated]:
    """What a decision of the log states, whole."""
    for number, written in enumerate(decision.needs):
        need = needs_pb2.NeedStated()
        need.CopyFrom(written)
        if number == 0:
            need.shape.extend(decision.shape)
            need.signs.extend(decision.signs)
        yield need


def _told_of_text(decision: events_pb2.CaseDecision) -> bool:
    """Whether a call met the need of a case that may be in an incident, one with a text; or staff
    said what it is about."""
    change, case = decision.change, decision.case
    met = change == events_pb2.CASE_CHANGE_CALL and case.state == events_pb2.CASE_STATE_RESOLVED
    return (met or change == events_pb2.CASE_CHANGE_TRIAGED) and case.HasField("triage")


def _need(case: Case, event_ms: int) -> needs_pb2.NeedStated:
    triage = case.triage
    agency, topic, sure = case.agency, case.topic, 1.0 if case.agency else 0.0
    if not topic and triage.topic and agency in ("", triage.agency):
        agency, topic, sure = triage.agency, triage.topic, triage.topic_confidence
    return needs_pb2.NeedStated(
        case_id=case.case_id,
        case_number=case.case_number,
        case_version=case.version,
        person=case.person,
        agency=agency,
        topic=topic,
        topic_confidence=sure,
        language=case.language,
        kind=case.kind or triage.kind,
        life_safety=case.life_safety,
        drill=case.drill,
        event_ms=event_ms,
        channel=case.channel,
        resolved=case.state == events_pb2.CASE_STATE_RESOLVED,
        merged_into=case.merged_into.into.case_id if case.HasField("merged_into") else "",
    )
