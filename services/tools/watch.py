"""What the running services say of themselves: their /metrics, added up once a second."""

import re
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.error import URLError

_SAMPLE = re.compile(r"^([a-z_:]+)(?:\{(.*)\})? ([0-9.eE+-]+)$")
_LABEL = re.compile(r'(\w+)="([^"]*)"')

# Effects of outreach that are not messages.
_CALLBACK_STEPS = (
    "callback-due",
    "callback-changed",
    "callback-withdrawn",
    "callback-claimed",
    "callback-later",
    "callback-completed",
    "callback-not-reached",
)


@dataclass(frozen=True, slots=True)
class Glance:
    """What a person wants to see at a glance while a surge runs."""

    lag: int = 0
    cases: int = 0
    requested: int = 0
    delivered: int = 0
    up: int = 0


Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def parse(text: str) -> Samples:
    """Samples of the Prometheus text format by name and labels; histograms' buckets left out."""
    found: Samples = {}
    for line in text.splitlines():
        match = _SAMPLE.match(line)
        if match and not match[1].endswith("_bucket"):
            found[match[1], frozenset(_LABEL.findall(match[2] or ""))] = float(match[3])
    return found


def total(samples: Samples, name: str, **labels: str) -> float:
    """The sum of the samples of `name` that carry `labels`."""
    wanted = set(labels.items())
    return sum(v for (n, found), v in samples.items() if n == name and wanted <= found)


def glance(urls: Mapping[str, str]) -> Glance:
    """Asks every service; one that does not answer counts as nothing this time."""
    lag = cases = requested = delivered = 0.0
    up = 0
    for url in urls.values():
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 our own loopback
                samples = parse(answer.read().decode())
        except (URLError, OSError, ValueError):
            continue
        up += 1
        lag += total(samples, "mawja_worker_lag_records")
        cases += total(samples, "mawja_dedup_decisions_total", change="opened")
        requested += total(samples, "mawja_outreach_effects_total") - sum(
            total(samples, "mawja_outreach_effects_total", step=step) for step in _CALLBACK_STEPS
        )
        delivered += total(samples, "mawja_broadcast_messages_total", state="delivered")
    return Glance(int(lag), int(cases), int(requested), int(delivered), up)
