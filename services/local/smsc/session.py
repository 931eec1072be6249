"""One connection of a client: its frames, its bind, and what it has not acknowledged yet."""

import asyncio
import time
from typing import TYPE_CHECKING, cast

import smpp34

from services.local.smsc.deliveries import Account, Delivery
from services.runtime import smpp
from services.runtime.smpp import Frame, Status

if TYPE_CHECKING:
    from services.local.smsc.server import SmsCentre


class Session(asyncio.Protocol):
    """One connection of a client."""

    def __init__(self, centre: "SmsCentre") -> None:
        self.system_id = ""
        self.account = Account()
        self.can_submit = False
        self.can_receive = False
        self.writable = True
        self.unacknowledged: dict[int, tuple[Delivery, float]] = {}
        self._centre = centre
        self._framer = smpp.Framer()
        self._transport: asyncio.Transport | None = None
        self._out: list[bytes] = []
        self._sequence = 0
        self._sweeper: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are not asyncio.Transport by class, only by what they do.
        self._transport = cast(asyncio.Transport, transport)
        self._centre.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.can_submit = self.can_receive = False
        if self._sweeper is not None:
            self._sweeper.cancel()
        self._centre.leave(self)

    def pause_writing(self) -> None:
        self.writable = False

    def resume_writing(self) -> None:
        self.writable = True
        self._centre.wake(self.system_id)

    def data_received(self, data: bytes) -> None:
        frames, error = self._framer.feed(data)
        submits: list[tuple[Frame, object]] = []
        acknowledged = False
        for frame in frames:
            if frame.command == smpp.SUBMIT_SM:
                submits.append((frame, _decoded(frame)))
            elif frame.command == smpp.DELIVER_SM_RESP:
                self._acknowledged(frame)
                acknowledged = True
            else:
                if submits:  # in the order they came: an unbind ends what follows it
                    self._centre.take_submits(self, submits)
                    submits = []
                self._take(frame)
        if submits:
            self._centre.take_submits(self, submits)
        if acknowledged:
            self._centre.wake(self.system_id)
        if error is not None:
            self._centre.counts["unreadable"] += 1
            self.send(smpp.pdu(smpp.GENERIC_NACK, Status.ESME_RINVCMDLEN, 0))
        self.flush()
        if error is not None and self._transport is not None:
            self._transport.close()

    def send(self, octets: bytes) -> bool:
        """Put octets in the next write; False if the connection is gone."""
        if self._transport is None or self._transport.is_closing():
            return False
        self._out.append(octets)
        self._centre.touched(self)
        return True

    def flush(self) -> None:
        """Write what was put together."""
        out, self._out = self._out, []
        if out and self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"".join(out))

    def abort(self) -> None:
        """Cut the connection; what was not written is gone."""
        self._out.clear()
        if self._transport is not None:
            self._transport.abort()

    def deliver(self, delivery: Delivery) -> None:
        """Send a delivery and wait for its acknowledgement."""
        self._sequence = self._sequence % 0x7FFFFFFF + 1
        self.unacknowledged[self._sequence] = (delivery, time.monotonic())
        delivery.attempts += 1
        self._centre.counts[f"{delivery.kind}_sent"] += 1
        self.send(delivery.raw[:12] + self._sequence.to_bytes(4, "big") + delivery.raw[16:])

    def _acknowledged(self, frame: Frame) -> None:
        delivery, _ = self.unacknowledged.pop(frame.sequence, (None, 0.0))
        if delivery is None:
            self._centre.counts["unreadable"] += 1
        elif frame.status == Status.ESME_ROK:
            self._centre.counts[f"{delivery.kind}_acknowledged"] += 1
        else:
            self._centre.counts[f"{delivery.kind}_postponed"] += 1
            after_s = self._centre.profile.redeliver_after_ms / 1000
            self._centre.deliveries.redeliver(self.system_id, delivery, after_s)

    def _sweep(self) -> None:
        timeout_s = self._centre.profile.deliver_timeout_ms / 1000
        overdue = time.monotonic() - timeout_s
        while self.unacknowledged:
            sequence, (delivery, sent_at) = next(iter(self.unacknowledged.items()))
            if sent_at > overdue:
                break
            del self.unacknowledged[sequence]
            self._centre.deliveries.redeliver(self.system_id, delivery, 0)
        loop = asyncio.get_running_loop()
        self._sweeper = loop.call_later(min(1.0, timeout_s / 4), self._sweep)

    def _take(self, frame: Frame) -> None:
        if frame.command in smpp.BINDS:
            self._bind(frame)
        elif frame.command == smpp.ENQUIRE_LINK:
            self.send(smpp.pdu(smpp.ENQUIRE_LINK_RESP, 0, frame.sequence))
        elif frame.command == smpp.UNBIND:
            self.can_submit = self.can_receive = False
            self.send(smpp.pdu(smpp.UNBIND_RESP, 0, frame.sequence))
            self.flush()
            if self._transport is not None:
                self._transport.close()
        elif frame.command == smpp.GENERIC_NACK and frame.sequence in self.unacknowledged:
            self._acknowledged(frame)
        elif not frame.command & smpp.RESPONSE:
            self._centre.counts["unreadable"] += 1
            self.send(smpp.pdu(smpp.GENERIC_NACK, Status.ESME_RINVCMDID, frame.sequence))

    def _bind(self, frame: Frame) -> None:
        status = Status.ESME_ROK
        system_id = password = ""
        try:
            system_id, at = smpp.read_c_string(frame.raw, 16)
            password, _ = smpp.read_c_string(frame.raw, at)
        except ValueError:
            status = Status.ESME_RINVMSGLEN
        accounts = self._centre.profile.accounts
        if self.system_id:
            status = Status.ESME_RALYBND
        elif status == Status.ESME_ROK and (not system_id or len(system_id) > 15):
            status = Status.ESME_RINVSYSID
        elif status == Status.ESME_ROK and accounts and accounts.get(system_id) != password:
            status = Status.ESME_RINVPASWD
        body = b"mawja\0" + smpp.tlv(smpp.TAG_SC_INTERFACE_VERSION, b"\x34")
        self.send(
            smpp.pdu(
                frame.command | smpp.RESPONSE,
                status,
                frame.sequence,
                body if status == Status.ESME_ROK else b"",
            )
        )
        if status != Status.ESME_ROK:
            return
        self.system_id = system_id
        self.account = self._centre.deliveries.account(system_id)
        self.can_submit = frame.command != smpp.BIND_RECEIVER
        self.can_receive = frame.command != smpp.BIND_TRANSMITTER
        self._centre.join(self)
        self._sweep()


def _decoded(frame: Frame) -> object:
    try:
        return smpp34.decode(frame.raw)
    except smpp34.SmppError:
        return None
