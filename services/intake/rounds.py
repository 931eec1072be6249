"""Contacts in rounds: claim the keys, write the records, say where they stand, answer.

What came in while the last round was on its way goes into the next one together: one call to Redis
and one batch to Kafka serve all of it (group commit).
"""

import asyncio
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from mawja.intake.v1 import service_pb2

from services.intake.accept import Prepared
from services.intake.entries import Entry, Held
from services.intake.index import CLAIM_S, Index
from services.intake.turns import Turns
from services.runtime import log, metrics
from services.runtime.clock import monotonic_s
from services.runtime.errors import Away, Conflict, MawjaError
from services.runtime.produce import Producer, acknowledged
from services.runtime.topics import CONTACT_ACCEPTED

if TYPE_CHECKING:
    from aiokafka.structs import RecordMetadata

_log = log.get("intake.rounds")
_BATCH = 500
_ROUNDS = 2
# A round costs about as much as taking fifty contacts, so a small one waits a moment for company.
_COMPANY = 64
_COMPANY_S = 0.004
# A source that is not told in this time would give up waiting by itself.
_ANSWER_S = 8.0
# Another process is taking the key with another body: whose it is will be known in a moment.
_ASK_AGAIN_S = 0.05
_UNDECIDED_S = 2.0

Answer = service_pb2.SubmitContactResponse


@dataclass(slots=True)
class Taking:
    """A good contact on its way."""

    prepared: Prepared
    traceparent: str | None
    future: "asyncio.Future[Answer]"
    undecided_until_s: float | None = None


class Rounds:
    """Takes good contacts into Kafka, each key once. One for each process."""

    def __init__(self, index: Index, producer: Producer) -> None:
        self._index = index
        self._producer = producer
        # The last round failed: Kafka or Redis is away.
        self._failing = False
        self._waiting: list[Taking] = []
        self._rounds = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def away(self) -> bool:
        """Whether what takes contacts is away. One round finds out when it is back; the others
        need not wait for it."""
        return self._failing and self._rounds > 0

    def add(self, taking: Taking) -> None:
        """Takes it with the next round; its future is done when Kafka has it, or raises Conflict or
        Away."""
        if taking.future.done():
            return
        self._waiting.append(taking)
        if self._rounds < _ROUNDS:
            self._rounds += 1
            self._start(self._run_rounds())

    async def _run_rounds(self) -> None:
        try:
            while self._waiting:
                if len(self._waiting) < _COMPANY:
                    await asyncio.sleep(_COMPANY_S)
                    if not self._waiting:
                        # The other round took them along.
                        return
                batch = self._waiting[:_BATCH]
                del self._waiting[: len(batch)]
                try:
                    await self._take(batch)
                    self._failing = False
                except Exception as error:
                    self._failing = True
                    told = error if isinstance(error, MawjaError) else unforeseen(error)
                    for taking in batch:
                        if not taking.future.done():
                            taking.future.set_exception(told)
                except BaseException:
                    for taking in batch:
                        taking.future.cancel()
                    raise
        finally:
            self._rounds -= 1

    async def _take(self, batch: list[Taking]) -> None:
        began_s = monotonic_s()
        held = await self._index.claim([self._claim_of(taking.prepared) for taking in batch])
        writing: list[Taking] = []
        outcomes: Counter[tuple[str, str]] = Counter()
        for taking, holding in zip(batch, held, strict=True):
            prepared = taking.prepared
            if holding is None:
                writing.append(taking)
                continue
            entry = holding.entry
            if entry.mac != prepared.mac and entry.offset is not None:
                self._conflict(taking)
            elif entry.mac != prepared.mac:
                self._undecided(taking, holding)
            elif entry.offset is not None:
                outcomes[prepared.channel, "repeated"] += 1
                _settle(
                    taking.future,
                    Answer(contact_id=prepared.contact_id, accepted_ms=entry.accepted_ms),
                )
            else:
                # Somebody claimed it and may have died before writing: write it again as they
                # would have. Of two records of one contact the first counts.
                prepared.event.accepted_ms = entry.accepted_ms
                writing.append(taking)
        _count(outcomes)
        if writing:
            await self._write(writing, began_s)

    def _claim_of(self, prepared: Prepared) -> tuple[bytes, Entry]:
        return prepared.index_key, Entry(
            prepared.mac, prepared.event.accepted_ms, prepared.partition, None
        )

    async def _write(self, writing: list[Taking], claimed_s: float) -> None:
        stood = await acknowledged(await self._send(writing, claimed_s), _ANSWER_S)
        outcomes: Counter[tuple[str, str]] = Counter()
        turns = Turns()
        completed = await self._index.complete(
            [
                (
                    t.prepared.index_key,
                    Entry(
                        t.prepared.mac,
                        t.prepared.event.accepted_ms,
                        t.prepared.partition,
                        at.offset,
                    ),
                )
                for t, at in zip(writing, stood, strict=True)
            ]
        )
        for taking, ours in zip(writing, completed, strict=True):
            if ours:
                prepared = taking.prepared
                outcomes[prepared.channel, "accepted"] += 1
                _settle(
                    taking.future,
                    Answer(contact_id=prepared.contact_id, accepted_ms=prepared.event.accepted_ms),
                )
            else:
                self._conflict(taking)
            await turns.end()
        _count(outcomes)

    async def _send(
        self, writing: list[Taking], claimed_s: float
    ) -> "list[asyncio.Future[RecordMetadata]]":
        sent: list[asyncio.Future[RecordMetadata]] = []
        turns = Turns()
        try:
            for taking in writing:
                if monotonic_s() - claimed_s > CLAIM_S:
                    # Somebody else may hold the keys soon.
                    raise Away("the claim took too long; send again in a moment")
                prepared, traceparent = taking.prepared, taking.traceparent
                stands = await self._producer.send(
                    CONTACT_ACCEPTED,
                    prepared.partition,
                    prepared.event.SerializeToString(),
                    key=prepared.key,
                    headers=[("traceparent", traceparent.encode())] if traceparent else (),
                )
                stands.add_done_callback(partial(self._written, prepared.index_key))
                sent.append(stands)
                await turns.end()
        finally:
            for taking in writing[len(sent) :]:
                self._index.written(taking.prepared.index_key)
        return sent

    def _written(self, index_key: bytes, _: object) -> None:
        self._index.written(index_key)

    def _conflict(self, taking: Taking) -> None:
        metrics.CONTACTS.labels(taking.prepared.channel, "conflict").inc()
        if not taking.future.done():
            taking.future.set_exception(Conflict("the idempotency key was used with another body"))

    def _undecided(self, taking: Taking, holding: Held) -> None:
        """Another body of the key was claimed elsewhere and does not stand in Kafka yet."""
        now = monotonic_s()
        if taking.undecided_until_s is None:
            taking.undecided_until_s = now + _UNDECIDED_S
        if holding.abandoned:
            self._start(self._settle_abandoned(taking, holding.entry))
        elif now < taking.undecided_until_s:
            asyncio.get_running_loop().call_later(_ASK_AGAIN_S, self.add, taking)
        elif not taking.future.done():
            taking.future.set_exception(
                Away("another body of this key is being taken; send again in a moment")
            )

    async def _settle_abandoned(self, taking: Taking, entry: Entry) -> None:
        try:
            await self._index.settle(taking.prepared.index_key, entry)
        except Exception as error:
            told = error if isinstance(error, MawjaError) else unforeseen(error)
            if not taking.future.done():
                taking.future.set_exception(told)
        else:
            self.add(taking)

    def _start(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def unforeseen(error: Exception) -> Away:
    """What a caller is told of an error that nobody foresaw; it is logged."""
    _log.error("a contact failed unforeseen", error=type(error).__name__)
    return Away("intake failed on this contact; see its log")


def _count(outcomes: Counter[tuple[str, str]]) -> None:
    for labels, count in outcomes.items():
        metrics.CONTACTS.labels(*labels).inc(count)


def _settle(future: "asyncio.Future[Answer]", answer: Answer) -> None:
    if not future.done():
        future.set_result(answer)
