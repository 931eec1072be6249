"""What the console's pages do, as metrics: how many are asked for, fail, and how long they take.

A page is named by its route's template, never by what somebody typed. Its time ends when its answer
begins: a live page then goes on for minutes, which says nothing of how well it is served.
"""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.console.static import PREFIX
from services.runtime import metrics
from services.runtime.clock import monotonic_s

_METHODS = frozenset({"GET", "HEAD", "POST"})
_OTHER = "other"


class Measured:
    """An ASGI application whose answers are counted."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began_s = monotonic_s()

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                method = scope["method"] if scope["method"] in _METHODS else _OTHER
                metrics.CONSOLE_SECONDS.labels(
                    _route(scope), method, f"{message['status'] // 100}xx"
                ).observe(monotonic_s() - began_s)
            await send(message)

        await self._app(scope, receive, counted)


def _route(scope: Scope) -> str:
    route = scope.get("route")
    if route is not None:
        return str(route.path)
    return PREFIX if scope["path"].startswith(PREFIX) else _OTHER
