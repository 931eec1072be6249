"""What the pages of outreach and cases share: what a form says, and what many ask for at once."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from datetime import datetime
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from fastapi import Request
from fastapi.responses import Response
from mawja.dedup.v1 import service_pb2 as dedup
from mawja.outreach.v1 import playbooks_pb2

from services.console.calls import Calls, Refused
from services.console.catalogue import Catalogue
from services.console.rendering import Pages, render
from services.console.who import Person, signed_in
from services.runtime.clock import Millis, now_ms
from services.runtime.identity import Role

_Thing = TypeVar("_Thing")
_MOST = 1_000
_CATALOGUE_MS = 60_000
_HAND_OVERS_MS = 1_000


class Lately:
    """What was asked a moment ago, so that hundreds who look ask once. An answer that is under way
    is waited for; one that failed is asked again."""

    def __init__(self, clock: Millis = now_ms) -> None:
        self._clock = clock
        self._kept: dict[Hashable, tuple[int, asyncio.Future[Any]]] = {}

    async def get(
        self, key: Hashable, keep_ms: int, ask: Callable[[], Awaitable[_Thing]]
    ) -> _Thing:
        """What `ask` answers, at most `keep_ms` old. Raises what it raises."""
        at_ms, kept = self._kept.get(key, (0, None))
        if kept is None or at_ms + keep_ms <= self._clock() or _failed(kept):
            if len(self._kept) >= _MOST:
                self._kept.clear()
            kept = asyncio.ensure_future(ask())
            self._kept[key] = (self._clock(), kept)
        # Whoever leaves must not end it for those who wait with them.
        found: _Thing = await asyncio.shield(kept)
        return found

    def forget(self, *names: str) -> None:
        """What has these names is asked for anew: somebody changed something."""
        gone = [key for key in self._kept if isinstance(key, tuple) and key[0] in names]
        for key in gone:
            del self._kept[key]


def _failed(kept: "asyncio.Future[Any]") -> bool:
    return kept.done() and (kept.cancelled() or kept.exception() is not None)


def calls_of(request: Request) -> Calls:
    """The rooms."""
    calls: Calls = request.app.state.calls
    return calls


def lately_of(request: Request) -> Lately:
    """What was asked a moment ago, by anybody."""
    state = request.app.state
    if not hasattr(state, "lately"):
        state.lately = Lately()
    lately: Lately = state.lately
    return lately


def zone_of(request: Request) -> ZoneInfo:
    """The zone of the times that are shown and typed."""
    return ZoneInfo(request.app.state.settings.zone)


async def fields(request: Request) -> dict[str, str]:
    """What a form says, each field once, without space around it."""
    form = await request.form()
    return {name: value.strip() for name, value in form.items() if isinstance(value, str)}


async def several(request: Request, name: str) -> list[str]:
    """All values of a field that stands more than once."""
    form = await request.form()
    return [value for value in form.getlist(name) if isinstance(value, str) and value]


async def allowed(asking: Awaitable[_Thing], otherwise: _Thing) -> _Thing:
    """What is asked, or `otherwise` where the room does not tell: a page shows what it has."""
    try:
        return await asking
    except Refused:
        return otherwise


def whose(person: Person) -> Hashable:
    """What decides what somebody may see."""
    return (person.roles, person.agency)


async def catalogue(request: Request, person: Person, language: str) -> Catalogue:
    """The catalogue; empty while dedup can't be reached: codes are shown then."""
    calls = calls_of(request)

    async def ask() -> dedup.GetCatalogueResponse:
        found: dedup.GetCatalogueResponse = await calls.ask(
            person, calls.dedup.GetCatalogue, dedup.GetCatalogueRequest()
        )
        return found

    kept = lately_of(request).get(("catalogue",), _CATALOGUE_MS, ask)
    return Catalogue(await allowed(kept, dedup.GetCatalogueResponse()), language)


async def names(request: Request) -> Catalogue:
    """The catalogue in the language of the page, for who asks."""
    pages: Pages = request.app.state.pages
    return await catalogue(request, signed_in(request), pages.language_of(request))


async def hand_overs(request: Request, person: Person) -> list[playbooks_pb2.WatchedHandOver]:
    """Lives in danger that nobody has confirmed and the person may see, the oldest first, drills
    after all others."""
    calls = calls_of(request)

    async def ask() -> playbooks_pb2.ListHandOversResponse:
        found: playbooks_pb2.ListHandOversResponse = await calls.ask(
            person, calls.playbooks.ListHandOvers, playbooks_pb2.ListHandOversRequest()
        )
        return found

    kept = lately_of(request).get(("hand-overs", whose(person)), _HAND_OVERS_MS, ask)
    answer = await allowed(kept, playbooks_pb2.ListHandOversResponse())
    return list(answer.hand_overs)


async def page(request: Request, template: str, **context: Any) -> Response:
    """A page with what all of outreach and cases show: names, and lives in danger that nobody has
    confirmed."""
    person = signed_in(request)
    return render(
        request,
        template,
        names=await names(request),
        hand_overs=await hand_overs(request, person),
        may_take=may_take(person),
        **context,
    )


def may_take(person: Person) -> bool:
    """Whether they may confirm hand-overs and change cases."""
    return person.may(Role.AGENT, Role.COORDINATOR)


def whole(typed: str) -> int:
    """A whole number that was typed, in whatever digits; 0 for anything else, which a room takes
    for not given or refuses by name."""
    return int(typed) if typed.isdecimal() and len(typed) < 16 else 0


def at_ms(typed: str, zone: ZoneInfo) -> int:
    """The Unix ms of what a field of kind datetime-local says, in the zone of the centre; 0 when it
    says nothing that is a time."""
    try:
        return int(datetime.fromisoformat(typed).replace(tzinfo=zone).timestamp() * 1000)
    except (ValueError, OverflowError):
        return 0
