"""What the carrier's answers to the parts make of a message."""

from itertools import product

import pytest
from mawja.broadcast.v1 import events_pb2

from services.broadcast.carriers.base import Accepted, Refused, SubmitOutcome, Unknown
from services.broadcast.carriers.base import UnknownReason as Why
from services.broadcast.carriers.errors import Fault, SendError
from services.broadcast.messages import (
    FAILED,
    RELEASED,
    SUBMITTED,
    UNKNOWN,
)
from services.broadcast.outcome import once_more, throttled, too_fast, verdict, wait_s, well

OK: SubmitOutcome = Accepted("id")
BUSY: SubmitOutcome = Refused(SendError.THROTTLED)
NEVER: SubmitOutcome = Refused(SendError.INVALID_DESTINATION)
LOST: SubmitOutcome = Unknown(Why.TIMEOUT)


@pytest.mark.parametrize(
    ("outcomes", "state", "reason"),
    [
        ([OK], SUBMITTED, ""),
        ([BUSY], RELEASED, "throttled"),
        ([NEVER], FAILED, "invalid-destination"),
        ([LOST], UNKNOWN, "timeout"),
        ([OK, OK], SUBMITTED, ""),
        ([BUSY, BUSY], RELEASED, "throttled"),
        ([BUSY, NEVER], FAILED, "invalid-destination"),
        ([OK, LOST], UNKNOWN, "timeout"),
        ([OK, BUSY], FAILED, "throttled"),
        ([OK, NEVER], FAILED, "invalid-destination"),
        ([LOST, NEVER], FAILED, "invalid-destination"),
    ],
)
def test_what_the_parts_make_of_the_message(
    outcomes: list[SubmitOutcome], state: events_pb2.MessageState.ValueType, reason: str
) -> None:
    result = verdict(outcomes)
    assert (result.state, result.reason) == (state, reason)


def test_only_what_nobody_has_may_be_tried_again() -> None:
    for outcomes in product([OK, BUSY, NEVER, LOST], repeat=3):
        result = verdict(outcomes)
        if any(one in (OK, LOST) for one in outcomes):
            assert result.state != RELEASED
        for index in once_more(outcomes):
            assert outcomes[index] == BUSY, "a part that the carrier may have is not sent again"
        assert not (once_more(outcomes) and NEVER in outcomes)
        assert too_fast(outcomes) == (BUSY in outcomes)


EVERY: list[SubmitOutcome] = [OK, LOST, *(Refused(error) for error in SendError)]


def test_no_other_carrier_is_asked_for_what_one_has_or_may_have() -> None:
    for outcomes in product(EVERY, repeat=2):
        result = verdict(outcomes)
        refused = [one.error for one in outcomes if isinstance(one, Refused)]
        if len(refused) < 2 or any(error.fault is Fault.MESSAGE for error in refused):
            assert result.elsewhere == 0


@pytest.mark.parametrize(
    ("error", "elsewhere"),
    [
        (SendError.SYSTEM_ERROR, 1),
        (SendError.NOT_BOUND, 1),
        (SendError.NO_CREDIT, 1),
        (SendError.INVALID_SENDER, 1),
        (SendError.NOT_PERMITTED, 1),
        (SendError.NOT_SENT, 1),
        (SendError.THROTTLED, 3),
        (SendError.QUEUE_FULL, 3),
        (SendError.INVALID_DESTINATION, 0),
        (SendError.REJECTED_CONTENT, 0),
        (SendError.OPTED_OUT, 0),
        (SendError.EXPIRED, 0),
        (SendError.REFUSED, 0),
        (SendError.DRILL_ON_LIVE, 0),
        (SendError.MALFORMED, 0),
    ],
)
def test_whose_fault_a_refusal_is_decides_whether_another_is_asked(
    error: SendError, elsewhere: int
) -> None:
    assert verdict([Refused(error)] * 2).elsewhere == elsewhere


@pytest.mark.parametrize(
    ("outcomes", "took_s", "says"),
    [
        ([OK, OK], 0.1, True),
        ([OK], 5.1, False),
        ([NEVER], 0.1, True),
        ([Refused(SendError.INVALID_SENDER)], 0.1, True),
        ([OK, LOST], 0.1, False),
        ([Refused(SendError.SYSTEM_ERROR)], 0.1, False),
        ([BUSY], 9.0, None),
        ([Unknown(Why.STOPPED)], 0.1, None),
        ([Unknown(Why.STOPPED), LOST], 0.1, False),
    ],
)
def test_what_outcomes_say_of_the_carrier(
    outcomes: list[SubmitOutcome], took_s: float, says: bool | None
) -> None:
    assert well(outcomes, took_s, 5.0) is says


def test_errors_slow_a_carrier_only_when_they_are_frequent() -> None:
    failed: list[SubmitOutcome] = [Refused(SendError.SYSTEM_ERROR)]
    assert [throttled(failed, ill) for ill in (False, True)] == [False, True]
    assert [throttled([BUSY], ill) for ill in (False, True)] == [True, True]
    assert [throttled([OK], ill) for ill in (False, True)] == [False, False]
    assert not too_fast(failed), "its message waits longer each time"


def test_outcomes_of_parts_are_told() -> None:
    result = verdict([OK, NEVER, OK])
    assert (result.carrier_ids, result.part_outcomes) == (("id", "", "id"), b"\x00\x02\x00")


def test_waits_grow_to_a_minute() -> None:
    waits = [wait_s(attempt) for attempt in range(1, 40)]
    assert waits[:3] == [0.5, 1.0, 2.0]
    assert waits == sorted(waits)
    assert waits[-1] == 60.0
    assert {wait_s(attempt, too_fast=True) for attempt in range(1, 40)} == {1.0}
