"""Taking contacts: claim the key, write the record, say where it stands, answer.

Contacts that arrive together are taken together: one call to Redis and one batch to Kafka serve all
that came in while the last ones were on their way (group commit).
"""

import asyncio

from mawja.intake.v1 import events_pb2, service_pb2

from services.intake import shed
from services.intake.accept import Prepared, differences, prepare
from services.intake.index import Entry, Index
from services.runtime import log, metrics, trace
from services.runtime.clock import now_ms
from services.runtime.errors import Away, Conflict, MawjaError, Overloaded
from services.runtime.identity import Caller
from services.runtime.own import LogReader
from services.runtime.privacy import Keyring
from services.runtime.produce import Producer, acknowledged
from services.runtime.topics import CONTACT_ACCEPTED

_log = log.get("intake.submit")
_BATCH = 500
_ROUNDS = 2
# A round costs about as much as taking fifty contacts, so a small one waits a moment for company.
_COMPANY = 64
_COMPANY_S = 0.004

Answer = service_pb2.SubmitContactResponse


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
        self._keyring = keyring
        self._index = index
        self._producer = producer
        self._reader = reader
        self._partitions = partitions
        self._limit = limit
        self._inflight = 0
        self._refused_in_a_row = 0
        self._waiting: list[tuple[Prepared, str | None, asyncio.Future[Answer]]] = []
        self._taking: dict[str, tuple[bytes, asyncio.Future[Answer]]] = {}
        self._rounds = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def submit(
        self, contact: service_pb2.Contact, caller: Caller, traceparent: str | None = None
    ) -> "asyncio.Future[Answer]":
        """Starts taking one contact; the future is done when Kafka has it.

        Raises Invalid, Forbidden or Overloaded at once; the future raises Conflict or Away.
        """
        if not shed.admits(self._inflight, self._limit, contact.life_safety):
            self._refused_in_a_row += 1
            metrics.CONTACTS.labels(str(contact.channel), "overloaded").inc()
            if contact.life_safety:
                _log.error("a life-safety contact was turned away: intake is full")
            raise Overloaded(
                "intake is full; send again after the delay",
                shed.retry_after_ms(self._refused_in_a_row),
            )
        try:
            prepared = prepare(contact, caller, self._keyring, self._partitions, now_ms())
        except MawjaError:
            metrics.CONTACTS.labels(str(contact.channel), "invalid").inc()
            raise
        self._refused_in_a_row = 0
        taking = self._taking.get(prepared.contact_id)
        if taking is not None:
            return self._join(prepared, *taking)
        with trace.span("intake.submit", traceparent) as passed_on:
            future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
            self._taking[prepared.contact_id] = (prepared.mac, future)
            self._inflight += 1
            metrics.INTAKE_INFLIGHT.set(self._inflight)
            future.add_done_callback(lambda _: self._done(prepared))
            self._waiting.append((prepared, passed_on, future))
        self._start_round()
        return future

    def _join(
        self, prepared: Prepared, mac: bytes, future: "asyncio.Future[Answer]"
    ) -> "asyncio.Future[Answer]":
        # The same key is being taken right now. A copy, so that one caller's cancelling leaves
        # the others their answer.
        joined: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        if mac != prepared.mac:
            joined.set_exception(
                Conflict("the idempotency key is being used with another body right now")
            )
            return joined

        def copy(done: "asyncio.Future[Answer]") -> None:
            if joined.done():
                return
            error = done.exception() if not done.cancelled() else Away("the first caller left")
            if error is not None:
                joined.set_exception(error)
            else:
                joined.set_result(done.result())

        future.add_done_callback(copy)
        return joined

    def _done(self, prepared: Prepared) -> None:
        self._inflight -= 1
        metrics.INTAKE_INFLIGHT.set(self._inflight)
        self._taking.pop(prepared.contact_id, None)

    def _start_round(self) -> None:
        if self._rounds >= _ROUNDS:
            return
        self._rounds += 1
        task = asyncio.get_running_loop().create_task(self._run_rounds())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run_rounds(self) -> None:
        try:
            while self._waiting:
                if len(self._waiting) < _COMPANY:
                    await asyncio.sleep(_COMPANY_S)
                batch = self._waiting[:_BATCH]
                del self._waiting[: len(batch)]
                try:
                    await self._take(batch)
                except MawjaError as error:
                    for _, _, future in batch:
                        if not future.done():
                            future.set_exception(error)
                except BaseException:
                    for _, _, future in batch:
                        future.cancel()
                    raise
        finally:
            self._rounds -= 1

    async def _take(
        self, batch: list[tuple[Prepared, str | None, "asyncio.Future[Answer]"]]
    ) -> None:
        claims = [
            (p.index_key, Entry(p.mac, p.event.accepted_ms, p.partition, None)) for p, _, _ in batch
        ]
        held = await self._index.claim(claims)
        writing: list[tuple[Prepared, str | None, asyncio.Future[Answer]]] = []
        for (prepared, traceparent, future), entry in zip(batch, held, strict=True):
            if entry is None:
                writing.append((prepared, traceparent, future))
            elif entry.mac != prepared.mac:
                self._conflict(prepared, future)
            elif entry.offset is not None:
                metrics.CONTACTS.labels(prepared.channel, "repeated").inc()
                _settle(
                    future, Answer(contact_id=prepared.contact_id, accepted_ms=entry.accepted_ms)
                )
            else:
                # Somebody claimed it and may have died before writing: write it again as they
                # would have. Of two records of one contact the first counts.
                prepared.event.accepted_ms = entry.accepted_ms
                writing.append((prepared, traceparent, future))
        if writing:
            await self._write(writing)

    async def _write(
        self, writing: list[tuple[Prepared, str | None, "asyncio.Future[Answer]"]]
    ) -> None:
        sent = [
            await self._producer.send(
                CONTACT_ACCEPTED,
                prepared.partition,
                prepared.event.SerializeToString(),
                key=prepared.key,
                headers=[("traceparent", traceparent.encode())] if traceparent else (),
            )
            for prepared, traceparent, _ in writing
        ]
        stands = await acknowledged(sent)
        completed = await self._index.complete(
            [
                (p.index_key, Entry(p.mac, p.event.accepted_ms, p.partition, at.offset))
                for (p, _, _), at in zip(writing, stands, strict=True)
            ]
        )
        for (prepared, _, future), ours in zip(writing, completed, strict=True):
            if ours:
                metrics.CONTACTS.labels(prepared.channel, "accepted").inc()
                accepted_ms = prepared.event.accepted_ms
                _settle(future, Answer(contact_id=prepared.contact_id, accepted_ms=accepted_ms))
            else:
                self._conflict(prepared, future)

    def _conflict(self, prepared: Prepared, future: "asyncio.Future[Answer]") -> None:
        metrics.CONTACTS.labels(prepared.channel, "conflict").inc()
        if not future.done():
            future.set_exception(Conflict("the idempotency key was used with another body"))

    async def explain_conflict(self, contact: service_pb2.Contact, error: Conflict) -> Conflict:
        """The same refusal, naming the fields that differ from what was taken first."""
        caller = Caller(contact.source, frozenset(), "", 0)
        prepared = prepare(contact, caller, self._keyring, self._partitions, now_ms())
        first = await self.first(prepared.index_key)
        if first is None:
            return error
        fields = ", ".join(differences(contact, first, self._keyring))
        return Conflict(f"the idempotency key was used with another body; different: {fields}")

    async def first(self, index_key: bytes) -> events_pb2.ContactAccepted | None:
        """The contact that was taken with a key, read from Kafka; None when there is none yet."""
        entry = await self._index.lookup(index_key)
        if entry is None or entry.offset is None:
            return None
        found: list[bytes] = []
        await self._reader.read(
            CONTACT_ACCEPTED,
            entry.partition,
            entry.offset,
            entry.offset + 1,
            lambda record: found.append(record.value or b""),
        )
        return events_pb2.ContactAccepted.FromString(found[0]) if found else None


def _settle(future: "asyncio.Future[Answer]", answer: Answer) -> None:
    if not future.done():
        future.set_result(answer)
