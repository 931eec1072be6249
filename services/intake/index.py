"""Which keys have been taken: a view in Redis over intake.contact-accepted.v1, kept 7 days.

An entry is claimed before the record is written and completed after, so two replicas can't take one
key with two bodies. Redis may be flushed at any moment: a *sentinel* says that the index is whole;
without it nothing is taken until the index has been read back from the topic.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast
from uuid import UUID

import redis.asyncio as redis
from google.protobuf.message import DecodeError
from mawja.intake.v1 import events_pb2
from redis.exceptions import RedisError

from services.runtime import log, metrics
from services.runtime.clock import monotonic_s, now_ms
from services.runtime.errors import Away
from services.runtime.own import LogReader, Record
from services.runtime.topics import CONTACT_ACCEPTED, DAY_MS

_log = log.get("intake.index")
KEPT_S = 7 * 24 * 3600
_SENTINEL = "intake:whole"
_LOCK = "intake:rebuilding"
_LOCK_S = 10
_BATCH = 1000
# A record may be on its way to Kafka from another replica whose claim was flushed: it must be in
# the topic before the topic's end is looked up.
_GRACE_S = 2.0
_PENDING = (1 << 64) - 1

# KEYS[1] sentinel, then the entries. ARGV[1] seconds to live, then a value for each entry. Answers
# the old value of each, '' where it is claimed now.
_CLAIM = """
if redis.call('EXISTS', KEYS[1]) == 0 then return redis.error_reply('LOST') end
local old = {}
for i = 2, #KEYS do
  old[i-1] = redis.call('SET', KEYS[i], ARGV[i], 'NX', 'GET', 'EX', ARGV[1]) or ''
end
return old
"""
# KEYS entries. ARGV[1] seconds to live, then a value for each. An entry that was flushed meanwhile
# is put back. Answers the mac that holds for each.
_COMPLETE = """
local macs = {}
for i = 1, #KEYS do
  local old = redis.call('GETRANGE', KEYS[i], 0, 15)
  local mine = string.sub(ARGV[i+1], 1, 16)
  if old == '' or old == mine then
    redis.call('SET', KEYS[i], ARGV[i+1], 'EX', ARGV[1])
    macs[i] = mine
  else macs[i] = old end
end
return macs
"""
# KEYS: the lock, the sentinel. ARGV: whose lock it is, the time. The index is whole only if the
# lock stood all the while: a flush takes it away, together with a part of what was read back.
_WHOLE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[2], ARGV[2])
redis.call('DEL', KEYS[1])
return 1
"""
# KEYS: the lock. ARGV: whose lock it is.
_RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of a key: whose body it was, when it was taken, and where it stands.

    `offset` is None while the record is on its way to Kafka.
    """

    mac: bytes
    accepted_ms: int
    partition: int
    offset: int | None

    def pack(self) -> bytes:
        """16 bytes mac, 8 accepted, 2 partition, 8 offset; big-endian."""
        offset = _PENDING if self.offset is None else self.offset
        return b"".join(
            (
                self.mac,
                self.accepted_ms.to_bytes(8, "big"),
                self.partition.to_bytes(2, "big"),
                offset.to_bytes(8, "big"),
            )
        )

    @classmethod
    def unpack(cls, data: bytes) -> "Entry":
        """The inverse of `pack`."""
        offset = int.from_bytes(data[26:34], "big")
        return cls(
            data[:16],
            int.from_bytes(data[16:24], "big"),
            int.from_bytes(data[24:26], "big"),
            None if offset == _PENDING else offset,
        )


class Index:
    """The index of keys; safe for many tasks."""

    def __init__(
        self,
        client: "redis.Redis",
        reader: LogReader,
        partitions: int,
        replica: str,
        clock: Callable[[], int] = now_ms,
    ) -> None:
        self._client = client
        self._reader = reader
        self._partitions = partitions
        self._replica = replica
        self._rebuilds = 0
        self._clock = clock
        self._make_whole = client.register_script(_WHOLE)
        self._release = client.register_script(_RELEASE)
        self._claim = client.register_script(_CLAIM)
        self._complete = client.register_script(_COMPLETE)
        self._whole = asyncio.Event()
        self._lost = asyncio.Event()

    @property
    def whole(self) -> bool:
        """Whether keys can be claimed now, as far as is known."""
        return self._whole.is_set()

    async def claim(self, entries: Sequence[tuple[bytes, Entry]]) -> list[Entry | None]:
        """Claims each key; None where it is ours now, else what holds. Raises Away."""
        try:
            answers = await self._claim(
                keys=[_SENTINEL, *(b"i:" + key for key, _ in entries)],
                args=[KEPT_S, *(entry.pack() for _, entry in entries)],
            )
        except RedisError as error:
            self._not_whole()
            raise Away("the index of keys is being rebuilt; send again in a moment") from error
        return [Entry.unpack(answer) if answer else None for answer in answers]

    async def complete(self, entries: Sequence[tuple[bytes, Entry]]) -> list[bool]:
        """Says where the records stand now; False for one whose key another body took meanwhile.

        Raises Away: the record is in Kafka, and sending it again gives the same answer.
        """
        try:
            macs = await self._complete(
                keys=[b"i:" + key for key, _ in entries],
                args=[KEPT_S, *(entry.pack() for _, entry in entries)],
            )
        except RedisError as error:
            self._not_whole()
            raise Away("the index of keys is away; send again in a moment") from error
        return [mac == entry.mac for mac, (_, entry) in zip(macs, entries, strict=True)]

    async def lookup(self, key: bytes) -> Entry | None:
        """What is known of a key. Raises Away while the index is not whole."""
        try:
            found = await self._client.mget([b"i:" + key, _SENTINEL])
        except RedisError as error:
            self._not_whole()
            raise Away("the index of keys is away; try again in a moment") from error
        # The client's type knows that it could decode; `connect` says that it does not.
        value, sentinel = cast(list[bytes | None], found)
        if value is None and sentinel is None:
            self._not_whole()
            raise Away("the index of keys is being rebuilt; try again in a moment")
        return Entry.unpack(value) if value else None

    def _not_whole(self) -> None:
        self._whole.clear()
        self._lost.set()

    async def keep(self) -> None:
        """Watches over the index for ever: reads it back whenever Redis has lost it."""
        while True:
            self._lost.clear()
            try:
                if not await self._client.exists(_SENTINEL):
                    self._whole.clear()
                    if not await self._rebuild():
                        await asyncio.sleep(0.2)
                        continue
                self._whole.set()
                # A flush is noticed by the next claim; this look finds it when nothing comes in.
                await asyncio.wait_for(self._lost.wait(), timeout=1.0)
            except TimeoutError:
                continue
            except RedisError as error:
                self._whole.clear()
                _log.warning("Redis is away; nothing is taken", error=type(error).__name__)
                await asyncio.sleep(0.5)
            except Away as error:
                _log.warning("the index cannot be read back; nothing is taken", why=str(error))
                await asyncio.sleep(0.5)

    async def _rebuild(self) -> bool:
        """False when another replica is at it, or Redis was flushed once more meanwhile."""
        self._rebuilds += 1
        mine = f"{self._replica}:{self._rebuilds}"
        if not await self._client.set(_LOCK, mine, nx=True, ex=_LOCK_S):
            return False
        started = monotonic_s()
        try:
            count = await self._read_back()
            whole = await self._make_whole(keys=[_LOCK, _SENTINEL], args=[mine, self._clock()])
        finally:
            # Also when Kafka went away: another replica may be able to.
            await self._release(keys=[_LOCK], args=[mine])
        if whole:
            metrics.VIEW_REBUILDS.labels("intake").inc()
            _log.info(
                "index of keys read back",
                entries=count,
                seconds=round(monotonic_s() - started, 3),
            )
        return bool(whole)

    async def _read_back(self) -> int:
        partitions = range(self._partitions)
        if any((await self._reader.depth(CONTACT_ACCEPTED, partitions)).values()):
            await asyncio.sleep(_GRACE_S)
        ends = await self._reader.end(CONTACT_ACCEPTED, partitions)
        oldest = self._clock() - 7 * DAY_MS
        starts = await self._reader.offsets_at(CONTACT_ACCEPTED, partitions, oldest)
        batch: list[tuple[bytes, bytes, int]] = []
        count = 0

        async def flush() -> None:
            nonlocal count
            pipeline = self._client.pipeline(transaction=False)
            for key, value, ttl in batch:
                pipeline.set(key, value, nx=True, ex=ttl)
            # Prolongs the lock while there is progress.
            pipeline.expire(_LOCK, _LOCK_S)
            await pipeline.execute()
            count += len(batch)
            batch.clear()

        async def each(record: Record) -> None:
            try:
                event = events_pb2.ContactAccepted.FromString(record.value or b"")
                key = UUID(event.contact_id).bytes
                packed = Entry(
                    event.body_mac, event.accepted_ms, record.partition, record.offset
                ).pack()
            except (DecodeError, ValueError, OverflowError):
                # No contact, so no key: dedup sets it aside and says so.
                _log.error("not a contact", topic=record.topic, offset=record.offset)
                return
            ttl = KEPT_S - (self._clock() - event.accepted_ms) // 1000
            if ttl > 0:
                batch.append((b"i:" + key, packed, min(ttl, KEPT_S)))
            if len(batch) >= _BATCH:
                await flush()

        await self._reader.read_many(
            {(CONTACT_ACCEPTED, p): (starts[p], ends[p]) for p in partitions}, each
        )
        await flush()
        return count
