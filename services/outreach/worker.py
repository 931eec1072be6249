"""The worker of outreach: reads case decisions and what agents ask, requests messages and keeps
callbacks.

A callback is in its log before the message that tells of it is in the other. The offset of the
input is committed when both logs and the view have what it asked for; what was written before a
crash is told apart by the logs themselves. An agent is answered when log and view have it.
"""

import asyncio
import heapq
from collections.abc import Iterable, Sequence

import redis.asyncio as redis
from google.protobuf.message import DecodeError
from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2 as dedup
from mawja.outreach.v1 import commands_pb2
from mawja.outreach.v1 import events_pb2 as outreach

from services.outreach import explaining, requests, telling, views, working
from services.outreach.callbacks import Callbacks
from services.outreach.calling import Calling
from services.outreach.decide import Draft, Messages, Position
from services.outreach.decided import Decided, Traced, TracedMessage, TracedWatch
from services.outreach.easing import ALWAYS, Easing
from services.outreach.ending import Ending
from services.outreach.minding import Minding
from services.outreach.putting_off import of_asks
from services.outreach.rules import Rule
from services.outreach.showing import Showing
from services.outreach.working import Refused
from services.runtime import metrics, trace
from services.runtime.clock import Millis, now_ms
from services.runtime.errors import Poison
from services.runtime.knowledge import Knowledge
from services.runtime.letters import source_of
from services.runtime.own import NO_EPOCH, Entry, Record, epoch_of
from services.runtime.privacy import Keyring
from services.runtime.produce import Producer, acknowledged
from services.runtime.replies import Replies
from services.runtime.store import Item, PartitionView
from services.runtime.topics import (
    CALLBACK,
    CASE,
    CASE_REQUEST,
    MESSAGE_REQUESTED,
    OUTREACH_COMMAND,
    OUTREACH_DEAD,
    WATCH,
    Topic,
)
from services.runtime.work import Context, Plan

PLAN = Plan(
    group="outreach",
    inputs=(CASE, OUTREACH_COMMAND),
    logs=(MESSAGE_REQUESTED, CALLBACK, WATCH),
    dead=OUTREACH_DEAD,
)


class OutreachWork:
    """The work of one partition."""

    def __init__(
        self,
        context: Context,
        rules: Sequence[Rule],
        calling: Calling,
        knowledge: Knowledge,
        keyring: Keyring,
        client: "redis.Redis",
        replies: Replies,
        producer: Producer,
        clock: Millis = now_ms,
        easing: Easing = ALWAYS,
    ) -> None:
        self._context = context
        self._rules = rules
        self._calling = calling
        self._keyring = keyring
        self._replies = replies
        self._producer = producer
        self._clock = clock
        # What the last owner may not have asked of cases.
        self._unasked: list[dedup.CaseCommand] = []
        self._messages = Messages(knowledge, rules)
        self._callbacks = Callbacks()
        self._ending = Ending(self._callbacks, keyring.erased)
        self._showing = Showing(context.partition)
        self._minding = Minding(context.partition, rules, self._messages, easing)
        # (when, id) of callbacks that time may change; what has changed since is found then.
        self._waking: list[tuple[int, str]] = []
        # Held while decisions are under way: records and time decide one after the other.
        self._busy = asyncio.Lock()
        self._working = False
        self._view = PartitionView(
            client,
            views.ROOM,
            context.partition,
            context.logs[CALLBACK.name].epoch,
            self._everything,
        )

    def fold(self, record: Record) -> None:
        """Takes up a record of one of the logs."""
        value = record.value or b""
        try:
            if record.topic == MESSAGE_REQUESTED.name:
                request = outreach.MessageRequested.FromString(value)
                self._messages.take(request)
                self._again(request, requests.of_message(request))
            elif record.topic == WATCH.name:
                self._minding.fold(record, outreach.Watch.FromString(value))
            else:
                callback = outreach.Callback.FromString(value)
                self._callbacks.take(callback)
                self._showing.fold(callback, record.offset)
                self._again(callback, requests.of_callback(callback))
        except DecodeError:
            raise Poison(
                f"offset {record.offset} of {record.topic} partition {record.partition} is no "
                "decision of outreach; somebody else wrote into its log"
            ) from None

    def _again(
        self,
        record: outreach.MessageRequested | outreach.Callback,
        asked: dedup.CaseCommand | None,
    ) -> None:
        if asked is not None and self._fresh(record):
            self._unasked.append(asked)

    def _fresh(self, record: outreach.MessageRequested | outreach.Callback) -> bool:
        """Whether the last owner may have logged it without effecting what follows from it."""
        if not record.HasField("input"):
            return True
        return record.input.offset >= self._context.committed.get(record.input.topic, 0)

    def resume(self, topic: str) -> tuple[int, int]:
        """The lowest of where the logs go on; a log without records goes on from the start. Of what
        people ask messages say nothing: they follow from the state of the others."""
        start: Position = (0, NO_EPOCH)
        watches = self._minding.watches.resume(topic) or start
        callbacks = self._callbacks.resume(topic) or start
        if topic == OUTREACH_COMMAND.name:
            return min(watches, callbacks)
        return min(watches, callbacks, self._messages.resume(topic) or start)

    async def start(self) -> None:
        """Takes the view over, with what the last owner may have logged without showing or telling
        it."""
        await self._view.start()
        await self._view.put(self._showing.start(self._fresh))
        self._minding.start()
        await self._view.put(list(self._minding.everything()))
        for callback in self._callbacks.all():
            self._wake(callback)
        async with self._busy:
            untold = Decided()
            for callback in self._callbacks.all():
                self._tell(callback, None, untold)
            for watch in self._minding.watches.all():
                self._request(self._minding.owed(watch, self._clock()), None, untold)
            await self._effect(untold)
            await self._ask(self._unasked)
            self._unasked = []
        self._working = True

    async def stop(self) -> None:
        """Writes to the view what waits, if Redis is there."""
        async with self._busy:
            self._working = False
            await self._view.flush()
        self._showing.stop()
        self._minding.stop()

    def committable(self, topic: str, offset: int) -> int:
        """Nothing while the view waits for Redis: the next owner would not know what to show."""
        return offset if self._view.settled else 0

    def wants(self, topic: str) -> bool:
        """Always: what waits for Redis is one entry for each callback, at most."""
        return True

    async def keep(self) -> None:
        """Decides what time asks for, and writes the view again when Redis lost it. To be called
        every second or so. Raises Stop for a past owner."""
        async with self._busy:
            if not self._working:
                return
            await self._effect(self._passed())
            await self._view.keep()

    async def work(self, records: Sequence[Record]) -> None:
        """Decides `records`, and returns when both logs and the view have what they ask for, or the
        view waits for Redis."""
        async with self._busy:
            decided = Decided()
            for record in records:
                try:
                    if source_of(record) == OUTREACH_COMMAND.name:
                        self._obey(record, decided)
                    else:
                        self._decide(record, decided)
                except Poison as error:
                    await self._context.dead(record, str(error))
            await self._effect(decided)

    async def _effect(self, decided: Decided) -> None:
        """Appends, shows and answers."""
        called, requested, watched = decided.called, decided.requested, decided.watched
        watched_first = await self._append(WATCH, watched)
        first = await self._append(CALLBACK, called)
        await self._append(MESSAGE_REQUESTED, requested)
        await self._ask(
            [
                asked
                for asked in (
                    *(requests.of_callback(callback) for callback, _ in called),
                    *(requests.of_message(message) for message, _ in requested),
                )
                if asked is not None
            ]
        )
        for message, _ in requested:
            # Of answers all entries together: a file may have thousands.
            metrics.OUTREACH.labels(message.step.partition(":")[0]).inc()
        items = self._showing.items([callback for callback, _ in called], first)
        items += self._minding.items([watch for watch, _ in watched], watched_first)
        if items:
            await self._view.put(items)
        for channel, command_id, reply in decided.answers:
            await self._replies.tell(channel, command_id, reply.SerializeToString())

    async def _ask(self, commands: Sequence[dedup.CaseCommand]) -> None:
        """Asks dedup for what follows for cases. Not before the logs say why, and before their
        inputs are committed."""
        futures = [
            await self._producer.send(
                CASE_REQUEST, self._context.partition, command.SerializeToString()
            )
            for command in commands
        ]
        await acknowledged(futures)

    def _passed(self) -> Decided:
        """What time asks for now."""
        decided, now = Decided(), self._clock()
        for ended in self._ending.ended(now):
            self._take(ended, None, decided)
        while self._waking and self._waking[0][0] <= now:
            _, callback_id = heapq.heappop(self._waking)
            callback = self._callbacks.passed(callback_id, self._calling, now)
            if callback is not None:
                self._take(callback, None, decided)
        for watch in self._minding.passed(now):
            self._mind(watch, None, decided)
        return decided

    def _take(self, callback: outreach.Callback, traceparent: str | None, decided: Decided) -> None:
        """A callback was decided on: it is remembered, shown, told and woken."""
        self._callbacks.take(callback)
        self._ending.take(callback)
        decided.called.append((callback, traceparent))
        self._wake(callback)
        self._tell(callback, traceparent, decided)

    def _wake(self, callback: outreach.Callback) -> None:
        if wakes := working.wakes_ms(callback, self._calling):
            heapq.heappush(self._waking, (wakes, callback.callback_id))

    def _tell(self, callback: outreach.Callback, traceparent: str | None, decided: Decided) -> None:
        """Requests what the state of a callback has the person told, unless it was requested."""
        owed = telling.owed(callback, self._rules, self._calling, self._clock())
        unsaid = (draft for draft in owed if not self._messages.said(draft.request.message_id))
        self._request(unsaid, traceparent, decided)

    def _mind(self, watch: outreach.Watch, traceparent: str | None, decided: Decided) -> None:
        """A watch was decided on: it is remembered, shown, told and woken."""
        self._minding.take(watch)
        decided.watched.append((watch, traceparent))
        self._request(self._minding.owed(watch, self._clock()), traceparent, decided)

    def _request(self, drafts: Iterable[Draft], traceparent: str | None, decided: Decided) -> None:
        now = self._clock()
        for draft in drafts:
            draft.request.sealed_text = self._keyring.seal(
                "text", draft.text, now, draft.request.person
            )
            self._messages.take(draft.request)
            decided.requested.append((draft.request, traceparent))

    def _obey(self, record: Record, decided: Decided) -> None:
        """Decides a command. Raises Poison."""
        try:
            command = commands_pb2.OutreachCommand.FromString(record.value or b"")
        except DecodeError:
            raise Poison("not an OutreachCommand") from None
        envelope = command.envelope
        if not (envelope.command_id and envelope.subject and command.WhichOneof("action")):
            raise Poison("a command without id, asker or action")
        cause = common_pb2.Input(topic=record.topic, offset=record.offset)
        reply = commands_pb2.CallbackReply()
        try:
            if command.WhichOneof("action") == "explain":
                self._explain(command, reply)
            elif command.WhichOneof("action") == "confirm":
                watch = self._minding.watches.obey(command, cause, self._clock())
                if watch is not None:
                    self._mind(watch, trace.of(record.headers), decided)
                self._minding.obey(command, reply)
            else:
                self._obey_callback(command, cause, trace.of(record.headers), reply, decided)
        except Refused as refused:
            reply.code, reply.message = refused.code, str(refused)
        except (ValueError, OverflowError, OSError):
            raise Poison("a command with a time out of range") from None
        if envelope.reply_to:
            decided.answers.append((envelope.reply_to, envelope.command_id, reply))

    def _explain(
        self, command: commands_pb2.OutreachCommand, reply: commands_pb2.CallbackReply
    ) -> None:
        """Says why the person of a case did or did not hear from us. Decides nothing."""
        case, watches = command.explain.case, self._minding.watches
        callback, watch = self._callbacks.of_case(case.case_id), watches.get(case.case_id)
        reply.explanations.extend(
            explaining.explained(self._rules, case, self._messages, callback, watch, self._clock())
        )

    def _obey_callback(
        self,
        command: commands_pb2.OutreachCommand,
        cause: common_pb2.Input,
        traceparent: str | None,
        reply: commands_pb2.CallbackReply,
        decided: Decided,
    ) -> None:
        following = self._callbacks.obey(command, self._calling, cause, self._clock())
        if following is not None:
            self._take(following, traceparent, decided)
        callback = self._callbacks.get(command.callback_id)
        assert callback is not None
        reply.callback.CopyFrom(callback)
        if callback.state != working.CLAIMED or callback.claimed_by != command.envelope.subject:
            reply.callback.ClearField("sealed_number")
        reply.callback.ClearField("sealed_note")

    def _decide(self, record: Record, decided: Decided) -> None:
        """Decides what a case decision asks for. Raises Poison."""
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
            answered = self._messages.answers(self._rules, decision, now)
            # Stated before anything is said: a new owner must know what is said later.
            asked, watches = self._minding.asked(decision, cause, now), self._minding.watches
            watch = watches.decide(decision, cause, now, answered=answered, asked=asked)
            put_off = of_asks(watch or watches.get(decision.case.case_id))
            drafts = self._messages.decide(self._rules, decision, cause, now, put_off)
        except ValueError:
            raise Poison("a CaseDecision with a time out of range") from None
        traceparent = trace.of(record.headers)
        if traceparent is not None and (callbacks or drafts or watch):
            with trace.span("outreach.decide", traceparent) as passed_on:
                traceparent = passed_on
        for callback in callbacks:
            self._take(callback, traceparent, decided)
        self._request(drafts, traceparent, decided)
        if watch is not None:
            self._mind(watch, traceparent, decided)

    async def _append(
        self,
        log: Topic,
        decided: Sequence[Traced] | Sequence[TracedMessage] | Sequence[TracedWatch],
    ) -> int:
        return await self._context.logs[log.name].append(
            [
                Entry(message.SerializeToString(), key=message.person, traceparent=traceparent)
                for message, traceparent in decided
            ]
        )

    def _everything(self) -> Iterable[Item]:
        yield from self._showing.everything()
        yield from self._minding.everything()
