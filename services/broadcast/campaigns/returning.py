"""Calls that a campaign brings back, and how fast it may go so that agents can take them. Pure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mawja.broadcast.v1 import campaigns_pb2, events_pb2
from mawja.broadcast.v1.campaigns_pb2 import BucketCount, CallsBack, CampaignPlan, Slowed

from services.runtime.floor import Floor, reason, room
from services.runtime.shares import Range, difference, mean, share
from services.runtime.yaml_fields import Fields, fields_of

KINDS = {
    "information": events_pb2.CAMPAIGN_KIND_INFORMATION,
    "marketing": events_pb2.CAMPAIGN_KIND_MARKETING,
    "emergency": events_pb2.CAMPAIGN_KIND_EMERGENCY,
}
_CHANGED = 0.2
"""A pace that changes by less is not decided anew."""


_AGENCY = re.compile("[a-z0-9-]{0,32}")
_CAMPAIGN = re.compile("[0-9a-f-]{36}")
_WITHIN = re.compile("[0-9]{1,4}[mhd]")
_MOST_PEOPLE = 1_000_000_000
_SURE = 0.05
"""What earlier campaigns say counts when it is no further off than this, with 95 %."""


@dataclass(frozen=True, slots=True)
class Share:
    """`value` 0 to 1 of the recipients call; `source` says where that is from. `campaigns`: in how
    many it was measured, and then it is from `low` to `high` with 95 %; below 0 fewer call."""

    value: float
    source: str
    low: float = 0.0
    high: float = 0.0
    campaigns: int = 0


Shares = Mapping[tuple[int, str | None], Share]
"""By kind of campaign and agency; None: of any agency of which nothing was measured."""


def share_of(shares: Shares, plan: CampaignPlan) -> Share | None:
    """Who calls because of a campaign; None where nobody knows."""
    return shares.get((plan.kind, plan.agency)) or shares.get((plan.kind, None))


def parse(text: str, file: str) -> Shares:
    """The shares in a file's `text`. Raises ConfigError naming `file`, line and field."""
    fields = fields_of(text, file, "information, marketing and emergency, each with share, source")
    found: dict[tuple[int, str | None], Share] = {}
    for name, kind in KINDS.items():
        within = fields.within(name)
        found[kind, None] = Share(within.number("share", 0, 1), within.text("source"))
        within.finish()
    measured: dict[tuple[int, str], list[tuple[Range, float]]] = {}
    known: set[str] = set()
    for one in fields.each("measured"):
        campaign = one.text("campaign", _CAMPAIGN, "must be a campaign's id")
        if campaign in known:
            raise one.wrong("campaign", "stands twice")
        known.add(campaign)
        of = KINDS[one.one_of("kind", list(KINDS))], _agency(one)
        one.day("began")
        one.text("within", _WITHIN, "must be a number and m, h or d, e.g. 24h")
        sent, called = _part(one, "sent", "called")
        held, held_called = _part(one, "held", "held_called")
        one.finish()
        more = difference(share(called, sent), share(held_called, held))
        measured.setdefault(of, []).append((more, float(sent)))
    fields.finish()
    for key, several in measured.items():
        value, low, high = mean(several)
        if high - low <= 2 * _SURE:
            found[key] = _measured(key[1], len(several), value, low, high)
    return found


def _agency(one: Fields) -> str:
    # The centre's own have none.
    return one.text("agency", _AGENCY, "must be an agency's code, or \"\" for the centre's own", "")


def _part(one: Fields, people: str, callers: str) -> tuple[int, int]:
    many = int(one.number(people, 1, _MOST_PEOPLE, whole=True))
    return many, int(one.number(callers, 0, many, whole=True))


def _measured(agency: str, campaigns: int, value: float, low: float, high: float) -> Share:
    several = "1 campaign" if campaigns == 1 else f"{campaigns:,} campaigns"
    of = agency or "the centre"
    source = f"measured in {several} of {of}: {low:.1%} to {high:.1%} more call (95 %)"
    return Share(max(0.0, value), source, low, high, campaigns)


def calls_back(
    plan: CampaignPlan, buckets: Iterable[BucketCount], shares: Shares
) -> CallsBack | None:
    """What a rehearsal's buckets come to; None where no share is known."""
    back = share_of(shares, plan)
    if back is None:
        return None
    waiting = campaigns_pb2.BUCKET_WAITING
    recipients = sum(one.recipients for one in buckets if one.bucket == waiting)
    return CallsBack(
        recipients=recipients,
        share=back.value,
        source=back.source,
        calls=recipients * back.value,
        share_low=back.low,
        share_high=back.high,
        campaigns=back.campaigns,
    )


def slowed(
    plan: CampaignPlan, shares: Shares, floor: Floor, campaigns: int, fastest: float, now_ms: int
) -> Slowed | None:
    """How slowly a campaign must go now; None when it need not. `campaigns` share the agents;
    `fastest`: recipients a second that carriers take at most."""
    back, free = share_of(shares, plan), room(floor)
    if plan.kind == events_pb2.CAMPAIGN_KIND_EMERGENCY or free is None:
        return None
    if back is None or not back.value:
        return None
    pace = free / 60 / back.value / max(1, campaigns)
    if pace >= fastest:
        return None
    return Slowed(recipients_per_second=pace, reason=reason(floor, free), since_ms=now_ms)


def differs(before: Slowed | None, after: Slowed | None) -> bool:
    """Whether a new pace is worth a decision."""
    if before is None or after is None:
        return before is not after
    was, now = before.recipients_per_second, after.recipients_per_second
    return abs(was - now) > _CHANGED * max(was, now)
