"""Workers that are frozen, lose their share to another, and wake up with things in their hands."""

from pathlib import Path

import pytest

from tests.faults.stage import Size, stage
from tests.faults.table import Row

pytestmark = pytest.mark.faults
ROOMS = ("intake", "dedup", "outreach", "broadcast")
PAST_POLL_INTERVAL_S = 125.0
"""A worker's max.poll.interval.ms is 120 s (services/runtime/consume.py)."""


@pytest.mark.timeout(500)
@pytest.mark.row(
    "SIGSTOP of one of two of every service past the poll interval, then SIGCONT",
    must="0/0/0; the zombie's late records are void for every reader, and it sends nothing",
)
def test_zombies(row: Row, size: Size, seed: int, tmp_path: Path) -> None:
    # The group misses a frozen member after 10 s already, since it does not beat.
    frozen_s = size.of(PAST_POLL_INTERVAL_S, 14)
    over_s = size.of(frozen_s + 40, frozen_s + 10)
    replicas = dict.fromkeys(ROOMS, 2)
    with stage(tmp_path, calls=size.calls, over_s=over_s, seed=seed, replicas=replicas) as on:

        def freeze() -> None:
            on.sleep_until(on.rng.uniform(3, 5))
            zombies = [on.replica(room) for room in ROOMS]
            for zombie in zombies:
                zombie.process.child.suspend()
            on.sleep_until(on.elapsed_s + frozen_s)
            for zombie in zombies:
                zombie.process.child.resume()
            # Time to write and to send what they had in their hands.
            on.sleep_until(on.elapsed_s + 5)

        report = on.surge(freeze)
        row.figure("frozen s", frozen_s)
        crashes = report["crashes"]
        assert isinstance(crashes, list)
        row.figure("zombies that ended themselves", len(crashes))
        row.account(report)
        messages = report["messages"]
        assert isinstance(messages, dict)
        # What the frozen bind was given and not answered stays unknown until its receipt.
        row.at_most("unknown", messages["unknown"], 50)
