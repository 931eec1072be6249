"""Writes what follows from the metrics and the rules: docs/metrics.md and the dashboards.

`python -m deploy.monitoring.generate` writes, with `--check` it compares and ends with code 1 where
a file is not what it would write.
"""

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from prometheus_client.metrics import MetricWrapperBase

from deploy.monitoring import boards
from services.runtime import metrics

ROOT = Path(__file__).resolve().parents[2]
RULES = Path(__file__).with_name("rules")
_UNITS = {"seconds": "s", "ratio": "0 to 1", "records": "records", "total": "count"}


def listed() -> list[MetricWrapperBase]:
    """Every metric of the services, in the order of the one list."""
    return [held for held in vars(metrics).values() if isinstance(held, MetricWrapperBase)]


def name_of(metric: MetricWrapperBase) -> str:
    """As Prometheus knows it, without what a histogram adds (`_bucket`, `_sum`, `_count`)."""
    name = str(metric._name)
    return f"{name}_total" if metric._type == "counter" else name


def series_of(metric: MetricWrapperBase) -> frozenset[str]:
    """The names of its series."""
    name = name_of(metric)
    if metric._type == "histogram":
        return frozenset(f"{name}_{end}" for end in ("bucket", "sum", "count"))
    return frozenset((name,))


def rules() -> list[Mapping[str, Any]]:
    """Every rule, recording or alerting, file by file."""
    return [
        rule
        for path in sorted(RULES.glob("*.yaml"))
        for group in yaml.safe_load(path.read_text("utf-8"))["groups"]
        for rule in group["rules"]
    ]


def table() -> str:
    """docs/metrics.md."""
    lines = [
        "# Metrics and alerts",
        "",
        "Made by `python -m deploy.monitoring.generate` from `services/runtime/metrics.py` and",
        "`deploy/monitoring/rules`. Labels come from closed sets, never from what people say.",
        "Prometheus adds `room` and `instance`.",
        "",
        "| metric | kind | unit | labels | what it tells |",
        "|---|---|---|---|---|",
    ]
    for metric in listed():
        name = name_of(metric)
        unit = _UNITS.get(name.rsplit("_", 1)[1], "count")
        labels = ", ".join(f"`{label}`" for label in metric._labelnames) or "–"
        lines.append(f"| `{name}` | {metric._type} | {unit} | {labels} | {metric._documentation} |")
    lines += [
        "",
        "| alert | wakes somebody | for | what it says | what to do |",
        "|---|---|---|---|---|",
    ]
    for rule in rules():
        if "alert" in rule:
            page = rule["annotations"]["runbook"]
            wakes = "yes" if rule["labels"]["severity"] == "page" else "no"
            said = re.sub(r"\{\{.*?\}\}", "…", rule["annotations"]["summary"])
            lines.append(
                f"| {rule['alert']} | {wakes} | {rule.get('for', '–')} | {said} "
                f"| [{Path(page).name}](../{page}) |"
            )
    return "\n".join(lines) + "\n"


def files() -> dict[Path, str]:
    """What there must be, by path."""
    made = {ROOT / "docs" / "metrics.md": table()}
    folder = Path(__file__).with_name("dashboards")
    return made | {folder / f"{name}.json": text for name, text in boards.made().items()}


def main() -> None:
    """Writes, or compares."""
    check = "--check" in sys.argv[1:]
    wrong = [
        path
        for path, text in files().items()
        if not path.exists() or path.read_text("utf-8") != text
    ]
    for path in wrong:
        print(f"{'not what is made: ' if check else ''}{path.relative_to(ROOT)}")
        if not check:
            path.write_text(files()[path], "utf-8")
    sys.exit(1 if check and wrong else 0)


if __name__ == "__main__":
    main()
