"""Server-sent events for as long as their viewer is signed in: a session that ends or is revoked
takes its open streams with it, within seconds."""

from collections.abc import AsyncIterator

from fastapi import Request
from fastapi.responses import StreamingResponse

from services.console.sessions import Sessions
from services.runtime import metrics
from services.runtime.clock import monotonic_s
from services.runtime.errors import Away

SIGNED_OUT = b"event: signed-out\ndata:\n\n"
"""What a page that lives by a stream hears when its session is over: a redirection it would take
for a broken network, and try again for ever."""
LOOKS_S = 5.0
"""How often it is looked whether the session is still there."""


def events(request: Request, stream: AsyncIterator[bytes]) -> StreamingResponse:
    """The answer that sends `stream`, which must say something every few seconds."""
    return StreamingResponse(
        _while_signed_in(request, stream),
        media_type="text/event-stream",
        headers={"x-accel-buffering": "no"},
    )


async def _while_signed_in(request: Request, stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    sessions: Sessions = request.app.state.sessions
    looked_s = monotonic_s()
    metrics.CONSOLE_STREAMS.inc()
    try:
        async for data in stream:
            if monotonic_s() - looked_s >= LOOKS_S:
                looked_s = monotonic_s()
                try:
                    if not await sessions.there(request.state.token):
                        yield SIGNED_OUT
                        return
                except Away:
                    # They were let in, and nobody can tell otherwise now; the next page will ask.
                    pass
            yield data
    finally:
        metrics.CONSOLE_STREAMS.dec()
        close = getattr(stream, "aclose", None)
        if close is not None:
            await close()
