"""What the state of a callback has the person told: which time they are called, that it moved, that
we could not reach them. Pure.

It follows from the state alone, so that a new owner finds what the last one had decided and not
told. Each promise, and the end, is told once.
"""

from collections.abc import Iterator, Sequence

from mawja.common.v1 import common_pb2
from mawja.outreach.v1 import events_pb2 as outreach

from services.outreach.calling import Calling
from services.outreach.decide import Draft
from services.outreach.rules import Event, Facts, Rule
from services.outreach.working import GIVEN_UP, LATER
from services.runtime import ids


def owed(
    callback: outreach.Callback, rules: Sequence[Rule], calling: Calling, now_ms: int
) -> Iterator[Draft]:
    """The messages that a callback asks for as it stands, whether or not they were said already."""
    event = event_of(callback)
    if event is None or not callback.mobile or not callback.sealed_number:
        return
    facts = Facts(0, callback.agency, callback.line, callback.language, callback.life_safety)
    for rule in rules:
        if rule.message is None or not rule.asked(event, facts):
            continue
        expires_ms = callback.decided_ms + rule.message.expires_ms
        words = {}
        step = f"{rule.name}:{callback.callback_id}"
        if event is not Event.CALLBACK_GIVEN_UP:
            expires_ms = min(expires_ms, callback.promised_until_ms)
            window = calling.told(callback.promised_from_ms, callback.promised_until_ms)
            words["window"] = dict.fromkeys(rule.message.texts, window)
            step = f"{step}:{callback.promises}"
        if expires_ms <= now_ms:
            continue
        language, text = rule.message.render(callback.language, callback.case_number, words)
        request = outreach.MessageRequested(
            message_id=ids.message_id(callback.case_id, step),
            case_id=callback.case_id,
            step=step,
            rule=rule.label,
            person=callback.person,
            lane=common_pb2.LANE_URGENT if callback.life_safety else common_pb2.LANE_NORMAL,
            language=language,
            agency=callback.agency,
            drill=callback.drill,
            requested_ms=now_ms,
            expires_ms=expires_ms,
            accepted_ms=callback.decided_ms,
            sealed_number=callback.sealed_number,
        )
        yield Draft(request, text)


def event_of(callback: outreach.Callback) -> Event | None:
    """What its state says happened; None: nothing that people are told."""
    if callback.state == GIVEN_UP:
        return Event.CALLBACK_GIVEN_UP
    if callback.state == LATER and callback.promised_until_ms:
        return Event.CALLBACK_MOVED if callback.moved else Event.CALLBACK_PROMISED
    return None
