"""What a scorecard is parted by: line, agency, language, or the hour in which people came. Pure."""

from collections.abc import Callable, Hashable
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import Literal

from services.tools.scorecards.calls import Counted

By = Literal["line", "agency", "language", "hour"]


def grouping(by: By, zone: tzinfo) -> Callable[[Counted], Hashable]:
    """The group of a contact: a code, "" where it is not known; or the start of the clock hour of
    `zone`, Unix ms."""

    @lru_cache(maxsize=4096)
    def hour_of(quarter: int) -> int:
        # Zones differ from UTC by whole quarters of an hour, so that one stands for its instants.
        at = datetime.fromtimestamp(quarter * 900, UTC).astimezone(zone)
        return quarter * 900_000 - at.minute * 60_000

    match by:
        case "line":
            return lambda contact: contact.labels.line
        case "agency":
            return lambda contact: contact.labels.agency
        case "language":
            return lambda contact: contact.labels.language
        case "hour":
            return lambda contact: hour_of(contact.arrival_ms // 900_000)
