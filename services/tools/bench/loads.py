"""The loads on intake, unary and streamed: the same for the service and for its bare floor."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from time import perf_counter

from mawja.intake.v1 import service_pb2, service_pb2_grpc

from services.runtime.errors import MawjaError
from services.tools.bench.probe import Sample

_WARM_S = 0.4
_MEASURED_S = 1.6
UNARY_IN_FLIGHT = 200
STREAMS = 2
WINDOW = 450
"""Unanswered contacts of each stream."""
_BUNDLE = 100


class Load:
    """Sends `requests` until they end or `stopping` is set; `count` were answered."""

    enough = 0
    """Contacts that no round works through."""

    def __init__(
        self,
        stub: service_pb2_grpc.IntakeServiceAsyncStub,
        metadata: tuple[tuple[str, str], ...],
        requests: Iterable[service_pb2.Contact],
    ) -> None:
        self.stub = stub
        self.metadata = metadata
        self.requests = iter(requests)
        self.count = 0
        self.stopping = False

    def tasks(self) -> list[asyncio.Task[None]]:
        """Begins."""
        raise NotImplementedError


class Unary(Load):
    """SubmitContact, 200 in flight."""

    enough = 8_000

    def tasks(self) -> list[asyncio.Task[None]]:
        """Begins."""
        return [asyncio.create_task(self._one_after_another()) for _ in range(UNARY_IN_FLIGHT)]

    async def _one_after_another(self) -> None:
        for one in self.requests:
            if self.stopping:
                return
            await self.stub.SubmitContact(
                service_pb2.SubmitContactRequest(contact=one), metadata=self.metadata, timeout=20
            )
            self.count += 1


class Stream(Load):
    """SubmitContacts, two streams of 450 in flight."""

    enough = 15_000

    def tasks(self) -> list[asyncio.Task[None]]:
        """Begins."""
        return [asyncio.create_task(self._stream()) for _ in range(STREAMS)]

    async def _stream(self) -> None:
        room = asyncio.Semaphore(WINDOW)
        async for answer in self.stub.SubmitContacts(self._sent(room), metadata=self.metadata):
            for one in answer.bundle or (answer,):
                if not one.HasField("accepted"):
                    raise MawjaError(f"intake refused: {one.refused.message}; nothing is measured")
                self.count += 1
                room.release()

    async def _sent(
        self, room: asyncio.Semaphore
    ) -> AsyncIterator[service_pb2.SubmitContactsRequest]:
        for sequence, one in enumerate(self.requests):
            if self.stopping:
                return
            await room.acquire()
            yield service_pb2.SubmitContactsRequest(sequence=sequence, contact=one)


class Bundled(Stream):
    """The same, up to 100 contacts in a message, as the shipped client sends them."""

    enough = 25_000

    async def _sent(
        self, room: asyncio.Semaphore
    ) -> AsyncIterator[service_pb2.SubmitContactsRequest]:
        requests = enumerate(self.requests)
        while not self.stopping:
            await room.acquire()
            bundle = service_pb2.SubmitContactsRequest()
            for sequence, one in requests:
                bundle.bundle.add(sequence=sequence, contact=one)
                if len(bundle.bundle) == _BUNDLE or room.locked():
                    break
                await room.acquire()
            if not bundle.bundle:
                return
            yield bundle


async def measure(load: Load, cpu_s: Callable[[], Mapping[str, float]]) -> list[Sample]:
    """Samples at the start, after warming up, and at the end."""
    samples = [Sample(perf_counter(), 0, cpu_s())]
    tasks = load.tasks()
    for length_s in (_WARM_S, _MEASURED_S):
        await asyncio.wait(tasks, timeout=length_s, return_when=asyncio.FIRST_EXCEPTION)
        samples.append(Sample(perf_counter(), load.count, cpu_s()))
    load.stopping = True
    await asyncio.gather(*tasks)
    return samples
