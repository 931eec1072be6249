"""Taking contacts: claim the key, write the record, say where it stands, answer.

Contacts that arrive together are taken together: one call to Redis and one batch to Kafka serve all
that came in while the last ones were on their way (group commit).
"""

import asyncio
from collections import Counter
from collections.abc import Sequence

from mawja.intake.v1 import events_pb2, service_pb2

from services.intake import shed
from services.intake.accept import AHEAD_MS, Prepared, differences, prepare
from services.intake.index import Entry, Index
from services.runtime import log, metrics, rpc, trace
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
# A source that is not told in this time would give up waiting by itself.
_ANSWER_S = 8.0

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
        # The last round failed: Kafka or Redis is away.
        self._failing = False
        metrics.INTAKE_INFLIGHT.set_function(lambda: self._inflight)
        self._waiting: list[tuple[Prepared, str | None, asyncio.Future[Answer]]] = []
        self._taking: dict[str, tuple[Prepared, asyncio.Future[Answer]]] = {}
        self._rounds = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def submit(
        self,
        contact: service_pb2.Contact,
        caller: Caller,
        traceparent: str | None = None,
        ahead_ms: int = AHEAD_MS,
    ) -> "asyncio.Future[Answer]":
        """Starts taking one contact; the future is done when Kafka has it. `ahead_ms` is how far
        the contact's time may be ahead of our clock.

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
            prepared = prepare(contact, caller, self._keyring, self._partitions, now_ms(), ahead_ms)
        except MawjaError:
            metrics.CONTACTS.labels(str(contact.channel), "invalid").inc()
            raise
        self._refused_in_a_row = 0
        if self._failing and self._rounds:
            # One round finds out whether what was away is back; the others need not wait for it.
            raise Away("what takes contacts is away; send again in a moment")
        return self._enter(contact, prepared, traceparent)

    def _enter(
        self, contact: service_pb2.Contact, prepared: Prepared, traceparent: str | None
    ) -> "asyncio.Future[Answer]":
        taking = self._taking.get(prepared.contact_id)
        if taking is not None:
            return self._join(contact, prepared, traceparent, *taking)
        with trace.span("intake.submit", traceparent) as passed_on:
            future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
            self._taking[prepared.contact_id] = (prepared, future)
            self._inflight += 1
            future.add_done_callback(lambda _: self._done(prepared))
            self._waiting.append((prepared, passed_on, future))
        self._start_round()
        return future

    def _join(
        self,
        contact: service_pb2.Contact,
        prepared: Prepared,
        traceparent: str | None,
        first: Prepared,
        future: "asyncio.Future[Answer]",
    ) -> "asyncio.Future[Answer]":
        # The same key is being taken right now. A copy, so that one caller's cancelling leaves
        # the others their answer.
        joined: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        same = first.mac == prepared.mac

        def copy(done: "asyncio.Future[Answer]") -> None:
            if joined.done():
                return
            error = Away("the first caller left") if done.cancelled() else done.exception()
            if error is None and same:
                joined.set_result(done.result())
            elif error is None:
                metrics.CONTACTS.labels(prepared.channel, "conflict").inc()
                joined.set_exception(_different(differences(contact, first.event, self._keyring)))
            elif same:
                joined.set_exception(error)
            else:
                # The other body was not taken, maybe because ours was, before: ask for ourselves.
                _pass_on(self._enter(contact, prepared, traceparent), joined)

        future.add_done_callback(copy)
        return joined

    def _done(self, prepared: Prepared) -> None:
        self._inflight -= 1
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
                    self._failing = False
                except Exception as error:
                    self._failing = True
                    if not isinstance(error, MawjaError):
                        _log.error("a round failed unforeseen", error=type(error).__name__)
                        error = Away("intake failed on this contact; see its log")
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
        outcomes: Counter[tuple[str, str]] = Counter()
        for (prepared, traceparent, future), entry in zip(batch, held, strict=True):
            if entry is None:
                writing.append((prepared, traceparent, future))
            elif entry.mac != prepared.mac:
                self._conflict(prepared, future)
            elif entry.offset is not None:
                outcomes[prepared.channel, "repeated"] += 1
                _settle(
                    future, Answer(contact_id=prepared.contact_id, accepted_ms=entry.accepted_ms)
                )
            else:
                # Somebody claimed it and may have died before writing: write it again as they
                # would have. Of two records of one contact the first counts.
                prepared.event.accepted_ms = entry.accepted_ms
                writing.append((prepared, traceparent, future))
        _count(outcomes)
        if writing:
            await self._write(writing)

    async def _write(
        self, writing: list[tuple[Prepared, str | None, "asyncio.Future[Answer]"]]
    ) -> None:
        outcomes: Counter[tuple[str, str]] = Counter()
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
        stands = await acknowledged(sent, _ANSWER_S)
        completed = await self._index.complete(
            [
                (p.index_key, Entry(p.mac, p.event.accepted_ms, p.partition, at.offset))
                for (p, _, _), at in zip(writing, stands, strict=True)
            ]
        )
        for (prepared, _, future), ours in zip(writing, completed, strict=True):
            if ours:
                outcomes[prepared.channel, "accepted"] += 1
                accepted_ms = prepared.event.accepted_ms
                _settle(future, Answer(contact_id=prepared.contact_id, accepted_ms=accepted_ms))
            else:
                self._conflict(prepared, future)
        _count(outcomes)

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


def _count(outcomes: Counter[tuple[str, str]]) -> None:
    for labels, count in outcomes.items():
        metrics.CONTACTS.labels(*labels).inc(count)


def _pass_on(source: "asyncio.Future[Answer]", target: "asyncio.Future[Answer]") -> None:
    def copy(done: "asyncio.Future[Answer]") -> None:
        if target.done():
            return
        error = Away("the first caller left") if done.cancelled() else done.exception()
        if error is not None:
            target.set_exception(error)
        else:
            target.set_result(done.result())

    source.add_done_callback(copy)


def _settle(future: "asyncio.Future[Answer]", answer: Answer) -> None:
    if not future.done():
        future.set_result(answer)
