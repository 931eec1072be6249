"""What broadcast asks of a carrier: take parts, and say what became of them.

A submit has exactly three outcomes, and the difference is the whole point: ``Accepted`` (the
carrier has it), ``Refused`` (it certainly has not) and ``Unknown`` (it may have: never send it
again blindly). Some carriers take SMS parts (``Carrier``), others whole messages and do the rest
themselves (``whole.Messenger``). Receipts and inbound messages come in batches through callbacks;
the carrier is told it may forget them only after the callback returned.
"""

import enum
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from services.broadcast.carriers.errors import SendError
from services.runtime.smpp_text import Alphabet, Coded, Concat


class OutPart(NamedTuple):
    """One SMS part to send.

    ``destination`` is E.164 with its plus; ``sender`` an alphanumeric id, a short code or E.164.
    ``payload`` starts with its user data header if ``udhi``. ``reference`` (0 to 65535) comes back
    in receipts of carriers that echo it. ``drill`` marks a rehearsal: a carrier declared live
    refuses it. ``not_after`` (Unix seconds) is written as an absolute validity period, else
    ``validity_s`` (seconds from arrival, at most 31 days) as a relative one.
    """

    destination: str
    sender: str
    payload: bytes
    data_coding: int
    udhi: bool
    reference: int
    drill: bool
    registered_delivery: bool = True
    not_after: float | None = None
    validity_s: int | None = None


@dataclass(frozen=True, slots=True)
class OutMessage:
    """A whole message to send, for a carrier without parts.

    ``key`` is of the message and its attempt, and of nothing else: a carrier that is asked twice
    under one key does it once. ``language`` is BCP 47; ``parts`` what the text takes as SMS. The
    other fields are as in ``OutPart``; ``reference`` stands for all the parts.
    """

    key: str
    destination: str
    sender: str
    text: str
    language: str
    parts: int
    reference: int
    drill: bool
    not_after: float | None = None
    validity_s: int | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """The carrier has it under ``carrier_id`` (normalised as in receipts; may be empty)."""

    carrier_id: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The carrier does not have it. ``status`` is its own code, 0 if it was never asked."""

    error: SendError
    status: int = 0


class UnknownReason(enum.Enum):
    """Why nobody can say whether the carrier has it."""

    TIMEOUT = "timeout"
    BIND_LOST = "bind_lost"
    STOPPED = "stopped"
    SERVER_ERROR = "server_error"
    """It was answered, and not whether it was taken."""
    NO_ID = "no_id"
    """It was answered as if taken, but not in the carrier's words."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """It was written and not answered: the carrier may have it."""

    reason: UnknownReason


SubmitOutcome = Accepted | Refused | Unknown


class ReceiptState(enum.Enum):
    """What the carrier says became of a part; the values are SMPP's ``message_state`` (5.2.28)."""

    ENROUTE = 1
    DELIVERED = 2
    EXPIRED = 3
    DELETED = 4
    UNDELIVERABLE = 5
    ACCEPTED = 6
    UNKNOWN = 7
    REJECTED = 8

    @property
    def final(self) -> bool:
        """Whether no later receipt may change it."""
        return self not in (ReceiptState.ENROUTE, ReceiptState.ACCEPTED, ReceiptState.UNKNOWN)


class Receipt(NamedTuple):
    """A delivery receipt for one part, or for all of a message if ``whole``. It may come early,
    late, several times, in any order.

    ``carrier_id`` is normalised (empty if the receipt has none), ``recipient`` the phone it is
    about, E.164 with its plus where it is a number. ``error`` is the carrier's own code.
    ``done_at`` is Unix seconds; ``reference`` that of the part, from carriers that echo it.
    """

    carrier_id: str
    state: ReceiptState
    error: str
    done_at: float | None
    recipient: str
    reference: int | None
    whole: bool = False


@dataclass(frozen=True, slots=True)
class InboundMessage:
    """One SMS part that a person sent to us.

    ``coded`` is what this part says (its text is None if binary). A longer message comes as several
    with one ``concat.reference``; join their ``coded`` (``smpp_text.join_coded``), not their texts.
    ``identity`` is what makes this part itself: equal for a redelivery of it. With ``carrier_id``
    empty it holds only number and content, so the caller adds the time window in which an equal
    text counts as a redelivery. It is personal: put it through a keyed hash, never use it as is.
    """

    sender: str
    destination: str
    payload: bytes
    data_coding: int
    udhi: bool
    coded: Coded
    concat: Concat | None
    carrier_id: str
    identity: bytes

    @property
    def text(self) -> str | None:
        """What it says; of a part, read alone."""
        return self.coded.text


@dataclass(frozen=True, slots=True)
class LateAnswer:
    """The carrier's answer to a part (or a whole message) whose outcome had already been given as
    ``Unknown``."""

    part: OutPart | OutMessage
    outcome: Accepted | Refused


OnOutcomes = Callable[[list[SubmitOutcome]], None]
"""Told what became of parts, in their order."""
OnReceipts = Callable[[list[Receipt]], Awaitable[None]]
OnInbound = Callable[[list[InboundMessage]], Awaitable[None]]
OnLate = Callable[[list[LateAnswer]], Awaitable[None]]


class Offered(Protocol):
    """Parts that a carrier was given."""

    def cancel(self) -> object:
        """Writes nothing further of them, and tells nobody what becomes of them."""


class Carrier(Protocol):
    """A way out to phones that takes parts."""

    @property
    def name(self) -> str:
        """Its name in routes, metrics and logs."""

    @property
    def declared(self) -> Literal["test", "live"]:
        """``test`` reaches no citizen; only such a carrier takes drill messages."""

    @property
    def alphabet(self) -> Alphabet:
        """What ``data_coding`` 0 means here; texts are cut for it."""

    @property
    def bound(self) -> bool:
        """Whether a part could be written right now."""

    async def start(
        self, on_receipts: OnReceipts, on_inbound: OnInbound, on_late: OnLate | None = None
    ) -> None:
        """Begin to connect, and keep connecting; returns before the first bind.

        A batch is acknowledged to the carrier when its callback has returned; if the callback
        raises, the carrier is asked to deliver the whole batch again later.
        """

    async def stop(self) -> None:
        """Take no more, wait (bounded) for answers and callbacks, unbind, close."""

    async def submit(self, part: OutPart, *, write_by: float | None = None) -> SubmitOutcome:
        """``submit_many`` of one."""

    async def submit_many(
        self, parts: Sequence[OutPart], *, write_by: float | None = None
    ) -> list[SubmitOutcome]:
        """Submit parts and give their outcomes in the same order; never raises for a part.

        Waits for room, which is the back-pressure. A part that could not be written before
        ``write_by`` (``time.monotonic()`` seconds) is ``Refused(NOT_SENT)``: that is how an aged
        claim is released instead of used. A cancelled call writes nothing further.
        """

    def submit_then(
        self, parts: Sequence[OutPart], then: OnOutcomes, *, write_by: float
    ) -> Offered:
        """``submit_many`` of one part at least, for who gives very many messages: ``then`` is
        called with the outcomes once none is missing, maybe before this returns."""
