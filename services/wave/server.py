"""WaveService over gRPC: levels of a span, and levels as they change."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
from mawja.wave.v1 import events_pb2, service_pb2, service_pb2_grpc

from services.runtime import rpc
from services.runtime.errors import Away, Forbidden, Invalid, Violation
from services.runtime.identity import Caller
from services.wave.book import Book
from services.wave.bursts import Bursts
from services.wave.publish import Publisher
from services.wave.sums import TooMany

# Of one answer: 4 MiB hold some 30,000 levels.
MOST_LEVELS = 20_000
_AGENCY = events_pb2.Dimension.DIMENSION_AGENCY
_Context = grpc.aio.ServicerContext


class WaveServicer(service_pb2_grpc.WaveServiceServicer):
    """See protos/mawja/wave/v1/service.proto. `ready` says whether the history is read; `ending`
    is set when the process stops."""

    def __init__(
        self,
        book: Book,
        publisher: Publisher,
        bursts: Bursts,
        drills: Bursts,
        ready: Callable[[], bool],
        ending: asyncio.Event,
    ) -> None:
        self._book = book
        self._publisher = publisher
        self._bursts = {bursts.drill: bursts, drills.drill: drills}
        self._ready = ready
        self._ending = ending

    async def GetLevels(
        self, request: service_pb2.GetLevelsRequest, context: _Context[Any, Any]
    ) -> service_pb2.GetLevelsResponse:
        """Levels of the windows that overlap a span."""
        subject = _subject(rpc.CALLER.get(), request.dimension, request.subject)
        self._check_ready()
        if request.until_ms and request.until_ms <= request.from_ms:
            raise Invalid([Violation("until_ms", "must be after from_ms, or 0")])
        try:
            windows = self._book.windows(
                request.dimension,
                subject,
                request.width_ms,
                request.from_ms,
                request.until_ms,
                MOST_LEVELS,
                drill=request.drill,
            )
        except TooMany:
            raise Invalid(
                [
                    Violation(
                        "from_ms",
                        f"more than {MOST_LEVELS} levels: ask for a shorter span, one subject or "
                        "wider windows",
                    )
                ]
            ) from None
        return service_pb2.GetLevelsResponse(levels=[window.level() for window in windows])

    async def WatchLevels(
        self, request: service_pb2.WatchLevelsRequest, context: _Context[Any, Any]
    ) -> AsyncIterator[service_pb2.WatchLevelsResponse]:
        """Levels as they change, from now on."""
        caller, dimension = rpc.CALLER.get(), request.dimension
        only = _subject(caller, dimension, "") if dimension else caller.agency
        self._check_ready()

        def wanted(level: events_pb2.Level) -> bool:
            if level.drill != request.drill:
                return False
            if only and (level.dimension, level.subject) != (_AGENCY, only):
                return False
            return not dimension or level.dimension == dimension

        watcher = self._publisher.watch(wanted)
        ending = asyncio.ensure_future(self._ending.wait())
        some = asyncio.ensure_future(watcher.some())
        try:
            while True:
                await asyncio.wait([some, ending], return_when=asyncio.FIRST_COMPLETED)
                if not some.done():
                    raise Away("this replica stops; watch again")
                for level in some.result():
                    yield service_pb2.WatchLevelsResponse(level=level)
                some = asyncio.ensure_future(watcher.some())
        finally:
            # Whoever watches may also just leave.
            some.cancel()
            ending.cancel()
            self._publisher.leave(watcher)

    async def ListBursts(
        self, request: service_pb2.ListBurstsRequest, context: _Context[Any, Any]
    ) -> service_pb2.ListBurstsResponse:
        """What more people than usual reach out about."""
        caller = rpc.CALLER.get()
        self._check_ready()
        return service_pb2.ListBurstsResponse(
            bursts=[
                burst
                for burst in self._bursts[request.drill].all()
                if not (request.active and burst.ended)
                and (caller.sees("") or (burst.dimension == _AGENCY and caller.sees(burst.subject)))
            ]
        )

    def _check_ready(self) -> None:
        if not self._ready():
            raise Away("the history is being read; try again in a moment")


def _subject(caller: Caller, dimension: events_pb2.Dimension.ValueType, subject: str) -> str:
    """The subject that the caller is to be shown. Raises Forbidden for other agencies' levels."""
    if caller.sees(""):
        return subject
    # Every other dimension adds up agencies.
    if dimension != _AGENCY or not caller.sees(subject or caller.agency):
        raise Forbidden("a liaison sees the levels of their own agency only")
    return caller.agency
