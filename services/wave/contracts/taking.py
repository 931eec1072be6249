"""Whether a call is ours: a function of its contract and of how full the queues are. Pure.

What is not clear goes to us: an agency that is silent, a state that nobody could read, a contract
that has ended. Only an agency that has said lately that it has room is handed its calls.

So that calls don't go to and fro, an agency's calls begin to go to us at once, and go back only
when its queue is well below its capacity (`end`) and the contract's `hold` has passed: in a span of
T they begin to do so at most T ÷ hold + 1 times.
"""

from dataclasses import dataclass

from mawja.wave.v1.contracts_pb2 import (
    QueueCondition,
    QueueState,
    Route,
    RouteReason,
    ServiceModel,
)

from services.wave.contracts.terms import Contract, Overflow

_SHUT = (
    QueueCondition.QUEUE_CONDITION_INACTIVE,
    QueueCondition.QUEUE_CONDITION_DISABLED,
    QueueCondition.QUEUE_CONDITION_UNREACHABLE,
)
_FULL = (
    QueueCondition.QUEUE_CONDITION_FULL,
    QueueCondition.QUEUE_CONDITION_RESOURCE_EXHAUSTED,
)
OURS_FRESH_MS = 60_000
"""What is told of our own queue counts for this long: an old word must not turn calls away."""
NEVER = -1
"""How long ago an agency told its state when it never has."""

_OURS = Route.ROUTE_OURS
_THEIRS = Route.ROUTE_AGENCY


@dataclass(frozen=True, slots=True)
class Queues:
    """What is known when a call is decided on. `agency`: its own queue, None when it never told;
    `ours`: what waits with us; `read`: whether all that was told is known here."""

    agency: QueueState | None
    ours: QueueState | None
    read: bool = True


@dataclass(frozen=True, slots=True)
class Decision:
    """Where a call goes, and why."""

    route: Route.ValueType
    reason: RouteReason.ValueType

    @property
    def words(self) -> tuple[str, str]:
        """Route and reason as the metric says them: `OURS`, `AGENCY_SILENT`."""
        return (
            Route.Name(self.route).removeprefix("ROUTE_"),
            RouteReason.Name(self.reason).removeprefix("ROUTE_REASON_"),
        )


def overflowing(before: QueueState | None, now: QueueState, terms: Overflow) -> tuple[bool, int]:
    """Whether an agency's calls go to us once it has told `now`, and since when (Unix ms), with
    `before` what it had told last. What lies between `end` and `begin` changes nothing; where it
    is the first that is told, the calls are ours."""
    above, below = _above(now, terms), _below(now, terms)
    if before is None:
        return not below, now.accepted_ms
    since = before.overflowing_since_ms
    if before.overflowing:
        ends = below and now.accepted_ms - since >= terms.hold_ms
        return (False, now.accepted_ms) if ends else (True, since)
    return (True, now.accepted_ms) if above else (False, since)


def told_ms_ago(queue: QueueState | None, now_ms: int) -> int:
    """How long ago a queue was as it is told, milliseconds; NEVER when it was never told."""
    return NEVER if queue is None else max(0, now_ms - queue.event_ms)


def decide(contract: Contract | None, queues: Queues, life_safety: bool, now_ms: int) -> Decision:
    """Where a call goes that comes in at `now_ms` (Unix ms), under a contract that is in force."""
    if life_safety:
        return Decision(_OURS, RouteReason.ROUTE_REASON_LIFE_SAFETY)
    if contract is None:
        return Decision(_OURS, RouteReason.ROUTE_REASON_NO_CONTRACT)
    if contract.overflow is not None:
        return _under_overflow(contract.overflow, queues, now_ms)
    return _BY_MODEL[contract.model]


_BY_MODEL = {
    ServiceModel.SERVICE_MODEL_FULL_SERVICE: Decision(_OURS, RouteReason.ROUTE_REASON_FULL_SERVICE),
    ServiceModel.SERVICE_MODEL_HOSTING: Decision(
        Route.ROUTE_HOSTED, RouteReason.ROUTE_REASON_HOSTED
    ),
    ServiceModel.SERVICE_MODEL_INFRASTRUCTURE_ONLY: Decision(
        _THEIRS, RouteReason.ROUTE_REASON_INFRASTRUCTURE_ONLY
    ),
}


def _under_overflow(terms: Overflow, queues: Queues, now_ms: int) -> Decision:
    agency = queues.agency
    if not queues.read:
        return Decision(_OURS, RouteReason.ROUTE_REASON_CANNOT_TELL)
    if agency is None or told_ms_ago(agency, now_ms) > terms.silence_ms:
        return Decision(_OURS, RouteReason.ROUTE_REASON_AGENCY_SILENT)
    if agency.state in _SHUT:
        return Decision(_OURS, RouteReason.ROUTE_REASON_AGENCY_CLOSED)
    capacity = _capacity(agency, terms)
    if agency.state in _FULL or (capacity and agency.queue_length >= capacity):
        return Decision(_OURS, RouteReason.ROUTE_REASON_AGENCY_FULL)
    if not agency.overflowing:
        return Decision(_THEIRS, RouteReason.ROUTE_REASON_AGENCY_HAS_ROOM)
    if _we_are_full(queues.ours, now_ms):
        return Decision(_THEIRS, RouteReason.ROUTE_REASON_WE_ARE_FULL)
    settling = not _above(agency, terms)
    return Decision(
        _OURS,
        RouteReason.ROUTE_REASON_SETTLING if settling else RouteReason.ROUTE_REASON_BEYOND_CAPACITY,
    )


def _we_are_full(ours: QueueState | None, now_ms: int) -> bool:
    if ours is None or told_ms_ago(ours, now_ms) > OURS_FRESH_MS:
        return False
    return ours.state in _FULL or ours.state in _SHUT


def _capacity(queue: QueueState, terms: Overflow) -> int:
    return terms.capacity or queue.queue_max_length


def _above(queue: QueueState, terms: Overflow) -> bool:
    capacity = _capacity(queue, terms)
    return (
        queue.state in _FULL
        or queue.state in _SHUT
        or (capacity > 0 and queue.queue_length >= terms.begin * capacity)
    )


def _below(queue: QueueState, terms: Overflow) -> bool:
    # Without a capacity only the state speaks.
    capacity = _capacity(queue, terms)
    return not _above(queue, terms) and (
        capacity == 0 or queue.queue_length <= terms.end * capacity
    )
