"""Channels to services: plain on loopback, with TLS where MAWJA_TLS names certificates.

gRPC takes a client's certificate once, when the channel is made. So `Renewing` is a channel that
makes itself anew when the files have changed: calls that begin then go by the new one, and what is
under way ends on the old one.
"""

import asyncio
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import grpc

from services.runtime import rpc, tls
from services.runtime.clock import monotonic_s
from services.runtime.rpc import CHANNEL_OPTIONS

_LOOK_S = 5.0
"""How often the files are looked at, while there are calls."""
_END_S = 660.0
"""How long what is under way may take: servers end a connection after 11 minutes."""


def folder_of(env: Mapping[str, str] = os.environ) -> Path | None:
    """Where the certificates are, as the environment of a command says; None: no TLS."""
    return Path(env["MAWJA_TLS"]) if env.get("MAWJA_TLS") else None


def blocking(target: str, folder: Path | None = None) -> grpc.Channel:
    """A channel for calls that block, for as long as a command takes. Raises ConfigError."""
    options = list(CHANNEL_OPTIONS)
    if folder is None:
        return grpc.insecure_channel(target, options=options)
    return grpc.secure_channel(target, tls.client(tls.read(folder)), options=options)


def channel(target: str, folder: Path | None = None) -> grpc.aio.Channel:
    """A channel that balances over replicas (`dns:///` of a headless service) and tries again at
    most 3 times on UNAVAILABLE, within a budget of a tenth of the calls. `folder`: of the
    certificates; None: no TLS. Raises ConfigError."""
    if folder is None:
        return rpc.channel(target)
    return Renewing(target, folder)


class Renewing(grpc.aio.Channel):
    """A channel with TLS whose certificate may be replaced while it is in use."""

    def __init__(self, target: str, folder: Path, look_s: float = _LOOK_S) -> None:
        self._target = target
        self._files = tls.Files(folder)
        self._look_s = look_s
        self._pems = self._files.current()
        self._looked_s = monotonic_s()
        self._inner = self._made()
        self._ending: set[asyncio.Task[None]] = set()

    def _made(self) -> grpc.aio.Channel:
        return grpc.aio.secure_channel(
            self._target, tls.client(self._pems), options=list(CHANNEL_OPTIONS)
        )

    def now(self) -> grpc.aio.Channel:
        """The channel by which the next call goes."""
        if monotonic_s() - self._looked_s >= self._look_s:
            self._looked_s = monotonic_s()
            pems = self._files.current()
            if pems != self._pems:
                self._pems = pems
                old, self._inner = self._inner, self._made()
                ending = asyncio.ensure_future(old.close(_END_S))
                self._ending.add(ending)
                ending.add_done_callback(self._ending.discard)
        return self._inner

    def unary_unary(self, *args: Any, **options: Any) -> Any:
        """A method of one request and one answer."""
        return self._method(lambda channel: channel.unary_unary(*args, **options))

    def unary_stream(self, *args: Any, **options: Any) -> Any:
        """A method of one request and many answers."""
        return self._method(lambda channel: channel.unary_stream(*args, **options))

    def stream_unary(self, *args: Any, **options: Any) -> Any:
        """A method of many requests and one answer."""
        return self._method(lambda channel: channel.stream_unary(*args, **options))

    def stream_stream(self, *args: Any, **options: Any) -> Any:
        """A method of many requests and many answers."""
        return self._method(lambda channel: channel.stream_stream(*args, **options))

    def _method(self, of: Callable[[grpc.aio.Channel], Any]) -> Any:
        made: list[tuple[grpc.aio.Channel, Any]] = []

        def call(*args: Any, **options: Any) -> Any:
            channel = self.now()
            if not made or made[0][0] is not channel:
                made[:] = [(channel, of(channel))]
            return made[0][1](*args, **options)

        return call

    async def close(self, grace: float | None = None) -> None:
        """Ends what is under way within `grace` seconds, also on earlier channels."""
        for ending in self._ending:
            ending.cancel()
        await asyncio.gather(self._inner.close(grace), *self._ending, return_exceptions=True)

    async def channel_ready(self) -> None:
        """When it is connected."""
        await self.now().channel_ready()

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """As gRPC says it of the channel in use."""
        return self._inner.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """As gRPC says it of the channel in use."""
        await self._inner.wait_for_state_change(last_observed_state)

    async def __aenter__(self) -> "Renewing":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
