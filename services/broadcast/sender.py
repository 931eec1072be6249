"""Decides which message goes next: lanes strictly in order, at each carrier's pace and window.

One sender serves all partitions of a process, so that an urgent message of any partition goes
before a bulk message of every other. What is under way at a carrier is bounded by its window, and
the later lanes may fill only a share of it: an urgent message never finds the window full of bulk.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from services.broadcast.carriers.base import Carrier
from services.broadcast.lanes import BULK, LANES, NORMAL, URGENT, Lane, Waiting
from services.broadcast.messages import lane_name
from services.broadcast.pace import Bucket
from services.broadcast.routes import CarrierSpec
from services.runtime import metrics
from services.runtime.clock import monotonic_s

BATCH = 500
"""Most messages of one claim record."""
_SHARE: Mapping[Lane, float] = {URGENT: 1.0, NORMAL: 0.9, BULK: 0.75}
# While something waits, messages are gathered for so long: a claim of many costs as one.
_TICK_S = 0.005
_IDLE_S = 0.25


@dataclass(slots=True)
class Out:
    """A carrier with its pace; `under_way` counts parts that are claimed and not answered, `owed`
    those that it refused for the moment while it has others of their message."""

    carrier: Carrier
    spec: CarrierSpec
    bucket: Bucket
    under_way: int = 0
    owed: int = 0

    def room(self, lane: Lane) -> int:
        """Parts of `lane` that may be claimed now, its pace aside. What has begun is completed
        first: a message without one of its parts can be read by nobody."""
        if not self.carrier.bound or self.owed:
            return 0
        window = self.spec.window * self.spec.binds
        return max(1, int(window * _SHARE[lane])) - self.under_way

    def leave(self, parts: int) -> None:
        """Parts are under way no more."""
        self.under_way -= parts


class Partition(Protocol):
    """What the sender asks of a partition."""

    def next_due(self, lane: Lane, carrier: str) -> Waiting | None:
        """The next message of a queue that may go; those that may not are ended on the way."""

    def take(self, lane: Lane, carrier: str) -> Waiting:
        """Takes out the message that `next_due` gave."""

    def send(self, out: Out, batch: list[Waiting]) -> None:
        """Claims and sends `batch`; returns at once."""

    def count(self, lane: Lane) -> int:
        """Messages of a lane that wait."""

    def wake(self, now_s: float) -> None:
        """Brings back what was put off until now."""


class Sender:
    """Feeds the carriers from the lanes of the partitions that this process owns."""

    def __init__(self, outs: Mapping[str, Out]) -> None:
        self.outs = outs
        self._partitions: list[Partition] = []
        self._arrived = asyncio.Event()
        self._turn = 0

    @property
    def away(self) -> frozenset[str]:
        """The carriers that have no bind."""
        return frozenset(name for name, out in self.outs.items() if not out.carrier.bound)

    def add(self, partition: Partition) -> None:
        """The partition may be sent from now on."""
        self._partitions.append(partition)

    def remove(self, partition: Partition) -> None:
        """Nothing more is taken from the partition."""
        if partition in self._partitions:
            self._partitions.remove(partition)

    def wake(self) -> None:
        """Something waits."""
        self._arrived.set()

    async def run(self) -> None:
        """Sends for ever."""
        measured_s = 0.0
        while True:
            now_s = monotonic_s()
            self._round(now_s)
            if now_s - measured_s >= 1.0:
                measured_s = now_s
                self._measure()
            if any(partition.count(lane) for partition in self._partitions for lane in LANES):
                await asyncio.sleep(_TICK_S)
                continue
            self._arrived.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(_IDLE_S):
                    await self._arrived.wait()

    def _round(self, now_s: float) -> None:
        partitions = list(self._partitions)
        if not partitions:
            return
        # The first partition with a backlog takes what room there is, so that its claim is a large
        # one; the turn goes round.
        self._turn = (self._turn + 1) % len(partitions)
        partitions = partitions[self._turn :] + partitions[: self._turn]
        for partition in partitions:
            partition.wake(now_s)
        for lane in LANES:
            waiting = [partition for partition in partitions if partition.count(lane)]
            for out in self.outs.values():
                for partition in waiting:
                    if not self._fill(lane, out, partition, now_s):
                        break

    def _fill(self, lane: Lane, out: Out, partition: Partition, now_s: float) -> bool:
        """Sends what may go of one queue; False when the carrier takes no more now."""
        room = out.room(lane)
        batch: list[Waiting] = []
        more = room > 0
        while more and len(batch) < BATCH:
            waiting = partition.next_due(lane, out.spec.name)
            if waiting is None:
                break
            parts = waiting.message.parts
            # One message may be larger than the window; it goes when nothing else is under way.
            fits = parts <= room or (not batch and out.under_way == 0)
            if not fits or not out.bucket.take(parts, now_s):
                more = False
                break
            room -= parts
            batch.append(partition.take(lane, out.spec.name))
            more = room > 0
        if batch:
            out.under_way += sum(waiting.message.parts for waiting in batch)
            partition.send(out, batch)
        return more

    def _measure(self) -> None:
        for lane in LANES:
            metrics.QUEUED.labels(lane_name(lane)).set(
                sum(partition.count(lane) for partition in self._partitions)
            )
        for out in self.outs.values():
            metrics.CARRIER_BOUND.labels(out.spec.name).set(1 if out.carrier.bound else 0)
