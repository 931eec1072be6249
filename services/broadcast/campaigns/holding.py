"""Who is held back of a campaign, so that what it did can be measured: a share of those who would
get it gets nothing, and calls or does not as people do who heard nothing. Pure.

Who that is follows from campaign and person alone: the same in the rehearsal, in every process and
after every crash, and another part of the people in every campaign.
"""

from hashlib import sha256

from mawja.broadcast.v1 import events_pb2
from mawja.broadcast.v1.campaigns_pb2 import CampaignPlan

HELD_BACK = "held-back"
"""The reason of their bucket."""
MOST = 0.5
"""Share of the audience that may be held back at most."""
_NEVER = frozenset({events_pb2.CAMPAIGN_KIND_EMERGENCY})
_OCTETS = 8


def held_back(plan: CampaignPlan, campaign_id: str, person: bytes) -> bool:
    """Whether a person gets nothing of a campaign. `person`: the keyed hash of their number, so
    that nobody who knows a number can tell. Never of an emergency, whatever its plan says."""
    if not plan.held_back or plan.kind in _NEVER:
        return False
    drawn = sha256(f"{HELD_BACK}/{campaign_id}/".encode() + person).digest()[:_OCTETS]
    return int.from_bytes(drawn, "big") < min(plan.held_back, MOST) * (1 << 8 * _OCTETS)


def problem(plan: CampaignPlan) -> str:
    """What is wrong with the share that a plan holds back; empty when nothing is."""
    if plan.held_back and plan.kind in _NEVER:
        return "nobody is held back of an emergency"
    return ""
