"""kill -9 of every service, again and again, while a surge goes through them."""

import random
from pathlib import Path

import pytest

from services.local.system import ROOMS
from tests.broadcast_rig import Ledger as StatusLog
from tests.faults.stage import Size, stage
from tests.faults.table import Row
from tests.faults.views import rebuild

pytestmark = [pytest.mark.faults, pytest.mark.large]
GAP_S = 16.0
"""Between two kills of one service: its share is taken over after 10 s, so every kill but a few
hits one that works."""


def moments(rng: random.Random, kills: int, over_s: float) -> list[tuple[float, str]]:
    """`kills` moments for each room, ascending, at least GAP_S apart within a room."""
    first_s, last_s = 3.0, over_s - 4.0
    free_s = last_s - first_s - GAP_S * (kills - 1)
    assert free_s > 0, "the surge is too short for so many kills"
    return sorted(
        (first_s + offset + GAP_S * number, room)
        for room in ROOMS
        for number, offset in enumerate(sorted(rng.uniform(0, free_s) for _ in range(kills)))
    )


@pytest.mark.timeout(1500)
@pytest.mark.row(
    "kill -9 of intake, dedup, outreach, broadcast and wave, during the surge",
    must="0/0/0; unknown SMS only from claims without result at a kill, settled by receipts",
)
def test_kill_9(row: Row, size: Size, seed: int, rng: random.Random, tmp_path: Path) -> None:
    kills = 20 if size.full else 1
    calls, over_s = (78_000, 600.0) if size.full else (2_500, 30.0)
    with stage(tmp_path, calls=calls, over_s=over_s, seed=seed) as on:
        status = StatusLog(on.parts.kafka)
        outstanding: set[str] = set()

        def kill() -> None:
            for moment, room in moments(rng, kills, over_s):
                on.sleep_until(moment)
                replica = on.replica(room)
                on.wait(replica.process.alive, 15, f"{room} runs again")
                replica.process.kill9()
                if room == "broadcast":
                    outstanding.update(status.claimed())

        report = on.surge(kill)
        crashes = report["crashes"]
        assert isinstance(crashes, list)
        row.same("kills", len(crashes), kills * len(ROOMS))
        row.figure("elapsed s", report["elapsed_s"])
        row.account(report)
        status.read()
        unknown = {one for one, change in status.last.items() if change.state == status.UNKNOWN}
        status.close()
        row.at_most("unknown", len(unknown), len(outstanding))
        assert unknown <= outstanding
        messages = report["messages"]
        assert isinstance(messages, dict)
        assert messages["requested"] > calls / 25
        assert messages["waiting"] == 0
        # What the SMS centre has is settled by receipts, though the killed sender saw no answer.
        row.same("delivered", messages["delivered"], report["carrier_messages"])
        rebuild(on, row, report["cases"])
