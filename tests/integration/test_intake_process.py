"""Intake's process: overloaded, stopped and killed, and its partners killed under it."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from mawja.intake.v1 import events_pb2, service_pb2, service_pb2_grpc

from services.intake.client import CallReporter, ContactStream
from services.local.kafka import wait_ready
from services.local.parts import Parts
from services.runtime import clock, ids, rpc
from services.runtime.config import Settings
from services.runtime.identity import Role, issue
from services.runtime.topics import CALL_EVENT
from tests.intake_rig import (
    Intake,
    ask,
    contact,
    contacts,
    details,
    intake,
    outcome,
    refused,
    reported,
    stored,
    stub,
    until_taken,
)

# Overload.


async def test_overload_is_refused_fast_and_life_safety_last(
    settings: Settings, folder: Path, gateway: Any, parts: Parts, shared: Intake
) -> None:
    """Kafka stands still, so that what is taken stays under way: 50 places, 10 of them reserved."""
    assert parts.local_kafka is not None
    [node] = parts.local_kafka.nodes
    with intake(settings, folder, "small", MAWJA_INFLIGHT="50") as small:
        async with stub(small.target) as intake_stub:
            await intake_stub.SubmitContact(ask("warm"), metadata=gateway)

            def send(key: str, **changes: Any) -> asyncio.Task[Any]:
                async def one() -> Any:
                    started = time.monotonic()
                    try:
                        return await intake_stub.SubmitContact(
                            ask(key, **changes), metadata=gateway, timeout=40
                        )
                    except grpc.aio.AioRpcError as error:
                        return error, time.monotonic() - started

                return asyncio.create_task(one())

            node.suspend()
            try:
                ordinary = [send(f"o{i}") for i in range(70)]
                done, _ = await asyncio.wait(ordinary, timeout=2)
                assert len(done) == 30, "40 are under way"
                urgent = [send(f"u{i}", life_safety=True) for i in range(15)]
                done_urgent, _ = await asyncio.wait(urgent, timeout=2)
                assert len(done_urgent) == 5, "the reserved share has 10 places"
                for task in (*done, *done_urgent):
                    error, _ = task.result()
                    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
                    retry = error_details_pb2.RetryInfo()
                    assert details(error).Unpack(retry)
                    assert 0.2 < retry.retry_delay.ToTimedelta().total_seconds() <= 8
                # What one refusal costs when nothing else goes on: less than 50 ms.
                _, took = await send("fast")
                assert took < 0.05, took
            finally:
                node.resume()
            results = [t.result() for t in await asyncio.gather(*map(_ended, (*ordinary, *urgent)))]
            taken = [r for r in results if isinstance(r, service_pb2.SubmitContactResponse)]
            assert len(taken) == 50
            await intake_stub.SubmitContact(ask("normal again"), metadata=gateway)
        assert "a life-safety contact was turned away" in small.said


async def test_what_the_client_was_told_to_bring_again_is_taken_once_in_the_end(
    settings: Settings, folder: Path
) -> None:
    """Six clients want more places than there are, by bundles that are turned away as wholes and
    by such that are looked at."""
    token = issue(settings.keys, "gw", frozenset({Role.GATEWAY}), now=clock.now_ms())
    answers: Counter[str] = Counter()
    with intake(settings, folder, "crowded", MAWJA_INFLIGHT="1000") as crowded:
        async with AsyncExitStack() as stack:
            streams = [
                ContactStream(await stack.enter_async_context(rpc.channel(crowded.target)), token)
                for _ in range(6)
            ]

            async def send(number: int, stream: ContactStream) -> None:
                for i in range(1500):
                    key = f"crowd-{number}-{i}"

                    def answered(
                        answer: service_pb2.SubmitContactsResponse, key: str = key
                    ) -> None:
                        assert answer.HasField("accepted")
                        answers[key] += 1

                    await stream.submit(contact(key, life_safety=i % 20 == 0), answered)
                await stream.close()

            async with asyncio.timeout(60):
                await asyncio.gather(*(send(n, stream) for n, stream in enumerate(streams)))
        assert len(answers) == 9000
        assert set(answers.values()) == {1}
        assert sum(stream.counts.refused for stream in streams) > 0
    kept = Counter(e.contact_id for e in contacts(settings))
    assert all(kept[ids.contact_id("gw", key)] == 1 for key in answers)


async def _ended(task: asyncio.Task[Any]) -> asyncio.Task[Any]:
    await asyncio.wait([task])
    return task


# Starting and stopping.


async def test_sigterm_lets_streams_go_tells_watchers_and_ends_with_0(
    settings: Settings, folder: Path, gateway: Any
) -> None:
    with intake(settings, folder, "terminated") as started:
        announced = json.loads(started.ready_file.read_text())
        assert announced["pid"] == started.process.pid
        assert announced["grpc"] == started.grpc
        assert announced["webhook"] == started.webhook
        assert announced["metrics"] == started.metrics
        async with rpc.channel(started.target) as channel:
            health: Any = health_pb2_grpc.HealthStub(channel)
            status = health_pb2.HealthCheckResponse
            for name in ("", "live"):
                checked = await health.Check(health_pb2.HealthCheckRequest(service=name))
                assert checked.status == status.SERVING
            watch = health.Watch(health_pb2.HealthCheckRequest(service=""))
            assert (await watch.read()).status == status.SERVING
            contacts_stub: service_pb2_grpc.IntakeServiceAsyncStub = (
                service_pb2_grpc.IntakeServiceStub(channel)
            )
            stream: Any = contacts_stub.SubmitContacts(metadata=gateway)
            calls = contacts_stub.ReportCalls(metadata=gateway)
            for i in range(100):
                await stream.write(
                    service_pb2.SubmitContactsRequest(sequence=i, contact=contact(f"term{i}"))
                )
            answered = [await stream.read() for _ in range(100)]
            assert all(a.HasField("accepted") for a in answered)
            for i in range(100, 120):
                await stream.write(
                    service_pb2.SubmitContactsRequest(sequence=i, contact=contact(f"term{i}"))
                )
            began = time.monotonic()
            started.process.send_signal(signal.SIGTERM)
            assert (await watch.read()).status == status.NOT_SERVING
            # What was read is answered, then the stream is told to go elsewhere.
            late = 0
            while isinstance(
                answer := await outcome(stream.read()), service_pb2.SubmitContactsResponse
            ):
                assert answer.HasField("accepted")
                late += 1
            assert answer is grpc.StatusCode.UNAVAILABLE
            assert late <= 20
            calls.cancel()
        code = await asyncio.to_thread(started.process.wait, 30)
        assert code == 0, started.said[-2000:]
        assert time.monotonic() - began < 10, "an open stream must not hold up the drain"
        assert '"stopping"' in started.said


def test_wrong_settings_end_with_one_line(settings: Settings, folder: Path) -> None:
    def run(**env: str) -> subprocess.CompletedProcess[str]:
        made = Intake(settings, folder, "wrong", **env)
        return subprocess.run(
            [sys.executable, "-m", "services.intake"],
            env=made.env,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        cases = {
            "MAWJA_PARTITIONS": ("many", 2),
            "MAWJA_REDIS_URL": ("nonsense", 1),
            "MAWJA_KEYS": (str(folder / "nowhere"), 1),
            "MAWJA_LISTEN": (address, 1),
            "MAWJA_METRICS": (address, 1),
            "MAWJA_WEBHOOK": (address, 1),
        }
        for name, (value, code) in cases.items():
            ended = run(**{name: value})
            assert ended.returncode == code, (name, ended.stderr)
            assert "Traceback" not in ended.stderr, (name, ended.stderr)
            assert name in ended.stderr or "mawja keys" in ended.stderr, (name, ended.stderr)


async def test_kill_9_loses_no_acknowledged_contact_and_the_client_answers_all(
    settings: Settings, folder: Path, gateway: Any
) -> None:
    token = issue(settings.keys, "gw", frozenset({Role.GATEWAY}), now=clock.now_ms())
    victim = Intake(settings, folder, "victim").start().ready()
    answers: dict[str, service_pb2.SubmitContactsResponse] = {}
    answered_twice: list[str] = []
    try:
        async with rpc.channel(victim.target) as channel:
            stream, reporter = ContactStream(channel, token), CallReporter(channel, token)

            async def submit(i: int) -> None:
                key = f"v{i}"

                def answered(answer: service_pb2.SubmitContactsResponse) -> None:
                    if key in answers:
                        answered_twice.append(key)
                    answers[key] = answer

                await stream.submit(contact(key), answered)
                reporter.report(reported(key))

            async def kill() -> None:
                for kills in range(3):
                    await asyncio.sleep(0.5)
                    victim.process.kill()
                    await asyncio.to_thread(victim.process.wait)
                    acknowledged_now = {k for k, a in answers.items() if a.HasField("accepted")}
                    kept = {e.contact_id for e in contacts(settings)}
                    assert {ids.contact_id("gw", k) for k in acknowledged_now} <= kept
                    victim.start()
                    await asyncio.to_thread(victim.ready)
                    assert kills < 3

            killing = asyncio.create_task(kill())
            count = 0
            while not killing.done() or count < 3000:
                await submit(count)
                count += 1
            await killing
            async with asyncio.timeout(60):
                await stream.close()
                await reporter.close()
        assert len(answers) == count
        assert not answered_twice
        assert all(a.HasField("accepted") for a in answers.values())
        assert stream.counts.reconnects >= 1
        assert stream.counts.resent > 0
        kept = {e.contact_id for e in contacts(settings)}
        assert {ids.contact_id("gw", f"v{i}") for i in range(count)} <= kept
        assert reporter.accepted >= count
        events = {
            events_pb2.CallEvent.FromString(r.value or b"").contact_id
            for r in stored(settings, CALL_EVENT)
        }
        assert {ids.contact_id("gw", f"v{i}") for i in range(count)} <= events
    finally:
        victim.end()


async def test_the_stream_client_tells_that_its_token_is_refused(
    shared: Intake, settings: Settings
) -> None:
    async with rpc.channel(shared.target) as channel:
        stream = ContactStream(channel, "garbage")

        async def submit_for_ever() -> None:
            while True:
                await stream.submit(contact("x"), lambda _: None)

        async with asyncio.timeout(10):
            error = await refused(submit_for_ever())
        assert error.code() is grpc.StatusCode.UNAUTHENTICATED


# From here on Valkey and Kafka are killed: keep these last.


async def test_redis_away_is_unavailable_and_keys_hold_when_it_is_back_empty(
    shared: Intake, settings: Settings, gateway: Any, parts: Parts
) -> None:
    assert parts.local_valkey is not None
    async with stub(shared.target) as intake_stub:
        first = await intake_stub.SubmitContact(ask("redis"), metadata=gateway)
        parts.local_valkey.child.kill9()
        error = await refused(
            intake_stub.SubmitContact(ask("redis 2"), metadata=gateway, timeout=20)
        )
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        parts.local_valkey.restart()
        assert await until_taken(intake_stub, ask("redis"), gateway) == first
        error = await refused(intake_stub.SubmitContact(ask("redis", topic="x"), metadata=gateway))
        assert error.code() is grpc.StatusCode.ALREADY_EXISTS
        await until_taken(intake_stub, ask("redis 2"), gateway)


async def test_kafka_away_is_unavailable_never_ok_and_taken_again_when_it_is_back(
    shared: Intake, settings: Settings, gateway: Any, parts: Parts
) -> None:
    """For longer than a batch lives in Kafka's client: then its numbers are used and not written,
    and the broker refuses everything that follows."""
    assert parts.local_kafka is not None
    [node] = parts.local_kafka.nodes
    # Without the retries of the shipped channel: what the service itself says.
    async with grpc.aio.insecure_channel(shared.target) as channel:
        intake_stub: service_pb2_grpc.IntakeServiceAsyncStub = service_pb2_grpc.IntakeServiceStub(
            channel
        )
        await intake_stub.SubmitContact(ask("before"), metadata=gateway)
        node.kill9()
        down = time.monotonic()
        codes: Counter[Any] = Counter()
        while time.monotonic() - down < 24:
            calls = [
                intake_stub.SubmitContact(
                    ask(f"away-{time.monotonic()}-{i}"), metadata=gateway, timeout=30
                )
                for i in range(5)
            ]
            codes.update(await asyncio.gather(*(outcome(call) for call in calls)))
            await asyncio.sleep(0.05)
        assert set(codes) == {grpc.StatusCode.UNAVAILABLE}
        assert shared.process.poll() is None
        node.start()
        await asyncio.to_thread(wait_ready, settings.kafka, 1, 60.0, lambda: None)
        back = time.monotonic()
        for i in range(40):
            # Every partition takes again.
            number = f"+99951234{i:04d}"
            await until_taken(intake_stub, ask(f"back-{i}", number=number), gateway)
        assert time.monotonic() - back < 60
    kept = {e.contact_id for e in contacts(settings)}
    assert {ids.contact_id("gw", f"back-{i}") for i in range(40)} <= kept


async def test_sigterm_without_kafka_and_redis_still_ends_in_grace(
    settings: Settings, folder: Path, parts: Parts, gateway: Any
) -> None:
    assert parts.local_kafka is not None
    assert parts.local_valkey is not None
    with intake(settings, folder, "alone") as started:
        parts.local_kafka.nodes[0].kill9()
        parts.local_valkey.child.kill9()
        async with stub(started.target) as intake_stub:
            error = await refused(
                intake_stub.SubmitContact(ask("alone"), metadata=gateway, timeout=30)
            )
            assert error.code() is grpc.StatusCode.UNAVAILABLE
        began = time.monotonic()
        started.process.send_signal(signal.SIGTERM)
        code = await asyncio.to_thread(started.process.wait, 60)
        assert time.monotonic() - began < 40
        assert code == 0, started.said[-2000:]
