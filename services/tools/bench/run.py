"""One run of the bench: everything in its order, on one system, and the report of it."""

from pathlib import Path
from typing import Any

import psutil

from services.local.progress import Progress
from services.runtime.clock import monotonic_s
from services.runtime.topics import CASE, CONTACT_ACCEPTED
from services.tools.bench.audience import audience
from services.tools.bench.backlog import backlog
from services.tools.bench.campaign import campaigns
from services.tools.bench.contacts import contacts
from services.tools.bench.decision import decide
from services.tools.bench.figures import Run
from services.tools.bench.intake import intake
from services.tools.bench.loads import STREAMS, UNARY_IN_FLIGHT, WINDOW
from services.tools.bench.sms import sms
from services.tools.local import make_parts, write_carriers
from services.tools.report import machine

_BUSY = 0.2
NO_PACE = 100_000
"""Parts per second of the route: more than anything here reaches, so that pace limits nothing."""


def run(home: Path, progress: Progress) -> dict[str, Any]:
    """Measures everything; under 3 minutes. Raises MawjaError with what to do."""
    started = monotonic_s()
    busy = psutil.cpu_percent(1.0) / 100
    if busy > _BUSY:
        progress.say(
            f"other programs use {busy:.0%} of this machine: the durable side, which has more "
            "processes, will look worse than it is"
        )
    with make_parts(home, brokers=1, profile="default", progress=progress) as parts:
        carriers = write_carriers(parts, NO_PACE)
        done = Run(parts, progress, parts.home / "keys", contacts())
        intake(done)
        backlog(done, "dedup", CONTACT_ACCEPTED)
        decide(done)
        backlog(done, "outreach", CASE)
        audience(done)
        sms(done, {"MAWJA_CARRIERS": str(carriers)})
        campaigns(done, {"MAWJA_CARRIERS": str(carriers)})
    return {
        "machine": machine(),
        "busy_before": round(busy, 2),
        "in_flight": {"unary": UNARY_IN_FLIGHT, "stream": STREAMS * WINDOW},
        "request_bytes": round(sum(done.request_bytes) / max(1, len(done.request_bytes))),
        "contacts": done.taken,
        **{
            name: done.figures(name)
            for name in (
                "unary",
                "stream",
                "bundled",
                "dedup",
                "audience",
                "sms",
                "campaign",
                "cpu_us",
            )
        },
        "elapsed_s": round(monotonic_s() - started, 1),
    }
