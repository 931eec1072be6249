"""A whole system on real parts, a surge through it, and something that breaks it meanwhile.

The surge is performed by the shipped client, the damage is done by a function in a thread beside
it, and afterwards the ledger gives the account.
"""

import asyncio
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from loadtests.surge import Script, script
from services.local.parts import Parts
from services.local.progress import Progress
from services.local.system import Replica, System
from services.tools.local import make_parts, make_system
from services.tools.report import Order, Report
from services.tools.surge import SurgeRun, known_switchboards

PATIENCE_S = 30.0
"""How long nothing may move before what is open is called unknown."""


@dataclass(frozen=True, slots=True)
class Size:
    """How big the rows are. The full ones are for `make faults`, the short ones for `make test`."""

    full: bool

    def of(self, full: float, short: float) -> float:
        """One of the two."""
        return full if self.full else short

    @property
    def calls(self) -> int:
        """Fresh contacts of a row's surge."""
        return 5_000 if self.full else 600

    @property
    def over_s(self) -> float:
        """Seconds that a row's surge takes, by default."""
        return 50.0 if self.full else 12.0


@dataclass(slots=True)
class Stage:
    """A system that serves, and the surge that is to be performed on it."""

    parts: Parts
    system: System
    order: Order
    progress: Progress
    rng: random.Random
    run: SurgeRun | None = None
    _started_s: float = field(default_factory=time.monotonic)

    def surge(
        self, inject: Callable[[], None] | None = None, patience_s: float = PATIENCE_S
    ) -> Report:
        """Performs the surge with `inject` beside it (in a thread), lets everything settle when
        both have ended, and gives the report. What `inject` raises ends it all."""
        return asyncio.run(self._surge(inject, patience_s))

    async def _surge(self, inject: Callable[[], None] | None, patience_s: float) -> Report:
        with SurgeRun(self.order, self.parts, self.system, self.progress, patience_s) as run:
            self.run = run
            self._started_s = time.monotonic()
            performing = asyncio.create_task(run.perform())
            injecting = asyncio.create_task(asyncio.to_thread(inject or (lambda: None)))
            try:
                done, _ = await asyncio.wait(
                    (performing, injecting), return_when=asyncio.FIRST_EXCEPTION
                )
                for task in done:
                    task.result()
            except BaseException:
                performing.cancel()
                await asyncio.gather(performing, return_exceptions=True)
                raise
            await run.settle()
            return await run.report()

    # For what is injected.

    @property
    def accepted(self) -> int:
        """Contacts that the client was told are safe, so far."""
        return self.run.sent.accepted if self.run is not None else 0

    @property
    def elapsed_s(self) -> float:
        """Seconds since the surge began."""
        return time.monotonic() - self._started_s

    def sleep_until(self, elapsed_s: float) -> None:
        """Waits for a moment of the surge."""
        time.sleep(max(0.0, elapsed_s - self.elapsed_s))

    def wait(self, what: Callable[[], bool], timeout_s: float, why: str) -> float:
        """Waits for something to become true and says after how many seconds it did. Raises
        AssertionError with `why` when it does not in time."""
        started = time.monotonic()
        while not what():
            waited = time.monotonic() - started
            assert waited < timeout_s, f"not after {timeout_s:g} s: {why}"
            time.sleep(0.05)
        return time.monotonic() - started

    def wait_accepted(self, count: int, timeout_s: float = 60.0) -> float:
        """Waits until `count` contacts have been accepted."""
        return self.wait(lambda: self.accepted >= count, timeout_s, f"{count} contacts accepted")

    def replicas(self, room: str) -> list[Replica]:
        """The running replicas of a room."""
        return [replica for replica in self.system.running if replica.room == room]

    def replica(self, room: str, index: int = 0) -> Replica:
        """One replica of a room."""
        return self.replicas(room)[index]


@contextmanager
def stage(
    home: Path,
    *,
    calls: int,
    over_s: float,
    seed: int,
    brokers: int = 1,
    profile: str = "default",
    replicas: Mapping[str, int] | None = None,
    env: Mapping[str, str] | None = None,
    wrap: Callable[[str, list[str]], list[str]] | None = None,
    arrange: Callable[[Parts], Mapping[str, str]] | None = None,
    made: Script | None = None,
    passes: int = 1,
) -> Iterator[Stage]:
    """Starts the parts and the services, and stops them.

    `env` adds to every service's environment, and so does what `arrange` gives, which is called
    when the parts are up. `wrap` changes a room's command. `made`: another surge than covid-78k's.
    """
    surge = made or script("covid-78k", calls=calls, seed=seed)
    order = Order(
        script=surge,
        profile=surge.shape.name,
        virtual_s=surge.shape.duration_s,
        over_s=over_s,
        home=home,
        report=home / "report.json",
        agents=surge.agents,
        passes=passes,
    )
    progress = Progress()
    with make_parts(home, brokers=brokers, profile=profile, progress=progress) as parts:
        system = make_system(parts, replicas, known_switchboards(surge))
        system.env = {**system.env, **(env or {}), **(arrange(parts) if arrange else {})}
        if wrap is not None:
            system.wrap = wrap
        try:
            system.start()
            yield Stage(parts, system, order, progress, random.Random(f"{home.name}/{seed}"))
        finally:
            system.stop()
