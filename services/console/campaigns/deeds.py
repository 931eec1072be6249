"""What may be done with a campaign from its page: in which state, by whom, and what it asks. Pure.

The rooms decide; this only says which buttons are offered. Whatever reaches people or can't be
taken back asks on a page of its own, with the numbers.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from mawja.broadcast.v1 import campaigns_pb2 as pb
from mawja.broadcast.v1.campaigns_pb2 import Campaign

from services.console.who import Person
from services.console.words import N_
from services.runtime.identity import Role
from services.runtime.ids import same_subject

_AUTHORS = frozenset({Role.COORDINATOR})
_STOPPERS = frozenset({Role.COORDINATOR, Role.APPROVER})
BEFORE_SENDING = frozenset(
    {
        pb.CAMPAIGN_STATE_DRAFT,
        pb.CAMPAIGN_STATE_REHEARSING,
        pb.CAMPAIGN_STATE_REHEARSED,
        pb.CAMPAIGN_STATE_APPROVED,
    }
)
ENDED = frozenset(
    {pb.CAMPAIGN_STATE_COMPLETED, pb.CAMPAIGN_STATE_CANCELLED, pb.CAMPAIGN_STATE_RECALLED}
)


@dataclass(frozen=True, slots=True)
class Deed:
    """`name` is its address, `method` the RPC; `asks`: it has a page that asks first; `reason`:
    one may be given, `must`: has to be; `look`: how its button looks."""

    name: str
    method: str
    label: str
    question: str
    states: frozenset[int]
    roles: frozenset[Role]
    asks: bool = True
    reason: bool = False
    must: bool = False
    look: str = ""


DEEDS: Mapping[str, Deed] = {
    one.name: one
    for one in (
        Deed(
            "rehearse",
            "RehearseCampaign",
            N_("Rehearse"),
            N_("Rehearse it?"),
            frozenset(
                {
                    pb.CAMPAIGN_STATE_DRAFT,
                    pb.CAMPAIGN_STATE_REHEARSED,
                    pb.CAMPAIGN_STATE_APPROVED,
                }
            ),
            _AUTHORS,
            asks=False,
            look="main",
        ),
        Deed(
            "approve",
            "ApproveCampaign",
            N_("Approve"),
            N_("Approve what was rehearsed?"),
            frozenset({pb.CAMPAIGN_STATE_REHEARSED}),
            _STOPPERS,
            look="main",
        ),
        Deed(
            "start",
            "StartCampaign",
            N_("Start"),
            N_("Start to send it?"),
            frozenset({pb.CAMPAIGN_STATE_APPROVED}),
            _AUTHORS,
            look="main",
        ),
        Deed(
            "pause",
            "PauseCampaign",
            N_("Pause"),
            N_("Pause it?"),
            frozenset({pb.CAMPAIGN_STATE_RUNNING}),
            _STOPPERS,
            reason=True,
            look="warn",
        ),
        Deed(
            "resume",
            "ResumeCampaign",
            N_("Resume"),
            N_("Go on sending it?"),
            frozenset({pb.CAMPAIGN_STATE_PAUSED}),
            _AUTHORS,
            reason=True,
            look="main",
        ),
        Deed(
            "resend",
            "ResendUnknown",
            N_("Send the unknown once more"),
            N_("Send it once more to those of whom nobody knows?"),
            frozenset({pb.CAMPAIGN_STATE_RUNNING, pb.CAMPAIGN_STATE_COMPLETED}),
            _AUTHORS,
            reason=True,
            must=True,
            look="warn",
        ),
        Deed(
            "cancel",
            "CancelCampaign",
            N_("Cancel the campaign"),
            N_("End it for good?"),
            BEFORE_SENDING | {pb.CAMPAIGN_STATE_RUNNING, pb.CAMPAIGN_STATE_PAUSED},
            _STOPPERS,
            reason=True,
            must=True,
            look="danger",
        ),
        Deed(
            "recall",
            "RecallCampaign",
            N_("Recall"),
            N_("End it and send the correction?"),
            frozenset(
                {
                    pb.CAMPAIGN_STATE_RUNNING,
                    pb.CAMPAIGN_STATE_PAUSED,
                    pb.CAMPAIGN_STATE_COMPLETED,
                    pb.CAMPAIGN_STATE_CANCELLED,
                }
            ),
            _STOPPERS,
            reason=True,
            must=True,
            look="danger",
        ),
    )
}


def offered(campaign: Campaign, unknown: int, person: Person) -> list[Deed]:
    """What is offered to `person`, in the order of the table. `unknown`: recipients of whom nobody
    knows. An author is not offered the approval: they may not give it."""
    found = []
    for deed in DEEDS.values():
        if campaign.state not in deed.states or not person.may(*deed.roles):
            continue
        if deed.name == "approve" and authored(campaign, person):
            continue
        if deed.name == "resend" and not unknown:
            continue
        if deed.name == "recall" and not (
            campaign.HasField("started") and campaign.plan.corrections
        ):
            continue
        found.append(deed)
    return found


def authored(campaign: Campaign, person: Person) -> bool:
    """Whether they made it or changed it last, and so can't approve it."""
    return any(
        same_subject(person.sub, one) for one in (campaign.made.subject, campaign.changed.subject)
    )
