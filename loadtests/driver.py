"""Performs a script against intake, open loop: every step is sent at its scheduled instant.

Latency counts from the scheduled instant, so a system that falls behind can't hide it by slowing
the driver down. Virtual time is compressed into real time by one factor, which is stated.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import grpc
from mawja.common.v1 import common_pb2
from mawja.intake.v1 import events_pb2, service_pb2

from loadtests.ledger import Ledger, Truth
from loadtests.steps import Call, Step, Submit
from services.intake.client import CallReporter, ContactStream
from services.runtime import ids
from services.runtime.clock import monotonic_s

_CHANNELS = {
    "voice": common_pb2.CHANNEL_VOICE,
    "sms": common_pb2.CHANNEL_SMS,
    "whatsapp": common_pb2.CHANNEL_WHATSAPP,
    "web": common_pb2.CHANNEL_WEB,
    "social": common_pb2.CHANNEL_SOCIAL,
    "email": common_pb2.CHANNEL_EMAIL,
    "sign_language_video": common_pb2.CHANNEL_SIGN_LANGUAGE_VIDEO,
}
_KINDS = {
    "enquiry": common_pb2.CONTACT_KIND_ENQUIRY,
    "complaint": common_pb2.CONTACT_KIND_COMPLAINT,
    "request": common_pb2.CONTACT_KIND_REQUEST,
    "feedback": common_pb2.CONTACT_KIND_FEEDBACK,
}
_STATES = {
    "offered": events_pb2.CALL_STATE_OFFERED,
    "queued": events_pb2.CALL_STATE_QUEUED,
    "answered": events_pb2.CALL_STATE_ANSWERED,
    "abandoned": events_pb2.CALL_STATE_ABANDONED,
    "ended": events_pb2.CALL_STATE_ENDED,
}
_DISPOSITIONS = {
    None: events_pb2.DISPOSITION_UNSPECIFIED,
    "resolved": events_pb2.DISPOSITION_RESOLVED,
    "unresolved": events_pb2.DISPOSITION_UNRESOLVED,
    "transferred": events_pb2.DISPOSITION_TRANSFERRED,
}
# Steps due within this time are sent together: a timer for each would cost more than the step.
_TICK_S = 0.005
_TURN_S = 0.5
"""Steps may be minutes apart; whoever ends it does not wait for the next one."""


def contact(step: Submit, source: str, start_ms: int) -> service_pb2.Contact:
    """The contact of a step, marked as drill, without any of the truth. `start_ms`: Unix time of
    virtual second 0."""
    return service_pb2.Contact(
        source=source,
        idempotency_key=step.key,
        kind=_KINDS[step.kind],
        channel=_CHANNELS[step.channel],
        line=step.line or "",
        agency=step.agency or "",
        language=step.language or "",
        number=step.number or "",
        handle=step.handle or "",
        withheld=step.number is None and step.handle is None,
        party=common_pb2.PARTY_ORGANISATION if step.organisation else common_pb2.PARTY_PERSON,
        text=step.text or "",
        place=step.place or "",
        life_safety=step.life_safety,
        event_ms=start_ms + int(step.at * 1000),
        drill=True,
    )


def reported(step: Call, source: str, start_ms: int) -> service_pb2.ReportedCall:
    """The call event of a step, marked as drill."""
    return service_pb2.ReportedCall(
        source=source,
        contact_key=step.key,
        state=_STATES[step.event],
        number=step.number or "",
        agent=f"agent-{step.agent}" if step.agent is not None else "",
        queue_wait_ms=int((step.queue_wait_s or 0) * 1000),
        handling_ms=int((step.handling_s or 0) * 1000),
        disposition=_DISPOSITIONS[step.disposition],
        line=step.line or "",
        agency=step.agency or "",
        language=step.language or "",
        event_ms=start_ms + int(step.at * 1000),
        drill=True,
    )


def truth(step: Submit) -> Truth:
    """What the ledger holds the contact against."""
    identity = None if step.shared_number or step.organisation else step.number
    return Truth(identity, step.person, step.need)


async def _until(due_s: float, stopping: Callable[[], bool]) -> None:
    while True:
        left_s = due_s - monotonic_s()
        if left_s <= _TICK_S or stopping():
            return
        await asyncio.sleep(min(left_s, _TURN_S))


@dataclass(slots=True)
class Sent:
    """What the driver saw; latencies in seconds from the scheduled instant."""

    contacts: int = 0
    accepted: int = 0
    refused_for_good: int = 0
    call_events: int = 0
    call_events_refused: int = 0
    refused: int = 0
    resent: int = 0
    reconnects: int = 0
    latencies_s: list[float] = field(default_factory=list)
    first_refusal: str = ""
    behind_s: float = 0.0
    started_s: float = 0.0
    ended_s: float = 0.0


class Driver:
    """Performs steps over `channel` with `token`, as `source`.

    `compression`: virtual seconds in a real one. `sent` can be read while it runs.
    """

    def __init__(
        self,
        channel: grpc.aio.Channel,
        token: str,
        source: str,
        *,
        start_ms: int,
        compression: float,
        ledger: Ledger,
        streams: int = 2,
    ) -> None:
        self._source = source
        self._start_ms = start_ms
        self._compression = compression
        self._ledger = ledger
        self._streams = [ContactStream(channel, token) for _ in range(streams)]
        self._calls = CallReporter(channel, token)
        self.sent = Sent()

    async def perform(self, steps: Iterable[Step], stopping: Callable[[], bool]) -> None:
        """Sends every step at its instant and waits for every answer. `stopping` ends it early."""
        sent = self.sent
        sent.started_s = start = monotonic_s()
        for step in steps:
            due = start + step.at / self._compression
            await _until(due, stopping)
            sent.behind_s = max(0.0, monotonic_s() - due)
            if stopping():
                break
            if isinstance(step, Submit):
                await self._submit(step, due)
            else:
                self._calls.report(reported(step, self._source, self._start_ms))
                sent.call_events += 1
        await asyncio.gather(*(stream.close() for stream in self._streams), self._calls.close())
        self._count()
        sent.call_events_refused = len(self._calls.refused)
        sent.ended_s = monotonic_s()

    async def _submit(self, step: Submit, due: float) -> None:
        message = contact(step, self._source, self._start_ms)
        expected = ids.contact_id(message.source, message.idempotency_key)
        self._ledger.expect(expected, truth(step))
        self.sent.contacts += 1

        def answered(answer: service_pb2.SubmitContactsResponse) -> None:
            if answer.HasField("accepted"):
                self.sent.accepted += 1
                self.sent.latencies_s.append(monotonic_s() - due)
                self._ledger.acknowledge(answer.accepted.contact_id)
            else:
                self.sent.refused_for_good += 1
                self.sent.first_refusal = self.sent.first_refusal or answer.refused.message

        # One person's contacts go over one stream, so that their order is kept.
        stream = self._streams[hash(step.person) % len(self._streams)]
        await stream.submit(message, answered)
        self._count()

    def _count(self) -> None:
        counts = [stream.counts for stream in self._streams]
        self.sent.refused = sum(c.refused for c in counts)
        self.sent.resent = sum(c.resent for c in counts)
        self.sent.reconnects = sum(c.reconnects for c in counts) + self._calls.counts.reconnects

    @property
    def unanswered(self) -> int:
        """Contacts and call events without an answer yet."""
        return sum(s.unanswered for s in self._streams) + self._calls.unanswered

    def abort(self) -> None:
        """Ends at once."""
        for stream in self._streams:
            stream.abort()
        self._calls.abort()
