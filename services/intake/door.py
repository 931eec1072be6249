"""The door: how many are inside, who is turned away, and what they are told.

Turning away must cost a fraction of taking, or an overload takes the time that the work needs: it
is decided before anything of a contact but its urgency is looked at, and for a bundle of ordinary
ones at once.
"""

from services.intake import shed
from services.runtime import log, metrics
from services.runtime.clock import monotonic_s
from services.runtime.errors import Overloaded

_log = log.get("intake.door")
_ALARM_S = 1.0


class Door:
    """The places of one process for contacts under way."""

    def __init__(self, limit: int) -> None:
        self.inside = 0
        self.overloaded = False
        """Somebody was turned away, and it is not yet half empty again."""
        self._limit = limit
        self._since_s = 0.0
        self._turned_away = 0
        self._taken = 0
        self._urgent = 0
        self._alarmed_s = float("-inf")
        metrics.INTAKE_INFLIGHT.set_function(lambda: self.inside)

    def admits(self, life_safety: bool) -> bool:
        """Whether one more may come in."""
        return shed.admits(self.inside, self._limit, life_safety)

    def admits_bundle(self, count: int) -> bool:
        """Whether `count` ordinary ones may come in together."""
        return shed.admits_bundle(self.inside, self._limit, count)

    def enter(self) -> None:
        """One came in."""
        self.inside += 1

    def leave(self) -> None:
        """One is through."""
        self.inside -= 1
        self._taken += 1
        if self.overloaded and shed.eased(self.inside, self._limit):
            self.overloaded = False

    def turn_away(self, channel: int, count: int, life_safety: bool = False) -> Overloaded:
        """Counts `count` contacts, and says why they are turned away and for how long."""
        now = monotonic_s()
        if not self.overloaded:
            self.overloaded = True
            self._since_s, self._turned_away, self._taken = now, 0, 0
        metrics.CONTACTS.labels(str(channel), "overloaded").inc(count)
        if life_safety:
            self._alarm(now)
        after = shed.retry_after_ms(
            self._turned_away, self._taken, int((now - self._since_s) * 1000)
        )
        self._turned_away += count
        return Overloaded("intake is full; send again after the delay", after)

    def _alarm(self, now: float) -> None:
        self._urgent += 1
        if now - self._alarmed_s >= _ALARM_S:
            # Not a line for each: writing them would be the next overload.
            _log.error(
                "a life-safety contact was turned away: intake is full", contacts=self._urgent
            )
            self._alarmed_s, self._urgent = now, 0
