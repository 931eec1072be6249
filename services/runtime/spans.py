"""Lengths of time as people write them in data files: 90s, 20m, 36h or 7d. Pure."""

import re

_UNITS_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_SPAN = re.compile(r"([1-9][0-9]{0,6})([smhd])")


def span_ms(text: object) -> int | None:
    """The length in milliseconds; None when it is not written so."""
    match = _SPAN.fullmatch(text) if isinstance(text, str) else None
    return None if match is None else int(match[1]) * _UNITS_MS[match[2]]
