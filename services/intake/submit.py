"""Taking contacts: who comes in is decided at the door, what they are is looked at in short turns,
and rounds take the good ones into Kafka. A key that is being taken already is taken once.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from mawja.intake.v1 import events_pb2, service_pb2

from services.intake.accept import AHEAD_MS, Prepared, differences, prepare
from services.intake.door import Door
from services.intake.index import Index
from services.intake.rounds import Answer, Rounds, Taking, unforeseen
from services.intake.turns import Turns
from services.runtime import metrics, rpc, trace
from services.runtime.clock import now_ms
from services.runtime.errors import Away, Conflict, MawjaError
from services.runtime.identity import Caller
from services.runtime.own import LogReader
from services.runtime.privacy import Keyring
from services.runtime.produce import Producer
from services.runtime.topics import CONTACT_ACCEPTED


@dataclass(frozen=True, slots=True)
class _Arrived:
    """What came in and has not been looked at."""

    contact: service_pb2.Contact
    caller: Caller
    traceparent: str | None
    ahead_ms: int
    told_ms: int
    future: "asyncio.Future[Answer]"


class Submitter:
    """Takes contacts into Kafka, each key once. One for each process."""

    def __init__(
        self,
        keyring: Keyring,
        index: Index,
        producer: Producer,
        reader: LogReader,
        partitions: int,
        limit: int,
    ) -> None:
        self.door = Door(limit)
        self._keyring = keyring
        self._index = index
        self._rounds = Rounds(index, producer)
        self._reader = reader
        self._partitions = partitions
        self._arrived: deque[_Arrived] = deque()
        self._preparing: asyncio.Task[None] | None = None
        self._taking: dict[str, Taking] = {}

    def submit(
        self,
        contact: service_pb2.Contact,
        caller: Caller,
        traceparent: str | None = None,
        ahead_ms: int = AHEAD_MS,
        told_ms: int = 0,
    ) -> "asyncio.Future[Answer]":
        """Starts taking one contact; the future is done when Kafka has it. `ahead_ms` is how far
        the contact's time may be ahead of our clock, `told_ms` since when we have it, where it was
        not told just now.

        Raises Overloaded at once; the future raises Invalid, Forbidden, Conflict or Away.
        """
        if not self.door.admits(contact.life_safety):
            raise self.door.turn_away(contact.channel, 1, contact.life_safety)
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.door.enter()
        future.add_done_callback(lambda _: self.door.leave())
        self._arrived.append(_Arrived(contact, caller, traceparent, ahead_ms, told_ms, future))
        if self._preparing is None:
            self._preparing = asyncio.get_running_loop().create_task(self._prepare())
        return future

    async def _prepare(self) -> None:
        turns = Turns()
        try:
            while self._arrived:
                arrived = self._arrived.popleft()
                if not arrived.future.done():
                    self._look_at(arrived)
                await turns.end()
        finally:
            self._preparing = None

    def _look_at(self, arrived: _Arrived) -> None:
        contact, future = arrived.contact, arrived.future
        try:
            prepared = prepare(
                contact,
                arrived.caller,
                self._keyring,
                self._partitions,
                now_ms(),
                arrived.ahead_ms,
                arrived.told_ms,
            )
        except MawjaError as error:
            metrics.CONTACTS.labels(str(contact.channel), "invalid").inc()
            future.set_exception(error)
        except Exception as error:
            future.set_exception(unforeseen(error))
        else:
            if self._rounds.away:
                future.set_exception(Away("what takes contacts is away; send again in a moment"))
            else:
                self._enter(contact, prepared, arrived.traceparent, future)

    def _enter(
        self,
        contact: service_pb2.Contact,
        prepared: Prepared,
        traceparent: str | None,
        future: "asyncio.Future[Answer]",
    ) -> None:
        first = self._taking.get(prepared.contact_id)
        if first is not None:
            self._join(contact, prepared, traceparent, future, first)
            return
        with trace.span("intake.submit", traceparent) as passed_on:
            taking = Taking(prepared, passed_on, future)
            self._taking[prepared.contact_id] = taking
            future.add_done_callback(lambda _: self._taking.pop(prepared.contact_id, None))
        self._rounds.add(taking)

    def _join(
        self,
        contact: service_pb2.Contact,
        prepared: Prepared,
        traceparent: str | None,
        joined: "asyncio.Future[Answer]",
        first: Taking,
    ) -> None:
        # The same key is being taken right now. A future of its own, so that one caller's
        # cancelling leaves the others their answer.
        same = first.prepared.mac == prepared.mac

        def copy(done: "asyncio.Future[Answer]") -> None:
            if joined.done():
                return
            error = Away("the first caller left") if done.cancelled() else done.exception()
            if error is None and same:
                joined.set_result(done.result())
            elif error is None:
                metrics.CONTACTS.labels(prepared.channel, "conflict").inc()
                joined.set_exception(
                    _different(differences(contact, first.prepared.event, self._keyring))
                )
            elif same:
                joined.set_exception(error)
            else:
                # The other body was not taken, maybe because ours was, before: ask for ourselves.
                self._enter(contact, prepared, traceparent, joined)

        first.future.add_done_callback(copy)

    async def explain_conflict(self, contact: service_pb2.Contact, error: Conflict) -> Conflict:
        """The same refusal, naming the fields that differ from the first. Raises Away."""
        caller = Caller(contact.source, frozenset(), "", 0)
        prepared = prepare(contact, caller, self._keyring, self._partitions, now_ms())
        first = await self.first(prepared.index_key)
        if first is None:
            return error
        return _different(differences(contact, first, self._keyring))

    async def first(self, index_key: bytes) -> events_pb2.ContactAccepted | None:
        """The contact that was taken with a key, read from Kafka; None when there is none yet."""
        entry = await self._index.lookup(index_key)
        if entry is None or entry.offset is None:
            return None
        record = await self._reader.one(
            CONTACT_ACCEPTED, entry.partition, entry.offset, rpc.time_left_s()
        )
        return events_pb2.ContactAccepted.FromString(record.value or b"") if record else None


def _different(fields: Sequence[str]) -> Conflict:
    return Conflict(
        f"the idempotency key was used with another body; different: {', '.join(fields)}"
    )
