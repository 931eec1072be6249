"""The HTTP door behind opt-out links.

    GET  /o/{token}   a page with one button; changes nothing: scanners and previews open links
    POST /o/{token}   opts the token's person out; says so when Kafka has it

The door knows its own links from made-up ones without asking anybody, so those cost nothing and are
slowed down; a person's own link works at any rate that people can click. Pressing twice is answered
twice and recorded once. Nothing of a link is logged: it opens the page for whoever has it.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web

from services.broadcast.pace import Bucket
from services.broadcast.rules.links import BadToken, DeadToken, Links
from services.broadcast.rules.page import ASK, AWAY, BUSY, DEAD, DONE, HEADERS, UNKNOWN, Page
from services.runtime import log, metrics
from services.runtime.clock import Millis, monotonic_s, now_ms
from services.runtime.errors import Away
from services.runtime.service import cannot_listen

PATH = "/o/"
SETTING = "MAWJA_OPT_OUT"
PER_S = 200.0
"""Requests a second with links of ours that one process answers."""
MADE_UP_PER_S = 10.0
"""Those with a link that is none, counted apart: a flood of them keeps nobody out."""
_LARGEST = 1024
_IDLE_S = 10.0
"""A telephone asks twice at most; then its connection may go."""
_SAME_S = 5.0
_REMEMBERED = 10_000
_NAMES = {ASK: "asked", DONE: "done", UNKNOWN: "unknown", DEAD: "dead", BUSY: "busy", AWAY: "away"}
_log = log.get("broadcast.opt-out")

OptOut = Callable[[bytes], Awaitable[None]]
"""Records that a person (keyed hash) wants no more messages. Raises Away."""


class Door:
    """One for each process. `also`: what else is behind the same port."""

    def __init__(
        self,
        links: Links,
        opt_out: OptOut,
        clock: Millis = now_ms,
        steady: Callable[[], float] = monotonic_s,
        also: Sequence[web.RouteDef] = (),
    ) -> None:
        self._links = links
        self._opt_out = opt_out
        self._clock = clock
        self._steady = steady
        self._also = also
        self._ours = Bucket(PER_S, steady())
        self._made_up = Bucket(MADE_UP_PER_S, steady())
        # Who was opted out a moment ago, and when (steady seconds).
        self._done: OrderedDict[bytes, float] = OrderedDict()
        self._runner: web.AppRunner | None = None

    async def start(self, address: str) -> int:
        """Listens at host:port and returns the port that was bound. Raises ConfigError."""
        app = web.Application(client_max_size=_LARGEST)
        app.router.add_get(f"{PATH}{{token}}", self._ask)
        app.router.add_post(f"{PATH}{{token}}", self._stop)
        app.add_routes(self._also)
        app.router.add_route("*", "/{rest:.*}", self._elsewhere)
        self._runner = web.AppRunner(app, access_log=None, keepalive_timeout=_IDLE_S)
        await self._runner.setup()
        host, _, port = address.rpartition(":")
        try:
            await web.TCPSite(self._runner, host, int(port)).start()
        except (OSError, ValueError) as error:
            raise cannot_listen(SETTING, address) from error
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Finishes what is under way and closes."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _ask(self, request: web.Request) -> web.Response:
        found = self._person(request)
        return _answer(found if isinstance(found, Page) else ASK)

    async def _stop(self, request: web.Request) -> web.Response:
        found = self._person(request)
        if isinstance(found, Page):
            return _answer(found)
        if not self._just_now(found):
            try:
                await self._opt_out(found)
            except Away:
                return _answer(AWAY)
            except Exception as error:
                # Left to itself the framework logs the request, and with it the link.
                _log.error("an opt-out failed that nobody foresaw", error=type(error).__name__)
                return _answer(AWAY)
            self._keep(found)
        return _answer(DONE)

    async def _elsewhere(self, request: web.Request) -> web.Response:
        return _answer(self._nobodys())

    def _person(self, request: web.Request) -> bytes | Page:
        """Whose link it is, or the page that says why it is nobody's."""
        try:
            person = self._links.person(request.match_info["token"], self._clock())
        except BadToken:
            return self._nobodys()
        except DeadToken:
            return DEAD if self._ours.take(1, self._steady()) else BUSY
        return person if self._ours.take(1, self._steady()) else BUSY

    def _nobodys(self) -> Page:
        return UNKNOWN if self._made_up.take(1, self._steady()) else BUSY

    def _just_now(self, person: bytes) -> bool:
        done = self._done.get(person)
        return done is not None and self._steady() - done < _SAME_S

    def _keep(self, person: bytes) -> None:
        self._done[person] = self._steady()
        self._done.move_to_end(person)
        if len(self._done) > _REMEMBERED:
            self._done.popitem(last=False)


def _answer(page: Page) -> web.Response:
    metrics.OPT_OUT_PAGES.labels(_NAMES[page]).inc()
    headers = dict(HEADERS)
    if page in (BUSY, AWAY):
        headers["Retry-After"] = "5"
    return web.Response(
        text=page.html(),
        status=page.status,
        content_type="text/html",
        charset="utf-8",
        headers=headers,
    )
