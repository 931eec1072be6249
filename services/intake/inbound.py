"""SMS from people become contacts: the worker that reads broadcast.inbound-message.v1.

The inbound id is the idempotency key, so a message that is read twice is one contact. What was a
request to stop has been taken as that and is not a contact.
"""

import asyncio
from collections.abc import Sequence

from google.protobuf.message import DecodeError
from mawja.broadcast.v1 import events_pb2 as broadcast_pb2
from mawja.common.v1 import common_pb2
from mawja.intake.v1 import service_pb2

from services.intake.submit import Submitter
from services.runtime import trace
from services.runtime.errors import Away, Conflict, Invalid, Overloaded, Poison
from services.runtime.identity import Caller, Role
from services.runtime.own import NO_EPOCH, Record
from services.runtime.privacy import Keyring
from services.runtime.topics import INBOUND_MESSAGE, INTAKE_DEAD
from services.runtime.work import Context, Plan

PLAN = Plan(group="intake", inputs=(INBOUND_MESSAGE,), logs=(), dead=INTAKE_DEAD, max_records=500)
_CALLER = Caller("sms", frozenset({Role.GATEWAY}), "", 0)
_WAIT_S = 0.5
_ANY_MS = 1 << 62


class Inbound:
    """The work of one partition of inbound messages. Keeps no state."""

    def __init__(self, context: Context, submitter: Submitter, keyring: Keyring) -> None:
        self._context = context
        self._submitter = submitter
        self._keyring = keyring

    def fold(self, record: Record) -> None:
        """There is no log of its own."""

    def resume(self, topic: str) -> tuple[int, int]:
        """Reading goes on at the committed offset."""
        return (0, NO_EPOCH)

    async def start(self) -> None:
        """Nothing to settle."""

    async def stop(self) -> None:
        """Nothing to give up."""

    def committable(self, topic: str, offset: int) -> int:
        """Everything that `work` returned for is in Kafka."""
        return offset

    def wants(self, topic: str) -> bool:
        """Always."""
        return True

    async def work(self, records: Sequence[Record]) -> None:
        """Submits the messages of `records`; returns when Kafka has every one of them."""
        await asyncio.gather(*(self._take(record) for record in records))

    async def _take(self, record: Record) -> None:
        try:
            contact = self._contact(record)
            while contact is not None:
                try:
                    # The time is from our own room: if its clock was stepped, the message counts.
                    await self._submitter.submit(
                        contact, _CALLER, trace.of(record.headers), ahead_ms=_ANY_MS
                    )
                    return
                except Conflict:
                    # The same message, brought by the carrier once more at another time: the
                    # record of the first stands before this one.
                    return
                except (Away, Overloaded):
                    # A person's message is never turned away: it waits in Kafka.
                    await asyncio.sleep(_WAIT_S)
        except (Invalid, Poison) as error:
            await self._context.dead(record, str(error))

    def _contact(self, record: Record) -> service_pb2.Contact | None:
        try:
            message = broadcast_pb2.InboundMessage.FromString(record.value or b"")
        except DecodeError:
            raise Poison("not an InboundMessage") from None
        if message.opt_out:
            return None
        return service_pb2.Contact(
            source=f"sms/{message.carrier}",
            idempotency_key=message.inbound_id,
            channel=common_pb2.CHANNEL_SMS,
            line=message.line,
            number=self._keyring.unseal("number", message.sealed_number),
            text=self._keyring.unseal("text", message.sealed_text) or " ",
            event_ms=message.received_ms,
            drill=message.drill,
        )
