"""What a person sees of the bench's report."""

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table

from services.tools.bench.figures import Figure

_ROWS = (
    ("unary intake ÷ bare gRPC echo", "unary", "ratio", ""),
    ("  durable", "unary", "per_s", "/s"),
    ("  bare", "unary", "bare_per_s", "/s"),
    ("stream intake ÷ bare gRPC stream", "stream", "ratio", ""),
    ("  durable", "stream", "per_s", "/s"),
    ("  bare", "stream", "bare_per_s", "/s"),
    ("bundled intake ÷ bare gRPC, bundled", "bundled", "ratio", ""),
    ("  durable", "bundled", "per_s", "/s"),
    ("  bare", "bundled", "bare_per_s", "/s"),
    ("dedup, contacts a second and core", "dedup", "per_s_per_core", "/s"),
    ("  of which the decision alone could do", "dedup", "decide_per_s_per_core", "/s"),
    ("audience read and checked ÷ csv.reader", "audience", "ratio", ""),
    ("  read and checked, rows a second and core", "audience", "rows_per_s", "/s"),
    ("  csv.reader alone", "audience", "bare_rows_per_s", "/s"),
    ("SMS through broadcast ÷ bare SMPP loop", "sms", "ratio", ""),
    ("  broadcast", "sms", "submits_per_s", "/s"),
    ("  bare", "sms", "bare_submits_per_s", "/s"),
    ("a campaign sent ÷ bare SMPP loop", "campaign", "ratio", ""),
    ("  campaign, messages", "campaign", "messages_per_s", "/s"),
    ("  bare", "campaign", "bare_per_s", "/s"),
    ("recipients from CSV to queued", "campaign", "queued_per_s", "/s"),
    ("  memory that it took more", "campaign", "queued_peak_mb", " MB"),
)


def render(result: Mapping[str, Any]) -> RenderableType:
    """The report of a bench as a table."""
    found = result["machine"]
    table = Table(
        title=f"{found['cpu']}, {found['cores']} cores, Python {found['python']}",
        title_justify="left",
        box=None,
    )
    table.add_column("")
    for column in ("median", "low", "high", "runs"):
        table.add_column(column, justify="right")
    for words, section, name, unit in _ROWS:
        _row(table, words, result.get(section, {}).get(name), unit)
    cpu = Table(title="Processor time", title_justify="left", box=None)
    cpu.add_column("")
    for column in ("median", "low", "high", "runs"):
        cpu.add_column(column, justify="right")
    for name, figure in result["cpu_us"].items():
        of = {"broadcast": "a part", "campaign": "a message"}.get(name, "a contact")
        _row(cpu, f"{name.replace('_', ', ')}, {of}", figure, " µs")
    return Group(table, "", cpu)


def _row(table: Table, words: str, figure: Figure | None, unit: str) -> None:
    if figure is None:
        table.add_row(words, "–", "", "", "")
        return

    def shown(value: float) -> str:
        return f"{value:,.2f}" if not unit else f"{value:,.0f}{unit}"

    table.add_row(
        words,
        shown(figure["median"]),
        shown(figure["low"]),
        shown(figure["high"]),
        str(figure["runs"]),
    )
