"""What people decided about a campaign, read from its decision log. Pure.

A decision states the campaign as it is afterwards: what was done is told by what changed. Who asked
for it and why stands in the command, which Kafka keeps as long as the decision; without it the
decision itself still says who made, approved, started, held and ended the campaign.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mawja.broadcast.v1 import campaigns_pb2
from mawja.broadcast.v1.campaigns_pb2 import Campaign, CampaignDecision, CampaignDeed

from services.tools.reports.facts import Deed

_REFUSED = {
    "create": "made",
    "update": "changed",
    "rehearse": "rehearsing",
    "approve": "approved",
    "start": "started",
    "pause": "paused",
    "resume": "resumed",
    "cancel": "cancelled",
    "recall": "recalled",
    "resend": "resent",
    "export": "exported",
}
_ENTERED = {
    campaigns_pb2.CAMPAIGN_STATE_REHEARSED: "rehearsed",
    campaigns_pb2.CAMPAIGN_STATE_APPROVED: "approved",
    campaigns_pb2.CAMPAIGN_STATE_PAUSED: "paused",
    campaigns_pb2.CAMPAIGN_STATE_COMPLETED: "completed",
    campaigns_pb2.CAMPAIGN_STATE_CANCELLED: "cancelled",
    campaigns_pb2.CAMPAIGN_STATE_RECALLED: "recalled",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """A command of a person: what, who, why."""

    action: str
    subject: str
    reason: str


def deeds(
    decisions: Sequence[CampaignDecision],
    refused: Mapping[str, CampaignDecision],
    asked: Mapping[str, Asked],
    brake: str,
) -> Iterator[Deed]:
    """The timeline. `decisions`: what was done with the campaign, in order; `refused` and `asked`:
    by id of the command. `brake`: who holds what fails too often."""
    before = Campaign()
    for decision in decisions:
        after = decision.campaign
        what = _done(before, after, brake)
        if what:
            command = asked.get(decision.command_id)
            stated = _stated(after, what)
            yield Deed(
                at_ms=decision.decided_ms,
                what=what,
                # Of what the service finds the command names the service.
                subject=command.subject if command else stated.subject,
                reason=(command.reason if command else "") or stated.reason,
                count=_count(after, what),
            )
        before = after
    for command_id, decision in refused.items():
        command = asked.get(command_id)
        if command is not None:
            yield Deed(
                at_ms=decision.decided_ms,
                what=_REFUSED.get(command.action, command.action),
                subject=command.subject,
                reason=command.reason,
                refused=decision.message,
            )


def _count(after: Campaign, what: str) -> int:
    """The recipients whom a deed was about, -1 where that is all of them."""
    if what == "rehearsed":
        return sum(one.recipients for one in after.rehearsal.buckets)
    return after.resends[-1].recipients if what == "resent" else -1


def _done(before: Campaign, after: Campaign, brake: str) -> str:
    """What led from one to the other; "" when nothing did that people would call a deed."""
    if not before.campaign_id:
        return "made"
    if before.plan != after.plan:
        return "changed"
    rehearsing = campaigns_pb2.CAMPAIGN_STATE_REHEARSING
    if after.state == rehearsing and before.revision != after.revision:
        return "rehearsing"
    if len(before.resends) < len(after.resends):
        return "resent"
    if not before.corrected_ms and after.corrected_ms:
        return "corrected"
    if before.exported != after.exported:
        return "exported"
    if before.state == after.state:
        return _slowed(before, after)
    if after.state == campaigns_pb2.CAMPAIGN_STATE_RUNNING:
        held = before.state == campaigns_pb2.CAMPAIGN_STATE_PAUSED
        return "resumed" if held else "started"
    what = _ENTERED.get(after.state, "")
    return "braked" if what == "paused" and after.paused.subject == brake else what


def _slowed(before: Campaign, after: Campaign) -> str:
    if before.HasField("slowed") is after.HasField("slowed"):
        return ""
    return "slowed" if after.HasField("slowed") else "let_go"


def _stated(after: Campaign, what: str) -> CampaignDeed:
    """What the decision itself says of who did it."""
    if what == "resent":
        return after.resends[-1].by
    if what == "slowed":
        return CampaignDeed(reason=after.slowed.reason)
    field = {
        "made": "made",
        "changed": "changed",
        "approved": "approved",
        "started": "started",
        "paused": "paused",
        "cancelled": "ended",
        "recalled": "ended",
        "exported": "exported",
    }.get(what)
    return getattr(after, field) if field else CampaignDeed()
