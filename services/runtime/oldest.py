"""How long the oldest record waits that a worker has not worked through. Pure.

Nobody reads it before its turn, so its age is bounded from what is known: it came after the record
worked through last, and after the moment when nothing waited. An idle room is therefore not behind
in the moment in which its next record comes.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Oldest:
    """By place (a partition of a topic), since when something waits. Times are Unix ms."""

    _since_ms: dict[Hashable, int] = field(default_factory=dict)

    def worked(self, place: Hashable, record_ms: int) -> None:
        """A record of this time was worked through: what still waits there came later."""
        if place in self._since_ms:
            self._since_ms[place] = max(self._since_ms[place], record_ms)

    def look(self, place: Hashable, behind: int, now_ms: int) -> None:
        """So many records wait at this place now."""
        if behind > 0:
            self._since_ms.setdefault(place, now_ms)
        else:
            self._since_ms.pop(place, None)

    def keep(self, places: set[Hashable]) -> None:
        """All other places belong to somebody else now."""
        for place in self._since_ms.keys() - places:
            del self._since_ms[place]

    def age_s(self, now_ms: int) -> float:
        """Seconds that the oldest record of all places has waited, at most; 0 when none waits."""
        return max((max(0, now_ms - since) / 1000 for since in self._since_ms.values()), default=0)
