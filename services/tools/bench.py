"""`mawja bench`: each part beside its bare floor, in one run on one machine, as ratios.

A figure in contacts per second says how fast the machine is; a ratio to a floor measured in the
same minute says what durability costs. Floor and service take turns, so that a noisy neighbour
meets both, and every figure comes with its lowest and highest run.

- unary, stream, bundled (many contacts in one message of the stream): intake (a contact is
  answered when Kafka has it) against a bare grpc.aio server (`bench_floor echo`) with the same
  messages, the same client, the same number in flight;
- dedup, outreach: working off the backlog that intake has made, by its own processor time; and the
  pure decision alone, in this process;
- sms: broadcast (claims and receipts on the log) against a bare windowed SMPP loop
  (`bench_floor smpp`) with the same parts into the same SMS centre, both timed by its own record.

Keys of the report. A *figure* is {median, low, high, runs}.
`machine`, `busy_before` (share of the processors that other programs used, 0 to 1), `in_flight`
{unary, stream}, `request_bytes` (mean);
`unary`, `stream`, `bundled`: {ratio, per_s, bare_per_s} figures, `ratio` = durable ÷ bare within a
round;
`dedup`: {per_s_per_core, per_s, decide_per_s_per_core} figures, in contacts;
`sms`: {ratio, submits_per_s, bare_submits_per_s} figures, in parts as the SMS centre counts them;
`cpu_us`: figures of processor time in µs: intake_unary, intake_stream, intake_bundled (a contact,
with kafka's and valkey's share as intake_unary_kafka …), dedup, outreach (a contact), broadcast (a
message part);
Fewer runs than usual: the machine was too busy to do them in time.
`elapsed_s`; `contacts`: how many intake took in all.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import cycle, islice, pairwise
from pathlib import Path
from statistics import median
from time import perf_counter, process_time, sleep
from typing import Any

import psutil
import uvloop
from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2 as dedup_pb2
from mawja.intake.v1 import events_pb2, service_pb2, service_pb2_grpc
from rich.console import Group, RenderableType
from rich.table import Table

from loadtests.driver import contact
from loadtests.steps import Submit
from loadtests.surge import script
from services.dedup import data
from services.dedup.cases import Cases
from services.local.listener import Listener
from services.local.parts import Parts
from services.local.progress import Progress
from services.local.smsc.record import Submit as Submitted
from services.local.smsc.record import read_record
from services.local.system import System, token
from services.runtime import rpc
from services.runtime.clock import monotonic_s, now_ms
from services.runtime.errors import MawjaError
from services.runtime.identity import Role
from services.runtime.own import Record
from services.runtime.scan import Scan
from services.runtime.topics import CASE, CONTACT_ACCEPTED, MESSAGE_REQUESTED, Topic
from services.tools.local import make_parts, smsc_record, write_carriers
from services.tools.report import machine
from services.tools.watch import parse, total

ROUNDS = 4
_SMS_ROUNDS = 3
_SOURCE = "bench"
_WARM_S = 0.4
_MEASURED_S = 1.6
# On a busy machine fewer rounds are better than a run that nobody waits for.
_INTAKE_UNTIL_S = 80.0
_SMS_UNTIL_S = 150.0
_BUSY = 0.2
_UNARY_IN_FLIGHT = 200
_STREAMS = 2
_WINDOW = 450
"""Unanswered contacts of each stream."""
_BUNDLE = 100
_START_S = 30.0
_DRAIN_S = 25.0
_SMS_S = 15.0
_SMS_ENOUGH = 500
_PURE_CONTACTS = 10_000
_NO_PACE = 100_000
"""Parts per second of the route: more than anything here reaches, so that pace limits nothing."""

Figure = dict[str, float | int]


@dataclass(slots=True)
class Run:
    """What one run has measured so far: figures by name, one number a round."""

    parts: Parts
    progress: Progress
    keys: Path
    contacts: Iterator[service_pb2.Contact]
    measured: dict[str, list[float]] = field(default_factory=dict)
    began_s: float = field(default_factory=monotonic_s)
    taken: int = 0
    request_bytes: list[int] = field(default_factory=list)

    def note(self, name: str, value: float) -> None:
        """One more measurement of `name`."""
        self.measured.setdefault(name, []).append(value)

    def late(self, limit_s: float) -> bool:
        """Whether the run is older than `limit_s`."""
        return monotonic_s() - self.began_s > limit_s

    def figure(self, name: str) -> Figure | None:
        """The measurements of `name`; None when there is none."""
        values = self.measured.get(name)
        if not values:
            return None
        return {
            "median": _round(median(values)),
            "low": _round(min(values)),
            "high": _round(max(values)),
            "runs": len(values),
        }

    def figures(self, prefix: str) -> dict[str, Figure | None]:
        """Every figure whose name begins with `prefix.`, by the rest of the name."""
        names = [name for name in self.measured if name.startswith(prefix + ".")]
        return {name.removeprefix(prefix + "."): self.figure(name) for name in names}


def _round(value: float) -> float:
    return round(value, 3) if value < 10 else round(value, 1)


def run(home: Path, progress: Progress) -> dict[str, Any]:
    """Measures everything; under 3 minutes. Raises MawjaError with what to do."""
    started = monotonic_s()
    busy = psutil.cpu_percent(1.0) / 100
    if busy > _BUSY:
        progress.say(
            f"other programs use {busy:.0%} of this machine: the durable side, which has more "
            "processes, will look worse than it is"
        )
    with make_parts(home, brokers=1, profile="default", progress=progress) as parts:
        carriers = write_carriers(parts, _NO_PACE)
        done = Run(parts, progress, parts.home / "keys", _contacts())
        _intake(done)
        _backlog(done, "dedup", CONTACT_ACCEPTED)
        _decide(done)
        _backlog(done, "outreach", CASE)
        _sms(done, {"MAWJA_CARRIERS": str(carriers)})
    return {
        "machine": machine(),
        "busy_before": round(busy, 2),
        "in_flight": {"unary": _UNARY_IN_FLIGHT, "stream": _STREAMS * _WINDOW},
        "request_bytes": round(sum(done.request_bytes) / max(1, len(done.request_bytes))),
        "contacts": done.taken,
        **{
            name: done.figures(name)
            for name in ("unary", "stream", "bundled", "dedup", "sms", "cpu_us")
        },
        "elapsed_s": round(monotonic_s() - started, 1),
    }


def _contacts() -> Iterator[service_pb2.Contact]:
    """Contacts as a surge has them, without an end worth reaching."""
    made = script("covid-78k", calls=1_000_000, agents=500, prefix=f"bench/{now_ms()}")
    start_ms = now_ms() - int(made.shape.duration_s * 1000)
    for step in made:
        if isinstance(step, Submit):
            yield contact(step, _SOURCE, start_ms)


# Intake beside a bare server.


def _intake(done: Run) -> None:
    floor = Listener(
        "the bare server",
        lambda port: [
            sys.executable,
            "-m",
            "services.tools.bench_floor",
            "echo",
            f"--port={port}",
        ],
        done.parts.home / "bench",
        cwd=Path.cwd(),
    )
    system = System(done.parts, rooms=("intake",))
    try:
        done.progress.update("starting intake and the bare server …")
        system.start()
        floor.start()
        floor.ready()
        uvloop.run(_rounds(done, system, floor.address))
    finally:
        floor.stop()
        system.stop()


async def _rounds(done: Run, system: System, floor: str) -> None:
    bearer = rpc.bearer(token(done.keys, _SOURCE, Role.LOAD_TESTER))
    loads: dict[str, type[Load]] = {"unary": Unary, "stream": Stream, "bundled": Bundled}
    async with rpc.channel(floor) as bare, rpc.channel(system.target("intake")) as durable:
        # A JVM that has just started is several times slower than the same one later.
        done.progress.update("warming up …")
        warming = list(islice(done.contacts, Stream.enough))
        for channel in (durable, bare):
            stub = service_pb2_grpc.IntakeServiceStub(channel)
            await _measure(Stream(stub, bearer, warming), dict)
        for number in range(1, ROUNDS + 1):
            if done.late(_INTAKE_UNTIL_S):
                return
            for name, load in loads.items():
                done.progress.update(f"round {number} of {ROUNDS}: {name}")
                rates = {}
                messages = list(islice(done.contacts, load.enough))
                done.request_bytes += [message.ByteSize() for message in messages[:1000]]
                # Who goes first changes, so that neither always meets the warmer machine.
                sides = [("bare_per_s", bare), ("per_s", durable)]
                for side, channel in sides if number % 2 else reversed(sides):
                    # What keeps nothing may be given the same again.
                    requests = messages if side == "per_s" else cycle(messages)
                    stub = service_pb2_grpc.IntakeServiceStub(channel)
                    before, between, after = await _measure(
                        load(stub, bearer, requests), lambda: _cpu_s(system)
                    )
                    rates[side] = (after.count - between.count) / (after.at_s - between.at_s)
                    done.note(f"{name}.{side}", rates[side])
                    if side == "per_s":
                        _note_cpu(done, name, between, after)
                        done.taken += after.count - before.count
                done.note(f"{name}.ratio", rates["per_s"] / rates["bare_per_s"])
                ratio = done.measured[f"{name}.ratio"][-1]
                done.progress.say(
                    f"{name}: {rates['per_s']:,.0f}/s durable, {rates['bare_per_s']:,.0f}/s bare, "
                    f"{ratio:.2f}"
                )


@dataclass(frozen=True, slots=True)
class Sample:
    """How far a load was at a moment, and the processor seconds used by then, by process."""

    at_s: float
    count: int
    cpu_s: Mapping[str, float]


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
        return [asyncio.create_task(self._one_after_another()) for _ in range(_UNARY_IN_FLIGHT)]

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
        return [asyncio.create_task(self._stream()) for _ in range(_STREAMS)]

    async def _stream(self) -> None:
        room = asyncio.Semaphore(_WINDOW)
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


async def _measure(load: Load, cpu_s: Callable[[], Mapping[str, float]]) -> list[Sample]:
    """Samples at the start, after warming up, and at the end."""
    samples = [Sample(perf_counter(), 0, cpu_s())]
    tasks = load.tasks()
    for length_s in (_WARM_S, _MEASURED_S):
        await asyncio.wait(tasks, timeout=length_s, return_when=asyncio.FIRST_EXCEPTION)
        samples.append(Sample(perf_counter(), load.count, cpu_s()))
    load.stopping = True
    await asyncio.gather(*tasks)
    return samples


def _cpu_s(system: System) -> dict[str, float]:
    """Processor seconds of each process so far."""
    pids = [(replica.room, replica.process.pid) for replica in system.running]
    if system.parts.local_kafka is not None:
        pids += [("kafka", node.pid) for node in system.parts.local_kafka.nodes]
    if system.parts.local_valkey is not None:
        pids.append(("valkey", system.parts.local_valkey.pid))
    used: dict[str, float] = {}
    for name, pid in pids:
        times = psutil.Process(pid).cpu_times()
        used[name] = used.get(name, 0.0) + times.user + times.system
    return used


def _note_cpu(done: Run, name: str, before: Sample, after: Sample) -> None:
    count = after.count - before.count
    for process in after.cpu_s:
        label = f"intake_{name}" if process == "intake" else f"intake_{name}_{process}"
        used_us = (after.cpu_s[process] - before.cpu_s[process]) * 1e6
        done.note(f"cpu_us.{label}", used_us / max(1, count))


# Dedup and outreach on the backlog.


def _backlog(done: Run, room: str, topic: Topic) -> None:
    """Starts a room on what waits for it, and watches how far it is until nothing moves."""
    done.progress.update(f"{room}: starting on its backlog …")
    system = System(done.parts, rooms=(room,))
    points: list[Sample] = []
    # It works while it is still getting ready, so the start is not waited for.
    with ThreadPoolExecutor(1) as starting:
        started = starting.submit(system.start)
        try:
            _watch(done, system, room, topic, points)
            started.result()
        finally:
            wait([started])
            system.stop()
    cut = [points[(len(points) - 1) * i // ROUNDS] for i in range(ROUNDS + 1)] if points else []
    for before, after in pairwise(cut):
        count, cpu_s = after.count - before.count, after.cpu_s[room] - before.cpu_s[room]
        if count <= 0 or cpu_s <= 0:
            continue
        done.note(f"cpu_us.{room}", cpu_s / count * 1e6)
        if room == "dedup":
            done.note("dedup.per_s_per_core", count / cpu_s)
            done.note("dedup.per_s", count / (after.at_s - before.at_s))
    found = done.figure(f"cpu_us.{room}")
    if found is not None:
        done.progress.say(f"{room}: {found['median']:,.0f} µs of processor time per contact")


def _watch(done: Run, system: System, room: str, topic: Topic, points: list[Sample]) -> None:
    """Notes each moment at which the room has got on, until it is through."""
    waiting = _count(done, topic)
    deadline = perf_counter() + _START_S
    while perf_counter() < deadline:
        count = _worked(system, room, topic)
        if count > (points[-1].count if points else 0):
            if not points:
                deadline = perf_counter() + _DRAIN_S
            points.append(Sample(perf_counter(), count, _cpu_s(system)))
            done.progress.update(f"{room}: {count:,} of {waiting:,} worked through")
        if count >= waiting:
            return
        sleep(0.1)


def _worked(system: System, room: str, topic: Topic) -> int:
    """Records of `topic` that the room says it has read; 0 while it does not answer yet."""
    for url in system.metrics_urls().values():
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 our own loopback
                samples = parse(answer.read().decode())
        except (OSError, ValueError):
            continue
        return int(total(samples, "mawja_worker_records_total", group=room, topic=topic.name))
    return 0


def _decide(done: Run) -> None:
    """The pure decision on contacts that are read already, in this process."""
    done.progress.update("deciding alone …")
    contacts: dict[tuple[int, int], events_pb2.ContactAccepted] = {}
    prepared: list[tuple[events_pb2.ContactAccepted, list[int], str]] = []

    def read(record: Record) -> None:
        contacts[record.partition, record.offset] = events_pb2.ContactAccepted.FromString(
            record.value or b""
        )

    def shown(record: Record) -> None:
        # What the texts show stands in the log; it is not what is measured here.
        decision = dedup_pb2.CaseDecision.FromString(record.value or b"")
        found = contacts.get((record.partition, decision.input.offset))
        if found is not None and decision.HasField("link") and len(prepared) < _PURE_CONTACTS:
            prepared.append((found, list(decision.shape), decision.link.language))

    for topic, take in ((CONTACT_ACCEPTED, read), (CASE, shown)):
        with Scan(done.parts.kafka, (topic,)) as scan:
            scan.advance(take)
    if not prepared:
        return
    now = now_ms()
    for _ in range(ROUNDS):
        cases = Cases(data.rules())
        before_s = process_time()
        for offset, (one, shape, language) in enumerate(prepared):
            at = common_pb2.Input(topic=CONTACT_ACCEPTED.name, offset=offset)
            cases.contact(one, shape, language, at, now)
        done.note("dedup.decide_per_s_per_core", len(prepared) / (process_time() - before_s))


# Broadcast beside a bare loop.


def _sms(done: Run, env: Mapping[str, str]) -> None:
    record = smsc_record(done.parts.home)
    if done.parts.local_smsc is None:
        done.progress.say("sms: not measured, since MAWJA_SMPP names an SMS centre of your own")
        return
    quota = _count(done, MESSAGE_REQUESTED) // _SMS_ROUNDS
    if quota < _SMS_ENOUGH:
        done.progress.say(f"sms: only {quota} messages a round wait to be sent; not measured")
        return
    for number in range(1, _SMS_ROUNDS + 1):
        if number > 1 and done.late(_SMS_UNTIL_S):
            return
        system = System(done.parts, env=env, rooms=("broadcast",))
        begin = len(_submits(record))
        try:
            done.progress.update(f"sms, round {number} of {_SMS_ROUNDS}: broadcast …")
            system.start()
            before_s = _cpu_s(system)["broadcast"]
            _while_it_sends(record, quota)
            used_s = _cpu_s(system)["broadcast"] - before_s
        finally:
            system.stop()
        through = _submits(record)[begin:]
        if len(through) < quota // 2:
            raise MawjaError(
                f"broadcast sent {len(through)} parts of {quota} messages within {_SMS_S:.0f} s: "
                f"{system.logs}/broadcast-0.log tells why"
            )
        done.note("cpu_us.broadcast", used_s / len(through) * 1e6)
        done.progress.update(f"sms, round {number} of {_SMS_ROUNDS}: the bare loop …")
        bare = _bare(done, through)
        rate, bare_rate = _rate(through), _rate(bare)
        done.note("sms.submits_per_s", rate)
        done.note("sms.bare_submits_per_s", bare_rate)
        done.note("sms.ratio", rate / bare_rate)
        done.progress.say(
            f"sms: {rate:,.0f} parts/s through broadcast, {bare_rate:,.0f} bare, "
            f"{rate / bare_rate:.2f}"
        )


def _count(done: Run, topic: Topic) -> int:
    """Records of a topic that count."""
    count = 0

    def take(_: Record) -> None:
        nonlocal count
        count += 1

    with Scan(done.parts.kafka, (topic,)) as scan:
        scan.advance(take)
    return count


def _while_it_sends(record: Path, quota: int) -> None:
    """Waits until the SMS centre has been given `quota` parts more, or a round's time is over."""
    began = monotonic_s()
    with record.open("rb") as lines:
        lines.seek(0, os.SEEK_END)
        while quota > 0 and monotonic_s() - began < _SMS_S:
            sleep(0.05)
            quota -= lines.read().count(b"\n")


def _submits(record: Path) -> list[Submitted]:
    return [submit for submit in read_record(record) if submit.accepted]


def _bare(done: Run, through: Sequence[Submitted]) -> list[Submitted]:
    """The same parts through the bare loop, as the SMS centre records them."""
    assert done.parts.local_smsc is not None
    record = smsc_record(done.parts.home)
    parts = done.parts.home / "bench" / "parts.jsonl"
    parts.write_text(
        "".join(
            json.dumps(
                {"to": s.destination, "dc": s.data_coding, "udhi": s.udhi, "hex": s.payload.hex()}
            )
            + "\n"
            for s in through
        )
    )
    begin = len(_submits(record))
    port = done.parts.local_smsc.port
    command = [sys.executable, "-m", "services.tools.bench_floor", "smpp", f"--port={port}"]
    try:
        subprocess.run([*command, f"--parts={parts}"], check=True, timeout=60)
    except subprocess.SubprocessError as error:
        raise MawjaError(f"the bare SMPP loop failed ({error}); run it again") from None
    finally:
        parts.unlink()
    return _submits(record)[begin:]


def _rate(submits: Sequence[Submitted]) -> float:
    """Submits per second of the middle four fifths, by the SMS centre's clock."""
    times = sorted(submit.t for submit in submits)
    first, last = len(times) // 10, len(times) * 9 // 10
    return (last - first) / max(1e-9, times[last] - times[first])


# What a person sees.

_ROWS = (
    ("unary intake ÷ bare gRPC echo", "unary", "ratio", ""),
    ("  durable", "unary", "per_s", "/s"),
    ("  bare", "unary", "bare_per_s", "/s"),
    ("stream intake ÷ bare gRPC stream", "stream", "ratio", ""),
    ("  durable", "stream", "per_s", "/s"),
    ("  bare", "stream", "bare_per_s", "/s"),
    ("bundled intake ÷ bare gRPC, bundled", "bundled", "ratio", ""),
    ("  durable", "bundled", "per_s", "/s"),
    ("  bare", "bundled", "bare_per_s", "/s"),
    ("dedup, contacts a second and core", "dedup", "per_s_per_core", "/s"),
    ("  of which the decision alone could do", "dedup", "decide_per_s_per_core", "/s"),
    ("SMS through broadcast ÷ bare SMPP loop", "sms", "ratio", ""),
    ("  broadcast", "sms", "submits_per_s", "/s"),
    ("  bare", "sms", "bare_submits_per_s", "/s"),
)


def render(result: Mapping[str, Any]) -> RenderableType:
    """The report of a bench as a table."""
    found = result["machine"]
    table = Table(
        title=f"{found['cpu']}, {found['cores']} cores, Python {found['python']}",
        title_justify="left",
        box=None,
    )
    table.add_column("")
    for column in ("median", "low", "high", "runs"):
        table.add_column(column, justify="right")
    for words, section, name, unit in _ROWS:
        _row(table, words, result.get(section, {}).get(name), unit)
    cpu = Table(title="Processor time", title_justify="left", box=None)
    cpu.add_column("")
    for column in ("median", "low", "high", "runs"):
        cpu.add_column(column, justify="right")
    for name, figure in result["cpu_us"].items():
        of = "a part" if name == "broadcast" else "a contact"
        _row(cpu, f"{name.replace('_', ', ')}, {of}", figure, " µs")
    return Group(table, "", cpu)


def _row(table: Table, words: str, figure: Figure | None, unit: str) -> None:
    if figure is None:
        table.add_row(words, "–", "", "", "")
        return

    def shown(value: float) -> str:
        return f"{value:,.2f}" if not unit else f"{value:,.0f}{unit}"

    table.add_row(
        words,
        shown(figure["median"]),
        shown(figure["low"]),
        shown(figure["high"]),
        str(figure["runs"]),
    )
