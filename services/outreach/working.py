"""What agents and time do to a callback. Pure.

    due ─▶ claimed ─▶ completed
     ▲ ▲      │ ├───▶ given up
     │ └──────┤ └───▶ later (nobody answered, or the person asked for another time)
     └── later's time has come

A claim that ends, or is given back, leaves the callback due at its old place: when the person first
reached out never changes here. What is final stays final, and the command that brought a callback
to where it stands changes nothing when it comes again.
"""

from typing import TypeAlias

from google.rpc import code_pb2
from mawja.outreach.v1 import commands_pb2, events_pb2

from services.outreach.calling import Calling, Window

DUE, WITHDRAWN = events_pb2.CALLBACK_STATE_DUE, events_pb2.CALLBACK_STATE_WITHDRAWN
CLAIMED, LATER = events_pb2.CALLBACK_STATE_CLAIMED, events_pb2.CALLBACK_STATE_LATER
COMPLETED, GIVEN_UP = events_pb2.CALLBACK_STATE_COMPLETED, events_pb2.CALLBACK_STATE_GIVEN_UP
OPEN = frozenset({DUE, CLAIMED, LATER})
"""The states in which a call is owed."""

Work: TypeAlias = "events_pb2.Work.ValueType"
REAL, DRILL = events_pb2.WORK_UNSPECIFIED, events_pb2.WORK_DRILL
PRACTICE = events_pb2.WORK_PRACTICE
NAMES: dict[Work, str] = {REAL: "real work", DRILL: "a drill", PRACTICE: "practice"}
"""What an agent does with callbacks, as it is told to them."""

_LONGEST_AHEAD_MS = 7 * 86_400_000
_WHY = {
    WITHDRAWN: "it was withdrawn: the person was answered, the case is resolved, or it became one "
    "with another callback of the person, or the person was erased",
    COMPLETED: "the call was made already",
    GIVEN_UP: "it was given up already",
    LATER: "it waits for another time",
    DUE: "nobody has it: claim it first",
}


def work_of(callback: events_pb2.Callback) -> Work:
    """Whose work a callback is: nobody has real callers and synthetic ones before them at once."""
    if callback.HasField("exercise"):
        return PRACTICE
    return DRILL if callback.drill else REAL


class Refused(Exception):
    """`code`: of google.rpc.Code. The message says why, without personal data."""

    def __init__(self, code: int, message: str) -> None:
        self.code = code
        super().__init__(message)


def obeyed(
    callback: events_pb2.Callback,
    command: commands_pb2.OutreachCommand,
    calling: Calling,
    now_ms: int,
) -> events_pb2.Callback | None:
    """The callback after a command, not yet counted as a decision; None when it stands so already.
    Raises Refused."""
    who, action = command.envelope.subject, command.WhichOneof("action")
    mine = callback.state == CLAIMED and callback.claimed_by == who
    if action == "claim":
        # Also of who has it already: an agent who lost the answer asks again.
        return None if mine else _claimed(callback, command, calling, now_ms)
    if callback.command_id == command.envelope.command_id:
        return None
    anyone = action == "release" and command.release.from_anyone
    if not mine and not (anyone and callback.state == CLAIMED):
        raise _refused(callback, "another agent has it")
    following = _copy(callback)
    following.command_id = command.envelope.command_id
    if action == "extend":
        following.lease_until_ms = now_ms + calling.lease_ms
        return following
    following.lease_until_ms = 0
    if action == "complete":
        following.state, following.outcome = COMPLETED, command.complete.outcome
        following.sealed_note = command.complete.sealed_note
        if command.complete.HasField("practised"):
            following.practised.CopyFrom(command.complete.practised)
        _settle(following, now_ms)
    elif action == "give_up":
        following.state, following.sealed_note = GIVEN_UP, command.give_up.sealed_note
        _settle(following, now_ms)
    elif action == "no_answer":
        _not_answered(following, calling, now_ms)
    elif command.release.promised_until_ms:
        asked = command.release.promised_from_ms, command.release.promised_until_ms
        _promise(following, _asked_for(*asked, now_ms), moved=False)
    else:
        following.state = DUE
    return following


def passed(
    callback: events_pb2.Callback, calling: Calling, now_ms: int
) -> events_pb2.Callback | None:
    """The callback after time has passed; None when nothing is to be decided yet."""
    wakes = wakes_ms(callback, calling)
    if not wakes or now_ms < wakes:
        return None
    following = _copy(callback)
    if callback.state == DUE:
        # Behind the end of what was promised: that one can't be kept any more.
        after = max(now_ms, callback.promised_until_ms - 1)
        window = calling.window(after, callback.tried_ms, callback.callback_id)
        _promise(following, window, moved=True)
    else:
        following.state = DUE
        following.lease_until_ms = following.not_before_ms = 0
    return following


def withdrawn(callback: events_pb2.Callback, now_ms: int) -> events_pb2.Callback:
    """The callback after its person was erased: nobody can be called."""
    following = _copy(callback)
    following.state = WITHDRAWN
    following.lease_until_ms = following.not_before_ms = 0
    _settle(following, now_ms)
    return following


def wakes_ms(callback: events_pb2.Callback, calling: Calling) -> int:
    """When time changes the callback: Unix ms; 0: never, as it stands."""
    if callback.state == CLAIMED:
        return callback.lease_until_ms
    if callback.state == LATER:
        return callback.not_before_ms
    if callback.state != DUE or not callback.promised_until_ms or callback.moved:
        return 0
    if callback.life_safety or not callback.mobile:
        # Never put off, or nobody could tell them.
        return 0
    # Not before the time begins: a short one is moved at its beginning at the earliest.
    return max(callback.promised_from_ms, callback.promised_until_ms - calling.ahead_ms)


def _claimed(
    callback: events_pb2.Callback,
    command: commands_pb2.OutreachCommand,
    calling: Calling,
    now_ms: int,
) -> events_pb2.Callback:
    if callback.state not in (DUE, LATER):
        raise _refused(callback, "another agent has it")
    if command.until_ms < now_ms:
        raise Refused(code_pb2.FAILED_PRECONDITION, "whoever asked for it does not wait any more")
    work, who = work_of(callback), command.envelope.subject
    if work != command.claim.work:
        asked = f"it belongs to {NAMES[work]}, and you asked for {NAMES[command.claim.work]}"
        raise Refused(code_pb2.FAILED_PRECONDITION, asked)
    if work == PRACTICE and callback.exercise.agent != who:
        raise Refused(code_pb2.FAILED_PRECONDITION, "it is another agent's exercise")
    following = _copy(callback)
    following.state = CLAIMED
    following.command_id = command.envelope.command_id
    following.claimed_by, following.claimed_ms = command.envelope.subject, now_ms
    following.lease_until_ms, following.not_before_ms = now_ms + calling.lease_ms, 0
    return following


def _not_answered(callback: events_pb2.Callback, calling: Calling, now_ms: int) -> None:
    callback.tried_ms.append(now_ms)
    callback.promised_from_ms = callback.promised_until_ms = 0
    if callback.life_safety:
        callback.state, callback.not_before_ms = LATER, now_ms + calling.urgent_ms
        return
    if len(callback.tried_ms) >= calling.tries:
        callback.state = GIVEN_UP
        _settle(callback, now_ms)
        return
    window = calling.window(now_ms + calling.gap_ms, callback.tried_ms, callback.callback_id)
    if callback.mobile:
        _promise(callback, window, moved=False)
    else:
        # Nobody can tell them: no promise, but the same hours.
        callback.state, callback.not_before_ms = LATER, window.due_ms


def _promise(callback: events_pb2.Callback, window: Window, *, moved: bool) -> None:
    callback.state, callback.not_before_ms = LATER, window.due_ms
    callback.promised_from_ms, callback.promised_until_ms = window.from_ms, window.until_ms
    callback.promises += 1
    callback.moved = moved


def _asked_for(from_ms: int, until_ms: int, now_ms: int) -> Window:
    if not now_ms < until_ms or not from_ms < until_ms or from_ms > now_ms + _LONGEST_AHEAD_MS:
        raise Refused(
            code_pb2.INVALID_ARGUMENT,
            "promised_until_ms: must be after now and after promised_from_ms, which is at most 7 "
            "days from now",
        )
    return Window(from_ms, until_ms, max(from_ms, now_ms))


def _settle(callback: events_pb2.Callback, now_ms: int) -> None:
    callback.promised_from_ms = callback.promised_until_ms = 0
    # Whatever was abandoned until now is done with, whatever the telephone system's clock said.
    callback.settled_ms = max(callback.abandoned_ms, now_ms)


def _refused(callback: events_pb2.Callback, otherwise: str) -> Refused:
    return Refused(code_pb2.FAILED_PRECONDITION, _WHY.get(callback.state, otherwise))


def _copy(callback: events_pb2.Callback) -> events_pb2.Callback:
    copied = events_pb2.Callback()
    copied.CopyFrom(callback)
    return copied
