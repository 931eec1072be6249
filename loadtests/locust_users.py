"""What Locust's users share, and how each sends: one script for all of them, at its instants.

Locust's own pacing (wait times, constant throughput, load shapes) is a closed loop: a user that
waits for an answer sends nothing meanwhile, so a slow system is asked less and looks better than it
is. Here the script says when each contact is due. Whichever user is free takes the next one, sends
it at that instant or, when none was free, later, and its latency counts from the instant all the
same (G. Tene's "coordinated omission").

Runs under gevent, and only under Locust.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import gevent
import grpc
from gevent.event import Event
from gevent.lock import BoundedSemaphore
from gevent.queue import Queue
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from mawja.intake.v1 import service_pb2, service_pb2_grpc

from loadtests.driver import contact, truth
from loadtests.ledger import Ledger
from loadtests.steps import Step, Submit
from services.runtime import ids, rpc
from services.runtime.clock import monotonic_s

_TIMEOUT_S = 10.0
_WINDOW = 900
"""Unanswered contacts of one stream: the server reads no further beyond 1,000."""
_BACKOFF_S = 0.2
_AGAIN = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED})
_AGAIN_CODES = frozenset(code.value[0] for code in _AGAIN)
_LOST_STREAM = _AGAIN | {grpc.StatusCode.CANCELLED, grpc.StatusCode.UNKNOWN}


@dataclass(frozen=True, slots=True)
class Due:
    """One contact of the script, and its instant by the monotonic clock, seconds."""

    contact: service_pb2.Contact
    contact_id: str
    at_s: float


@dataclass(slots=True)
class Counts:
    """What became of the script. `again`: sent once more after a refusal that passes, or a lost
    stream. Latencies in seconds from the scheduled instant."""

    sent: int = 0
    accepted: int = 0
    failed: int = 0
    again: int = 0
    behind_s: float = 0.0
    latencies_s: list[float] = field(default_factory=list)

    @property
    def open(self) -> int:
        """Contacts that were taken from the script and have no end yet."""
        return self.sent - self.accepted - self.failed


class Feed:
    """The script's contacts in order, each for whichever user takes it.

    `compression`: virtual seconds in a real one; `start_ms`: Unix time of virtual second 0;
    `patience_s`: how long after its instant a contact is still tried. Call events of the script
    are left out: Locust's users are people, not the telephone system.
    """

    def __init__(
        self,
        script: Iterator[Step],
        source: str,
        *,
        start_ms: int,
        compression: float,
        patience_s: float,
        ledger: Ledger,
    ) -> None:
        self._steps = (step for step in script if isinstance(step, Submit))
        self._source = source
        self._start_ms = start_ms
        self._compression = compression
        self._ledger = ledger
        self._started = Event()
        self._start_s = 0.0
        self.patience_s = patience_s
        self.ended = False
        self.counts = Counts()

    def start(self) -> None:
        """Virtual second 0 is now."""
        self._start_s = monotonic_s()
        self._started.set()

    def close(self) -> None:
        """Gives out nothing more."""
        self.ended = True
        self._started.set()

    def next(self) -> Due | None:
        """The next contact once its instant has come; None when there is no more."""
        self._started.wait()
        step = None if self.ended else next(self._steps, None)
        if step is None:
            self.ended = True
            return None
        at_s = self._start_s + step.at / self._compression
        message = contact(step, self._source, self._start_ms)
        due = Due(message, ids.contact_id(message.source, message.idempotency_key), at_s)
        self._ledger.expect(due.contact_id, truth(step))
        self.counts.sent += 1
        gevent.sleep(max(0.0, at_s - monotonic_s()))
        self.counts.behind_s = max(self.counts.behind_s, monotonic_s() - at_s)
        return due

    def accepted(self, due: Due, contact_id: str) -> float:
        """The contact was acknowledged. Returns its latency, milliseconds."""
        latency_s = monotonic_s() - due.at_s
        self.counts.accepted += 1
        self.counts.latencies_s.append(latency_s)
        self._ledger.acknowledge(contact_id)
        return latency_s * 1000

    def failed(self, due: Due) -> float:
        """The contact was refused for good, or for too long. Returns the milliseconds since its
        instant."""
        self.counts.failed += 1
        return (monotonic_s() - due.at_s) * 1000

    def patient(self, due: Due) -> bool:
        """Whether it is worth trying again."""
        return monotonic_s() - due.at_s < self.patience_s


class Refused(Exception):
    """A contact was not accepted; the sentence is the server's."""


Told = Callable[[str, float, Exception | None], None]
"""Tells Locust of a contact that has its end: method, milliseconds, None when it was accepted."""


class Unary:
    """Sends contacts one at a time with SubmitContact."""

    name = "SubmitContact"

    def __init__(self, channel: grpc.Channel, token: str, feed: Feed, told: Told) -> None:
        self._submit = service_pb2_grpc.IntakeServiceStub(channel).SubmitContact
        self._metadata = rpc.bearer(token)
        self._feed = feed
        self._told = told

    def perform(self) -> bool:
        """Sends the next contact and waits for its end; False when there is none."""
        due = self._feed.next()
        if due is None:
            return False
        request = service_pb2.SubmitContactRequest(contact=due.contact)
        while True:
            try:
                answer = self._submit(request, metadata=self._metadata, timeout=_TIMEOUT_S)
            except grpc.RpcError as error:
                code, why = error.code(), error.details()
                if code in _AGAIN and self._feed.patient(due):
                    self._feed.counts.again += 1
                    gevent.sleep(_delay_s(error))
                    continue
                refused = Refused(f"{code.name}: {why}")
                self._told(self.name, self._feed.failed(due), refused)
            else:
                self._told(self.name, self._feed.accepted(due, answer.contact_id), None)
            return True


def _delay_s(error: grpc.RpcError) -> float:
    """The delay that a refusal asks for (google.rpc.RetryInfo), at least the shortest one."""
    status = rpc_status.from_call(error)  # type: ignore[arg-type]
    for detail in status.details if status else ():
        info = error_details_pb2.RetryInfo()
        if detail.Unpack(info):
            return max(_BACKOFF_S, info.retry_delay.ToTimedelta().total_seconds())
    return _BACKOFF_S


class Stream:
    """Sends contacts over one SubmitContacts stream, up to 900 of them unanswered, and sends again
    what a lost stream left unanswered."""

    name = "SubmitContacts"

    def __init__(self, channel: grpc.Channel, token: str, feed: Feed, told: Told) -> None:
        self._stub = service_pb2_grpc.IntakeServiceStub(channel)
        self._metadata = rpc.bearer(token)
        self._feed = feed
        self._told = told
        self._open: dict[int, Due] = {}
        self._room = BoundedSemaphore(_WINDOW)
        self._requests: Queue[service_pb2.SubmitContactsRequest | None] = Queue()
        self._sequence = 0
        self._all_sent = False

    def perform(self) -> bool:
        """Sends until there is nothing more and everything has its end. Returns False."""
        taking = gevent.spawn(self._take)
        try:
            while not (self._all_sent and not self._open):
                self._requests = Queue()
                for sequence in sorted(self._open):
                    self._feed.counts.again += 1
                    self._put(sequence)
                self._end_when_done()
                self._one_stream()
        finally:
            taking.kill()
        return False

    def _one_stream(self) -> None:
        requests = iter(self._requests.get, None)
        call = self._stub.SubmitContacts(requests, metadata=self._metadata)
        try:
            for answer in call:
                self._answered(answer)
        except grpc.RpcError as error:
            code, why = error.code(), error.details()
            for sequence, due in list(self._open.items()):
                if code not in _LOST_STREAM or not self._feed.patient(due):
                    self._end(sequence, Refused(f"{code.name}: {why}"))
            gevent.sleep(_BACKOFF_S)
        finally:
            # Ends the iterator, for which a thread of gRPC waits.
            self._requests.put(None)
            call.cancel()

    def _take(self) -> None:
        while True:
            self._room.acquire()
            due = self._feed.next()
            if due is None:
                self._all_sent = True
                self._end_when_done()
                return
            self._sequence += 1
            self._open[self._sequence] = due
            self._put(self._sequence)

    def _put(self, sequence: int) -> None:
        due = self._open.get(sequence)
        if due is not None:
            self._requests.put(
                service_pb2.SubmitContactsRequest(sequence=sequence, contact=due.contact)
            )

    def _answered(self, answer: service_pb2.SubmitContactsResponse) -> None:
        due = self._open.get(answer.sequence)
        if due is None:
            return
        if answer.HasField("accepted"):
            self._end(answer.sequence, None, answer.accepted.contact_id)
            return
        refusal = answer.refused
        if refusal.code in _AGAIN_CODES and self._feed.patient(due):
            self._feed.counts.again += 1
            delay_s = max(_BACKOFF_S, refusal.retry_after_ms / 1000)
            gevent.spawn_later(delay_s, self._put, answer.sequence)
            return
        self._end(answer.sequence, Refused(f"code {refusal.code}: {refusal.message}"))

    def _end(self, sequence: int, refused: Refused | None, contact_id: str = "") -> None:
        due = self._open.pop(sequence)
        self._room.release()
        if refused is None:
            self._told(self.name, self._feed.accepted(due, contact_id), None)
        else:
            self._told(self.name, self._feed.failed(due), refused)
        self._end_when_done()

    def _end_when_done(self) -> None:
        if self._all_sent and not self._open:
            self._requests.put(None)
