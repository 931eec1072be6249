"""A campaign as an alert of CAP 1.2, with a block for each of its languages. Pure.

A recall is an Update (with the correction) or a Cancel that refers to what it takes back; a drill
is an Exercise, names itself in `note`, and its texts bear the mark that phones show.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from services.broadcast.cap.model import (
    UTC_OFFSET,
    Alert,
    CapError,
    Category,
    Certainty,
    Info,
    MsgType,
    Problem,
    Reference,
    ResponseType,
    Scope,
    Severity,
    Status,
    Urgency,
)
from services.broadcast.cap.places import Place, in_language
from services.broadcast.wording import shown
from services.runtime.smpp_text import Alphabet

_HEADLINE = 160
"""Characters that CAP recommends for a headline at most (3.2.2)."""
_SENTENCE_ENDS = (". ", "! ", "? ", "؟ ")
_KINDS = (MsgType.ALERT, MsgType.UPDATE, MsgType.CANCEL)


@dataclass(frozen=True, slots=True)
class CampaignFacts:
    """What an export says of a campaign. Times are Unix ms, cut to whole seconds.

    `texts`, `events` and the names of places are by language tag; an event that isn't named in a
    language is named as in another. `name` is how the agency calls the campaign: it stands in a
    drill's note only. `headlines` without an entry are the beginning of the text.
    """

    identifier: str
    sender: str
    sent_ms: int
    name: str
    texts: Mapping[str, str]
    events: Mapping[str, str]
    category: Category
    urgency: Urgency
    severity: Severity
    certainty: Certainty
    kind: MsgType = MsgType.ALERT
    drill: bool = False
    references: tuple[Reference, ...] = ()
    expires_ms: int | None = None
    agency: str = ""
    places: tuple[Place, ...] = ()
    responses: tuple[ResponseType, ...] = ()
    headlines: Mapping[str, str] = field(default_factory=dict)


def alert_of(facts: CampaignFacts) -> Alert:
    """The alert. Raises CapError when the kind is none of a campaign's, or a text is missing;
    `write` refuses what breaks CAP's own rules."""
    if facts.kind not in _KINDS:
        raise CapError(Problem("alert/msgType", None, "must be Alert, Update or Cancel"))
    if not facts.texts and facts.kind is not MsgType.CANCEL:
        raise CapError(Problem("alert/info", None, "is missing: a campaign has a text"))
    return Alert(
        identifier=facts.identifier,
        sender=facts.sender,
        sent_ms=_whole_second(facts.sent_ms),
        sent_offset=UTC_OFFSET,
        status=Status.EXERCISE if facts.drill else Status.ACTUAL,
        msg_type=facts.kind,
        scope=Scope.PUBLIC,
        note=_shown(facts.name, True) if facts.drill else "",
        references=facts.references,
        infos=tuple(_info(facts, language, text) for language, text in facts.texts.items()),
    )


def reference_of(sender: str, identifier: str, sent_ms: int) -> Reference:
    """The name of an alert that was exported with these: what its recall refers to."""
    return Reference(sender, identifier, _whole_second(sent_ms))


def _info(facts: CampaignFacts, language: str, text: str) -> Info:
    headline = facts.headlines.get(language) or _beginning(text)
    return Info(
        language=language,
        categories=(facts.category,),
        event=in_language(facts.events, language),
        response_types=facts.responses,
        urgency=facts.urgency,
        severity=facts.severity,
        certainty=facts.certainty,
        effective_ms=_whole_second(facts.sent_ms),
        expires_ms=None if facts.expires_ms is None else _whole_second(facts.expires_ms),
        sender_name=facts.agency,
        headline=_shown(headline, facts.drill),
        description=_shown(text, facts.drill),
        areas=tuple(place.area(language) for place in facts.places),
    )


def _shown(text: str, drill: bool) -> str:
    return shown(text, drill, Alphabet.GSM7)


def _beginning(text: str) -> str:
    """The first sentence or line; a longer one ends at a word, with an ellipsis."""
    line = text.strip().splitlines()[0] if text.strip() else ""
    ends = [at + 1 for mark in _SENTENCE_ENDS if (at := line.find(mark)) >= 0]
    line = line[: min(ends, default=len(line))]
    if len(line) <= _HEADLINE:
        return line
    head = line[: _HEADLINE - 1]
    return f"{head.rpartition(' ')[0] or head}…"


def _whole_second(ms: int) -> int:
    return ms - ms % 1000
