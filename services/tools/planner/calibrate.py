"""`mawja calibrate`: what this machine can do, by the bench's own measuring, for the plan.

One round of the bench where it takes four: intake, dedup and outreach on the same contacts, then
broadcast, each by its own processor time; under two and a half minutes. Nothing is measured while
other programs use the machine: a plan would carry their work for ever.
"""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import psutil

from services.local.progress import Progress
from services.runtime.clock import now_ms
from services.runtime.errors import MawjaError
from services.runtime.topics import CASE, CONTACT_ACCEPTED
from services.tools.bench.backlog import backlog
from services.tools.bench.contacts import contacts
from services.tools.bench.figures import Run
from services.tools.bench.intake import intake
from services.tools.bench.run import NO_PACE
from services.tools.bench.sms import sms
from services.tools.local import make_parts, write_carriers
from services.tools.planner import rates_file
from services.tools.planner.measured import Rates, scaled
from services.tools.report import machine

_BUSY = 0.3
_NAMES = {
    "intake": "cpu_us.intake_stream",
    "dedup": "cpu_us.dedup",
    "outreach": "cpu_us.outreach",
    "broadcast": "cpu_us.broadcast",
}


def calibrate(home: Path, progress: Progress, *, busy_too: bool = False) -> tuple[Rates, Path]:
    """Measures this machine and keeps it in `home`. `busy_too`: even while others use it. Raises
    MawjaError with what to do."""
    busy = psutil.cpu_percent(1.0) / 100
    if busy > _BUSY and not busy_too:
        raise MawjaError(
            f"other programs use {busy:.0%} of this machine, and the plan would rest on what they "
            "leave: wait until they have ended, or say --busy-too"
        )
    # Beside the local run's own log, which is nothing to measure with.
    own = home / "calibrate"
    try:
        with make_parts(own, brokers=1, profile="default", progress=progress) as parts:
            carriers = write_carriers(parts, NO_PACE)
            done = Run(parts, progress, parts.home / "keys", contacts(), rounds=1)
            intake(done)
            backlog(done, "dedup", CONTACT_ACCEPTED)
            backlog(done, "outreach", CASE)
            sms(done, {"MAWJA_CARRIERS": str(carriers)})
    finally:
        shutil.rmtree(own, ignore_errors=True)
    rates = rates_of(done)
    return rates, rates_file.write(home, rates)


def rates_of(done: Run) -> Rates:
    """The rates of what a run of the bench has measured."""
    used_us = {}
    for room, name in _NAMES.items():
        figure = done.figure(name)
        if figure is not None:
            used_us[room] = float(figure["median"])
    if not {"intake", "dedup"} <= used_us.keys():
        raise MawjaError("intake and dedup could not be measured in time: try it again")
    found = machine()
    of = f"{found['cores']} cores of {found['cpu']} with {found['memory_gb']:.0f} GB"
    at = datetime.fromtimestamp(now_ms() // 1000, UTC)
    return scaled(used_us, of, at.isoformat())
