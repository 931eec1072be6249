"""What a surge is made of: the steps that a driver performs, and the truth behind them.

A driver sends a `Submit` to intake and reports a `Call`; it must not send the fields of the truth
(`person`, `need`, `topic`, `family`, `reason`, `speaks`, `shared_number`), which are what the
ledger holds the system against.
"""

from dataclasses import dataclass, field
from typing import Literal

from loadtests.floor import Disposition, Tally

Channel = Literal["voice", "sms", "whatsapp", "web", "social", "email", "sign_language_video"]
Kind = Literal["enquiry", "complaint", "request", "feedback"]
Reason = Literal["new", "need", "channel", "follow_up", "redial"]
CallEvent = Literal["offered", "queued", "answered", "abandoned", "ended"]


@dataclass(frozen=True, slots=True)
class Submit:
    """A person contacts the centre, `at` virtual seconds after the start.

    Sent: `key` (idempotency key), `channel`, `kind`, `number` (E.164, synthetic) or `handle`, or
    neither when withheld, `organisation`, `line` dialled, `agency`, `language` (None: not known),
    `text` (None: none), `place`, `life_safety`.
    Truth: `person`, `need` (a family shares one), `topic`, `family`, `speaks`, `shared_number`
    (a switchboard's or a family's phone), `attempt` (1, then counting redials) and `reason`.
    """

    at: float
    key: str
    person: str
    need: str
    topic: str | None
    family: str | None
    reason: Reason
    attempt: int
    channel: Channel
    kind: Kind
    number: str | None
    handle: str | None
    shared_number: bool
    organisation: bool
    line: str | None
    agency: str | None
    language: str | None
    speaks: str | None
    text: str | None
    place: str | None
    life_safety: bool


@dataclass(frozen=True, slots=True)
class Call:
    """What the telephone system tells of the voice contact `key`, `at` virtual seconds.

    `agent` is 1..N on answered and ended; `queue_wait_s` is there on answered, abandoned and
    ended; `handling_s` and `disposition` on ended. `number` is None when withheld.
    """

    at: float
    key: str
    event: CallEvent
    number: str | None
    line: str | None
    agency: str | None
    language: str | None
    agent: int | None = None
    queue_wait_s: float | None = None
    handling_s: float | None = None
    disposition: Disposition | None = None


Step = Submit | Call


@dataclass(slots=True)
class Truth:
    """What really happened, counted while the steps are taken; complete after the last one.

    `calls` are fresh contacts (calls and messages), `dialled` all contacts with the redials.
    `floor` counts the voice contacts.
    """

    people: int = 0
    needs: int = 0
    resolved_needs: int = 0
    calls: int = 0
    dialled: int = 0
    redials: int = 0
    voice: int = 0
    withheld: int = 0
    life_safety: int = 0
    floor: Tally = field(default_factory=Tally)
