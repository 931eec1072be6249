"""From a contact as its source gives it to the fact that intake states. Pure but for the sealing.

Checks what the proto's rules can't: time, number, and what the caller may claim.
"""

import contextlib
from dataclasses import dataclass
from uuid import UUID

from mawja.common.v1 import common_pb2
from mawja.intake.v1 import events_pb2, service_pb2

from services.runtime import ids, rpc
from services.runtime.errors import Forbidden, Invalid, Violation
from services.runtime.identity import Caller
from services.runtime.numbers import is_synthetic, line_of
from services.runtime.privacy import Erased, Keyring
from services.runtime.topics import partition_of

AHEAD_MS = 5 * 60_000
"""How far a source's clock may be ahead of ours."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A valid contact, not yet taken. `mac` tells a repeat of the request from another body."""

    contact_id: str
    index_key: bytes
    partition: int
    key: bytes
    mac: bytes
    event: events_pb2.ContactAccepted
    life_safety: bool
    channel: str


def may_submit(caller: Caller, source: str, drill: bool) -> None:
    """Raises Forbidden unless the caller may submit for `source`, and marks what it must."""
    if source != caller.subject and not source.startswith(caller.subject + "/"):
        raise Forbidden("contact.source must be the caller's own name, or below it (name/…)")
    if caller.must_drill and not drill:
        raise Forbidden("contact.drill must be set: the caller is a load tester")


def number_rules(field: str, number: str, drill: bool) -> list[Violation]:
    """The rules on a number that need more than a pattern."""
    if not number:
        return []
    if line_of(number) is None:
        return [Violation(field, "is not a possible number of its country (E.164)")]
    if is_synthetic(number) and not drill:
        return [Violation(field, "is a rehearsal number (+999): set drill, or give a real one")]
    return []


def prepare(
    contact: service_pb2.Contact,
    caller: Caller,
    keyring: Keyring,
    partitions: int,
    now_ms: int,
    ahead_ms: int = AHEAD_MS,
    told_ms: int = 0,
) -> Prepared:
    """Checks `contact` whole and seals what is personal, as of `told_ms` where it was told to us
    before (Unix ms): who was erased since stays so. Raises Invalid or Forbidden."""
    found = rpc.violations(contact, "contact")
    number = contact.number
    if not found:
        found = number_rules("contact.number", number, contact.drill)
    if contact.event_ms > now_ms + ahead_ms:
        found.append(Violation("contact.event_ms", "must not be more than 5 minutes ahead"))
    if contact.HasField("exercise") and not contact.drill:
        found.append(Violation("contact.exercise", "is for drills only: set drill"))
    if found:
        raise Invalid(found)
    may_submit(caller, contact.source, contact.drill)
    contact_id = ids.contact_id(contact.source, contact.idempotency_key)
    index_key = UUID(contact_id).bytes
    person = keyring.person(number) if number else b""
    key = person or index_key
    sealed_ms = min(told_ms or now_ms, now_ms)
    seal = keyring.seal
    event = events_pb2.ContactAccepted(
        contact_id=contact_id,
        source=contact.source,
        body_mac=keyring.mac("body", contact.SerializeToString(deterministic=True)),
        person=person,
        handle=keyring.handle(contact.handle) if contact.handle else b"",
        channel=contact.channel,
        kind=contact.kind,
        party=contact.party,
        number_line=(line_of(number) if number else None) or common_pb2.LINE_UNSPECIFIED,
        line=contact.line,
        agency=contact.agency,
        topic=contact.topic,
        language=contact.language,
        life_safety=contact.life_safety,
        drill=contact.drill,
        recorded=contact.recorded,
        event_ms=contact.event_ms,
        accepted_ms=now_ms,
        sealed_number=seal("number", number, sealed_ms, person),
        sealed_handle=seal("handle", contact.handle, sealed_ms, person),
        sealed_text=seal("text", contact.text, sealed_ms, person),
        sealed_place=seal("place", contact.place, sealed_ms, person),
        exercise=contact.exercise if contact.HasField("exercise") else None,
    )
    if contact.HasField("parts"):
        event.parts.CopyFrom(contact.parts)
    return Prepared(
        contact_id=contact_id,
        index_key=index_key,
        partition=partition_of(key, partitions),
        key=key,
        mac=event.body_mac,
        event=event,
        life_safety=contact.life_safety,
        channel=str(contact.channel),
    )


def differences(
    contact: service_pb2.Contact, first: events_pb2.ContactAccepted, keyring: Keyring
) -> list[str]:
    """The fields in which a contact differs from the first one that was taken with its key.

    What was erased meanwhile cannot be compared, and is not named.
    """
    sealed = {
        "number": first.sealed_number,
        "handle": first.sealed_handle,
        "text": first.sealed_text,
        "place": first.sealed_place,
    }
    differing = [
        name
        for name in (
            "kind",
            "channel",
            "line",
            "agency",
            "topic",
            "language",
            "party",
            "life_safety",
            "event_ms",
            "drill",
            "parts",
            "recorded",
            "exercise",
        )
        if getattr(contact, name) != getattr(first, name)
    ]
    for name, value in sealed.items():
        with contextlib.suppress(Erased):
            if getattr(contact, name) != keyring.unseal(name, value):
                differing.append(name)
    # The fact does not repeat whether the number was withheld: it is what is left.
    return sorted(differing) or ["withheld"]


def call_event(
    call: service_pb2.ReportedCall, caller: Caller, keyring: Keyring, now_ms: int
) -> tuple[events_pb2.CallEvent, bytes]:
    """The fact of a reported call event, and its Kafka key. Raises Invalid or Forbidden."""
    found = rpc.violations(call, "calls")
    if not found:
        found = number_rules("calls.number", call.number, call.drill)
    if call.event_ms > now_ms + AHEAD_MS:
        found.append(Violation("calls.event_ms", "must not be more than 5 minutes ahead"))
    if found:
        raise Invalid(found)
    may_submit(caller, call.source, call.drill)
    contact_id = ids.contact_id(call.source, call.contact_key)
    person = keyring.person(call.number) if call.number else b""
    event = events_pb2.CallEvent(
        contact_id=contact_id,
        person=person,
        state=call.state,
        agent=call.agent,
        queue_wait_ms=call.queue_wait_ms,
        handling_ms=call.handling_ms,
        disposition=call.disposition,
        line=call.line,
        agency=call.agency,
        language=call.language,
        drill=call.drill,
        event_ms=call.event_ms,
        accepted_ms=now_ms,
    )
    return event, person or UUID(contact_id).bytes
