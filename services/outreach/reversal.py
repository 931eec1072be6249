"""What becomes of callbacks when a person merges two cases of a caller, or splits one. Pure.

A promised call is neither lost nor made twice: of merged cases one callback stays, with the
earliest place of both, and with the agent who has either; of a split one it goes with the call that
nobody answered, which dedup tells with the decision (`owed`). Cases of two people keep their
callbacks, whatever merges them: each of the two was promised a call.
"""

from collections.abc import Callable

from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2 as dedup
from mawja.outreach.v1 import events_pb2 as outreach

from services.runtime import ids

_WITHDRAWN = outreach.CALLBACK_STATE_WITHDRAWN
_CLAIMED = outreach.CALLBACK_STATE_CLAIMED
_Open = Callable[[str], outreach.Callback | None]


def changed(
    decision: dedup.CaseDecision,
    open_of: _Open,
    had: Callable[[str], bool],
    offered: Callable[[dedup.Case], bool],
) -> list[outreach.Callback]:
    """The callbacks as a decision on two cases of one person leaves them, also those that it leaves
    as they are; new ones have version 0. `open_of`: the callback of a case that is open. `had`:
    whether a case ever had one. `offered`: whether callers of a case are called back at all."""
    if decision.change == dedup.CASE_CHANGE_MERGED:
        return _merged(decision, open_of)
    if decision.change == dedup.CASE_CHANGE_SPLIT:
        return _split(decision, open_of, had, offered)
    return []


def _merged(decision: dedup.CaseDecision, open_of: _Open) -> list[outreach.Callback]:
    case = decision.case
    held = [found for one in (case, decision.other) if (found := open_of(one.case_id)) is not None]
    owed = decision.HasField("owed") and case.state != dedup.CASE_STATE_RESOLVED
    following = []
    for number, callback in enumerate(held):
        now = _copy(callback)
        if owed and number == 0:
            _belongs(now, case)
            now.place_ms = min(now.place_ms, *(other.place_ms for other in held))
            now.life_safety = now.life_safety or any(other.life_safety for other in held)
            now.abandoned_ms = max(other.abandoned_ms for other in held)
            _goes_to_who_has_one(now, held)
        else:
            now.state, now.settled_ms = _WITHDRAWN, now.abandoned_ms
            now.lease_until_ms = now.not_before_ms = 0
        following.append(now)
    return following


def _goes_to_who_has_one(callback: outreach.Callback, held: list[outreach.Callback]) -> None:
    claimed = [one for one in held if one.state == _CLAIMED]
    if callback.state != _CLAIMED and claimed:
        callback.state, callback.not_before_ms = _CLAIMED, 0
        callback.claimed_by, callback.claimed_ms = claimed[0].claimed_by, claimed[0].claimed_ms
        callback.lease_until_ms = claimed[0].lease_until_ms


def _split(
    decision: dedup.CaseDecision,
    open_of: _Open,
    had: Callable[[str], bool],
    offered: Callable[[dedup.Case], bool],
) -> list[outreach.Callback]:
    case, other = decision.case, decision.other
    owed, other_owed = decision.HasField("owed"), decision.HasField("other_owed")
    held = open_of(case.case_id)
    if held is not None and other_owed and not owed:
        moved = _copy(held)
        _belongs(moved, other)
        return [moved]
    # An answer to the one need was none to the other; but what an agent resolved is settled.
    waiting = owed and held is None and case.state != dedup.CASE_STATE_RESOLVED
    other_waiting = other_owed and (held is not None or case.state != dedup.CASE_STATE_RESOLVED)
    # Decided again after a crash, the callback may have gone there already.
    other_waiting = other_waiting and not had(other.case_id)
    made = [_new(case, decision.owed, other.case_id)] if waiting and offered(case) else []
    if other_waiting and offered(other):
        made.append(_new(other, decision.other_owed, other.case_id))
    return made


def _new(case: dedup.Case, owed: dedup.OwedCall, split_id: str) -> outreach.Callback:
    # Named after the split: what was withdrawn before it never comes back.
    callback = outreach.Callback(
        callback_id=ids.callback_id(split_id, owed.contact_id),
        person=case.person,
        state=outreach.CALLBACK_STATE_DUE,
        place_ms=owed.arrival_ms,
        drill=case.drill,
        abandoned_ms=owed.abandoned_ms,
        mobile=case.number_line == common_pb2.LINE_MOBILE,
        exercise=case.exercise if case.HasField("exercise") else None,
    )
    _belongs(callback, case)
    return callback


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
