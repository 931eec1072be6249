"""Exercises are mixed, in a language and of a difficulty that was asked for, and tell no solution
before they are answered.
"""

from collections import Counter
from io import StringIO
from pathlib import Path

import pytest
import yaml
from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import service_pb2 as dedup_pb2
from mawja.outreach.v1 import events_pb2, service_pb2
from rich.console import Console, RenderableType

from loadtests.texts import phrasebook
from services.outreach import practice
from services.runtime.numbers import is_synthetic
from services.tools.practice import telling
from services.tools.practice.exercises import NoSuchExercise, exercises
from services.tools.practice.sending import calls, contact

BOOK = phrasebook()
AGENTS = ("amal", "badr")
CATALOGUE = Path(__file__).parents[2] / "services" / "dedup" / "catalogue"


def shown(told: RenderableType) -> str:
    console = Console(width=100, file=StringIO())
    console.print(told)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_each_agent_gets_as_many_of_every_difficulty_in_several_languages() -> None:
    made = list(exercises(BOOK, AGENTS, 30, seed=1))
    assert Counter(one.exercise.agent for one in made) == {"amal": 30, "badr": 30}
    assert Counter((one.exercise.agent, one.exercise.difficulty) for one in made) == {
        (agent, hard): 10 for agent in AGENTS for hard in (1, 2, 3)
    }
    assert len({one.language for one in made}) > 4
    assert len({one.key for one in made}) == len({one.number for one in made}) == 60
    assert all(is_synthetic(one.number) for one in made)
    assert any(one.exercise.solution.life_safety for one in made)
    assert made == list(exercises(BOOK, AGENTS, 30, seed=1))
    assert made != list(exercises(BOOK, AGENTS, 30, seed=2))


def test_what_was_asked_for_is_what_comes() -> None:
    made = list(exercises(BOOK, AGENTS, 8, seed=1, languages=["hi"], difficulties=[2, 3]))
    assert {one.language for one in made} == {"hi"}
    assert {one.exercise.difficulty for one in made} == {2, 3}
    with pytest.raises(NoSuchExercise, match="languages are"):
        list(exercises(BOOK, AGENTS, 1, seed=1, languages=["xx"]))
    with pytest.raises(NoSuchExercise, match="difficulties"):
        list(exercises(BOOK, AGENTS, 1, seed=1, languages=["hi"], difficulties=[1]))


def test_every_solution_has_a_procedure_in_the_catalogue() -> None:
    for topic in BOOK.topics.values():
        agency = yaml.safe_load((CATALOGUE / f"{topic.agency}.yaml").read_text("utf-8"))
        assert agency["services"][topic.id]["steps"]["en"], topic.id
        assert bool(agency["services"][topic.id].get("life_safety")) == topic.life_safety, topic.id


def test_a_caller_of_an_exercise_is_marked_and_does_not_say_whose_matter_it_is() -> None:
    [made] = exercises(BOOK, ["amal"], 1, seed=1)
    sent = contact(made, "practice", 1_800_000_000_000)
    assert sent.drill
    assert sent.exercise == made.exercise
    assert sent.text == made.exercise.says
    assert (sent.agency, sent.topic, sent.life_safety) == ("", "", False)
    assert all(
        call.drill and call.contact_key == sent.idempotency_key
        for call in calls(made, "practice", 1_800_000_000_000)
    )


def test_before_the_answer_nothing_of_the_solution_is_told() -> None:
    [made] = exercises(BOOK, ["amal"], 1, seed=1, languages=["en"], difficulties=[3])
    callback = events_pb2.Callback(case_number="K7", language="en", exercise=made.exercise)
    told = shown(telling.exercise(callback))
    assert "PRACTICE" in told
    assert made.exercise.solution.agency not in told
    assert made.exercise.code not in told


def test_after_it_the_procedure_is_told() -> None:
    solution = common_pb2.Solution(agency="residency", topic="visa-expiry")
    answer = common_pb2.Solution(agency="residency", topic="passport", life_safety=True)
    judged = practice.judged(solution, answer)
    given = service_pb2.Feedback(
        score=practice.score(judged), judged=judged, solution=solution, handling_ms=300_000
    )
    service = dedup_pb2.CatalogueService(topic="visa-expiry")
    service.steps.add().texts.update({"en": "Ask for the file number", "ar": "اسأل عن رقم الملف"})
    told = " ".join(shown(telling.feedback(given, answer, service, "hi")).split())
    assert "40 of 100, in 300 s (4 min are the promise)" in told
    assert "which service 0 of 30 passport visa-expiry" in told
    assert "a life in danger 0 of 30 yes no" in told
    assert "1. " in told
    assert "Ask for the file number" in told
    assert "رقم الملف" in shown(telling.feedback(given, answer, service, "ar"))


def test_scores_show_each_agent_and_whether_it_gets_better() -> None:
    done = [
        service_pb2.Practice(agent="amal", code="wages-en", score=score, handling_ms=ms)
        for score, ms in ((100, 60_000), (90, 300_000), (40, 60_000), (70, 60_000))
    ]
    told = " ".join(shown(telling.scores(done)).split())
    assert "amal 4 75 +40 75%" in told
