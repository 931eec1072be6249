"""One TCP connection to an SMS centre and its bind: frames in, frames out, what is unanswered.

A submit that was handed to the socket and not answered is *unknown*, whatever happened then.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Protocol, cast

from services.broadcast.carriers.account import Counters, SmppConfig
from services.broadcast.carriers.base import OutPart, SubmitOutcome, Unknown, UnknownReason
from services.broadcast.carriers.submit import Waiting
from services.runtime import smpp
from services.runtime.smpp import Frame, Status

_log = logging.getLogger(__name__)

_ALERT_NOTIFICATION = 0x00000102
_MAX_SEQUENCE = 0x7FFFFFFF


class BindFailed(Exception):
    """The SMS centre answered the bind with an error, or closed instead."""


@dataclass(slots=True)
class Sent:
    waiting: Waiting
    written_at: float


class Owner(Protocol):
    """What a link tells its carrier."""

    config: SmppConfig
    counters: Counters

    @property
    def name(self) -> str:
        """The carrier's name, for logs."""

    def settle(self, waiting: Waiting, outcome: SubmitOutcome) -> None:
        """What became of a part that the link had."""

    def wake(self) -> None:
        """There is room again."""

    def answered(self, sent: Sent, status: int, raw_id: str) -> None:
        """A submit's answer."""

    def answered_late(self, part: OutPart, status: int, raw_id: str) -> None:
        """The answer to a submit that had become unknown."""

    def delivered(self, link: "Link", frame: Frame) -> None:
        """A ``deliver_sm``, to be answered with `link.answer_delivery`."""


class Link(asyncio.Protocol):
    """One TCP connection and its bind."""

    def __init__(self, carrier: Owner) -> None:
        loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[None] = loop.create_future()
        self.closed: asyncio.Future[None] = loop.create_future()
        self.pending: dict[int, Sent] = {}
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
        # Parts wait in the queue, where they can still be released, not in the transport. Not 0: a
        # transport over TLS would call an empty buffer full, and never call it empty again.
        transport.set_write_buffer_limits(high=1)
        config = self._carrier.config
        body = smpp.bind_body(config.system_id, config.password, config.system_type)
        self.write(smpp.pdu(smpp.BIND_TRANSCEIVER, 0, self.next_sequence(), body))

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ready.done():
            self.ready.set_exception(BindFailed("the connection closed before the bind's answer"))
            self.ready.exception()  # nobody may be waiting any more
        reason = UnknownReason.STOPPED if self._unbinding else UnknownReason.BIND_LOST
        pending, self.pending = self.pending, {}
        for sent in pending.values():
            self._carrier.settle(sent.waiting, Unknown(reason))
        if not self.closed.done():
            self.closed.set_result(None)

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        self._carrier.wake()

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
        self._carrier.wake()

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
            self._carrier.settle(sent.waiting, Unknown(UnknownReason.TIMEOUT))
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
                self._carrier.delivered(self, frame)
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
            self._carrier.answered(sent, status, raw_id)
            return
        part = self._overdue.pop(frame.sequence, None)
        if part is not None:
            self._carrier.answered_late(part, status, raw_id)
        else:
            self._carrier.counters.unreadable += 1

    def _bind_answered(self, status: int) -> None:
        if self.ready.done():
            return
        if status == Status.ESME_ROK:
            self.ready.set_result(None)
            return
        self.ready.set_exception(
            BindFailed(
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


def _message_id(raw: bytes) -> str:
    end = raw.find(b"\0", 16)
    return raw[16 : end if end >= 0 else len(raw)].decode("latin-1")
