"""`mawja campaign approve, start, watch, pause, resume, cancel, recall, resend`: what is decided
about one that was rehearsed."""

import sys
from typing import Annotated

import typer
from mawja.broadcast.v1 import campaigns_pb2
from mawja.broadcast.v1.campaigns_pb2 import Campaign
from rich.text import Text

from services.runtime.clock import now_ms
from services.runtime.errors import Away, Forbidden, NotInState
from services.runtime.ids import same_subject
from services.tools.campaigns import live, tables
from services.tools.campaigns.app import (
    Name,
    Reason,
    Yes,
    errors_console,
    next_is,
    reason_for,
    show,
    show_json,
    sure,
    tell,
)
from services.tools.campaigns.asking import asks
from services.tools.campaigns.office import Office
from services.tools.campaigns.words import name_of, said
from services.tools.options import AsJson
from services.tools.screen import console

_ENDED = frozenset(
    {
        campaigns_pb2.CAMPAIGN_STATE_COMPLETED,
        campaigns_pb2.CAMPAIGN_STATE_CANCELLED,
        campaigns_pb2.CAMPAIGN_STATE_RECALLED,
    }
)
"""Nothing is left to be ended: the service says so."""


@asks("approve")
def approve_command(
    desk: Office,
    campaign: Name,
    yes: Yes = False,
    expected: Annotated[
        str, typer.Option("--hash", help="Only the rehearsal with this hash, or its beginning.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Approve what was rehearsed. Not by who made it.

    Shows what is said to how many, and asks. What you approve is the rehearsal that you see: any
    change of it, of the list, the rules or the routes voids the approval.
    """
    seen = desk.get(desk.id_of(campaign)).campaign
    if seen.state != campaigns_pb2.CAMPAIGN_STATE_REHEARSED:
        state = name_of(seen, "state")
        raise NotInState(f"it is {state}: what is approved is a rehearsal; rehearse it first")
    # The service refuses it all the same: this only spares the question.
    if any(same_subject(desk.subject, one) for one in (seen.made.subject, seen.changed.subject)):
        raise Forbidden(
            f"you are {said(desk.subject)}, who made or last changed it, and can't approve it: "
            "ask somebody else"
        )
    if expected and not seen.rehearsal.hash.hex().startswith(expected.lower()):
        raise NotInState("its rehearsal has another hash: look at it again")
    if not (as_json and yes):
        _show_what_is_approved(desk, seen, as_json)
    count = tables.goes(seen.rehearsal.buckets)
    if not count:
        raise NotInState("nobody would get it: change whom it is for or what it says first")
    kind = "DRILL, to test carriers only" if seen.plan.drill else "LIVE, to people"
    sure(f"Approve it ({kind}: {count:,} messages)?", yes)
    done = desk.do("Approve", seen.campaign_id, rehearsal_hash=seen.rehearsal.hash)
    tell(done, as_json, "start {}")


def _show_what_is_approved(desk: Office, seen: Campaign, as_json: bool) -> None:
    to = errors_console() if as_json else console()
    show(tables.head(seen), to)
    show(tables.deeds(seen), to)
    show([Text(f"you are {said(desk.subject)}")], to)
    show(tables.plan(seen), to)
    show(tables.rehearsal(seen), to)


@asks("start")
def start_command(
    desk: Office,
    campaign: Name,
    as_json: AsJson = False,
) -> None:
    """Begin to send an approved campaign."""
    tell(desk.do("Start", desk.id_of(campaign)), as_json, "watch {}")


@asks("watch")
def watch_command(
    desk: Office,
    campaign: Name,
    as_json: AsJson = False,
) -> None:
    """Watch a campaign until it is over: buckets, rate, time left, and why it waits.

    Ctrl-C ends the watching, not the campaign. With --json a line for each change.
    """
    campaign_id = desk.id_of(campaign)
    # Before the first look: of what nobody may see nothing is watched.
    state = desk.get(campaign_id).campaign.state
    try:
        live.watch(desk, campaign_id, console(), as_json=as_json)
    except KeyboardInterrupt:
        print(f"\n{_left(desk, campaign_id, state)}", file=sys.stderr)
        raise typer.Exit(130) from None


def _left(desk: Office, campaign_id: str, state: int) -> str:
    name = campaign_id[:8]
    seen = desk.get(campaign_id).campaign
    if seen.state == campaigns_pb2.CAMPAIGN_STATE_RUNNING:
        return f"you no longer watch it, and it goes on; to hold it: mawja campaign pause {name}"
    return f"you no longer watch it; it is {name_of(seen, 'state')}"


@asks("pause")
def pause_command(
    desk: Office,
    campaign: Name,
    reason: Reason = "",
    as_json: AsJson = False,
) -> None:
    """Hold a running campaign: nothing more is given to carriers."""
    done = _with_reason(desk, "Pause", campaign, reason)
    _tell_counts(desk, done, as_json, "resume {}")


@asks("resume")
def resume_command(
    desk: Office,
    campaign: Name,
    reason: Reason = "",
    as_json: AsJson = False,
) -> None:
    """Go on with a paused campaign."""
    done = _with_reason(desk, "Resume", campaign, reason)
    tell(done, as_json, "watch {}")


@asks("cancel")
def cancel_command(
    desk: Office,
    campaign: Name,
    reason: Reason = "",
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """End a campaign: what was not given to a carrier is never sent. It can't be taken back.

    Tells how many messages are out and how many wait, and asks.
    """
    found = desk.get(desk.id_of(campaign))
    why = reason_for(reason, "cancel")
    if found.campaign.state not in _ENDED:
        if not (as_json and yes):
            show(tables.head(found.campaign), errors_console() if as_json else console())
        sure(f"End it? {live.out_and_waiting(found)}. It can't be taken back.", yes)
    done = desk.do("Cancel", found.campaign.campaign_id, reason=why)
    _tell_counts(desk, done, as_json, "recall {}")


@asks("recall")
def recall_command(
    desk: Office,
    campaign: Name,
    reason: Reason = "",
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """End a campaign and send its correction to all who got it or may have. It can't be taken back.

    Shows the correction and to how many it goes, and asks.
    """
    found = desk.get(desk.id_of(campaign))
    seen = found.campaign
    why = reason_for(reason, "recall")
    if not seen.plan.corrections:
        raise NotInState("it has no corrections, so there is nothing that a recall could say")
    if not (as_json and yes):
        to = errors_console() if as_json else console()
        show(tables.head(seen), to)
        show(tables.texts("the correction", seen.plan.corrections), to)
        show(tables.how_old(found.counted_ms), to)
    wait = live.waiting(found)
    rest = f" The {wait:,} who wait get nothing." if wait and seen.state not in _ENDED else ""
    sure(f"Send it to {live.reached(found)} who got the message or may have?{rest}", yes)
    done = desk.do("Recall", seen.campaign_id, reason=why)
    tell(done, as_json, "watch {}")


@asks("resend")
def resend_command(
    desk: Office,
    campaign: Name,
    reason: Reason = "",
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Send once more to those of whom nobody knows whether they got it. Some get it twice.

    Shows how many that are and since when, and asks. The decision is kept with your name.
    """
    found = desk.get(desk.id_of(campaign))
    if found.counted_ms:
        raise Away("how many are unknown by now can't be told: try again when it can")
    unknown = [one for one in found.buckets if one.bucket == campaigns_pb2.BUCKET_UNKNOWN]
    count = sum(one.recipients for one in unknown)
    if not count:
        raise NotInState("of everybody it is known what became of the message")
    why = reason_for(reason, "resend")
    if not (as_json and yes):
        to = errors_console() if as_json else console()
        show(tables.head(found.campaign), to)
        show(tables.buckets(unknown, "unknown"), to)
        show([tables.oldest(unknown)], to)
    sure(f"Send it once more to these {count:,}? Who got it gets it twice.", yes)
    done = desk.resend(found.campaign.campaign_id, count, why)
    tell(done, as_json, "watch {}")


def _with_reason(desk: Office, deed: str, campaign: str, reason: str) -> Campaign:
    found = desk.id_of(campaign)
    return desk.do(deed, found, reason=reason_for(reason, deed.lower()))


def _tell_counts(desk: Office, campaign: Campaign, as_json: bool, following: str) -> None:
    found = desk.get(campaign.campaign_id)
    if as_json:
        show_json(found)
        return
    show(tables.head(campaign))
    show(tables.why_it_waits(campaign, now_ms()))
    show(tables.how_old(found.counted_ms))
    if found.buckets:
        show(tables.buckets(found.buckets))
    next_is(campaign, following)
