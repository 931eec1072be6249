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
import ssl
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar, cast

import smpp34

from services.broadcast.carriers.base import (
    Accepted,
    InboundMessage,
    LateAnswer,
    OnInbound,
    OnLate,
    OnReceipts,
    OutPart,
    Receipt,
    Refused,
    SubmitOutcome,
    Unknown,
    UnknownReason,
)
from services.broadcast.carriers.deliver import Dialect, read
from services.broadcast.carriers.errors import SendError, error_of
from services.runtime import smpp
from services.runtime.smpp import Alphabet, Frame, Status

_log = logging.getLogger(__name__)

_ALERT_NOTIFICATION = 0x00000102
_MAX_SEQUENCE = 0x7FFFFFFF
_WRITES_PER_TURN = 500
_DELIVERIES_PER_BATCH = 1000
_PAUSE_AFTER_FAILED_CALLBACK_S = 0.1


@dataclass(frozen=True, slots=True)
class SmppConfig:
    """One SMPP account. Times are seconds.

    ``window`` is the most unanswered submits on one of the ``binds``. ``write_within_s`` bounds
    the wait for room where a call gives no ``write_by``. ``inbox_limit`` is the most deliveries
    held unacknowledged; beyond it the carrier is asked to try again later.
    ``status_errors`` overrides the table of statuses (vendor codes). ``tls`` None is plain TCP.
    """

    name: str
    declared: Literal["test", "live"]
    host: str
    port: int
    system_id: str
    password: str = field(repr=False)
    system_type: str = ""
    binds: int = 1
    window: int = 200
    response_timeout_s: float = 10.0
    connect_timeout_s: float = 5.0
    enquire_link_s: float = 15.0
    reconnect_min_s: float = 0.2
    reconnect_max_s: float = 15.0
    write_within_s: float = 5.0
    stop_within_s: float = 5.0
    inbox_limit: int = 20_000
    dialect: Dialect = field(default_factory=Dialect)
    status_errors: Mapping[int, SendError] = field(default_factory=dict)
    tls: ssl.SSLContext | None = None

    def __post_init__(self) -> None:
        if self.declared not in ("test", "live"):
            raise ValueError(f"carrier {self.name}: declare it 'test' or 'live'")
        if self.binds < 1 or self.window < 1:
            raise ValueError(f"carrier {self.name}: binds and window are at least 1")
        try:
            smpp.bind_body(self.system_id, self.password, self.system_type)
        except ValueError as error:
            raise ValueError(
                f"carrier {self.name}: system id (15), password (8) or type (12): {error}"
            ) from None


@dataclass(slots=True)
class Counters:
    """What happened since the start; all only grow."""

    written: int = 0
    accepted: int = 0
    refused: int = 0
    unknown: int = 0
    late_answers: int = 0
    receipts: int = 0
    inbound: int = 0
    postponed: int = 0
    """Deliveries that the carrier was asked to repeat later."""
    unreadable: int = 0
    """PDUs that were not SMPP, or no answer to anything of ours."""
    binds: int = 0
    lost_binds: int = 0


class SmppCarrier:
    """A carrier over SMPP; see ``base.Carrier`` for the contract of every public method."""

    def __init__(self, config: SmppConfig, *, jitter: random.Random | None = None) -> None:
        self.config = config
        self.counters = Counters()
        # Spreads reconnects of many replicas; nothing secret hangs on it.
        self._jitter = jitter or random.Random()
        self._queue: deque[_Waiting] = deque()
        self._links: list[_Link] = []
        self._keepers: list[asyncio.Task[None]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._pump_due = False
        self._stopping = False
        self._bound = asyncio.Event()
        self._receipts: _Courier[Receipt] | None = None
        self._inbound: _Courier[InboundMessage] | None = None
        self._late: _Courier[LateAnswer] | None = None

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
        self._receipts = _Courier("receipts", on_receipts, self.config.inbox_limit)
        self._inbound = _Courier("inbound messages", on_inbound, self.config.inbox_limit)
        if on_late is not None:
            self._late = _Courier("late answers", on_late, self.config.inbox_limit)
        self._keepers = [asyncio.create_task(self._keep_bound()) for _ in range(self.config.binds)]
        self._tick()

    async def stop(self) -> None:
        if self._stopping or not self._keepers:
            return
        self._stopping = True
        while self._queue:
            self._settle(self._queue.popleft(), Refused(SendError.NOT_SENT))
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
        if not self._keepers:
            raise RuntimeError(f"carrier {self.name} is not started")
        if not parts:
            return []
        if write_by is None:
            write_by = time.monotonic() + self.config.write_within_s
        batch = _Batch(parts, write_by, asyncio.get_running_loop().create_future())
        for index, part in enumerate(parts):
            waiting = _Waiting(batch, index, part)
            if part.drill and self.declared != "test":
                self._settle(waiting, Refused(SendError.DRILL_ON_LIVE))
            elif self._stopping:
                self._settle(waiting, Refused(SendError.NOT_SENT))
            else:
                self._queue.append(waiting)
        self._wake()
        await batch.done
        return batch.result()

    # --- writing ---------------------------------------------------------------------------------

    def _wake(self) -> None:
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

    def _fill(self, link: "_Link") -> None:
        room = min(link.room, _WRITES_PER_TURN)
        if room <= 0:
            return
        ready: list[tuple[_Waiting, int, bytes]] = []
        while self._queue and len(ready) < room:
            waiting = self._queue.popleft()
            if waiting.batch.done.done():  # the caller was cancelled
                continue
            sequence = link.next_sequence()
            encoded = _encode(waiting.part, sequence)
            if isinstance(encoded, SendError):
                self._settle(waiting, Refused(encoded))
            else:
                ready.append((waiting, sequence, encoded))
        # Nothing but the write may stand between this look at the clock and the socket: after it
        # an aged claim can no longer be released.
        now = time.monotonic()
        octets: list[bytes] = []
        for waiting, sequence, encoded in ready:
            if now > waiting.batch.write_by:
                self._settle(waiting, Refused(SendError.NOT_SENT))
            else:
                link.pending[sequence] = _Sent(waiting, now)
                octets.append(encoded)
        if octets:
            self.counters.written += len(octets)
            link.write(b"".join(octets))
        if self._queue and room == _WRITES_PER_TURN:
            self._wake()

    def _settle(self, waiting: "_Waiting", outcome: SubmitOutcome) -> None:
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
                    self._settle(one, Refused(SendError.NOT_SENT))
                else:
                    self._queue.append(one)
        self._wake()
        every_s = min(0.25, self.config.response_timeout_s / 4)
        self._timer = asyncio.get_running_loop().call_later(every_s, self._tick)

    # --- binding ---------------------------------------------------------------------------------

    async def _keep_bound(self) -> None:
        config = self.config
        delay = config.reconnect_min_s
        while not self._stopping:
            link = _Link(self)
            bound_at: float | None = None
            try:
                async with asyncio.timeout(config.connect_timeout_s):
                    await asyncio.get_running_loop().create_connection(
                        lambda link=link: link,
                        config.host,
                        config.port,
                        ssl=config.tls,
                    )
                    await link.ready
                bound_at = time.monotonic()
                self.counters.binds += 1
                _log.info("carrier %s: bound", self.name)
                self._links.append(link)
                self._bound.set()
                self._wake()
                await link.closed
                if not self._stopping:
                    self.counters.lost_binds += 1
                    _log.warning("carrier %s: bind lost, binding again", self.name)
            except TimeoutError:
                _log.warning(
                    "carrier %s: no bind within %g s at %s:%d; is the SMS centre up?",
                    self.name, config.connect_timeout_s, config.host, config.port,
                )  # fmt: skip
            except (OSError, _BindFailed) as error:
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

    def _answered(self, sent: "_Sent", status: int, raw_id: str) -> None:
        self._settle(sent.waiting, self._outcome(status, raw_id))

    def _answered_late(self, part: OutPart, status: int, raw_id: str) -> None:
        self.counters.late_answers += 1
        if self._late is not None:
            self._late.put(LateAnswer(part, self._outcome(status, raw_id)), _no_reply)

    def _outcome(self, status: int, raw_id: str) -> Accepted | Refused:
        if status == Status.ESME_ROK:
            return Accepted(self.config.dialect.answer_id(raw_id))
        return Refused(error_of(status, self.config.status_errors), status)

    def _delivered(self, link: "_Link", frame: Frame) -> None:
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
        if isinstance(event, Receipt):
            self.counters.receipts += 1
            _held(self._receipts).put(event, reply)
        else:
            self.counters.inbound += 1
            _held(self._inbound).put(event, reply)


class _BindFailed(Exception):
    """The SMS centre answered the bind with an error, or closed instead."""


class _Batch:
    """The outcomes of one ``submit_many``; done when none is missing."""

    __slots__ = ("_left", "_outcomes", "done", "write_by")

    def __init__(
        self, parts: Sequence[OutPart], write_by: float, done: "asyncio.Future[None]"
    ) -> None:
        self._outcomes: list[SubmitOutcome | None] = [None] * len(parts)
        self._left = len(parts)
        self.write_by = write_by
        self.done = done

    def settle(self, index: int, outcome: SubmitOutcome) -> None:
        self._outcomes[index] = outcome
        self._left -= 1
        if not self._left and not self.done.done():
            self.done.set_result(None)

    def result(self) -> list[SubmitOutcome]:
        return [outcome for outcome in self._outcomes if outcome is not None]


@dataclass(slots=True)
class _Waiting:
    batch: _Batch
    index: int
    part: OutPart


@dataclass(slots=True)
class _Sent:
    waiting: _Waiting
    written_at: float


class _Link(asyncio.Protocol):
    """One TCP connection and its bind."""

    def __init__(self, carrier: SmppCarrier) -> None:
        loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[None] = loop.create_future()
        self.closed: asyncio.Future[None] = loop.create_future()
        self.pending: dict[int, _Sent] = {}
        self._carrier = carrier
        self._overdue: OrderedDict[int, OutPart] = OrderedDict()
        self._framer = smpp.Framer()
        self._transport: asyncio.Transport | None = None
        self._sequence = 0
        self._writable = True
        self._unbinding = False
        self._heard_at = time.monotonic()
        self._enquired_at: float | None = None
        self._ticked_at = time.monotonic()
        self._answers: list[bytes] = []
        self._flush_due = False

    # --- asyncio.Protocol ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are not asyncio.Transport by class, only by what they do.
        self._transport = transport = cast(asyncio.Transport, transport)
        # Parts wait in the queue, where they can still be released, not in the transport.
        transport.set_write_buffer_limits(high=0)
        config = self._carrier.config
        body = smpp.bind_body(config.system_id, config.password, config.system_type)
        self.write(smpp.pdu(smpp.BIND_TRANSCEIVER, 0, self.next_sequence(), body))

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ready.done():
            self.ready.set_exception(_BindFailed("the connection closed before the bind's answer"))
            self.ready.exception()  # nobody may be waiting any more
        reason = UnknownReason.STOPPED if self._unbinding else UnknownReason.BIND_LOST
        pending, self.pending = self.pending, {}
        for sent in pending.values():
            self._carrier._settle(sent.waiting, Unknown(reason))
        if not self.closed.done():
            self.closed.set_result(None)

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        self._carrier._wake()

    def data_received(self, data: bytes) -> None:
        self._heard_at = time.monotonic()
        self._enquired_at = None
        frames, error = self._framer.feed(data)
        for frame in frames:
            self._take(frame)
        if error is not None:
            self._carrier.counters.unreadable += 1
            _log.warning("carrier %s: %s; closing", self._carrier.name, error)
            self.write(smpp.pdu(smpp.GENERIC_NACK, Status.ESME_RINVCMDLEN, 0))
            self.close()
        self._carrier._wake()

    # --- what the carrier asks -------------------------------------------------------------------

    @property
    def room(self) -> int:
        if not self._writable or self._unbinding or self.closed.done() or self._is_closing():
            return 0
        return self._carrier.config.window - len(self.pending)

    def next_sequence(self) -> int:
        self._sequence = self._sequence % _MAX_SEQUENCE + 1
        return self._sequence

    def write(self, octets: bytes) -> None:
        if self._transport is not None and not self._is_closing():
            self._transport.write(octets)

    def answer_delivery(self, sequence: int, status: int) -> None:
        self._answers.append(smpp.pdu(smpp.DELIVER_SM_RESP, status, sequence, b"\0"))
        if not self._flush_due:
            self._flush_due = True
            asyncio.get_running_loop().call_soon(self._flush)

    def tick(self, now: float) -> None:
        config = self._carrier.config
        stalled = now - self._ticked_at > config.response_timeout_s / 2
        self._ticked_at = now
        if stalled:
            # This process stood still; answers may wait in the socket. Read before judging.
            return
        overdue = now - config.response_timeout_s
        while self.pending:
            sequence, sent = next(iter(self.pending.items()))
            if sent.written_at > overdue:
                break
            del self.pending[sequence]
            self._overdue[sequence] = sent.waiting.part
            if len(self._overdue) > 10 * config.window:
                self._overdue.popitem(last=False)
            self._carrier._settle(sent.waiting, Unknown(UnknownReason.TIMEOUT))
        if self._enquired_at is not None:
            if now - self._enquired_at > config.response_timeout_s:
                _log.warning("carrier %s: the bind is silent; closing", self._carrier.name)
                self.abort()
        elif now - self._heard_at > config.enquire_link_s:
            self._enquired_at = now
            self.write(smpp.pdu(smpp.ENQUIRE_LINK, 0, self.next_sequence()))

    async def unbind(self, within_s: float) -> None:
        self._unbinding = True
        self._flush()
        self.write(smpp.pdu(smpp.UNBIND, 0, self.next_sequence()))
        try:
            async with asyncio.timeout(within_s):
                await asyncio.shield(self.closed)
        except TimeoutError:
            self.abort()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # --- frames ----------------------------------------------------------------------------------

    def _take(self, frame: Frame) -> None:
        match frame.command:
            case smpp.SUBMIT_SM_RESP:
                self._submitted(frame, _message_id(frame.raw))
            case smpp.DELIVER_SM:
                self._carrier._delivered(self, frame)
            case smpp.ENQUIRE_LINK:
                self.write(smpp.pdu(smpp.ENQUIRE_LINK_RESP, 0, frame.sequence))
            case smpp.ENQUIRE_LINK_RESP | smpp.DELIVER_SM_RESP:
                pass
            case smpp.BIND_TRANSCEIVER_RESP:
                self._bind_answered(frame.status)
            case smpp.UNBIND:
                self._flush()
                self.write(smpp.pdu(smpp.UNBIND_RESP, 0, frame.sequence))
                self.close()
            case smpp.UNBIND_RESP:
                self.close()
            case smpp.GENERIC_NACK if not self.ready.done():
                self._bind_answered(frame.status or Status.ESME_RUNKNOWNERR)
            case smpp.GENERIC_NACK:
                self._submitted(frame, "", frame.status or Status.ESME_RUNKNOWNERR)
            case command if command & smpp.RESPONSE or command == _ALERT_NOTIFICATION:
                self._carrier.counters.unreadable += 1
            case _:
                self._carrier.counters.unreadable += 1
                self.write(smpp.pdu(smpp.GENERIC_NACK, Status.ESME_RINVCMDID, frame.sequence))

    def _submitted(self, frame: Frame, raw_id: str, status: int | None = None) -> None:
        status = frame.status if status is None else status
        sent = self.pending.pop(frame.sequence, None)
        if sent is not None:
            self._carrier._answered(sent, status, raw_id)
            return
        part = self._overdue.pop(frame.sequence, None)
        if part is not None:
            self._carrier._answered_late(part, status, raw_id)
        else:
            self._carrier.counters.unreadable += 1

    def _bind_answered(self, status: int) -> None:
        if self.ready.done():
            return
        if status == Status.ESME_ROK:
            self.ready.set_result(None)
            return
        self.ready.set_exception(
            _BindFailed(
                f"the bind was refused with status 0x{status:08x};"
                " check system id, password and the number of binds"
            )
        )
        self.ready.exception()  # nobody may be waiting any more

    def _flush(self) -> None:
        self._flush_due = False
        answers, self._answers = self._answers, []
        if answers:
            self.write(b"".join(answers))

    def _is_closing(self) -> bool:
        return self._transport is None or self._transport.is_closing()


_Event = TypeVar("_Event")


class _Courier(Generic[_Event]):
    """Hands deliveries to a callback, one batch at a time, and answers each after its batch."""

    def __init__(
        self, what: str, callback: Callable[[list[_Event]], Awaitable[None]], limit: int
    ) -> None:
        self._what = what
        self._callback = callback
        self._limit = limit
        self._held: deque[tuple[_Event, Callable[[int], None]]] = deque()
        self._arrived = asyncio.Event()
        self._handing_over = False
        self._task = asyncio.create_task(self._run())

    @property
    def busy(self) -> bool:
        return bool(self._held) or self._handing_over

    def put(self, event: _Event, reply: Callable[[int], None]) -> None:
        if len(self._held) >= self._limit:
            reply(Status.ESME_RX_T_APPN)
            return
        self._held.append((event, reply))
        self._arrived.set()

    def cancel(self) -> None:
        self._task.cancel()

    async def _run(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._held:
                size = min(len(self._held), _DELIVERIES_PER_BATCH)
                batch = [self._held.popleft() for _ in range(size)]
                self._handing_over = True
                status = Status.ESME_ROK
                try:
                    await self._callback([event for event, _ in batch])
                except Exception as error:
                    # The type only: an error's text may quote a number.
                    _log.error(
                        "%d %s could not be stored (%s); the carrier will deliver them again",
                        size, self._what, type(error).__name__,
                    )  # fmt: skip
                    status = Status.ESME_RX_T_APPN
                finally:
                    self._handing_over = False
                for _, reply in batch:
                    reply(status)
                if status != Status.ESME_ROK:
                    await asyncio.sleep(_PAUSE_AFTER_FAILED_CALLBACK_S)


def _held(courier: "_Courier[_Event] | None") -> "_Courier[_Event]":
    if courier is None:
        raise RuntimeError("a link exists before the carrier was started")
    return courier


def _no_reply(_status: int) -> None:
    """A late answer is not acknowledged to anyone."""


def _message_id(raw: bytes) -> str:
    end = raw.find(b"\0", 16)
    return raw[16 : end if end >= 0 else len(raw)].decode("latin-1")


# --- submit_sm -----------------------------------------------------------------------------------

_TON_UNKNOWN, _TON_INTERNATIONAL, _TON_ALPHANUMERIC = 0, 1, 5
_NPI_UNKNOWN, _NPI_E164 = 0, 1
_MAX_DIGITS = 20
_MAX_ALPHANUMERIC = 11


def _encode(part: OutPart, sequence: int) -> bytes | SendError:
    """The ``submit_sm`` of a part, or why there can't be one."""
    digits = part.destination.removeprefix("+")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= _MAX_DIGITS):
        return SendError.INVALID_DESTINATION
    sender = _sender(part.sender)
    if sender is None:
        return SendError.INVALID_SENDER
    source, ton, npi = sender
    validity = ""
    try:
        if part.not_after is not None:
            validity = smpp.absolute_time(part.not_after)
        elif part.validity_s is not None:
            validity = smpp.relative_time(part.validity_s)
        reference = part.reference.to_bytes(2, "big")
        return smpp34.SubmitSm(
            source,
            digits,
            part.payload,
            source_addr_ton=ton,
            source_addr_npi=npi,
            dest_addr_ton=_TON_INTERNATIONAL,
            dest_addr_npi=_NPI_E164,
            esm_class=smpp.ESM_UDHI if part.udhi else 0,
            validity_period=validity,
            registered_delivery=int(part.registered_delivery),
            data_coding=part.data_coding,
            tlvs=[smpp34.Tlv(smpp.TAG_USER_MESSAGE_REFERENCE, reference)],
            sequence_number=sequence,
        ).encode()
    except (ValueError, OverflowError, OSError, smpp34.SmppError):
        return SendError.MALFORMED


def _sender(sender: str) -> tuple[str, int, int] | None:
    digits = sender.removeprefix("+")
    if digits.isascii() and digits.isdigit() and len(digits) <= _MAX_DIGITS:
        if sender.startswith("+"):
            return digits, _TON_INTERNATIONAL, _NPI_E164
        return digits, _TON_UNKNOWN, _NPI_UNKNOWN
    if sender.isascii() and sender.isprintable() and 1 <= len(sender) <= _MAX_ALPHANUMERIC:
        return sender, _TON_ALPHANUMERIC, _NPI_UNKNOWN
    return None
