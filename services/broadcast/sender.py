"""Decides which message goes next: lanes strictly in order, at each carrier's pace and window.

One sender serves all partitions of a process, so that an urgent message of any partition goes
before a bulk message of every other. What is under way at a carrier is bounded by its window, and
the later lanes may fill only a share of it: an urgent message never finds the window full of bulk.
What waits for a carrier that is away or not well is given to others first (`rerouting.py`); the
sender says what share each carrier should get.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from services.broadcast.carriers.base import Carrier
from services.broadcast.carriers.whole import Messenger
from services.broadcast.detours import Shares
from services.broadcast.health import FLOOR, Health, stepped
from services.broadcast.lanes import BULK, LANES, NORMAL, URGENT, Lane, Waiting
from services.broadcast.messages import lane_name
from services.broadcast.pace import Bucket
from services.broadcast.routes import CarrierSpec
from services.broadcast.standing import Standing, Why
from services.runtime import metrics
from services.runtime.clock import monotonic_s

BATCH = 500
"""Most messages of one claim record."""
_SHARE: Mapping[Lane, float] = {URGENT: 1.0, NORMAL: 0.9, BULK: 0.75}
_TICK_S = 0.005
_GATHER_S = 0.02
_WORTH = 0.25
"""While something waits, messages that are not urgent are gathered for so long, or until so much of
their share of the window is free: a claim of many costs as one."""
_IDLE_S = 0.25
# What held a carrier back so long ago still says how it stands: between two looks of the sender a
# token or a place is free for a moment.
_HELD_S = 1.0
_REROUTE_S = 0.5
LOOKED_UP = 100
"""Most messages that are looked up for another carrier in one round: a few milliseconds."""
# A carrier that is throttled down to this part of its pace gets less of the messages, too.
_SLOWED = 0.5
_SLOW_S = 3.0
AWAY_S = 2.0
"""A carrier that has had no bind for so long is away; a bind that is made anew at once is not."""


@dataclass(slots=True)
class Out:
    """A carrier with its pace; `under_way` counts parts that are claimed and not answered, `owed`
    those that it refused for the moment while it has others of their message. `paced_s` and
    `filled_s`: when pace or window last kept something waiting, `bound_s`: when it was last seen
    with a bind, or first without, `claimed_s`: when something of a lane was claimed for it
    (monotonic seconds)."""

    carrier: Carrier | Messenger
    spec: CarrierSpec
    bucket: Bucket
    under_way: int = 0
    owed: int = 0
    paced_s: float = float("-inf")
    filled_s: float = float("-inf")
    bound_s: float | None = None
    health: Health = field(default_factory=Health)
    claimed_s: dict[Lane, float] = field(default_factory=dict)

    def room(self, lane: Lane) -> int:
        """Parts of `lane` that may be claimed now, its pace aside. What has begun is completed
        first: a message without one of its parts can be read by nobody."""
        if not self.carrier.bound or self.owed:
            return 0
        return self._window(lane) - self.under_way

    def _window(self, lane: Lane) -> int:
        return max(1, int(self.spec.window * self.spec.binds * _SHARE[lane]))

    def gathers(self, lane: Lane, now_s: float) -> bool:
        """Whether a claim of `lane` is put off at `now_s`, so that it will be a larger one."""
        if lane == URGENT or now_s - self.claimed_s.get(lane, float("-inf")) >= _GATHER_S:
            return False
        room, worth = self.room(lane), max(1, int(self._window(lane) * _WORTH))
        return room > 0 and (room < worth or self.bucket.wait_s(worth, now_s) > 0)

    def leave(self, parts: int) -> None:
        """Parts are under way no more."""
        self.under_way -= parts

    @property
    def slow_s(self) -> float:
        """Seconds after which an answer speaks against the carrier."""
        return max(_SLOW_S, self.spec.response_timeout_s / 2)

    def ill(self, now_s: float) -> bool:
        """Whether it failed too often lately."""
        return stepped(self.health.share(now_s)) < 1.0

    def share(self, now_s: float) -> float:
        """The share of its messages that it should get while it has a bind, above 0 to 1."""
        slowed = self.bucket.share(now_s) / _SLOWED
        return stepped(max(FLOOR, min(self.health.share(now_s), slowed)))

    def standing(self, now_s: float) -> Standing:
        """What keeps messages waiting for it at `now_s` (monotonic seconds)."""
        if not self.carrier.bound:
            return Standing(Why.AWAY)
        wait_s = self.bucket.wait_s(1, now_s)
        if self.ill(now_s):
            return Standing(Why.UNHEALTHY, wait_s)
        if wait_s > 0 or now_s - self.paced_s < _HELD_S:
            slowed = self.bucket.share(now_s) < 1.0
            return Standing(Why.THROTTLED if slowed else Why.PACE, wait_s)
        return Standing(Why.WINDOW if now_s - self.filled_s < _HELD_S else Why.NOTHING)


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

    def waits(self, lane: Lane, carrier: str) -> bool:
        """Whether a queue has a message."""

    def reroute(self, lane: Lane, carrier: str, most: int) -> int:
        """Gives messages of a queue to other carriers, where its own is not well; looks up at most
        `most` of them and says how many it did."""

    def wake(self, now_s: float) -> None:
        """Brings back what was put off until now."""


class Sender:
    """Feeds the carriers from the lanes of the partitions that this process owns."""

    def __init__(self, outs: Mapping[str, Out]) -> None:
        self.outs = outs
        self.away: frozenset[str] = frozenset()
        """The carriers that have had no bind for a while."""
        self.shares = Shares()
        self._reroute_s = 0.0
        self._partitions: list[Partition] = []
        self._arrived = asyncio.Event()
        self._turn = 0

    def standing(self, carrier: str, now_s: float) -> Standing:
        """What keeps messages waiting for a carrier of the file at `now_s` (monotonic seconds).
        Raises KeyError for another."""
        return self.outs[carrier].standing(now_s)

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
        self._look(now_s)
        partitions = list(self._partitions)
        if not partitions:
            return
        # The first partition with a backlog takes what room there is, so that its claim is a large
        # one; the turn goes round.
        self._turn = (self._turn + 1) % len(partitions)
        partitions = partitions[self._turn :] + partitions[: self._turn]
        for partition in partitions:
            partition.wake(now_s)
        self._reroute(partitions, now_s)
        for lane in LANES:
            waiting = [partition for partition in partitions if partition.count(lane)]
            for out in self.outs.values():
                if out.gathers(lane, now_s):
                    continue
                for partition in waiting:
                    if not self._fill(lane, out, partition, now_s):
                        break

    def _look(self, now_s: float) -> None:
        """Sees how the carriers are."""
        usual, urgent = {}, {}
        away = set()
        for name, out in self.outs.items():
            if out.carrier.bound or out.bound_s is None:
                out.bound_s = now_s
            share = out.share(now_s)
            if now_s - out.bound_s >= AWAY_S:
                away.add(name)
            usual[name] = 0.0 if name in away else share
            # What is urgent does not wait for a bind that may be made anew.
            urgent[name] = share if out.carrier.bound else 0.0
        self.away = frozenset(away)
        self.shares.set(usual, urgent)

    def _reroute(self, partitions: Sequence[Partition], now_s: float) -> None:
        left = LOOKED_UP
        for lane in LANES:
            if lane != URGENT and now_s < self._reroute_s:
                return
            for carrier in self.shares.unwell(lane):
                for partition in partitions:
                    if partition.waits(lane, carrier):
                        left -= partition.reroute(lane, carrier, left)
                    if left <= 0:
                        # The rest in the next round: others wait to be sent.
                        return
        self._reroute_s = now_s + _REROUTE_S

    def _fill(self, lane: Lane, out: Out, partition: Partition, now_s: float) -> bool:
        """Sends what may go of one queue; False when the carrier takes no more now."""
        room = out.room(lane)
        batch: list[Waiting] = []
        more = room > 0
        if not more and out.carrier.bound and partition.waits(lane, out.spec.name):
            out.filled_s = now_s
        while more and len(batch) < BATCH:
            waiting = partition.next_due(lane, out.spec.name)
            if waiting is None:
                break
            parts = waiting.message.parts
            # One message may be larger than the window; it goes when nothing else is under way.
            fits = parts <= room or (not batch and out.under_way == 0)
            if not fits:
                out.filled_s, more = now_s, False
                break
            if not out.bucket.take(parts, now_s):
                out.paced_s, more = now_s, False
                break
            room -= parts
            batch.append(partition.take(lane, out.spec.name))
            more = room > 0
        if batch:
            out.claimed_s[lane] = now_s
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
        for name, share in self.shares.of(BULK).items():
            metrics.CARRIER_SHARE.labels(name).set(share)
