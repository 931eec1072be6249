"""What is decided about a campaign: each asks on a page with the numbers, and is done once."""

import uuid
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse
from mawja.broadcast.v1 import campaigns_pb2 as pb
from mawja.broadcast.v1.campaigns_pb2 import AudienceFile, Campaign, GetCampaignResponse

from services.console.calls import Calls, Refused
from services.console.campaigns import audience_form, deeds, figures, views
from services.console.campaigns.deeds import BEFORE_SENDING, DEEDS, ENDED, Deed
from services.console.campaigns.saying import shared
from services.console.campaigns.sentences import translated
from services.console.rendering import number, render, translate
from services.console.who import NotAllowed, Person, signed_in
from services.console.words import Words

__all__ = ["BEFORE_SENDING", "request_id", "router"]

router = APIRouter()
Who = Annotated[Person, Depends(signed_in)]
_ONE = "/campaigns/{campaign_id:uuid}"
_LONGEST_REASON, _SHORTEST_REASON = 500, 3
_REFUSALS = frozenset(
    {
        "FAILED_PRECONDITION",
        "INVALID_ARGUMENT",
        "PERMISSION_DENIED",
        "ALREADY_EXISTS",
        "UNAVAILABLE",
        "DEADLINE_EXCEEDED",
        "RESOURCE_EXHAUSTED",
    }
)
"""Answers that a person can do something about: they are shown beside the question."""


def request_id() -> str:
    """Names one form, so that sending it twice does it once."""
    return str(uuid.uuid4())


def _ask_page(name: str) -> Any:
    async def ask(request: Request, who: Who, campaign_id: UUID) -> Response:
        return await _asked(request, who, str(campaign_id), DEEDS[name])

    return ask


def _do_action(name: str) -> Any:
    async def do(request: Request, who: Who, campaign_id: UUID) -> Response:
        return await _done(request, who, str(campaign_id), DEEDS[name])

    return do


for _name, _deed in DEEDS.items():
    router.add_api_route(f"{_ONE}/{_name}", _do_action(_name), methods=["POST"], name=_name)
    if _deed.asks:
        router.add_api_route(
            f"{_ONE}/{_name}", _ask_page(_name), methods=["GET"], name=f"ask-{_name}"
        )


async def _done(request: Request, who: Person, campaign_id: str, deed: Deed) -> Response:
    if not who.may(*deed.roles):
        raise NotAllowed
    calls: Calls = request.app.state.calls
    form = await request.form()
    given = {key: value for key, value in form.items() if isinstance(value, str)}
    reason = " ".join(given.get("reason", "").split())
    said = translate(request)
    if deed.must and len(reason) < _SHORTEST_REASON:
        fault = said.gettext("Say why, in three letters at least.")
        return await _asked(request, who, campaign_id, deed, 422, given, faults={"reason": [fault]})
    if len(reason.encode()) > _LONGEST_REASON:
        fault = said.gettext("It is too long: at most {most} bytes.").format(most=_LONGEST_REASON)
        return await _asked(request, who, campaign_id, deed, 422, given, faults={"reason": [fault]})
    wanted: dict[str, Any] = {"request_id": given.get("request_id", "")[:64]}
    wanted["campaign_id"] = campaign_id
    if deed.reason:
        wanted["reason"] = reason
    try:
        if deed.name == "approve":
            wanted["rehearsal_hash"] = bytes.fromhex(given.get("hash", ""))
        if deed.name == "resend":
            wanted["recipients"] = int(given.get("recipients", ""))
    except ValueError:
        return await _asked(request, who, campaign_id, deed, 422, given)
    rpc = getattr(pb, f"{deed.method}Request")(**wanted)
    try:
        await calls.ask(who, getattr(calls.campaigns, deed.method), rpc)
    except Refused as refused:
        if refused.code not in _REFUSALS:
            raise
        return await _asked(request, who, campaign_id, deed, 409, given, refused=refused)
    return RedirectResponse(f"/campaigns/{campaign_id}", 303)


async def _asked(
    request: Request,
    who: Person,
    campaign_id: str,
    deed: Deed,
    status: int = 200,
    given: dict[str, str] | None = None,
    refused: Refused | None = None,
    faults: dict[str, list[str]] | None = None,
) -> Response:
    """The page that asks. `given`: what was sent already; `refused`: what came of it."""
    if not who.may(*deed.roles):
        raise NotAllowed
    calls: Calls = request.app.state.calls
    seen: GetCampaignResponse = await calls.ask(
        who, calls.campaigns.GetCampaign, pb.GetCampaignRequest(campaign_id=campaign_id)
    )
    said, given = translate(request), given or {}
    campaign = seen.campaign
    told = []
    if refused is not None:
        told.append({"look": "bad", "text": _sentence(refused, said)})
    elif campaign.state not in deed.states:
        # Somebody was quicker: the campaign's own page says how it stands.
        return RedirectResponse(f"/campaigns/{campaign_id}", 303)
    if deed.name == "approve" and deeds.authored(campaign, who):
        told.append(
            {
                "look": "bad",
                "text": said.gettext("You wrote it: somebody else must approve it."),
            }
        )
    whole = figures.whole(seen.buckets)
    hidden = {}
    if deed.name == "approve":
        hidden["hash"] = campaign.rehearsal.hash.hex()
    if deed.name == "resend":
        hidden["recipients"] = str(whole.unknown)
    return render(
        request,
        "campaigns/confirm.html",
        status,
        deed=deed,
        told=told,
        lines=_lines(deed, seen, whole, said),
        hidden=hidden,
        # What was refused may be asked anew; what got no answer is asked again as it was.
        request_id=(given.get("request_id") if refused is not None and refused.away else None)
        or request_id(),
        reason_given=given.get("reason", ""),
        faults=faults or {},
        lists=views.audience(campaign, await _lists(calls, who, campaign)),
        **views.head(campaign, said.gettext),
        **shared(said),
    )


async def _lists(calls: Calls, who: Person, campaign: Campaign) -> dict[str, AudienceFile]:
    found = {}
    for name in dict.fromkeys(audience_form.lists_of(campaign.plan.audience)):
        try:
            asked = pb.GetAudienceRequest(audience_id=name)
            found[name] = (await calls.ask(who, calls.campaigns.GetAudience, asked)).audience
        except Refused:
            continue
    return found


def _sentence(refused: Refused, said: Words) -> str:
    if refused.away:
        return said.gettext(
            "The service can't be reached now; nobody knows whether it was done. Sending this form "
            "again does it once only."
        )
    if refused.violations:
        return " ".join(
            f"{one.field}: {translated(one.rule, said.gettext)}" for one in refused.violations
        )
    return translated(refused.message, said.gettext)


def _lines(deed: Deed, seen: GetCampaignResponse, whole: figures.Whole, said: Words) -> list[str]:
    """What is asked, with the numbers."""

    def n(value: int) -> str:
        return number(value, said.language)

    campaign, _ = seen.campaign, said.gettext
    if seen.counted_ms and deed.name != "approve":
        return [_("How many are concerned can't be told now: the counts can't be read.")]
    match deed.name:
        case "approve" | "start":
            found = figures.found(campaign)
            goes = n(found.goes) if found is not None else "–"
            if campaign.plan.drill:
                return [_("A drill: {n} messages by test carriers only.").format(n=goes)]
            return [_("To people: {n} messages are sent for real.").format(n=goes)]
        case "pause":
            return [
                _("{n} wait: nothing more is given to carriers.").format(n=n(whole.waiting)),
                _("{n} were given to carriers already and stay sent.").format(n=n(whole.given)),
            ]
        case "resume":
            return [_("{n} wait and would be sent from now on.").format(n=n(whole.waiting))]
        case "cancel":
            if not campaign.HasField("started"):
                return [_("Nothing of it was sent. It can't be taken back.")]
            return [
                _("{n} wait and never get it.").format(n=n(whole.waiting)),
                _("{n} were given to carriers already and stay sent.").format(n=n(whole.given)),
                _("It can't be taken back."),
            ]
        case "recall":
            lines = [
                _("{n} got the message or may have: they get the correction.").format(
                    n=n(whole.reached)
                )
            ]
            if whole.waiting and campaign.state not in ENDED:
                lines.append(_("{n} wait and get nothing.").format(n=n(whole.waiting)))
            return [*lines, _("It can't be taken back.")]
        case "resend":
            return [
                _("Of {n} nobody knows whether they got it.").format(n=n(whole.unknown)),
                _("Who got it gets it twice."),
            ]
    return []
