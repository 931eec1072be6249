"""How a carrier stands, as a coordinator is told why messages wait for it: a closed list. Pure."""

import enum
from dataclasses import dataclass


class Why(enum.StrEnum):
    """What keeps messages waiting for a carrier; one reason, the strongest."""

    NOTHING = ""
    AWAY = "away"
    """It has no bind, or its account can't be reached."""
    THROTTLED = "throttled"
    """It asked for a slower pace than was agreed."""
    PACE = "pace"
    """The agreed pace is in use."""
    WINDOW = "window"
    """As much is under way as it takes; its answers make room."""
    UNHEALTHY = "unhealthy"
    """It failed too often lately, and gets little until it answers well again."""


@dataclass(frozen=True, slots=True)
class Standing:
    """`next_s`: seconds until it may take the next part; 0 when nobody knows, or now."""

    why: Why
    next_s: float = 0.0
