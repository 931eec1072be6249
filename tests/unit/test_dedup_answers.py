"""What dedup says of questions: with each decision, never where a life may be in danger, and which
of two was meant when the person says so."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2
from mawja.intake.v1 import events_pb2 as intake_pb2

from services.dedup import catalogue, data, languages, learnt
from services.dedup.cases import Cases, Decision
from services.dedup.catalogue import Catalogue
from services.dedup.choice import choice, chosen
from services.dedup.questions import Questions
from services.dedup.reading import Limits, Reader
from services.runtime import ids
from services.runtime.errors import ConfigError
from tests.dedup_desk import ALI, MIN, NOW, RULES
from tests.quality.scenes import plain_hash

QUESTION = "هل المدارس مغلقة غدا؟"
BETWEEN = "قطاع خاص ولا حكومة دوام باجر؟"


@cache
def reader() -> Reader:
    services, spoken = catalogue.read(), languages.read()
    known = data.knowledge(None, services)
    return Reader(
        spoken,
        services.agencies_of,
        learnt.weights(),
        Limits(RULES.life_enough, RULES.topic_enough, RULES.kind_enough),
        plain_hash,
        Questions(known.entries.values(), known.asking, spoken),
        known.unclear,
    )


class Writer:
    """One person who writes, and the cases of the partition."""

    def __init__(self) -> None:
        self.cases = Cases(RULES, trees=learnt.trees())
        self._sent = 0

    def writes(self, text: str, *, after_ms: int = MIN, line: str = "8005") -> Decision:
        self._sent += 1
        contact = intake_pb2.ContactAccepted(
            contact_id=ids.contact_id("test", str(self._sent)),
            person=ALI,
            channel=common_pb2.CHANNEL_SMS,
            line=line,
            event_ms=NOW + self._sent * after_ms,
            accepted_ms=NOW,
            sealed_number=b"sealed",
        )
        at = common_pb2.Input(topic="t", offset=self._sent)
        return self.cases.contact(contact, reader().read(text), at, NOW)


def test_a_question_stands_on_the_decision_and_on_the_case() -> None:
    decision = Writer().writes(QUESTION)
    assert decision.triage.question == decision.case.triage.question == "schools-tomorrow"
    assert decision.triage.question_confidence >= 0.9


def test_what_asks_nothing_says_no_question() -> None:
    triage = Writer().writes("شكرا على سرعة التجاوب").triage
    assert (triage.question, triage.question_confidence) == ("", 0)


def test_where_a_life_may_be_in_danger_no_question_is_told() -> None:
    triage = Writer().writes("متى ترجع الكهرباء؟ أمي على جهاز تنفس وما تقدر تتنفس، بتموت").triage
    assert triage.life_safety
    assert not triage.question


@pytest.mark.parametrize(
    ("text", "which"),
    [
        ("1", 1),
        (" 2. ", 2),
        ("١", 1),
        ("۲", 2),
        ("२)", 2),
        ("\u200f1\u200f", 1),
        ("", 0),
        ("3", 0),
        ("12", 0),
        ("1 2", 0),
        ("one", 0),
        ("1" * 100_000, 0),
    ],
)
def test_a_choice_is_one_figure_in_any_script(text: str, which: int) -> None:
    assert choice(text) == which


@pytest.mark.parametrize(
    ("reply", "place"),
    [("1", "question"), ("٢", "next_question")],
)
def test_a_reply_of_one_figure_joins_the_case_and_says_which_was_meant(
    reply: str, place: str
) -> None:
    writer = Writer()
    first = writer.writes(BETWEEN)
    assert first.triage.next_question
    decision = writer.writes(reply)
    assert decision.change == events_pb2.CASE_CHANGE_LINKED
    assert decision.case.case_id == first.case.case_id
    assert decision.triage.question == getattr(first.triage, place)
    assert decision.triage.question_confidence == 1
    assert not decision.triage.next_question
    assert decision.triage.topic == first.triage.topic
    # Said once: a second figure chooses nothing more.
    again = writer.writes("2")
    assert not again.HasField("triage")
    assert again.case.triage == decision.triage


def test_a_figure_that_answers_nothing_chooses_nothing() -> None:
    decision = Writer().writes("1")
    assert decision.change == events_pb2.CASE_CHANGE_OPENED
    assert not decision.HasField("triage")
    assert not decision.case.HasField("triage")
    assert chosen(1, events_pb2.Triage(question="roads", question_confidence=0.9)) is None


def test_folding_the_log_gives_the_same_again() -> None:
    writer = Writer()
    decisions = [writer.writes(BETWEEN), writer.writes("2")]
    again = Cases(RULES)
    for offset, decision in enumerate(decisions):
        again.fold(Decision.FromString(decision.SerializeToString()), offset)
    assert again.case(0).triage == decisions[-1].triage


# Whose service it is.


def test_examples_about_services_that_a_catalogue_lacks_are_left_out() -> None:
    services = catalogue.read()
    fewer = [
        replace(one, services=tuple(s for s in one.services if s.code != "school-closure"))
        for one in services.agencies.values()
    ]
    known = data.knowledge(None, Catalogue(iter(fewer)))
    assert "schools-tomorrow" not in known.entries
    assert len(known.entries) == len(data.knowledge(None, services).entries) - 1


def test_an_own_file_must_fit_the_catalogue(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    shipped = Path("services/runtime/knowledge.yaml").read_text("utf-8")
    mine.write_text(shipped, "utf-8")
    assert len(data.knowledge(mine, catalogue.read()).entries) == 27
    mine.write_text(shipped.replace("agency: education", "agency: health", 1), "utf-8")
    wrong = "MAWJA_KNOWLEDGE: schools-tomorrow: school-closure is no service of health"
    with pytest.raises(ConfigError, match=wrong):
        data.knowledge(mine, catalogue.read())


def test_a_figure_chooses_nothing_where_nothing_was_asked() -> None:
    writer = Writer()
    first = writer.writes(QUESTION)
    assert not first.triage.next_question
    later = writer.writes("2")
    assert later.triage.question_confidence < 1 or not later.HasField("triage")
