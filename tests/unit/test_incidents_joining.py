"""What texts mean may make two incidents one: decided in the log, once, and never against a
person."""

import dataclasses
import random
from typing import Any

import pytest
from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import incidents_pb2

from services.dedup.incidents import inputs
from services.dedup.incidents.state import Decision
from services.dedup.incidents.views import Shown, links_of
from services.runtime import ids
from services.runtime.errors import Poison
from tests.incidents_desk import LEVELS, NOW, Desk, case_of, snapshot

JOINED = incidents_pb2.INCIDENT_CHANGE_JOINED
REFUSED = incidents_pb2.INCIDENT_CHANGE_REFUSED
REPEATED = incidents_pb2.INCIDENT_CHANGE_REPEATED
PARTED = incidents_pb2.INCIDENT_CHANGE_PARTED
REASON = "the texts mean the same (0.71), 0 words in common, 4 min apart"
ARABIC = [
    ("a1", "سرب نحل هجم علينا جنب النافورة ولسع ناس وايد", "ar"),
    ("a2", "النحل يلسع الناس جنب النافورة، السرب هجم مرة ثانية", "ar"),
]
HINDI = [
    ("h1", "फव्वारे के पास मधुमक्खियों के झुंड ने सबको डंक मारे", "hi"),
    ("h2", "मधुमक्खियों का झुंड फव्वारे के पास डंक मार रहा है", "hi"),
]


def play(desk: Desk, told: list[tuple[str, str, str]], since: float = 0) -> None:
    for minute, (name, text, language) in enumerate(told):
        desk.say(name, text, since + minute, language=language)


def join(case: str, other: str, key: str = "1", **given: Any) -> incidents_pb2.IncidentCommand:
    return incidents_pb2.IncidentCommand(
        envelope=common_pb2.CommandEnvelope(
            command_id=ids.command_id("dedup", "Join", f"{case}/{other}/{key}"),
            subject="dedup",
            asked_ms=NOW,
        ),
        case_id=case_of(case),
        join=incidents_pb2.Join(other_id=case_of(other), score=0.714, reason=REASON, **given),
    )


def told(desk: Desk, command: incidents_pb2.IncidentCommand) -> Decision:
    at = common_pb2.Input(topic="command", offset=len(desk.log))
    decision = desk.state.command(command, at, NOW)
    desk.log.append(Decision.FromString(decision.SerializeToString()))
    desk.state.through = len(desk.log) - 1
    return decision


@pytest.fixture
def desk() -> Desk:
    desk = Desk()
    play(desk, [*ARABIC, *HINDI])
    assert desk.together() == {frozenset({"a1", "a2"}), frozenset({"h1", "h2"})}
    return desk


def test_two_incidents_without_a_common_word_become_one(desk: Desk) -> None:
    older = desk.state.group_of[case_of("a1")].incident_id
    gone = desk.state.group_of[case_of("h1")].incident_id
    decision = told(desk, join("h2", "a2"))
    assert (decision.change, decision.outcome.code) == (JOINED, 0)
    assert (decision.incident_id, list(decision.joined)) == (older, [gone])
    [link] = [link for link in decision.links if link.by_meaning]
    assert (link.case_id, link.score, link.reason) == (case_of("a2"), 0.71, REASON)
    assert desk.together() == {frozenset({"a1", "a2", "h1", "h2"})}
    assert {one.incident_id: one.joined_into for one in decision.incidents}[gone] == older
    assert snapshot(desk.folded()) == snapshot(desk.state)
    [back] = [link for link in links_of(desk.state, case_of("a2")) if link.by_meaning]
    assert (back.case_id, back.reason) == (case_of("h2"), REASON)


def test_a_case_that_stands_alone_joins_and_two_of_them_make_an_incident() -> None:
    desk = Desk()
    play(desk, [ARABIC[0], HINDI[0]])
    decision = told(desk, join("h1", "a1"))
    assert decision.change == JOINED
    # Named by its first case, whichever of the two the command is about.
    assert decision.incident_id == ids.derive("incident", case_of("a1"))
    assert list(decision.alone) == [case_of("a1")]
    desk.say("m1", "ജലധാരയ്ക്കടുത്ത് തേനീച്ചക്കൂട്ടം ആളുകളെ കുത്തി", 3, language="ml")
    assert told(desk, join("m1", "h1")).change == JOINED
    assert desk.together() == {frozenset({"a1", "h1", "m1"})}
    assert snapshot(desk.folded()) == snapshot(desk.state)


def test_to_say_it_twice_changes_nothing(desk: Desk) -> None:
    command = join("h2", "a2")
    told(desk, command)
    before = snapshot(desk.state)
    again = told(desk, command)
    assert (again.change, again.outcome.code) == (REPEATED, 0)
    # Found anew by another owner, when the groups had other sizes.
    once_more = told(desk, join("h1", "a1", key="2"))
    assert (once_more.change, once_more.outcome.code) == (REFUSED, 9)
    for what in ("needs", "groups", "links", "linked by", "gone", "parted"):
        assert snapshot(desk.state)[what] == before[what]
    assert snapshot(desk.folded()) == snapshot(desk.state)


def test_what_is_not_remembered_or_a_rehearsal_or_long_ago_is_not_joined() -> None:
    desk = Desk()
    play(desk, ARABIC)
    desk.say("h1", HINDI[0][1], 1, language="hi", drill=True)
    desk.say("h2", HINDI[1][1], 60 * 7, language="hi")
    before = desk.together()
    for case, code, why in (
        ("nobody", 5, "not remembered"),
        ("h1", 9, "rehearsal"),
        ("h2", 9, "too far apart"),
        ("a2", 9, "already"),
        ("a1", 9, "already"),
    ):
        decision = told(desk, join(case, "a1"))
        assert (decision.change, decision.outcome.code) == (REFUSED, code)
        assert why in decision.outcome.message
    assert desk.together() == before
    assert snapshot(desk.folded()) == snapshot(desk.state)


def test_what_a_person_parted_is_never_joined_again(desk: Desk) -> None:
    joined = told(desk, join("h2", "a2"))
    desk.unlink("h2", joined.incident_id)
    for number, (case, other) in enumerate((("h2", "a1"), ("a2", "h2"), ("h2", "h1"))):
        decision = told(desk, join(case, other, key=f"again {number}"))
        assert (decision.change, decision.outcome.message) == (REFUSED, "a person parted them")
    assert case_of("h2") not in desk.state.group_of
    desk.state = desk.folded()
    assert told(desk, join("h2", "a1", key="after")).change == REFUSED


def test_two_cases_that_a_person_parted_are_not_held_together_again(desk: Desk) -> None:
    told(desk, join("h2", "a2"))
    desk.unlink("h2", case_of("a2"), incident=False)
    assert not [link for link in desk.state.links[case_of("h2")] if link.by_meaning]
    assert told(desk, join("h2", "a2", key="2")).change == REFUSED


def test_who_came_by_meaning_stays_when_more_is_said(desk: Desk) -> None:
    told(desk, join("h2", "a2"))
    whole = desk.together()
    # The two that the link is between, and those that came with them.
    desk.say("h2", "मधुमक्खियों का झुंड अभी भी है, बच्चे रो रहे हैं", 5, language="hi")
    assert [link.case_id for link in desk.log[-1].links if link.by_meaning] == [case_of("a2")]
    desk.say("a2", "السرب هجم على باص المدرسة بعد", 6)
    desk.say("h1", "मधुमक्खियों का झुंड और बढ़ गया, फव्वारे के पास सबको डंक मारे", 7, language="hi")
    desk.say("a1", "سرب النحل جنب النافورة لسع ناس وايد ومحد يانا", 8)
    assert desk.together() == whole
    assert snapshot(desk.folded()) == snapshot(desk.state)


ONE = {"language": "ar", "topic": "power-cut", "topic_confidence": 1.0}
OTHER = {"language": "hi", "topic": "bees", "topic_confidence": 1.0}


@pytest.mark.parametrize("speaks", ["a1", "h1"])
def test_two_who_share_no_word_stay_together_whichever_says_more(speaks: str) -> None:
    desk = Desk()
    desk.say("a1", "", 0, shape=range(100, 108), **ONE)
    desk.say("h1", "", 90, shape=range(200, 208), **OTHER)
    told(desk, join("h1", "a1"))
    given = {"a1": ONE, "h1": OTHER}[speaks]
    desk.say(speaks, "", 95, shape=range(300, 304), **given)
    assert desk.together() == {frozenset({"a1", "h1"})}
    assert [d.change for d in desk.log[-2:]] == [JOINED, incidents_pb2.INCIDENT_CHANGE_KNOWN]
    assert snapshot(desk.folded()) == snapshot(desk.state)


def test_who_fits_one_of_its_part_stays_however_many_of_the_other_part_came() -> None:
    desk = Desk(dataclasses.replace(LEVELS, stay_at=0.45))
    for number in range(2):
        desk.say(f"a{number}", ARABIC[number][1], number, **ONE)
    for number in range(8):
        desk.say(f"h{number}", HINDI[number % 2][1], 90 + number, **OTHER)
    assert len(desk.together()) == 2
    told(desk, join("h2", "a1"))
    desk.say("a0", "", 101, shape=range(300, 320), **ONE)
    assert desk.log[-1].change == incidents_pb2.INCIDENT_CHANGE_KNOWN
    assert len(desk.together()) == 1


def test_without_the_case_that_held_them_its_parts_are_two_again(desk: Desk) -> None:
    told(desk, join("h2", "a2"))
    desk.say("h2", "", 4, merged_into=case_of("elsewhere"))
    assert desk.log[-1].change == PARTED
    assert desk.together() == {frozenset({"a1", "a2"})}
    assert snapshot(desk.folded()) == snapshot(desk.state)


def test_an_incident_that_its_first_case_left_keeps_its_name_to_itself() -> None:
    desk = Desk()
    text = "نفق خيطان غرق بالماي والسيارات عالقة وسط النفق"
    for minute, name in enumerate(("f1", "f2", "f3")):
        desk.say(name, text, minute)
    left = desk.state.group_of[case_of("f1")].incident_id
    desk.unlink("f1", left)
    desk.say("f4", text, 4)
    desk.unlink("f4", left)
    # Both are kept from it, and make one of their own.
    desk.say("f4", text + " نرجو سحب المياه", 5)
    assert frozenset({"f1", "f4"}) in desk.together()
    assert desk.state.group_of[case_of("f1")].incident_id != left
    assert snapshot(desk.folded()) == snapshot(desk.state)


def test_whatever_is_found_the_log_gives_the_same_again() -> None:
    pick = random.Random(7)
    desk = Desk()
    for n in range(250):
        name, other = (f"p{pick.randrange(40)}" for _ in range(2))
        chance = pick.random()
        if chance < 0.5:
            _, text, language = pick.choice([*ARABIC, *HINDI])
            words = text.split()
            desk.say(name, " ".join(words[: pick.randint(3, len(words))]), n, language=language)
        elif chance < 0.85:
            told(desk, join(name, other, key=str(pick.randrange(3))))
        elif chance < 0.9:
            desk.say(name, "", n, merged_into=case_of("elsewhere"))
        elif group := desk.state.group_of.get(case_of(name)):
            desk.unlink(name, group.incident_id, key=str(n))
        for case, group in desk.state.group_of.items():
            assert not desk.state.partings.barred(case, group)
    assert sum(decision.change == JOINED for decision in desk.log) > 30
    assert snapshot(desk.folded()) == snapshot(desk.state)
    shown = [item.key for item in Shown(0).everything(desk.state)]
    assert len(shown) == len(set(shown))


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"other_id": "no"}, "other_id"),
        ({"score": 2.0}, "score"),
        ({"score": float("nan")}, "score"),
        ({"reason": "x" * 301}, "reason"),
    ],
)
def test_a_finding_that_no_version_could_work_is_set_aside(given: dict[str, Any], why: str) -> None:
    command = join("a1", "h1")
    assert inputs.command(command.SerializeToString()) == command
    for name, value in given.items():
        setattr(command.join, name, value)
    with pytest.raises(Poison, match=why):
        inputs.command(command.SerializeToString())
