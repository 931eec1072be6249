"""Claims a batch of messages, has the log confirm it, and only then gives them to their carrier."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import NamedTuple

from mawja.broadcast.v1.events_pb2 import MessageChange, QueuedMessage
from prometheus_client import Counter, Histogram

from services.broadcast import outcome, segments
from services.broadcast.answers import Answers
from services.broadcast.books import Books
from services.broadcast.carriers.base import Offered, OutMessage, OutPart, SubmitOutcome
from services.broadcast.carriers.whole import Messenger
from services.broadcast.changes import claim, next_change
from services.broadcast.cutting import cut
from services.broadcast.lanes import URGENT, Waiting
from services.broadcast.messages import FAILED, RELEASED, Message
from services.broadcast.rerouting import Rerouting
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


class _Ready(NamedTuple):
    """A claimed message, ready for its carrier."""

    waiting: Waiting
    message: Message
    offer: list[OutPart] | OutMessage


class _Asked:
    """A message that its carrier has been given; hears what became of it."""

    __slots__ = ("_sending", "began_s", "offered", "one", "out", "use_by_s")

    def __init__(self, sending: "Sending", out: Out, one: _Ready, use_by_s: float) -> None:
        self._sending = sending
        self.out = out
        self.one = one
        self.use_by_s = use_by_s
        self.began_s = monotonic_s()
        self.offered: Offered | None = None

    def answered(self, outcomes: list[SubmitOutcome]) -> None:
        self._sending.answered(self, outcomes)


class Sending:
    """What one partition has under way. `held_back`: whether a message must wait for its campaign.
    `fail` ends the process."""

    def __init__(
        self,
        keyring: Keyring,
        books: Books,
        answers: Answers,
        rerouting: Rerouting,
        held_back: Callable[[QueuedMessage], bool],
        fail: Callable[[BaseException], None],
    ) -> None:
        self._keyring = keyring
        self._books = books
        self._answers = answers
        self._rerouting = rerouting
        self._held_back = held_back
        self._fail = fail
        # Batches that are being claimed, and messages that wait for more than one answer. The
        # others have no task of their own: there are too many.
        self._tasks: set[asyncio.Task[None]] = set()
        self._asked: set[_Asked] = set()
        self._quiet = asyncio.Event()
        self._stopping = False

    def send(self, out: Out, batch: list[Waiting]) -> None:
        """Claims and sends `batch`; returns at once."""
        self._begin(self._send(out, batch))

    def end(self) -> None:
        """From now on no claim is used."""
        self._stopping = True

    async def drain(self) -> None:
        """Waits for the answers to what was sent."""
        if not self._books.status.failed:
            with suppress(TimeoutError):
                async with asyncio.timeout(DRAIN_S):
                    await self._answers_to_all()
        for asked in list(self._asked):
            if asked.offered is not None:
                asked.offered.cancel()
            self._leave(asked)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _answers_to_all(self) -> None:
        while self._tasks or self._asked:
            if self._tasks:
                await asyncio.wait(self._tasks)
            else:
                self._quiet.clear()
                await self._quiet.wait()

    def _begin(self, doing: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(doing)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

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
            for one in ready:
                if self._may_be_used(one):
                    under_way -= one.waiting.message.parts
                    self._ask(_Asked(self, out, one, made_s + CLAIM_S))
        except Exception as error:
            self._fail(error)
        finally:
            out.leave(under_way)

    def _ask(self, asked: _Asked) -> None:
        """Gives a message to its carrier; its parts leave when that has answered."""
        self._asked.add(asked)
        carrier, offer = asked.out.carrier, asked.one.offer
        if isinstance(carrier, Messenger):
            assert isinstance(offer, OutMessage), "it was made for this carrier"
            self._begin(self._ask_whole(asked, carrier, offer))
        else:
            assert isinstance(offer, list), "it was made for this carrier"
            asked.offered = carrier.submit_then(offer, asked.answered, write_by=asked.use_by_s)

    async def _ask_whole(self, asked: _Asked, carrier: Messenger, offer: OutMessage) -> None:
        try:
            outcome_ = await carrier.submit(offer, write_by=asked.use_by_s)
        except Exception as error:
            self._fail(error)
            self._leave(asked)
        else:
            # Of a whole message all parts have one outcome.
            self.answered(asked, [outcome_] * offer.parts)

    def _leave(self, asked: _Asked) -> None:
        """Nothing of a message is under way any more."""
        if asked in self._asked:
            self._asked.discard(asked)
            asked.out.leave(asked.one.waiting.message.parts)
            if not self._asked:
                self._quiet.set()

    def _claim(self, out: Out, batch: list[Waiting]) -> list[_Ready]:
        """Decides the claims of `batch`; what turns out to be unsendable comes to its end."""
        ready, books, wire = [], self._books, out.spec.wire
        for waiting in batch:
            queued = waiting.message
            try:
                number = self._keyring.unseal("number", queued.sealed_number)
                found = cut(self._keyring, waiting, wire)
            except (Poison, segments.TextError) as error:
                reason = "erased" if isinstance(error, Erased) else "text-not-sendable"
                books.end([waiting], reason)
                continue
            not_after_ms = min(queued.expires_ms, now_ms() + int(CLAIM_S * 1000))
            count = found.parts.part_count
            change = claim(books.messages, queued, out.spec.name, count, not_after_ms)
            books.status.put([change], hurry=True)
            message = books.messages.get(queued.message_id)
            assert message is not None, "a claimed message is known"
            if isinstance(out.carrier, Messenger):
                whole = _out_message(out, queued, number, found.shown, change)
                ready.append(_Ready(waiting, message, whole))
            else:
                parts = _out_parts(out, queued, number, found.parts, change)
                ready.append(_Ready(waiting, message, parts))
        return ready

    def _may_be_used(self, one: _Ready) -> bool:
        """Looks once more at what may have changed while the claim was written."""
        if self._held_back(one.waiting.message):
            # It waits in its campaign's audience again.
            self._books.status.put([next_change(one.message, RELEASED, "campaign-held")])
            return False
        reason = self._books.forbidden(one.waiting.message)
        if not reason:
            return True
        self._books.status.put([next_change(one.message, RELEASED, reason)])
        self._books.end([one.waiting], reason)
        return False

    def _release(self, one: _Ready, reason: str, again_s: float | None = None) -> None:
        """Gives a claim back; the message waits `again_s` seconds for its next attempt."""
        self._books.status.put([next_change(one.message, RELEASED, reason)])
        if again_s is None:
            again_s = outcome.wait_s(one.message.attempt)
        if one.waiting.message.lane == URGENT:
            again_s = min(again_s, _URGENT_AGAIN_S)
        self._books.lanes.put_back(one.waiting, monotonic_s() + again_s)

    def _elsewhere(self, one: _Ready, result: outcome.Verdict) -> bool:
        """Whether the message, of which its carrier has nothing, is another's from now on."""
        waiting = one.waiting
        if not result.elsewhere or self._stopping:
            return False
        if waiting.message.lane != URGENT and one.message.attempt < result.elsewhere:
            return False
        return self._rerouting.after_refusal(waiting, for_good=result.state == FAILED)

    def answered(self, asked: _Asked, outcomes: list[SubmitOutcome]) -> None:
        """The carrier has answered to all parts of a message: decides what became of it."""
        try:
            out, now_s = asked.out, monotonic_s()
            took_s = now_s - asked.began_s
            _seconds(out.spec.name).observe(took_s)
            _count(out.spec.name, outcomes)
            well = outcome.well(outcomes, took_s, out.slow_s)
            if well is not None:
                out.health.note(well, now_s)
            if not outcome.accepted(outcomes):
                # Once for a message: its parts that are offered again say nothing new of the pace.
                if outcome.throttled(outcomes, ill=out.ill(now_s)):
                    out.bucket.throttled(now_s)
                if outcome.once_more(outcomes) and now_s + _PART_AGAIN_S < asked.use_by_s:
                    self._begin(self._once_more(asked, outcomes))
                    return
            self._conclude(asked.one, outcomes)
        except Exception as error:
            self._fail(error)
        self._leave(asked)

    async def _once_more(self, asked: _Asked, outcomes: list[SubmitOutcome]) -> None:
        """Offers parts again that the carrier refused while it has others of their message."""
        out, offer = asked.out, asked.one.offer
        assert isinstance(offer, list), "of a whole message all parts have one outcome"
        assert not isinstance(out.carrier, Messenger), "it takes parts"
        try:
            while (again := outcome.once_more(outcomes)) and (
                monotonic_s() + _PART_AGAIN_S < asked.use_by_s
            ):
                out.owed += len(again)
                try:
                    await asyncio.sleep(_PART_AGAIN_S)
                finally:
                    # Offered again they stand before all that is claimed from now on; nobody waits
                    # for their answers, which may take seconds.
                    out.owed -= len(again)
                answers = await out.carrier.submit_many(
                    [offer[at] for at in again], write_by=asked.use_by_s
                )
                _count(out.spec.name, answers)
                for index, answer in zip(again, answers, strict=True):
                    outcomes[index] = answer
            self._conclude(asked.one, outcomes)
        except Exception as error:
            self._fail(error)
        finally:
            self._leave(asked)

    def _conclude(self, one: _Ready, outcomes: list[SubmitOutcome]) -> None:
        result = outcome.verdict(outcomes)
        if self._elsewhere(one, result):
            # The other carrier has refused nothing yet: it is asked at once the first time.
            attempts = one.message.attempt - 1
            self._release(one, result.reason, outcome.wait_s(attempts) if attempts else 0.0)
        elif result.state == RELEASED:
            too_fast = outcome.too_fast(outcomes)
            self._release(one, result.reason, outcome.wait_s(one.message.attempt, too_fast))
        else:
            change = next_change(one.message, result.state, result.reason)
            change.carrier_ids.extend(result.carrier_ids)
            change.part_outcomes = result.part_outcomes
            self._answers.answered(change)


def _count(carrier: str, outcomes: Sequence[SubmitOutcome]) -> None:
    for one in outcomes:
        _submits(carrier, type(one).__name__).inc()


# Label look-ups are dear on this path.
@lru_cache(maxsize=1024)
def _submits(carrier: str, outcome_: str) -> Counter:
    return metrics.CARRIER_SUBMITS.labels(carrier, outcome_.lower())


@lru_cache(maxsize=256)
def _seconds(carrier: str) -> Histogram:
    return metrics.CARRIER_SECONDS.labels(carrier)


def _out_parts(
    out: Out,
    queued: QueuedMessage,
    number: str,
    parts: segments.Segmentation,
    change: MessageChange,
) -> list[OutPart]:
    not_after, validity_s = _until(out, queued)
    return [
        OutPart(
            destination=number,
            sender=out.spec.sender,
            payload=payload,
            data_coding=parts.data_coding,
            udhi=parts.udhi,
            reference=change.reference + index,
            drill=queued.drill,
            not_after=not_after,
            validity_s=validity_s,
        )
        for index, payload in enumerate(parts.payloads(change.reference & 0xFF))
    ]


def _out_message(
    out: Out, queued: QueuedMessage, number: str, text: str, change: MessageChange
) -> OutMessage:
    not_after, validity_s = _until(out, queued)
    return OutMessage(
        key=f"{change.message_id}-{change.attempt}",
        destination=number,
        sender=out.spec.sender,
        text=text,
        language=queued.language,
        parts=change.parts,
        reference=change.reference,
        drill=queued.drill,
        not_after=not_after,
        validity_s=validity_s,
    )


def _until(out: Out, queued: QueuedMessage) -> tuple[float | None, int | None]:
    """The message's end as the carrier is told it: Unix seconds, or seconds from now."""
    match out.spec.validity:
        case "absolute":
            return queued.expires_ms / 1000, None
        case "relative":
            left_s = (queued.expires_ms - now_ms()) // 1000
            return None, max(1, min(_MAX_VALIDITY_S, left_s))
        case _:
            return None, None
