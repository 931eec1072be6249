"""Claims a batch of messages, has the log confirm it, and only then gives them to their carrier."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from mawja.broadcast.v1.events_pb2 import MessageChange, QueuedMessage

from services.broadcast import outcome, segments, wording
from services.broadcast.answers import Answers
from services.broadcast.books import Books
from services.broadcast.carriers.base import OutPart, SubmitOutcome
from services.broadcast.lanes import URGENT, Waiting
from services.broadcast.messages import RELEASED, Message, claim, next_change
from services.broadcast.sender import Out
from services.runtime import metrics
from services.runtime.clock import monotonic_s, now_ms
from services.runtime.errors import Poison
from services.runtime.privacy import Erased, Keyring

CLAIM_S = 5.0
"""A claim is not used when it is older, by the clock that never steps."""
DRAIN_S = 12.0
"""How long a partition that is given up waits for the carriers' answers: longer than they are
given, so that an orderly stop leaves nothing unknown."""
_PART_AGAIN_S = 0.2
_URGENT_AGAIN_S = 0.5
_MAX_VALIDITY_S = 31 * 86_400


@dataclass(frozen=True, slots=True)
class _Ready:
    """A claimed message, ready for its carrier."""

    waiting: Waiting
    message: Message
    parts: list[OutPart]


class Sending:
    """What one partition has under way. `fail` ends the process."""

    def __init__(
        self,
        keyring: Keyring,
        books: Books,
        answers: Answers,
        fail: Callable[[BaseException], None],
    ) -> None:
        self._keyring = keyring
        self._books = books
        self._answers = answers
        self._fail = fail
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False

    def send(self, out: Out, batch: list[Waiting]) -> None:
        """Claims and sends `batch`; returns at once."""
        task = asyncio.create_task(self._send(out, batch))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def end(self) -> None:
        """From now on no claim is used."""
        self._stopping = True

    async def drain(self) -> None:
        """Waits for the answers to what was sent."""
        if self._tasks and not self._books.status.failed:
            await asyncio.wait(self._tasks, timeout=DRAIN_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _send(self, out: Out, batch: list[Waiting]) -> None:
        under_way = sum(waiting.message.parts for waiting in batch)
        try:
            made_s = monotonic_s()
            ready = self._claim(out, batch)
            # `put` has been confirmed when this returns: nobody else owns the partition.
            await asyncio.shield(self._books.status.put((), hurry=True))
            if self._stopping or monotonic_s() - made_s > CLAIM_S:
                for one in ready:
                    self._release(one, "claim-too-old" if not self._stopping else "stopping")
                return
            tasks = []
            for one in ready:
                if self._may_be_used(one):
                    task = asyncio.create_task(self._submit(out, one, made_s))
                    parts = one.waiting.message.parts
                    under_way -= parts
                    # Not in the task itself: one that is cancelled before it began does nothing.
                    task.add_done_callback(partial(_leave, out, parts))
                    tasks.append(task)
            out.leave(under_way)
            under_way = 0
            await asyncio.gather(*tasks)
        except Exception as error:
            self._fail(error)
        finally:
            out.leave(under_way)

    def _claim(self, out: Out, batch: list[Waiting]) -> list[_Ready]:
        """Decides the claims of `batch`; what turns out to be unsendable comes to its end."""
        ready, books = [], self._books
        for waiting in batch:
            queued = waiting.message
            try:
                number = self._keyring.unseal("number", queued.sealed_number)
                text = self._keyring.unseal("text", queued.sealed_text)
                text = wording.shown(text, queued.drill, out.spec.dialect.alphabet)
                cut = segments.split(text, alphabet=out.spec.dialect.alphabet)
            except (Poison, segments.TextError) as error:
                reason = "erased" if isinstance(error, Erased) else "text-not-sendable"
                books.end([waiting], reason)
                continue
            not_after_ms = min(queued.expires_ms, now_ms() + int(CLAIM_S * 1000))
            change = claim(books.messages, queued, out.spec.name, cut.part_count, not_after_ms)
            books.status.put([change], hurry=True)
            message = books.messages.get(queued.message_id)
            assert message is not None, "a claimed message is known"
            ready.append(_Ready(waiting, message, _out_parts(out, queued, number, cut, change)))
        return ready

    def _may_be_used(self, one: _Ready) -> bool:
        """Looks once more at what may have changed while the claim was written."""
        reason = self._books.forbidden(one.waiting.message)
        if not reason:
            return True
        self._books.status.put([next_change(one.message, RELEASED, reason)])
        self._books.end([one.waiting], reason)
        return False

    def _release(self, one: _Ready, reason: str, too_fast: bool = False) -> None:
        self._books.status.put([next_change(one.message, RELEASED, reason)])
        again_s = outcome.wait_s(one.message.attempt, too_fast)
        if one.waiting.message.lane == URGENT:
            again_s = min(again_s, _URGENT_AGAIN_S)
        self._books.lanes.put_back(one.waiting, monotonic_s() + again_s)

    async def _submit(self, out: Out, one: _Ready, made_s: float) -> None:
        """Gives the parts to the carrier and decides what became of the message."""
        name, use_by_s = out.spec.name, made_s + CLAIM_S
        started_s = monotonic_s()
        outcomes = await out.carrier.submit_many(one.parts, write_by=use_by_s)
        metrics.CARRIER_SECONDS.labels(name).observe(monotonic_s() - started_s)
        _count(name, outcomes)
        # Once for a message: its parts that are offered again say nothing new of the pace.
        if outcome.throttled(outcomes):
            out.bucket.throttled(monotonic_s())
        while (again := outcome.once_more(outcomes)) and (monotonic_s() + _PART_AGAIN_S < use_by_s):
            out.owed += len(again)
            try:
                await asyncio.sleep(_PART_AGAIN_S)
            finally:
                # Offered again they stand before all that is claimed from now on; nobody waits for
                # their answers, which may take seconds.
                out.owed -= len(again)
            answers = await out.carrier.submit_many(
                [one.parts[index] for index in again], write_by=use_by_s
            )
            _count(name, answers)
            for index, answer in zip(again, answers, strict=True):
                outcomes[index] = answer
        result = outcome.verdict(outcomes)
        if result.state == RELEASED:
            self._release(one, result.reason, outcome.throttled(outcomes))
            return
        change = next_change(one.message, result.state, result.reason)
        change.carrier_ids.extend(result.carrier_ids)
        change.part_outcomes = result.part_outcomes
        self._answers.answered(change)


def _count(carrier: str, outcomes: Sequence[SubmitOutcome]) -> None:
    for one in outcomes:
        metrics.CARRIER_SUBMITS.labels(carrier, type(one).__name__.lower()).inc()


def _leave(out: Out, parts: int, _: "asyncio.Task[None]") -> None:
    out.leave(parts)


def _out_parts(
    out: Out,
    queued: QueuedMessage,
    number: str,
    cut: segments.Segmentation,
    change: MessageChange,
) -> list[OutPart]:
    spec = out.spec
    not_after = queued.expires_ms / 1000 if spec.validity == "absolute" else None
    validity_s = None
    if spec.validity == "relative":
        left_s = (queued.expires_ms - now_ms()) // 1000
        validity_s = max(1, min(_MAX_VALIDITY_S, left_s))
    return [
        OutPart(
            destination=number,
            sender=spec.sender,
            payload=payload,
            data_coding=cut.data_coding,
            udhi=cut.udhi,
            reference=change.reference + index,
            drill=queued.drill,
            not_after=not_after,
            validity_s=validity_s,
        )
        for index, payload in enumerate(segments.with_udh(cut.parts, change.reference & 0xFF))
    ]
