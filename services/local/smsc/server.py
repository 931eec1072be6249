"""The SMS centre's SMPP side: binds, submits, answers and deliveries, as its profile says.

What makes it a fair judge: a submit is in the record, handed to the operating system, before its
answer exists; and a receipt or inbound message is delivered again until the client acknowledged
it, on whatever bind the client has then. It is fast enough not to be what is measured: all submits
of a read share one write of the record, and everything due in the same 2 ms shares one write of
the socket.
"""

import asyncio
import heapq
import logging
import random
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import cast

import smpp34

from services.local.smsc.profile import Profile
from services.local.smsc.record import RecordFile, Submit, line_of
from services.runtime import smpp
from services.runtime.smpp import Frame, Status

_log = logging.getLogger(__name__)

_TICK_S = 0.002
_EARLY_RECEIPT_GAP_S = 0.03
_THROTTLE_BURST_S = 0.1
_MAX_TEXT_OCTETS = 254
_STAT = {2: b"DELIVRD", 3: b"EXPIRED", 5: b"UNDELIV"}
_DELIVERED, _EXPIRED, _UNDELIVERABLE = 2, 3, 5


@dataclass(slots=True)
class _Delivery:
    """A ``deliver_sm`` that the client has not acknowledged yet; ``raw`` lacks its sequence."""

    raw: bytes
    kind: str
    attempts: int = 0


@dataclass(slots=True)
class _Bucket:
    """Token bucket of one account."""

    tokens: float = 0.0
    at: float = 0.0

    def take(self, rate: float, now: float) -> bool:
        burst = max(1.0, rate * _THROTTLE_BURST_S)
        self.tokens = min(burst, self.tokens + (now - self.at) * rate) if self.at else burst
        self.at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


class _Account:
    """What outlives a connection: deliveries waiting for their client, and its pace."""

    def __init__(self) -> None:
        self.waiting: deque[_Delivery] = deque()
        self.sessions: list[_Session] = []
        self.bucket = _Bucket()
        self.turn = 0


class SmsCentre:
    """An SMPP 3.4 server. ``start`` it, read ``port``, ``stop`` it."""

    def __init__(self, profile: Profile, record: RecordFile, *, seed: int) -> None:
        self.profile = profile
        self.counts: Counter[str] = Counter()
        self._record = record
        # A seeded simulation, not a secret.
        self._rng = random.Random(seed)
        self._last_id = record.last_id
        self._accounts: dict[str, _Account] = {}
        self._sessions: set[_Session] = set()
        self._unclaimed: deque[_Delivery] = deque()
        self._server: asyncio.Server | None = None
        self._due: dict[int, list[Callable[[], None]]] = {}
        self._ticks: list[int] = []
        self._timer: asyncio.TimerHandle | None = None
        self._dirty_sessions: dict[_Session, None] = {}
        self._dirty_accounts: dict[str, None] = {}
        self._until_drop = 0

    @property
    def port(self) -> int:
        """The TCP port it listens on."""
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def start(self, host: str, port: int) -> None:
        """Listen; OSError if the port is taken."""
        self._server = await asyncio.get_running_loop().create_server(
            lambda: _Session(self), host, port
        )

    async def stop(self) -> None:
        """Listen no more and cut every connection."""
        if self._timer is not None:
            self._timer.cancel()
        if self._server is not None:
            self._server.close()
        for session in list(self._sessions):
            session.abort()
        self._record.close()

    # --- what the control socket asks ------------------------------------------------------------

    def inbound(
        self,
        source: str,
        destination: str,
        payload: bytes,
        data_coding: int,
        *,
        udhi: bool = False,
        system_id: str | None = None,
    ) -> str:
        """Queue a message from a phone for the client ``system_id`` (None: whoever is bound).

        Gives the message's id. Raises ValueError if SMPP can't carry it.
        """
        self._last_id += 1
        message_id = str(self._last_id)
        tlvs = []
        if self.profile.inbound_id:
            tlvs.append(_id_tlv(message_id))
        if len(payload) > _MAX_TEXT_OCTETS:
            tlvs.append(smpp34.Tlv(smpp.TAG_MESSAGE_PAYLOAD, payload))
            payload = b""
        raw = smpp34.DeliverSm(
            source.removeprefix("+"),
            destination.removeprefix("+"),
            payload,
            source_addr_ton=1 if source.startswith("+") else 0,
            source_addr_npi=1,
            dest_addr_ton=1 if destination.startswith("+") else 0,
            dest_addr_npi=1,
            esm_class=smpp.ESM_UDHI if udhi else 0,
            data_coding=data_coding,
            tlvs=tlvs,
        ).encode()
        self.counts["inbound_made"] += 1
        delivery = _Delivery(raw, "inbound")
        if system_id is not None:
            self._account(system_id).waiting.append(delivery)
            self._dirty_accounts[system_id] = None
        else:
            self._unclaimed.append(delivery)
            self._claim()
        self._flush()
        return message_id

    def drop_binds(self) -> int:
        """Cut every connection, as a network does; gives how many there were."""
        sessions = list(self._sessions)
        for session in sessions:
            session.abort()
        self.counts["binds_dropped"] += len(sessions)
        return len(sessions)

    def stats(self) -> dict[str, int]:
        """All counts since the start, and what waits now."""
        return {
            **self.counts,
            "binds": sum(len(one.sessions) for one in self._accounts.values()),
            "deliveries_waiting": len(self._unclaimed)
            + sum(len(one.waiting) for one in self._accounts.values())
            + sum(len(session.unacknowledged) for session in self._sessions),
            "work_scheduled": sum(map(len, self._due.values())),
        }

    # --- submits ---------------------------------------------------------------------------------

    def take_submits(self, session: "_Session", messages: list[tuple[Frame, object]]) -> None:
        """Decide every submit of one read, record them in one write, then let answers exist."""
        profile, now = self.profile, time.time()
        monotonic = time.monotonic()
        lines: list[bytes] = []
        consequences: list[Callable[[], None]] = []
        refusals: list[int] = []
        dropped = False
        for frame, message in messages:
            if not isinstance(message, smpp34.SubmitSm):
                session.send(
                    smpp.pdu(smpp.SUBMIT_SM_RESP, Status.ESME_RINVMSGLEN, frame.sequence, b"\0")
                )
                self.counts["unreadable"] += 1
                continue
            self.counts["submits"] += 1
            tlvs = smpp.tlvs_of(message)
            payload = bytes(message.short_message) or tlvs.get(smpp.TAG_MESSAGE_PAYLOAD, b"")
            udhi = bool(message.esm_class & smpp.ESM_UDHI)
            until = _until(message.validity_period, now)
            status = self._verdict(session, message, until, now, monotonic)
            number: int | None = None
            silent = False
            if status == Status.ESME_ROK:
                self._last_id += 1
                number = self._last_id
                silent = self._rng.random() < profile.accept_silently
            reference = tlvs.get(smpp.TAG_USER_MESSAGE_REFERENCE)
            lines.append(
                line_of(
                    Submit(
                        t=now,
                        destination=message.destination_addr,
                        sender=message.source_addr,
                        data_coding=message.data_coding,
                        udhi=udhi,
                        payload=payload,
                        concat=smpp.split_header(payload)[0] if udhi else None,
                        reference=int.from_bytes(reference, "big") if reference else None,
                        validity=message.validity_period,
                        carrier_id=None if number is None else str(number),
                        status=None if silent else int(status),
                        system_id=session.system_id,
                    )
                )
            )
            refusals.append(frame.sequence)
            if number is None:
                self.counts[f"refused_{status.name}"] += 1
                answer = smpp.pdu(smpp.SUBMIT_SM_RESP, status, frame.sequence, b"\0")
                consequences.append(partial(self._answer, session, answer))
            else:
                self.counts["accepted"] += 1
                consequences.append(
                    self._fate(session, frame.sequence, message, number, silent, reference, until)
                )
            if profile.drop_bind_every is not None:
                self._until_drop += 1
                if self._until_drop >= profile.drop_bind_every:
                    self._until_drop = 0
                    dropped = True
                    break
        try:
            self._record.append(lines)
        except OSError as error:
            # What is not on record must not be accepted: the record is the proof.
            _log.error("the record can't be written (%s): refusing submits", error.strerror)
            for sequence in refusals:
                session.send(smpp.pdu(smpp.SUBMIT_SM_RESP, Status.ESME_RSYSERR, sequence, b"\0"))
            self.counts["unrecorded"] += len(refusals)
            consequences = []
        for consequence in consequences:
            consequence()
        if dropped:
            self.counts["binds_dropped"] += 1
            session.abort()
        self._flush()

    def _verdict(
        self,
        session: "_Session",
        message: smpp34.SubmitSm,
        until: float | None,
        now: float,
        monotonic: float,
    ) -> Status:
        profile = self.profile
        if not session.can_submit:
            return Status.ESME_RINVBNDSTS
        destination = message.destination_addr
        if not (destination.isascii() and destination.isdigit() and len(destination) <= 20):
            return Status.ESME_RINVDSTADR
        if not message.source_addr or len(message.source_addr) > 20:
            return Status.ESME_RINVSRCADR
        if until is not None and until <= now:
            return Status.ESME_RINVEXPIRY
        rate = profile.throttle_parts_per_s
        if rate is not None and not session.account.bucket.take(rate, monotonic):
            return Status.ESME_RTHROTTLED
        if profile.refuse:
            drawn = self._rng.random()
            for status, share in profile.refuse.items():
                if drawn < share:
                    return status
                drawn -= share
        return Status.ESME_ROK

    def _fate(
        self,
        session: "_Session",
        sequence: int,
        message: smpp34.SubmitSm,
        number: int,
        silent: bool,
        reference: bytes | None,
        until: float | None,
    ) -> Callable[[], None]:
        """Draw what becomes of an accepted part; the result sets it going."""
        profile, rng = self.profile, self._rng
        answer_s = profile.answer_delay_ms.draw_s(rng)
        receipts_s: list[float] = []
        state = _UNDELIVERABLE if rng.random() < profile.undelivered else _DELIVERED
        wanted = message.registered_delivery & 0x03
        if (wanted == 1 or (wanted == 2 and state != _DELIVERED)) and (
            rng.random() >= profile.receipt_never
        ):
            receipts_s = [
                profile.receipt_delay_ms.draw_s(rng) for _ in range(profile.receipt_copies)
            ]
            if rng.random() < profile.receipt_before_answer:
                receipts_s[0] = 0.0
                answer_s = max(answer_s, _EARLY_RECEIPT_GAP_S)
            if until is not None and time.time() + min(receipts_s) > until:
                state = _EXPIRED
        system_id = session.system_id
        id_text = f"{number:x}" if profile.answer_id == "hex" else str(number)

        def begin() -> None:
            if silent:
                self.counts["unanswered"] += 1
            else:
                answer = smpp.pdu(
                    smpp.SUBMIT_SM_RESP, Status.ESME_ROK, sequence, id_text.encode() + b"\0"
                )
                self._after(answer_s, lambda: self._answer(session, answer))
            if receipts_s:
                raw = self._receipt(message, number, id_text, state, reference)
                for receipt_s in receipts_s:
                    self._after(receipt_s, lambda: self._deliver(system_id, raw))

        return begin

    def _receipt(
        self,
        message: smpp34.SubmitSm,
        number: int,
        answer_id: str,
        state: int,
        reference: bytes | None,
    ) -> bytes:
        """A receipt as SMPP 3.4 appendix B writes it; it never quotes the text."""
        profile = self.profile
        shown = f"{number:x}" if profile.receipt_id == "hex" else str(number)
        date = time.strftime("%y%m%d%H%M", time.gmtime()).encode()
        text = b"id:%b sub:001 dlvrd:00%d submit date:%b done date:%b stat:%b err:%b text:" % (
            shown.encode(),
            1 if state == _DELIVERED else 0,
            date,
            date,
            _STAT[state],
            b"000" if state == _DELIVERED else b"027",
        )
        tlvs = []
        if profile.receipt_tlvs:
            tlvs = [_id_tlv(answer_id), smpp34.Tlv(smpp.TAG_MESSAGE_STATE, bytes((state,)))]
        if profile.echo_reference and reference:
            tlvs.append(smpp34.Tlv(smpp.TAG_USER_MESSAGE_REFERENCE, reference))
        return smpp34.DeliverSm(
            message.destination_addr,
            message.source_addr,
            text,
            source_addr_ton=message.dest_addr_ton,
            source_addr_npi=message.dest_addr_npi,
            dest_addr_ton=message.source_addr_ton,
            dest_addr_npi=message.source_addr_npi,
            esm_class=smpp.ESM_RECEIPT,
            tlvs=tlvs,
        ).encode()

    def _answer(self, session: "_Session", answer: bytes) -> None:
        if session.send(answer):
            self.counts["answered"] += 1

    # --- deliveries ------------------------------------------------------------------------------

    def _deliver(self, system_id: str, raw: bytes) -> None:
        self.counts["receipts_made"] += 1
        self._account(system_id).waiting.append(_Delivery(raw, "receipts"))
        self._dirty_accounts[system_id] = None

    def redeliver(self, system_id: str, delivery: _Delivery, after_s: float) -> None:
        """Deliver again, later: it was refused, not answered, or its connection is gone."""

        def again() -> None:
            self.counts[f"{delivery.kind}_redelivered"] += 1
            self._account(system_id).waiting.append(delivery)
            self._dirty_accounts[system_id] = None

        self._after(after_s, again)

    def wake(self, system_id: str) -> None:
        """A window has room again, or a client has bound."""
        self._dirty_accounts[system_id] = None
        self._claim()
        self._flush()

    def _claim(self) -> None:
        if not self._unclaimed:
            return
        for system_id, account in self._accounts.items():
            if any(one.can_receive for one in account.sessions):
                account.waiting.extend(self._unclaimed)
                self._unclaimed.clear()
                self._dirty_accounts[system_id] = None
                return

    def _pump(self, account: _Account) -> None:
        waiting, window = account.waiting, self.profile.deliver_window
        if self.profile.receipt_shuffle and len(waiting) > 1:
            shuffled = list(waiting)
            self._rng.shuffle(shuffled)
            waiting.clear()
            waiting.extend(shuffled)
        sessions = [one for one in account.sessions if one.can_receive and one.writable]
        while waiting and sessions:
            account.turn += 1
            session = sessions[account.turn % len(sessions)]
            room = window - len(session.unacknowledged)
            if room <= 0:
                sessions.remove(session)
                continue
            for _ in range(min(room, len(waiting), max(1, len(waiting) // len(sessions)))):
                session.deliver(waiting.popleft())

    # --- sessions --------------------------------------------------------------------------------

    def join(self, session: "_Session") -> None:
        """A client has bound."""
        self._account(session.system_id).sessions.append(session)
        self.counts["binds_made"] += 1
        self.wake(session.system_id)

    def opened(self, session: "_Session") -> None:
        """A connection was made."""
        self._sessions.add(session)

    def leave(self, session: "_Session") -> None:
        """A connection is gone: what it did not acknowledge is delivered again."""
        self._sessions.discard(session)
        account = self._accounts.get(session.system_id)
        if account is None or session not in account.sessions:
            return
        account.sessions.remove(session)
        for delivery, _ in session.unacknowledged.values():
            self.redeliver(session.system_id, delivery, 0)
        session.unacknowledged.clear()

    def _account(self, system_id: str) -> _Account:
        return self._accounts.setdefault(system_id, _Account())

    # --- time ------------------------------------------------------------------------------------

    def touched(self, session: "_Session") -> None:
        """The session has octets to write at the end of this turn."""
        self._dirty_sessions[session] = None

    def _after(self, delay_s: float, what: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        tick = int((loop.time() + delay_s) / _TICK_S) + 1
        bucket = self._due.get(tick)
        if bucket is not None:
            bucket.append(what)
            return
        self._due[tick] = [what]
        heapq.heappush(self._ticks, tick)
        if self._ticks[0] == tick:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = loop.call_at(tick * _TICK_S, self._run_due)

    def _run_due(self) -> None:
        loop = asyncio.get_running_loop()
        now = int(loop.time() / _TICK_S)
        while self._ticks and self._ticks[0] <= now:
            for what in self._due.pop(heapq.heappop(self._ticks)):
                what()
        self._timer = None
        if self._ticks:
            self._timer = loop.call_at(self._ticks[0] * _TICK_S, self._run_due)
        self._flush()

    def _flush(self) -> None:
        accounts, self._dirty_accounts = self._dirty_accounts, {}
        for system_id in accounts:
            self._pump(self._account(system_id))
        sessions, self._dirty_sessions = self._dirty_sessions, {}
        for session in sessions:
            session.flush()


def _id_tlv(message_id: str) -> smpp34.Tlv:
    return smpp34.Tlv(smpp.TAG_RECEIPTED_MESSAGE_ID, message_id.encode() + b"\0")


def _until(validity: str, now: float) -> float | None:
    """When the part stops being worth delivering; a broken date has already passed."""
    try:
        return smpp.read_time(validity, now)
    except ValueError:
        return now


class _Session(asyncio.Protocol):
    """One connection of a client."""

    def __init__(self, centre: SmsCentre) -> None:
        self.system_id = ""
        self.account = _Account()
        self.can_submit = False
        self.can_receive = False
        self.writable = True
        self.unacknowledged: dict[int, tuple[_Delivery, float]] = {}
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

    def deliver(self, delivery: _Delivery) -> None:
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
            self._centre.redeliver(self.system_id, delivery, after_s)

    def _sweep(self) -> None:
        timeout_s = self._centre.profile.deliver_timeout_ms / 1000
        overdue = time.monotonic() - timeout_s
        while self.unacknowledged:
            sequence, (delivery, sent_at) = next(iter(self.unacknowledged.items()))
            if sent_at > overdue:
                break
            del self.unacknowledged[sequence]
            self._centre.redeliver(self.system_id, delivery, 0)
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
        self.account = self._centre._account(system_id)
        self.can_submit = frame.command != smpp.BIND_RECEIVER
        self.can_receive = frame.command != smpp.BIND_TRANSMITTER
        self._centre.join(self)
        self._sweep()


def _decoded(frame: Frame) -> object:
    try:
        return smpp34.decode(frame.raw)
    except smpp34.SmppError:
        return None
