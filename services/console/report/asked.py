"""What a page of reports is asked for, by its address; every fault by its field. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from mawja.reports.v1.service_pb2 import Grouping

SPANS: Mapping[str, int] = {
    "1h": 3_600_000,
    "4h": 4 * 3_600_000,
    "24h": 24 * 3_600_000,
    "7d": 7 * 24 * 3_600_000,
    "31d": 31 * 24 * 3_600_000,
}
BY: Mapping[str, "Grouping.ValueType"] = {
    "line": Grouping.GROUPING_LINE,
    "agency": Grouping.GROUPING_AGENCY,
    "language": Grouping.GROUPING_LANGUAGE,
    "hour": Grouping.GROUPING_HOUR,
}
_NAME = 120


@dataclass(frozen=True, slots=True)
class Asked:
    """A span, and what else. Times are Unix ms, 0 for no limit; `span` one of SPANS, or "from" for
    one with its own limits. `faults`: fields and what is wrong with them ("time", "order")."""

    span: str
    since_ms: int
    until_ms: int
    by: str = "line"
    drill: bool = False
    name: str = ""
    since: str = ""
    until: str = ""
    faults: Mapping[str, str] = field(default_factory=dict)

    def address(self, path: str) -> str:
        """The same question at `path`, with its times as they are now."""
        told = {
            "span": "from",
            "since_ms": self.since_ms,
            "until_ms": self.until_ms,
            "by": self.by,
            **({"drill": 1} if self.drill else {}),
            **({"name": self.name} if self.name else {}),
        }
        return f"{path}?{urlencode(told)}"


def asked(given: Mapping[str, str], now_ms: int, zone: ZoneInfo) -> Asked:
    """What `given` (an address's parameters) asks for; what it leaves out is the last 24 hours."""
    span = given.get("span", "24h")
    span = span if span in SPANS or span == "from" else "24h"
    by = given.get("by", "line")
    since, until = given.get("since", ""), given.get("until", "")
    faults: dict[str, str] = {}
    since_ms = until_ms = 0
    if span != "from":
        # Whole minutes: who asks twice in one asks the same.
        since_ms = (now_ms - SPANS[span]) // 60_000 * 60_000
    elif "since_ms" in given or "until_ms" in given:
        since_ms = _whole(given.get("since_ms", ""))
        until_ms = _whole(given.get("until_ms", ""))
        since, until = _shown(since_ms, zone), _shown(until_ms, zone)
    else:
        since_ms, until_ms = (
            _time("since", since, zone, faults),
            _time("until", until, zone, faults),
        )
    if until_ms and until_ms <= since_ms:
        faults["until"] = "order"
    return Asked(
        span,
        since_ms,
        until_ms,
        by if by in BY else "line",
        given.get("drill", "") in {"1", "true", "on"},
        given.get("name", "").strip()[:_NAME],
        since,
        until,
        faults,
    )


def _whole(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 15 else 0


def _shown(at_ms: int, zone: ZoneInfo) -> str:
    """As a field for times has it."""
    if not at_ms:
        return ""
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(zone):%Y-%m-%dT%H:%M}"


def _time(name: str, text: str, zone: ZoneInfo, faults: dict[str, str]) -> int:
    if not text:
        return 0
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        faults[name] = "time"
        return 0
    return round((at if at.tzinfo else at.replace(tzinfo=zone)).timestamp() * 1000)
