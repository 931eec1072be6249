"""Holds a campaign of which too many messages fail, before the rest fails too. Pure."""

from collections import deque

SEEN = 200
"""Outcomes that are looked at, over all partitions."""
LEAST = 20
"""Of one partition at least so many, or two failures would stop a campaign."""
USUAL = 0.5
"""Share of failures at which a campaign is held that says no other."""


class Brake:
    """Of one campaign in one partition. `at`: share of failures, 0 to 1."""

    def __init__(self, at: float, partitions: int) -> None:
        self._at = at or USUAL
        self._seen: deque[bool] = deque(maxlen=max(LEAST, SEEN // partitions))

    def take(self, failed: bool) -> bool:
        """Takes up the outcome of a message; True when the campaign is to be held."""
        self._seen.append(failed)
        full = len(self._seen) == self._seen.maxlen
        return full and sum(self._seen) >= self._at * len(self._seen)
