"""What to propose: to whom, and in which approved words. Pure.

Words come from the knowledge file only. Where nobody has approved what to say, the proposal says so
and proposes none: a coordinator writes it.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from mawja.broadcast.v1.audiences_pb2 import CALLER_STATE_OPEN, AudienceQuery, Callers
from mawja.dedup.v1.incidents_pb2 import CaseCount
from mawja.outreach.v1.proposals_pb2 import Evidence, Suggestion

from services.outreach.proposals.evidence import (
    AGENCY,
    HALF,
    INCIDENT,
    LANGUAGE,
    LINE,
    TOPIC,
    Subject,
)
from services.runtime.knowledge import NEEDED, Entry, Knowledge, spoken

_ASKED = 1 / 3
"""What so large a share of the cases asks, the text answers."""


def suggestion(
    subject: Subject, evidence: Evidence, knowledge: Knowledge, drill: bool
) -> Suggestion:
    """What the evidence about a subject suggests."""
    entry, why = entry_for(subject, evidence, knowledge, drill)
    agency = _agency(subject, evidence)
    begun = datetime.fromtimestamp(evidence.since_ms / 1000, UTC)
    found = Suggestion(
        name=f"{called(subject, evidence)}, burst of {begun:%Y-%m-%d %H:%M} UTC",
        agency=agency if entry is None else entry.agency,
        audience=AudienceQuery(callers=_callers(subject, evidence.since_ms)),
        text_missing=why,
    )
    if entry is not None:
        _say(found, entry, evidence)
    return found


def called(subject: Subject, evidence: Evidence) -> str:
    """A subject in words, e.g. "topic school-closure", "incident in Jahra" or "all lines"."""
    dimension, value = subject
    if dimension == INCIDENT:
        where, what = _most(evidence.places, evidence), _most(evidence.topics, evidence)
        told = f"incident in {where}" if where else f"incident {value[:8]}"
        return f"{told}, {what}" if what else told
    names = {LINE: "line", AGENCY: "agency", TOPIC: "topic", LANGUAGE: "language"}
    return f"{names[dimension]} {value or 'not known'}" if dimension in names else "all lines"


def entry_for(
    subject: Subject, evidence: Evidence, knowledge: Knowledge, drill: bool
) -> tuple[Entry | None, str]:
    """The entry that answers what most ask, and "" ; or None and why there is none."""
    if knowledge.examples and not drill:
        return None, "the knowledge file holds examples only, which answer rehearsals"
    asked = evidence.questions[0] if evidence.questions else None
    if asked is not None and asked.cases >= _ASKED * evidence.cases:
        entry = knowledge.entries.get(asked.value)
    else:
        dimension, value = subject
        of_topic = value if dimension == TOPIC else None
        if dimension == INCIDENT:
            of_topic = _most(evidence.topics, evidence) or None
        about = [one for one in knowledge.entries.values() if one.topic == of_topic]
        if len(about) > 1:
            names = ", ".join(sorted(one.name for one in about))
            return None, f"several entries of the knowledge file are about it: {names}"
        entry = about[0] if about else None
    if entry is None:
        return None, "no entry of the knowledge file answers what they ask"
    if not entry.sendable(evidence.until_ms):
        return None, f"the knowledge file's entry {entry.name} is not approved, or not valid now"
    return entry, ""


def _say(found: Suggestion, entry: Entry, evidence: Evidence) -> None:
    languages = [one.value for one in evidence.languages]
    told = [known for one in languages if (known := spoken(entry.answer, one))]
    for language in dict.fromkeys((*told, *NEEDED)):
        found.texts.add(language=language, template=entry.answer[language])
    found.language = told[0] if told else NEEDED[0]
    found.entry = entry.label
    found.valid_until_ms = entry.valid_until_ms
    found.languages_missing.extend(one for one in languages if not spoken(entry.answer, one))


def _agency(subject: Subject, evidence: Evidence) -> str:
    if subject[0] == AGENCY:
        return subject[1]
    return _most(evidence.agencies, evidence)


def _most(counts: Sequence[CaseCount], evidence: Evidence) -> str:
    """What half of the cases have in common; "" when nothing is."""
    return counts[0].value if counts and counts[0].cases >= HALF * evidence.cases else ""


def _callers(subject: Subject, since_ms: int) -> Callers:
    """Who reached out about it since, and whose need is not met; everybody in an incident, however
    long it was before it grew."""
    dimension, value = subject
    if dimension == INCIDENT:
        return Callers(incident_id=value, state=CALLER_STATE_OPEN)
    asked = Callers(since_ms=since_ms, state=CALLER_STATE_OPEN)
    if dimension == LINE:
        asked.line = value
    elif dimension == AGENCY:
        asked.agency = value
    elif dimension == TOPIC:
        asked.topic = value
    elif dimension == LANGUAGE:
        asked.language = value
    return asked
