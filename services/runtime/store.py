"""Redis as a view: written by a partition's owner, rebuilt when lost, never believed over Kafka.

Every entry carries the (epoch, offset) of the decision that made it; a script applies only a higher
one, so a late writer changes nothing. Each partition's view has a *sentinel* that its owner sets
once everything is written. A flushed Redis has no sentinel: writers notice and write everything
again, and readers answer UNAVAILABLE rather than "not found".
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, cast

import redis.asyncio as redis
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from services.runtime import log, metrics, rebuild
from services.runtime.clock import monotonic_s
from services.runtime.errors import ConfigError, Stop

_log = log.get("store")
_BATCH = 400
_PAUSE_S = 0.5

# What is no epoch was put there by nobody who may: it counts as none, and the view is written anew.
_EPOCH_AT = """
local function epoch_at(key)
  local epoch = redis.call('GET', key)
  return epoch and #epoch == 16 and string.match(epoch, '^%x+$') and epoch
end
"""
# KEYS[1] sentinel. ARGV: epoch, then for each entry: key, version, payload, seconds to live (0: for
# ever), number of index operations, and for each of those: sorted set, score ('' removes), member.
_PUT = f"""
{_EPOCH_AT}
local sentinel = epoch_at(KEYS[1])
if not sentinel then return 'LOST' end
if sentinel > ARGV[1] then return 'NEWER' end
if sentinel ~= ARGV[1] then return 'LOST' end
local i = 2
while ARGV[i] do
  local key, version, payload = ARGV[i], ARGV[i+1], ARGV[i+2]
  local ttl, n = tonumber(ARGV[i+3]), tonumber(ARGV[i+4])
  i = i + 5
  local old = redis.call('GETRANGE', key, 0, 31)
  local newer = #old < 32 or old < version
  if newer then
    if ttl > 0 then redis.call('SET', key, version .. payload, 'EX', ttl)
    else redis.call('SET', key, version .. payload) end
  end
  for _ = 1, n do
    if newer then
      if ARGV[i+1] == '' then redis.call('ZREM', ARGV[i], ARGV[i+2])
      else redis.call('ZADD', ARGV[i], ARGV[i+1], ARGV[i+2]) end
    end
    i = i + 3
  end
end
return 'OK'
"""
# KEYS[1] sentinel. ARGV: epoch. A newer owner's sentinel stays, and where there is none there must
# be none until everything is written.
_CLAIM = f"""
{_EPOCH_AT}
local sentinel = epoch_at(KEYS[1])
if not sentinel then return 'LOST' end
if sentinel > ARGV[1] then return 'NEWER' end
redis.call('SET', KEYS[1], ARGV[1])
return 'OK'
"""
# KEYS: sentinel, sentinel of the rebuilding, fence. ARGV: epoch.
_BEGIN = f"""
{_EPOCH_AT}
if redis.call('EXISTS', KEYS[3]) == 1 then return 'WAIT' end
for i = 1, 2 do
  local epoch = epoch_at(KEYS[i])
  if epoch and epoch > ARGV[1] then return 'NEWER' end
end
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[2], ARGV[1])
return 'OK'
"""
# KEYS: the first two. LOST when Redis was flushed meanwhile: a part of what was written is lost.
_END = f"""
{_EPOCH_AT}
local epoch = epoch_at(KEYS[2])
if not epoch then return 'LOST' end
if epoch > ARGV[1] then return 'NEWER' end
redis.call('RENAME', KEYS[2], KEYS[1])
return 'OK'
"""


@dataclass(frozen=True, slots=True)
class IndexOp:
    """Puts `member` into a sorted set with `score`, or takes it out when `score` is None."""

    index: str
    member: bytes
    score: float | None


@dataclass(frozen=True, slots=True)
class Item:
    """One entry of a view. `offset` is that of the decision that made it."""

    key: str
    payload: bytes
    offset: int
    index: tuple[IndexOp, ...] = ()
    ttl_s: int = 0


def connect(url: str) -> "redis.Redis":
    """A client whose calls fail at once when Redis is away: the caller decides what then.

    Raises ConfigError when `url` is not the address of a Redis.
    """
    try:
        options: dict[str, Any] = dict(parse_url(url))
        kind = options.pop("connection_class", redis.Connection)
        connection_class = _KINDS[kind]
    except (ValueError, KeyError):
        # Not repeated: it may hold a password.
        raise ConfigError("MAWJA_REDIS_URL must be redis:// or rediss://host:port/0") from None
    pool = redis.ConnectionPool(
        connection_class=connection_class,
        **options,
        socket_timeout=2,
        socket_connect_timeout=1,
        retry=Retry(NoBackoff(), 1),
        max_connections=64,
    )
    return redis.Redis.from_pool(pool)


class _Stoppable:
    """Sends without asyncio.wait_for, which in Python 3.11 loses the cancelling of a task at the
    moment in which what it waits for is done: a task that talks to Redis would not be stopped. It
    also spares a task for each command."""

    socket_timeout: float | None
    is_connected: bool

    async def send_packed_command(
        self, command: bytes | str | Iterable[bytes], check_health: bool = True
    ) -> None:
        connection = cast(Any, super())
        if not self.is_connected:
            await cast(Any, self).connect_check_health(check_health=False)
        limit, self.socket_timeout = self.socket_timeout, None
        try:
            async with asyncio.timeout(limit):
                await connection.send_packed_command(command, check_health)
        except TimeoutError:
            raise RedisTimeoutError("Timeout writing to socket") from None
        finally:
            self.socket_timeout = limit


class _PlainConnection(_Stoppable, redis.Connection):
    pass


class _TlsConnection(_Stoppable, redis.SSLConnection):
    pass


_KINDS: dict[type, type[redis.Connection]] = {
    redis.Connection: _PlainConnection,
    redis.SSLConnection: _TlsConnection,
}


class _Fenced(Exception):
    """Somebody takes the view away, to have it written again."""


def sentinel_key(room: str, partition: int) -> str:
    """The key that says that the view of a partition is whole."""
    return f"{room}:whole:{partition}"


def view_of(room: str, partitions: int) -> rebuild.View:
    """Everything that Redis holds of a room whose partitions have a view each."""
    sentinels = tuple(sentinel_key(room, p) for p in range(partitions))
    return rebuild.View(room, rebuild.fence_key(room), sentinels, f"{room}:")


class PartitionView:
    """The write side of one partition's view, held by its owner.

    `everything` yields the whole view from the owner's memory, for a rebuild. When Redis is away,
    entries wait in memory (the newest of each key) and are written when it is back; `settled` tells
    whether anything waits.
    """

    def __init__(
        self,
        client: "redis.Redis",
        room: str,
        partition: int,
        epoch: int,
        everything: Callable[[], Iterable[Item]],
    ) -> None:
        self._client = client
        self._room = room
        self._progress = rebuild.progress_key(room, partition)
        self._sentinel = sentinel_key(room, partition)
        self._epoch = f"{epoch:016x}"
        self._everything = everything
        self._pending: dict[str, Item] = {}
        self._put = client.register_script(_PUT)
        self._claim = client.register_script(_CLAIM)
        self._begin = client.register_script(_BEGIN)
        self._end = client.register_script(_END)
        self._claimed = False
        self._not_before = 0.0
        self._flushing = asyncio.Lock()

    @property
    def settled(self) -> bool:
        """Whether Redis has everything that was put."""
        return self._claimed and not self._pending

    async def start(self) -> None:
        """Takes the view over; rebuilds it when Redis has none. Raises Stop for a past owner."""
        await self.flush(force=True)

    async def put(self, items: Iterable[Item]) -> None:
        """Adds entries and tries to write what waits. Raises Stop for a past owner."""
        for item in items:
            waiting = self._pending.get(item.key)
            if waiting is not None and waiting.offset > item.offset:
                continue
            if waiting is not None:
                # Index operations add up: a later one on the same member replaces the earlier.
                merged = {(op.index, op.member): op for op in (*waiting.index, *item.index)}
                item = Item(item.key, item.payload, item.offset, tuple(merged.values()), item.ttl_s)
            self._pending[item.key] = item
        await self.flush()

    async def flush(self, force: bool = False) -> None:
        """Writes what waits, unless Redis failed a moment ago. Raises Stop for a past owner."""
        if not force and monotonic_s() < self._not_before:
            return
        async with self._flushing:
            try:
                await self._flush()
            except RedisError as error:
                self._not_before = monotonic_s() + _PAUSE_S
                _log.warning("Redis is away; the view waits", error=type(error).__name__)
            except _Fenced:
                self._not_before = monotonic_s() + _PAUSE_S
            metrics.VIEW_PENDING.labels(self._room).set(len(self._pending))

    async def keep(self) -> None:
        """Notices that Redis lost the view while nothing was put, and writes it again. To be called
        every second or so. Raises Stop for a past owner."""
        await self.flush()

    async def _flush(self) -> None:
        while True:
            if not self._claimed:
                self._claimed = await self._take_over()
                continue
            # With nothing to write too: that is how a flushed Redis is noticed.
            batch = list(islice(self._pending.values(), _BATCH))
            if not self._holds(await self._write(self._sentinel, batch)):
                # What Redis has is nothing, or older than what it had: it is written again whole.
                self._claimed = await self._rebuild()
                continue
            for item in batch:
                if self._pending.get(item.key) is item:
                    del self._pending[item.key]
            if not self._pending:
                return

    def _holds(self, answer: object) -> bool:
        """False when Redis was flushed. Raises Stop when there is a newer owner, _Fenced."""
        said = _text(answer)
        if said == "WAIT":
            raise _Fenced
        if said == "NEWER":
            raise Stop(f"the view {self._sentinel} has a newer owner; this process leaves it")
        return said == "OK"

    async def _take_over(self) -> bool:
        held = self._holds(await self._claim(keys=[self._sentinel], args=[self._epoch]))
        return held or await self._rebuild()

    async def _rebuild(self) -> bool:
        """False when Redis was flushed meanwhile."""
        self._claimed = False
        # Readers must see no sentinel until everything is there, and writing needs one: so it has
        # another name while rebuilding.
        started = monotonic_s()
        rebuilding = rebuild.building_key(self._sentinel)
        both = [self._sentinel, rebuilding]
        fence = rebuild.fence_key(self._room)
        self._holds(await self._begin(keys=[*both, fence], args=[self._epoch]))
        metrics.VIEW_REBUILDS.labels(self._room).inc()
        count = 0
        everything = iter(self._everything())
        while True:
            batch = list(islice(everything, _BATCH))
            count += len(batch)
            progress = rebuild.Progress(count, monotonic_s() - started)
            told = Item(self._progress, progress.pack(), count, ttl_s=rebuild.KEPT_S)
            if not self._holds(await self._write(rebuilding, [*batch, told])):
                return False
            if len(batch) < _BATCH:
                break
        if not self._holds(await self._end(keys=both, args=[self._epoch])):
            return False
        _log.info(
            "view rebuilt",
            view=self._sentinel,
            entries=count,
            seconds=round(monotonic_s() - started, 3),
        )
        return True

    async def _write(self, sentinel: str, batch: Sequence[Item]) -> object:
        args: list[str | bytes | float] = [self._epoch]
        for item in batch:
            args += (
                item.key,
                f"{self._epoch}{item.offset:016x}",
                item.payload,
                item.ttl_s,
                len(item.index),
            )
            for op in item.index:
                args += (op.index, "" if op.score is None else repr(op.score), op.member)
        return cast(object, await self._put(keys=[sentinel], args=args))


def _text(answer: object) -> str:
    return answer.decode() if isinstance(answer, bytes) else str(answer)
