"""People: who is signed in and since when, who may sign in, and one's own settings.

The file of users is not changed here: it is mounted, and `mawja users` is how it is written. What
is ended here are sessions, at once and on every replica.
"""

from dataclasses import dataclass

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from mawja.audit.v1 import service_pb2 as audit

from services.console import names
from services.console.pages.door import own
from services.console.rendering import render, sort_key, translate
from services.console.sessions import Session, Sessions
from services.console.settings import LANGUAGES
from services.console.signing import Local
from services.console.who import NotAllowed, Person, signed_in
from services.runtime import log
from services.runtime.identity import Role

router = APIRouter()
_THEMES = ("", "light", "dark")
_SEES = (Role.ADMINISTRATOR, Role.AUDITOR)
_SHOWN = 500
_log = log.get("console.people")


@dataclass(frozen=True, slots=True)
class Shown:
    """A session as a row. Times are Unix ms."""

    id: str
    sub: str
    name: str
    roles: str
    agency: str
    way: str
    browser: str
    began_ms: int
    seen_ms: int
    this: bool
    """Whether it is the one of who looks."""


@dataclass(frozen=True, slots=True)
class Known:
    """A user of the file as a row."""

    sub: str
    name: str
    roles: str
    agency: str
    totp: bool
    disabled: bool


@router.get("/people")
async def home(request: Request) -> Response:
    """One's own session and settings; for administrators and auditors everybody's."""
    person = signed_in(request)
    sessions: Sessions = request.app.state.sessions
    mine = [_shown(request, person, s) for s in await sessions.all(person.sub)]
    everybody = None
    if person.may(*_SEES):
        everybody = [_shown(request, person, s) for s in (await sessions.all())[:_SHOWN]]
    return render(
        request,
        "people/home.html",
        mine=mine,
        everybody=everybody,
        users=_users(request) if person.may(*_SEES) else None,
        my_roles=names.roles(translate(request), person.roles),
        ended=_whole(request.query_params.get("ended", "")),
        ends=person.may(Role.ADMINISTRATOR),
    )


@router.post("/people/revoke")
async def revoke(request: Request) -> Response:
    """Ends one's own sessions, or for an administrator anybody's: the one that is named, or all of
    a person. Raises NotAllowed."""
    person = signed_in(request)
    form = await request.form()
    sub, session_id = str(form.get("sub", "")), str(form.get("session", ""))
    if sub != person.sub and not person.may(Role.ADMINISTRATOR):
        raise NotAllowed
    sessions: Sessions = request.app.state.sessions
    if form.get("but_this") and sub == person.sub:
        others = [s.id for s in await sessions.all(sub) if s.id != person.session_id]
        ended = [session for one in others for session in await sessions.revoke(sub, one)]
    else:
        ended = list(await sessions.revoke(sub, session_id))
    for session in ended:
        await request.app.state.book.ended(session, audit.SESSION_EVENT_REVOKED, person.sub)
    _log.info("sessions were ended", by=person.session_id, count=len(ended), own=sub == person.sub)
    return RedirectResponse(f"/people?ended={len(ended)}", 303)


@router.post("/people/settings")
async def settings(request: Request) -> Response:
    """Another language or theme, for this session."""
    form = await request.form()
    changes = {
        name: str(form[name])
        for name, allowed in (("language", LANGUAGES), ("theme", _THEMES))
        if name in form and form[name] in allowed
    }
    if changes:
        await request.app.state.sessions.change(request.state.token, **changes)
    return RedirectResponse(own(str(form.get("back", ""))) or "/people", 303)


def _shown(request: Request, person: Person, session: Session) -> Shown:
    said = translate(request)
    return Shown(
        id=session.id,
        sub=session.sub,
        name=session.name,
        roles=names.roles(said, session.roles),
        agency=session.agency,
        way=said(names.WAYS.get(session.way, session.way)),
        browser=_browser(session.browser),
        began_ms=session.began_ms,
        seen_ms=session.seen_ms,
        this=session.id == person.session_id,
    )


def _users(request: Request) -> list[Known] | None:
    local: Local | None = request.app.state.local
    if local is None:
        return None
    said = translate(request)
    found = [
        Known(
            user.sub,
            user.name,
            names.roles(said, user.roles),
            user.agency,
            bool(user.totp),
            user.disabled,
        )
        for user in local.users().values()
    ]
    return sorted(found, key=lambda user: sort_key(user.name, said.language))


def _browser(said: str) -> str:
    """A browser's and machine's name out of what it calls itself; "" when it says neither."""
    browsers = ("Edg", "OPR", "Firefox", "Chrome", "Safari", "curl")
    machines = ("Android", "iPhone", "iPad", "Windows", "Macintosh", "Linux")
    named = {"Edg": "Edge", "OPR": "Opera", "Macintosh": "macOS"}
    found = [
        next((named.get(one, one) for one in some if one in said), "")
        for some in (browsers, machines)
    ]
    return " · ".join(one for one in found if one)


def _whole(said: str) -> int | None:
    return int(said) if said.isascii() and said.isdigit() and len(said) < 6 else None
