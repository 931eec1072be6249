"""Whose a call is: life-safety always ours, what is unclear ours, and no flapping between."""

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mawja.wave.v1.contracts_pb2 import (
    QueueCondition,
    QueueHolder,
    QueueState,
    Route,
    RouteReason,
    ServiceModel,
)

from services.wave.contracts.taking import (
    OURS_FRESH_MS,
    Decision,
    Queues,
    decide,
    overflowing,
)
from services.wave.contracts.terms import Contract, Overflow

NOW = 1_800_000_000_000
TERMS = Overflow(capacity=40, begin=1.0, end=0.5, hold_ms=60_000, silence_ms=90_000)
ACTIVE = QueueCondition.QUEUE_CONDITION_ACTIVE
FULL = QueueCondition.QUEUE_CONDITION_FULL
MODELS = [model for model in ServiceModel.values() if model]
STATES = [state for state in QueueCondition.values() if state]


def contract(model: ServiceModel.ValueType, terms: Overflow = TERMS) -> Contract:
    overflow = terms if model == ServiceModel.SERVICE_MODEL_OVERFLOW else None
    return Contract("education", 3, model, "source", date(2026, 1, 1), 0, 2 * NOW, overflow)


OVERFLOW = contract(ServiceModel.SERVICE_MODEL_OVERFLOW)


def queue(
    length: int, at_ms: int = NOW, state: QueueCondition.ValueType = ACTIVE, **given: int
) -> QueueState:
    return QueueState(
        agency="education",
        holder=QueueHolder.QUEUE_HOLDER_AGENCY,
        state=state,
        queue_length=length,
        event_ms=at_ms,
        accepted_ms=at_ms,
        overflowing=bool(given.get("overflowing")),
    )


def told(before: QueueState | None, now: QueueState, terms: Overflow = TERMS) -> QueueState:
    now.overflowing, now.overflowing_since_ms = overflowing(before, now, terms)
    return now


QUEUES = st.builds(
    Queues,
    agency=st.none()
    | st.builds(
        queue,
        st.integers(0, 100),
        st.integers(NOW - 200_000, NOW),
        st.sampled_from(STATES),
        overflowing=st.integers(0, 1),
    ),
    ours=st.none()
    | st.builds(
        queue, st.integers(0, 400), st.integers(NOW - 200_000, NOW), st.sampled_from(STATES)
    ),
    read=st.booleans(),
)
CONTRACTS = st.none() | st.sampled_from(MODELS).map(contract)


@given(CONTRACTS, QUEUES)
def test_a_call_in_which_a_life_is_in_danger_is_ours_whatever_else_is(
    under: Contract | None, queues: Queues
) -> None:
    assert decide(under, queues, True, NOW) == Decision(
        Route.ROUTE_OURS, RouteReason.ROUTE_REASON_LIFE_SAFETY
    )


@given(CONTRACTS, QUEUES)
def test_only_an_agency_that_lately_said_it_has_a_place_is_handed_its_calls(
    under: Contract | None, queues: Queues
) -> None:
    decision = decide(under, queues, False, NOW)
    if decision.route != Route.ROUTE_AGENCY or (under and under.overflow is None):
        return
    assert under == OVERFLOW
    assert queues.read
    assert queues.agency is not None
    assert queues.agency.event_ms >= NOW - TERMS.silence_ms
    assert queues.agency.queue_length < TERMS.capacity
    assert queues.agency.state in (ACTIVE, QueueCondition.QUEUE_CONDITION_STANDBY)
    if queues.agency.overflowing:
        assert decision.reason == RouteReason.ROUTE_REASON_WE_ARE_FULL
        assert queues.ours is not None
        assert queues.ours.event_ms >= NOW - OURS_FRESH_MS


STEPS = st.lists(
    st.tuples(st.integers(1, 30_000), st.integers(0, 80), st.sampled_from(STATES)), max_size=80
)


@given(STEPS, st.integers(1, 100_000))
def test_calls_do_not_go_to_and_fro(
    steps: list[tuple[int, int, QueueCondition.ValueType]], hold_ms: int
) -> None:
    terms = replace(TERMS, hold_ms=hold_ms)
    before: QueueState | None = None
    at, begun = NOW, []
    for pause, length, state in steps:
        at += pause
        now = told(before, queue(length, at, state), terms)
        if now.overflowing and not (before and before.overflowing):
            begun.append(at)
        if not now.overflowing and before is not None and before.overflowing:
            assert at - begun[-1] >= hold_ms
            assert length <= terms.end * terms.capacity
        before = now
    assert len(begun) <= (at - NOW) // hold_ms + 1


@given(st.lists(st.integers(21, 39), max_size=60), st.booleans())
def test_between_end_and_begin_nothing_changes(lengths: list[int], at_first: bool) -> None:
    before = told(None, queue(40 if at_first else 0))
    for index, length in enumerate(lengths):
        before = told(before, queue(length, NOW + 120_000 * (index + 1)))
        assert before.overflowing is at_first


def test_calls_go_to_us_at_once_and_back_only_after_the_hold() -> None:
    free = told(None, queue(5))
    full = told(free, queue(40, NOW + 1_000))
    early = told(full, queue(0, NOW + 60_999))
    late = told(early, queue(20, NOW + 61_000))
    assert [one.overflowing for one in (free, full, early, late)] == [False, True, True, False]
    assert early.overflowing_since_ms == NOW + 1_000
    assert late.overflowing_since_ms == NOW + 61_000


def test_what_is_told_first_and_is_neither_free_nor_full_makes_calls_ours() -> None:
    assert told(None, queue(30)).overflowing


def test_without_a_capacity_the_state_alone_counts() -> None:
    terms = replace(TERMS, capacity=0)
    assert not told(None, queue(1_000), terms).overflowing
    assert told(None, queue(0, NOW, FULL), terms).overflowing
    reported = queue(50)
    reported.queue_max_length = 50
    assert told(None, reported, terms).overflowing


@pytest.mark.parametrize(
    ("agency", "ours", "reason"),
    [
        (None, None, "AGENCY_SILENT"),
        (queue(0, NOW - 90_001), None, "AGENCY_SILENT"),
        (queue(0, NOW - 90_000), None, "AGENCY_HAS_ROOM"),
        (queue(0, NOW, QueueCondition.QUEUE_CONDITION_INACTIVE), None, "AGENCY_CLOSED"),
        (queue(0, NOW, QueueCondition.QUEUE_CONDITION_DISABLED), None, "AGENCY_CLOSED"),
        (queue(0, NOW, QueueCondition.QUEUE_CONDITION_STANDBY), None, "AGENCY_HAS_ROOM"),
        (queue(0, NOW, FULL), None, "AGENCY_FULL"),
        (queue(0, NOW, QueueCondition.QUEUE_CONDITION_RESOURCE_EXHAUSTED), None, "AGENCY_FULL"),
        (queue(0, NOW, QueueCondition.QUEUE_CONDITION_UNREACHABLE), None, "AGENCY_CLOSED"),
        (queue(40), queue(300, NOW, FULL), "AGENCY_FULL"),
        (queue(10, overflowing=1), None, "SETTLING"),
        (queue(10, overflowing=1), queue(300, NOW, FULL), "WE_ARE_FULL"),
        (queue(10, overflowing=1), queue(300, NOW - OURS_FRESH_MS - 1, FULL), "SETTLING"),
    ],
)
def test_the_reasons_of_overflow(
    agency: QueueState | None, ours: QueueState | None, reason: str
) -> None:
    decision = decide(OVERFLOW, Queues(agency, ours), False, NOW)
    assert RouteReason.Name(decision.reason) == f"ROUTE_REASON_{reason}"
    theirs = reason in ("AGENCY_HAS_ROOM", "WE_ARE_FULL")
    assert decision.route == (Route.ROUTE_AGENCY if theirs else Route.ROUTE_OURS)


def test_from_a_share_below_one_on_calls_are_beyond_capacity() -> None:
    early = contract(ServiceModel.SERVICE_MODEL_OVERFLOW, replace(TERMS, begin=0.8))
    decision = decide(early, Queues(queue(33, overflowing=1), None), False, NOW)
    assert decision.reason == RouteReason.ROUTE_REASON_BEYOND_CAPACITY


def test_the_other_models_do_not_ask_how_full_anybody_is() -> None:
    unknown = Queues(None, None, read=False)
    found = {model: decide(contract(model), unknown, False, NOW).route for model in MODELS}
    assert found == {
        ServiceModel.SERVICE_MODEL_FULL_SERVICE: Route.ROUTE_OURS,
        ServiceModel.SERVICE_MODEL_OVERFLOW: Route.ROUTE_OURS,
        ServiceModel.SERVICE_MODEL_HOSTING: Route.ROUTE_HOSTED,
        ServiceModel.SERVICE_MODEL_INFRASTRUCTURE_ONLY: Route.ROUTE_AGENCY,
    }
    assert decide(None, unknown, False, NOW).reason == RouteReason.ROUTE_REASON_NO_CONTRACT


def test_the_metric_says_why_in_the_words_of_the_alert_and_its_page() -> None:
    # AgencySilent asks for reason="AGENCY_SILENT": on the enum's full name it never fired.
    given = Decision(Route.ROUTE_OURS, RouteReason.ROUTE_REASON_AGENCY_SILENT)
    assert given.words == ("OURS", "AGENCY_SILENT")
