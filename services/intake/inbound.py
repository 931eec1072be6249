"""SMS from people become contacts: the worker that reads broadcast.inbound-message.v1.

The inbound id is the idempotency key, so a message that is read twice is one contact. What was a
request to stop has been taken as that and is not a contact.

A message in parts is gathered (`joining`) until all are there or its time is over. Until then the
group commits nothing from its first part on, so whoever takes over reads all of them again; what
was gathered before that is told from the records before the committed one.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence

from google.protobuf.message import DecodeError
from mawja.broadcast.v1 import events_pb2 as broadcast_pb2

from services.intake.joining import SAME_MS, Gathering, Joiner, Message, Part
from services.intake.telling import Heard, Teller
from services.runtime import metrics
from services.runtime.clock import monotonic_s, now_ms
from services.runtime.errors import Invalid, Poison
from services.runtime.own import NO_EPOCH, LogReader, Record
from services.runtime.privacy import Keyring
from services.runtime.smpp_text import Coded, Shift
from services.runtime.topics import INBOUND_MESSAGE, INTAKE_DEAD
from services.runtime.work import Context, Plan

PLAN = Plan(group="intake", inputs=(INBOUND_MESSAGE,), logs=(), dead=INTAKE_DEAD, max_records=500)
_LOOK_S = 1.0


class Inbound:
    """The work of one partition of inbound messages. What it keeps can be read again."""

    def __init__(
        self,
        context: Context,
        teller: Teller,
        keyring: Keyring,
        reader: LogReader,
        fail: Callable[[BaseException], None],
    ) -> None:
        self._context = context
        self._teller = teller
        self._keyring = keyring
        self._reader = reader
        self._fail = fail
        # By topic: a replay of a dead letter is no part that the carrier brought once more.
        self._joiners = {topic.name: Joiner[Heard]() for topic in PLAN.reads}
        self._unfinished: dict[Gathering[Heard], str] = {}
        self._closing: asyncio.Task[None] | None = None

    def fold(self, record: Record) -> None:
        """There is no log of its own."""

    def resume(self, topic: str) -> tuple[int, int]:
        """Reading goes on at the committed offset."""
        return (0, NO_EPOCH)

    async def start(self) -> None:
        """Reads what the owners before have done with the parts of the last minutes."""
        number, name = self._context.partition, INBOUND_MESSAGE.name
        committed = self._context.committed.get(name, 0)
        if committed:
            since_ms = await self._next_ms(committed) - SAME_MS
            since = await self._reader.offsets_at(INBOUND_MESSAGE, [number], since_ms)
            await self._reader.read(
                INBOUND_MESSAGE, number, since[number], committed, self._take_done
            )
            self._joiners[name].settle()
        self._closing = asyncio.create_task(self._close())

    async def _next_ms(self, offset: int) -> int:
        """When the record at `offset` was written, Unix ms; now when there is none yet."""
        number = self._context.partition
        ends = await self._reader.end(INBOUND_MESSAGE, [number])
        if offset >= ends[number]:
            return now_ms()
        record = await self._reader.one(INBOUND_MESSAGE, number, offset)
        return now_ms() if record is None else record.timestamp

    async def stop(self) -> None:
        """Decides nothing more: the next owner reads again what is not whole."""
        if self._closing is not None:
            self._closing.cancel()
            await asyncio.gather(self._closing, return_exceptions=True)

    def committable(self, topic: str, offset: int) -> int:
        """Up to the first part of a message that is gathered still."""
        held = (one.first.offset for one, of in self._unfinished.items() if of == topic)
        return min([offset, *held])

    def wants(self, topic: str) -> bool:
        """Always."""
        return True

    async def work(self, records: Sequence[Record]) -> None:
        """Submits the messages of `records` that are whole; returns when Kafka has every one."""
        tasks: list[Coroutine[object, object, None]] = []
        for record in records:
            try:
                heard = Heard(record, _message(record))
                if heard.message.HasField("part"):
                    whole = self._gather(record.topic, self._part(heard))
                    if whole is not None:
                        tasks.append(self._tell(whole))
                elif not heard.message.opt_out:
                    tasks.append(self._tell_whole(heard))
            except Poison as error:
                tasks.append(self._set_aside([record], error))
        await asyncio.gather(*tasks)

    def _gather(self, topic: str, part: Part[Heard]) -> Gathering[Heard] | None:
        """The gathering that has all of its parts now."""
        gathering = self._joiners[topic].take(part, monotonic_s())
        if gathering is None:
            metrics.JOINED.labels("repeated").inc()
            return None
        self._unfinished.setdefault(gathering, topic)
        return None if gathering.open else gathering

    def _part(self, heard: Heard) -> Part[Heard]:
        message, part = heard.message, heard.message.part
        # A character for each octet (Latin-1), as it was sealed.
        try:
            octets = self._keyring.unseal("octets", part.sealed_octets).encode("latin-1")
        except UnicodeEncodeError:
            raise Poison("octets: not what is sealed there") from None
        coded = Coded(octets, part.coding, Shift(part.locking, part.single))
        if not (coded.known and 1 <= part.sequence <= part.total <= 255):
            raise Poison("a part of a message without a place in it, or in an unknown coding")
        return Part(
            Message(message.carrier, message.person, message.line, part.reference, part.total),
            part.sequence,
            message.inbound_id,
            coded,
            message.received_ms,
            heard.record.offset,
            heard,
        )

    def _take_done(self, record: Record) -> None:
        try:
            heard = Heard(record, _message(record))
            if heard.message.HasField("part"):
                self._joiners[record.topic].take(self._part(heard), monotonic_s())
        except Poison:
            # It was set aside then.
            return

    async def _close(self) -> None:
        try:
            while True:
                await asyncio.sleep(_LOOK_S)
                await self.close_due()
        except Exception as error:
            self._fail(error)

    async def close_due(self) -> None:
        """Submits what waited long enough for its rest. Raises Stop."""
        now = monotonic_s()
        due = [one for joiner in self._joiners.values() for one in joiner.due(now)]
        await asyncio.gather(*map(self._tell, due))
        for joiner in self._joiners.values():
            joiner.forget(now)

    async def _tell(self, gathering: Gathering[Heard]) -> None:
        try:
            await self._teller.gathered(gathering)
        except (Invalid, Poison) as error:
            await self._set_aside([part.record.record for part in gathering.parts], error)
        else:
            metrics.JOINED.labels(_outcome(gathering)).inc()
        del self._unfinished[gathering]

    async def _tell_whole(self, heard: Heard) -> None:
        try:
            await self._teller.whole(heard)
        except (Invalid, Poison) as error:
            await self._set_aside([heard.record], error)

    async def _set_aside(self, records: Sequence[Record], error: Exception) -> None:
        for record in records:
            await self._context.dead(record, str(error))


def _message(record: Record) -> broadcast_pb2.InboundMessage:
    try:
        return broadcast_pb2.InboundMessage.FromString(record.value or b"")
    except DecodeError:
        raise Poison("not an InboundMessage") from None


def _outcome(gathering: Gathering[Heard]) -> str:
    if gathering.earlier:
        return "late"
    return "whole" if len(gathering.parts) == gathering.message.total else "incomplete"
