"""The SMPP 3.4 carrier: our own session over asyncio, with smpp34's codec.

Two rules shape it. A submit that was handed to the socket and not answered is *unknown*, whatever
happened then; one that was not handed over certainly was not sent. And a delivery (receipt or
inbound message) is acknowledged only after broadcast's callback returned, so that a kill in
between makes the SMS centre deliver it again. For pace, all submits that fit the window go out in
one write, and everything that arrived while a callback ran is the next callback's batch.
"""

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Sequence
from typing import Literal

import smpp34

from services.broadcast.carriers.account import Counters, SmppConfig
from services.broadcast.carriers.base import (
    Accepted,
    InboundMessage,
    LateAnswer,
    OnInbound,
    OnLate,
    OnOutcomes,
    OnReceipts,
    OutPart,
    Receipt,
    Refused,
    SubmitOutcome,
    Unknown,
)
from services.broadcast.carriers.courier import Courier
from services.broadcast.carriers.deliver import lacks_country, read
from services.broadcast.carriers.errors import SendError, error_of
from services.broadcast.carriers.link import BindFailed, Link, Sent
from services.broadcast.carriers.submit import Batch, Waiting, encode
from services.runtime.smpp import Frame, Status
from services.runtime.smpp_text import Alphabet

_log = logging.getLogger(__name__)

_WRITES_PER_TURN = 500


class SmppCarrier:
    """A carrier over SMPP; see ``base.Carrier`` and ``link.Owner`` for what its methods promise."""

    def __init__(self, config: SmppConfig, *, jitter: random.Random | None = None) -> None:
        self.config = config
        self.counters = Counters()
        # Spreads reconnects of many replicas; nothing secret hangs on it.
        self._jitter = jitter or random.Random()
        self._queue: deque[Waiting] = deque()
        self._links: list[Link] = []
        self._keepers: list[asyncio.Task[None]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._pump_due = False
        self._stopping = False
        self._bound = asyncio.Event()
        self._receipts: Courier[Receipt] | None = None
        self._inbound: Courier[InboundMessage] | None = None
        self._late: Courier[LateAnswer] | None = None
        self._said_country = False

    @property
    def name(self) -> str:
        return self.config.name

    @property
    def declared(self) -> Literal["test", "live"]:
        return self.config.declared

    @property
    def alphabet(self) -> Alphabet:
        return self.config.dialect.alphabet

    @property
    def bound(self) -> bool:
        return bool(self._links) and not self._stopping

    @property
    def waiting(self) -> int:
        """Parts that wait for a bind or for room in a window."""
        return len(self._queue)

    async def wait_bound(self, within_s: float) -> bool:
        """Wait for a bind; False if there is none in time."""
        try:
            async with asyncio.timeout(within_s):
                await self._bound.wait()
        except TimeoutError:
            return False
        return True

    async def start(
        self, on_receipts: OnReceipts, on_inbound: OnInbound, on_late: OnLate | None = None
    ) -> None:
        if self._keepers:
            raise RuntimeError(f"carrier {self.name} is started already")
        self._receipts = Courier("receipts", on_receipts, self.config.inbox_limit)
        self._inbound = Courier("inbound messages", on_inbound, self.config.inbox_limit)
        if on_late is not None:
            self._late = Courier("late answers", on_late, self.config.inbox_limit)
        self._keepers = [asyncio.create_task(self._keep_bound()) for _ in range(self.config.binds)]
        self._tick()

    async def stop(self) -> None:
        if self._stopping or not self._keepers:
            return
        self._stopping = True
        while self._queue:
            self.settle(self._queue.popleft(), Refused(SendError.NOT_SENT))
        deadline = time.monotonic() + self.config.stop_within_s
        couriers = [one for one in (self._receipts, self._inbound, self._late) if one is not None]
        while time.monotonic() < deadline and (  # noqa: ASYNC110 - many parts, no one event
            any(link.pending for link in self._links) or any(one.busy for one in couriers)
        ):
            await asyncio.sleep(0.01)
        await asyncio.gather(*(link.unbind(1.0) for link in list(self._links)))
        for courier in couriers:
            courier.cancel()
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        if self._timer is not None:
            self._timer.cancel()

    async def submit(self, part: OutPart, *, write_by: float | None = None) -> SubmitOutcome:
        return (await self.submit_many((part,), write_by=write_by))[0]

    async def submit_many(
        self, parts: Sequence[OutPart], *, write_by: float | None = None
    ) -> list[SubmitOutcome]:
        if not parts:
            return []
        if write_by is None:
            write_by = time.monotonic() + self.config.write_within_s
        done: asyncio.Future[list[SubmitOutcome]] = asyncio.get_running_loop().create_future()

        def then(outcomes: list[SubmitOutcome]) -> None:
            if not done.done():  # the caller was cancelled
                done.set_result(outcomes)

        offered = self.submit_then(parts, then, write_by=write_by)
        try:
            return await done
        finally:
            offered.cancel()

    def submit_then(self, parts: Sequence[OutPart], then: OnOutcomes, *, write_by: float) -> Batch:
        if not self._keepers:
            raise RuntimeError(f"carrier {self.name} is not started")
        batch = Batch(len(parts), write_by, then)
        for index, part in enumerate(parts):
            waiting = Waiting(batch, index, part)
            if part.drill and self.declared != "test":
                self.settle(waiting, Refused(SendError.DRILL_ON_LIVE))
            elif self._stopping:
                self.settle(waiting, Refused(SendError.NOT_SENT))
            else:
                self._queue.append(waiting)
        self.wake()
        return batch

    # --- writing ---------------------------------------------------------------------------------

    def wake(self) -> None:
        """Pump once at the end of this turn of the loop, so that many callers share a write."""
        if not self._pump_due and self._queue and self._links:
            self._pump_due = True
            asyncio.get_running_loop().call_soon(self._pump)

    def _pump(self) -> None:
        self._pump_due = False
        # The emptiest window first: with several binds the load spreads by how they answer.
        for link in sorted(self._links, key=lambda one: len(one.pending)):
            if not self._queue:
                return
            self._fill(link)

    def _fill(self, link: Link) -> None:
        room = min(link.room, _WRITES_PER_TURN)
        if room <= 0:
            return
        ready: list[tuple[Waiting, int, bytes]] = []
        while self._queue and len(ready) < room:
            waiting = self._queue.popleft()
            if waiting.batch.over:  # cancelled
                continue
            sequence = link.next_sequence()
            encoded = encode(waiting.part, sequence)
            if isinstance(encoded, SendError):
                self.settle(waiting, Refused(encoded))
            else:
                ready.append((waiting, sequence, encoded))
        # Nothing but the write may stand between this look at the clock and the socket: after it
        # an aged claim can no longer be released.
        now = time.monotonic()
        octets: list[bytes] = []
        for waiting, sequence, encoded in ready:
            if now > waiting.batch.write_by:
                self.settle(waiting, Refused(SendError.NOT_SENT))
            else:
                link.pending[sequence] = Sent(waiting, now)
                octets.append(encoded)
        if octets:
            self.counters.written += len(octets)
            link.write(b"".join(octets))
        if self._queue and room == _WRITES_PER_TURN:
            self.wake()

    def settle(self, waiting: Waiting, outcome: SubmitOutcome) -> None:
        match outcome:
            case Accepted():
                self.counters.accepted += 1
            case Refused():
                self.counters.refused += 1
            case Unknown():
                self.counters.unknown += 1
        waiting.batch.settle(waiting.index, outcome)

    def _tick(self) -> None:
        """Look after what only time brings: overdue answers, silent links, old claims."""
        now = time.monotonic()
        for link in list(self._links):
            link.tick(now)
        if any(one.batch.write_by < now for one in self._queue):
            waiting, self._queue = self._queue, deque()
            for one in waiting:
                if one.batch.write_by < now:
                    self.settle(one, Refused(SendError.NOT_SENT))
                else:
                    self._queue.append(one)
        self.wake()
        every_s = min(0.25, self.config.response_timeout_s / 4)
        self._timer = asyncio.get_running_loop().call_later(every_s, self._tick)

    # --- binding ---------------------------------------------------------------------------------

    async def _keep_bound(self) -> None:
        config = self.config
        delay = config.reconnect_min_s
        while not self._stopping:
            link = Link(self)
            bound_at: float | None = None
            try:
                async with asyncio.timeout(config.connect_timeout_s):
                    await asyncio.get_running_loop().create_connection(
                        lambda link=link: link,
                        config.host,
                        config.port,
                        ssl=config.tls,
                        server_hostname=(config.tls_name or config.host) if config.tls else None,
                    )
                    await link.ready
                bound_at = time.monotonic()
                self.counters.binds += 1
                _log.info("carrier %s: bound", self.name)
                self._links.append(link)
                self._bound.set()
                self.wake()
                await link.closed
                if not self._stopping:
                    self.counters.lost_binds += 1
                    _log.warning("carrier %s: bind lost, binding again", self.name)
            except TimeoutError:
                _log.warning(
                    "carrier %s: no bind within %g s at %s:%d; is the SMS centre up?",
                    self.name, config.connect_timeout_s, config.host, config.port,
                )  # fmt: skip
            except (OSError, BindFailed) as error:
                _log.warning(
                    "carrier %s: can't bind at %s:%d: %s",
                    self.name, config.host, config.port, error,
                )  # fmt: skip
            finally:
                link.abort()
                if link in self._links:
                    self._links.remove(link)
                if not self._links:
                    self._bound.clear()
            # A bind that is dropped at once is a failure too, or we would hammer the carrier.
            lasted = 0.0 if bound_at is None else time.monotonic() - bound_at
            if lasted > 5 * config.reconnect_min_s:
                delay = config.reconnect_min_s
            await asyncio.sleep(delay * self._jitter.uniform(0.5, 1.0))
            delay = min(2 * delay, config.reconnect_max_s)

    # --- what links report -----------------------------------------------------------------------

    def answered(self, sent: Sent, status: int, raw_id: str) -> None:
        self.settle(sent.waiting, self._outcome(status, raw_id))

    def answered_late(self, part: OutPart, status: int, raw_id: str) -> None:
        self.counters.late_answers += 1
        if self._late is not None:
            self._late.put(LateAnswer(part, self._outcome(status, raw_id)), _no_reply)

    def _outcome(self, status: int, raw_id: str) -> Accepted | Refused:
        if status == Status.ESME_ROK:
            return Accepted(self.config.dialect.answer_id(raw_id))
        return Refused(error_of(status, self.config.status_errors), status)

    def delivered(self, link: Link, frame: Frame) -> None:
        try:
            message = smpp34.decode(frame.raw)
        except smpp34.SmppError:
            message = None
        if not isinstance(message, smpp34.DeliverSm):
            self.counters.unreadable += 1
            link.answer_delivery(frame.sequence, Status.ESME_RX_R_APPN)
            return

        def reply(status: int) -> None:
            if status != Status.ESME_ROK:
                self.counters.postponed += 1
            link.answer_delivery(frame.sequence, status)

        event = read(message, self.config.dialect)
        self._heed(event.recipient if isinstance(event, Receipt) else event.sender)
        if isinstance(event, Receipt):
            assert self._receipts is not None, "a link comes after the start"
            self.counters.receipts += 1
            self._receipts.put(event, reply)
        else:
            assert self._inbound is not None, "a link comes after the start"
            self.counters.inbound += 1
            self._inbound.put(event, reply)

    def _heed(self, number: str) -> None:
        if self._said_country or not lacks_country(number):
            return
        self._said_country = True
        _log.warning(
            "carrier %s brings numbers without their country code: whose they are is not known, "
            "and a STOP of theirs holds for nobody; say its country in MAWJA_CARRIERS",
            self.name,
        )


def _no_reply(_status: int) -> None:
    """A late answer is not acknowledged to anyone."""
