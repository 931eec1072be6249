"""Outreach: what is proposed, and what a coordinator makes of it; the other boards of the area are
pages of their own."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from mawja.broadcast.v1 import campaigns_pb2
from mawja.outreach.v1 import proposals_pb2

from services.console import desk, naming, proposing
from services.console.calls import Refused
from services.console.campaigns.names import CALLER_STATES
from services.console.rights import may
from services.console.who import signed_in
from services.runtime import proposed

router = APIRouter()
_PAGE = 30


@router.get("/outreach")
async def home(request: Request) -> Response:
    """Proposals; agents' first board is that of callbacks."""
    person = signed_in(request)
    if not may(person.roles, "GET", "/outreach/proposals"):
        return RedirectResponse("/outreach/callbacks", 303)
    return RedirectResponse("/outreach/proposals", 303)


@router.get("/outreach/proposals")
async def listed(request: Request) -> Response:
    """Proposals, those to be decided first."""
    person = signed_in(request)
    calls = desk.calls_of(request)
    asked = proposals_pb2.ListProposalsRequest(
        page_size=_PAGE, page_token=request.query_params.get("after", "")
    )
    answer = await calls.ask(person, calls.outreach.ListProposals, asked)
    return await desk.page(
        request,
        "outreach/proposals.html",
        shown=proposing.in_order(answer.proposals),
        after=answer.next_page_token,
        states=naming.PROPOSALS,
        proposing=proposing,
        proposed=proposed,
    )


@router.get("/outreach/proposals/{proposal_id}")
async def one(request: Request, proposal_id: str) -> Response:
    """One proposal, whole."""
    person = signed_in(request)
    calls = desk.calls_of(request)
    asked = proposals_pb2.GetProposalRequest(proposal_id=proposal_id)
    proposal = (await calls.ask(person, calls.outreach.GetProposal, asked)).proposal
    costs: list[Any] = []
    if (estimate := proposed.cost_asked(proposal)) is not None:
        told = desk.allowed(
            calls.ask(person, calls.campaigns.EstimateCost, estimate),
            campaigns_pb2.EstimateCostResponse(),
        )
        costs = list((await told).costs)
    return await desk.page(
        request,
        "outreach/proposal.html",
        proposal=proposal,
        costs=costs,
        drafted=bool(proposal.campaign_id) and await _drafted(request, proposal.campaign_id),
        drill=proposal.drill,
        open=proposal.state == proposals_pb2.PROPOSAL_STATE_OPEN,
        states=naming.PROPOSALS,
        values={**naming.LANGUAGES, **CALLER_STATES},
        languages=naming.LANGUAGES,
        proposing=proposing,
        proposed=proposed,
        did=request.query_params.get("did", ""),
    )


@router.post("/outreach/proposals/{proposal_id}/accept")
async def accept(request: Request, proposal_id: str) -> Response:
    """Has the draft of a campaign made of it, and lines play its texts when that is asked for."""
    said = await desk.fields(request)
    asked = proposals_pb2.AcceptProposalRequest(
        request_id=said.get("request_id", ""),
        proposal_id=proposal_id,
        revision=desk.whole(said.get("revision", "")),
        reason=said.get("reason", ""),
    )
    if lines := said.get("lines", "").replace(",", " ").split():
        asked.announce.lines.extend(dict.fromkeys(lines))
        asked.announce.lasts_ms = desk.whole(said.get("minutes", "")) * 60_000
    await _ask(request, "AcceptProposal", asked)
    return RedirectResponse(f"/outreach/proposals/{proposal_id}?did=accepted", 303)


@router.post("/outreach/proposals/{proposal_id}/decline")
async def decline(request: Request, proposal_id: str) -> Response:
    """Nothing is made of it."""
    said = await desk.fields(request)
    asked = proposals_pb2.DeclineProposalRequest(
        request_id=said.get("request_id", ""),
        proposal_id=proposal_id,
        reason=said.get("reason", ""),
    )
    await _ask(request, "DeclineProposal", asked)
    return RedirectResponse(f"/outreach/proposals/{proposal_id}?did=declined", 303)


@router.post("/outreach/proposals/{proposal_id}/edit")
async def edit(request: Request, proposal_id: str) -> Response:
    """Changes its name, its words and whom it is for."""
    said = await desk.fields(request)
    person = signed_in(request)
    calls = desk.calls_of(request)
    known = await calls.ask(
        person,
        calls.outreach.GetProposal,
        proposals_pb2.GetProposalRequest(proposal_id=proposal_id),
    )
    asked = proposals_pb2.EditProposalRequest(
        request_id=said.get("request_id", ""),
        proposal_id=proposal_id,
        revision=desk.whole(said.get("revision", "")),
        edit=proposing.edited(known.proposal, said),
    )
    await _ask(request, "EditProposal", asked)
    return RedirectResponse(f"/outreach/proposals/{proposal_id}?did=edited", 303)


async def _drafted(request: Request, campaign_id: str) -> bool:
    """Whether its campaign is there: broadcast makes it a moment after the decision."""
    calls = desk.calls_of(request)
    asked = campaigns_pb2.GetCampaignRequest(campaign_id=campaign_id)
    try:
        await calls.ask(signed_in(request), calls.campaigns.GetCampaign, asked)
    except Refused as refused:
        return refused.code != "NOT_FOUND"
    return True


async def _ask(request: Request, method: str, asked: Any) -> None:
    calls = desk.calls_of(request)
    await calls.ask(signed_in(request), getattr(calls.outreach, method), asked)
