"""The case as it is stated: how a contact opens it, joins it, and opens it again. Pure."""

from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2
from mawja.intake.v1 import events_pb2 as intake_pb2

from services.runtime import ids

Case = events_pb2.Case

OPEN = events_pb2.CASE_STATE_OPEN
ASSIGNED = events_pb2.CASE_STATE_ASSIGNED
RESOLVED = events_pb2.CASE_STATE_RESOLVED
MERGED = events_pb2.CASE_STATE_MERGED
VOICE = (common_pb2.CHANNEL_VOICE, common_pb2.CHANNEL_SIGN_LANGUAGE_VIDEO)


def begin(case: Case, contact: intake_pb2.ContactAccepted, language: str) -> None:
    """Fills an empty case from its first contact."""
    case.case_id = ids.case_id(contact.contact_id)
    case.case_number = ids.case_number(case.case_id)
    case.person = contact.person
    case.state = OPEN
    case.first_arrival_ms = case.last_contact_ms = contact.event_ms
    case.channel = contact.channel
    case.kind = contact.kind
    case.party = contact.party
    case.number_line = contact.number_line
    case.line = contact.line
    case.agency = contact.agency
    case.topic = contact.topic
    case.language = language
    case.life_safety = contact.life_safety
    case.drill = contact.drill
    case.recorded = contact.recorded
    if contact.HasField("exercise"):
        case.exercise.CopyFrom(contact.exercise)
    case.contacts = 1
    case.dialled = int(contact.channel in VOICE)
    case.sealed_number = contact.sealed_number
    case.accepted_ms = contact.accepted_ms


def join(
    case: Case, contact: intake_pb2.ContactAccepted, language: str, *, reopens: bool = True
) -> None:
    """Takes a further contact into a case. What the first one left open, this one may tell.
    `reopens`: whoever writes after the need was met has it again."""
    if contact.event_ms >= case.last_contact_ms:
        # The last one is kept longest: an open case must stay reachable when a month is erased.
        case.sealed_number = contact.sealed_number or case.sealed_number
    if reopens and case.state == RESOLVED and contact.event_ms > case.resolved_ms:
        reopen(case)
    elif case.state == MERGED and contact.event_ms > case.resolved_ms > 0:
        case.merged_into.was, case.resolved_ms = OPEN, 0
    case.first_arrival_ms = min(case.first_arrival_ms, contact.event_ms)
    case.last_contact_ms = max(case.last_contact_ms, contact.event_ms)
    case.kind = case.kind or contact.kind
    case.party = case.party or contact.party
    case.line = case.line or contact.line
    case.agency = case.agency or contact.agency
    case.topic = case.topic or contact.topic
    case.language = case.language or language
    case.life_safety = case.life_safety or contact.life_safety
    case.contacts += 1
    case.dialled += contact.channel in VOICE


def told(case: Case, triage: events_pb2.Triage) -> None:
    """What a contact's text says. Danger stays until a person says otherwise, and a service that an
    earlier text told surely until another does."""
    before = events_pb2.Triage()
    before.CopyFrom(case.triage)
    case.triage.CopyFrom(triage)
    if triage.unsure and before.topic and not before.unsure:
        case.triage.agency, case.triage.topic = before.agency, before.topic
        case.triage.topic_confidence, case.triage.unsure = before.topic_confidence, False
    case.life_safety = case.life_safety or triage.life_safety


def reopen(case: Case) -> None:
    """Makes a resolved case anybody's again."""
    case.state = OPEN
    case.resolved_ms = case.score_until_ms = 0
    case.assignee = ""


def unsure(case: Case) -> bool:
    """Whether a person should say what a case is about: its need is not met, its texts do not tell
    surely, and nobody named a service."""
    return case.state in (OPEN, ASSIGNED) and case.triage.unsure and not case.topic


def listing(case: Case) -> tuple[int, str, int, bool]:
    """What decides where a case is listed: state, agency, place, whether its triage is unsure."""
    return case.state, case.agency, case.first_arrival_ms, unsure(case)
