"""Claims are gathered where many wait, and nobody waits for company that does not come."""

from collections import deque
from typing import Any, cast

import pytest

from services.broadcast.lanes import BULK, NORMAL, URGENT, Lane, Waiting
from services.broadcast.pace import Bucket
from services.broadcast.routes import parse
from services.broadcast.sender import Out, Sender
from tests.broadcast_parts import ONE_CARRIER, queued

SPEC = parse(ONE_CARRIER, "carriers.yaml").carriers["one"]


class Bound:
    bound = True


class Partition:
    """Has as many messages of each lane as it is told."""

    def __init__(self, **lanes: int) -> None:
        self._waiting = {
            lane: deque(Waiting(queued(f"{name}-{n}", lane), n, "one") for n in range(count))
            for (name, count), lane in zip(lanes.items(), (URGENT, NORMAL, BULK), strict=True)
        }
        self.claims: list[tuple[Lane, int]] = []

    def next_due(self, lane: Lane, carrier: str) -> Waiting | None:
        return self._waiting[lane][0] if self._waiting[lane] else None

    def take(self, lane: Lane, carrier: str) -> Waiting:
        return self._waiting[lane].popleft()

    def send(self, out: Out, batch: list[Waiting]) -> None:
        self.claims.append((batch[0].message.lane, len(batch)))

    def count(self, lane: Lane) -> int:
        return len(self._waiting[lane])

    def waits(self, lane: Lane, carrier: str) -> bool:
        return bool(self._waiting[lane])

    def reroute(self, lane: Lane, carrier: str, most: int) -> int:
        return 0

    def wake(self, now_s: float) -> None:
        """Nothing was put off."""


def sending(partition: Partition, pace: float = 1e6) -> tuple[Sender, Out]:
    out = Out(cast(Any, Bound()), SPEC, Bucket(pace, 0.0))
    made = Sender({"one": out})
    made.add(partition)
    return made, out


def test_a_window_that_empties_little_by_little_is_filled_in_few_claims() -> None:
    """150 of 200 parts are for bulk, and a quarter of them is worth a claim."""
    partition = Partition(urgent=0, normal=0, bulk=1_000)
    sender, out = sending(partition)
    now_s = 0.0
    for _ in range(9):
        sender._round(now_s)
        now_s += 0.005
        out.leave(5)
    assert partition.claims == [(BULK, 150), (BULK, 20), (BULK, 20)]
    out.leave(40)
    sender._round(now_s)
    assert partition.claims[3:] == [(BULK, 45)], "enough is free"


def test_so_is_what_flows_in_at_a_pace() -> None:
    partition = Partition(urgent=0, normal=0, bulk=1_000)
    sender, _ = sending(partition, pace=400.0)
    for step in range(9):
        sender._round(step * 0.005)
    assert partition.claims == [(BULK, 40), (BULK, 8), (BULK, 8)]


@pytest.mark.parametrize("lane", [NORMAL, BULK])
def test_lanes_gather_for_themselves_and_what_is_urgent_does_not(lane: Lane) -> None:
    partition = Partition(urgent=1, normal=int(lane == NORMAL), bulk=int(lane == BULK))
    sender, out = sending(partition)
    out.claimed_s = {URGENT: 0.0, NORMAL: 0.0, BULK: 0.0, lane: -1.0}
    out.under_way = 120
    sender._round(0.001)
    assert partition.claims == [(URGENT, 1), (lane, 1)]
