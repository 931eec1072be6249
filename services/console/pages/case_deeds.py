"""What people do with a case: each a command that dedup decides on, once for each form."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from mawja.dedup.v1 import service_pb2 as dedup

from services.console import desk
from services.console.rendering import render
from services.console.who import signed_in

router = APIRouter()


@router.post("/cases/{case_id}/assign")
async def assign(request: Request, case_id: str) -> Response:
    """Makes somebody the owner; by themselves without a name."""
    said = await desk.fields(request)
    whom = said.get("assignee", "") or signed_in(request).sub
    asked = dedup.AssignCaseRequest(case_id=case_id, assignee=whom, request_id=_once(said))
    return _told(await _ask(request, "AssignCase", asked), "assigned")


@router.post("/cases/{case_id}/triage")
async def triage(request: Request, case_id: str) -> Response:
    """Says which service it is about."""
    said = await desk.fields(request)
    topic = said.get("service", "").rpartition("/")[2]
    asked = dedup.TriageCaseRequest(case_id=case_id, topic=topic, request_id=_once(said))
    return _told(await _ask(request, "TriageCase", asked), "triaged")


@router.post("/cases/{case_id}/resolve")
async def resolve(request: Request, case_id: str) -> Response:
    """The need is met."""
    said = await desk.fields(request)
    asked = dedup.ResolveCaseRequest(case_id=case_id, request_id=_once(said))
    return _told(await _ask(request, "ResolveCase", asked), "resolved")


@router.post("/cases/{case_id}/reopen")
async def reopen(request: Request, case_id: str) -> Response:
    """It is not met after all."""
    said = await desk.fields(request)
    asked = dedup.ReopenCaseRequest(
        case_id=case_id, reason=said.get("reason", ""), request_id=_once(said)
    )
    return _told(await _ask(request, "ReopenCase", asked), "reopened")


@router.post("/cases/{case_id}/note")
async def note(request: Request, case_id: str) -> Response:
    """Writes something down."""
    said = await desk.fields(request)
    asked = dedup.AddCaseNoteRequest(
        case_id=case_id, text=said.get("text", ""), request_id=_once(said)
    )
    return _told(await _ask(request, "AddCaseNote", asked), "noted")


@router.post("/cases/{case_id}/merge")
async def merge(request: Request, case_id: str) -> Response:
    """This case goes into another, named by its number."""
    said = await desk.fields(request)
    calls = desk.calls_of(request)
    other = await calls.ask(
        signed_in(request),
        calls.dedup.GetCase,
        dedup.GetCaseRequest(case=said.get("into", "")),
    )
    asked = dedup.MergeCasesRequest(
        case_id=case_id,
        into=other.case.case_id,
        reason=said.get("reason", ""),
        request_id=_once(said),
    )
    return _told(await _ask(request, "MergeCases", asked), "merged")


@router.post("/cases/{case_id}/split")
async def split(request: Request, case_id: str) -> Response:
    """Contacts become a case of their own; without any, the case leaves the other person's."""
    said = await desk.fields(request)
    asked = dedup.SplitCaseRequest(
        case_id=case_id,
        contact_ids=await desk.several(request, "contact"),
        reason=said.get("reason", ""),
        request_id=_once(said),
    )
    return _told(await _ask(request, "SplitCase", asked), "split")


@router.post("/cases/{case_id}/unlink")
async def unlink(request: Request, case_id: str) -> Response:
    """The case does not belong to an incident, or not with another case."""
    said = await desk.fields(request)
    calls = desk.calls_of(request)
    asked = dedup.UnlinkRequest(
        case_id=case_id, reason=said.get("reason", ""), request_id=_once(said)
    )
    if said.get("incident"):
        asked.incident_id = said["incident"]
    else:
        asked.other_case_id = said.get("other", "")
    await calls.ask(signed_in(request), calls.dedup.Unlink, asked)
    return RedirectResponse(f"/cases/{case_id}?did=unlinked", 303)


@router.post("/cases/{case_id}/reveal")
async def reveal(request: Request, case_id: str) -> Response:
    """Shows the person's whole number, once, for a reason that is recorded before it is told. It
    stands in no address and is kept by no browser."""
    said = await desk.fields(request)
    calls = desk.calls_of(request)
    asked = dedup.RevealPersonRequest(
        case_id=case_id, reason=said.get("reason", ""), request_id=_once(said)
    )
    answer = await calls.ask(signed_in(request), calls.dedup.RevealPerson, asked)
    return render(request, "cases/revealed.html", number=answer.number, case_id=case_id)


async def _ask(request: Request, method: str, asked: Any) -> Any:
    calls = desk.calls_of(request)
    answer = await calls.ask(signed_in(request), getattr(calls.dedup, method), asked)
    return answer.case


def _told(case: Any, did: str) -> Response:
    return RedirectResponse(f"/cases/{case.case_number}?did={did}", 303)


def _once(said: dict[str, str]) -> str:
    return said.get("request_id", "")
