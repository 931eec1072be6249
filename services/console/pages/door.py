"""Signing in and out, the way home, and what probes ask."""

from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, RedirectResponse, Response
from mawja.audit.v1 import service_pb2 as audit

from services.console import signing
from services.console.calls import Refused
from services.console.oidc import WITHIN_S, NoRole, Provider
from services.console.rendering import render
from services.console.settings import LANGUAGES
from services.console.who import person_of
from services.runtime import metrics
from services.runtime.errors import Away, Forbidden

router = APIRouter()
_BACK = "/sign-in/provider/back"
_LANGUAGE_S = 365 * 24 * 3600


@router.get("/")
async def home(request: Request) -> Response:
    """The wave, or the way to it."""
    return RedirectResponse("/wave" if person_of(request) else "/sign-in", 303)


@router.get("/sign-in")
async def ask(request: Request) -> Response:
    """The sign-in page."""
    if person_of(request):
        return RedirectResponse("/wave", 303)
    if request.state.away:
        return _asked(request, 503, away=True)
    return _asked(request)


@router.post("/sign-in")
async def sign_in(request: Request) -> Response:
    """Signs in with name, password and code."""
    form = await request.form()
    local: signing.Local | None = request.app.state.local
    if local is None:
        return _asked(request, 403)
    address = request.client.host if request.client else ""
    where = own(str(form.get("next", "")))
    with _tried("password"):
        found = await local.check(
            str(form.get("user", ""))[:100],
            str(form.get("password", ""))[:200],
            str(form.get("code", ""))[:20],
            address,
        )
        if not isinstance(found, signing.Failed):
            response = RedirectResponse(where or "/wave", 303)
            await signing.begin(request, response, found, "password")
            return response
    metrics.SIGN_INS.labels("password", "waits" if found.wait_s else "refused").inc()
    if found.event:
        await request.app.state.book.tell(found.note())
    # 403 to both: whether somebody must wait says nothing about whether they exist.
    return _asked(request, 403, next=where, wrong=True, wait_s=found.wait_s)


@router.post("/sign-in/language")
async def language(request: Request) -> Response:
    """Another language of the sign-in page, kept in a cookie."""
    form = await request.form()
    response = RedirectResponse("/sign-in", 303)
    if form.get("language") in LANGUAGES:
        response.set_cookie(
            "lang",
            str(form["language"]),
            max_age=_LANGUAGE_S,
            secure=request.app.state.settings.secure,
            httponly=True,
            samesite="lax",
        )
    return response


@router.get("/sign-in/provider")
async def away(request: Request) -> Response:
    """To the provider."""
    provider: Provider | None = request.app.state.provider
    if provider is None:
        return _asked(request, 404)
    url, binding = await provider.way(
        _origin(request) + _BACK, own(request.query_params.get("next", ""))
    )
    response = RedirectResponse(url, 303)
    cookies: signing.Cookies = request.app.state.cookies
    cookies.set(response, cookies.coming, binding, WITHIN_S)
    return response


@router.get(_BACK)
async def back(request: Request) -> Response:
    """From the provider."""
    provider: Provider | None = request.app.state.provider
    cookies: signing.Cookies = request.app.state.cookies
    asked = request.query_params
    if provider is None:
        return _asked(request, 404)
    try:
        with _tried("oidc"):
            user, where = await provider.arrived(
                asked.get("state", ""),
                asked.get("code", ""),
                request.cookies.get(cookies.coming, ""),
            )
            response = RedirectResponse(where or "/wave", 303)
            cookies.forget(response, cookies.coming)
            await signing.begin(request, response, user, "oidc")
            return response
    except Forbidden as error:
        metrics.SIGN_INS.labels("oidc", "refused").inc()
        if isinstance(error, NoRole) and error.first:
            await request.app.state.book.tell(
                audit.NoteSessionRequest(
                    event=audit.SESSION_EVENT_NO_ROLE, user=error.sub, way="oidc"
                )
            )
        refused = _asked(request, 403, refused=True)
        cookies.forget(refused, cookies.coming)
        return refused


@router.post("/sign-out")
async def sign_out(request: Request) -> Response:
    """Ends the session."""
    cookies: signing.Cookies = request.app.state.cookies
    ended = await request.app.state.sessions.end(request.state.token)
    if ended is not None:
        await request.app.state.book.ended(ended, audit.SESSION_EVENT_SIGNED_OUT)
    response = RedirectResponse("/sign-in", 303)
    cookies.forget(response, cookies.session)
    return response


@router.get("/live")
async def live() -> Response:
    """For probes: the process answers."""
    return PlainTextResponse("live")


@router.get("/ready")
async def ready(request: Request) -> Response:
    """For probes: sessions can be had."""
    if await request.app.state.ready():
        return PlainTextResponse("ready")
    return PlainTextResponse("not ready", 503)


def own(where: str) -> str:
    """`where` when it is a path of this console, else nothing: no sign-in leads elsewhere."""
    plain = where.startswith("/") and not where.startswith("//") and "\\" not in where
    return where if plain and where.isprintable() and len(where) < 200 else ""


def _asked(request: Request, status: int = 200, **context: object) -> Response:
    said = {"next": own(request.query_params.get("next", "")), "wrong": False, "wait_s": 0}
    said |= {"refused": False, "away": False}
    return render(request, "common/sign-in.html", status, **{**said, **context})


@contextmanager
def _tried(way: str) -> Iterator[None]:
    """Counts a sign-in that comes to nothing because Redis, the provider or the room that notes it
    does not answer."""
    try:
        yield
    except (Away, Refused):
        metrics.SIGN_INS.labels(way, "away").inc()
        raise


def _origin(request: Request) -> str:
    url: str = request.app.state.settings.url
    return url or f"http://{request.headers['host']}"
