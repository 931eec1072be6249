"""Campaigns: the list, and one of them with what becomes of its messages."""

import asyncio
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from mawja.broadcast.v1 import campaigns_pb2 as pb
from mawja.broadcast.v1.campaigns_pb2 import (
    AudienceFile,
    GetCampaignResponse,
    WatchCampaignResponse,
)

from services.console import desk
from services.console.calls import Calls, Refused
from services.console.campaigns import audience_form, figures, views
from services.console.campaigns.deeds import authored, offered
from services.console.campaigns.following import feeds
from services.console.campaigns.saying import shared
from services.console.live import Feeds
from services.console.pages import campaign_deeds
from services.console.rendering import render, translate
from services.console.rights import may
from services.console.streams import events
from services.console.who import Person, signed_in

router = APIRouter()
Who = Annotated[Person, Depends(signed_in)]
_PAGE = 100
_SHOWN = 50
_MOST_PAGES = 5
_MANY = 12
_EDIT = "/campaigns/{campaign_id:uuid}/edit"


@router.get("/campaigns")
async def home(
    request: Request, who: Who, state: str = "", what: str = "", agency: str = "", page: str = ""
) -> Response:
    """Campaigns, the latest change first, of one state, kind and agency where that is asked."""
    calls: Calls = request.app.state.calls
    found: list[views.Line] = []
    agency = agency.strip().lower()
    # The service finds by agency; the rest is few enough to be looked through here.
    for _ in range(_MOST_PAGES):
        asked = pb.ListCampaignsRequest(agency=agency, page_size=_PAGE, page_token=page)
        answer = await calls.ask(who, calls.campaigns.ListCampaigns, asked)
        found += [
            one
            for one in map(views.line, answer.campaigns)
            if state in ("", one.state) and what in ("", "drill" if one.drill else "live")
        ]
        page = answer.next_page_token
        if not page or len(found) >= _SHOWN:
            break
    given = {"state": state, "what": what, "agency": agency}
    older = "/campaigns?" + urlencode({**given, "page": page}) if page else ""
    return render(
        request,
        "campaigns/home.html",
        names=await desk.names(request),
        campaigns=found,
        filter=given,
        older=older,
        **shared(translate(request)),
    )


@router.get("/campaigns/{campaign_id:uuid}")
async def show(request: Request, who: Who, campaign_id: UUID) -> Response:
    """One campaign: what it says, to whom, what became of it, and what may be done."""
    calls: Calls = request.app.state.calls
    seen: GetCampaignResponse = await calls.ask(
        who, calls.campaigns.GetCampaign, pb.GetCampaignRequest(campaign_id=str(campaign_id))
    )
    said = translate(request)
    campaign = seen.campaign
    whole = figures.whole(seen.buckets)
    started = campaign.HasField("started")
    context: dict[str, Any] = views.head(campaign, said.gettext)
    if started:
        context |= views.progress(seen, said.gettext)
    return render(
        request,
        "campaigns/show.html",
        names=await desk.names(request),
        progress=started,
        deeds=[
            {
                "name": deed.name,
                "label": deed.label,
                "asks": deed.asks,
                "look": deed.look,
                "request_id": campaign_deeds.request_id(),
            }
            for deed in offered(campaign, whole.unknown, who)
        ],
        may_edit=may(who.roles, "GET", _EDIT) and campaign.state in campaign_deeds.BEFORE_SENDING,
        told=_told(campaign, who, said.gettext),
        history=views.history(campaign, said.gettext),
        lists=views.audience(campaign, await lists_of(calls, who, campaign)),
        **context,
        **shared(said),
    )


@router.get("/campaigns/{campaign_id:uuid}/live")
async def live(request: Request, who: Who, campaign_id: UUID) -> Response:
    """Events of one campaign: `progress` with where its messages are, `version-8` when a page of
    version 7 is out of date, `at` with the server's time."""
    calls: Calls = request.app.state.calls
    # Of what they may not see nothing is followed.
    await calls.ask(
        who, calls.campaigns.GetCampaign, pb.GetCampaignRequest(campaign_id=str(campaign_id))
    )
    feed = await _feeds(request).of(str(campaign_id))
    return events(request, feed.stream(translate(request).language))


async def lists_of(calls: Calls, who: Person, campaign: pb.Campaign) -> dict[str, AudienceFile]:
    """The lists that a campaign names, by id. Who may not see one, or when it is away, does
    without its name."""
    found = {}
    wanted = list(dict.fromkeys(audience_form.lists_of(campaign.plan.audience)))[:_MANY]

    async def ask(name: str) -> None:
        try:
            answer = await calls.ask(
                who, calls.campaigns.GetAudience, pb.GetAudienceRequest(audience_id=name)
            )
            found[name] = answer.audience
        except Refused:
            return

    await asyncio.gather(*map(ask, wanted))
    return found


def _feeds(request: Request) -> Feeds[WatchCampaignResponse]:
    state = request.app.state
    if not hasattr(state, "campaign_feeds"):
        state.campaign_feeds = feeds(state.calls, state.pages)
    found: Feeds[WatchCampaignResponse] = state.campaign_feeds
    return found


def _told(campaign: pb.Campaign, who: Person, gettext: Any) -> list[dict[str, str]]:
    """What whoever looks must know before they act."""
    told = []
    if campaign.state == pb.CAMPAIGN_STATE_REHEARSED and authored(campaign, who):
        told.append(
            {"look": "info", "text": gettext("You wrote it: somebody else must approve it.")}
        )
    if campaign.HasField("slowed") and campaign.state == pb.CAMPAIGN_STATE_RUNNING:
        text = gettext("It is sent more slowly, because of the calls that it brings back.")
        told.append({"look": "warn", "text": text})
    if campaign.state == pb.CAMPAIGN_STATE_PAUSED and campaign.paused.subject == "brake":
        text = gettext("It held itself: too many of its messages failed.")
        told.append({"look": "bad", "text": text})
    return told
