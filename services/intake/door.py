"""The door: how many are inside, who is turned away, and what they are told.

Turning away must cost a fraction of taking, or an overload takes the time that the work needs: it
is decided before anything of the contact but its urgency is looked at, for many at once.
"""

from collections import Counter
from collections.abc import Sequence

from services.intake import shed
from services.runtime import log, metrics
from services.runtime.clock import monotonic_s
from services.runtime.errors import Overloaded

_log = log.get("intake.door")
_ALARM_S = 1.0


class Door:
    """The places of one process for contacts under way: `inside` are taken, and `ordinary` are for
    those in which no life is in danger."""

    def __init__(self, limit: int) -> None:
        self.inside = 0
        self.ordinary = shed.ordinary_places(limit)
        self._limit = limit
        self._overloaded = False
        self._since_s = 0.0
        self._turned_away = 0
        self._taken = 0
        self._urgent = 0
        self._alarmed_s = float("-inf")
        metrics.INTAKE_INFLIGHT.set_function(lambda: self.inside)

    def admits(self, life_safety: bool) -> bool:
        """Whether one more may come in."""
        return shed.admits(self.inside, self._limit, life_safety)

    def enter(self) -> None:
        """One came in."""
        self.inside += 1

    def leave(self) -> None:
        """One is through."""
        self.inside -= 1
        self._taken += 1
        if self._overloaded and shed.eased(self.inside, self._limit):
            self._overloaded = False

    def turn_away(self, channels: Sequence[int], urgent: int) -> Overloaded:
        """Counts contacts of these channels, `urgent` of them life-safety, and says why they are
        turned away and for how long."""
        now = monotonic_s()
        if not self._overloaded:
            self._overloaded = True
            self._since_s, self._turned_away, self._taken = now, 0, 0
        for channel, count in Counter(channels).items():
            metrics.CONTACTS.labels(str(channel), "overloaded").inc(count)
        self._alarm(urgent, now)
        after = shed.retry_after_ms(
            self._turned_away, self._taken, int((now - self._since_s) * 1000)
        )
        self._turned_away += len(channels)
        return Overloaded("intake is full; send again after the delay", after)

    def _alarm(self, urgent: int, now: float) -> None:
        self._urgent += urgent
        if self._urgent and now - self._alarmed_s >= _ALARM_S:
            # Not a line for each: writing them would be the next overload.
            _log.error(
                "a life-safety contact was turned away: intake is full", contacts=self._urgent
            )
            self._alarmed_s, self._urgent = now, 0
