"""Counts the books of the running system every 15 s, and tells as metrics what does not balance.

The log is read by a thread: its Kafka client blocks. It follows no group and commits nothing, so
every replica counts all by itself, from an hour before its start.
"""

import asyncio
import threading

from services.reports.balance import BUCKETS_OF, KINDS, SLACK_MS, TOPICS, Balance, Standing
from services.runtime import log, metrics
from services.runtime.clock import now_ms
from services.runtime.errors import Away
from services.runtime.scan import Scan

_EVERY_S = 15.0
_BEFORE_MS = 3600_000
_MOST_SAID = 20
_log = log.get("reports.ledger")


class Ended(Exception):
    """Nobody counts any more."""


class Ledger:
    """Reads Kafka at `kafka`."""

    def __init__(self, kafka: str, every_s: float = _EVERY_S) -> None:
        self._kafka = kafka
        self._every_s = every_s
        self._ended = threading.Event()
        self._as_of_ms = now_ms()
        self._told: frozenset[tuple[str, int, int]] = frozenset()
        metrics.LEDGER_BEHIND_S.set_function(lambda: max(0.0, (now_ms() - self._as_of_ms) / 1000))

    async def run(self) -> None:
        """Counts until cancelled. While Kafka is away it tries again; what it knew counts anew."""
        failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # A daemon: what Kafka does not answer must not hold up the end of the process.
        threading.Thread(
            target=self._count, args=(asyncio.get_running_loop(), failed), daemon=True
        ).start()
        try:
            await failed
        finally:
            self._ended.set()

    def _count(self, loop: asyncio.AbstractEventLoop, failed: "asyncio.Future[None]") -> None:
        while not self._ended.is_set():
            try:
                self._follow()
            except Away as error:
                _log.warning("the ledger waits", why=str(error))
                self._ended.wait(self._every_s)
            except Ended:
                return
            except Exception as error:
                if not self._ended.is_set():
                    loop.call_soon_threadsafe(failed.set_exception, error)
                return

    def _follow(self) -> None:
        since_ms = now_ms() - _BEFORE_MS
        balance = Balance(since_ms)
        with Scan(self._kafka, TOPICS, since_ms - SLACK_MS) as scan:
            there = {topic for topic, _ in scan.beginnings()}
            if missing := [topic.name for topic in TOPICS if topic.name not in there]:
                raise Away(f"not all topics are there: {', '.join(missing)}")
            while not self._ended.is_set():
                at_ms = now_ms()
                scan.advance(balance.take, self._tell)
                standing = balance.settle(at_ms)
                show(standing)
                self._say(standing)
                self._as_of_ms = at_ms
                self._ended.wait(self._every_s)

    def _say(self, standing: Standing) -> None:
        for thing, partition, offset in sorted(standing.missing - self._told)[:_MOST_SAID]:
            _log.error("passed over", thing=thing, partition=partition, offset=offset)
        self._told = standing.missing

    def _tell(self, _read: int, _total: int) -> None:
        if self._ended.is_set():
            raise Ended


def show(standing: Standing) -> None:
    """Sets the metrics: each kind and bucket, also where there is none."""
    for thing, kind in KINDS:
        metrics.IMBALANCE.labels(thing, kind).set(standing.wrong.get((thing, kind), 0))
    for of, buckets in BUCKETS_OF.items():
        for bucket in buckets:
            metrics.BALANCE.labels(of, bucket).set(standing.buckets.get((of, bucket), 0))
