"""Plays one drill through a system that runs: sends the wave, lets it settle, scores it.

Real callers come first: a drill that meets a real burst ends at once. What was sent is settled and
scored all the same, as after Ctrl-C.
"""

from __future__ import annotations

import asyncio
import signal
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from grpc.aio import AioRpcError
from mawja.broadcast.v1 import campaigns_pb2
from mawja.wave.v1 import events_pb2 as wave_events
from mawja.wave.v1 import service_pb2 as wave_pb2
from mawja.wave.v1 import service_pb2_grpc as wave_grpc

from loadtests.driver import Driver
from loadtests.ledger import Account, Ledger, Truth, percentile
from loadtests.surge import Script
from services.local.progress import Progress
from services.local.smsc.record import read_record
from services.runtime import channels, rpc
from services.runtime.clock import monotonic_s, now_ms
from services.runtime.errors import Forbidden, MawjaError, NotInState
from services.runtime.identity import Unauthenticated
from services.runtime.own import Record
from services.runtime.scan import Scan
from services.runtime.topics import BURST, CAMPAIGN
from services.tools.asked import error_of
from services.tools.drills import own
from services.tools.drills.history import Drill
from services.tools.drills.people import BURSTS_MS, Coordinators, People
from services.tools.drills.site import Site
from services.tools.scorecards.calls import Calls
from services.tools.scorecards.figures import card

_LOOK_S = 5.0
_STILL_S = 3.0
_PATIENCE_S = 60.0
"""How long nothing may move before what is open is told by name and left."""
_LONGEST_S = 900.0
_TAIL_S = 3600.0
_EARLIER_MS = 60_000
REAL_BURST = "a real burst began"
INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class Order:
    """What to play. `speed`: virtual seconds in a real one. `linger_s`: how long people go on with
    callbacks and campaigns when the wave is over. `beside`: also in hours that another drill was
    played in."""

    id: str
    script: Script
    speed: float
    linger_s: float = 0.0
    beside: bool = False

    @property
    def over_s(self) -> float:
        """How long it is sent, seconds."""
        return self.script.shape.duration_s / self.speed

    @property
    def ahead_ms(self) -> int:
        """How long ago its first contact came. Nothing may lie ahead of the clock; played as fast
        as life, it is now."""
        all_s = self.script.shape.duration_s + _TAIL_S
        return int(all_s * (1 - 1 / self.speed) * 1000)


class _Ours(Ledger):
    """A ledger that knows which contacts were sent."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: set[str] = set()

    def expect(self, contact_id: str, truth: Truth) -> None:
        """The generator made this contact."""
        self.sent.add(contact_id)
        super().expect(contact_id, truth)


class Playing:
    """One drill. `why` says why it ended before its time; empty when it did not."""

    def __init__(self, site: Site, order: Order, progress: Progress) -> None:
        self.why = ""
        self._abandoned = False
        self._site = site
        self._order = order
        self._progress = progress
        self._ledger = _Ours()
        self._people = People()
        self._calls = Calls(drill=True)
        self._own = own.Own(
            self._ledger.sent.__contains__, self._ledger.take, self._people.take, self._calls.take
        )
        self._began_ms = now_ms()
        self._latencies_s: list[float] = []
        self._refused = 0

    def stop(self, why: str = INTERRUPTED) -> None:
        """Ends the sending; said again, the waiting for what was sent too."""
        self._abandoned = bool(self.why) and why == INTERRUPTED
        self.why = self.why or why

    async def play(self) -> Drill:
        """All of it. Raises Away when Kafka or wave does not answer, NotInState when another drill
        was played in the same hours, Forbidden and Unauthenticated when the token is not one for
        drills."""
        await self._let_in()
        await self._apart()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.stop)
        try:
            await self._perform()
            if self.why:
                self._progress.say(f"{self.why}: settling what was sent")
            scan = await asyncio.to_thread(
                Scan, self._site.kafka, own.TOPICS, self._began_ms - _EARLIER_MS
            )
            try:
                await self._linger(scan)
                account = await self._settle(scan)
            finally:
                scan.close()
            coordinators = await asyncio.to_thread(self._coordinators)
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)
        return self._scored(account, coordinators)

    async def _let_in(self) -> None:
        """Who may not see that a real burst begins plays no drill: it would not end for one. Raises
        Forbidden, Unauthenticated."""
        try:
            await self._ask("ListBursts", wave_pb2.ListBurstsRequest(active=True))
        except AioRpcError as error:
            refused = _refused(error, "wave", self._site.wave)
            if isinstance(refused, Forbidden | Unauthenticated):
                raise refused from None

    async def _apart(self) -> None:
        """Wave adds up what happens at the same time: two drills would be one wave. Raises
        NotInState."""
        if self._order.beside or self._order.speed == 1:
            return
        from_ms = now_ms() - self._order.ahead_ms
        request = wave_pb2.GetLevelsRequest(
            dimension=wave_events.DIMENSION_ALL, from_ms=from_ms, drill=True
        )
        try:
            answer = await self._ask("GetLevels", request)
        except AioRpcError:
            return
        if any(level.counts.contacts for level in answer.levels):
            since = datetime.fromtimestamp(from_ms / 1000)
            raise NotInState(
                f"another drill was played in the hours since {since:%Y-%m-%d %H:%M}, in which "
                "this one would be played too, and wave would add both up: play it later, or "
                "slower (--speed), so that it begins later; or both as one wave (--beside)"
            )

    async def _perform(self) -> None:
        order, site = self._order, self._site
        async with channels.channel(site.intake, channels.folder_of()) as channel:
            driver = Driver(
                channel,
                site.sender,
                site.source,
                start_ms=now_ms() - order.ahead_ms,
                compression=order.speed,
                ledger=self._ledger,
            )
            watching = asyncio.create_task(self._watch(driver))
            try:
                await driver.perform(order.script, lambda: bool(self.why))
            except AioRpcError as error:
                raise _refused(error, "intake", site.intake) from None
            finally:
                driver.abort()
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)
        self._latencies_s = sorted(driver.sent.latencies_s)
        self._refused = driver.sent.refused_for_good

    async def _watch(self, driver: Driver) -> None:
        looked_s = monotonic_s()
        while True:
            await asyncio.sleep(1)
            left_s = self._order.over_s - (monotonic_s() - driver.sent.started_s)
            minutes, seconds = divmod(max(0, int(left_s)), 60)
            self._progress.update(
                f"DRILL {self._order.id}: {driver.sent.accepted:,} contacts taken, "
                f"{minutes}:{seconds:02d} to go"
            )
            if monotonic_s() - looked_s >= _LOOK_S:
                looked_s = monotonic_s()
                if await self._real_burst():
                    self.stop(REAL_BURST)

    async def _real_burst(self) -> bool:
        """Whether something real has begun since. Wave away is no reason to end a drill."""
        try:
            answer = await self._ask("ListBursts", wave_pb2.ListBurstsRequest(active=True))
        except AioRpcError:
            return False
        return any(burst.raised_ms >= self._began_ms for burst in answer.bursts)

    async def _ask(self, method: str, request: object) -> Any:
        async with channels.channel(self._site.wave, channels.folder_of()) as channel:
            stub: Any = wave_grpc.WaveServiceStub(channel)
            call = getattr(stub, method)
            return await call(request, metadata=rpc.bearer(self._site.looker), timeout=10)

    async def _linger(self, scan: Scan) -> None:
        until_s = monotonic_s() + self._order.linger_s
        while not self.why and (left_s := until_s - monotonic_s()) > 0:
            await asyncio.to_thread(scan.advance, self._own.take)
            self._progress.update(
                f"DRILL {self._order.id}: the wave is over; people go on for {left_s:,.0f} s"
            )
            await asyncio.sleep(min(1.0, left_s))

    async def _settle(self, scan: Scan) -> Account:
        """Waits until every contact is decided and every message has its end, or nothing of ours
        has moved for a minute, at most for a quarter of an hour."""
        begun_s = moved_s = monotonic_s()
        taken = self._own.taken
        while not self._abandoned and monotonic_s() - begun_s < _LONGEST_S:
            await asyncio.to_thread(scan.advance, self._own.take)
            now_s = monotonic_s()
            if self._own.taken != taken:
                taken, moved_s = self._own.taken, now_s
            elif now_s - moved_s > _STILL_S:
                waiting = self._waiting()
                if not waiting or now_s - moved_s > _PATIENCE_S:
                    break
                self._progress.update(f"DRILL {self._order.id}: {waiting:,} wait for their end")
            await asyncio.sleep(0.5)
        if self._site.record is not None and self._site.record.exists():
            self._ledger.carrier_accepted(read_record(self._site.record))
        return self._ledger.account()

    def _waiting(self) -> int:
        account = self._ledger.account(running=True)
        return account.contacts.waiting + self._ledger.open_messages

    def _coordinators(self) -> Coordinators:
        found = Coordinators(self._began_ms)

        def take(record: Record) -> None:
            value = record.value or b""
            if record.topic == BURST.name:
                burst = wave_events.Burst.FromString(value)
                found.burst(burst, record.timestamp)
            else:
                found.campaign(campaigns_pb2.CampaignDecision.FromString(value))

        scan = Scan(self._site.kafka, (BURST, CAMPAIGN), self._began_ms - BURSTS_MS)
        try:
            scan.advance(take)
        finally:
            scan.close()
        return found

    def _scored(self, account: Account, coordinators: Coordinators) -> Drill:
        order, end_to_end = self._order, self._ledger.end_to_end_s()
        # Counted as the scorecard does, of our own calls: wave adds up all drills of a time.
        calls = card(self._calls).whole.figures()
        carrier = self._site.record is not None
        figures: dict[str, float | int | None] = {
            "contacts": account.accepted,
            "cases": account.cases,
            "lost": account.lost,
            "duplicate_cases": account.duplicate_cases,
            # Only the SMS centre itself can tell, and only one that had nothing else to do.
            "duplicate_messages": account.duplicate_messages if carrier else None,
            "problems": len(account.problems) + bool(self._refused),
            "intake_p99_ms": _rounded(percentile(self._latencies_s, 0.99) * 1000)
            if self._latencies_s
            else None,
            "end_to_end_p99_s": _rounded(percentile(end_to_end, 0.99)) if end_to_end else None,
            "answered_share": calls["answered_share"],
            "answered_in_20s_share": calls["answered_in_20s_share"],
            **self._people.figures(),
            **coordinators.figures(),
        }
        problems = list(account.problems)
        if self._refused:
            problems.append(f"{self._refused:,} contacts were refused for good")
        return Drill(
            id=order.id,
            shape=order.script.shape.name,
            size=order.script.shape.calls,
            speed=order.speed,
            seed=order.script.seed,
            began_ms=self._began_ms,
            ended_ms=now_ms(),
            ended_early=self.why,
            figures={name: _rounded(value) for name, value in figures.items()},
            agents={name: one.as_dict() for name, one in sorted(self._people.agents.items())},
            problems=problems,
        )


def _refused(error: AioRpcError, room: str, target: str) -> MawjaError:
    found = error_of(error, room, target)
    if isinstance(found, Forbidden | Unauthenticated):
        return type(found)(
            f"{room} says: {found}. A drill takes a token of the roles load-tester and auditor "
            "(see `mawja token`); where the key ring is, none at all"
        )
    return found


def _rounded(value: float | int | None) -> float | int | None:
    return round(value, 4) if isinstance(value, float) else value
