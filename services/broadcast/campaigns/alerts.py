"""A campaign from an alert of CAP 1.2, and as one. Pure.

An alert names places, not people, so the plan that comes of it has no audience yet. What the alert
leaves open is left open: a coordinator completes the draft, and another one approves it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mawja.broadcast.v1 import events_pb2
from mawja.broadcast.v1.campaigns_pb2 import Campaign, CampaignPlan, CampaignText

from services.broadcast.campaigns.life import FINAL, RECALLED
from services.broadcast.cap.drafts import Draft
from services.broadcast.cap.exports import CampaignFacts, alert_of, reference_of
from services.broadcast.cap.model import (
    Alert,
    CapError,
    Category,
    Certainty,
    MsgType,
    Problem,
    Reference,
    Severity,
    Urgency,
)
from services.broadcast.lanes import URGENT
from services.broadcast.texts.template import Field, TemplateError, parse

USUAL_MS = 24 * 3_600_000
"""How long a campaign runs whose alert says no end."""
LONGEST_NAME = 200
"""Bytes of UTF-8 of a campaign's name, as its proto has it."""
LONGEST_TEXT = 4096
"""Bytes of UTF-8 of a text, as its proto has it."""
_BRACES = str.maketrans({"{": "{{", "}": "}}"})


def plan_of(draft: Draft, now_ms: int) -> CampaignPlan:
    """The plan that a draft suggests: without audience and corrections, which no alert has. An
    alert's texts are said as they are: a brace in one is a brace."""
    texts = [
        CampaignText(language=one.language, template=one.text.translate(_BRACES))
        for one in draft.texts
        if one.text
    ]
    urgent = draft.lane == URGENT
    return CampaignPlan(
        name=_within(draft.name, LONGEST_NAME),
        kind=events_pb2.CAMPAIGN_KIND_EMERGENCY if urgent else events_pb2.CAMPAIGN_KIND_INFORMATION,
        drill=draft.drill,
        texts=texts,
        language=_own([text.language for text in texts]),
        expires_ms=draft.expires_ms or now_ms + USUAL_MS,
    )


EVENTS: Mapping[int, Mapping[str, str]] = {
    events_pb2.CAMPAIGN_KIND_EMERGENCY: {"ar": "حالة طوارئ", "en": "Emergency"},
    events_pb2.CAMPAIGN_KIND_INFORMATION: {"ar": "إعلان عام", "en": "Public announcement"},
    events_pb2.CAMPAIGN_KIND_MARKETING: {"ar": "إعلان", "en": "Announcement"},
}
"""What is called an event whose export does not name it, by the campaign's kind."""


@dataclass(frozen=True, slots=True)
class Event:
    """What CAP asks of an event beyond what a campaign says. `names` by language tag."""

    names: Mapping[str, str]
    category: Category = Category.SAFETY
    urgency: Urgency = Urgency.UNKNOWN
    severity: Severity = Severity.UNKNOWN
    certainty: Certainty = Certainty.UNKNOWN


def alert_from(campaign: Campaign, sender: str, event: Event, first: bool = False) -> Alert:
    """The campaign as an alert that went out when it was started; once it is recalled, the Update
    that corrects it; cancelled, the Cancel. `sender`: how the agency is named among those that
    exchange alerts. `first`: the alert that went out, also of one that has ended.

    Raises CapError: for a campaign that was never started, or whose texts have places for a
    recipient's fields without a default, which an alert to everybody can't fill.
    """
    if not campaign.HasField("started"):
        raise CapError(Problem("alert", None, "was never sent: start the campaign first"))
    plan, ended = campaign.plan, campaign.state in FINAL and not first
    identifier, sent_ms = campaign.campaign_id, campaign.started.done_ms
    references: tuple[Reference, ...] = ()
    kind, texts = MsgType.ALERT, plan.texts
    if ended:
        references = (reference_of(sender, identifier, sent_ms),)
        identifier, sent_ms = f"{identifier}.end", campaign.ended.done_ms
        recalled = campaign.state == RECALLED
        kind = MsgType.UPDATE if recalled else MsgType.CANCEL
        texts = plan.corrections
    return alert_of(
        CampaignFacts(
            identifier=identifier,
            sender=sender,
            sent_ms=sent_ms,
            name=plan.name,
            texts={one.language: _plain(one) for one in texts},
            events=event.names,
            category=event.category,
            urgency=event.urgency,
            severity=event.severity,
            certainty=event.certainty,
            kind=kind,
            drill=plan.drill,
            references=references,
            expires_ms=plan.expires_ms,
            agency=plan.agency,
        )
    )


def _plain(text: CampaignText) -> str:
    """A text as it is said to everybody: with what it says of whom a field is missing. Raises
    CapError where that is nothing."""
    try:
        pieces = parse(text.language, text.template).pieces
    except TemplateError as error:
        raise CapError(Problem("alert/info/description", None, str(error))) from None
    said = []
    for piece in pieces:
        if isinstance(piece, Field):
            if not piece.default:
                rule = (
                    f"the text in {text.language} asks for {{{piece.name}}}, which differs from "
                    f"person to person; an alert says the same to all: write {{{piece.name}|…}}, "
                    "with what it is to say, before the campaign is started, or make one for the "
                    "alert whose text asks for nothing"
                )
                raise CapError(Problem("alert/info/description", None, rule))
            said.append(piece.default)
        else:
            said.append(piece)
    return "".join(said)


def _within(name: str, most: int) -> str:
    """As much of a name as `most` bytes hold, in whole words where it can be."""
    if len(name.encode()) <= most:
        return name
    head = name.encode()[: most - len("…".encode())].decode(errors="ignore")
    return f"{head.rpartition(' ')[0] or head}…"


def _own(languages: Sequence[str]) -> str:
    """The campaign's language: Arabic where there is a text in it, or the first."""
    arabic = (one for one in languages if one.lower().split("-")[0] == "ar")
    return next(arabic, languages[0] if languages else "")
