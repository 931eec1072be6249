"""Exercises: how an answer is judged, and what is told of it. Pure.

An agent who practises gets synthetic callers, works them by the calls of real work, and says of
each whose matter it is, which service, and whether a life is in danger. Seeing the danger weighs as
much as the service, and so does not seeing one where there is none: an ambulance sent for nothing
is missing elsewhere. Who names the wrong agency gets nothing for the service, which is another one
of the same name at most.
"""

from collections.abc import Sequence

from mawja.common.v1 import common_pb2
from mawja.outreach.v1 import events_pb2, service_pb2

AGENCY, TOPIC, LIFE_SAFETY = 40, 30, 30
"""Points, of 100 together."""


def judged(
    solution: common_pb2.Solution, answer: common_pb2.Solution
) -> tuple[service_pb2.Judged, ...]:
    """Each thing of an answer with its points."""
    agency = answer.agency == solution.agency
    topic = agency and answer.topic == solution.topic
    danger = answer.life_safety == solution.life_safety
    return (
        service_pb2.Judged(what="agency", points=AGENCY * agency, most=AGENCY),
        service_pb2.Judged(what="topic", points=TOPIC * topic, most=TOPIC),
        service_pb2.Judged(what="life_safety", points=LIFE_SAFETY * danger, most=LIFE_SAFETY),
    )


def score(of: Sequence[service_pb2.Judged]) -> int:
    """The points of an answer, 0 to 100."""
    return sum(one.points for one in of)


def feedback(callback: events_pb2.Callback) -> service_pb2.Feedback:
    """What the agent is told of a completed exercise, also when the same request comes again."""
    solution = callback.exercise.solution
    return service_pb2.Feedback(
        score=callback.practised.score,
        judged=judged(solution, callback.practised.answer),
        solution=solution,
        handling_ms=_handling_ms(callback),
    )


def told(callback: events_pb2.Callback) -> service_pb2.Practice:
    """A completed exercise as a line of the history."""
    return service_pb2.Practice(
        agent=callback.exercise.agent,
        code=callback.exercise.code,
        language=callback.language,
        difficulty=callback.exercise.difficulty,
        score=callback.practised.score,
        handling_ms=_handling_ms(callback),
        completed_ms=callback.decided_ms,
    )


def _handling_ms(callback: events_pb2.Callback) -> int:
    return max(0, callback.decided_ms - callback.claimed_ms)
