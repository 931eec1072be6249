"""What is told of a contact that was taken.

Its words are told by `words` alone, which opens them when somebody asked for them with a reason.
"""

from mawja.intake.v1 import events_pb2, service_pb2

from services.runtime.errors import NotInState
from services.runtime.privacy import Erased, Keyring, mask


def masked(first: events_pb2.ContactAccepted, keyring: Keyring) -> service_pb2.GetContactResponse:
    """A contact without its words, the number masked."""
    try:
        number = mask(keyring.unseal("number", first.sealed_number))
    except Erased:
        number = ""
    return service_pb2.GetContactResponse(
        contact_id=first.contact_id,
        source=first.source,
        channel=first.channel,
        kind=first.kind,
        line=first.line,
        agency=first.agency,
        topic=first.topic,
        language=first.language,
        life_safety=first.life_safety,
        drill=first.drill,
        event_ms=first.event_ms,
        accepted_ms=first.accepted_ms,
        masked_number=number,
        parts=_parts(first),
    )


def words(first: events_pb2.ContactAccepted, keyring: Keyring) -> service_pb2.RevealContactResponse:
    """The words of a contact. Raises NotInState when they were erased."""
    try:
        return service_pb2.RevealContactResponse(
            text=keyring.unseal("text", first.sealed_text),
            place=keyring.unseal("place", first.sealed_place),
            parts=_parts(first),
        )
    except Erased:
        raise NotInState("the words of this contact were erased") from None


def _parts(first: events_pb2.ContactAccepted) -> events_pb2.HeldParts | None:
    return first.parts if first.HasField("parts") else None
