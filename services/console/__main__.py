"""`python -m services.console`: the console's life, from settings to the last answer."""

import asyncio
import contextlib
import json
import os
import socket
import sys
from collections.abc import Iterator

import redis.asyncio as redis
import uvicorn
import uvloop
from redis.exceptions import RedisError

from services.console.app import build
from services.console.book import Book
from services.console.calls import Calls, issuer
from services.console.oidc import Coming, Provider
from services.console.sessions import Sessions, secret_of
from services.console.settings import Settings
from services.console.signing import Local, Tries
from services.runtime import clock, log, metrics, stop, store
from services.runtime.errors import MawjaError
from services.runtime.service import cannot_listen, listening

_DRAIN_S = 5
_log = log.get("console")


class _Server(uvicorn.Server):
    """Signals are the house's (`runtime.stop`); `up` is set once it serves."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begins to serve."""
        await super().startup(sockets)
        self.up.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def main() -> None:
    """Runs the console to its end and exits."""
    try:
        settings = Settings.from_env()
    except MawjaError as error:
        print(f"console: {error}", file=sys.stderr)
        sys.exit(2)
    log.configure("console", settings.log_level)
    sys.exit(uvloop.run(_run(settings)))


async def _run(settings: Settings) -> int:
    stopping = stop.on_signals()
    try:
        client = store.connect(settings.redis_url)
        issue = issuer(settings.keys, settings.kid)
        # A missing key is told now, not to the first who signs in.
        issue("console", frozenset(), "")
        calls = Calls(settings.rooms, issue, tls=settings.tls)
        secret = secret_of(settings.keys, settings.kid)
        sessions = Sessions(client, secret, settings.idle_s, settings.longest_s)
        local = Local(settings.users, Tries(client)) if settings.users else None
        provider = Provider(settings.oidc, Coming(client)) if settings.oidc else None
        app = build(settings, calls, sessions, local, provider, lambda: _answers(client))
        bound = _bind(settings.listen)
        ports = {
            "http": bound.getsockname()[1],
            "metrics": listening("MAWJA_METRICS", settings.metrics, metrics.serve),
        }
        server = _Server(
            uvicorn.Config(
                app,
                loop="none",
                log_config=None,
                access_log=False,
                server_header=False,
                date_header=True,
                proxy_headers=bool(settings.proxies),
                forwarded_allow_ips=",".join(settings.proxies) or None,
                timeout_graceful_shutdown=_DRAIN_S,
                limit_concurrency=4000,
                h11_max_incomplete_event_size=16 * 1024,
            )
        )
        serving = asyncio.create_task(server.serve(sockets=[bound]))
        stopped = asyncio.create_task(stopping.wait())
        lapsing = asyncio.create_task(Book(calls).watch(sessions))
        await server.up.wait()
        _announce(settings, ports)
        await asyncio.wait((serving, stopped), return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        await serving
        stopped.cancel()
        await stop.cancelled([lapsing])
        await calls.close()
        await client.aclose()
    except MawjaError as error:
        _log.error("the console stops", why=str(error), kind=type(error).__name__)
        return 1
    return 0 if stopping.is_set() else 1


def _bind(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    try:
        return socket.create_server((host.strip("[]"), int(port)), backlog=1024)
    except OSError as error:
        raise cannot_listen("MAWJA_CONSOLE", address) from error


async def _answers(client: "redis.Redis") -> bool:
    try:
        return bool(await client.ping())
    except (RedisError, OSError):
        return False


def _announce(settings: Settings, ports: dict[str, int]) -> None:
    _log.info("serving", ports=ports)
    if settings.ready_file is not None:
        started = {"pid": os.getpid(), "ready_ms": clock.now_ms(), **ports}
        temporary = settings.ready_file.with_suffix(".tmp")
        temporary.write_text(json.dumps(started))
        temporary.rename(settings.ready_file)


if __name__ == "__main__":
    main()
