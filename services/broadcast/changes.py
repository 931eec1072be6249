"""What is stated of a message: its first change, the next one, its end, the claim of an attempt.

Nothing of it holds yet: `Messages.decide` takes a change up, or refuses it. Pure.
"""

from mawja.broadcast.v1 import events_pb2
from mawja.broadcast.v1.events_pb2 import MessageChange

from services.broadcast.messages import CLAIMED, Message, Messages, State


def next_change(message: Message, state: State, reason: str = "") -> MessageChange:
    """The message's last change, carried on to `state` for `reason`."""
    change = message.change()
    change.state = state
    change.reason = reason
    change.not_after_ms = 0
    return change


def first_change(queued: events_pb2.QueuedMessage, state: State, reason: str = "") -> MessageChange:
    """The first change of a message that was only queued so far: attempt 0, none was made."""
    return MessageChange(
        message_id=queued.message_id,
        state=state,
        reason=reason,
        person=queued.person,
        lane=queued.lane,
        parts=queued.parts,
        drill=queued.drill,
        accepted_ms=queued.accepted_ms,
        language=queued.language,
        agency=queued.agency,
        expires_ms=queued.expires_ms,
        request_hash=queued.request_hash,
        campaign_id=queued.campaign_id,
        correction=queued.correction,
        campaign_kind=queued.campaign_kind,
        resend=queued.resend,
    )


def ending(
    messages: Messages, queued: events_pb2.QueuedMessage, state: State, reason: str
) -> MessageChange:
    """The change that ends a message which the carrier does not have."""
    message = messages.get(queued.message_id)
    if message is None:
        return first_change(queued, state, reason)
    return next_change(message, state, reason)


def claim(
    messages: Messages,
    queued: events_pb2.QueuedMessage,
    carrier: str,
    parts: int,
    not_after_ms: int,
) -> MessageChange:
    """The next attempt's claim: who calls which carrier, under which reference, until when."""
    message = messages.get(queued.message_id)
    change = first_change(queued, CLAIMED)
    if message is not None:
        change.resend = max(change.resend, message.resend)
    change.attempt = 1 if message is None else message.attempt + 1
    change.parts = parts
    change.carrier = carrier
    change.not_after_ms = not_after_ms
    change.reference = messages.reference_for(
        queued.message_id, queued.person, change.attempt, parts
    )
    return change
