"""Makes contacts of what people wrote, and has each taken once.

A whole message is a contact under its inbound id. What was gathered of one in parts is a contact
under the id of the part that came first, which whoever reads the log again finds first again. Who
does so may gather more than the contact holds that was taken already: its owner died, and what was
late for them comes in time now. Then that contact stays as it is, and the rest is another one, so
that nothing is lost and nothing is there twice.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from mawja.broadcast.v1 import events_pb2 as broadcast_pb2
from mawja.common.v1 import common_pb2
from mawja.intake.v1 import events_pb2, service_pb2

from services.intake.joining import Gathering, Part, text_of
from services.intake.submit import Submitter
from services.runtime import ids, trace
from services.runtime.errors import Away, Conflict, Overloaded, Poison
from services.runtime.identity import Caller, Role
from services.runtime.own import Record
from services.runtime.privacy import Keyring

_CALLER = Caller("sms", frozenset({Role.GATEWAY}), "", 0)
_WAIT_S = 0.5
_ANY_MS = 1 << 62


@dataclass(frozen=True, slots=True)
class Heard:
    """A record of the topic, and what it says."""

    record: Record
    message: broadcast_pb2.InboundMessage


class Teller:
    """Tells intake what people wrote. Keeps nothing."""

    def __init__(self, submitter: Submitter, keyring: Keyring) -> None:
        self._submitter = submitter
        self._keyring = keyring

    async def whole(self, heard: Heard) -> None:
        """Has a whole message taken; returns when Kafka has it. Raises Invalid or Poison."""
        message = heard.message
        contact = self._contact(message, message.inbound_id)
        contact.text = self._keyring.unseal("text", message.sealed_text) or " "
        # Otherwise the carrier brought it once more at another time, and the record of the first
        # stands before this one.
        await self._taken(contact, heard.record)

    async def gathered(self, gathering: Gathering[Heard]) -> None:
        """Has what was gathered taken; returns when Kafka has it. Raises Invalid or Poison."""
        if any(part.record.message.opt_out for part in gathering.parts):
            # It was a request to stop, and was taken as that.
            return
        left = list(gathering.parts)
        for earlier in gathering.earlier:
            left = self._without(left, await self._first(_source(left[0]), _joined(earlier)))
            if not left:
                return
        while left:
            contact = self._of_parts(left)
            if await self._taken(contact, left[0].record.record):
                return
            first = await self._first(contact.source, contact.idempotency_key)
            rest = self._without(left, first)
            if len(rest) == len(left):
                raise Poison("the id of a message in parts belongs to another contact")
            left = rest

    def _of_parts(self, parts: Sequence[Part[Heard]]) -> service_pb2.Contact:
        first, total = parts[0], parts[0].message.total
        contact = self._contact(first.record.message, _joined(first.inbound_id))
        contact.text = text_of(parts, total) or " "
        contact.parts.total = total
        contact.parts.held.extend(sorted(part.sequence for part in parts))
        return contact

    def _contact(self, message: broadcast_pb2.InboundMessage, key: str) -> service_pb2.Contact:
        return service_pb2.Contact(
            source=f"sms/{message.carrier}",
            idempotency_key=key,
            channel=common_pb2.CHANNEL_SMS,
            line=message.line,
            number=self._keyring.unseal("number", message.sealed_number),
            event_ms=message.received_ms,
            drill=message.drill,
        )

    async def _taken(self, contact: service_pb2.Contact, record: Record) -> bool:
        """False when the key belongs to a contact with another body."""
        while True:
            try:
                # The time is from our own room: if its clock was stepped, the message counts. It is
                # sealed as of then, as this may wait for hours while its sender is erased.
                await self._submitter.submit(
                    contact,
                    _CALLER,
                    trace.of(record.headers),
                    ahead_ms=_ANY_MS,
                    told_ms=contact.event_ms,
                )
                return True
            except Conflict:
                return False
            except (Away, Overloaded):
                # A person's message is never turned away: it waits in Kafka.
                await asyncio.sleep(_WAIT_S)

    async def _first(self, source: str, key: str) -> events_pb2.ContactAccepted | None:
        index_key = UUID(ids.contact_id(source, key)).bytes
        while True:
            try:
                return await self._submitter.first(index_key)
            except Away:
                await asyncio.sleep(_WAIT_S)

    @staticmethod
    def _without(
        parts: list[Part[Heard]], contact: events_pb2.ContactAccepted | None
    ) -> list[Part[Heard]]:
        held = set(contact.parts.held) if contact is not None else set()
        return [part for part in parts if part.sequence not in held]


def _source(part: Part[Heard]) -> str:
    return f"sms/{part.record.message.carrier}"


def _joined(inbound_id: str) -> str:
    """The key of what was gathered, by the inbound id of the part that came first."""
    return ids.derive("joined", inbound_id)
