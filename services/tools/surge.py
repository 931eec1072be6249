"""`mawja surge`: the whole system on real parts, a wave through it, and the account of it."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Iterable
from typing import Self

import psutil
from grpc.aio import AioRpcError
from mawja.wave.v1 import events_pb2 as wave_events
from mawja.wave.v1 import service_pb2 as wave_pb2
from mawja.wave.v1 import service_pb2_grpc as wave_grpc

from loadtests.driver import Driver, Sent
from loadtests.ledger import TOPICS, Account, Ledger
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
from services.tools.report import Order, Report, Watched, machine, report_of
from services.tools.watch import Glance, glance

SOURCE = "load-test"
_TAIL_S = 3600.0
_SETTLED_S = 30.0
"""How long nothing may move before what is open is called unknown."""


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
    with SurgeRun(order, parts, system, progress) as run:
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, run.interrupt)
        while run.passes_left:
            await run.perform()
            await run.settle()
        return await run.report()


class SurgeRun:
    """One surge on a system that runs: perform each pass, let it settle, then report.

    `patience_s`: how long nothing may move before `settle` calls what is open unknown. A context
    manager; not thread-safe, but `sent` and `ledger` can be looked at from anywhere.
    """

    def __init__(
        self,
        order: Order,
        parts: Parts,
        system: System,
        progress: Progress,
        patience_s: float = _SETTLED_S,
    ) -> None:
        self.order = order
        self.ledger = Ledger()
        self.sent = Sent()
        self._scan: Scan | None = None
        self._parts = parts
        self._system = system
        self._progress = progress
        self._patience_s = patience_s
        self._watched = Watched()
        self._interrupted = False
        # The last calls end after the last arrival: nothing may lie in the future, even compressed.
        self._start_ms = now_ms() - int((order.virtual_s + _TAIL_S) * 1000)
        self._sents: list[Sent] = []
        self._accounts: list[Account] = []
        self._started_s = monotonic_s()
        self._elapsed_s = 0.0

    @property
    def passes_left(self) -> int:
        """How often `perform` is still to be called."""
        return 0 if self._interrupted else self.order.passes - len(self._sents)

    def interrupt(self) -> None:
        """Ends the sending; what was sent is settled and accounted for."""
        self._interrupted = True

    async def perform(self) -> Sent:
        """Sends every step of the order once and waits for every answer."""
        order = self.order
        async with rpc.channel(self._system.target("intake")) as channel:
            driver = Driver(
                channel,
                token(self._system.keys, SOURCE, Role.LOAD_TESTER),
                SOURCE,
                start_ms=self._start_ms,
                compression=order.virtual_s / order.over_s,
                ledger=self.ledger,
            )
            self.sent = driver.sent
            watching = asyncio.create_task(self._show())
            try:
                steps: Iterable[Step] = order.script
                await driver.perform(steps, lambda: self._interrupted)
            finally:
                driver.abort()
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)
        if self._interrupted:
            self._progress.say("interrupted: settling what was sent")
        self._sents.append(driver.sent)
        return driver.sent

    async def settle(self) -> Account:
        """Waits until every record is worked through and every message has its end, or nothing has
        moved for `patience_s` (then what is open stays in its bucket, with its name)."""
        # Not before: nothing needs it while contacts are sent, and connections grow old.
        if self._scan is None:
            self._scan = await asyncio.to_thread(Scan, self._parts.kafka, TOPICS)
        lag = await asyncio.to_thread(Lag, self._parts.kafka)
        try:
            await self._until_still(self._scan, lag)
        finally:
            lag.close()
        self._accounts.append(self.ledger.account())
        self._elapsed_s = monotonic_s() - self._started_s
        return self._accounts[-1]

    async def report(self) -> Report:
        """The figures of what was performed and settled, also held against the SMS centre."""
        # One that somebody else runs keeps no record that we could read.
        if self._parts.local_smsc is not None:
            await asyncio.to_thread(_hear_carrier, self.order, self.ledger)
        self._accounts[-1] = self.ledger.account()
        levels = await _levels(self._system)
        report = report_of(
            self.order,
            self._sents,
            self._accounts,
            self.ledger,
            self._watched,
            self._elapsed_s,
            levels,
        )
        cpu_s = {
            "load-test": round(sum(psutil.Process().cpu_times()[:2]), 1),
            **self._system.cpu_s(),
        }
        return report | {
            "cpu_s": cpu_s,
            "crashes": list(self._system.crashes),
            "machine": machine(),
        }

    async def _look(self) -> Glance:
        """What the services say of themselves now; the highest of it is kept for the report."""
        seen = await asyncio.to_thread(glance, self._system.metrics_urls())
        self._watched.note(seen, await asyncio.to_thread(self._system.rss_mb))
        return seen

    async def _show(self) -> None:
        order, sent = self.order, self.sent
        title = f"pass {len(self._sents) + 1} of {order.passes}: " if order.passes > 1 else ""
        of = f"/{len(order.script):,}" if isinstance(order.script, Replay) else ""
        last, last_s = 0, monotonic_s()
        while True:
            await asyncio.sleep(1)
            seen, now = await self._look(), monotonic_s()
            rate = (sent.accepted - last) / (now - last_s)
            last, last_s = sent.accepted, now
            left_s = max(0.0, order.over_s - (now - sent.started_s)) + sent.behind_s
            self._progress.update(
                f"{title}{sent.accepted:,}{of} contacts taken ({rate:,.0f}/s) · "
                f"lag {seen.lag:,} · {seen.cases:,} cases · "
                f"SMS {seen.delivered:,} delivered of {seen.requested:,} · {_clock(left_s)} to go"
            )

    async def _until_still(self, scan: Scan, lag: Lag) -> None:
        moved_s = monotonic_s()
        before: tuple[int, ...] = ()
        while True:
            behind = await asyncio.to_thread(lag.of, "dedup", (CONTACT_ACCEPTED, CALL_EVENT))
            behind += await asyncio.to_thread(lag.of, "outreach", (CASE,))
            read = await asyncio.to_thread(scan.advance, self.ledger.take)
            await self._look()
            open_messages = self.ledger.open_messages
            if behind == 0 and open_messages == 0 and read == 0:
                return
            now = (behind, open_messages)
            if now != before or read:
                before, moved_s = now, monotonic_s()
            elif monotonic_s() - moved_s > self._patience_s:
                self._progress.say(
                    f"{open_messages:,} messages stay open; they are counted by name"
                )
                return
            self._progress.update(
                f"settling: {behind:,} records to work through, {open_messages:,} messages to end"
            )
            await asyncio.sleep(0.5)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._scan is not None:
            self._scan.close()


def _hear_carrier(order: Order, ledger: Ledger) -> None:
    """What the SMS centre itself says that it was given: nothing, when its record is gone."""
    record = smsc_record(order.home)
    ledger.carrier_accepted(read_record(record) if record.exists() else ())


async def _levels(system: System) -> wave_events.Level | None:
    """The service levels of the whole surge, which is a drill, as wave has them."""
    metadata = rpc.bearer(token(system.keys, "surge", Role.AUDITOR))
    async with rpc.channel(system.target("wave")) as channel:
        stub = wave_grpc.WaveServiceStub(channel)
        try:
            answer = await stub.GetLevels(
                wave_pb2.GetLevelsRequest(dimension=wave_events.DIMENSION_ALL, drill=True),
                metadata=metadata,
                timeout=10,
            )
        except AioRpcError as error:
            raise Away(f"wave does not tell the service levels: {error.details()}") from error
    return answer.levels[0] if answer.levels else None


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02d}"
