"""How many messages that bring calls back may go while agents have room for those calls. Pure.

A partition gets its share of the room: people are spread over partitions evenly. What a message
brings back is taken out of it as soon as it goes, since those calls come later.
"""

from collections.abc import Callable

Room = Callable[[bool], float | None]
"""(of a drill): calls a minute that the agents can take; None when nobody can tell."""
Because = Callable[[bool, float], str]
"""(of a drill, that room): why something waits, in words."""
_AHEAD_S = 10.0
"""What was not used is kept for so long."""


def _nobody_tells(_drill: bool) -> float | None:
    return None


def _no_reason(_drill: bool, _free: float) -> str:
    return "the agents have no room"


class Easing:
    """Of one partition of `partitions`. Without `room` nothing waits."""

    def __init__(
        self, room: Room = _nobody_tells, because: Because = _no_reason, partitions: int = 1
    ) -> None:
        self._room = room
        self._because = because
        self._partitions = partitions
        # By whether they are of drills: calls that may be brought back, and as of when.
        self._left: dict[bool, tuple[float, int]] = {}

    def why_not(self, share: float, drill: bool, now_ms: int) -> str:
        """Why a message that brings `share` of a call back can't go at `now_ms` (Unix ms); "" when
        it can, and then its share is taken."""
        free = self._room(drill)
        if free is None:
            self._left.pop(drill, None)
            return ""
        a_second = free / 60 / self._partitions
        full = _AHEAD_S * a_second
        left, as_of_ms = self._left.get(drill, (full, now_ms))
        passed_s = max(0, now_ms - as_of_ms) / 1000
        # Also of the smallest room a message goes when enough of it has gathered.
        left = min(max(full, share), left + a_second * passed_s) if a_second else 0.0
        goes = left >= share
        self._left[drill] = (left - share if goes else left, now_ms)
        return "" if goes else self._because(drill, free)

    def why(self, drill: bool) -> str:
        """Why something waits behind others that do; "" when nobody can tell that it should."""
        free = self._room(drill)
        return "" if free is None else self._because(drill, free)


ALWAYS = Easing()
"""Nothing waits."""
