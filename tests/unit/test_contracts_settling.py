"""Settlement counts each call once, as it was answered last."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from mawja.wave.v1.contracts_pb2 import CallDecision, Route, RouteReason, ServiceModel

from services.tools.contracts.settling import REMEMBERED_MS, Settlement

NOW = 1_800_000_000_000
HOUR = 3600_000


def decision(
    contact: str, reason: int = RouteReason.ROUTE_REASON_AGENCY_FULL, at_ms: int = NOW
) -> CallDecision:
    theirs = reason == RouteReason.ROUTE_REASON_AGENCY_HAS_ROOM
    return CallDecision(
        contact_id=contact,
        agency="education",
        route=Route.ROUTE_AGENCY if theirs else Route.ROUTE_OURS,
        reason=reason,  # type: ignore[arg-type]
        model=ServiceModel.SERVICE_MODEL_OVERFLOW,
        contract_version=2,
        decided_ms=at_ms,
    )


def settlement(since_ms: int = 0, until_ms: int = 0, drill: bool = False) -> Settlement:
    return Settlement(since_ms, until_ms, drill, lambda at_ms: str(at_ms // HOUR))


REASONS = st.sampled_from(
    [RouteReason.ROUTE_REASON_AGENCY_FULL, RouteReason.ROUTE_REASON_AGENCY_HAS_ROOM]
)


@given(st.lists(st.tuples(st.integers(0, 9), REASONS, st.integers(0, 1000)), max_size=40))
def test_of_a_call_that_was_asked_about_again_the_last_answer_counts(
    asked: list[tuple[int, int, int]],
) -> None:
    settled, at, last = settlement(), NOW, {}
    for call, reason, pause in asked:
        at += pause
        settled.take(0, decision(str(call), reason, at))
        last[call] = (reason, at // HOUR)
    found = {(row.reason, row.period): count for row, count in settled.rows()}
    names = {
        RouteReason.ROUTE_REASON_AGENCY_FULL: "agency full",
        RouteReason.ROUTE_REASON_AGENCY_HAS_ROOM: "agency has room",
    }
    wanted = Counter((names[reason], str(hour)) for reason, hour in last.values())  # type: ignore[index]
    assert found == dict(wanted)


def test_rows_say_where_calls_went_under_which_contract() -> None:
    settled = settlement()
    settled.take(0, decision("a"))
    settled.take(1, decision("b", RouteReason.ROUTE_REASON_AGENCY_HAS_ROOM))
    [(left, _), (taken, _)] = settled.rows()
    assert (left.went, left.reason, left.model, left.version) == (
        "left to the agency",
        "agency has room",
        "overflow",
        2,
    )
    assert (taken.went, taken.reason) == ("taken", "agency full")
    unheard = CallDecision(contact_id="c", decided_ms=NOW, route=Route.ROUTE_OURS)
    settled.take(0, unheard)
    assert ("(none)", "no contract") in {(row.agency, row.model) for row, _ in settled.rows()}


def test_only_the_span_is_settled_and_no_rehearsal() -> None:
    settled = settlement(NOW, NOW + HOUR)
    for call, at in enumerate((NOW - 1, NOW, NOW + HOUR - 1, NOW + HOUR)):
        settled.take(0, decision(str(call), at_ms=at))
    rehearsed = decision("drill")
    rehearsed.drill = True
    settled.take(0, rehearsed)
    assert sum(count for _, count in settled.rows()) == 2


def test_calls_are_remembered_as_long_as_somebody_asks_again() -> None:
    settled = settlement()
    settled.take(0, decision("a", at_ms=NOW))
    settled.take(0, decision("b", at_ms=NOW + REMEMBERED_MS - 1))
    settled.take(0, decision("a", at_ms=NOW + REMEMBERED_MS - 1))
    assert sum(count for _, count in settled.rows()) == 2
    settled.take(0, decision("c", at_ms=NOW + 3 * REMEMBERED_MS))
    assert sum(len(held) for held in settled._last.values()) == 1
