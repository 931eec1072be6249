"""What the carrier's answers to the parts make of a message."""

from itertools import product

import pytest
from mawja.broadcast.v1 import events_pb2

from services.broadcast.carriers.base import Accepted, Refused, SubmitOutcome, Unknown
from services.broadcast.carriers.base import UnknownReason as Why
from services.broadcast.carriers.errors import SendError
from services.broadcast.messages import (
    FAILED,
    RELEASED,
    SUBMITTED,
    UNKNOWN,
)
from services.broadcast.outcome import once_more, throttled, verdict, wait_s

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
        assert throttled(outcomes) == (BUSY in outcomes)


def test_outcomes_of_parts_are_told() -> None:
    result = verdict([OK, NEVER, OK])
    assert (result.carrier_ids, result.part_outcomes) == (("id", "", "id"), b"\x00\x02\x00")


def test_waits_grow_to_a_minute() -> None:
    waits = [wait_s(attempt) for attempt in range(1, 40)]
    assert waits[:3] == [0.5, 1.0, 2.0]
    assert waits == sorted(waits)
    assert waits[-1] == 60.0
    assert {wait_s(attempt, too_fast=True) for attempt in range(1, 40)} == {1.0}
