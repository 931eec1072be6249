"""Every service restarted in order during a surge, while people look things up in all of them."""

import asyncio
import contextlib
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from mawja.broadcast.v1 import service_pb2 as broadcast_pb2
from mawja.broadcast.v1 import service_pb2_grpc as broadcast_grpc
from mawja.dedup.v1 import service_pb2 as dedup_pb2
from mawja.dedup.v1 import service_pb2_grpc as dedup_grpc
from mawja.intake.v1 import service_pb2 as intake_pb2
from mawja.intake.v1 import service_pb2_grpc as intake_grpc
from mawja.outreach.v1 import service_pb2 as outreach_pb2
from mawja.outreach.v1 import service_pb2_grpc as outreach_grpc
from mawja.wave.v1 import events_pb2 as wave_events
from mawja.wave.v1 import service_pb2 as wave_pb2
from mawja.wave.v1 import service_pb2_grpc as wave_grpc

from services.local.ports import LOOPBACK
from services.local.system import ROOMS, Replica, System, token
from services.runtime import rpc
from services.runtime.identity import Role
from tests.faults.present import Steady, counted
from tests.faults.stage import Size, stage
from tests.faults.table import Row

pytestmark = pytest.mark.faults
GRACE_S = 30.0
NOBODY = "00000000-0000-4000-8000-000000000000"
ANSWERS = {grpc.StatusCode.OK, grpc.StatusCode.NOT_FOUND}
_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING

Ask = Callable[[], Awaitable[object]]


@asynccontextmanager
async def _questions(system: System) -> AsyncIterator[dict[str, Ask]]:
    """What staff ask of each room, over the channel that every client of ours uses."""
    metadata = rpc.bearer(token(system.keys, "rolling", Role.COORDINATOR))
    options: dict[str, Any] = {"metadata": metadata, "timeout": rpc.DEFAULT_DEADLINE_S}
    async with AsyncExitStack() as open_ones:
        channels = {
            room: await open_ones.enter_async_context(rpc.channel(system.target(room)))
            for room in ROOMS
        }
        intake = intake_grpc.IntakeServiceStub(channels["intake"])
        dedup = dedup_grpc.DedupServiceStub(channels["dedup"])
        outreach = outreach_grpc.OutreachServiceStub(channels["outreach"])
        broadcast = broadcast_grpc.BroadcastServiceStub(channels["broadcast"])
        wave = wave_grpc.WaveServiceStub(channels["wave"])
        yield {
            "GetContact": lambda: intake.GetContact(
                intake_pb2.GetContactRequest(contact_id=NOBODY), **options
            ),
            "GetCase": lambda: dedup.GetCase(dedup_pb2.GetCaseRequest(case=NOBODY), **options),
            "ListCases": lambda: dedup.ListCases(
                dedup_pb2.ListCasesRequest(page_size=5), **options
            ),
            "GetCallback": lambda: outreach.GetCallback(
                outreach_pb2.GetCallbackRequest(callback_id=NOBODY), **options
            ),
            "GetMessage": lambda: broadcast.GetMessage(
                broadcast_pb2.GetMessageRequest(message_id=NOBODY), **options
            ),
            "GetLevels": lambda: wave.GetLevels(
                wave_pb2.GetLevelsRequest(dimension=wave_events.DIMENSION_ALL), **options
            ),
        }


@dataclass(slots=True)
class Asked:
    """How the questions were answered, by name and code."""

    codes: Counter[tuple[str, str]] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    @property
    def failed(self) -> int:
        """Questions that got no answer."""
        good = {code.name for code in ANSWERS}
        return sum(count for (_, code), count in self.codes.items() if code not in good)

    async def ask(self, system: System, ending: threading.Event, every_s: float) -> None:
        """Asks everything again and again until `ending`."""
        async with _questions(system) as questions:
            await asyncio.gather(
                *(self._one(name, ask, ending, every_s) for name, ask in questions.items())
            )

    async def _one(self, name: str, ask: Ask, ending: threading.Event, every_s: float) -> None:
        while not ending.is_set():
            code = grpc.StatusCode.OK
            asked_s = time.monotonic()
            try:
                await ask()
            except grpc.aio.AioRpcError as error:
                code = error.code()
                if code not in ANSWERS:
                    after_s = time.monotonic() - asked_s
                    self.failures.append(
                        f"{datetime.now(UTC):%X}, {name} after {after_s:.1f} s: {code.name}, "
                        f"{error.details()}"
                    )
            self.codes[name, code.name] += 1
            await asyncio.sleep(every_s)


@dataclass(slots=True)
class Goodbye:
    """What a load balancer sees of a replica's end."""

    said: list[int] = field(default_factory=list)
    not_serving_s: float = 0.0
    closed_s: float = 0.0

    def watch(self, replica: Replica, watching: threading.Event) -> None:
        """Follows the standard health service until the replica has let go of its watcher."""
        with grpc.insecure_channel(f"{LOOPBACK}:{replica.address.grpc}") as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            answers = stub.Watch(health_pb2.HealthCheckRequest(service=""), timeout=GRACE_S * 2)
            with contextlib.suppress(grpc.RpcError):
                for answer in answers:
                    self.said.append(answer.status)
                    watching.set()
                    if answer.status == _NOT_SERVING:
                        self.not_serving_s = time.monotonic()

    def knock(self, replica: Replica) -> None:
        """Waits until nobody listens at its port."""
        deadline = time.monotonic() + GRACE_S
        while time.monotonic() < deadline:
            try:
                with socket.create_connection((LOOPBACK, replica.address.grpc), timeout=1):
                    time.sleep(0.01)
            except OSError:
                self.closed_s = time.monotonic()
                return


def _restart(replica: Replica) -> tuple[Goodbye, float]:
    """Ends a replica in order, seen from outside, and starts it again. Seconds to its end."""
    seen, watching = Goodbye(), threading.Event()
    looking = [
        threading.Thread(target=seen.watch, args=(replica, watching), daemon=True),
        threading.Thread(target=seen.knock, args=(replica,), daemon=True),
    ]
    looking[0].start()
    assert watching.wait(10), f"{replica.name} says nothing of its health"
    looking[1].start()
    ended_s = replica.end()
    for one in looking:
        one.join(GRACE_S)
    replica.process.start()
    return seen, ended_s


@pytest.mark.timeout(400)
@pytest.mark.parametrize("replicas", [1, 2])
@pytest.mark.row(
    "rolling restart of every service under load",
    must="0 failed calls with the shipped client; SIGTERM → NOT_SERVING → drain → commit → exit 0",
)
def test_rolling_restart(
    row: Row, size: Size, seed: int, rng: random.Random, tmp_path: Path, replicas: int
) -> None:
    every_s = size.of(0.05, 0.1)
    with stage(
        tmp_path,
        calls=size.calls,
        over_s=size.over_s,
        seed=seed,
        replicas=dict.fromkeys(ROOMS, replicas),
    ) as on:
        asked, over = Asked(), threading.Event()
        steady: Steady | None = None
        goodbyes: list[Goodbye] = []
        slowest_s = 0.0

        async def use(sender: Steady) -> None:
            async with asyncio.TaskGroup() as users:
                users.create_task(sender.send(over, every_s))
                users.create_task(asked.ask(on.system, over, every_s))

        def roll() -> None:
            nonlocal steady, slowest_s
            on.wait_accepted(20)
            assert on.run is not None
            steady = Steady(on.system, on.run.ledger)
            with ThreadPoolExecutor(1) as pool:
                using = pool.submit(asyncio.run, use(steady))
                try:
                    for room in rng.sample(ROOMS, len(ROOMS)):
                        turns = list(range(replicas)) if size.full else [rng.randrange(replicas)]
                        for index in turns:
                            replica = on.replica(room, index)
                            seen, ended_s = _restart(replica)
                            goodbyes.append(seen)
                            slowest_s = max(slowest_s, ended_s)
                            on.wait(replica.ready, 60, f"{replica.name} serves again")
                finally:
                    over.set()
                using.result()

        report = on.surge(roll)
        assert steady is not None
        row.figure("restarts", len(goodbyes))
        row.at_most("slowest end s", slowest_s, GRACE_S)
        for seen in goodbyes:
            assert seen.said[0] == _SERVING
            assert seen.said[-1] == _NOT_SERVING
            assert 0 < seen.not_serving_s <= seen.closed_s
        row.figure("streams opened again", steady.reconnects)
        assert steady.refused == ""
        row.same("contacts beside the surge", steady.accepted, steady.sent)
        row.figure("look-ups", sum(asked.codes.values()))
        if replicas > 1:
            assert asked.failures == []
            row.same("failed look-ups", asked.failed, 0)
        else:
            row.figure("failed look-ups", asked.failed)
        row.same("crashes", report["crashes"], [])
        row.account(counted(report, steady.sent))
