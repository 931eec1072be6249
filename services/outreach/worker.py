"""The worker of outreach: reads case decisions, requests messages and keeps callbacks.

A callback is in its log before the message that promises it is in the other. The offset of the
input is committed when both logs and the view have what it asked for; what was written before a
crash is told apart by the logs themselves.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import redis.asyncio as redis
from google.protobuf.message import DecodeError
from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2 as dedup
from mawja.outreach.v1 import events_pb2 as outreach

from services.outreach import views
from services.outreach.decide import Callbacks, Messages, Position
from services.outreach.rules import Rule
from services.runtime import metrics, trace
from services.runtime.clock import Millis, now_ms
from services.runtime.errors import Poison
from services.runtime.knowledge import Knowledge
from services.runtime.own import NO_EPOCH, Entry, Record, epoch_of
from services.runtime.privacy import Keyring
from services.runtime.store import Item, PartitionView
from services.runtime.topics import CALLBACK, CASE, MESSAGE_REQUESTED, OUTREACH_DEAD, Topic
from services.runtime.work import Context, Plan

PLAN = Plan(
    group="outreach", inputs=(CASE,), logs=(MESSAGE_REQUESTED, CALLBACK), dead=OUTREACH_DEAD
)
_DUE = outreach.CALLBACK_STATE_DUE


@dataclass(frozen=True, slots=True)
class _Logged:
    """A callback as the log has it, and where."""

    offset: int
    callback: outreach.Callback


class OutreachWork:
    """The work of one partition."""

    def __init__(
        self,
        context: Context,
        rules: Sequence[Rule],
        knowledge: Knowledge,
        keyring: Keyring,
        client: "redis.Redis",
        clock: Millis = now_ms,
    ) -> None:
        self._context = context
        self._rules = rules
        self._keyring = keyring
        self._clock = clock
        self._messages = Messages(knowledge)
        self._callbacks = Callbacks()
        # Behind `_callbacks` while a batch is being appended: only what Kafka has is shown.
        self._logged: dict[str, _Logged] = {}
        self._due: set[str] = set()
        self._view = PartitionView(
            client,
            views.ROOM,
            context.partition,
            context.logs[CALLBACK.name].epoch,
            self._everything,
        )

    def fold(self, record: Record) -> None:
        """Takes up a record of one of the two logs."""
        value = record.value or b""
        try:
            if record.topic == MESSAGE_REQUESTED.name:
                self._messages.take(outreach.MessageRequested.FromString(value))
            else:
                callback = outreach.Callback.FromString(value)
                self._callbacks.take(callback)
                self._logged[callback.callback_id] = _Logged(record.offset, callback)
        except DecodeError:
            raise Poison(
                f"offset {record.offset} of {record.topic} partition {record.partition} is no "
                "decision of outreach; somebody else wrote into its log"
            ) from None

    def resume(self, topic: str) -> tuple[int, int]:
        """The lower of where the two logs go on; a log without records goes on from the start."""
        start: Position = (0, NO_EPOCH)
        return min(self._messages.resume(topic) or start, self._callbacks.resume(topic) or start)

    async def start(self) -> None:
        """Takes the view over, with what the last owner may have logged without showing it."""
        committed = self._context.committed.get(CASE.name, 0)
        await self._view.start()
        await self._view.put(
            [
                views.item(logged.callback, logged.offset)
                for logged in self._logged.values()
                if logged.callback.input.offset >= committed
            ]
        )
        self._due = {
            callback_id
            for callback_id, logged in self._logged.items()
            if logged.callback.state == _DUE
        }
        metrics.CALLBACKS_DUE.labels(self._context.partition).set(len(self._due))

    async def stop(self) -> None:
        """Writes to the view what waits, if Redis is there."""
        await self._view.flush()
        # Somebody else counts them now.
        metrics.CALLBACKS_DUE.remove(self._context.partition)

    def committable(self, topic: str, offset: int) -> int:
        """Nothing while the view waits for Redis: the next owner would not know what to show."""
        return offset if self._view.settled else 0

    def wants(self, topic: str) -> bool:
        """Always: what waits for Redis is one entry for each callback, at most."""
        return True

    async def keep(self) -> None:
        """Writes the view again when Redis lost it. Raises Stop for a past owner."""
        await self._view.keep()

    async def work(self, records: Sequence[Record]) -> None:
        """Decides `records`, and returns when both logs and the view have what they ask for, or the
        view waits for Redis."""
        called: list[tuple[outreach.Callback, str | None]] = []
        requested: list[tuple[outreach.MessageRequested, str | None]] = []
        for record in records:
            try:
                callbacks, messages, traceparent = self._decide(record)
            except Poison as error:
                await self._context.dead(record, str(error))
                continue
            for callback in callbacks:
                self._callbacks.take(callback)
                called.append((callback, traceparent))
            for message in messages:
                self._messages.take(message)
                requested.append((message, traceparent))
        first = await self._append(CALLBACK, called)
        await self._append(MESSAGE_REQUESTED, requested)
        for message, _ in requested:
            # Of answers all entries together: a file may have thousands.
            metrics.OUTREACH.labels(message.step.partition(":")[0]).inc()
        if not called:
            return
        await self._view.put(
            # A past owner's void record may stand between ours: then the offset is too low by it,
            # and still above that of everything logged before.
            [self._show(callback, first + i) for i, (callback, _) in enumerate(called)]
        )
        metrics.CALLBACKS_DUE.labels(self._context.partition).set(len(self._due))

    def _decide(
        self, record: Record
    ) -> tuple[list[outreach.Callback], list[outreach.MessageRequested], str | None]:
        """What a record asks for, and the trace to pass on. Raises Poison."""
        try:
            decision = dedup.CaseDecision.FromString(record.value or b"")
        except DecodeError:
            raise Poison("not a CaseDecision") from None
        if decision.HasField("case") and not decision.case.case_id:
            raise Poison("a CaseDecision whose case has no id")
        cause = common_pb2.Input(topic=record.topic, offset=record.offset, epoch=epoch_of(record))
        now = self._clock()
        try:
            callbacks = self._callbacks.decide(self._rules, decision, cause, now)
            drafts = self._messages.decide(self._rules, decision, cause, now)
        except ValueError:
            raise Poison("a CaseDecision with a time out of range") from None
        for draft in drafts:
            draft.request.sealed_text = self._keyring.seal("text", draft.text, now)
        traceparent = trace.of(record.headers)
        if traceparent is not None and (callbacks or drafts):
            with trace.span("outreach.decide", traceparent) as passed_on:
                traceparent = passed_on
        return callbacks, [draft.request for draft in drafts], traceparent

    async def _append(
        self,
        log: Topic,
        decided: Sequence[tuple[outreach.Callback | outreach.MessageRequested, str | None]],
    ) -> int:
        return await self._context.logs[log.name].append(
            [
                Entry(message.SerializeToString(), key=message.person, traceparent=traceparent)
                for message, traceparent in decided
            ]
        )

    def _show(self, callback: outreach.Callback, offset: int) -> Item:
        before = self._logged.get(callback.callback_id)
        self._logged[callback.callback_id] = _Logged(offset, callback)
        if callback.state == _DUE:
            self._due.add(callback.callback_id)
            step = "callback-due" if before is None else "callback-changed"
        else:
            self._due.discard(callback.callback_id)
            step = "callback-withdrawn"
        metrics.OUTREACH.labels(step).inc()
        return views.item(callback, offset, before.callback if before else None)

    def _everything(self) -> Iterable[Item]:
        # A copy: a rebuild waits for Redis between entries, and work may go on meanwhile.
        for logged in list(self._logged.values()):
            yield views.item(logged.callback, logged.offset)
