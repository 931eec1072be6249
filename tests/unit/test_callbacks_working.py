"""What agents do with callbacks: one has it at a time, and it keeps its place whatever they do."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2 as dedup
from mawja.outreach.v1 import commands_pb2 as asked
from mawja.outreach.v1 import events_pb2 as outreach

from services.outreach import views
from services.outreach.calling import DEFAULT
from services.outreach.working import (
    CLAIMED,
    COMPLETED,
    DUE,
    GIVEN_UP,
    LATER,
    WITHDRAWN,
    Refused,
)
from tests.callbacks_desk import HOUR, MINUTE, Desk, command
from tests.outreach_told import T0, Told

DUBAI = ZoneInfo("Asia/Dubai")
LEASE = DEFAULT.lease_ms


def owed(case: Told | None = None) -> tuple[Desk, Told, str]:
    case = case or Told()
    desk = Desk()
    desk.told(case.opened())
    [callback] = desk.told(case.abandoned(10))
    return desk, case, callback.callback_id


def refusal(desk: Desk, *args: str, **given: object) -> str:
    with pytest.raises(Refused) as refused:
        desk.asks(*args, **given)  # type: ignore[arg-type]
    return str(refused.value)


def test_one_agent_has_it_at_a_time() -> None:
    desk, _, it = owed()
    claimed = desk.asks("amal", it, "claim")
    assert (claimed.state, claimed.claimed_by) == (CLAIMED, "amal")
    assert claimed.lease_until_ms == desk.now_ms + LEASE
    assert refusal(desk, "badr", it, "claim") == "another agent has it"
    for action in ("extend", "complete", "no_answer", "release", "give_up"):
        assert refusal(desk, "badr", it, action) == "another agent has it"
    assert len(desk.log) == 2


def test_asking_twice_gives_the_same_claim() -> None:
    desk, _, it = owed()
    first = desk.asks("amal", it, "claim")
    assert desk.asks("amal", it, "claim") == first
    assert len(desk.log) == 2


def test_a_claim_ends_and_leaves_it_at_its_place() -> None:
    desk, _, it = owed()
    desk.asks("amal", it, "claim")
    assert desk.waits(LEASE - 1) == []
    [due] = desk.waits(1)
    assert (due.state, due.place_ms, due.lease_until_ms) == (DUE, T0, 0)
    assert refusal(desk, "amal", it, "complete").startswith("nobody has it")
    assert desk.asks("badr", it, "claim").claimed_by == "badr"


def test_a_call_that_lasts_keeps_the_claim() -> None:
    desk, _, it = owed()
    desk.asks("amal", it, "claim")
    desk.waits(LEASE - MINUTE)
    assert desk.asks("amal", it, "extend").lease_until_ms == desk.now_ms + LEASE
    assert desk.waits(LEASE - 1) == []


def test_whoever_gave_up_waiting_claims_nothing() -> None:
    desk, _, it = owed()
    late = desk.now_ms - 1
    desk.now_ms += 60_000
    made = command("amal", it, "1", claim=asked.Claim())
    made.until_ms = late
    with pytest.raises(Refused, match="does not wait any more"):
        desk.again(made)


@pytest.mark.parametrize(
    ("action", "state"),
    [("complete", COMPLETED), ("give_up", GIVEN_UP), ("release", DUE), ("no_answer", LATER)],
)
def test_the_same_request_again_changes_nothing(action: str, state: int) -> None:
    desk, _, it = owed()
    desk.asks("amal", it, "claim")
    first = desk.asks("amal", it, action, "r1")
    assert first.state == state
    assert desk.asks("amal", it, action, "r1") == first
    assert len(desk.log) == 3


def test_what_is_over_stays_over() -> None:
    desk, case, it = owed()
    desk.asks("amal", it, "claim")
    desk.asks("amal", it, "complete", outcome=outreach.CALLBACK_OUTCOME_RESOLVED)
    assert refusal(desk, "badr", it, "claim") == "the call was made already"
    # Abandoned before the call was made, and learnt late.
    assert desk.told(case.abandoned(4)) == []
    assert desk.told(case.resolved(9)) == []
    desk.waits(30 * 24 * HOUR)
    [_, _, last] = desk.log
    assert (last.state, last.place_ms) == (COMPLETED, T0)
    assert last.outcome == outreach.CALLBACK_OUTCOME_RESOLVED


def test_who_calls_again_after_it_gets_another_with_the_old_place() -> None:
    desk, case, it = owed()
    desk.asks("amal", it, "claim")
    desk.asks("amal", it, "complete", outcome=outreach.CALLBACK_OUTCOME_NEEDS_MORE)
    [another] = desk.told(case.abandoned(900))
    assert (another.state, another.place_ms) == (DUE, T0)
    assert another.callback_id != it


@pytest.mark.parametrize("how", ["answered", "resolved"])
def test_it_is_withdrawn_from_who_has_it(how: str) -> None:
    desk, case, it = owed()
    desk.asks("amal", it, "claim")
    [withdrawn] = desk.told(getattr(case, how)(100))
    assert (withdrawn.state, withdrawn.lease_until_ms) == (WITHDRAWN, 0)
    assert refusal(desk, "amal", it, "extend").startswith("it was withdrawn")


def test_a_redial_leaves_it_with_who_has_it() -> None:
    desk, case, it = owed()
    desk.asks("amal", it, "claim")
    [still] = desk.told(case.abandoned(60))
    assert (still.state, still.claimed_by) == (CLAIMED, "amal")


def test_a_coordinator_takes_it_from_anybody() -> None:
    desk, _, it = owed()
    desk.asks("amal", it, "claim")
    assert desk.asks("head", it, "release", from_anyone=True).state == DUE


# Nobody answers.


def hour_of(at_ms: int) -> int:
    return datetime.fromtimestamp(at_ms / 1000, DUBAI).hour


def part_of(at_ms: int) -> int:
    return (hour_of(at_ms) - 8) // 4


def test_it_is_tried_at_other_times_of_day_and_given_up() -> None:
    desk, _, it = owed()
    desk.now_ms = int(datetime(2027, 1, 15, 9, 30, tzinfo=DUBAI).timestamp() * 1000)
    parts = []
    for tried in range(1, 3):
        desk.asks("amal", it, "claim")
        parts.append(part_of(desk.now_ms))
        later = desk.asks("amal", it, "no_answer")
        assert (later.state, later.place_ms, len(later.tried_ms)) == (LATER, T0, tried)
        assert later.promises == tried
        assert desk.now_ms + DEFAULT.gap_ms < later.promised_from_ms <= later.not_before_ms
        assert later.not_before_ms < later.promised_until_ms
        [due] = desk.waits(later.not_before_ms - desk.now_ms)
        assert (due.state, due.place_ms) == (DUE, T0)
    desk.asks("amal", it, "claim")
    parts.append(part_of(desk.now_ms))
    assert sorted(parts) == [0, 1, 2]
    given_up = desk.asks("amal", it, "no_answer")
    assert (given_up.state, len(given_up.tried_ms)) == (GIVEN_UP, 3)
    assert given_up.settled_ms == desk.now_ms


def test_those_of_one_part_of_the_day_are_spread() -> None:
    windows = [DEFAULT.window(T0, [], f"callback-{i}") for i in range(200)]
    assert len({(w.from_ms, w.until_ms) for w in windows}) == 1
    assert len({w.due_ms // MINUTE for w in windows}) > 60


def test_a_life_in_danger_is_tried_soon_and_never_given_up() -> None:
    case = Told()
    case.case.life_safety = True
    desk, _, it = owed(case)
    for _ in range(10):
        desk.asks("amal", it, "claim")
        later = desk.asks("amal", it, "no_answer")
        assert later.not_before_ms == desk.now_ms + DEFAULT.urgent_ms
        assert (later.state, later.promises) == (LATER, 0)
        desk.waits(DEFAULT.urgent_ms)


def test_danger_or_another_call_makes_it_due_at_once() -> None:
    for danger in (True, False):
        desk, case, it = owed()
        desk.asks("amal", it, "claim")
        desk.asks("amal", it, "no_answer")
        case.case.life_safety = danger
        [due] = desk.told(case.opened() if danger else case.abandoned(3600))
        assert (due.state, due.not_before_ms) == (DUE, 0)


def test_a_landline_is_promised_nothing() -> None:
    desk, _, it = owed(Told(line=common_pb2.LINE_FIXED))
    desk.asks("amal", it, "claim")
    later = desk.asks("amal", it, "no_answer")
    assert (later.state, later.promises, later.promised_until_ms) == (LATER, 0, 0)


# Promised times.


def promised(desk: Desk, it: str, in_h: float, for_h: float) -> outreach.Callback:
    desk.asks("amal", it, "claim")
    start = desk.now_ms + int(in_h * HOUR)
    end = start + int(for_h * HOUR)
    return desk.asks("amal", it, "release", promised_from_ms=start, promised_until_ms=end)


def test_the_time_that_a_person_asked_for() -> None:
    desk, _, it = owed()
    later = promised(desk, it, 3, 2)
    assert (later.state, later.not_before_ms) == (LATER, later.promised_from_ms)
    assert (later.promises, later.moved) == (1, False)
    [due] = desk.waits(3 * HOUR)
    assert due.promised_until_ms == later.promised_until_ms


@pytest.mark.parametrize(("in_h", "for_h"), [(-3, 2), (1, 0), (1, -1), (24 * 8, 1)])
def test_no_time_that_can_be_promised(in_h: float, for_h: float) -> None:
    desk, _, it = owed()
    with pytest.raises(Refused, match="promised_until_ms"):
        promised(desk, it, in_h, for_h)


def test_a_promise_that_nobody_keeps_is_moved_once_before_it_passes() -> None:
    desk, _, it = owed()
    later = promised(desk, it, 3, 2)
    desk.waits(3 * HOUR)
    assert desk.waits(2 * HOUR - DEFAULT.ahead_ms - 1) == []
    [moved] = desk.waits(1)
    assert desk.now_ms < later.promised_until_ms <= moved.promised_from_ms
    assert (moved.state, moved.moved, moved.promises, moved.place_ms) == (LATER, True, 2, T0)
    [due] = desk.waits(moved.not_before_ms - desk.now_ms)
    assert due.state == DUE
    assert desk.waits(30 * 24 * HOUR) == []


def test_a_promise_is_not_moved_while_an_agent_calls() -> None:
    desk, _, it = owed()
    promised(desk, it, 1, 1)
    desk.waits(HOUR)
    desk.asks("badr", it, "claim")
    desk.waits(5 * MINUTE)
    assert desk.asks("badr", it, "extend").state == CLAIMED


# Cases that become one.


def test_the_agent_keeps_the_call_when_cases_merge() -> None:
    first, second = Told("first"), Told("second", arrival_ms=T0 - 60_000)
    second.case.person = first.case.person
    desk = Desk()
    for case in (first, second):
        desk.told(case.opened())
        desk.told(case.abandoned(10))
    [one, other] = [callback.callback_id for callback in desk.log]
    desk.asks("amal", other, "claim")
    decision = first.told(6)
    decision.change = dedup.CASE_CHANGE_MERGED
    decision.other.CopyFrom(second.case)
    decision.owed.contact_id = "a-call"
    stays, gone = desk.told(decision)
    assert (stays.callback_id, stays.state, stays.claimed_by) == (one, CLAIMED, "amal")
    assert (stays.place_ms, stays.lease_until_ms) == (T0 - 60_000, desk.now_ms + LEASE)
    assert (gone.callback_id, gone.state) == (other, WITHDRAWN)
    desk.asks("amal", one, "complete", outcome=outreach.CALLBACK_OUTCOME_RESOLVED)
    before = len(desk.log)
    desk.crashes()
    assert len(desk.log) == before


def of(work: int, agent: str = "amal") -> tuple[Desk, str]:
    """A callback of a work; of practice an exercise of `agent`."""
    case = Told(drill=work != outreach.WORK_UNSPECIFIED)
    desk = Desk()
    opened, abandoned = case.opened(), case.abandoned(10)
    for decision in (opened, abandoned):
        if work == outreach.WORK_PRACTICE:
            decision.case.exercise.CopyFrom(common_pb2.Exercise(agent=agent, code="visa-en"))
    desk.told(opened)
    [callback] = desk.told(abandoned)
    return desk, callback.callback_id


WORKS = (outreach.WORK_UNSPECIFIED, outreach.WORK_DRILL, outreach.WORK_PRACTICE)


@pytest.mark.parametrize("asks", WORKS)
@pytest.mark.parametrize("work", WORKS)
def test_nobody_gets_a_callback_of_another_work_than_they_asked_for(work: int, asks: int) -> None:
    desk, it = of(work)
    if work == asks:
        assert desk.asks("amal", it, "claim", work=asks).state == CLAIMED
    else:
        assert "belongs to" in refusal(desk, "amal", it, "claim", work=asks)
        assert desk.log[-1].state == DUE


def test_an_exercise_is_for_its_agent_only() -> None:
    desk, it = of(outreach.WORK_PRACTICE, "badr")
    refused = refusal(desk, "amal", it, "claim", work=outreach.WORK_PRACTICE)
    assert refused == "it is another agent's exercise"
    assert desk.asks("badr", it, "claim", work=outreach.WORK_PRACTICE).claimed_by == "badr"
    answer = common_pb2.Solution(agency="residency", topic="visa-expiry")
    done = desk.asks("badr", it, "complete", practised=outreach.Practised(answer=answer, score=70))
    assert (done.state, done.practised.score) == (COMPLETED, 70)


@pytest.mark.parametrize("work", WORKS)
def test_lists_of_works_have_no_callback_in_common(work: int) -> None:
    desk, it = of(work)
    callback = desk.callbacks.get(it)
    assert callback is not None
    listed = {operation.index for operation in views.item(callback, 1).index}
    others = set()
    for other in set(WORKS) - {work}:
        desk, it = of(other)
        callback = desk.callbacks.get(it)
        assert callback is not None
        others |= {operation.index for operation in views.item(callback, 1).index}
    assert listed
    assert not listed & others
