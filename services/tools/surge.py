"""`mawja surge`: the whole system on real parts, a wave through it, and the account of it."""

from __future__ import annotations

import asyncio
import json
import platform
import signal
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil
from grpc.aio import AioRpcError
from mawja.wave.v1 import events_pb2 as wave_events
from mawja.wave.v1 import service_pb2 as wave_pb2
from mawja.wave.v1 import service_pb2_grpc as wave_grpc

from loadtests.driver import Driver, Sent
from loadtests.ledger import TOPICS, Account, Ledger, percentile
from loadtests.people import switchboards
from loadtests.replay import Replay
from loadtests.steps import Step
from loadtests.surge import Script
from services.local.parts import Parts
from services.local.progress import Progress
from services.local.smsc.record import read_record
from services.local.system import System, token
from services.runtime import rpc
from services.runtime.clock import monotonic_s, now_ms
from services.runtime.errors import Away
from services.runtime.identity import Role
from services.runtime.scan import Lag, Scan
from services.runtime.topics import CALL_EVENT, CASE, CONTACT_ACCEPTED
from services.tools.local import make_parts, make_system, smsc_record
from services.tools.watch import Glance, glance

SOURCE = "load-test"
_TAIL_S = 3600.0
_SETTLED_S = 30.0
"""How long nothing may move before what is open is called unknown."""


@dataclass(frozen=True, slots=True)
class Order:
    """What to do. `passes` performs the script that many times, as a gateway that retries would."""

    script: Script | Replay
    profile: str
    virtual_s: float
    over_s: float
    home: Path
    report: Path
    passes: int = 1
    agents: int | None = None


@dataclass(slots=True)
class Watched:
    """What was seen while it ran."""

    peak_lag: int = 0
    rss_mb: dict[str, float] = field(default_factory=dict)
    glance: Glance = field(default_factory=Glance)

    def note(self, seen: Glance, rss: dict[str, float]) -> None:
        """Keeps the highest of each."""
        self.glance = seen
        self.peak_lag = max(self.peak_lag, seen.lag)
        for name, size in rss.items():
            self.rss_mb[name] = max(size, self.rss_mb.get(name, 0.0))


Report = dict[str, object]


def run(order: Order, progress: Progress) -> Report:
    """Starts everything, performs the order, settles the account, stops everything.

    Raises LocalPartError or MawjaError with one line that says what to do.
    """
    with make_parts(order.home, brokers=1, profile="default", progress=progress) as parts:
        system = make_system(parts, shared_numbers=known_switchboards(order.script))
        try:
            progress.update("starting the services …")
            system.start()
            progress.say("Kafka, Valkey, the SMS centre and 5 services are up")
            report = asyncio.run(through(order, parts, system, progress))
        finally:
            system.stop()
    order.report.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n")
    return report


def known_switchboards(script: Script | Replay) -> tuple[str, ...]:
    """The shared numbers of a surge that a centre knows beforehand."""
    if isinstance(script, Replay):
        return ()
    return switchboards(script.seed, script.shape.calls, script.habits)


async def through(order: Order, parts: Parts, system: System, progress: Progress) -> Report:
    """Performs the order on a system that runs, and settles the account."""
    ledger = Ledger()
    watched = Watched()
    interrupted = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, interrupted.set)
    # The last calls end after the last arrival: nothing may lie in the future, even compressed.
    start_ms = now_ms() - int((order.virtual_s + _TAIL_S) * 1000)
    sents: list[Sent] = []
    accounts: list[Account] = []
    started = monotonic_s()
    with Scan(parts.kafka, TOPICS) as scan:
        for number in range(1, order.passes + 1):
            sents.append(
                await _perform(
                    order, number, system, ledger, watched, start_ms, interrupted.is_set, progress
                )
            )
            if interrupted.is_set():
                progress.say("interrupted: settling what was sent")
            await _settle(parts, system, scan, ledger, watched, progress)
            accounts.append(ledger.account())
        elapsed_s = monotonic_s() - started
        # One that somebody else runs keeps no record that we could read.
        if parts.local_smsc is not None:
            await asyncio.to_thread(_hear_carrier, order, ledger)
        accounts[-1] = ledger.account()
    levels = await _levels(system)
    report = _report(order, sents, accounts, ledger, watched, elapsed_s, levels)
    cpu_s = {"load-test": round(sum(psutil.Process().cpu_times()[:2]), 1), **system.cpu_s()}
    return report | {"cpu_s": cpu_s, "crashes": list(system.crashes), "machine": machine()}


async def _perform(
    order: Order,
    number: int,
    system: System,
    ledger: Ledger,
    watched: Watched,
    start_ms: int,
    stopping: Callable[[], bool],
    progress: Progress,
) -> Sent:
    compression = order.virtual_s / order.over_s
    async with rpc.channel(system.target("intake")) as channel:
        driver = Driver(
            channel,
            token(system.keys, SOURCE, Role.LOAD_TESTER),
            SOURCE,
            start_ms=start_ms,
            compression=compression,
            ledger=ledger,
        )
        total = len(order.script) if isinstance(order.script, Replay) else 0
        title = f"pass {number} of {order.passes}: " if order.passes > 1 else ""
        watching = asyncio.create_task(
            _show(order, driver, system, watched, progress, title, total)
        )
        try:
            steps: Iterable[Step] = order.script
            await driver.perform(steps, stopping)
        finally:
            driver.abort()
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
    return driver.sent


async def _show(
    order: Order,
    driver: Driver,
    system: System,
    watched: Watched,
    progress: Progress,
    title: str,
    total: int,
) -> None:
    last, last_s = 0, monotonic_s()
    while True:
        await asyncio.sleep(1)
        seen = await asyncio.to_thread(glance, system.metrics_urls())
        watched.note(seen, await asyncio.to_thread(system.rss_mb))
        sent, now = driver.sent, monotonic_s()
        rate = (sent.accepted - last) / (now - last_s)
        last, last_s = sent.accepted, now
        left_s = max(0.0, order.over_s - (now - sent.started_s)) + sent.behind_s
        of = f"/{total:,}" if total else ""
        progress.update(
            f"{title}{sent.accepted:,}{of} contacts taken ({rate:,.0f}/s) · lag {seen.lag:,} · "
            f"{seen.cases:,} cases · SMS {seen.delivered:,} delivered of {seen.requested:,} · "
            f"{_clock(left_s)} to go"
        )


async def _settle(
    parts: Parts,
    system: System,
    scan: Scan,
    ledger: Ledger,
    watched: Watched,
    progress: Progress,
) -> None:
    """Waits until every record is worked through and every message has its end, or nothing has
    moved for 30 s (then what is open stays in its bucket, with its name)."""
    lag = await asyncio.to_thread(Lag, parts.kafka)
    try:
        moved_s = monotonic_s()
        before: tuple[int, ...] = ()
        while True:
            behind = await asyncio.to_thread(lag.of, "dedup", (CONTACT_ACCEPTED, CALL_EVENT))
            behind += await asyncio.to_thread(lag.of, "outreach", (CASE,))
            read = await asyncio.to_thread(scan.advance, ledger.take)
            seen = await asyncio.to_thread(glance, system.metrics_urls())
            watched.note(seen, await asyncio.to_thread(system.rss_mb))
            open_messages = ledger.open_messages
            if behind == 0 and open_messages == 0 and read == 0:
                return
            now = (behind, open_messages)
            if now != before or read:
                before, moved_s = now, monotonic_s()
            elif monotonic_s() - moved_s > _SETTLED_S:
                progress.say(f"{open_messages:,} messages stay open; they are counted by name")
                return
            progress.update(
                f"settling: {behind:,} records to work through, {open_messages:,} messages to end"
            )
            await asyncio.sleep(0.5)
    finally:
        lag.close()


def _hear_carrier(order: Order, ledger: Ledger) -> None:
    """What the SMS centre itself says that it was given: nothing, when its record is gone."""
    record = smsc_record(order.home)
    ledger.carrier_accepted(read_record(record) if record.exists() else ())


async def _levels(system: System) -> wave_events.Level | None:
    """The service levels of the whole surge, as wave has them."""
    metadata = rpc.bearer(token(system.keys, "surge", Role.AUDITOR))
    async with rpc.channel(system.target("wave")) as channel:
        stub = wave_grpc.WaveServiceStub(channel)
        try:
            answer = await stub.GetLevels(
                wave_pb2.GetLevelsRequest(dimension=wave_events.DIMENSION_ALL),
                metadata=metadata,
                timeout=10,
            )
        except AioRpcError as error:
            raise Away(f"wave does not tell the service levels: {error.details()}") from error
    return answer.levels[0] if answer.levels else None


def _report(
    order: Order,
    sents: list[Sent],
    accounts: list[Account],
    ledger: Ledger,
    watched: Watched,
    elapsed_s: float,
    levels: wave_events.Level | None,
) -> Report:
    first, account = sents[0], accounts[-1]
    latencies = sorted(latency for sent in sents for latency in sent.latencies_s)
    end_to_end = ledger.end_to_end_s()
    truth = order.script.truth
    sending_s = sum(sent.ended_s - sent.started_s for sent in sents)
    report: Report = {
        "profile": order.profile,
        "calls": truth.calls,
        "dialled": truth.dialled,
        "accepted": account.accepted,
        "refused": sum(sent.refused_for_good for sent in sents),
        "refused_then_accepted": sum(sent.refused for sent in sents),
        "people": truth.people,
        "needs": truth.needs,
        "cases": account.cases,
        "merged": account.merged,
        "false_merges": account.false_merges,
        "callbacks": account.callbacks,
        "messages": asdict(account.messages),
        "carrier_messages": account.carrier_messages,
        "lost": account.lost,
        "duplicate_cases": account.duplicate_cases,
        "duplicate_messages": account.duplicate_messages,
        "problems": account.problems,
        "elapsed_s": round(elapsed_s, 1),
        "accepted_per_s": round(sum(s.accepted for s in sents) / max(sending_s, 1e-9), 1),
        "intake_p50_ms": round(percentile(latencies, 0.50) * 1000, 1),
        "intake_p99_ms": round(percentile(latencies, 0.99) * 1000, 1),
        "end_to_end_p50_s": round(percentile(end_to_end, 0.50), 2),
        "end_to_end_p99_s": round(percentile(end_to_end, 0.99), 2),
        "peak_lag": watched.peak_lag,
        "rss_mb": watched.rss_mb,
        "time_compression": round(order.virtual_s / order.over_s, 1),
        "agents": order.agents,
        "floor": _floor(order),
        "service_levels": _service_levels(levels),
        "call_events": first.call_events,
        "call_events_refused": first.call_events_refused,
    }
    if order.passes > 1:
        report["passes"] = [
            {
                "contacts_sent": sent.contacts,
                "contacts_added": now.accepted - before.accepted,
                "cases_added": now.cases - before.cases,
                "messages_added": now.messages.requested - before.messages.requested,
                "delivered_added": now.messages.delivered - before.messages.delivered,
            }
            for sent, before, now in zip(sents, [Account(), *accounts], accounts, strict=False)
        ]
    if isinstance(order.script, Replay):
        report["bad_rows"] = [asdict(row) for row in order.script.bad_rows]
    return report


def _floor(order: Order) -> dict[str, float | int]:
    tally = order.script.truth.floor
    return {
        "offered": tally.offered,
        "answered": tally.answered,
        "abandoned": tally.abandoned,
        "redials": order.script.truth.redials,
        "answered_share": round(tally.answered_share, 4),
        "mean_wait_s": round(tally.mean_wait_s, 1),
    }


def _service_levels(level: wave_events.Level | None) -> dict[str, float | int | None]:
    if level is None:
        return {}
    shares = level.service_levels
    return {
        "offered": level.counts.offered,
        "answered": round(shares.answered, 4) if shares.HasField("answered") else None,
        "answered_within_20s": round(shares.answered_in_target, 4)
        if shares.HasField("answered_in_target")
        else None,
        "handled_within_4min": round(shares.handled_in_target, 4)
        if shares.HasField("handled_in_target")
        else None,
        "resolved_at_first_contact": round(shares.first_contact_resolved, 4)
        if shares.HasField("first_contact_resolved")
        else None,
    }


def machine() -> dict[str, object]:
    """What the figures were measured on."""
    model = ""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        model = next(
            (
                line.partition(":")[2].strip()
                for line in cpuinfo.read_text().splitlines()
                if line.startswith("model name")
            ),
            "",
        )
    return {
        "cpu": model or platform.processor() or platform.machine(),
        "cores": psutil.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
    }


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02d}"


def ended_well(report: Report) -> bool:
    """Whether nothing was lost and nothing came twice, and everything adds up."""
    return not (report["problems"] or report["refused"] or report["call_events_refused"])
