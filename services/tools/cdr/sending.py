"""Tells intake of calls that are over: each as a contact, and, once Kafka has that, its events.

A contact goes before its events, so that dedup need not keep them waiting. Everything has an id
that the file gives, so what is sent again, after Ctrl-C or a crash of either side, changes nothing.
"""

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import grpc
from mawja.common.v1 import common_pb2
from mawja.intake.v1 import events_pb2, service_pb2

from services.intake.client import CallReporter, ContactStream
from services.runtime import channels
from services.runtime.clock import monotonic_s, now_ms
from services.runtime.errors import Away
from services.tools.asked import error_of
from services.tools.cdr.rows import BadRow, Call

_SILENT_S = 60.0
"""How long intake may answer nothing before the import gives up."""
_MOST_EVENTS = 5_000
"""Events on their way; more wait for answers."""
_LOOK_S = 0.02
_ENDINGS = {
    "": events_pb2.DISPOSITION_UNSPECIFIED,
    "resolved": events_pb2.DISPOSITION_RESOLVED,
    "unresolved": events_pb2.DISPOSITION_UNRESOLVED,
    "transferred": events_pb2.DISPOSITION_TRANSFERRED,
}


@dataclass(slots=True)
class Sent:
    """How far it is. `known`: of the calls taken, those that intake had before. `refused`: rows
    that intake did not take."""

    calls: int = 0
    known: int = 0
    events: int = 0
    events_refused: int = 0
    refused: list[BadRow] = field(default_factory=list)
    finished: bool = False


def contact(call: Call, source: str, drill: bool) -> service_pb2.Contact:
    """The contact of a call."""
    return service_pb2.Contact(
        source=source,
        idempotency_key=call.key,
        channel=common_pb2.CHANNEL_VOICE,
        line=call.code,
        agency=call.agency,
        topic=call.topic,
        language=call.language,
        number=call.number,
        withheld=not call.number,
        event_ms=call.arrived_ms,
        drill=drill,
        recorded=True,
    )


def events(call: Call, source: str, drill: bool) -> Iterator[service_pb2.ReportedCall]:
    """What a phone system would have reported of a call, in order."""

    def event(state: events_pb2.CallState.ValueType, at_ms: int) -> service_pb2.ReportedCall:
        return service_pb2.ReportedCall(
            source=source,
            contact_key=call.key,
            state=state,
            number=call.number,
            line=call.code,
            agency=call.agency,
            language=call.language,
            drill=drill,
            event_ms=at_ms,
        )

    yield event(events_pb2.CALL_STATE_OFFERED, call.arrived_ms)
    if call.wait_ms is None:
        return
    at_ms = call.arrived_ms + call.wait_ms
    if call.outcome == "abandoned":
        left = event(events_pb2.CALL_STATE_ABANDONED, at_ms)
        left.queue_wait_ms = call.wait_ms
        yield left
        return
    taken = event(events_pb2.CALL_STATE_ANSWERED, at_ms)
    taken.queue_wait_ms, taken.agent = call.wait_ms, call.agent
    yield taken
    if call.handling_ms is not None:
        over = event(events_pb2.CALL_STATE_ENDED, at_ms + call.handling_ms)
        over.handling_ms, over.agent = call.handling_ms, call.agent
        over.disposition = _ENDINGS[call.ending]
        yield over


class Sender:
    """Sends calls over one connection; `sent` says how far it is at any moment."""

    def __init__(self, target: str, token: str, source: str, drill: bool) -> None:
        self.sent = Sent()
        self._target = target
        self._token = token
        self._source = source
        self._drill = drill
        self._answered_s = monotonic_s()

    async def send(self, calls: Iterable[Call]) -> None:
        """Sends all of `calls`, and returns when Kafka has them and their events. Raises Away,
        Forbidden, Unauthenticated."""
        async with channels.channel(self._target, channels.folder_of()) as channel:
            contacts = ContactStream(channel, self._token)
            reporter = CallReporter(channel, self._token)
            sending = asyncio.create_task(self._send(calls, contacts, reporter))
            watching = asyncio.create_task(self._watch())
            try:
                await asyncio.wait((sending, watching), return_when=asyncio.FIRST_COMPLETED)
                if watching.done():
                    watching.result()
                sending.result()
            except grpc.aio.AioRpcError as error:
                raise error_of(error, "intake", self._target) from None
            finally:
                for task in (sending, watching):
                    task.cancel()
                await asyncio.gather(sending, watching, return_exceptions=True)
                contacts.abort()
                reporter.abort()
                self._count(reporter)
        self.sent.finished = True

    async def _send(
        self, calls: Iterable[Call], contacts: ContactStream, reporter: CallReporter
    ) -> None:
        began_ms = now_ms()
        for call in calls:
            if reporter.unanswered > _MOST_EVENTS:
                await self._room(reporter)

            def answered(answer: service_pb2.SubmitContactsResponse, call: Call = call) -> None:
                self._answered_s = monotonic_s()
                if answer.HasField("refused"):
                    self.sent.refused.append(_refused(call, answer.refused))
                    return
                self.sent.calls += 1
                self.sent.known += answer.accepted.accepted_ms < began_ms
                for event in events(call, self._source, self._drill):
                    reporter.report(event)

            await contacts.submit(contact(call, self._source, self._drill), answered)
            self._count(reporter)
        await contacts.close()
        await reporter.close()
        self._count(reporter)

    async def _room(self, reporter: CallReporter) -> None:
        """Waits until half of the events are answered."""
        for _ in range(int(2 * _SILENT_S / _LOOK_S)):
            await asyncio.sleep(_LOOK_S)
            self._count(reporter)
            if reporter.unanswered <= _MOST_EVENTS // 2:
                return

    def _count(self, reporter: CallReporter) -> None:
        if reporter.accepted > self.sent.events:
            self._answered_s = monotonic_s()
        self.sent.events = reporter.accepted
        self.sent.events_refused = len(reporter.refused)

    async def _watch(self) -> None:
        left_s = _SILENT_S
        while left_s > 0:
            await asyncio.sleep(left_s)
            left_s = self._answered_s + _SILENT_S - monotonic_s()
        raise Away(
            f"intake at {self._target} answered nothing for {_SILENT_S:.0f} s; import the file "
            "again when it is up: what is in changes nothing"
        )


def _refused(call: Call, refusal: service_pb2.Refusal) -> BadRow:
    if refusal.violations:
        first = refusal.violations[0]
        return BadRow(call.line, first.field.removeprefix("contact."), first.rule)
    return BadRow(call.line, "", refusal.message)
