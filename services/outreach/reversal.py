"""What becomes of callbacks when a person merges two cases of a caller, or splits one. Pure.

A promised call is neither lost nor made twice: of merged cases one callback stays, with the
earliest place of both; of a split one it goes with the call that nobody answered, which dedup tells
with the decision (`owed`). Cases of two people keep their callbacks, whatever merges them: each of
the two was promised a call.
"""

from collections.abc import Callable

from mawja.dedup.v1 import events_pb2 as dedup
from mawja.outreach.v1 import events_pb2 as outreach

from services.runtime import ids

_WITHDRAWN = outreach.CALLBACK_STATE_WITHDRAWN
_Due = Callable[[str], outreach.Callback | None]


def changed(decision: dedup.CaseDecision, due: _Due) -> list[outreach.Callback]:
    """The callbacks as a decision on two cases of one person leaves them, also those that it leaves
    as they are. `due`: the callback of a case that is due."""
    if decision.change == dedup.CASE_CHANGE_MERGED:
        return _merged(decision, due)
    if decision.change == dedup.CASE_CHANGE_SPLIT:
        return _split(decision, due)
    return []


def _merged(decision: dedup.CaseDecision, due: _Due) -> list[outreach.Callback]:
    case = decision.case
    held = [found for one in (case, decision.other) if (found := due(one.case_id)) is not None]
    owed = decision.HasField("owed") and case.state != dedup.CASE_STATE_RESOLVED
    following = []
    for number, callback in enumerate(held):
        now = _copy(callback)
        if owed and number == 0:
            _belongs(now, case)
            now.place_ms = min(now.place_ms, *(other.place_ms for other in held))
            now.life_safety = now.life_safety or any(other.life_safety for other in held)
            now.abandoned_ms = max(other.abandoned_ms for other in held)
        else:
            now.state, now.settled_ms = _WITHDRAWN, now.abandoned_ms
        following.append(now)
    return following


def _split(decision: dedup.CaseDecision, due: _Due) -> list[outreach.Callback]:
    held, other, owed = due(decision.case.case_id), decision.other, decision.other_owed
    if held is None or not decision.HasField("other_owed"):
        return []
    now = _copy(held)
    if decision.HasField("owed"):
        # Two needs, and in both somebody waits for us to call.
        now.callback_id = ids.callback_id(other.case_id, owed.contact_id)
        now.place_ms, now.abandoned_ms = owed.arrival_ms, owed.abandoned_ms
        now.life_safety, now.version = other.life_safety, 0
    _belongs(now, other)
    return [now]


def _belongs(callback: outreach.Callback, case: dedup.Case) -> None:
    """It is the callback of this case from now on."""
    callback.case_id, callback.case_number = case.case_id, case.case_number
    callback.place_ms = min(callback.place_ms, case.first_arrival_ms)
    callback.life_safety = callback.life_safety or case.life_safety
    callback.agency = case.agency or callback.agency
    callback.language = case.language or callback.language
    callback.line = case.line or callback.line
    # Dedup keeps the one that was sealed last: its month's key lives longest.
    callback.sealed_number = case.sealed_number or callback.sealed_number


def _copy(callback: outreach.Callback) -> outreach.Callback:
    copied = outreach.Callback()
    copied.CopyFrom(callback)
    return copied
