"""What stands before every page: whose host it is, how long a body may be, who is signed in, and
the headers that keep a page to itself."""

from collections.abc import Callable, Mapping

from mawja.audit.v1 import service_pb2 as audit
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.console import rights
from services.console.book import Book
from services.console.sessions import Session, Sessions
from services.console.static import PREFIX, Static
from services.runtime.errors import Away

USUAL_BYTES = 256 * 1024
"""Longest body of an action that has no row in `rights.LARGE`."""
STRANGER_BYTES = 16 * 1024
"""Longest body of who is not signed in."""
CSP = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)
HEADERS: Mapping[str, str] = {
    "content-security-policy": CSP,
    "x-content-type-options": "nosniff",
    # Not no-referrer: with that browsers say "null" where a form stands.
    "referrer-policy": "same-origin",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": (
        "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), "
        "magnetometer=(), microphone=(), midi=(), payment=(), usb=()"
    ),
}
_HSTS = "max-age=31536000; includeSubDomains"
_PROBES = frozenset({"/live", "/ready"})


class TooLong(Exception):
    """The body is longer than the action takes."""


class Door:
    """An ASGI application around the pages. `hosts` are those that are answered, lower case; one
    without a port stands for all ports. `holds`: whether a session's person may still have it."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        sessions: Sessions,
        holds: Callable[[Session], bool],
        book: Book,
        static: Static,
        hosts: frozenset[str],
        secure: bool,
        cookie: str,
    ) -> None:
        self._app = app
        self._sessions = sessions
        self._holds = holds
        self._book = book
        self._static = static
        self._hosts = hosts
        self._secure = secure
        self._cookie = cookie

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path: str = scope["path"]

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message.setdefault("headers", []))
                for name, value in HEADERS.items():
                    # A paper brings a tighter one along: no script at all.
                    if name != "content-security-policy" or name not in headers:
                        headers[name] = value
                headers.setdefault("cache-control", "no-store")
                if self._secure:
                    headers["strict-transport-security"] = _HSTS
            await send(message)

        connection = HTTPConnection(scope)
        host = connection.headers.get("host", "").lower()
        known = host in self._hosts or host.rpartition(":")[0] in self._hosts
        # Probes come by the pod's own address.
        if not known and path not in _PROBES:
            answer = PlainTextResponse("This console is not at that host.", 400)
            await answer(scope, receive, with_headers)
            return
        if path.startswith(PREFIX):
            await self._static(scope, receive, with_headers)
            return
        state = scope.setdefault("state", {})
        state["token"] = connection.cookies.get(self._cookie, "")
        state["person"] = None
        state["away"] = False
        if state["token"] and path not in _PROBES:
            try:
                session = await self._sessions.find(state["token"])
                if session is not None and not self._holds(session):
                    ended, session = await self._sessions.end(state["token"]), None
                    if ended is not None:
                        await self._book.ended(ended, audit.SESSION_EVENT_RIGHTS_CHANGED)
            except Away:
                session, state["away"] = None, True
            state["person"] = session.person() if session else None
        longest = _longest(scope["method"], path) if state["person"] else STRANGER_BYTES
        said = connection.headers.get("content-length", "0")
        if not said.isdigit() or int(said) > longest:
            await PlainTextResponse("That is too long.", 413)(scope, receive, with_headers)
            return
        left = longest

        async def limited() -> Message:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            if left < 0:
                raise TooLong
            return message

        await self._app(scope, limited, with_headers)


def _longest(method: str, path: str) -> int:
    sizes = (
        size
        for (of, start), size in rights.LARGE.items()
        if of == method and path.startswith(start)
    )
    return max(sizes, default=USUAL_BYTES)
