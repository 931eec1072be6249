"""One owner of broadcast's partition, as shipped, driven by what reaches it.

`OwnedLog`, `Partition` and all that it is made of are the shipped ones. What stands around them
is the boundary: a producer whose records land and are acknowledged when the search says so, a
reader that is handed what the log holds, a carrier that answers when the search says so. An owner
is a function of its history, the events that reached it, so two searches that come to the same
history meet the same owner.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

from mawja.broadcast.v1 import service_pb2
from mawja.common.v1 import common_pb2

from services.broadcast.carriers.base import (
    Accepted,
    LateAnswer,
)
from services.broadcast.desk import Desk
from services.broadcast.detours import Shares
from services.broadcast.pace import Bucket
from services.broadcast.sender import Out
from services.broadcast.worker import Partition
from services.runtime.own import Epochs, OwnedLog, Record, counted
from services.runtime.store import Item, PartitionView
from services.runtime.topics import MESSAGE_STATUS, QUEUED_NORMAL, RECEIPT
from services.runtime.work import Context
from tests.model.boundary import ANSWERS, Carrier, Producer, Reader, Silent
from tests.model.loop import Loop
from tests.model.world import (
    CARRIER,
    LONG_S,
    ROUTES,
    SILENCE_S,
    SPEC,
    TOPIC_OF,
    Call,
    Event,
    Input,
    Raw,
    Stored,
    View,
    World,
)


class NoCampaigns:
    """A partition's part in campaigns where there are none."""

    def start(self, shown: Callable[[], bool]) -> None:
        pass

    async def stop(self) -> None:
        pass

    def held_back(self, queued: object) -> bool:
        return False

    def folded(self, change: object, decided_ms: int) -> None:
        pass

    def written(self, change: object, decided_ms: int) -> None:
        pass


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
        self._producer = Producer(self._loop)
        self._reader = Reader(self._loop)
        self._carrier = Carrier(self._loop)
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
                        add=self._sendable,
                        remove=lambda _: self._sender_gone(),
                        wake=lambda: None,
                        away=frozenset(),
                        shares=Shares(),
                    ),
                ),
                replies=cast(Any, Silent()),
                views=cast(Any, Silent()),
                view=self._view_of,
                part=lambda *_: cast(Any, NoCampaigns()),
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
        return cast(PartitionView, Silent())

    def _sendable(self, _: object) -> None:
        self._due = True


def _no_dead_letters(record: Record, reason: str) -> "asyncio.Future[None]":
    raise AssertionError(f"set aside: {reason}")
