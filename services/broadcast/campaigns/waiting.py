"""Why nothing of a campaign is sent now, or not all that could be, and what ends that: said to who
watches it. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mawja.broadcast.v1.campaigns_pb2 import Campaign, CampaignWait, CarrierWait, Standing

from services.broadcast.campaigns.life import (
    APPROVED,
    BY_BRAKE,
    DRAFT,
    OTHER_TERMS,
    PAUSED,
    RECALLED,
    REHEARSED,
    REHEARSING,
    RUNNING,
)

FRESH_MS = 5_000
"""What a process told longer ago counts for nothing: it may be gone."""
RESTORED = (
    "Kafka was restored from a backup, and nothing is sent until somebody resumes: `mawja restored`"
)
_WHY = {
    "away": "not connected",
    "throttled": "throttled",
    "unhealthy": "failing, tried with a few",
    "pace": "at the pace agreed with it",
    "window": "all that it may have at once is under way",
}
_SAID = ("away", "throttled", "unhealthy")
"""What keeps a carrier from its pace; the others are its pace."""


@dataclass(frozen=True, slots=True)
class Now:
    """What keeps one campaign waiting: carriers, with how many wait for each, and rules."""

    carriers: Sequence[CarrierWait] = ()
    gone: bool = False
    deferred: int = 0
    until_ms: int = 0
    restored: bool = False


def now(
    campaign: Campaign,
    waiting: "dict[str, int]",
    standings: Iterable[Standing],
    now_ms: int,
) -> Now:
    """What the processes of the service told, as far as it concerns `campaign`, of which `waiting`
    recipients wait for which carrier. Of two processes the one that waits longer counts."""
    carriers: dict[str, CarrierWait] = {}
    mine: list[CampaignWait] = []
    for standing in standings:
        if standing.told_ms < now_ms - FRESH_MS:
            continue
        for one in standing.carriers:
            known = carriers.get(one.carrier)
            if waiting.get(one.carrier) and (known is None or _rank(known) < _rank(one)):
                told = CarrierWait()
                told.CopyFrom(one)
                told.recipients = waiting[one.carrier]
                carriers[one.carrier] = told
        mine += [one for one in standing.campaigns if one.campaign_id == campaign.campaign_id]
    until = [one.until_ms for one in mine if one.deferred]
    return Now(
        carriers=[carriers[name] for name in sorted(carriers)],
        gone=any(one.gone for one in mine),
        deferred=sum(one.deferred for one in mine),
        until_ms=min(until, default=0),
        restored=any(one.restored for one in mine),
    )


def waits(campaign: Campaign, seen: Now, terms: bytes, now_ms: int) -> str:
    """In a sentence or more; empty when it is sent, or has ended. `terms`: what is in force."""
    plan = campaign.plan
    if seen.gone and campaign.state in (REHEARSING, RUNNING, RECALLED):
        return "some of its recipients cannot be read any more: bring the file again"
    if campaign.state == DRAFT:
        return "it is a draft: rehearse it"
    if campaign.state == REHEARSING:
        return "its rehearsal is under way"
    if campaign.state in (REHEARSED, APPROVED) and campaign.rehearsal.terms != terms:
        return OTHER_TERMS
    if campaign.state == REHEARSED:
        return "it waits for somebody's approval who did not write it"
    if campaign.state == APPROVED:
        return "it is approved: start it"
    if campaign.state == PAUSED and campaign.paused.subject == BY_BRAKE:
        return "too many of its messages failed: see why, then resume or cancel it"
    if campaign.state == PAUSED:
        return f"{campaign.paused.subject} paused it: resume or cancel it"
    if campaign.state == RUNNING and plan.starts_ms > now_ms:
        return f"it begins in {_lasting(plan.starts_ms - now_ms)}"
    if campaign.state not in (RUNNING, RECALLED) or campaign.corrected_ms:
        return ""
    if seen.restored:
        return RESTORED
    told = [_carrier(one) for one in seen.carriers if one.why in _SAID]
    if campaign.state == RUNNING and campaign.HasField("slowed"):
        told.insert(0, f"slowed: {campaign.slowed.reason}")
    if seen.deferred:
        ends = f", the first for {_lasting(seen.until_ms - now_ms)}" if seen.until_ms else ""
        told.append(f"{seen.deferred:,} held back by quiet hours or caps{ends}")
    return "; ".join(told)


def _carrier(one: CarrierWait) -> str:
    ends = f", next in {_lasting(one.next_ms)}" if one.next_ms else ""
    why = _WHY.get(one.why, one.why)
    return f"waiting for carrier {one.carrier}: {why}, {one.recipients:,} queued{ends}"


def _rank(one: CarrierWait) -> tuple[int, int]:
    return (-_SAID.index(one.why) if one.why in _SAID else -len(_SAID), one.next_ms)


def _lasting(ms: int) -> str:
    seconds = max(1, -(-ms // 1000))
    return f"{seconds} s" if seconds < 120 else f"{-(-seconds // 60)} min"
