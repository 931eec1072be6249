"""How many wait with us, from the events of calls in any number and order."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from mawja.intake.v1.events_pb2 import CallEvent, CallState
from mawja.wave.v1.contracts_pb2 import QueueCondition

from services.wave.contracts.waiting import LOST_MS, UNSERVED_MS, Waiting

NOW = 1_800_000_000_000
STATES = [state for state in CallState.values() if state]
OFFERED = CallState.CALL_STATE_OFFERED
QUEUED = CallState.CALL_STATE_QUEUED
ANSWERED = CallState.CALL_STATE_ANSWERED


def event(
    contact: str,
    state: CallState.ValueType,
    at_ms: int = NOW,
    agency: str = "",
    drill: bool = False,
) -> CallEvent:
    return CallEvent(
        contact_id=contact,
        state=state,
        agency=agency,
        drill=drill,
        event_ms=at_ms,
        accepted_ms=at_ms,
    )


@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.sampled_from(STATES), st.sampled_from(["", "a", "b"])),
        max_size=60,
    )
)
def test_who_waits_is_who_came_and_has_not_been_answered_or_left(
    steps: list[tuple[int, CallState.ValueType, str]],
) -> None:
    waiting = Waiting()
    agencies: dict[int, str] = {}
    over: set[int] = set()
    for call, state, agency in steps:
        waiting.take(event(str(call), state, agency=agency))
        agencies.setdefault(call, agency)
        if state not in (OFFERED, QUEUED):
            over.add(call)
    wait = Counter(agency for call, agency in agencies.items() if call not in over)
    assert waiting.length(("", False)) == sum(wait.values())
    assert {a: waiting.length((a, False)) for a in ("a", "b")} == {a: wait[a] for a in ("a", "b")}
    waiting.forget(NOW + LOST_MS)
    assert waiting.length(("", False)) == 0


def test_rehearsals_fill_no_queue_of_real_calls() -> None:
    waiting = Waiting()
    waiting.take(event("one", OFFERED, agency="a", drill=True))
    assert waiting.length(("a", False)) == waiting.length(("", False)) == 0
    assert waiting.length(("a", True)) == waiting.length(("", True)) == 1


def test_calls_that_are_told_of_afterwards_do_not_wait() -> None:
    waiting = Waiting()
    past = event("one", OFFERED)
    past.event_ms = NOW - LOST_MS
    waiting.take(past)
    assert waiting.length(("", False)) == 0


def test_the_states_of_a_queue() -> None:
    waiting = Waiting()
    key = ("", False)

    def state(at_ms: int, most: int = 10, was_full: bool = False) -> str:
        name = QueueCondition.Name(waiting.state(key, most, was_full, at_ms))
        return name.removeprefix("QUEUE_CONDITION_")

    assert state(NOW) == "STANDBY"
    for call in range(10):
        waiting.take(event(str(call), OFFERED))
    assert state(NOW) == "FULL"
    waiting.take(event("9", ANSWERED))
    assert waiting.length(key) == 9
    assert state(NOW, was_full=False) == "ACTIVE"
    assert state(NOW, most=9) == "FULL"
    waiting.take(event("8", ANSWERED, NOW + 1))
    # 8 wait: full until it is down to nine tenths, not only until one was answered.
    assert state(NOW, most=8) == "FULL"
    waiting.take(event("late", OFFERED))
    waiting.take(event("later", OFFERED))
    assert (state(NOW, most=11), state(NOW, most=11, was_full=True)) == ("ACTIVE", "FULL")
    for late in ("late", "later"):
        waiting.take(event(late, ANSWERED))
    waiting.take(event("7", ANSWERED, NOW + 2))
    assert state(NOW + 2, most=9, was_full=True) == "ACTIVE"
    assert state(NOW + 2 + UNSERVED_MS) == "ACTIVE"
    assert state(NOW + 3 + UNSERVED_MS) == "INACTIVE"
    for call in range(7):
        waiting.take(event(str(call), ANSWERED, NOW + 10))
    assert state(NOW + 1_000) == "ACTIVE"
    assert state(NOW + 61_000) == "STANDBY"
