"""What the rooms say of the wave at one moment, as it was read. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from mawja.dedup.v1.service_pb2 import GetCatalogueResponse, ShownIncident
from mawja.wave.v1.contracts_pb2 import QueueState, Standing
from mawja.wave.v1.events_pb2 import Burst, Level

MINUTE_MS = 60_000
QUARTER_MS = 15 * MINUTE_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
CHART_MS = 2 * HOUR_MS
"""How far back minutes are kept by the room, and shown."""
SETTLING_MS = 3_000
"""A contact is counted within 3 s: a minute that ends later than that is not whole yet."""


class Health(StrEnum):
    """How a part is."""

    SERVING = "serving"
    NOT_READY = "not-ready"  # it answers, and says that it can't serve now
    AWAY = "away"  # it does not answer


@dataclass(frozen=True, slots=True)
class Scope:
    """What is shown: of all agencies, or of one (`agency`); of rehearsals if `drill`."""

    agency: str = ""
    drill: bool = False


@dataclass(frozen=True, slots=True)
class Picture:
    """Everything that was read at `at_ms` (Unix ms). A list is empty where nothing was counted, or
    where the scope may not see it; `missing` names what could not be read this time."""

    at_ms: int
    scope: Scope
    counted_ms: int
    """When `minutes` and `quarter` were read last (Unix ms): what is counted is as of then."""
    minutes: Mapping[int, Level] = field(default_factory=dict)
    """Windows of 60 s by their start, a new one every 10 s."""
    hours: Sequence[Level] = ()
    """Windows of an hour of the last 7 days, of which those at this time of day count."""
    quarter: Sequence[Level] = ()
    """The last 15 minutes in one window: of the whole scope, and of each subject."""
    before: Sequence[Level] = ()
    """The 15 minutes before those, of topics."""
    bursts: Sequence[Burst] = ()
    queues: Sequence[QueueState] = ()
    standings: Sequence[Standing] = ()
    incidents: Sequence[ShownIncident] = ()
    in_danger: int = 0
    """Cases with a life in danger that were handed over and that nobody has confirmed."""
    to_decide: int = 0
    """Proposals of campaigns that wait for somebody to accept or decline them."""
    catalogue: GetCatalogueResponse = field(default_factory=GetCatalogueResponse)
    health: Mapping[str, Health] = field(default_factory=dict)
    """By room."""
    missing: frozenset[str] = frozenset()


def last_window(at_ms: int) -> int:
    """The start of the newest window of 60 s that is whole at `at_ms`."""
    end = at_ms - SETTLING_MS
    return end - end % 10_000 - MINUTE_MS
