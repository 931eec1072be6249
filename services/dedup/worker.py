"""Dedup's worker: one decision for every contact, call event and command of a partition.

A batch is decided in memory and appended to the log at once; the process ends if that fails, so
memory is never ahead of the log for anybody else. Views, answers and tallies follow from the log.
Tallies are stated about once a second; the inputs are committed only as far as tallies and views
have been written, and a new owner states again whatever came after.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext

from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2, needs_pb2

from services.dedup import inputs, views
from services.dedup.cases import Cases, Decision
from services.dedup.changes import Changes
from services.dedup.match import Rules
from services.dedup.reading import Reader
from services.dedup.stating import stated
from services.dedup.telling import Teller
from services.dedup.trees import Trees
from services.dedup.views import Listing
from services.runtime import log, metrics, trace
from services.runtime.clock import now_ms
from services.runtime.errors import Poison
from services.runtime.keeping import Everything, Keeping
from services.runtime.letters import source_of
from services.runtime.own import NO_EPOCH, Entry, Record
from services.runtime.privacy import Keyring
from services.runtime.produce import Producer, acknowledged
from services.runtime.replies import Replies
from services.runtime.store import PartitionView
from services.runtime.topics import (
    CALL_EVENT,
    CASE,
    CASE_REQUEST,
    CONTACT_ACCEPTED,
    DEDUP_COMMAND,
    DEDUP_DEAD,
    TALLY,
)
from services.runtime.work import Context, Plan

PLAN = Plan(
    group="dedup",
    inputs=(CONTACT_ACCEPTED, CALL_EVENT, DEDUP_COMMAND, CASE_REQUEST),
    logs=(CASE,),
    dead=DEDUP_DEAD,
)

_log = log.get("dedup.decide")


class Dedup:
    """The work of one partition of `partitions` (a `PartitionWork`). `fail` ends the worker when
    stating tallies in between fails."""

    def __init__(
        self,
        context: Context,
        partitions: int,
        rules: Rules,
        reader: Reader,
        trees: Trees,
        shared: frozenset[bytes],
        keyring: Keyring,
        producer: Producer,
        view: Callable[[int, Everything], PartitionView],
        replies: Replies,
        teller: Teller,
        fail: Callable[[BaseException], None],
    ) -> None:
        self.cases = Cases(rules, shared, trees, keyring.erased)
        self._context = context
        self._partition = context.partition
        self._partitions = partitions
        self._log = context.logs[CASE.name]
        self._reader = reader
        self._keyring = keyring
        self._producer = producer
        self._kept = Keeping(view, fail, self._state)
        self._replies = replies
        self._teller = teller
        self._again = Changes(again=True)
        self._follow_ups: list[events_pb2.FollowUp] = []
        self._untold: list[needs_pb2.NeedStated] = []

    # Taking over.

    def fold(self, record: Record) -> None:
        """Takes up one decision."""
        decision = Decision.FromString(record.value or b"")
        # What the last owner did not commit it may not have stated.
        fresh = decision.input.offset >= self._context.committed.get(decision.input.topic, 0)
        self.cases.tallies.marking = fresh
        self.cases.fold(decision, record.offset)
        if fresh:
            self._again.add(decision, record.offset, Listing.MOVES)
            self._follow_ups += decision.follow_ups
            self._untold += stated(decision)

    def resume(self, topic: str) -> tuple[int, int]:
        """One after the highest decided offset of `topic`."""
        return self.cases.decided.get(topic, -1) + 1, NO_EPOCH

    async def start(self) -> None:
        """States again what the last owner may not have stated."""
        self.cases.tallies.marking = True
        await self._follow_up(self._follow_ups)
        self._follow_ups = []
        await self._teller.tell(self._untold)
        self._untold = []
        again, self._again = self._again, Changes()
        await self._kept.start(
            self._log.epoch,
            lambda: views.everything(self.cases, self._partition),
            again.items(self.cases, self._partition),
            self._context.committed,
            {topic.name: self.resume(topic.name)[0] for topic in PLAN.reads},
        )

    # Working.

    async def work(self, records: Sequence[Record]) -> None:
        """Decides `records`, appends the decisions, then effects what follows from them."""
        async with self._kept.busy:
            self._kept.unsure = True
            decisions, entries, answers = await self._decide(records)
            first = await self._log.append(entries)
            self._kept.unsure = False
            changes = Changes()
            for offset, (decision, moved) in enumerate(decisions, start=first):
                changes.add(decision, offset, Listing.MOVES if moved else Listing.STAYS)
                self.cases.through = offset
            await self._follow_up([f for d, _ in decisions for f in d.follow_ups])
            await self._teller.tell([need for d, _ in decisions for need in stated(d)])
            for change, count in Counter(d.change for d, _ in decisions).items():
                metrics.DECISIONS.labels(_name(change)).inc(count)
            metrics.WAITING_CALLS.labels(self._partition).set(self.cases.waiting)
            done = {record.topic: record.offset + 1 for record in records}
            await self._kept.put(changes.items(self.cases, self._partition), done)
            for channel, decision in answers:
                await self._replies.tell(
                    channel, decision.outcome.command_id, decision.SerializeToString()
                )

    async def _decide(
        self, records: Sequence[Record]
    ) -> tuple[list[tuple[Decision, bool]], list[Entry], list[tuple[str, Decision]]]:
        """(decision, whether its case moved in the lists), the records, and whom to answer."""
        decisions, entries, answers = [], [], []
        poison: list[asyncio.Future[None]] = []
        at_ms = now_ms()
        for record in records:
            if record.offset <= self.cases.decided.get(record.topic, -1):
                # Reading may begin before the first input that is not decided; deciding never does.
                continue
            traceparent = trace.of(record.headers)
            traced = trace.span("dedup.decide", traceparent) if traceparent else nullcontext()
            with traced as passed_on:
                try:
                    decision, reply_to = self._decision(record, at_ms)
                except Poison as error:
                    poison.append(self._context.dead(record, str(error)))
                    continue
            decisions.append((decision, self.cases.moved))
            entries.append(Entry(decision.SerializeToString(), record.key, passed_on))
            if reply_to:
                answers.append((reply_to, decision))
        # Before the log says that these offsets are done with.
        await asyncio.gather(*poison)
        return decisions, entries, answers

    def _decision(self, record: Record, at_ms: int) -> tuple[Decision, str]:
        """The decision on a record, and where somebody waits for it. Raises Poison."""
        at = common_pb2.Input(topic=record.topic, offset=record.offset)
        value = record.value or b""
        source = source_of(record)
        if source == CONTACT_ACCEPTED.name:
            contact = inputs.contact(value)
            text = self._text(contact.sealed_text)
            reading = self._reader.read(text, contact.language)
            decision = self.cases.contact(contact, reading, at, at_ms)
            self._teller.put(decision, reading.said, contact.sealed_text)
            return decision, ""
        if source == CALL_EVENT.name:
            decision = self.cases.call(inputs.call(value), at, at_ms)
            self._teller.put(decision)
            return decision, ""
        command = inputs.command(value, self._partitions)
        decision = self.cases.command(command, at, at_ms)
        self._teller.put(decision)
        return decision, command.envelope.reply_to

    def _text(self, sealed: bytes) -> str:
        try:
            return self._keyring.unseal("text", sealed)
        except Poison as error:
            # The person counts without their words too.
            _log.warning("a text can't be read; decided without it", why=str(error))
            return ""

    # Stating.

    async def _follow_up(self, follow_ups: Iterable[events_pb2.FollowUp]) -> None:
        """Asks the owners of other partitions for what follows from decisions. Not before those
        stand in the log, and before their inputs are committed: whoever takes over asks again, and
        the ids tell that it is the same."""
        futures = [
            await self._producer.send(
                DEDUP_COMMAND, follow_up.partition, follow_up.command.SerializeToString()
            )
            for follow_up in follow_ups
        ]
        await acknowledged(futures)

    async def _state(self) -> None:
        """Writes the tallies that changed."""
        tallies = self.cases.tallies.take(self._partition, self.cases.through)
        try:
            futures = [
                await self._producer.send(
                    TALLY,
                    self._partition,
                    stated.SerializeToString(),
                    key=stated.bucket_ms.to_bytes(8, "big"),
                )
                for stated in tallies
            ]
            await acknowledged(futures)
        except BaseException:
            self.cases.tallies.give_back(tallies)
            raise

    def committable(self, topic: str, offset: int) -> int:
        """Up to where tallies and views are written."""
        return self._kept.committable(topic, offset)

    def wants(self, topic: str) -> bool:
        """Always: nothing waits in memory."""
        return True

    async def stop(self) -> None:
        """States what is left."""
        metrics.WAITING_CALLS.labels(self._partition).set(0)
        await self._kept.stop()


def _name(change: events_pb2.CaseChange.ValueType) -> str:
    return events_pb2.CaseChange.Name(change).removeprefix("CASE_CHANGE_").lower()
