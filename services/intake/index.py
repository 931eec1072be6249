"""Which keys have been taken: a view in Redis over intake.contact-accepted.v1, kept 7 days.

An entry is claimed before the record is written and completed after, so two replicas can't take one
key with two bodies. Redis may be flushed at any moment: a *sentinel* says that the index is whole;
without it nothing is taken until the index has been read back from the topic. Claims whose records
are still on their way to Kafka are put back by the process that made them.

A claim whose process died is *abandoned* when nobody renewed it for a minute: then the topic says
whether its record stands, from the offset on that the claim itself names.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import cast

import redis.asyncio as redis
from redis.exceptions import RedisError

from services.intake.entries import (
    CLAIM,
    COMPLETE,
    PACKED,
    RELEASE,
    RENEW,
    SETTLE,
    WHOLE,
    Entry,
    Held,
    entry_of,
)
from services.runtime import log, metrics, rebuild
from services.runtime.clock import monotonic_s, now_ms
from services.runtime.errors import Away
from services.runtime.own import LogReader, Record
from services.runtime.topics import CONTACT_ACCEPTED, DAY_MS

_log = log.get("intake.index")
KEPT_S = 7 * 24 * 3600
_SENTINEL = "intake:whole"
_LOCK = "intake:rebuilding"
VIEW = rebuild.View("intake", _LOCK, (_SENTINEL,), "i:")
"""What Redis holds of it. Who reads it back holds the same lock as who takes it away."""
_LOCK_S = 10
_BATCH = 1000
# How long the replicas have, after a flush, to notice it and to put back the claims whose records
# are still on their way to Kafka. They look twice a second.
_GRACE_S = 2.0
_LOOK_S = 0.5
CLAIM_S = 10.0
"""A record whose claim is older is not begun to be written."""
_RENEW_S = 10.0
ABANDONED_S = 60
"""A claim that nobody renewed for so long belongs to nobody."""


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
        self._make_whole = client.register_script(WHOLE)
        self._release = client.register_script(RELEASE)
        self._claim = client.register_script(CLAIM)
        self._complete = client.register_script(COMPLETE)
        self._renew = client.register_script(RENEW)
        self._settle = client.register_script(SETTLE)
        self._settling = asyncio.Lock()
        # For each partition an offset at or below that of any record written from now on.
        self._stood = [0] * partitions
        # Our claims whose records may not be in Kafka yet.
        self._writing: dict[bytes, Entry] = {}
        self._renewed_s = monotonic_s()
        self._whole = asyncio.Event()
        self._lost = asyncio.Event()

    @property
    def whole(self) -> bool:
        """Whether keys can be claimed now, as far as is known."""
        return self._whole.is_set()

    async def claim(self, entries: Sequence[tuple[bytes, Entry]]) -> list[Held | None]:
        """Claims each key; None where it is ours now, else what holds. Raises Away."""
        claims = [
            (key, replace(entry, since=self._stood[entry.partition])) for key, entry in entries
        ]
        try:
            answers = await self._claim(
                keys=[_SENTINEL, *(b"i:" + key for key, _ in claims)],
                args=[KEPT_S, KEPT_S - ABANDONED_S, *(claim.pack() for _, claim in claims)],
            )
        except RedisError as error:
            self._not_whole()
            raise Away("the index of keys is being rebuilt; send again in a moment") from error
        held: list[Held | None] = []
        for (key, claim), answer in zip(claims, answers, strict=True):
            found = Held(Entry.unpack(answer), len(answer) > PACKED) if answer else None
            held.append(found)
            if found is None:
                self._writing[key] = claim
            elif found.entry.mac == claim.mac and found.entry.offset is None:
                self._writing[key] = found.entry
        return held

    def written(self, key: bytes) -> None:
        """The record of a claim of ours is in Kafka, or never will be."""
        self._writing.pop(key, None)

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
        for _, entry in entries:
            if entry.offset is not None and entry.offset > self._stood[entry.partition]:
                self._stood[entry.partition] = entry.offset
        return [mac == entry.mac for mac, (_, entry) in zip(macs, entries, strict=True)]

    async def settle(self, key: bytes, claim: Entry) -> None:
        """Puts in the place of an abandoned claim what the topic says: the record that was written
        for the key, or nothing. Raises Away."""
        first: Entry | None = None

        def each(record: Record) -> None:
            nonlocal first
            if first is None:
                found = entry_of(record)
                if found is not None and found[0] == key:
                    first = found[1]

        # One at a time: a partition is read for it.
        async with self._settling:
            ends = await self._reader.end(CONTACT_ACCEPTED, [claim.partition])
            await self._reader.read(
                CONTACT_ACCEPTED, claim.partition, claim.since, ends[claim.partition], each
            )
            try:
                await self._settle(
                    keys=[b"i:" + key],
                    args=[claim.pack(), KEPT_S, first.pack() if first is not None else b""],
                )
            except RedisError as error:
                self._not_whole()
                raise Away("the index of keys is away; send again in a moment") from error

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
                    await self._renew_claims()
                    if not await self._rebuild():
                        await asyncio.sleep(0.2)
                        continue
                if not self.whole and not any(self._stood):
                    self._stood = await self._ends()
                self._whole.set()
                if monotonic_s() - self._renewed_s >= _RENEW_S:
                    await self._renew_claims()
                # A flush is noticed by the next claim; this look finds it when nothing comes in.
                await asyncio.wait_for(self._lost.wait(), timeout=_LOOK_S)
            except TimeoutError:
                continue
            except RedisError as error:
                self._whole.clear()
                _log.warning("Redis is away; nothing is taken", error=type(error).__name__)
                await asyncio.sleep(0.5)
            except Away as error:
                _log.warning("the index cannot be read back; nothing is taken", why=str(error))
                await asyncio.sleep(0.5)

    async def _renew_claims(self) -> None:
        """Puts back what a flush took of our claims, and renews what still stands."""
        self._renewed_s = monotonic_s()
        claims = list(self._writing.items())
        for start in range(0, len(claims), _BATCH):
            some = claims[start : start + _BATCH]
            await self._renew(
                keys=[b"i:" + key for key, _ in some],
                args=[KEPT_S, *(claim.pack() for _, claim in some)],
            )

    async def _ends(self) -> list[int]:
        ends = await self._reader.end(CONTACT_ACCEPTED, range(self._partitions))
        return [ends[p] for p in range(self._partitions)]

    async def _rebuild(self) -> bool:
        """False when another replica is at it, or Redis was flushed once more meanwhile."""
        self._rebuilds += 1
        mine = f"{self._replica}:{self._rebuilds}"
        if not await self._client.set(_LOCK, mine, nx=True, ex=_LOCK_S):
            return False
        started = monotonic_s()
        try:
            count = await self._read_back(started)
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

    async def _read_back(self, started_s: float) -> int:
        partitions = range(self._partitions)
        if any((await self._reader.depth(CONTACT_ACCEPTED, partitions)).values()):
            await asyncio.sleep(_GRACE_S)
        await self._renew_claims()
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
            count += len(batch)
            progress = rebuild.Progress(count, monotonic_s() - started_s)
            pipeline.set(VIEW.progress[0], progress.pack(), ex=rebuild.KEPT_S)
            # Prolongs the lock while there is progress.
            pipeline.expire(_LOCK, _LOCK_S)
            await pipeline.execute()
            batch.clear()

        async def each(record: Record) -> None:
            found = entry_of(record)
            if found is None:
                return
            key, entry = found
            ttl = KEPT_S - (self._clock() - entry.accepted_ms) // 1000
            if ttl > 0:
                batch.append((b"i:" + key, entry.pack(), min(ttl, KEPT_S)))
            if len(batch) >= _BATCH:
                await flush()

        await self._reader.read_many(
            {(CONTACT_ACCEPTED, p): (starts[p], ends[p]) for p in partitions}, each
        )
        await flush()
        return count
