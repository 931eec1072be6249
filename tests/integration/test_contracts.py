"""Contracts on real Kafka: what an agency tells decides whose its calls are, for every replica and
after a kill; what was decided is settled from the log."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import pytest
from mawja.intake.v1.events_pb2 import CallEvent, CallState
from mawja.wave.v1 import contracts_pb2, contracts_pb2_grpc
from mawja.wave.v1.contracts_pb2 import QueueCondition, QueueHolder, Route, RouteReason
from typer.testing import CliRunner

from services.local.parts import Parts
from services.runtime import clock, rpc
from services.runtime.config import Settings
from services.runtime.identity import Role, issue
from services.runtime.produce import Producer, acknowledged
from services.runtime.topics import CALL_EVENT
from services.tools.__main__ import app
from tests.freezing import frozen
from tests.room_process import Room

CONTRACTS = """\
version: 1
centre:
  most: 3
contracts:
  - {agency: education, version: 4, model: overflow, source: test, date: 2026-01-01,
     from: 2026-01-01, until: 2100-01-01, capacity: 10, begin: 1, end: 0.5, hold: 10m,
     silence: 10m}
  - {agency: transport, version: 1, model: overflow, source: test, date: 2026-01-01,
     from: 2026-01-01, until: 2100-01-01, capacity: 10, begin: 1, end: 0.5, hold: 1s,
     silence: 10m}
  - {agency: health, version: 1, model: full-service, source: test, date: 2026-01-01,
     from: 2026-01-01, until: 2100-01-01}
"""
ACTIVE = QueueCondition.QUEUE_CONDITION_ACTIVE


@pytest.fixture(scope="module")
def replicas(settings: Settings, folder: Path) -> Iterator[list[Room]]:
    file = folder / "contracts.yaml"
    file.write_text(CONTRACTS)
    started = [
        Room("wave", settings, folder, f"wave{number}", MAWJA_CONTRACTS=str(file))
        for number in (1, 2)
    ]
    yield started
    for one in started:
        one.stop()
        assert "Traceback" not in one.said


class Caller:
    """One caller of some replica."""

    def __init__(self, target: str, settings: Settings, role: Role, agency: str = "") -> None:
        subject = f"{role}-{agency}" if agency else str(role)
        self._subject = subject
        self._metadata = rpc.bearer(
            issue(settings.keys, subject, frozenset({role}), now=clock.now_ms(), agency=agency)
        )
        self._channel = rpc.channel(target)
        self._stub = contracts_pb2_grpc.ContractServiceStub(self._channel)

    async def __aenter__(self) -> Caller:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._channel.close()

    async def ask(self, method: str, request: object) -> Any:
        return await getattr(self._stub, method)(request, metadata=self._metadata, timeout=10)

    async def report(self, length: int, agency: str = "education", **given: Any) -> Any:
        request = contracts_pb2.ReportQueueRequest(
            agency=agency,
            state=given.pop("state", ACTIVE),
            queue_length=length,
            event_ms=given.pop("event_ms", clock.now_ms()),
            **given,
        )
        return (await self.ask("ReportQueue", request)).queue

    async def route(self, agency: str = "education", key: str = "", **given: Any) -> str:
        """Where a call goes and why, e.g. "OURS AGENCY_FULL"."""
        request = contracts_pb2.RouteCallRequest(
            source=self._subject,
            contact_key=key or str(uuid4()),
            agency=agency,
            **given,
        )
        answer = await self.ask("RouteCall", request)
        assert answer.stated
        route = Route.Name(answer.route).removeprefix("ROUTE_")
        return f"{route} {RouteReason.Name(answer.reason).removeprefix('ROUTE_REASON_')}"

    def watch(self) -> Any:
        return self._stub.WatchQueues(
            contracts_pb2.WatchQueuesRequest(), metadata=self._metadata, timeout=20
        )


async def eventually(check: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while True:
            if await check():
                return
            await asyncio.sleep(0.1)


async def refused(call: Awaitable[Any]) -> grpc.StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call
    return error.value.code()


async def test_what_an_agency_tells_decides_whose_its_calls_are(
    settings: Settings, folder: Path, replicas: list[Room]
) -> None:
    targets = [await asyncio.to_thread(one.target) for one in replicas]
    async with AsyncExitStack() as open_:

        async def caller(target: str, role: Role, agency: str = "") -> Caller:
            return await open_.enter_async_context(Caller(target, settings, role, agency))

        one, other = [await caller(target, Role.GATEWAY) for target in targets]
        education = await caller(targets[0], Role.GATEWAY, "education")
        watcher = (await caller(targets[1], Role.COORDINATOR)).watch()
        seen: list[contracts_pb2.QueueState] = []

        async def watch() -> None:
            async for change in watcher:
                if change.queue.holder == QueueHolder.QUEUE_HOLDER_AGENCY:
                    seen.append(change.queue)

        watching = asyncio.create_task(watch())
        # Nothing was ever told: the safe side.
        assert await one.route() == "OURS AGENCY_SILENT"
        assert await one.route("health") == "OURS FULL_SERVICE"
        assert await one.route("police") == "OURS NO_CONTRACT"
        await education.report(4)
        assert await one.route() == "AGENCY AGENCY_HAS_ROOM"

        def at_other(wanted: str) -> Callable[[], Awaitable[bool]]:
            async def answers() -> bool:
                return await other.route(key="looking", drill=False) == wanted

            return answers

        await eventually(at_other("AGENCY AGENCY_HAS_ROOM"))
        assert await one.route(life_safety=True) == "OURS LIFE_SAFETY"
        # What was measured before the last report, and comes after it, changes nothing.
        early = clock.now_ms() - 60_000
        assert (await education.report(10, event_ms=early)).queue_length == 4
        await education.report(10)
        assert await one.route() == "OURS AGENCY_FULL"
        # Down again, but not for long enough: it doesn't flap.
        assert (await education.report(0)).overflowing
        assert await one.route() == "OURS SETTLING"
        await eventually(at_other("OURS SETTLING"))
        # A killed replica goes on where the others are.
        replicas[0].kill()
        replicas[0] = Room(
            "wave",
            settings,
            folder,
            "wave1",
            MAWJA_CONTRACTS=str(folder / "contracts.yaml"),
        )
        again = await caller(await asyncio.to_thread(replicas[0].target), Role.GATEWAY)

        async def read() -> bool:
            return await again.route(key="again") == "OURS SETTLING"

        await eventually(read)
        # Our own queue: three wait, and no more may.
        await wait_with_us(settings, 3)
        await eventually(at_other("AGENCY WE_ARE_FULL"))
        assert await other.route("health") == "OURS FULL_SERVICE"
        listed = await other.ask("ListQueues", contracts_pb2.ListQueuesRequest())
        [ours] = [q for q in listed.queues if not q.agency]
        assert (ours.queue_length, ours.state) == (3, QueueCondition.QUEUE_CONDITION_FULL)
        [standing] = [s for s in listed.standings if s.agency == "education"]
        assert standing.reason == RouteReason.ROUTE_REASON_WE_ARE_FULL
        watching.cancel()
        assert [(q.queue_length, q.overflowing) for q in seen] == [
            (4, False),
            (10, True),
            (0, True),
        ]
    settle(settings)


def settled(settings: Settings, agency: str, version: str = "1") -> dict[tuple[str, str], int]:
    """Calls of an agency by where they went and why."""
    command = ["contracts", "settlement", "--agency", agency, "--csv"]
    ran = CliRunner().invoke(app, command, env={"MAWJA_KAFKA": settings.kafka})
    assert ran.exit_code == 0, ran.output
    rows = list(csv.DictReader(io.StringIO(ran.stdout)))
    assert {(row["model"], row["contract_version"]) for row in rows} == {("overflow", version)}
    return {(row["went"], row["reason"]): int(row["calls"]) for row in rows}


def settle(settings: Settings) -> None:
    """What the command says of all that was asked above."""
    # "looking" was asked about many times and is one call, as it was answered last.
    assert settled(settings, "education", version="4") == {
        ("taken", "agency silent"): 1,
        ("taken", "life safety"): 1,
        ("taken", "agency full"): 1,
        ("taken", "settling"): 2,
        ("left to the agency", "agency has room"): 1,
        ("left to the agency", "we are full"): 1,
    }


async def test_while_nothing_can_be_stated_every_call_is_ours(
    settings: Settings, replicas: list[Room], parts: Parts
) -> None:
    target = await asyncio.to_thread(replicas[1].target)
    assert parts.local_kafka is not None
    [node] = parts.local_kafka.nodes
    async with (
        Caller(target, settings, Role.GATEWAY) as ours,
        Caller(target, settings, Role.GATEWAY, "transport") as transport,
    ):
        await transport.report(0, agency="transport")
        assert await ours.route("transport", key="asked again") == "AGENCY AGENCY_HAS_ROOM"
        with frozen(node.pid):
            for life_safety, reason in (
                (False, RouteReason.ROUTE_REASON_CANNOT_TELL),
                (True, RouteReason.ROUTE_REASON_LIFE_SAFETY),
            ):
                began = clock.monotonic_s()
                request = contracts_pb2.RouteCallRequest(
                    source="gateway",
                    contact_key="asked again",
                    agency="transport",
                    life_safety=life_safety,
                )
                answer = await ours.ask("RouteCall", request)
                assert clock.monotonic_s() - began < 3
                assert (answer.route, answer.reason) == (Route.ROUTE_OURS, reason)
                assert not answer.stated

        async def known() -> bool:
            return await ours.route("transport") == "AGENCY AGENCY_HAS_ROOM"

        await eventually(known)
    # What was answered in the meantime stands behind what was not: the call is one, and ours.
    rows = settled(settings, "transport")
    assert rows["taken", "life safety"] == 1
    assert ("taken", "cannot tell") not in rows


async def wait_with_us(settings: Settings, calls: int) -> None:
    producer = Producer(settings.kafka, "test-contracts")
    await producer.start()
    try:
        now = clock.now_ms()
        sent = [
            await producer.send(
                CALL_EVENT,
                call % settings.partitions,
                CallEvent(
                    contact_id=str(uuid4()),
                    state=CallState.CALL_STATE_OFFERED,
                    agency="health",
                    event_ms=now,
                    accepted_ms=now,
                ).SerializeToString(),
            )
            for call in range(calls)
        ]
        await acknowledged(sent)
    finally:
        await producer.stop()


async def test_who_may_tell_and_ask_what(settings: Settings, replicas: list[Room]) -> None:
    target = await asyncio.to_thread(replicas[1].target)
    denied = grpc.StatusCode.PERMISSION_DENIED
    async with (
        Caller(target, settings, Role.GATEWAY) as ours,
        Caller(target, settings, Role.GATEWAY, "health") as health,
        Caller(target, settings, Role.LIAISON, "health") as liaison,
        Caller(target, settings, Role.LOAD_TESTER) as tester,
    ):
        # Not even our own telephone system says how full an agency is.
        for stranger in (ours, health, liaison, tester):
            assert await refused(stranger.report(0)) == denied
        assert await refused(health.route("education")) == denied
        assert await refused(tester.route()) == denied
        assert await refused(liaison.route("health")) == denied
        assert (await liaison.report(7, agency="health")).queue_length == 7
        ahead = clock.now_ms() + 6 * 60_000
        wrong = liaison.report(7, agency="health", event_ms=ahead)
        assert await refused(wrong) == grpc.StatusCode.INVALID_ARGUMENT
        listed = await health.ask("ListQueues", contracts_pb2.ListQueuesRequest())
        assert {queue.agency for queue in listed.queues} == {"", "health"}
        assert [one.agency for one in listed.standings] == ["health"]
        foreign = contracts_pb2.ListQueuesRequest(agency="education")
        assert await refused(health.ask("ListQueues", foreign)) == denied
        # Rehearsals stand apart.
        assert (await tester.report(10, agency="health", drill=True)).drill
        assert await tester.route("health", drill=True) == "OURS FULL_SERVICE"
        listed = await health.ask("ListQueues", contracts_pb2.ListQueuesRequest(agency="health"))
        assert 10 not in {queue.queue_length for queue in listed.queues}
