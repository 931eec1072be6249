"""The shipped stream client: sends contacts and call events, and sends again what was not answered.

A lost stream, a restarting server or an UNAVAILABLE loses nothing: everything unanswered is sent
again with its key, and intake takes each key once.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

import grpc
from mawja.intake.v1 import service_pb2, service_pb2_grpc

from services.runtime import rpc
from services.runtime.clock import monotonic_s

_WINDOW = 900
# Set by intake's server in a stream's initial metadata: contacts may travel in bundles.
_BUNDLES = "mawja-bundles"
_BUNDLE = 500
_LEAST_BUNDLE = 50
_LINGER_S = 0.02
_BACKOFF_S = (0.1, 0.2, 0.5, 1.0, 2.0)
_CODES = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.INTERNAL,
    }
)
"""How a stream may end for reasons that connecting again mends."""
_RETRY = {grpc.StatusCode.RESOURCE_EXHAUSTED.value[0], grpc.StatusCode.UNAVAILABLE.value[0]}
_BATCH = 500
_COMPANY_S = 0.02

_Q = TypeVar("_Q")
_A = TypeVar("_A")
Answered = Callable[[service_pb2.SubmitContactsResponse], None]


@dataclass(slots=True)
class Counts:
    """What the client went through."""

    refused: int = 0
    resent: int = 0
    reconnects: int = 0


@dataclass(slots=True)
class _Sent:
    request: service_pb2.SubmitContactsRequest
    answered: Answered
    on_stream: int = -1


class _Resending(ABC, Generic[_Q, _A]):
    """One stream at a time, opened again after a loss with what is unanswered, until `close`."""

    def __init__(self, token: str) -> None:
        self.counts = Counts()
        self._metadata = rpc.bearer(token)
        self._closing = False
        self._wake = asyncio.Event()
        self._task = asyncio.create_task(self._run())

    @property
    @abstractmethod
    def unanswered(self) -> int:
        """How much has no answer yet."""

    @abstractmethod
    def _open(self) -> grpc.aio.StreamStreamCall[_Q, _A]:
        """A new stream, and everything unanswered queued for it."""

    @abstractmethod
    async def _write(self, call: grpc.aio.StreamStreamCall[_Q, _A]) -> None:
        """Writes what is queued, to the end."""

    @abstractmethod
    def _read(self, answer: _A) -> None:
        """Takes what the server sent."""

    async def close(self) -> None:
        """Waits until everything is answered, then ends the stream."""
        self._closing = True
        self._wake.set()
        await self._task

    def abort(self) -> None:
        """Ends at once; what is unanswered stays so."""
        self._task.cancel()

    def _finished(self) -> bool:
        return self._closing and not self.unanswered

    async def _run(self) -> None:
        failures = 0
        while not self._finished():
            call = self._open()
            writing = asyncio.create_task(self._write(call))
            try:
                async for answer in call:
                    failures = 0
                    self._read(answer)
            except grpc.aio.AioRpcError as error:
                if error.code() not in _CODES:
                    raise
            finally:
                writing.cancel()
                await asyncio.gather(writing, return_exceptions=True)
                call.cancel()
            if self._finished():
                return
            self.counts.reconnects += 1
            await asyncio.sleep(_BACKOFF_S[min(failures, len(_BACKOFF_S) - 1)])
            failures += 1


class ContactStream(
    _Resending[service_pb2.SubmitContactsRequest, service_pb2.SubmitContactsResponse]
):
    """Sends contacts over one stream at a time, at most 900 of them unanswered.

    `submit` waits for room. `answered` is called once for each contact: accepted, or refused for a
    reason that sending again does not mend.
    """

    def __init__(self, channel: grpc.aio.Channel, token: str) -> None:
        super().__init__(token)
        self._stub = service_pb2_grpc.IntakeServiceStub(channel)
        self._unanswered: dict[int, _Sent] = {}
        self._queue: deque[int] = deque()
        self._room = asyncio.Semaphore(_WINDOW)
        self._next = 0
        self._stream = 0
        # The ordinary bundles of this stream that may still be turned away as a whole.
        self._bundles: dict[int, list[int]] = {}
        # What is turned away as a whole comes again in smaller ones, which find room more easily.
        self._bundle = _BUNDLE
        self._later: set[asyncio.TimerHandle] = set()
        self._task.add_done_callback(self._ended)

    def _ended(self, _: asyncio.Task[None]) -> None:
        # Whoever waits for room learns that there will be none.
        for _place in range(_WINDOW):
            self._room.release()

    async def submit(self, contact: service_pb2.Contact, answered: Answered) -> None:
        """Queues one contact. Waits while 900 are unanswered.

        Raises grpc.aio.AioRpcError when intake refuses the stream itself, e.g. its token.
        """
        await self._room.acquire()
        if self._task.done():
            if not self._task.cancelled():
                self._task.result()
            raise RuntimeError("this stream was closed")
        sequence = self._next
        self._next += 1
        request = service_pb2.SubmitContactsRequest(sequence=sequence, contact=contact)
        self._unanswered[sequence] = _Sent(request, answered)
        self._queue.append(sequence)
        self._wake.set()

    @property
    def unanswered(self) -> int:
        """Contacts that have no answer yet."""
        return len(self._unanswered)

    def _open(
        self,
    ) -> grpc.aio.StreamStreamCall[
        service_pb2.SubmitContactsRequest, service_pb2.SubmitContactsResponse
    ]:
        self._stream += 1
        # What an earlier stream left unanswered goes first, in its old order.
        self._queue = deque(sorted(self._unanswered))
        # All of it: what waits to be sent again would otherwise be sent twice.
        while self._later:
            self._later.pop().cancel()
        self.counts.resent += sum(s.on_stream >= 0 for s in self._unanswered.values())
        self._wake.set()
        self._bundles.clear()
        return self._stub.SubmitContacts(metadata=self._metadata)

    async def _write(
        self,
        call: grpc.aio.StreamStreamCall[
            service_pb2.SubmitContactsRequest, service_pb2.SubmitContactsResponse
        ],
    ) -> None:
        # A server that does not bundle may say nothing before its first answer.
        said = asyncio.ensure_future(call.initial_metadata())
        try:
            await self._write_queued(call, said)
        finally:
            said.cancel()
            await asyncio.gather(said, return_exceptions=True)

    async def _write_queued(
        self,
        call: grpc.aio.StreamStreamCall[
            service_pb2.SubmitContactsRequest, service_pb2.SubmitContactsResponse
        ],
        said: asyncio.Future[grpc.aio.Metadata],
    ) -> None:
        while not self._finished():
            if not self._queue:
                self._wake.clear()
                await self._wake.wait()
                continue
            bundles = said.done() and said.result().get(_BUNDLES) == "1"
            if bundles and len(self._queue) < self._bundle and not self._closing:
                await asyncio.sleep(_LINGER_S)
            requests: list[service_pb2.SubmitContactsRequest] = []
            while self._queue and len(requests) < (self._bundle if bundles else 1):
                sent = self._unanswered.get(self._queue.popleft())
                if sent is not None:
                    sent.on_stream = self._stream
                    requests.append(sent.request)
            await self._send(call, requests)
        await call.done_writing()

    async def _send(
        self,
        call: grpc.aio.StreamStreamCall[
            service_pb2.SubmitContactsRequest, service_pb2.SubmitContactsResponse
        ],
        requests: list[service_pb2.SubmitContactsRequest],
    ) -> None:
        if len(requests) == 1:
            await call.write(requests[0])
            return
        urgent = [request for request in requests if request.contact.life_safety]
        ordinary = [request for request in requests if not request.contact.life_safety]
        message = service_pb2.SubmitContactsRequest(bundle=urgent)
        if ordinary:
            message.sequence = self._next
            self._next += 1
            message.ordinary = service_pb2.SubmitContactsRequest(
                bundle=ordinary
            ).SerializeToString()
            message.ordinary_count = len(ordinary)
            self._bundles[message.sequence] = [request.sequence for request in ordinary]
            while len(self._bundles) > _WINDOW:
                # Whether it is turned away is said at once, before any later one is.
                del self._bundles[next(iter(self._bundles))]
        await call.write(message)

    def _read(self, answer: service_pb2.SubmitContactsResponse) -> None:
        for one in answer.bundle or (answer,):
            refused = one.refused if one.HasField("refused") else None
            if refused is not None and refused.code in _RETRY:
                if one.whole:
                    self._bundle = max(_LEAST_BUNDLE, self._bundle // 2)
                    sequences = self._bundles.pop(one.sequence, [])
                else:
                    sequences = [one.sequence]
                self._again(sequences, refused.retry_after_ms / 1000)
            elif one.whole:
                for sequence in self._bundles.pop(one.sequence, []):
                    self._take(
                        service_pb2.SubmitContactsResponse(sequence=sequence, refused=refused)
                    )
            else:
                self._bundle = min(_BUNDLE, self._bundle + 1)
                self._take(one)

    def _take(self, answer: service_pb2.SubmitContactsResponse) -> None:
        sent = self._unanswered.pop(answer.sequence, None)
        if sent is None:
            return
        self._room.release()
        if self._finished():
            self._wake.set()
        sent.answered(answer)

    def _again(self, sequences: Iterable[int], after_s: float) -> None:
        refused = [sequence for sequence in sequences if sequence in self._unanswered]
        self.counts.refused += len(refused)

        def queue() -> None:
            self._later.discard(handle)
            self._queue.extend(refused)
            self._wake.set()

        handle = asyncio.get_running_loop().call_later(max(0.05, after_s), queue)
        self._later.add(handle)


class CallReporter(_Resending[service_pb2.ReportCallsRequest, service_pb2.ReportCallsResponse]):
    """Reports call events in order, in batches of what came in the last 20 ms.

    The events of a lost stream are reported again; a step of a call that is reported twice counts
    once.
    """

    def __init__(self, channel: grpc.aio.Channel, token: str) -> None:
        super().__init__(token)
        self._stub = service_pb2_grpc.IntakeServiceStub(channel)
        self._waiting: list[service_pb2.ReportedCall] = []
        self._batches: deque[service_pb2.ReportCallsRequest] = deque()
        self._next = 0
        self.accepted = 0
        self.refused: list[service_pb2.RefusedCall] = []

    def report(self, call: service_pb2.ReportedCall) -> None:
        """Queues one event."""
        self._waiting.append(call)
        self._wake.set()

    @property
    def unanswered(self) -> int:
        """Events that have no answer yet."""
        return len(self._waiting) + sum(len(b.calls) for b in self._batches)

    def _open(
        self,
    ) -> grpc.aio.StreamStreamCall[service_pb2.ReportCallsRequest, service_pb2.ReportCallsResponse]:
        self.counts.resent += sum(len(b.calls) for b in self._batches)
        return self._stub.ReportCalls(metadata=self._metadata)

    def _read(self, answer: service_pb2.ReportCallsResponse) -> None:
        batch = self._batches.popleft()
        if batch.sequence != answer.sequence:
            raise RuntimeError("answers to call events came out of order")
        self.accepted += answer.accepted
        self.refused.extend(answer.refused)
        self._wake.set()

    async def _write(
        self,
        call: grpc.aio.StreamStreamCall[
            service_pb2.ReportCallsRequest, service_pb2.ReportCallsResponse
        ],
    ) -> None:
        for batch in list(self._batches):
            await call.write(batch)
        last = 0.0
        while True:
            if self._waiting:
                pause = _COMPANY_S - (monotonic_s() - last)
                if pause > 0 and len(self._waiting) < _BATCH:
                    await asyncio.sleep(pause)
                last = monotonic_s()
                calls = self._waiting[:_BATCH]
                del self._waiting[: len(calls)]
                batch = service_pb2.ReportCallsRequest(sequence=self._next, calls=calls)
                self._next += 1
                self._batches.append(batch)
                await call.write(batch)
            elif self._closing and not self._batches:
                await call.done_writing()
                return
            else:
                self._wake.clear()
                await self._wake.wait()
