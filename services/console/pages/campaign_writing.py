"""Writing a campaign: the form, what it costs, whom it reaches, and the draft that it is kept as.

The console keeps nothing: a draft is the campaign in its first state, on broadcast. While somebody
writes in it, it is saved by itself whenever all of it can be read.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse
from mawja.broadcast.v1 import campaigns_pb2 as pb
from mawja.broadcast.v1.audiences_pb2 import AudiencePreview, PreviewAudienceRequest
from mawja.broadcast.v1.campaigns_pb2 import Campaign, CampaignText

from services.console import desk
from services.console.calls import Calls, Refused
from services.console.campaigns import audience_form, plan_form, views
from services.console.campaigns.faults import Faults
from services.console.campaigns.plan_form import Form
from services.console.campaigns.saying import shared
from services.console.campaigns.sentences import translated
from services.console.rendering import render, translate
from services.console.who import Person, signed_in
from services.console.words import N_
from services.runtime.clock import now_ms

router = APIRouter()
Who = Annotated[Person, Depends(signed_in)]
_ONE = "/campaigns/{campaign_id:uuid}"
_LISTS = 50
_PREVIEW_S = 30.0


@router.get("/campaigns/new")
async def new(request: Request, who: Who, list: str = "") -> Response:
    """An empty form; `list` is a list that it is for."""
    form = plan_form.blank(now_ms(), _zone(request), who.agency)
    if list:
        form.audience = audience_form.Chosen(include=(list.lower(),))
    return await _page(request, who, form, Faults())


@router.post("/campaigns/new")
async def create(request: Request, who: Who) -> Response:
    """Makes the draft."""
    calls: Calls = request.app.state.calls
    form, given = await _posted(request)
    if (shown := _other(form, given)) is not None:
        return await _page(request, who, form, shown)
    plan, faults = plan_form.read(form, now_ms(), _zone(request))
    if faults:
        return await _page(request, who, form, faults, status=422)
    wanted = pb.CreateCampaignRequest(request_id=given.get("request_id", "")[:64], plan=plan)
    try:
        made = (await calls.ask(who, calls.campaigns.CreateCampaign, wanted)).campaign
    except Refused as refused:
        kept = given.get("request_id", "") if refused.away else ""
        faults = _faults(refused, form)
        return await _page(request, who, form, faults, status=422, kept=kept)
    return RedirectResponse(f"/campaigns/{made.campaign_id}", 303)


@router.get(_ONE + "/edit")
async def edit(request: Request, who: Who, campaign_id: UUID) -> Response:
    """The form with what the campaign says now."""
    campaign = await _get(request, who, campaign_id)
    form = plan_form.of_plan(campaign.plan, _zone(request))
    return await _page(request, who, form, Faults(), campaign)


@router.post(_ONE + "/edit")
async def change(request: Request, who: Who, campaign_id: UUID) -> Response:
    """Saves the form over the campaign's plan, if nobody changed it meanwhile."""
    calls: Calls = request.app.state.calls
    form, given = await _posted(request)
    campaign = await _get(request, who, campaign_id)
    if (shown := _other(form, given)) is not None:
        campaign.version = _version(given) or campaign.version
        return await _page(request, who, form, shown, campaign)
    plan, faults = plan_form.read(form, now_ms(), _zone(request))
    if faults:
        campaign.version = _version(given) or campaign.version
        return await _page(request, who, form, faults, campaign, status=422)
    if _version(given) != campaign.version and plan != campaign.plan:
        return await _page(request, who, form, Faults(), campaign, 409, campaign.changed.subject)
    try:
        await calls.ask(who, calls.campaigns.UpdateCampaign, _update(given, campaign, plan))
    except Refused as refused:
        return await _page(request, who, form, _faults(refused, form), campaign, status=422)
    return RedirectResponse(f"/campaigns/{campaign_id}", 303)


@router.post(_ONE + "/autosave")
async def autosave(request: Request, who: Who, campaign_id: UUID) -> Response:
    """The same while somebody writes, for a draft only; answers with a line that says so."""
    calls: Calls = request.app.state.calls
    form, given = await _posted(request)
    said = translate(request)
    plan, faults = plan_form.read(form, now_ms(), _zone(request))
    if faults:
        first = faults.of(faults.fields()[0])[0].said(said.gettext)
        return _saved(request, "faults", first=first)
    try:
        campaign = await _get(request, who, campaign_id)
        if campaign.plan == plan:
            return _saved(request, "saved", version=campaign.version)
        if _version(given) != campaign.version or campaign.state != pb.CAMPAIGN_STATE_DRAFT:
            return _saved(request, "changed", who=campaign.changed.subject)
        # Of what is written on, each saving is another request.
        given["request_id"] = f"{given.get('request_id', '')[:48]}/{campaign.version}"
        wanted = _update(given, campaign, plan)
        campaign = (await calls.ask(who, calls.campaigns.UpdateCampaign, wanted)).campaign
    except Refused as refused:
        if refused.away:
            return _saved(request, "away")
        found = _faults(refused, form)
        return _saved(request, "faults", first=found.of(found.fields()[0])[0].said(said.gettext))
    return _saved(request, "saved", version=campaign.version)


@router.post("/campaigns/preview")
async def preview(request: Request, who: Who) -> Response:
    """Who is in the audience that the form has chosen, as a fragment."""
    calls: Calls = request.app.state.calls
    form, _ = await _posted(request)
    said, faults = translate(request), Faults()
    audience = audience_form.read(form.audience, faults)
    seen: AudiencePreview | None = None
    if audience is None:
        fault = faults.of("audience")[0].said(said.gettext)
    else:
        fault = said.gettext("Who is in it can't be told now.")
        try:
            asked = PreviewAudienceRequest(audience=audience)
            stream = calls.follow(who, calls.audiences.PreviewAudience, asked, _PREVIEW_S)
            async for told in stream:
                if told.HasField("preview"):
                    seen = told.preview
        except Refused as refused:
            if not refused.away:
                fault = translated(refused.message, said.gettext)
    return render(
        request,
        "campaigns/preview.html",
        fault="" if seen is not None else fault,
        seen=seen,
        languages=_ranked(seen.languages) if seen is not None else [],
        out=_ranked(seen.exclusions) if seen is not None else [],
        samples=seen.samples if seen is not None else [],
        **shared(said),
    )


@router.post("/campaigns/estimate")
async def estimate(request: Request, who: Who) -> Response:
    """What the texts would cost for the people who were counted, as a fragment."""
    calls: Calls = request.app.state.calls
    form, _ = await _posted(request)
    said = translate(request)
    texts = [
        CampaignText(language=tag, template=plan_form.filled(text))
        for tag, text in form.texts.items()
        if text.strip()
    ]
    people = _people((await request.form()).getlist("people"))
    fault, costs = "", []
    if not texts:
        fault = said.gettext("Write the text in one language at least.")
    elif not people:
        fault = said.gettext("Choose whom it is for, and what it costs is told here.")
    else:
        wanted = pb.EstimateCostRequest(
            texts=texts,
            language=form.one.get("language", ""),
            drill="drill" in form.ticked,
            people=people,
        )
        try:
            costs = [*(await calls.ask(who, calls.campaigns.EstimateCost, wanted)).costs]
        except Refused as refused:
            fault = said.gettext("What it costs can't be told now.")
            if refused.violations:
                fault = translated(refused.violations[0].rule, said.gettext)
    return render(
        request,
        "campaigns/estimate.html",
        fault=fault,
        costs=costs,
        people=sum(people.values()),
        fields=any(plan_form.has_fields(text) for text in form.texts.values()),
        **shared(said),
    )


async def _page(
    request: Request,
    who: Person,
    form: Form,
    faults: Faults,
    campaign: Campaign | None = None,
    status: int = 200,
    changed_by: str = "",
    kept: str = "",
) -> Response:
    """`kept`: the request_id of a form of which nobody knows whether it was done."""
    calls: Calls = request.app.state.calls
    said = translate(request)
    asked = pb.ListAudiencesRequest(page_size=_LISTS)
    found = [*(await calls.ask(who, calls.campaigns.ListAudiences, asked)).audiences]
    known = {one.audience_id for one in found}
    for name in form.audience.lists[:_LISTS]:
        if name not in known:
            # Older than the page: it stays chosen.
            try:
                wanted = pb.GetAudienceRequest(audience_id=name)
                found.append((await calls.ask(who, calls.campaigns.GetAudience, wanted)).audience)
            except Refused:
                faults.add("audience", N_("One of the lists is not known."))
    before = campaign is not None and campaign.state != pb.CAMPAIGN_STATE_DRAFT
    return render(
        request,
        "campaigns/compose.html",
        status,
        names=await desk.names(request),
        id=campaign.campaign_id if campaign is not None else "",
        title=campaign.plan.name if campaign is not None else "",
        version=campaign.version if campaign is not None else 0,
        action=f"/campaigns/{campaign.campaign_id}/edit" if campaign else "/campaigns/new",
        drill=campaign is not None and campaign.plan.drill,
        voids=before,
        autosaves=campaign is not None and not before,
        changed_by=changed_by,
        kept=kept,
        form=form,
        faults=faults.said(said.gettext),
        lists=[views.listed(one) for one in found],
        zone=_zone(request).key,
        **shared(said),
    )


async def _posted(request: Request) -> tuple[Form, dict[str, str]]:
    sent = await request.form()
    fields = [(key, value) for key, value in sent.multi_items() if isinstance(value, str)]
    return plan_form.posted(fields), dict(fields)


def _other(form: Form, given: Mapping[str, str]) -> Faults | None:
    """What a button asks for that is not to save: more languages, or new lists."""
    faults = Faults()
    match given.get("do"):
        case "language":
            if not form.with_language(given.get("more", "").strip()):
                faults.add("more", N_("Write a language as in ar, en or zh-Hant."))
            return faults
        case "again":
            return faults
    return None


def _faults(refused: Refused, form: Form) -> Faults:
    faults = Faults()
    if refused.away:
        faults.add("", N_("Not saved: the service can't be reached now."))
    elif refused.violations:
        pairs = [(one.field, one.rule) for one in refused.violations]
        faults.take(pairs, lambda field: plan_form.field_of(field, form))
    else:
        faults.add("", refused.message)
    return faults


def _update(given: Mapping[str, str], campaign: Campaign, plan: pb.CampaignPlan) -> Any:
    return pb.UpdateCampaignRequest(
        request_id=given.get("request_id", "")[:64],
        campaign_id=campaign.campaign_id,
        version=campaign.version,
        plan=plan,
    )


async def _get(request: Request, who: Person, campaign_id: UUID) -> Campaign:
    calls: Calls = request.app.state.calls
    wanted = pb.GetCampaignRequest(campaign_id=str(campaign_id))
    campaign: Campaign = (await calls.ask(who, calls.campaigns.GetCampaign, wanted)).campaign
    return campaign


def _saved(request: Request, said: str, **given: Any) -> Response:
    context = {"at_ms": now_ms(), "version": 0, "who": "", "first": "", **given}
    return render(request, "campaigns/saved.html", said=said, **context)


def _version(given: Mapping[str, str]) -> int:
    number = given.get("version", "")
    return int(number) if number.isascii() and number.isdigit() and len(number) < 19 else 0


def _people(some: list[Any]) -> dict[str, int]:
    found = Counter[str]()
    for one in some[:100]:
        tag, colon, count = str(one).rpartition(":")
        if colon and count.isascii() and count.isdigit() and len(count) < 12 and len(tag) < 36:
            found[tag] += int(count)
    return dict(found)


def _ranked(some: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(some.items(), key=lambda one: (-one[1], one[0]))


def _zone(request: Request) -> ZoneInfo:
    return ZoneInfo(request.app.state.settings.zone)
