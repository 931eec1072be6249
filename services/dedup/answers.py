"""A reply to the question how well somebody was served: one figure from 1 to 5, or "no". Pure.

Outreach asks it of the person of a resolved case, which dedup is told (`AskScore`). Until the time
it names, such a reply joins that case and is no need of its own; anything else that the person
writes is read as ever. A reply after a question of which of two was meant answers that instead:
people answer what they were asked last.
"""

from collections.abc import Iterable

from mawja.dedup.v1 import events_pb2
from mawja.intake.v1 import events_pb2 as intake_pb2

from services.dedup.case import RESOLVED, Case
from services.dedup.normalise import normalise

DENIED = -1
"""The reply "no": the need is not met."""
_LONGEST = 12
_FIGURES = {str(figure): figure for figure in range(1, 6)}
# In the languages in which people are asked, and as those are written in Latin letters.
_NO = frozenset(
    normalise(word)
    for word in ("no", "لا", "كلا", "la", "नहीं", "nahi", "nahin", "نہیں", "না", "ഇല്ല", "hindi")
)


def answer(text: str) -> int:
    """1 to 5 when that is all the text says, in digits of any script; DENIED when it is "no";
    otherwise 0."""
    if len(text) > _LONGEST:
        return 0
    said = normalise(text).strip(" .!)،")
    return DENIED if said in _NO else _FIGURES.get(said, 0)


def asked(
    contact: intake_pb2.ContactAccepted, reply: int, cases: Iterable[tuple[int, Case]]
) -> int | None:
    """The number of the case whose question `reply` answers; None when there is none. `cases`: of
    the person, by number."""
    if not reply or contact.kind or contact.life_safety:
        return None
    found, asked_ms, unclear_ms = None, 0, 0
    for number, case in cases:
        if case.drill != contact.drill or case.recorded != contact.recorded:
            continue
        if case.triage.next_question:
            unclear_ms = max(unclear_ms, case.last_contact_ms)
        within = case.score_asked_ms <= contact.event_ms <= case.score_until_ms
        if case.state == RESOLVED and within and case.score_asked_ms >= asked_ms:
            found, asked_ms = number, case.score_asked_ms
    return found if asked_ms > unclear_ms or reply not in (1, 2) else None


def linked(contact: intake_pb2.ContactAccepted, reply: int) -> events_pb2.Link:
    """Why the reply belongs to its case."""
    said = "says that the need is not met" if reply == DENIED else "says how well it was met"
    return events_pb2.Link(
        contact_id=contact.contact_id,
        level=events_pb2.LINK_LEVEL_SAME_NEED,
        score=1.0,
        reason=f"same number, {said}, as was asked",
        event_ms=contact.event_ms,
        channel=contact.channel,
    )


def state(decision: events_pb2.CaseDecision, reply: int) -> None:
    """Puts into the decision on a reply what it says."""
    if reply == DENIED:
        decision.denied = True
    else:
        decision.score = decision.case.score = reply
