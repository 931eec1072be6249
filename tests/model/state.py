"""A state of the model, its bounds, and its steps from one to another."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from tests.model.world import View

TAKEN, ANSWERED, TIMED_OUT, TOLD = "taken", "answered", "timed-out", "told"
REFUSED, LOST = "refused", "lost"


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much may happen. `owners`: takeovers. `refusals`, `losses`: how often the carrier refuses
    for the moment, and how often a bind is lost with what was written to it. `receipts`: how often
    it reports each part. `copies`: how often the lane's topic holds the message. `references`:
    whether its receipts carry our reference. Of the owners that are followed by another: `silence`,
    an append may never be acknowledged; `frozen`, they may be stopped for longer than a claim
    lives; `revoked`, they may be asked to go; `settled`, the first one has taken over, with nothing
    in the log, before anything else happens."""

    owners: int = 2
    refusals: int = 0
    losses: int = 0
    receipts: int = 1
    copies: int = 1
    references: bool = True
    silence: bool = False
    frozen: bool = False
    revoked: bool = False
    settled: bool = True


class Own(NamedTuple):
    """One owner: its history, and what of its appends stands and is told."""

    history: int
    epoch: int
    landed: tuple[int, ...]
    acked: int
    lane: int
    receipt: int
    frozen: bool


class Sent(NamedTuple):
    """One part that was written to the carrier."""

    owner: int
    call: int
    attempt: int
    part: int
    reference: int
    fate: str
    receipts: int


class State(NamedTuple):
    """Everything."""

    log: tuple[int, ...]
    receipts: tuple[int, ...]
    sent: tuple[Sent, ...]
    owners: tuple[Own, ...]


GONE = -2
"""The history of an owner that has ended."""
NOTHING = View((), 0, None, (), False, False, "gone", True, (0, 0), (0, 0), frozenset())
Step = tuple[int, str, State]
"""Whose step, its name, what follows."""


class Broken(AssertionError):
    """An invariant does not hold; the message is the shortest way there."""


def with_owner(state: State, number: int, own: Own) -> State:
    owners = (*state.owners[:number], own, *state.owners[number + 1 :])
    return state._replace(owners=owners)


def with_sent(sent: tuple[Sent, ...], at: int, **changed: Any) -> tuple[Sent, ...]:
    return (*sent[:at], sent[at]._replace(**changed), *sent[at + 1 :])


def carrier_id(sent: Sent) -> str:
    return f"id-{sent.attempt}-{sent.part}"
