"""Report: the scorecard and its files, and papers of campaigns and surges."""

import base64
import hashlib
import re
from collections.abc import AsyncIterator
from typing import Annotated, Any
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse
from mawja.broadcast.v1 import campaigns_pb2 as campaigns
from mawja.reports.v1 import service_pb2 as pb

from services.console import desk
from services.console.calls import Calls, Refused
from services.console.rendering import render, translate
from services.console.report import cards
from services.console.report.asked import BY, Asked, asked
from services.console.report.jobs import Job, Jobs
from services.console.rights import may
from services.console.who import Person, signed_in
from services.runtime.clock import now_ms

router = APIRouter()
Signed = Annotated[Person, Depends(signed_in)]
_SOON_S = 1.2
_LONGEST_S = 900.0
_SHOWN = 30
_STYLE = re.compile(rb"<style>(.*?)</style>", re.DOTALL)
FORMATS = {"html": pb.Format.FORMAT_HTML, "pdf": pb.Format.FORMAT_PDF}


@router.get("/report")
async def home(request: Request, person: Signed) -> Response:
    """The scorecard of what is asked for, or how far it is; and what papers can be made."""
    of = _asked(request)
    job = None if of.faults else _card(request, person, of)
    context = await _shown(request, person, of, job) if job is not None else {"job": None}
    papers = may(person.roles, "GET", "/report/paper")
    held = await _campaigns(request, person) if papers else []
    return render(
        request,
        "report/home.html",
        asked=of,
        papers=papers,
        campaigns=held,
        drill=of.drill,
        **context,
    )


@router.get("/report/card")
async def card(request: Request, person: Signed) -> Response:
    """The scorecard alone, or how far it is."""
    of = _asked(request)
    job = _card(request, person, of)
    return render(request, "report/card.html", asked=of, **await _shown(request, person, of, job))


@router.get("/report/card.csv")
async def card_csv(request: Request, person: Signed) -> Response:
    """The scorecard as a table for spreadsheets."""
    of = _asked(request)
    made = await _result(_card(request, person, of))
    return _file(f"scorecard-{of.by}.csv", "text/csv; charset=utf-8", cards.as_csv(made, of.by))


@router.get("/report/card.json")
async def card_json(request: Request, person: Signed) -> Response:
    """The scorecard for programs."""
    of = _asked(request)
    made = await _result(_card(request, person, of))
    return _file(f"scorecard-{of.by}.json", "application/json", cards.as_json(made, of))


@router.get("/report/surge")
async def surge(request: Request, person: Signed) -> Response:
    """What a form asks for, with its times as they are now: the same address is the same paper."""
    of = _asked(request)
    if of.faults:
        held = await _campaigns(request, person)
        return render(
            request,
            "report/home.html",
            422,
            asked=of,
            papers=True,
            campaigns=held,
            drill=of.drill,
            job=None,
        )
    return RedirectResponse(of.address("/report/making"), 303)


@router.get("/report/making")
async def making(request: Request, person: Signed, campaign: UUID | None = None) -> Response:
    """A paper that is being made, and where to read it."""
    of = _asked(request)
    job = _paper(request, person, of, campaign)
    await job.wait(_SOON_S)
    part = request.headers.get("hx-request")
    return render(
        request,
        "report/made.html" if part else "report/making.html",
        asked=of,
        job=job,
        drill=of.drill,
        campaign=str(campaign or ""),
        paper=_address("/report/paper", of, campaign),
        again=_address("/report/making", of, campaign),
    )


@router.get("/report/paper")
async def paper(
    request: Request,
    person: Signed,
    campaign: UUID | None = None,
    language: str = "",
    format: str = "html",
) -> Response:
    """The paper itself: a page of its own, which can fetch and run nothing, or a PDF."""
    wanted = _request(request, _asked(request), campaign)
    if language in {"ar", "en"}:
        wanted.language = language
    wanted.format = FORMATS.get(format, pb.Format.FORMAT_HTML)
    calls: Calls = request.app.state.calls
    file, content = pb.File(), bytearray()
    async for told in calls.follow(person, calls.reports.MakeReport, wanted, _LONGEST_S):
        if told.HasField("file"):
            file = told.file
        content += told.piece
    headers = {"content-disposition": f'inline; filename="{file.name}"'}
    if wanted.format == pb.Format.FORMAT_HTML:
        headers["content-security-policy"] = _policy(bytes(content))
    return Response(bytes(content), media_type=file.media_type, headers=headers)


def _policy(page: bytes) -> str:
    """Tighter than the console's own: only this very style, and nothing else at all."""
    styles = " ".join(
        "'sha256-" + base64.b64encode(hashlib.sha256(style).digest()).decode() + "'"
        for style in _STYLE.findall(page)
    )
    return (
        f"default-src 'none'; style-src {styles}; img-src data:; frame-ancestors 'none'; "
        "base-uri 'none'; form-action 'none'; sandbox"
    )


def _file(name: str, media_type: str, content: str) -> Response:
    return Response(
        content,
        media_type=media_type,
        headers={"content-disposition": f'attachment; filename="{name}"'},
    )


def _asked(request: Request) -> Asked:
    zone = ZoneInfo(request.app.state.settings.zone)
    return asked(request.query_params, now_ms(), zone)


def _address(path: str, of: Asked, campaign: UUID | None) -> str:
    return f"{path}?campaign={campaign}" if campaign else of.address(path)


def _jobs(request: Request) -> Jobs:
    state = request.app.state
    held: Jobs | None = getattr(state, "report_jobs", None)
    if held is None:
        held = state.report_jobs = Jobs()
    return held


def _card(request: Request, person: Person, of: Asked) -> Job:
    calls: Calls = request.app.state.calls
    wanted = pb.GetScorecardRequest(
        by=BY[of.by],
        since_ms=of.since_ms,
        until_ms=of.until_ms,
        zone=request.app.state.settings.zone,
        drill=of.drill,
    )

    async def do(job: Job) -> Any:
        told: AsyncIterator[pb.GetScorecardResponse] = calls.follow(
            person, calls.reports.GetScorecard, wanted, _LONGEST_S
        )
        async for one in told:
            if one.HasField("scorecard"):
                return one.scorecard
            job.progress = one.progress
        return None

    key = ("card", person.sub, person.roles, person.agency, wanted.SerializeToString())
    return _jobs(request).of(key, do)


def _request(request: Request, of: Asked, campaign: UUID | None) -> pb.MakeReportRequest:
    wanted = pb.MakeReportRequest(
        language=translate(request).language,
        format=pb.Format.FORMAT_HTML,
        zone=request.app.state.settings.zone,
    )
    if campaign is not None:
        wanted.campaign_id = str(campaign)
    else:
        wanted.surge.CopyFrom(
            pb.Surge(since_ms=of.since_ms, until_ms=of.until_ms, drill=of.drill, name=of.name)
        )
    return wanted


def _paper(request: Request, person: Person, of: Asked, campaign: UUID | None) -> Job:
    calls: Calls = request.app.state.calls
    wanted = _request(request, of, campaign)

    async def do(job: Job) -> Any:
        made = None
        async for told in calls.follow(person, calls.reports.MakeReport, wanted, _LONGEST_S):
            if told.HasField("progress"):
                job.progress = told.progress
            elif told.HasField("file"):
                made = told.file
        return made

    key = ("paper", person.sub, person.roles, wanted.SerializeToString())
    return _jobs(request).of(key, do)


async def _result(job: Job) -> pb.Scorecard:
    await job.wait(_LONGEST_S)
    if job.error is not None:
        raise job.error
    made: pb.Scorecard = job.result
    return made


async def _shown(request: Request, person: Person, of: Asked, job: Job) -> dict[str, Any]:
    await job.wait(_SOON_S)
    context: dict[str, Any] = {"job": job, "card": None, "again": of.address("/report/card")}
    context["csv"], context["json"] = (
        of.address("/report/card.csv"),
        of.address("/report/card.json"),
    )
    if job.result is not None:
        names = await desk.names(request)
        context["card"] = cards.shown(job.result, of.by, names, translate(request).gettext)
    return context


async def _campaigns(request: Request, person: Person) -> list[campaigns.Campaign]:
    calls: Calls = request.app.state.calls
    asking = campaigns.ListCampaignsRequest(page_size=_SHOWN)
    try:
        answer = await calls.ask(person, calls.campaigns.ListCampaigns, asking)
    except Refused:
        return []
    return list(answer.campaigns)
