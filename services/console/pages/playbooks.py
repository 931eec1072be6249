"""Playbooks: what the centre does by itself, and switching it off and on."""

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from mawja.outreach.v1 import playbooks_pb2

from services.console import desk, naming
from services.console.rights import may
from services.console.who import signed_in

router = APIRouter()


@router.get("/outreach/playbooks")
async def listed(request: Request) -> Response:
    """All of them, with who switched them and why."""
    person = signed_in(request)
    calls = desk.calls_of(request)
    answer = await calls.ask(
        person, calls.playbooks.ListPlaybooks, playbooks_pb2.ListPlaybooksRequest()
    )
    return await desk.page(
        request,
        "outreach/playbooks.html",
        # What is off stands out; the rest by name.
        playbooks=sorted(answer.playbooks, key=lambda one: (one.on, one.name)),
        titles=naming.PLAYBOOKS,
        events=naming.EVENTS,
        deeds=naming.DEEDS,
        may_switch=may(person.roles, "POST", "/outreach/playbooks/{name}/switch"),
        did=request.query_params.get("did", ""),
    )


@router.post("/outreach/playbooks/{name}/switch")
async def switch(request: Request, name: str) -> Response:
    """Switches one, for everybody, with a reason that is kept."""
    said = await desk.fields(request)
    calls = desk.calls_of(request)
    asked = playbooks_pb2.SwitchPlaybookRequest(
        request_id=said.get("request_id", ""),
        playbook=name,
        on=said.get("on") == "yes",
        reason=said.get("reason", ""),
    )
    await calls.ask(signed_in(request), calls.playbooks.SwitchPlaybook, asked)
    return RedirectResponse(f"/outreach/playbooks?did={'on' if asked.on else 'off'}", 303)
