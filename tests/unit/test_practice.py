"""How an exercise is judged, and what its agent is told."""

import pytest
from mawja.common.v1.common_pb2 import Solution
from mawja.outreach.v1 import events_pb2 as outreach

from services.outreach import practice, views
from services.outreach.working import CLAIMED, COMPLETED, DUE

VISA = Solution(agency="residency", topic="visa-expiry")
FIRE = Solution(agency="civil-defence", topic="trapped", life_safety=True)


@pytest.mark.parametrize(
    ("solution", "answer", "score"),
    [
        (VISA, VISA, 100),
        (FIRE, FIRE, 100),
        (VISA, Solution(agency="residency", topic="visa"), 70),
        (VISA, Solution(agency="labour", topic="visa-expiry"), 30),
        (FIRE, Solution(agency="civil-defence", topic="trapped"), 70),
        (VISA, Solution(agency="residency", topic="visa-expiry", life_safety=True), 70),
        (FIRE, Solution(agency="police", topic="noise"), 0),
    ],
)
def test_points(solution: Solution, answer: Solution, score: int) -> None:
    judged = practice.judged(solution, answer)
    assert practice.score(judged) == score
    assert sum(one.most for one in judged) == 100


def test_feedback_says_what_was_right_and_how_long_it_took() -> None:
    callback = exercise()
    told = practice.feedback(callback)
    assert told.solution == FIRE
    assert told.handling_ms == 90_000
    assert [one.what for one in told.judged if one.points < one.most] == ["life_safety"]
    line = practice.told(callback)
    assert (line.agent, line.code, line.difficulty, line.score) == ("amal", "trapped-en", 3, 70)


def test_the_history_has_what_was_completed_and_nothing_else() -> None:
    callback = exercise()
    own, all_ = views.practised_index("amal"), views.practised_index("")
    placed = {op.index: op.score for op in views.item(callback, 1).index}
    assert placed[own] == placed[all_] == -190_000
    for state in (DUE, CLAIMED):
        callback.state = state
        assert own not in {op.index for op in views.item(callback, 1).index}


def exercise() -> outreach.Callback:
    callback = outreach.Callback(
        callback_id="00000000-0000-5000-8000-000000000001",
        state=COMPLETED,
        drill=True,
        claimed_by="amal",
        claimed_ms=100_000,
        decided_ms=190_000,
        practised=outreach.Practised(
            answer=Solution(agency="civil-defence", topic="trapped"), score=70
        ),
    )
    made = callback.exercise
    made.agent, made.code, made.difficulty = "amal", "trapped-en", 3
    made.solution.CopyFrom(FIRE)
    return callback
