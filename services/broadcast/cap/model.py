"""An alert of the Common Alerting Protocol 1.2 (OASIS, 1 July 2010) as values. Pure.

What stands as text in XML stands here in Python's types: times are Unix ms, positions are degrees
of WGS 84, what may be missing is empty. A time is written in UTC; only the time at which an alert
was sent keeps the offset it was written with, because `sender,identifier,sent` is the alert's name,
and others compare names as text.
"""

from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import TypeAlias

NAMESPACE = "urn:oasis:names:tc:emergency:cap:1.2"
UTC_OFFSET = "-00:00"
"""How CAP writes UTC (3.3.2); Z is forbidden."""
MAX_BYTES = 1024 * 1024
"""Of one alert. Larger ones carry files (derefUri) that no message to a phone needs."""
MAX_INFOS = 64
MAX_AREAS = 2_000
"""Of all info blocks together."""
MAX_PROBLEMS = 50
"""Problems listed at a time."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with an alert: where, and which rule it breaks; never what stands there.

    `path` names elements only, counted from 1, e.g. `alert/info[2]/area[1]/polygon[1]`. `line` is
    that of the file, None for an alert that is being written.
    """

    path: str
    line: int | None
    rule: str

    def __str__(self) -> str:
        where = self.path if self.line is None else f"line {self.line}, {self.path}"
        return f"{where}: {self.rule}"


class CapError(ValueError):
    """An alert that can't be read or written, with everything found wrong (at most 50)."""

    def __init__(self, *problems: Problem) -> None:
        self.problems = problems[:MAX_PROBLEMS]
        more = len(self.problems) - 3
        said = "; ".join(map(str, self.problems[:3]))
        super().__init__(f"{said}; and {more} more" if more > 0 else said)


class Status(StrEnum):
    """Whether the alert is meant."""

    ACTUAL = "Actual"
    EXERCISE = "Exercise"
    SYSTEM = "System"
    TEST = "Test"
    DRAFT = "Draft"


class MsgType(StrEnum):
    """What the alert is to those it refers to."""

    ALERT = "Alert"
    UPDATE = "Update"
    CANCEL = "Cancel"
    ACK = "Ack"
    ERROR = "Error"


class Scope(StrEnum):
    """Who may read it."""

    PUBLIC = "Public"
    RESTRICTED = "Restricted"
    PRIVATE = "Private"


class Category(StrEnum):
    """The kind of event."""

    GEO = "Geo"
    MET = "Met"
    SAFETY = "Safety"
    SECURITY = "Security"
    RESCUE = "Rescue"
    FIRE = "Fire"
    HEALTH = "Health"
    ENV = "Env"
    TRANSPORT = "Transport"
    INFRA = "Infra"
    CBRNE = "CBRNE"
    OTHER = "Other"


class ResponseType(StrEnum):
    """What people should do."""

    SHELTER = "Shelter"
    EVACUATE = "Evacuate"
    PREPARE = "Prepare"
    EXECUTE = "Execute"
    AVOID = "Avoid"
    MONITOR = "Monitor"
    ASSESS = "Assess"
    ALL_CLEAR = "AllClear"
    NONE = "None"


class Urgency(StrEnum):
    """How soon people should act."""

    IMMEDIATE = "Immediate"
    EXPECTED = "Expected"
    FUTURE = "Future"
    PAST = "Past"
    UNKNOWN = "Unknown"


class Severity(StrEnum):
    """How great the threat is."""

    EXTREME = "Extreme"
    SEVERE = "Severe"
    MODERATE = "Moderate"
    MINOR = "Minor"
    UNKNOWN = "Unknown"


class Certainty(StrEnum):
    """How likely the event is."""

    OBSERVED = "Observed"
    LIKELY = "Likely"
    POSSIBLE = "Possible"
    UNLIKELY = "Unlikely"
    UNKNOWN = "Unknown"


class Signature(Enum):
    """What is known of who signed the alert."""

    NONE = "none"
    UNCHECKED = "unchecked"
    """There is one, and the reader was given no certificate to check it by."""
    VERIFIED = "verified"


Point: TypeAlias = tuple[float, float]
"""Latitude and longitude, degrees of WGS 84, at most 9 decimals."""


@dataclass(frozen=True, slots=True)
class Circle:
    """A centre and a radius in km."""

    latitude: float
    longitude: float
    radius_km: float


@dataclass(frozen=True, slots=True)
class Pair:
    """A value under a name that its issuer defines: geocode, eventCode, parameter."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Reference:
    """The name of another alert; `offset` as it was written there."""

    sender: str
    identifier: str
    sent_ms: int
    offset: str = UTC_OFFSET


@dataclass(frozen=True, slots=True)
class Resource:
    """A file that belongs to the alert. `content` is derefUri decoded, `size` in bytes."""

    description: str
    mime_type: str
    size: int | None = None
    uri: str = ""
    content: bytes = b""
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Area:
    """Where it holds. A polygon's last point is its first; heights are feet above sea level."""

    description: str
    polygons: tuple[tuple[Point, ...], ...] = ()
    circles: tuple[Circle, ...] = ()
    geocodes: tuple[Pair, ...] = ()
    altitude_ft: float | None = None
    ceiling_ft: float | None = None


@dataclass(frozen=True, slots=True)
class Info:
    """What the alert says in one language. Blocks of one language are read as a sequence (3.2.2);
    `language` is RFC 3066, en-US where the alert doesn't say."""

    categories: tuple[Category, ...]
    event: str
    urgency: Urgency
    severity: Severity
    certainty: Certainty
    language: str = "en-US"
    response_types: tuple[ResponseType, ...] = ()
    audience: str = ""
    event_codes: tuple[Pair, ...] = ()
    effective_ms: int | None = None
    onset_ms: int | None = None
    expires_ms: int | None = None
    sender_name: str = ""
    headline: str = ""
    description: str = ""
    instruction: str = ""
    web: str = ""
    contact: str = ""
    parameters: tuple[Pair, ...] = ()
    resources: tuple[Resource, ...] = ()
    areas: tuple[Area, ...] = ()


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert. `signature` and `signed_by` (SHA-256 of the certificate, hex) tell how it came;
    they aren't part of what it says, so they don't count for equality and aren't written."""

    identifier: str
    sender: str
    sent_ms: int
    status: Status
    msg_type: MsgType
    scope: Scope
    source: str = ""
    restriction: str = ""
    addresses: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    note: str = ""
    references: tuple[Reference, ...] = ()
    incidents: tuple[str, ...] = ()
    infos: tuple[Info, ...] = ()
    sent_offset: str = UTC_OFFSET
    signature: Signature = field(default=Signature.NONE, compare=False)
    signed_by: str = field(default="", compare=False)

    @property
    def sent(self) -> tuple[int, str]:
        """When it was sent, and the offset in which that is written."""
        return self.sent_ms, self.sent_offset

    def reference(self) -> Reference:
        """The name under which later alerts refer to this one."""
        return Reference(self.sender, self.identifier, self.sent_ms, self.sent_offset)
