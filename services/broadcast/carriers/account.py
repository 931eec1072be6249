"""One SMPP account: what is agreed with the carrier, and what has been counted at it."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from services.broadcast.carriers.deliver import Dialect
from services.broadcast.carriers.errors import SendError
from services.runtime import smpp


@dataclass(frozen=True, slots=True)
class SmppConfig:
    """One SMPP account. Times are seconds.

    ``window`` is the most unanswered submits on one of the ``binds``. ``write_within_s`` bounds
    the wait for room where a call gives no ``write_by``. ``inbox_limit`` is the most deliveries
    held unacknowledged; beyond it the carrier is asked to try again later.
    ``status_errors`` overrides the table of statuses (vendor codes). ``tls`` None is plain TCP;
    ``tls_name`` is the name that its certificate must have, if not the host's.
    """

    name: str
    declared: Literal["test", "live"]
    host: str
    port: int
    system_id: str
    password: str = field(repr=False)
    system_type: str = ""
    binds: int = 1
    window: int = 200
    response_timeout_s: float = 10.0
    connect_timeout_s: float = 5.0
    enquire_link_s: float = 15.0
    reconnect_min_s: float = 0.2
    reconnect_max_s: float = 15.0
    write_within_s: float = 5.0
    stop_within_s: float = 5.0
    inbox_limit: int = 20_000
    dialect: Dialect = field(default_factory=Dialect)
    status_errors: Mapping[int, SendError] = field(default_factory=dict)
    tls: ssl.SSLContext | None = None
    tls_name: str = ""

    def __post_init__(self) -> None:
        if self.declared not in ("test", "live"):
            raise ValueError(f"carrier {self.name}: declare it 'test' or 'live'")
        if self.binds < 1 or self.window < 1:
            raise ValueError(f"carrier {self.name}: binds and window are at least 1")
        try:
            smpp.bind_body(self.system_id, self.password, self.system_type)
        except ValueError as error:
            raise ValueError(
                f"carrier {self.name}: system id (15), password (8) or type (12): {error}"
            ) from None


@dataclass(slots=True)
class Counters:
    """What happened since the start; all only grow."""

    written: int = 0
    accepted: int = 0
    refused: int = 0
    unknown: int = 0
    late_answers: int = 0
    receipts: int = 0
    inbound: int = 0
    postponed: int = 0
    """Deliveries that the carrier was asked to repeat later."""
    unreadable: int = 0
    """PDUs that were not SMPP, or no answer to anything of ours."""
    binds: int = 0
    lost_binds: int = 0
