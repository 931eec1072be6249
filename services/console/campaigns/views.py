"""A campaign and a list of people as the templates take them. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mawja.broadcast.v1 import campaigns_pb2 as pb
from mawja.broadcast.v1.campaigns_pb2 import (
    AudienceFile,
    Campaign,
    GetCampaignResponse,
    WatchCampaignResponse,
)

from services.console.campaigns import audience_form, figures, plan_form
from services.console.campaigns.sentences import translated
from services.console.words import N_

_HISTORY = (
    ("made", N_("Made by")),
    ("changed", N_("Changed by")),
    ("approved", N_("Approved by")),
    ("started", N_("Started by")),
    ("paused", N_("Held by")),
    ("ended", N_("Ended by")),
    ("exported", N_("Whole numbers exported by")),
)
_BRAKE = N_("the brake: too many of its messages failed")
RESENT = N_("Sent once more by")
NOT_TOLD = -1


@dataclass(frozen=True, slots=True)
class Line:
    """A campaign in the list; `people` None: not rehearsed."""

    id: str
    name: str
    drill: bool
    state: str
    kind: str
    agency: str
    people: int | None
    changed_ms: int


def line(one: Campaign) -> Line:
    """A campaign in the list."""
    deeds = (one.changed, one.approved, one.started, one.paused, one.ended)
    return Line(
        id=one.campaign_id,
        name=one.plan.name,
        drill=one.plan.drill,
        state=figures.state_name(one.state),
        kind=kind_of(one),
        agency=one.plan.agency,
        people=figures.whole(one.rehearsal.buckets).total if one.HasField("rehearsal") else None,
        changed_ms=max(deed.done_ms for deed in deeds),
    )


def kind_of(one: Campaign) -> str:
    """E.g. "information"."""
    return next((name for name, kind in plan_form.KINDS.items() if kind == one.plan.kind), "")


@dataclass(frozen=True, slots=True)
class Listed:
    """A list of people."""

    id: str
    name: str
    drill: bool
    agency: str
    query: str
    people: int
    bad: int
    made_ms: int
    made_by: str


def listed(one: AudienceFile) -> Listed:
    """A list of people."""
    return Listed(
        id=one.audience_id,
        name=one.name,
        drill=one.drill,
        agency=one.agency,
        query=one.query,
        people=one.recipients,
        bad=sum(one.bad_rows.values()),
        made_ms=one.uploaded.done_ms,
        made_by=one.uploaded.subject,
    )


def head(one: Campaign, gettext: Callable[[str], str]) -> dict[str, Any]:
    """What every page of one campaign says of it."""
    found = figures.found(one)
    back = None
    if found is not None and one.rehearsal.HasField("calls_back"):
        seen = one.rehearsal.calls_back
        back = {
            "calls": seen.calls,
            "share": seen.share,
            "source": gettext(seen.source) if seen.source else "",
            "recipients": seen.recipients,
            "campaigns": seen.campaigns,
            "low": seen.share_low,
            "high": seen.share_high,
            "room": seen.room_per_minute if seen.HasField("room_per_minute") else None,
        }
    return {
        "id": one.campaign_id,
        "version": one.version,
        "plan": one.plan,
        "drill": one.plan.drill,
        "override": one.plan.override if one.plan.HasField("override") else None,
        "state": figures.state_name(one.state),
        "kind": kind_of(one),
        "found": found,
        "back": back,
        "digest": one.rehearsal.hash.hex(),
        "rehearsed_ms": one.rehearsal.rehearsed_ms,
        "waits": translated(one.waits, gettext) if one.waits else "",
    }


def history(one: Campaign, gettext: Callable[[str], str]) -> list[dict[str, Any]]:
    """Who did what, when and why, the earliest first."""
    found = []
    for name, what in _HISTORY:
        deed = getattr(one, name)
        if not one.HasField(name) or (name == "changed" and one.changed == one.made):  # type: ignore[arg-type]
            continue
        found.append((deed, what))
    found += [(again.by, RESENT) for again in one.resends]
    found.sort(key=lambda pair: pair[0].done_ms)
    return [
        {
            "what": gettext(what),
            "subject": gettext(_BRAKE) if deed.subject == "brake" else deed.subject,
            "at_ms": deed.done_ms,
            "reason": deed.reason,
        }
        for deed, what in found
    ]


def progress(
    seen: GetCampaignResponse | WatchCampaignResponse, gettext: Callable[[str], str]
) -> dict[str, Any]:
    """Where its messages are, for the part that is live."""
    counted = seen.counted_ms
    carriers: list[pb.CarrierWait] = []
    rate, eta_ms = 0.0, NOT_TOLD
    if isinstance(seen, WatchCampaignResponse):
        carriers = list(seen.carriers)
        if not counted:
            rate, eta_ms = round(seen.recipients_per_second, 1), seen.eta_ms
    return {
        "whole": figures.whole(seen.buckets if counted != NOT_TOLD else ()),
        "corrected": figures.whole(seen.corrections if counted != NOT_TOLD else ()),
        "carriers": carriers,
        "seen": {
            "counted_ms": counted,
            "running": seen.campaign.state == pb.CAMPAIGN_STATE_RUNNING,
            "rate": rate,
            "eta_ms": eta_ms,
        },
        "waits": translated(seen.campaign.waits, gettext) if seen.campaign.waits else "",
    }


def audience(one: Campaign, known: Mapping[str, AudienceFile]) -> dict[str, Any]:
    """Whom it is for, by its lists; one that is not `known` is named by its id."""

    def named(some: tuple[str, ...]) -> list[dict[str, Any]]:
        return [
            {
                "id": name,
                "name": known[name].name if name in known else name[:8],
                "people": known[name].recipients if name in known else 0,
            }
            for name in some
        ]

    chosen = audience_form.of(one.plan.audience)
    return {
        "include": named(chosen.include),
        "how": chosen.how,
        "exclude": named(chosen.exclude),
    }
