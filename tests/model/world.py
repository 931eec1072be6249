"""What does not change while the model runs, and what is seen of its owners from outside."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from mawja.broadcast.v1 import events_pb2
from mawja.common.v1 import common_pb2

from services.broadcast.routes import CarrierSpec, parse
from services.runtime import ids, privacy
from services.runtime.privacy import Keyring
from services.runtime.produce import Header
from services.runtime.topics import QUEUED_NORMAL, RECEIPT, Topic

NOW_MS = 1_800_000_000_000
NUMBER = "+999512345678"
CARRIER = "c"
ROUTES = parse(
    """
carriers:
  - {name: c, kind: smpp, declared: test, host: localhost, port: 1, system_id: x,
     password_file: x, sender: Mawja, parts_per_second: 100000}
routes:
  - {prefix: "+", carrier: c}
""",
    "the model",
)
SPEC: CarrierSpec = ROUTES.carriers[CARRIER]
LONG_S, SILENCE_S = 6.0, 25.0
"""Longer than a claim may be used; longer than an append may stay unanswered."""
Input = Literal["lane", "receipt"]
TOPIC_OF: dict[Input, Topic] = {"lane": QUEUED_NORMAL, "receipt": RECEIPT}

Event = tuple[Any, ...]
Raw = tuple[tuple[Header, ...], bytes]
"""A record of the log: headers and value."""


@dataclass(slots=True)
class Stored:
    """A record as it is read."""

    topic: str
    offset: int
    value: bytes | None
    headers: Sequence[Header] = ()
    partition: int = 0
    timestamp: int = NOW_MS
    key: bytes | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """A call of the carrier: of which part of which claim. `late`: the claim is too old for it."""

    reference: int
    late: bool
    open: bool


@dataclass(frozen=True, slots=True)
class View:
    """What can be seen of an owner from outside."""

    sends: tuple[Raw, ...]
    waiting: int
    """Appends whose acknowledgement it still waits for."""
    read: tuple[int, int] | None
    calls: tuple[Call, ...]
    idle: bool
    """It would read more input."""
    due: bool
    failed: str
    """Why it may not go on; its process ends soon."""
    stopped: bool
    done: tuple[int, int]
    """How much of lane and receipts is done, and..."""
    committable: tuple[int, int]
    """...how much of it the group may be told."""
    shown: frozenset[int]
    """The states that it would show: those of the last changes that it knows to stand."""


@dataclass(frozen=True, slots=True)
class World:
    """What does not change: the message, as its lane's topic holds it, and the key ring."""

    keyring: Keyring
    lane: bytes
    message_id: str
    person: bytes
    parts: int

    @classmethod
    def make(cls, folder: Path, parts: int) -> "World":
        """A world with one message of `parts` parts."""
        privacy.create(folder, NOW_MS)
        keyring = Keyring(folder)
        person = keyring.person(NUMBER)
        text = "مرحبا " * (11 * parts - 5)
        queued = events_pb2.QueuedMessage(
            message_id=ids.derive("model", "m"),
            person=person,
            lane=common_pb2.LANE_NORMAL,
            language="ar",
            drill=True,
            parts=parts,
            requested_ms=NOW_MS,
            expires_ms=NOW_MS + 3_600_000,
            accepted_ms=NOW_MS,
            sealed_number=keyring.seal("number", NUMBER, NOW_MS),
            sealed_text=keyring.seal("text", text, NOW_MS),
        )
        return cls(keyring, queued.SerializeToString(), queued.message_id, person, parts)

    def receipt(self, reference: int, carrier_id: str, state: int) -> bytes:
        """A receipt, as its topic holds it. A `reference` of 0: the carrier echoes none."""
        return events_pb2.Receipt(
            carrier=CARRIER,
            carrier_id=carrier_id,
            state=cast(Any, state),
            person=self.person,
            reference=reference,
            received_ms=NOW_MS,
        ).SerializeToString()
