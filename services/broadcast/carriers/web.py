"""A carrier behind an HTTP API: one request a message, and what its fate says of the message.

Three moments decide. Before the first octet of a request is handed to the socket the message
certainly was not sent: it is ``Refused(NOT_SENT)``, and the last look at the clock stands right
there. After it, only an answer that was read says what became of the message; a timeout or a lost
connection leaves it *unknown*, and it is never asked again. What an answer means is the API's own
table (``http.py``, ``whatsapp.py``). An answer that comes after its time is still waited for and
handed over as a late one.

Nothing is kept bound here as over SMPP, so "bound" is an address that answered: after a connection
that failed it is tried by itself, ever more rarely, until it answers again. Where the carrier asked
for a pause (``Retry-After``) nothing is begun until it has passed.
"""

import asyncio
import email.utils
import json
import logging
import random
import ssl
import time
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Literal
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractCookieJar

from services.broadcast.carriers.base import (
    Accepted,
    InboundMessage,
    LateAnswer,
    OnInbound,
    OnLate,
    OnReceipts,
    OutMessage,
    Receipt,
    Refused,
    SubmitOutcome,
    Unknown,
    UnknownReason,
)
from services.broadcast.carriers.errors import SendError
from services.broadcast.carriers.whole import Hooked
from services.runtime.clock import now_ms

_log = logging.getLogger(__name__)

_LARGEST_ANSWER = 64 * 1024
_LONGEST_PAUSE_S = 300.0
# Shorter than the 5 seconds after which common servers close an idle connection: a request that
# meets the closing would be unknown.
_IDLE_S = 3.0


@dataclass(frozen=True, slots=True)
class WebConfig:
    """One account. Times are seconds; ``window`` is the most unanswered requests.

    An answer within ``response_timeout_s`` of the request is in time, within ``late_s`` late.
    ``tls`` None is plain HTTP; ``tls_name`` the name that its certificate must have, if not the
    host's.
    """

    name: str
    declared: Literal["test", "live"]
    url: str
    authorization: str = field(repr=False)
    window: int = 200
    response_timeout_s: float = 10.0
    late_s: float = 30.0
    retry_min_s: float = 0.2
    retry_max_s: float = 15.0
    stop_within_s: float = 5.0
    tls: ssl.SSLContext | None = None
    tls_name: str = ""

    def __post_init__(self) -> None:
        if not (self.authorization.isascii() and self.authorization.isprintable()):
            raise ValueError(f"carrier {self.name}: its authorization is one line of ASCII")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API said: the body is JSON, None if it is not."""

    status: int
    body: Any
    retry_after_s: float | None = None


@dataclass(slots=True)
class Counters:
    """What happened since the start; all only grow."""

    written: int = 0
    late_answers: int = 0
    receipts: int = 0
    inbound: int = 0
    unreadable: int = 0
    """Entries of deliveries that could not be read; the others of theirs were taken."""


class _TooLate(Exception):
    """The claim had aged before anything was written."""


@dataclass(slots=True)
class _Asking:
    """One request under way."""

    message: OutMessage
    write_by: float
    outcome: "asyncio.Future[SubmitOutcome]"
    written: bool = False
    overdue: asyncio.TimerHandle | None = None

    def settle(self, outcome: SubmitOutcome) -> bool:
        """False when it was settled before."""
        if self.outcome.done():
            return False
        self.outcome.set_result(outcome)
        return True


class WebCarrier(Hooked):
    """What HTTP APIs have in common; see ``Hooked`` for what its methods promise."""

    def __init__(self, config: WebConfig, *, jitter: random.Random | None = None) -> None:
        super().__init__(config.name, config.declared)
        self.config = config
        self.counters = Counters()
        # Spreads the tries of many replicas; nothing secret hangs on it.
        self._jitter = jitter or random.Random()
        self._room = asyncio.Semaphore(config.window)
        self._tasks: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None
        self._finder: asyncio.Task[None] | None = None
        self._found = asyncio.Event()
        self._lost = asyncio.Event()
        self._paused_until = float("-inf")
        self._stopping = False
        self.on_receipts: OnReceipts
        self.on_inbound: OnInbound
        self._on_late: OnLate | None = None

    @abstractmethod
    def request(self, message: OutMessage) -> tuple[Mapping[str, str], Mapping[str, Any]]:
        """The headers and the JSON body that ask for a message."""

    @abstractmethod
    def meaning(self, answer: Answer) -> SubmitOutcome:
        """What an answer says of its message."""

    @property
    def bound(self) -> bool:
        return self._found.is_set() and not self._stopping and self._pause_s <= 0

    @property
    def _pause_s(self) -> float:
        return self._paused_until - time.monotonic()

    async def start(
        self, on_receipts: OnReceipts, on_inbound: OnInbound, on_late: OnLate | None = None
    ) -> None:
        if self._session is not None:
            raise RuntimeError(f"carrier {self.name} is started already")
        self.on_receipts, self.on_inbound, self._on_late = on_receipts, on_inbound, on_late
        trace = aiohttp.TraceConfig()
        trace.on_request_headers_sent.append(self._about_to_write)
        jar: AbstractCookieJar = aiohttp.DummyCookieJar()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=self.config.window, keepalive_timeout=_IDLE_S, ssl=self.config.tls or True
            ),
            cookie_jar=jar,
            trace_configs=[trace],
            headers={"Authorization": self.config.authorization, "User-Agent": "mawja"},
        )
        self._finder = asyncio.create_task(self._find())

    async def stop(self) -> None:
        if self._session is None or self._stopping:
            return
        self._stopping = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self.config.stop_within_s)
        rest = [*self._tasks, *([self._finder] if self._finder is not None else [])]
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        await self._session.close()

    async def wait_bound(self, within_s: float) -> bool:
        """Wait until the address answers; False if it does not in time."""
        try:
            async with asyncio.timeout(within_s):
                await self._found.wait()
        except TimeoutError:
            return False
        return True

    async def submit(self, message: OutMessage, *, write_by: float) -> SubmitOutcome:
        if self._session is None:
            raise RuntimeError(f"carrier {self.name} is not started")
        if message.drill and self.declared != "test":
            return Refused(SendError.DRILL_ON_LIVE)
        if not await self._take_room(write_by):
            return Refused(SendError.NOT_SENT)
        asking = _Asking(message, write_by, asyncio.get_running_loop().create_future())
        task = asyncio.create_task(self._ask(self._session, asking))
        self._tasks.add(task)
        task.add_done_callback(self._leave)
        try:
            return await asking.outcome
        except asyncio.CancelledError:
            task.cancel()
            raise

    async def _take_room(self, write_by: float) -> bool:
        try:
            async with asyncio.timeout(write_by - time.monotonic()):
                await self._room.acquire()
        except TimeoutError:
            return False
        if not self._stopping and time.monotonic() <= write_by and self._pause_s <= 0:
            return True
        self._room.release()
        return False

    def _leave(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        self._room.release()

    # --- one request -----------------------------------------------------------------------------

    async def _ask(self, session: aiohttp.ClientSession, asking: _Asking) -> None:
        outcome: SubmitOutcome = Refused(SendError.NOT_SENT)
        try:
            outcome = await self._asked(session, asking)
        except asyncio.CancelledError:
            if asking.written:
                outcome = Unknown(UnknownReason.STOPPED)
        except _TooLate:
            pass
        except Exception as error:
            if asking.written:
                late = isinstance(error, TimeoutError)
                outcome = Unknown(UnknownReason.TIMEOUT if late else UnknownReason.BIND_LOST)
            else:
                self._lose(error)
            if not isinstance(error, aiohttp.ClientError | OSError):
                # The type only: an error's text may hold the request.
                _log.error(
                    "carrier %s: a request failed that nobody foresaw (%s)",
                    self.name, type(error).__name__,
                )  # fmt: skip
        if asking.overdue is not None:
            asking.overdue.cancel()
        in_time = asking.settle(outcome)
        if not in_time and isinstance(outcome, Accepted | Refused):
            self.counters.late_answers += 1
            if self._on_late is not None:
                await self._on_late([LateAnswer(asking.message, outcome)])

    async def _asked(self, session: aiohttp.ClientSession, asking: _Asking) -> SubmitOutcome:
        headers, body = self.request(asking.message)
        # Before the claim has aged, or not at all; `_about_to_write` looks once more.
        connect_s = max(0.001, asking.write_by - time.monotonic())
        async with (
            asyncio.timeout(connect_s + self.config.late_s),
            session.post(
                self.config.url,
                data=json.dumps(body, ensure_ascii=False).encode(),
                headers={"Content-Type": "application/json", **headers},
                timeout=aiohttp.ClientTimeout(total=None, connect=connect_s, ceil_threshold=60),
                allow_redirects=False,
                server_hostname=self.config.tls_name or None,
                trace_request_ctx=asking,
            ) as response,
        ):
            answer = Answer(
                response.status,
                await _json_of(response),
                _seconds(response.headers.get("Retry-After", "")),
            )
        self._heed(answer)
        return self.meaning(answer)

    async def _about_to_write(
        self,
        _session: aiohttp.ClientSession,
        context: SimpleNamespace,
        _: aiohttp.TraceRequestHeadersSentParams,
    ) -> None:
        """Called when there is a connection and nothing was written to it yet."""
        asking = context.trace_request_ctx
        assert isinstance(asking, _Asking)
        if time.monotonic() > asking.write_by or self._stopping:
            raise _TooLate
        asking.written = True
        self.counters.written += 1
        asking.overdue = asyncio.get_running_loop().call_later(
            self.config.response_timeout_s, asking.settle, Unknown(UnknownReason.TIMEOUT)
        )

    def _heed(self, answer: Answer) -> None:
        if answer.retry_after_s is not None and answer.status in (429, 503):
            pause_s = min(_LONGEST_PAUSE_S, answer.retry_after_s)
            self._paused_until = max(self._paused_until, time.monotonic() + pause_s)

    # --- what it brings --------------------------------------------------------------------------

    async def hand_over(self, receipts: list[Receipt], inbound: list[InboundMessage]) -> None:
        """Gives on what a delivery held, and counts it once Kafka has it."""
        if receipts:
            await self.on_receipts(receipts)
            self.counters.receipts += len(receipts)
        if inbound:
            await self.on_inbound(inbound)
            self.counters.inbound += len(inbound)

    def left(self, which: str, error: Exception) -> None:
        """An entry of a delivery can't be read: the others count."""
        self.counters.unreadable += 1
        _log.warning("carrier %s: one of the %s can't be read: %s", self.name, which, error)

    # --- finding the carrier ---------------------------------------------------------------------

    def _lose(self, error: Exception) -> None:
        if self._found.is_set():
            _log.warning(
                "carrier %s: no connection (%s), trying again", self.name, type(error).__name__
            )
            self._found.clear()
            self._lost.set()

    async def _find(self) -> None:
        split = urlsplit(self.config.url)
        port = split.port or (443 if split.scheme == "https" else 80)
        delay_s = self.config.retry_min_s
        while True:
            try:
                async with asyncio.timeout(5.0):
                    _, writer = await asyncio.open_connection(
                        split.hostname,
                        port,
                        ssl=self.config.tls,
                        server_hostname=self.config.tls_name or None,
                    )
                    writer.close()
            except OSError as error:
                # Certificates that are not right too: ssl.SSLError is an OSError.
                _log.warning(
                    "carrier %s: can't reach %s:%d: %s", self.name, split.hostname, port, error
                )
            else:
                _log.info("carrier %s: found", self.name)
                self._lost.clear()
                self._found.set()
                delay_s = self.config.retry_min_s
                await self._lost.wait()
            await asyncio.sleep(delay_s * self._jitter.uniform(0.5, 1.0))
            delay_s = min(2 * delay_s, self.config.retry_max_s)


async def _json_of(response: aiohttp.ClientResponse) -> Any:
    """The answer's body if it is JSON of a moderate size, else None."""
    octets = bytearray()
    async for piece in response.content.iter_chunked(_LARGEST_ANSWER):
        octets += piece
        if len(octets) > _LARGEST_ANSWER:
            return None
    try:
        return json.loads(octets)
    except (ValueError, RecursionError):
        return None


def _seconds(retry_after: str) -> float | None:
    """Seconds that ``Retry-After`` asks for (RFC 9110, 10.2.3); None if it says nothing."""
    if retry_after.isascii() and retry_after.isdigit() and len(retry_after) < 10:
        return float(retry_after)
    try:
        return max(
            0.0, email.utils.parsedate_to_datetime(retry_after).timestamp() - now_ms() / 1000
        )
    except (ValueError, OverflowError):
        return None
