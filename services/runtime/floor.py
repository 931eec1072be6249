"""How many more calls the agents can take now. Pure.

What is free is what the agents could take within the promised wait (Erlang C), less what comes and
less those who wait already, who are to be answered within a quarter of an hour.
"""

from dataclasses import dataclass
from math import ceil

from mawja.wave.v1.events_pb2 import Counts

from services.runtime import erlang

ANSWERED, WITHIN_S = 0.9, 20.0
"""The centres' promise: 90 % of calls answered within 20 s."""
_DRAINED_MIN = 15.0
_STEPS = 40


@dataclass(frozen=True, slots=True)
class Floor:
    """What is known of the agents now. `agents`: at their telephones; None: nobody says. `counts`:
    of the last `width_ms`. `waiting`: callers in our queue."""

    agents: int | None
    counts: Counts
    width_ms: int
    waiting: int

    @property
    def aht_s(self) -> float:
        """Mean handling time, seconds; 0 when nothing was handled."""
        handled = self.counts.handled
        return self.counts.handling_ms / 1000 / handled if handled else 0.0

    @property
    def offered(self) -> float:
        """Calls a minute that come."""
        return self.counts.offered * 60_000 / self.width_ms

    @property
    def busy(self) -> float:
        """Agents that were busy, by the time that they talked (J. D. C. Little, "A proof for the
        queuing formula L = λW", Operations Research 9, 1961)."""
        return self.counts.handling_ms / self.width_ms


def room(floor: Floor) -> float | None:
    """Calls a minute that the agents can take beside what comes; None when nobody can tell: there
    is no call to go by, or nobody says how many agents there are and nobody waits."""
    aht_s = floor.aht_s
    if not aht_s:
        return None
    agents = floor.agents
    if agents is None:
        # Where people wait, all are busy.
        agents = ceil(floor.busy) if floor.waiting else None
    if agents is None:
        return None
    most = _most_load(agents, aht_s) * 60 / aht_s
    return max(0.0, most - floor.offered - floor.waiting / _DRAINED_MIN)


def _most_load(agents: int, aht_s: float) -> float:
    """Erlangs that so many agents take within the promise."""
    low, high = 0.0, float(agents)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if erlang.service_level(agents, middle, aht_s, WITHIN_S) >= ANSWERED:
            low = middle
        else:
            high = middle
    return low


def reason(floor: Floor, free: float) -> str:
    """Why something waits for agents, in words; `free`: calls a minute that they can take."""
    return f"{floor.waiting:,} people wait, room for {free:,.0f} calls/min"
