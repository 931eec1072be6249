"""Incidents: one event that many people reach out about, and who is in it."""

import asyncio
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from mawja.dedup.v1 import service_pb2 as dedup

from services.console import desk, naming
from services.console.rights import may
from services.console.who import signed_in

router = APIRouter()
_PAGE = 30
_CASES = 20


@router.get("/cases/incidents")
async def listed(request: Request) -> Response:
    """Those with several cases, the one that was last heard of first."""
    person = signed_in(request)
    calls = desk.calls_of(request)
    asked = dedup.ListIncidentsRequest(
        page_size=_PAGE, page_token=request.query_params.get("after", "")
    )
    answer = await calls.ask(person, calls.dedup.ListIncidents, asked)
    return await _page(
        request, "cases/incidents.html", incidents=answer.incidents, after=answer.next_page_token
    )


@router.get("/cases/incidents/{incident_id}")
async def one(request: Request, incident_id: str) -> Response:
    """One, with its cases."""
    person = signed_in(request)
    calls = desk.calls_of(request)
    answer = await calls.ask(
        person, calls.dedup.GetIncident, dedup.GetIncidentRequest(incident_id=incident_id)
    )
    begin = desk.whole(request.query_params.get("from", ""))
    wanted = answer.case_ids[begin : begin + _CASES]

    async def case(case_id: str) -> Any:
        asked = dedup.GetCaseRequest(case=case_id)
        return await desk.allowed(calls.ask(person, calls.dedup.GetCase, asked), None)

    found = await asyncio.gather(*(case(case_id) for case_id in wanted))
    shown = answer.incident.incident
    return await _page(
        request,
        "cases/incident.html",
        shown=answer.incident,
        incident=shown,
        cases=[each.case for each in found if each is not None],
        begin=begin,
        following=begin + _CASES if begin + _CASES < len(answer.case_ids) else 0,
        drill=shown.drill,
        may_unlink=may(person.roles, "POST", "/cases/{case_id}/unlink"),
    )


async def _page(request: Request, template: str, **context: Any) -> Response:
    return await desk.page(
        request,
        template,
        states=naming.CASES,
        languages=naming.LANGUAGES,
        **context,
    )
