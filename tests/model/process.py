"""One owner of broadcast's partition, as shipped, driven by what reaches it.

`OwnedLog`, `Partition` and all that it is made of are the shipped ones. What stands around them
is the boundary: a producer whose records land and are acknowledged when the search says so, a
reader that is handed what the log holds, a carrier that answers when the search says so. An owner
is a function of its history, the events that reached it, so two searches that come to the same
history meet the same owner.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal, cast

from mawja.broadcast.v1 import events_pb2, service_pb2
from mawja.common.v1 import common_pb2

from services.broadcast.carriers.base import (
    Accepted,
    LateAnswer,
    OutPart,
    Refused,
    SubmitOutcome,
    Unknown,
    UnknownReason,
)
from services.broadcast.carriers.errors import SendError
from services.broadcast.desk import Desk
from services.broadcast.pace import Bucket
from services.broadcast.routes import CarrierSpec, parse
from services.broadcast.sender import Out
from services.broadcast.worker import Partition
from services.runtime import ids, privacy
from services.runtime.own import Epochs, OwnedLog, Record, counted
from services.runtime.privacy import Keyring
from services.runtime.produce import Header
from services.runtime.store import Item, PartitionView
from services.runtime.topics import MESSAGE_STATUS, QUEUED_NORMAL, RECEIPT, Topic
from services.runtime.work import Context
from tests.model.loop import Loop

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


@dataclass(slots=True)
class _Producer:
    """Appends wait here until the search lets them land."""

    loop: Loop
    sends: list[Raw] = field(default_factory=list)
    futures: "list[asyncio.Future[Any]]" = field(default_factory=list)

    async def send(
        self,
        topic: Topic,
        partition: int,
        value: bytes,
        *,
        key: bytes | None = None,
        headers: Sequence[Header] = (),
    ) -> "asyncio.Future[Any]":
        assert topic == MESSAGE_STATUS, "the model holds one log"
        self.sends.append((tuple(headers), value))
        self.futures.append(self.loop.create_future())
        return self.futures[-1]


@dataclass(slots=True)
class _Reader:
    """Reads wait here until the search hands them what the log holds."""

    loop: Loop
    span: tuple[int, int] | None = None
    future: "asyncio.Future[Sequence[Raw]] | None" = None

    async def read(
        self, topic: Topic, partition: int, start: int, end: int, each: Callable[[Record], object]
    ) -> None:
        self.span, self.future = (start, end), self.loop.create_future()
        records = await self.future
        for offset, (headers, value) in enumerate(records, start=start):
            found = each(Stored(topic.name, offset, value, headers))
            if found is not None and hasattr(found, "__await__"):
                await found


@dataclass(slots=True)
class _Asked:
    part: OutPart
    write_by: float
    outcome: "asyncio.Future[SubmitOutcome]"


@dataclass(slots=True)
class _Carrier:
    """Parts wait here until the search says what the carrier did with them."""

    loop: Loop
    asked: list[_Asked] = field(default_factory=list)
    name: str = CARRIER
    bound: bool = True

    async def submit_many(
        self, parts: Sequence[OutPart], *, write_by: float | None = None
    ) -> list[SubmitOutcome]:
        assert write_by is not None, "a claim ends"
        asked = [_Asked(part, write_by, self.loop.create_future()) for part in parts]
        self.asked += asked
        return list(await asyncio.gather(*(one.outcome for one in asked)))


class _Silent:
    """Redis, of which the protocol asks nothing."""

    settled = True

    async def start(self) -> None:
        """Nothing to take over."""

    async def put(self, items: Iterable[object]) -> None:
        """Shown."""

    async def keep(self) -> None:
        """Whole."""

    async def get(self, *keys: str) -> list[bytes | None]:
        return [None for _ in keys]


ANSWERS: dict[str, SubmitOutcome] = {
    "throttled": Refused(SendError.THROTTLED),
    "invalid": Refused(SendError.INVALID_DESTINATION),
    "not-sent": Refused(SendError.NOT_SENT),
    "timeout": Unknown(UnknownReason.TIMEOUT),
    "bind-lost": Unknown(UnknownReason.BIND_LOST),
}


@dataclass(frozen=True, slots=True)
class Shipped:
    """The parts of an owner that a mutation may replace."""

    log: type[OwnedLog] = OwnedLog
    fold_first: bool = False
    """A mutation: the log is read to its end, and only then the marker appended."""


SHIPPED = Shipped()


class Process:
    """An owner, from the moment at which the group gives it the partition."""

    def __init__(self, world: World, shipped: Shipped = SHIPPED) -> None:
        self._world = world
        self._shipped = shipped
        self._loop = Loop()
        self._producer = _Producer(self._loop)
        self._reader = _Reader(self._loop)
        self._carrier = _Carrier(self._loop)
        self._failed = ""
        self._stopped = False
        self._idle = False
        self._done: dict[Input, int] = {"lane": 0, "receipt": 0}
        self._inputs: asyncio.Queue[tuple[Input, int, bytes]] = asyncio.Queue()
        self._work: Partition | None = None
        self._everything: Callable[[], Iterable[Item]] = tuple
        self._due = False
        # Kept, or they would be collected while they wait.
        self._tasks: list[asyncio.Task[None]] = []
        self._out = Out(cast(Any, self._carrier), SPEC, Bucket(SPEC.parts_per_second, 0.0))

    def reach(self, event: Event) -> None:
        """Something from outside reaches the process."""
        getattr(self, f"_on_{event[0].replace('-', '_')}")(*event[1:])

    def close(self) -> None:
        """Ends it, as kill -9 does."""
        self._loop.drop()

    def view(self) -> View:
        """What can be seen from outside."""
        work = self._work
        return View(
            sends=tuple(self._producer.sends),
            waiting=sum(not future.done() for future in self._producer.futures),
            read=self._reader.span,
            calls=tuple(
                Call(one.part.reference, self._loop.now_s > one.write_by, not one.outcome.done())
                for one in self._carrier.asked
            ),
            idle=self._idle and not self._failed and not self._stopped,
            due=work is not None and self._due and work.count(common_pb2.LANE_NORMAL) > 0,
            failed=self._failed,
            stopped=self._stopped,
            done=(self._done["lane"], self._done["receipt"]),
            committable=(0, 0)
            if work is None
            else (
                work.committable(QUEUED_NORMAL.name, self._done["lane"]),
                work.committable(RECEIPT.name, self._done["receipt"]),
            ),
            shown=frozenset(
                service_pb2.GetMessageResponse.FromString(item.payload).message.state
                for item in self._everything()
            ),
        )

    # What reaches it.

    def _on_given(self, lane: int, receipts: int, end: int) -> None:
        """The partition, with the group's offsets and where the log ends now."""
        self._done = {"lane": lane, "receipt": receipts}
        self._spawn(self._live(end))

    def _on_acked(self, number: int, offset: int) -> None:
        future = self._producer.futures[number]
        if not future.done():
            future.set_result(SimpleNamespace(offset=offset))
        self._loop.settle()

    def _on_read(self, records: Sequence[Raw]) -> None:
        future, self._reader.future, self._reader.span = self._reader.future, None, None
        assert future is not None
        if not future.done():
            future.set_result(records)
        self._loop.settle()

    def _on_input(self, kind: Input, offset: int, value: bytes) -> None:
        self._inputs.put_nowait((kind, offset, value))
        self._loop.settle()

    def _on_send(self) -> None:
        """The sender's turn: it takes what is due and has it claimed and sent."""
        assert self._work is not None
        asyncio._set_running_loop(self._loop)
        try:
            self._work.wake(self._loop.now_s + 3600)
            waiting = self._work.next_due(common_pb2.LANE_NORMAL, CARRIER)
            if waiting is not None:
                self._work.take(common_pb2.LANE_NORMAL, CARRIER)
                self._out.under_way += waiting.message.parts
                self._work.send(self._out, [waiting])
        finally:
            asyncio._set_running_loop(None)
        self._loop.settle()

    def _on_answer(self, number: int, what: str) -> None:
        asked = self._carrier.asked[number]
        if not asked.outcome.done():
            asked.outcome.set_result(ANSWERS.get(what) or Accepted(what))
        self._loop.settle()

    def _on_late(self, number: int, carrier_id: str) -> None:
        """The carrier answers after all."""
        assert self._work is not None
        part = self._carrier.asked[number].part
        asyncio._set_running_loop(self._loop)
        try:
            self._work.late(CARRIER, self._world.person, LateAnswer(part, Accepted(carrier_id)))
        except Exception as error:
            self._fail(error)
        finally:
            asyncio._set_running_loop(None)
        self._loop.settle()

    def _on_frozen(self) -> None:
        """It was stopped for longer than a claim may be used, and wakes up."""
        self._loop.settle(LONG_S)

    def _on_silence(self) -> None:
        """Kafka says nothing for longer than it may."""
        self._loop.settle(SILENCE_S)

    def _on_revoked(self) -> None:
        """The group takes the partition back in good order."""
        assert self._work is not None
        # The worker reads nothing more while it gives up.
        self._idle = False
        self._sender_gone()
        self._spawn(self._give_up())

    # What it does.

    def _spawn(self, coroutine: Any) -> None:
        self._tasks.append(self._loop.create_task(coroutine))
        self._loop.settle()

    def _fail(self, error: BaseException) -> None:
        self._failed = self._failed or f"{type(error).__name__}: {error}"

    def _sender_gone(self) -> None:
        self._due = False

    async def _give_up(self) -> None:
        assert self._work is not None
        await self._work.stop()
        self._stopped = True

    async def _live(self, end: int) -> None:
        """As `services.runtime.consume.Worker` takes a partition over and works."""
        try:
            log = self._shipped.log(
                cast(Any, self._producer), cast(Any, self._reader), MESSAGE_STATUS, 0
            )
            desk = Desk(
                keyring=self._world.keyring,
                producer=cast(Any, self._producer),
                routes=ROUTES,
                sender=cast(
                    Any,
                    SimpleNamespace(
                        add=self._sendable, remove=lambda _: self._sender_gone(), wake=lambda: None
                    ),
                ),
                replies=cast(Any, _Silent()),
                views=cast(Any, _Silent()),
                view=self._view_of,
                fail=self._fail,
            )
            epochs = Epochs()
            folded: list[Record] = []

            def fold(record: Record) -> None:
                if counted(epochs, record):
                    folded.append(record)

            if self._shipped.fold_first:
                await self._reader.read(MESSAGE_STATUS, 0, 0, end, fold)
                await log.acquire("o")
            else:
                await log.acquire("o")
                await self._reader.read(MESSAGE_STATUS, 0, 0, log.epoch, fold)
            work = Partition(
                Context(
                    partition=0,
                    logs={MESSAGE_STATUS.name: log},
                    committed={},
                    dead=_no_dead_letters,
                ),
                desk,
            )
            for record in folded:
                work.fold(record)
            self._work = work
            await work.start()
            while True:
                self._idle = True
                kind, offset, value = await self._inputs.get()
                self._idle = False
                await work.work([Stored(TOPIC_OF[kind].name, offset, value)])
                self._done[kind] = offset + 1
        except Exception as error:
            self._fail(error)

    def _view_of(self, _: int, __: int, everything: Callable[[], Iterable[Item]]) -> PartitionView:
        self._everything = everything
        return cast(PartitionView, _Silent())

    def _sendable(self, _: object) -> None:
        self._due = True


def _no_dead_letters(record: Record, reason: str) -> "asyncio.Future[None]":
    raise AssertionError(f"set aside: {reason}")
