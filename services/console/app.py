"""The console's application: its parts, its pages, and what is answered when something is wrong."""

from collections.abc import Awaitable, Callable

from fastapi import Depends, FastAPI, Request
from fastapi.responses import PlainTextResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from services.console.admission import Closed, Forged, admitted
from services.console.book import Book
from services.console.calls import Calls, Refused
from services.console.door import Door, TooLong
from services.console.measuring import Measured
from services.console.oidc import Provider
from services.console.pages import AREAS
from services.console.rendering import Pages, render
from services.console.sessions import Sessions
from services.console.settings import Settings
from services.console.signing import Cookies, Local
from services.console.static import Static
from services.console.streams import SIGNED_OUT
from services.console.who import NotAllowed, SignIn
from services.runtime import log
from services.runtime.errors import Away, MawjaError

_log = log.get("console")
_STATUS = {
    "NOT_FOUND": 404,
    "PERMISSION_DENIED": 403,
    "UNAUTHENTICATED": 403,
    "INVALID_ARGUMENT": 422,
    "ALREADY_EXISTS": 409,
    "FAILED_PRECONDITION": 409,
    "RESOURCE_EXHAUSTED": 429,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 503,
    "CANCELLED": 503,
}


def build(
    settings: Settings,
    calls: Calls,
    sessions: Sessions,
    local: Local | None,
    provider: Provider | None,
    ready: Callable[[], Awaitable[bool]],
) -> ASGIApp:
    """The application. `local`: sign-in by password, None where there is none; `provider`: by
    OpenID Connect, likewise; `ready`: whether
    sessions can be had."""
    static = Static()
    cookies = Cookies(settings.secure)
    app = FastAPI(
        title="Mawja",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        dependencies=[Depends(admitted)],
        redirect_slashes=False,
    )
    app.state.settings = settings
    app.state.calls = calls
    app.state.sessions = sessions
    app.state.book = book = Book(calls)
    app.state.cookies = cookies
    app.state.local = local
    app.state.provider = provider
    app.state.ready = ready
    app.state.pages = Pages(
        static, settings.language, settings.zone, local is not None, provider is not None
    )
    for router in AREAS:
        app.include_router(router)
    _answers(app)
    door = Door(
        app,
        sessions=sessions,
        holds=lambda session: (
            local.holds(session)
            if session.way == "password" and local
            else session.way == "oidc" and provider is not None
        ),
        book=book,
        static=static,
        hosts=settings.hosts,
        secure=settings.secure,
        cookie=cookies.session,
    )
    return Measured(door)


def _answers(app: FastAPI) -> None:
    @app.exception_handler(SignIn)
    async def sign_in(request: Request, _: Exception) -> Response:
        if request.headers.get("hx-request"):
            return Response(status_code=401, headers={"hx-redirect": "/sign-in"})
        if "text/event-stream" in request.headers.get("accept", ""):
            return Response(SIGNED_OUT, media_type="text/event-stream")
        if request.method not in {"GET", "HEAD"}:
            return RedirectResponse("/sign-in", 303)
        request.state.next = request.url.path
        return RedirectResponse(f"/sign-in?next={request.url.path}", 303)

    @app.exception_handler(NotAllowed)
    async def not_allowed(request: Request, _: Exception) -> Response:
        return _wrong(request, 403, "not-allowed")

    @app.exception_handler(Forged)
    async def forged(request: Request, _: Exception) -> Response:
        return _wrong(request, 403, "forged")

    @app.exception_handler(Closed)
    async def closed(request: Request, _: Exception) -> Response:
        return _wrong(request, 503, "closed")

    @app.exception_handler(Away)
    async def away(request: Request, _: Exception) -> Response:
        return _wrong(request, 503, "closed")

    @app.exception_handler(TooLong)
    async def too_long(request: Request, _: Exception) -> Response:
        return PlainTextResponse("That is too long.", 413, {"connection": "close"})

    @app.exception_handler(Refused)
    async def refused(request: Request, error: Refused) -> Response:
        status = _STATUS.get(error.code, 502)
        return _wrong(request, status, "away" if error.away else "refused", error)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        if error.status_code in {404, 405}:
            return _wrong(request, error.status_code, "not-found")
        return PlainTextResponse(str(error.detail), error.status_code)

    @app.exception_handler(MawjaError)
    async def mawja(request: Request, error: MawjaError) -> Response:
        _log.error("a page failed", why=str(error), kind=type(error).__name__)
        return _wrong(request, 500, "failed")

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> Response:
        # Its text may hold what somebody typed.
        _log.error("a page failed", kind=type(error).__name__, at=_where(error))
        return _wrong(request, 500, "failed")


def _wrong(request: Request, status: int, what: str, error: Refused | None = None) -> Response:
    part = "common/notice.html" if request.headers.get("hx-request") else "common/wrong.html"
    return render(request, part, status, what=what, error=error)


def _where(error: Exception) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return ""
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
