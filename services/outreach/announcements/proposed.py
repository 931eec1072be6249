"""What lines play of a proposal that a coordinator accepted, if they asked for it. Pure.

The words are the campaign's. A line can't fill in anybody's name, and its callers need Arabic and
English, so not every suggestion can be said there; that is told before it is accepted.
"""

from collections.abc import Iterable

from mawja.broadcast.v1.campaigns_pb2 import CampaignText
from mawja.outreach.v1 import proposals_pb2
from mawja.outreach.v1.announcements_pb2 import Announcement, AnnouncementText
from mawja.outreach.v1.proposals_pb2 import Proposal

from services.runtime import ids
from services.runtime.announcements import LONGEST_MS, NEEDED, in_order

_LONGEST_TEXT = 1_000


def why_not(texts: Iterable[CampaignText], lasts_ms: int) -> str:
    """Why lines can't play them for so long, in words; "" when they can."""
    found = list(texts)
    languages = [_primary(text) for text in found]
    for needed in NEEDED:
        if needed not in languages:
            return f"announce: lines need a text in {needed}"
    for text in found:
        if "{" in text.template or "}" in text.template:
            return "announce: a line can't fill in what stands in braces"
        if len(text.template) > _LONGEST_TEXT:
            return f"announce: a text for lines has at most {_LONGEST_TEXT:,} characters"
    if lasts_ms > LONGEST_MS:
        return "announce: must end within 31 days"
    return ""


def of_proposal(proposal: Proposal) -> Announcement | None:
    """What lines play of it; None when that was not asked for."""
    accepted = proposal.state == proposals_pb2.PROPOSAL_STATE_ACCEPTED
    if not accepted or not proposal.HasField("announce"):
        return None
    # The first of a language: one for each region would be said one after the other.
    texts: dict[str, str] = {}
    for text in proposal.suggestion.texts:
        texts.setdefault(_primary(text), text.template)
    at_ms = proposal.ended.done_ms
    return Announcement(
        announcement_id=ids.derive("announcement", "proposal", proposal.proposal_id),
        lines=proposal.announce.lines,
        agency=proposal.suggestion.agency,
        texts=in_order(
            AnnouncementText(language=language, text=text) for language, text in texts.items()
        ),
        from_ms=at_ms,
        until_ms=at_ms + proposal.announce.lasts_ms,
        set_by=proposal.ended.subject,
        set_ms=at_ms,
        drill=proposal.drill,
    )


def _primary(text: CampaignText) -> str:
    return text.language.partition("-")[0].lower()
