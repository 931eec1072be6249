"""What carriers bring: receipts and messages from people, into Kafka before they are acknowledged.

The carrier forgets a delivery once it is acknowledged, so the callbacks return only when Kafka has
every record of the batch; a failure makes the carrier deliver the batch again. What comes twice is
harmless: a receipt changes nothing the second time, and an inbound message has the same id.

A message in several parts is kept part by part, with its octets: nothing waits here for the rest,
since the carrier may bring it only after it was told that we have this one. Intake joins them.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Literal

from mawja.broadcast.v1 import events_pb2

from services.broadcast.carriers.base import InboundMessage, LateAnswer, Receipt, ReceiptState
from services.broadcast.optout import is_stop
from services.broadcast.receipts import records_of
from services.broadcast.split_stops import SplitStops
from services.runtime import ids, metrics
from services.runtime.clock import now_ms
from services.runtime.privacy import Keyring
from services.runtime.produce import Producer, acknowledged
from services.runtime.smpp_text import Concat
from services.runtime.topics import INBOUND_MESSAGE, OPT_OUT, RECEIPT, Topic, partition_of

SAME_WITHIN_MS = 10 * 60 * 1000
"""A carrier that gives inbound messages no id: an equal text within this time is a redelivery."""

_STATES = {
    state: events_pb2.ReceiptState.Value(f"RECEIPT_STATE_{state.name}") for state in ReceiptState
}

OnLateAnswer = Callable[[str, bytes, LateAnswer], None]
"""Told the carrier's name, the person, and the answer that came after its time."""


class Arrivals:
    """The callbacks of one carrier."""

    def __init__(
        self,
        name: str,
        declared: Literal["test", "live"],
        keyring: Keyring,
        producer: Producer,
        partitions: int,
        on_late: OnLateAnswer,
    ) -> None:
        self._name = name
        self._declared = declared
        self._keyring = keyring
        self._producer = producer
        self._partitions = partitions
        self._on_late = on_late
        self._split = SplitStops()

    async def receipts(self, batch: list[Receipt]) -> None:
        """Keeps receipts. Raises Away when Kafka may not have them all."""
        now = now_ms()
        of_partitions: dict[int, list[events_pb2.Receipt]] = {}
        for receipt in batch:
            person = self._keyring.person(receipt.recipient)
            made = events_pb2.Receipt(
                carrier=self._name,
                carrier_id=receipt.carrier_id,
                state=_STATES[receipt.state],
                error=receipt.error,
                reference=receipt.reference or 0,
                person=person,
                done_ms=int((receipt.done_at or 0) * 1000),
                received_ms=now,
                whole=receipt.whole,
            )
            of_partitions.setdefault(partition_of(person, self._partitions), []).append(made)
        await acknowledged(
            [
                await self._producer.send(
                    # Of one its person is the key, as of everything that is about a person.
                    RECEIPT,
                    partition,
                    record.SerializeToString(),
                    key=record.person or None,
                )
                for partition, some in of_partitions.items()
                for record in records_of(some)
            ]
        )
        for state, count in Counter(receipt.state for receipt in batch).items():
            metrics.RECEIPTS.labels(self._name, state.name.lower()).inc(count)

    async def inbound(self, batch: list[InboundMessage]) -> None:
        """Keeps messages from people, and takes requests to stop as what they are. Raises Away."""
        now = now_ms()
        records: list[tuple[Topic, bytes, bytes]] = []
        stops = 0
        for message in batch:
            person = self._keyring.person(message.sender)
            place = _place(message)
            stop = (
                is_stop(message.text or "")
                if place is None
                else self._split.take(message, place, now)
            )
            if stop:
                stops += 1
                records.append((OPT_OUT, person, self._opt_out(person, now)))
            records.append((INBOUND_MESSAGE, person, self._kept(message, person, stop, now)))
        await self._publish(records)
        metrics.INBOUND.labels(self._name, "stop").inc(stops)
        metrics.INBOUND.labels(self._name, "message").inc(len(batch) - stops)

    async def late(self, batch: list[LateAnswer]) -> None:
        """Hands answers that came after their time to whoever sent the parts."""
        for answer in batch:
            self._on_late(self._name, self._keyring.person(answer.part.destination), answer)

    def _opt_out(self, person: bytes, now: int) -> bytes:
        return events_pb2.OptOut(
            person=person,
            opted_out=True,
            source=events_pb2.OPT_OUT_SOURCE_REPLY,
            subject=self._name,
            recorded_ms=now,
        ).SerializeToString()

    def _kept(self, message: InboundMessage, person: bytes, stop: bool, now: int) -> bytes:
        # The identity holds the number and the text: only its keyed hash may leave here.
        identity = self._keyring.mac("inbound", message.identity).hex()
        window = "" if message.carrier_id else str(now // SAME_WITHIN_MS)
        return events_pb2.InboundMessage(
            inbound_id=ids.derive("inbound", self._name, identity, window),
            carrier=self._name,
            person=person,
            line=message.destination,
            opt_out=stop,
            received_ms=now,
            drill=self._declared == "test",
            sealed_number=self._keyring.seal("number", message.sender, now, person),
            sealed_text=self._keyring.seal("text", message.text or "", now, person),
            part=self._part(message, person, now),
        ).SerializeToString()

    def _part(
        self, message: InboundMessage, person: bytes, now: int
    ) -> events_pb2.MessagePart | None:
        place, coded = _place(message), message.coded
        if place is None:
            return None
        return events_pb2.MessagePart(
            reference=place.reference,
            total=place.total,
            sequence=place.sequence,
            coding=coded.coding,
            locking=coded.shift.locking,
            single=coded.shift.single,
            sealed_octets=self._keyring.seal("octets", coded.octets.decode("latin-1"), now, person),
        )

    async def _publish(self, records: Sequence[tuple[Topic, bytes, bytes]]) -> None:
        await acknowledged(
            [
                await self._producer.send(
                    topic, partition_of(person, self._partitions), value, key=person
                )
                for topic, person, value in records
            ]
        )


def _place(message: InboundMessage) -> Concat | None:
    """None for a whole message, also one that calls itself the first of one."""
    return message.concat if message.concat is not None and message.concat.total > 1 else None
