"""How the processes of broadcast stand: what keeps their messages waiting, told to each other in
Redis every second, for those who watch a campaign. Nothing is decided by it, and nothing of it is
kept: while Redis is away or hangs, a campaign only says less of itself.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import cast

import redis.asyncio as redis
from google.protobuf.message import DecodeError
from mawja.broadcast.v1.campaigns_pb2 import CarrierWait, Standing
from redis.exceptions import RedisError

from services.broadcast.campaigns.part import Part
from services.broadcast.campaigns.waiting import FRESH_MS
from services.broadcast.sender import Sender
from services.runtime.clock import monotonic_s, now_ms
from services.runtime.errors import Away
from services.runtime.latest import Latest

_EVERY_S = 1.0
_PATIENCE_S = 0.4


class Standings:
    """Tells how this process stands, and how all do. `parts`: those of the partitions that it sends
    for; under the lowest of them it is told."""

    def __init__(
        self,
        client: "redis.Redis",
        partitions: int,
        sender: Sender,
        parts: Callable[[], Mapping[int, Part]],
    ) -> None:
        self._client = client
        self._keys = [f"broadcast:standing:{partition}" for partition in range(partitions)]
        self._sender = sender
        self._parts = parts
        self._latest = Latest(self._read, _PATIENCE_S)
        self._seen: Sequence[Standing] = ()
        self._seen_s = float("-inf")

    async def run(self) -> None:
        """Tells until cancelled."""
        while True:
            if parts := self._parts():
                told = Standing(
                    told_ms=now_ms(),
                    carriers=self._carriers(),
                    campaigns=[one for part in parts.values() for one in part.waits()],
                )
                key = self._keys[min(parts)]
                # Redis away: it is told again in a moment, and nothing is known till then.
                with suppress(RedisError):
                    await self._client.set(key, told.SerializeToString(), px=FRESH_MS)
            await asyncio.sleep(_EVERY_S)

    async def all(self) -> Sequence[Standing]:
        """What every process told; how long ago, each says itself. Takes half a second at most."""
        now_s = monotonic_s()
        if now_s - self._seen_s >= _EVERY_S:
            self._seen_s = now_s
            if (found := await self._latest.get()) is not None:
                self._seen = found[0]
        return self._seen

    def _carriers(self) -> Iterator[CarrierWait]:
        now_s = monotonic_s()
        for name in self._sender.outs:
            standing = self._sender.standing(name, now_s)
            if standing.why:
                next_ms = max(0, int(standing.next_s * 1000))
                yield CarrierWait(carrier=name, why=standing.why, next_ms=next_ms)

    async def _read(self) -> Sequence[Standing]:
        found = []
        try:
            told = cast("list[bytes | None]", await self._client.mget(self._keys))
        except RedisError as error:
            raise Away(f"Redis does not answer: {type(error).__name__}") from error
        for payload in told:
            # What is no standing was put there by nobody who may.
            with suppress(DecodeError):
                found += [Standing.FromString(payload)] if payload else []
        return found
