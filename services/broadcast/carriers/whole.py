"""What broadcast asks of a carrier that takes whole messages: an aggregator, WhatsApp, a bureau.

The three outcomes are those of ``base``, said once for the message. Such a carrier brings receipts
by a webhook or in files; either way it is told that it may forget them only after the callback
returned.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Literal

from services.broadcast.carriers.base import (
    OnInbound,
    OnLate,
    OnReceipts,
    OutMessage,
    SubmitOutcome,
)


class Messenger(ABC):
    """A way out to phones that takes whole messages."""

    def __init__(self, name: str, declared: Literal["test", "live"]) -> None:
        if declared not in ("test", "live"):
            raise ValueError(f"carrier {name}: declare it 'test' or 'live'")
        self._name = name
        self._declared: Literal["test", "live"] = declared

    @property
    def name(self) -> str:
        """Its name in routes, metrics and logs."""
        return self._name

    @property
    def declared(self) -> Literal["test", "live"]:
        """``test`` reaches no citizen; only such a carrier takes drill messages."""
        return self._declared

    @property
    @abstractmethod
    def bound(self) -> bool:
        """Whether a message could be written right now."""

    @abstractmethod
    async def start(
        self, on_receipts: OnReceipts, on_inbound: OnInbound, on_late: OnLate | None = None
    ) -> None:
        """Begin to look for the carrier; returns before it was found."""

    @abstractmethod
    async def stop(self) -> None:
        """Take no more, wait (bounded) for answers, close."""

    @abstractmethod
    async def submit(self, message: OutMessage, *, write_by: float) -> SubmitOutcome:
        """Submit a message and say what became of it; never raises for a message.

        Waits for room, which is the back-pressure. What could not be written before ``write_by``
        (``time.monotonic()`` seconds) is ``Refused(NOT_SENT)``. A cancelled call writes nothing
        further.
        """


class NotSigned(Exception):
    """A delivery that is not the carrier's, or a recording of one."""


class BadDelivery(Exception):
    """A delivery that can't be read; the message says why, without its content."""


class Hooked(Messenger):
    """A messenger that calls back: receipts and messages from people come to a webhook."""

    largest: int = 256 * 1024
    """Bytes of a delivery."""

    @abstractmethod
    async def take(self, headers: Mapping[str, str], body: bytes) -> None:
        """Take a delivery. Returns when Kafka has what is in it.

        Raises NotSigned and BadDelivery, and Away when it must be brought again.
        """

    def challenge(self, query: Mapping[str, str]) -> str | None:
        """The answer to a carrier that asks whether this is its webhook; None: it is not."""
        return None
