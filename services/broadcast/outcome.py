"""From what a carrier said about each part to what that means for the message. Pure.

A message is safe to try again only when the carrier has none of its parts. Once it has one, or may
have one, the message stands or falls with that attempt: a part that was definitely refused for the
moment is offered again within the same claim, never the others.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from services.broadcast.carriers.base import Accepted, Refused, SubmitOutcome, Unknown
from services.broadcast.carriers.errors import SendError
from services.broadcast.messages import (
    FAILED,
    PART_FAILED,
    PART_OPEN,
    RELEASED,
    SUBMITTED,
    UNKNOWN,
    State,
)

_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 60.0
_TOO_FAST_WAIT_S = 1.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the message becomes. `carrier_ids` and `part_outcomes` are as in MessageChange."""

    state: State
    reason: str
    carrier_ids: tuple[str, ...] = ()
    part_outcomes: bytes = b""


def reason_of(error: SendError) -> str:
    """A send error as a reason in the status log, e.g. "invalid-destination"."""
    return error.code.replace("_", "-")


def throttled(outcomes: Sequence[SubmitOutcome]) -> bool:
    """Whether the carrier asked for a slower pace."""
    return any(isinstance(one, Refused) and one.error.throttle for one in outcomes)


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
    refused = [one.error for one in outcomes if isinstance(one, Refused)]
    unknown = [one.reason for one in outcomes if isinstance(one, Unknown)]
    ids = tuple(one.carrier_id if isinstance(one, Accepted) else "" for one in outcomes)
    if len(refused) == len(outcomes):
        final = next((error for error in refused if not error.retry), None)
        if final is None:
            return Verdict(RELEASED, reason_of(refused[0]))
        return Verdict(FAILED, reason_of(final), part_outcomes=bytes([PART_FAILED] * len(outcomes)))
    if refused:
        # The rest is with the carrier and this part never will be: nobody can read the whole.
        return Verdict(
            FAILED,
            reason_of(next((error for error in refused if not error.retry), refused[0])),
            ids,
            bytes(PART_FAILED if isinstance(one, Refused) else PART_OPEN for one in outcomes),
        )
    if unknown:
        return Verdict(UNKNOWN, unknown[0].value.replace("_", "-"), ids)
    return Verdict(SUBMITTED, "", ids)


def wait_s(attempt: int, too_fast: bool = False) -> float:
    """Seconds before the attempt after `attempt`: doubling, from half a second to a minute; a
    second when the carrier only wants a slower pace, which the pace itself sees to."""
    if too_fast:
        return _TOO_FAST_WAIT_S
    return min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2.0 ** min(attempt - 1, 10))
