"""What callers hear while they wait: set for lines in Arabic and English, ended by itself or by a
person."""

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from mawja.outreach.v1 import announcements_pb2

from services.console import desk, naming
from services.console.rights import may
from services.console.who import signed_in
from services.runtime.announcements import ends_ms
from services.runtime.clock import now_ms

router = APIRouter()
_MINUTE_MS = 60_000


@router.get("/outreach/announcements")
async def listed(request: Request) -> Response:
    """Those that play or will; with `over`, also those that did."""
    person = signed_in(request)
    calls = desk.calls_of(request)
    over = request.query_params.get("over") == "yes"
    answer = await calls.ask(
        person,
        calls.announcements.ListAnnouncements,
        announcements_pb2.ListAnnouncementsRequest(over=over),
    )
    now = now_ms()
    return await desk.page(
        request,
        "outreach/announcements.html",
        announcements=list(answer.announcements),
        ends_ms=ends_ms,
        now=now,
        over=over,
        languages=naming.LANGUAGES,
        may_set=may(person.roles, "POST", "/outreach/announcements/set"),
        may_end=may(person.roles, "POST", "/outreach/announcements/{announcement_id}/end"),
        did=request.query_params.get("did", ""),
    )


@router.post("/outreach/announcements/set")
async def put(request: Request) -> Response:
    """Has lines play a text, in Arabic and English."""
    said = await desk.fields(request)
    calls = desk.calls_of(request)
    texts = [
        announcements_pb2.AnnouncementText(language=language, text=said[name])
        for language in ("ar", "en")
        if said.get(name := f"text-{language}")
    ]
    asked = announcements_pb2.SetAnnouncementRequest(
        request_id=said.get("request_id", ""),
        lines=list(dict.fromkeys(said.get("lines", "").replace(",", " ").split())),
        agency=said.get("agency", ""),
        texts=texts,
        until_ms=now_ms() + desk.whole(said.get("minutes", "")) * _MINUTE_MS,
        urgent=said.get("urgent") == "yes",
        drill=said.get("drill") == "yes",
    )
    await calls.ask(signed_in(request), calls.announcements.SetAnnouncement, asked)
    return RedirectResponse("/outreach/announcements?did=set", 303)


@router.post("/outreach/announcements/{announcement_id}/end")
async def end(request: Request, announcement_id: str) -> Response:
    """Ends one now."""
    calls = desk.calls_of(request)
    asked = announcements_pb2.EndAnnouncementRequest(announcement_id=announcement_id)
    await calls.ask(signed_in(request), calls.announcements.EndAnnouncement, asked)
    return RedirectResponse("/outreach/announcements?did=ended", 303)
