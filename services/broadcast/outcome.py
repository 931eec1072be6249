"""From what a carrier said about each part to what that means for the message. Pure.

A message is safe to try again only when the carrier has none of its parts. Once it has one, or may
have one, the message stands or falls with that attempt: a part that was definitely refused for the
moment is offered again within the same claim, never the others. Another carrier is asked only for
what was refused as a whole, and for no reason that lies in the message or the number.
"""

from collections.abc import Sequence, Set
from typing import NamedTuple

from services.broadcast.carriers.base import (
    Accepted,
    Refused,
    SubmitOutcome,
    Unknown,
    UnknownReason,
)
from services.broadcast.carriers.errors import Fault, SendError
from services.broadcast.messages import (
    FAILED,
    PART_FAILED,
    PART_OPEN,
    RELEASED,
    SUBMITTED,
    UNKNOWN,
    State,
)

_ACCEPTED = {Accepted}
_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 60.0
_TOO_FAST_WAIT_S = 1.0
_PATIENCE = 3
"""Attempts at a carrier that only wants a slower pace, before another is asked."""


class Verdict(NamedTuple):
    """What the message becomes. `carrier_ids` and `part_outcomes` are as in MessageChange.
    `elsewhere`: from which attempt on another carrier may be asked instead; 0 for never."""

    state: State
    reason: str
    carrier_ids: tuple[str, ...] = ()
    part_outcomes: bytes = b""
    elsewhere: int = 0


def accepted(outcomes: Sequence[SubmitOutcome]) -> bool:
    """Whether the carrier has all parts, as nearly always: the rest need not be asked then."""
    return set(map(type, outcomes)) == _ACCEPTED


def reason_of(error: SendError) -> str:
    """A send error as a reason in the status log, e.g. "invalid-destination"."""
    return error.code.replace("_", "-")


def too_fast(outcomes: Sequence[SubmitOutcome]) -> bool:
    """Whether the carrier asked for a slower pace."""
    return any(isinstance(one, Refused) and one.error.fault is Fault.PACE for one in outcomes)


def throttled(outcomes: Sequence[SubmitOutcome], ill: bool) -> bool:
    """Whether the carrier should be fed slower: it asked for that, or it is `ill` and failed again.
    An error now and then, at any pace, is no reason."""
    refused = [one.error for one in outcomes if isinstance(one, Refused)]
    return too_fast(outcomes) or (ill and any(error.throttle for error in refused))


def once_more(outcomes: Sequence[SubmitOutcome]) -> list[int]:
    """The parts to offer again within the same claim: those refused for the moment, when the
    carrier has or may have another part and none was refused for good."""
    refused = [index for index, one in enumerate(outcomes) if isinstance(one, Refused)]
    if len(refused) == len(outcomes):
        return []
    errors = [one.error for one in outcomes if isinstance(one, Refused)]
    return refused if all(error.retry for error in errors) else []


def verdict(outcomes: Sequence[SubmitOutcome]) -> Verdict:
    """What the outcomes of a message's parts, in order, make of it."""
    ids = tuple([one.carrier_id if isinstance(one, Accepted) else "" for one in outcomes])
    if accepted(outcomes):
        return Verdict(SUBMITTED, "", ids)
    refused = [one.error for one in outcomes if isinstance(one, Refused)]
    unknown = [one.reason for one in outcomes if isinstance(one, Unknown)]
    if len(refused) == len(outcomes):
        final = next((error for error in refused if not error.retry), None)
        elsewhere = _elsewhere({error.fault for error in refused})
        if final is None:
            return Verdict(RELEASED, reason_of(refused[0]), elsewhere=elsewhere)
        failed = bytes([PART_FAILED] * len(outcomes))
        return Verdict(FAILED, reason_of(final), part_outcomes=failed, elsewhere=elsewhere)
    if refused:
        # The rest is with the carrier and this part never will be: nobody can read the whole.
        return Verdict(
            FAILED,
            reason_of(next((error for error in refused if not error.retry), refused[0])),
            ids,
            bytes(PART_FAILED if isinstance(one, Refused) else PART_OPEN for one in outcomes),
        )
    return Verdict(UNKNOWN, unknown[0].value.replace("_", "-"), ids)


def _elsewhere(faults: Set[Fault]) -> int:
    if Fault.MESSAGE in faults:
        return 0
    return _PATIENCE if Fault.PACE in faults else 1


def well(outcomes: Sequence[SubmitOutcome], took_s: float, slow_s: float) -> bool | None:
    """Whether the outcomes of a message's parts, after `took_s` seconds, speak well of the carrier,
    of which answers after `slow_s` do not; None: they say nothing of it."""
    if accepted(outcomes):
        return took_s <= slow_s
    faults = {one.error.fault for one in outcomes if isinstance(one, Refused)}
    unknown = {one.reason for one in outcomes if isinstance(one, Unknown)}
    if Fault.CARRIER in faults or unknown - {UnknownReason.STOPPED}:
        return False
    if Fault.PACE in faults or unknown:
        # The pace sees to the one; the other was our own stop.
        return None
    return took_s <= slow_s


def wait_s(attempt: int, too_fast: bool = False) -> float:
    """Seconds before the attempt after `attempt`: doubling, from half a second to a minute; a
    second when the carrier only wants a slower pace, which the pace itself sees to."""
    if too_fast:
        return _TOO_FAST_WAIT_S
    return min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2.0 ** min(attempt - 1, 10))
