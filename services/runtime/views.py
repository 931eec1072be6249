"""What readers see of a room's views: what is there, and "not found" only when all of it is there.

Any replica reads, also while Redis has a part only: a partition whose owner has not written
everything yet has no sentinel (`store.sentinel_key`), and then what is missing is UNAVAILABLE.
"""

from collections.abc import Awaitable, Sequence
from typing import TypeVar, cast

import redis.asyncio as redis
from redis.exceptions import RedisError

from services.runtime.errors import Away
from services.runtime.store import sentinel_key

# Before each payload stand the epoch and the offset of its decision, 16 hex digits each.
_VERSION_CHARS = 32
_T = TypeVar("_T")


class Views:
    """The read side of a room's views."""

    def __init__(self, client: "redis.Redis", room: str, partitions: int) -> None:
        self._client = client
        self._room = room
        self._sentinels = [sentinel_key(room, p) for p in range(partitions)]
        self._begun = False

    async def get(self, *keys: str) -> list[bytes | None]:
        """The payloads of `keys`, None for those that are not there. Raises Away while any
        partition's view is being rebuilt or Redis does not answer."""
        values = await _answered(self._mget([*keys, *self._sentinels]))
        found = [value[_VERSION_CHARS:] if value else None for value in values[: len(keys)]]
        if None in found:
            self._check_whole(values[len(keys) :])
        return found

    async def range(self, index: str, start: int, count: int) -> list[bytes]:
        """`count` members of a sorted set from rank `start`, lowest score first. Raises Away."""
        pipeline = self._client.pipeline(transaction=False)
        pipeline.zrange(index, start, start + count - 1)
        pipeline.mget(self._sentinels)
        members, sentinels = await _answered(pipeline.execute())
        self._check_whole(sentinels)
        return cast(list[bytes], members)

    async def after(
        self, index: str, place: tuple[float, bytes] | None, count: int
    ) -> list[tuple[float, bytes]]:
        """`count` (score, member) of a sorted set in order, behind `place`, the last one of an
        earlier answer (None: from the start): what comes or goes before it moves nothing. Raises
        Away."""
        found: list[tuple[float, bytes]] = []
        lowest = "-inf" if place is None else repr(place[0])
        offset = 0
        while len(found) < count:
            pipeline = self._client.pipeline(transaction=False)
            pipeline.zrange(
                index, lowest, "+inf", byscore=True, offset=offset, num=count, withscores=True
            )
            pipeline.mget(self._sentinels)
            rows, sentinels = await _answered(pipeline.execute())
            self._check_whole(sentinels)
            entries = [(float(score), bytes(member)) for member, score in rows]
            found += [entry for entry in entries if place is None or entry > place]
            offset += count
            if len(entries) < count:
                break
        return found[:count]

    async def count(self, *indexes: str) -> list[int]:
        """How many members each of some sorted sets has. Raises Away."""
        pipeline = self._client.pipeline(transaction=False)
        for index in indexes:
            pipeline.zcard(index)
        pipeline.mget(self._sentinels)
        *counts, sentinels = await _answered(pipeline.execute())
        self._check_whole(sentinels)
        return [int(count) for count in counts]

    async def whole(self) -> bool:
        """Whether every partition's view is written."""
        try:
            self._check_whole(await _answered(self._mget(self._sentinels)))
        except Away:
            return False
        return True

    async def begun(self) -> bool:
        """Whether it was whole once, or Redis did not answer: from then on waiting for it helps
        nobody, and a room that has more to serve than its view serves that."""
        if not self._begun:
            try:
                self._begun = None not in await self._mget(self._sentinels)
            except RedisError:
                self._begun = True
        return self._begun

    async def _mget(self, keys: list[str]) -> list[bytes | None]:
        # The client's type knows that it could decode; `connect` says that it does not.
        return cast(list[bytes | None], await self._client.mget(keys))

    def _check_whole(self, sentinels: Sequence[bytes | None]) -> None:
        if None in sentinels:
            raise Away(f"the view of {self._room} is being rebuilt; try again in a moment")


async def _answered(call: Awaitable[_T]) -> _T:
    try:
        return await call
    except RedisError as error:
        raise Away(f"Redis does not answer: {type(error).__name__}") from error
