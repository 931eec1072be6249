"""Who waits to be called, live: one stream from outreach for each queue, whoever many look.

Outreach tells how many wait whenever that changes; who they are is asked then, and every few
seconds besides, since one may go as another comes. The questions are the console's own, of all
agencies or as a liaison of one sees.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Hashable
from dataclasses import dataclass

from mawja.dedup.v1 import service_pb2 as dedup
from mawja.outreach.v1 import events_pb2, service_pb2

from services.console import desk, naming
from services.console.calls import Calls
from services.console.catalogue import Catalogue
from services.console.live import Feed, Feeds, Parts
from services.console.rendering import Pages

SHOWN = 25
"""So many are shown."""
_QUIET_S = 3.0


@dataclass(frozen=True, slots=True)
class Queue:
    """Which queue: of an agency, or of all where that is empty; of real callers or a rehearsal's.
    `work` is what the page's address calls it."""

    agency: str
    work: str
    kind: "events_pb2.Work.ValueType"


@dataclass(frozen=True, slots=True)
class Waiting:
    """Who waits, and what the agencies that they wait for are called."""

    queue: service_pb2.ListCallbacksResponse
    catalogue: dedup.GetCatalogueResponse


def feeds(calls: Calls, pages: Pages) -> Feeds[Waiting]:
    """A feed for each `Queue`."""

    def make(key: Hashable) -> Feed[Waiting]:
        assert isinstance(key, Queue)

        def parts(told: Waiting, lang: str) -> Parts:
            html = pages.part(
                lang,
                "outreach/queue.html",
                work=key.work,
                queue=told.queue,
                languages=naming.LANGUAGES,
                names=Catalogue(told.catalogue, lang),
            )
            return {"queue": html}

        return Feed(lambda: waiting(calls, key), parts)

    return Feeds(make)


async def waiting(calls: Calls, of: Queue, quiet_s: float = _QUIET_S) -> AsyncIterator[Waiting]:
    """Who waits now, whenever their number changes, and every `quiet_s` seconds. Raises Refused."""
    who = calls.itself(of.agency)
    counts = calls.follow(
        who, calls.outreach.WatchCallbacks, service_pb2.WatchCallbacksRequest(work=of.kind)
    )
    catalogue = await desk.allowed(
        calls.ask(who, calls.dedup.GetCatalogue, dedup.GetCatalogueRequest()),
        dedup.GetCatalogueResponse(),
    )
    coming = asyncio.ensure_future(anext(counts, None))
    try:
        while True:
            await asyncio.wait({coming}, timeout=quiet_s)
            if coming.done():
                if coming.result() is None:
                    return
                coming = asyncio.ensure_future(anext(counts, None))
            asked = service_pb2.ListCallbacksRequest(page_size=SHOWN, work=of.kind)
            # A token lives for minutes, a stream for longer.
            who = calls.itself(of.agency)
            yield Waiting(await calls.ask(who, calls.outreach.ListCallbacks, asked), catalogue)
    finally:
        coming.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await coming
