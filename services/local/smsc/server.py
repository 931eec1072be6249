"""The SMS centre's SMPP side: binds, submits, answers and deliveries, as its profile says.

What makes it a fair judge: a submit is in the record, handed to the operating system, before its
answer exists; and a receipt or inbound message is delivered again until the client acknowledged
it, on whatever bind the client has then. It is fast enough not to be what is measured: all submits
of a read share one write of the record, and everything due in the same 2 ms shares one write of
the socket.
"""

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Callable
from functools import partial

import smpp34

from services.local.smsc import fate
from services.local.smsc.deliveries import Deliveries, Delivery
from services.local.smsc.profile import Profile
from services.local.smsc.record import RecordFile, Submit, line_of
from services.local.smsc.schedule import Schedule
from services.local.smsc.session import Session
from services.runtime import smpp
from services.runtime.smpp import Frame, Status
from services.runtime.smpp_text import split_header

_log = logging.getLogger(__name__)

_MAX_TEXT_OCTETS = 254


class SmsCentre:
    """An SMPP 3.4 server. ``start`` it, read ``port``, ``stop`` it."""

    def __init__(self, profile: Profile, record: RecordFile, *, seed: int) -> None:
        self.profile = profile
        self.counts: Counter[str] = Counter()
        self._record = record
        # A seeded simulation, not a secret.
        self._rng = random.Random(seed)
        self._last_id = record.last_id
        self._schedule = Schedule(self._flush)
        self.deliveries = Deliveries(lambda: self.profile, self.counts, self._rng, self._schedule)
        self._sessions: set[Session] = set()
        self._server: asyncio.Server | None = None
        self._dirty_sessions: dict[Session, None] = {}
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
            lambda: Session(self), host, port
        )

    async def stop(self) -> None:
        """Listen no more and cut every connection."""
        self._schedule.stop()
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
            tlvs.append(fate.id_tlv(message_id))
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
        self.deliveries.put(system_id, Delivery(raw, "inbound"))
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
            "binds": self.deliveries.binds,
            "deliveries_waiting": self.deliveries.waiting
            + sum(len(session.unacknowledged) for session in self._sessions),
            "work_scheduled": len(self._schedule),
        }

    # --- submits ---------------------------------------------------------------------------------

    def take_submits(self, session: Session, messages: list[tuple[Frame, object]]) -> None:
        """Decide every submit of one read, record them in one write, then let answers exist."""
        profile, now = self.profile, time.time()
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
            until = fate.until_of(message.validity_period, now)
            status = fate.verdict(profile, self._rng, session, message, until)
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
                        concat=split_header(payload)[0] if udhi else None,
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

    def _fate(
        self,
        session: Session,
        sequence: int,
        message: smpp34.SubmitSm,
        number: int,
        silent: bool,
        reference: bytes | None,
        until: float | None,
    ) -> Callable[[], None]:
        """Draw what becomes of an accepted part; the result sets it going."""
        profile, system_id = self.profile, session.system_id
        drawn = fate.draw(profile, self._rng, message, until)

        def begin() -> None:
            if silent:
                self.counts["unanswered"] += 1
            else:
                carrier_id = fate.answer_id(profile, number).encode()
                answer = smpp.pdu(
                    smpp.SUBMIT_SM_RESP, Status.ESME_ROK, sequence, carrier_id + b"\0"
                )
                self._schedule.after(drawn.answer_s, lambda: self._answer(session, answer))
            if drawn.receipts_s:
                raw = fate.receipt(profile, message, number, drawn.state, reference)
                for receipt_s in drawn.receipts_s:
                    self._schedule.after(receipt_s, lambda: self._deliver(system_id, raw))

        return begin

    def _answer(self, session: Session, answer: bytes) -> None:
        if session.send(answer):
            self.counts["answered"] += 1

    def _deliver(self, system_id: str, raw: bytes) -> None:
        self.counts["receipts_made"] += 1
        self.deliveries.put(system_id, Delivery(raw, "receipts"))

    # --- what sessions tell ----------------------------------------------------------------------

    def opened(self, session: Session) -> None:
        """A connection was made."""
        self._sessions.add(session)

    def join(self, session: Session) -> None:
        """A client has bound."""
        self.deliveries.account(session.system_id).sessions.append(session)
        self.counts["binds_made"] += 1
        self.wake(session.system_id)

    def wake(self, system_id: str) -> None:
        """A window has room again, or a client has bound."""
        self.deliveries.wake(system_id)
        self._flush()

    def leave(self, session: Session) -> None:
        """A connection is gone: what it did not acknowledge is delivered again."""
        self._sessions.discard(session)
        self.deliveries.leave(session)

    def touched(self, session: Session) -> None:
        """The session has octets to write at the end of this turn."""
        self._dirty_sessions[session] = None

    def _flush(self) -> None:
        self.deliveries.pump()
        sessions, self._dirty_sessions = self._dirty_sessions, {}
        for session in sessions:
            session.flush()
