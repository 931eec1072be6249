"""An open-loop sender of contacts, as a process of its own: `python -m tests.faults.flood`.

Reads one plan (JSON) from stdin, makes every bundle beforehand, performs the plan and writes what
it saw to stdout. Bundles are due at instants that do not depend on any answer, spread over several
connections as from several gateways, and latency counts from those instants. A closed-loop
segment keeps one bundle of each stream unanswered instead.

Beside the bundles go single contacts (*probes*), half of them life-safety, over a connection of
their own.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import AsyncIterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any
from zlib import crc32

import grpc
import uvloop
from mawja.common.v1 import common_pb2
from mawja.intake.v1 import service_pb2, service_pb2_grpc

from services.runtime import rpc
from tests.faults.flood_plan import WARMING_S, Plan, Seen, Segment

BUNDLE = 500
_METHOD = "/mawja.intake.v1.IntakeService/SubmitContacts"
_PEOPLE = 20_000
_TEXT = "انقطاع المياه في الحي منذ الصباح"
_DRAIN_S = 15.0


@dataclass(slots=True)
class _Bundle:
    data: bytes
    urgent: frozenset[int]
    segment: _Running
    due_s: float = 0.0
    left: int = BUNDLE


@dataclass(slots=True)
class _Running:
    segment: Segment
    seen: Seen
    bundles: deque[int]
    began_s: float = 0.0

    def next(self) -> int:
        """The bundle to be sent next."""
        assert self.bundles, "intake takes more than was thought: raise most_per_s"
        return self.bundles.popleft()


class Flood:
    """Performs a plan."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._bundles: list[_Bundle] = []
        self.running: list[_Running] = []
        self._event_ms = int(time.time() * 1000)
        self._peak_per_s = 0.0
        for number, segment in enumerate(plan.segments):
            self._prepare(number, segment)

    def _prepare(self, number: int, segment: Segment) -> None:
        running = _Running(segment, Seen(segment.name), deque())
        self.running.append(running)
        rate = (segment.times or 1.0) * self.plan.most_per_s
        share = segment.urgent / segment.times if segment.times else 0.0
        owed = 0.0
        for _ in range(int(rate * segment.seconds / BUNDLE) + self.plan.streams):
            first = len(self._bundles) * BUNDLE
            urgent = set()
            ordinary: list[service_pb2.SubmitContactsRequest] = []
            apart: list[service_pb2.SubmitContactsRequest] = []
            for sequence in range(first, first + BUNDLE):
                owed += share
                if owed >= 1:
                    owed -= 1
                    urgent.add(sequence)
                made = service_pb2.SubmitContactsRequest(
                    sequence=sequence,
                    contact=self._contact(f"{number}-{sequence}", sequence in urgent),
                )
                (apart if sequence in urgent else ordinary).append(made)
            # As the shipped client does it.
            message = service_pb2.SubmitContactsRequest(
                sequence=len(self._bundles),
                bundle=apart,
                ordinary=service_pb2.SubmitContactsRequest(bundle=ordinary).SerializeToString(),
                ordinary_count=len(ordinary),
            )
            data = message.SerializeToString()
            running.bundles.append(len(self._bundles))
            self._bundles.append(_Bundle(data, frozenset(urgent), running))

    def _contact(self, key: str, urgent: bool) -> service_pb2.Contact:
        person = crc32(key.encode()) % _PEOPLE
        return service_pb2.Contact(
            source=self.plan.source,
            idempotency_key=key,
            channel=common_pb2.CHANNEL_WEB,
            number=f"+9995{person:08d}",
            text=_TEXT,
            language="ar",
            life_safety=urgent,
            event_ms=self._event_ms,
            drill=True,
        )

    async def run(self) -> list[Seen]:
        """Sends all of it, waits for the answers, and says what was seen."""
        options = [*rpc.CHANNEL_OPTIONS, ("grpc.use_local_subchannel_pool", 1)]
        channels = [
            grpc.aio.insecure_channel(self.plan.target, options=options)
            for _ in range(self.plan.streams + 1)
        ]
        try:
            streams = [_Stream(self, channel, self.plan.token) for channel in channels[1:]]
            probing = service_pb2_grpc.IntakeServiceStub(channels[0])
            for running in self.running:
                await self._perform(running, streams, probing)
            await asyncio.gather(*(stream.end() for stream in streams))
        finally:
            for channel in channels:
                await channel.close()
        for bundle in self._bundles:
            if bundle.due_s:
                bundle.segment.seen.unanswered += bundle.left
        return [running.seen for running in self.running]

    async def _perform(
        self,
        running: _Running,
        streams: list[_Stream],
        probing: service_pb2_grpc.IntakeServiceAsyncStub,
    ) -> None:
        segment, seen = running.segment, running.seen
        seen.planned_per_s = segment.times * self._peak_per_s
        cpu_s, busy_s = _cpu_s(self.plan.intake_pid), _busy_s(self.plan.core)
        running.began_s = time.monotonic()
        until = running.began_s + segment.seconds
        probes = asyncio.create_task(self._probe(running, probing, until))
        await asyncio.gather(
            *(
                stream.open(running, index, until)
                if segment.times
                else stream.closed(running, until)
                for index, stream in enumerate(streams)
            )
        )
        await asyncio.sleep(until - time.monotonic())
        seen.seconds = time.monotonic() - running.began_s
        seen.intake_cpu_s = _cpu_s(self.plan.intake_pid) - cpu_s
        seen.busy_s = _busy_s(self.plan.core) - busy_s
        if not segment.times:
            self._peak_per_s = seen.done_per_s
        await probes

    async def _probe(
        self,
        running: _Running,
        probing: service_pb2_grpc.IntakeServiceAsyncStub,
        until: float,
    ) -> None:
        count = int(running.segment.seconds * self.plan.probes_per_s)
        metadata = rpc.bearer(self.plan.token)

        async def one(index: int) -> None:
            due = running.began_s + index / self.plan.probes_per_s
            urgent = index % 2 == 1
            made = self._contact(f"p-{running.segment.name}-{index}", urgent)
            await asyncio.sleep(due - time.monotonic())
            seen = running.seen
            try:
                await probing.SubmitContact(
                    service_pb2.SubmitContactRequest(contact=made), metadata=metadata, timeout=20
                )
            except grpc.aio.AioRpcError as error:
                took = time.monotonic() - due
                if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                    seen.wrong.append(error.code().name)
                    return
                seen.urgent_probes_refused += urgent
                seen.probes_refused.append((due - running.began_s, took, 1))
            else:
                seen.probes_accepted.append((due - running.began_s, time.monotonic() - due, 1))

        await asyncio.gather(*(one(index) for index in range(count)))

    def answered(self, response: service_pb2.SubmitContactsResponse) -> int:
        """Books a message of answers and says for how many contacts it was."""
        now = time.monotonic()
        counts: Counter[tuple[int, bool, bool]] = Counter()
        for one in response.bundle or (response,):
            if one.HasField("accepted"):
                index = one.sequence // BUNDLE
                counts[index, one.sequence in self._bundles[index].urgent, True] += 1
                continue
            index = one.sequence if one.whole else one.sequence // BUNDLE
            bundle = self._bundles[index]
            if one.refused.code != grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]:
                bundle.segment.seen.wrong.append(one.refused.message)
            elif one.refused.retry_after_ms < 1:
                bundle.segment.seen.wrong.append("a refusal without a delay")
            if one.whole:
                counts[index, False, False] += BUNDLE - len(bundle.urgent)
            else:
                counts[index, one.sequence in bundle.urgent, False] += 1
        for (index, urgent, accepted), count in counts.items():
            bundle = self._bundles[index]
            bundle.left -= count
            seen = bundle.segment.seen
            sample = (bundle.due_s - bundle.segment.began_s, now - bundle.due_s, count)
            if accepted:
                (seen.urgent_accepted if urgent else seen.accepted).append(sample)
            else:
                (seen.urgent_refused if urgent else seen.refused).append(sample)
        return sum(counts.values())

    def sent(self, index: int, due_s: float) -> bytes:
        """The message of a bundle that goes out now and was due at `due_s`."""
        bundle = self._bundles[index]
        bundle.due_s = due_s
        seen = bundle.segment.seen
        seen.offered += BUNDLE
        seen.urgent += len(bundle.urgent)
        seen.behind_s.append(max(0.0, time.monotonic() - due_s))
        return bundle.data


class _Stream:
    """One gateway's stream."""

    def __init__(self, flood: Flood, channel: grpc.aio.Channel, token: str) -> None:
        self._flood = flood
        method = channel.stream_stream(
            _METHOD,
            request_serializer=_as_it_is,
            response_deserializer=service_pb2.SubmitContactsResponse.FromString,
        )
        self._call: Any = method(metadata=rpc.bearer(token))
        self._unanswered = 0
        self._answer = asyncio.Event()
        self._reading = asyncio.create_task(self._read(self._call))

    async def open(self, running: _Running, index: int, until: float) -> None:
        """Its share of an open-loop segment."""
        streams = self._flood.plan.streams
        every = BUNDLE / running.seen.planned_per_s
        due = running.began_s + index * every
        while due < until:
            await asyncio.sleep(due - time.monotonic())
            self._unanswered += BUNDLE
            await self._write(running.next(), due)
            due += streams * every

    async def closed(self, running: _Running, until: float) -> None:
        """A closed-loop segment."""
        while time.monotonic() < until:
            if self._unanswered:
                self._answer.clear()
                await self._answer.wait()
                continue
            self._unanswered += BUNDLE
            await self._write(running.next(), time.monotonic())

    async def _write(self, index: int, due_s: float) -> None:
        await self._call.write(self._flood.sent(index, due_s))

    async def end(self) -> None:
        """Waits for the answers that are still to come, 15 s at most."""
        await self._call.done_writing()
        try:
            async with asyncio.timeout(_DRAIN_S):
                await self._reading
        except TimeoutError:
            self._call.cancel()

    async def _read(self, call: AsyncIterable[service_pb2.SubmitContactsResponse]) -> None:
        async for response in call:
            self._unanswered -= self._flood.answered(response)
            self._answer.set()


def _as_it_is(data: bytes) -> bytes:
    return data


_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def _cpu_s(pid: int) -> float:
    """Processor seconds that a process has used."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICK_S


def _busy_s(core: int) -> float:
    """Seconds for which a processor was not idle, what the host took from it included."""
    with open("/proc/stat") as file:
        fields = next(line for line in file if line.startswith(f"cpu{core} ")).split()
    used = [int(field) for field in fields[1:9]]
    return (sum(used) - used[3] - used[4]) * _TICK_S


@contextmanager
def _paced(flood: Flood) -> Iterator[None]:
    """Measures the pace of intake's processor meanwhile."""
    with tempfile.TemporaryFile("w+") as lines:
        pace = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.pace", str(flood.plan.core)], stdout=lines
        )
        try:
            yield
        finally:
            pace.kill()
            pace.wait()
        lines.seek(0)
        # The last one may have been cut off.
        measured = [tuple(map(float, line.split())) for line in list(lines)[:-1]]
    for running in flood.running:
        until = running.began_s + running.seen.seconds
        inside = [took for at, took in measured if running.began_s + WARMING_S <= at < until]
        running.seen.pace_s = statistics.mean(inside)


def main() -> None:
    """Performs the plan that comes on stdin."""
    given = json.load(sys.stdin)
    given["segments"] = [Segment(**segment) for segment in given["segments"]]
    flood = Flood(Plan(**given))
    with _paced(flood):
        seen = uvloop.run(flood.run())
    json.dump([asdict(one) for one in seen], sys.stdout)


if __name__ == "__main__":
    main()
