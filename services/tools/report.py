"""What a surge was ordered to be, what was seen while it ran, and the figures of its report."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil
from mawja.wave.v1 import events_pb2 as wave_events

from loadtests.driver import Sent
from loadtests.ledger import Account, Ledger, percentile
from loadtests.replay import Replay
from loadtests.surge import Script
from services.tools.watch import Glance

Report = dict[str, object]


@dataclass(frozen=True, slots=True)
class Order:
    """What to do. `passes` performs the script that many times, as a gateway that retries would."""

    script: Script | Replay
    profile: str
    virtual_s: float
    over_s: float
    home: Path
    report: Path
    passes: int = 1
    agents: int | None = None


@dataclass(slots=True)
class Watched:
    """What was seen while it ran."""

    peak_lag: int = 0
    rss_mb: dict[str, float] = field(default_factory=dict)
    glance: Glance = field(default_factory=Glance)

    def note(self, seen: Glance, rss: dict[str, float]) -> None:
        """Keeps the highest of each."""
        self.glance = seen
        self.peak_lag = max(self.peak_lag, seen.lag)
        for name, size in rss.items():
            self.rss_mb[name] = max(size, self.rss_mb.get(name, 0.0))


def report_of(
    order: Order,
    sents: list[Sent],
    accounts: list[Account],
    ledger: Ledger,
    watched: Watched,
    elapsed_s: float,
    levels: wave_events.Level | None,
) -> Report:
    """surge-report.json. `sents` and `accounts`: one for each pass; `elapsed_s`: all of it."""
    first, account = sents[0], accounts[-1]
    latencies = sorted(latency for sent in sents for latency in sent.latencies_s)
    end_to_end = ledger.end_to_end_s()
    truth = order.script.truth
    sending_s = sum(sent.ended_s - sent.started_s for sent in sents)
    report: Report = {
        "profile": order.profile,
        "calls": truth.calls,
        "dialled": truth.dialled,
        "accepted": account.accepted,
        "refused": sum(sent.refused_for_good for sent in sents),
        "refused_then_accepted": sum(sent.refused for sent in sents),
        "people": truth.people,
        "needs": truth.needs,
        "cases": account.cases,
        "merged": account.merged,
        "false_merges": account.false_merges,
        "callbacks": account.callbacks,
        "messages": asdict(account.messages),
        "carrier_messages": account.carrier_messages,
        "lost": account.lost,
        "duplicate_cases": account.duplicate_cases,
        "duplicate_messages": account.duplicate_messages,
        "problems": account.problems,
        "elapsed_s": round(elapsed_s, 1),
        "accepted_per_s": round(sum(s.accepted for s in sents) / max(sending_s, 1e-9), 1),
        "intake_p50_ms": round(percentile(latencies, 0.50) * 1000, 1),
        "intake_p99_ms": round(percentile(latencies, 0.99) * 1000, 1),
        "end_to_end_p50_s": round(percentile(end_to_end, 0.50), 2),
        "end_to_end_p99_s": round(percentile(end_to_end, 0.99), 2),
        "peak_lag": watched.peak_lag,
        "rss_mb": watched.rss_mb,
        "time_compression": round(order.virtual_s / order.over_s, 1),
        "agents": order.agents,
        "floor": _floor(order),
        "service_levels": _service_levels(levels),
        "call_events": first.call_events,
        "call_events_refused": first.call_events_refused,
    }
    if order.passes > 1:
        report["passes"] = [
            {
                "contacts_sent": sent.contacts,
                "contacts_added": now.accepted - before.accepted,
                "cases_added": now.cases - before.cases,
                "messages_added": now.messages.requested - before.messages.requested,
                "delivered_added": now.messages.delivered - before.messages.delivered,
            }
            for sent, before, now in zip(sents, [Account(), *accounts], accounts, strict=False)
        ]
    if isinstance(order.script, Replay):
        report["bad_rows"] = [asdict(row) for row in order.script.bad_rows]
    return report


def _floor(order: Order) -> dict[str, float | int]:
    tally = order.script.truth.floor
    return {
        "offered": tally.offered,
        "answered": tally.answered,
        "abandoned": tally.abandoned,
        "redials": order.script.truth.redials,
        "answered_share": round(tally.answered_share, 4),
        "mean_wait_s": round(tally.mean_wait_s, 1),
    }


def _service_levels(level: wave_events.Level | None) -> dict[str, float | int | None]:
    if level is None:
        return {}
    shares = level.service_levels
    return {
        "offered": level.counts.offered,
        "answered": round(shares.answered, 4) if shares.HasField("answered") else None,
        "answered_within_20s": round(shares.answered_in_target, 4)
        if shares.HasField("answered_in_target")
        else None,
        "handled_within_4min": round(shares.handled_in_target, 4)
        if shares.HasField("handled_in_target")
        else None,
        "resolved_at_first_contact": round(shares.first_contact_resolved, 4)
        if shares.HasField("first_contact_resolved")
        else None,
    }


def machine() -> dict[str, object]:
    """What the figures were measured on."""
    model = ""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        model = next(
            (
                line.partition(":")[2].strip()
                for line in cpuinfo.read_text().splitlines()
                if line.startswith("model name")
            ),
            "",
        )
    return {
        "cpu": model or platform.processor() or platform.machine(),
        "cores": psutil.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
    }


def ended_well(report: Report) -> bool:
    """Whether nothing was lost and nothing came twice, and everything adds up."""
    return not (report["problems"] or report["refused"] or report["call_events_refused"])
