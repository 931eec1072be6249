"""The life of a service process: settings, parts, ready, serve, drain, exit.

SIGTERM: NOT_SERVING, then no new RPCs, RPCs under way finish, the worker finishes what it holds and
commits, exit 0. An error that must end the process ends it with exit code 1 and one log line; it is
started again by whoever watches it.
"""

import asyncio
import json
import os
import socket
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import grpc
import redis.asyncio as redis
import uvloop
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from services.runtime import answering, clock, log, metrics, rpc, skew, stop, store, tls, trace
from services.runtime.audit import wiring
from services.runtime.audit.clerk import Clerk
from services.runtime.config import Settings
from services.runtime.consume import Worker
from services.runtime.erasures import Erasures
from services.runtime.errors import ConfigError, MawjaError
from services.runtime.identity import Verifier
from services.runtime.privacy import Keyring
from services.runtime.produce import Producer
from services.runtime.topics import AUDITS

DRAIN_S = 20.0
_NOTICE_S = 0.5
"""Between saying NOT_SERVING and closing the door: who balances over replicas leaves meanwhile."""
_LAST_WORD_S = 0.2
_log = log.get("service")


@dataclass(slots=True)
class Service:
    """The parts that a room is built from, and what it adds."""

    room: str
    replica: str
    settings: Settings
    keyring: Keyring
    producer: Producer
    redis: "redis.Redis"
    server: grpc.aio.Server
    verifier: Verifier
    erasures: Erasures
    workers: list[Worker] = field(default_factory=list)
    needs_partitions: bool = True
    """Whether the room serves only once its workers were given their partitions. After a kill the
    group waits for the dead one's session to end."""
    tasks: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    ready: list[Callable[[], Awaitable[bool]]] = field(default_factory=list)
    ports: dict[str, int] = field(default_factory=dict)
    closing: AsyncExitStack = field(default_factory=AsyncExitStack)
    ending: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the process begins to stop: streams without an end of their own end now."""


Build = Callable[[Service], Awaitable[None]]


def main(room: str, build: Build) -> None:
    """Runs `python -m services.<room>` to its end and exits."""
    try:
        settings = Settings.from_env()
    except MawjaError as error:
        print(f"{room}: {error}", file=sys.stderr)
        sys.exit(2)
    log.configure(room, settings.log_level)
    trace.configure(room, settings.trace_share, settings.otlp)
    sys.exit(uvloop.run(_run(room, settings, build)))


async def _run(room: str, settings: Settings, build: Build) -> int:
    stopping = stop.on_signals()
    replica = f"{room}-{socket.gethostname()}-{os.getpid()}"
    try:
        async with AsyncExitStack() as parts:
            verifier = Verifier(settings.keys)
            keyring = Keyring(settings.keys)
            producer = Producer(settings.kafka, replica)
            await producer.start()
            parts.push_async_callback(producer.stop)
            client = store.connect(settings.redis_url)
            parts.push_async_callback(client.aclose)
            clocks = skew.Skew(client)
            await clocks.begin()
            clerk = None
            if room in AUDITS:
                clerk = Clerk(room, replica, producer, keyring, settings.partitions)
            server = rpc.server(verifier, clerk)
            erasures = Erasures(settings, keyring.erased, replica)
            # Nobody opens anything before it is known who was erased.
            await erasures.begin()
            service = Service(
                room, replica, settings, keyring, producer, client, server, verifier, erasures
            )
            service.tasks += [clocks.watch, erasures.follow]
            erased_unknown = answering.Silence(metrics.ERASED_UNKNOWN)
            service.tasks.append(lambda: answering.watch(erasures.known, erased_unknown))
            kafka_silence = answering.Silence(metrics.KAFKA_SILENT)
            service.tasks.append(lambda: answering.watch(producer.answers, kafka_silence))
            await parts.enter_async_context(service.closing)
            await build(service)
            if clerk is not None:
                wiring.add(service, clerk)
            return await _serve(service, stopping)
    except MawjaError as error:
        _log.error("the service stops", why=str(error), kind=type(error).__name__)
        return 1


async def _serve(service: Service, stopping: asyncio.Event) -> int:
    settings = service.settings
    states = _Health(service.ending)
    health_pb2_grpc.add_HealthServicer_to_server(states, service.server)
    await states.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
    # Liveness asks for this one: it never depends on Kafka or Redis, which a restart can't mend.
    await states.set("live", health_pb2.HealthCheckResponse.SERVING)
    service.ports["grpc"] = listening("MAWJA_LISTEN", settings.listen, _door(service))
    if settings.health:
        await _probed(service, states)
    service.ports["metrics"] = listening("MAWJA_METRICS", settings.metrics, metrics.serve)
    await service.server.start()

    running: list[asyncio.Task[Any]] = [asyncio.create_task(w.run()) for w in service.workers]
    running += [asyncio.ensure_future(_as_task(task)) for task in service.tasks]
    watch = asyncio.create_task(_watch_readiness(service, states))
    stopped = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait([*running, watch, stopped], return_when=asyncio.FIRST_COMPLETED)
        _log.info("stopping", asked=stopping.is_set())
    finally:
        watch.cancel()
        stopped.cancel()
        metrics.SERVING.labels(service.room).set(0)
        await states.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
        if stopping.is_set():
            await asyncio.sleep(_NOTICE_S)
        service.ending.set()
        await service.server.stop(grace=DRAIN_S)
        for worker in service.workers:
            worker.stop()
        await stop.cancelled([*running[len(service.workers) :], watch])
        results = await asyncio.gather(*running, watch, return_exceptions=True)
    for result in results:
        if isinstance(result, MawjaError):
            raise result
        if isinstance(result, Exception):
            _log.error("the service failed", exc_info=result)
            return 1
    return 0 if stopping.is_set() else 1


def _door(service: Service) -> Callable[[str], int]:
    """What listens: with TLS where there are certificates. Raises ConfigError."""
    folder, server = service.settings.tls, service.server
    if folder is None:
        return server.add_insecure_port
    credentials = tls.Files(folder).server()
    return lambda address: server.add_secure_port(address, credentials)


async def _probed(service: Service, states: health.aio.HealthServicer) -> None:
    """Tells health, and nothing else, to those who have no certificate."""
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    health_pb2_grpc.add_HealthServicer_to_server(states, server)
    service.ports["health"] = listening(
        "MAWJA_HEALTH", service.settings.health, server.add_insecure_port
    )
    await server.start()
    # To the very end: also that it does not serve any more is asked there.
    service.closing.push_async_callback(server.stop, 0)


def listening(name: str, address: str, listen: Callable[[str], int]) -> int:
    """The port that was bound. Raises ConfigError when `address`, from setting `name`, can't be."""
    try:
        return listen(address)
    except (OSError, RuntimeError, ValueError) as error:
        raise cannot_listen(name, address) from error


def cannot_listen(name: str, address: str) -> ConfigError:
    """The error of a setting whose address is not to be had."""
    return ConfigError(
        f"{name} is {address} and cannot be listened at: is the port taken, or the host not "
        "this machine's?"
    )


async def _as_task(task: Callable[[], Awaitable[None]]) -> None:
    await task()


class _Health(health.aio.HealthServicer):
    """Health whose watchers are told of the end and let go: they would hold up the drain."""

    def __init__(self, ending: asyncio.Event) -> None:
        super().__init__()
        self._ending = ending

    async def Watch(self, request: health_pb2.HealthCheckRequest, context: Any) -> None:
        """Tells every change until the process ends."""
        watching = asyncio.ensure_future(super().Watch(request, context))
        ending = asyncio.create_task(self._ending.wait())
        try:
            await asyncio.wait((watching, ending), return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait((watching,), timeout=_LAST_WORD_S)
        finally:
            ending.cancel()
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)


async def _watch_readiness(service: Service, states: health.aio.HealthServicer) -> None:
    serving = False
    metrics.SERVING.labels(service.room).set(serving)
    announced = False
    while True:
        ready = not service.needs_partitions or all(worker.ready for worker in service.workers)
        for check in service.ready:
            ready = ready and await check()
        if ready != serving:
            serving = ready
            status = health_pb2.HealthCheckResponse
            await states.set("", status.SERVING if ready else status.NOT_SERVING)
            metrics.SERVING.labels(service.room).set(serving)
            _log.info("serving" if ready else "not serving", ports=service.ports)
        if ready and not announced:
            announced = True
            _announce(service)
        await asyncio.sleep(0.1 if not ready else 1.0)


def _announce(service: Service) -> None:
    path = service.settings.ready_file
    if path is not None:
        started = {"pid": os.getpid(), "ready_ms": clock.now_ms(), **service.ports}
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(started))
        temporary.rename(path)
