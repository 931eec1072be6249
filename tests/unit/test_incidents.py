"""What is one event is one incident, whatever the language and order; what is not stays apart."""

import dataclasses
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2, incidents_pb2

from tests.incidents_desk import LEVELS, NOW, Desk, case_of, snapshot

FLOOD = [
    ("f1", "نفق خيطان غرق بالماي والسيارات عالقة وسط النفق", "ar"),
    ("f2", "Khaitan underpass is flooded, cars are stuck in the water at the Khaitan tunnel", "en"),
    ("f3", "مياه الأمطار أغرقت نفق خيطان والسيارات عالقة فيه", "ar"),
]
DARK = [
    ("d1", "انقطعت الكهرباء عن منطقة السالمية قطعة 4 منذ ساعتين", "ar"),
    ("d2", "الكهرباء مقطوعة في السالمية قطعة 4 من ساعتين", "ar"),
]
MEDICINE = [
    ("m1", "صيدلية مركز الجيمي ما عندها انسولين لأمي", "ar"),
    ("m2", "No insulin at the Jimi health centre pharmacy for my father", "en"),
    ("m3", "insulin khalas fe saydaliyat markaz el jimi", "ar-Latn"),
]
EVENTS = [FLOOD, DARK, MEDICINE]
JOINED = incidents_pb2.INCIDENT_CHANGE_JOINED
ALONE = incidents_pb2.INCIDENT_CHANGE_ALONE
PARTED = incidents_pb2.INCIDENT_CHANGE_PARTED


def play(desk: Desk, told: list[tuple[str, str, str]]) -> None:
    for minute, (name, text, language) in enumerate(told):
        desk.say(name, text, minute, language=language)


def test_one_event_in_two_languages_is_one_incident() -> None:
    desk = Desk()
    play(desk, [*FLOOD, *DARK])
    assert desk.together() == {frozenset({"f1", "f2", "f3"}), frozenset({"d1", "d2"})}
    [flood] = [g for g in desk.state.everything() if len(g) == 3]
    stated = flood.stated(0.75)
    assert (stated.cases, stated.people, stated.open) == (3, 3, 3)
    assert [(c.value, c.cases) for c in stated.languages] == [("ar", 2), ("en", 1)]
    assert [(c.value, c.cases) for c in stated.places] == [("Khaitan", 3)]
    assert [sample.language for sample in stated.samples] == ["ar", "en"]
    assert (stated.recent, stated.before) == (3, 0)


@settings(max_examples=40, deadline=None)
@given(st.permutations([case for event in EVENTS for case in event]))
def test_the_order_of_arrival_does_not_matter(told: list[tuple[str, str, str]]) -> None:
    desk = Desk()
    play(desk, told)
    assert desk.together() == {frozenset(name for name, _, _ in event) for event in EVENTS}
    assert snapshot(desk.folded()) == snapshot(desk.state)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "؟؟",
        "السلام عليكم",
        "help",
        "مساعدة",
        "ساعدوني",
        "👍",
        "123456",
        "a" * 100_000,
        "\u200f\u202e",
    ],
)
def test_what_says_nothing_gathers_nobody(text: str) -> None:
    desk = Desk()
    for n in range(30):
        desk.say(f"p{n}", text, n / 10)
    assert desk.together() == set()
    assert not any(desk.state.links.values())


def test_the_same_trouble_elsewhere_is_another_incident() -> None:
    desk = Desk()
    desk.say("one", "انقطعت المياه عن منازل الرستاق منذ الصباح")
    desk.say("two", "انقطعت المياه عن منازل صحار منذ الصباح", 5)
    assert desk.together() == set()


def test_a_rehearsal_is_no_event() -> None:
    desk = Desk()
    desk.say("one", FLOOD[0][1], drill=True)
    desk.say("two", FLOOD[2][1], 1)
    assert desk.together() == set()


def test_long_after_it_is_another_event() -> None:
    desk = Desk()
    desk.say("one", FLOOD[0][1])
    desk.say("two", FLOOD[2][1], 60 * 24)
    assert desk.together() == set()


def test_what_was_stated_before_changes_nothing() -> None:
    desk = Desk()
    stated = desk.need("one", FLOOD[0][1])
    assert desk.tell(stated).change == ALONE
    before = snapshot(desk.state)["needs"]
    assert desk.tell(stated).change == incidents_pb2.INCIDENT_CHANGE_REPEATED
    assert snapshot(desk.state)["needs"] == before
    assert snapshot(desk.folded()) == snapshot(desk.state)


def test_a_link_says_why_and_swallows_nothing() -> None:
    desk = Desk()
    play(desk, DARK)
    decision = desk.log[-1]
    assert decision.change == JOINED
    [link] = decision.links
    assert link.case_id == case_of("d1")
    assert link.level in (
        events_pb2.LINK_LEVEL_OTHER_PERSON,
        events_pb2.LINK_LEVEL_SAME_INCIDENT,
    )
    assert link.score >= 0.5
    assert link.reason.startswith("same place (Salmiya)")
    assert link.reason.endswith("1 min apart")
    assert len(desk.state.needs) == 2


def test_many_who_ask_one_thing_have_one_question() -> None:
    desk = Desk()
    asks: dict[str, Any] = {
        "kind": common_pb2.CONTACT_KIND_ENQUIRY,
        "topic": "visit-visa",
        "topic_confidence": 1.0,
    }
    desk.say("one", "كم رسوم تمديد تأشيرة الزيارة في قطر؟", **asks)
    desk.say("two", "رسوم تمديد تأشيرة الزيارة قطر كم لو سمحتوا", 3, **asks)
    [group] = desk.state.everything()
    assert group.stated(0.75).level == events_pb2.LINK_LEVEL_SAME_QUESTION


def test_two_incidents_become_one_when_a_case_fits_both() -> None:
    desk = Desk()
    play(desk, FLOOD[:1])
    desk.say("g1", "شارع المطار مغلق بسبب حادث", 2)
    desk.say("f3", FLOOD[2][1], 3)
    name = desk.log[-1].incident_id
    assert desk.together() == {frozenset({"f1", "f3"})}
    desk.say("h1", "Khaitan tunnel flooded cars stuck water", 4, language="en")
    assert desk.together() == {frozenset({"f1", "f3", "h1"})}
    assert desk.log[-1].incident_id == name
    assert snapshot(desk.folded()) == snapshot(desk.state)


def test_an_incident_falls_apart_without_what_held_it() -> None:
    desk = Desk()
    play(desk, FLOOD)
    desk.say("f1", "", 5, merged_into=case_of("elsewhere"))
    assert desk.log[-1].change == PARTED
    assert case_of("f1") not in desk.state.needs
    assert all("f1" not in group for group in desk.together())
    assert snapshot(desk.folded()) == snapshot(desk.state)


def test_what_a_person_took_out_stays_out_under_every_name() -> None:
    desk = Desk()
    play(desk, FLOOD)
    [group] = desk.state.everything()
    parted = desk.unlink("f3", group.incident_id)
    assert parted.change == incidents_pb2.INCIDENT_CHANGE_UNLINKED
    assert parted.outcome.code == 0
    assert desk.together() == {frozenset({"f1", "f2"})}
    assert not desk.state.links[case_of("f3")]
    again = desk.unlink("f3", group.incident_id)
    assert (again.change, again.outcome.code) == (incidents_pb2.INCIDENT_CHANGE_REPEATED, 0)
    refused = desk.unlink("f3", group.incident_id, key="2")
    assert (refused.change, refused.outcome.code) == (incidents_pb2.INCIDENT_CHANGE_REFUSED, 9)
    desk.say("f3", "نفق خيطان مازال غارقا والسيارات عالقة في المياه", 6)
    desk.say("f4", FLOOD[0][1], 7)
    desk.say("f5", FLOOD[2][1], 8)
    for group_ in desk.together():
        assert not {"f3"} & group_ or not {"f1", "f2"} & group_
    # And so it is for the next owner.
    assert snapshot(desk.folded()) == snapshot(desk.state)
    desk.state = desk.folded()
    desk.say("f6", FLOOD[2][1], 9)
    desk.say("f1", FLOOD[2][1], 10)
    for group_ in desk.together():
        assert not {"f3"} & group_ or not {"f1", "f2"} & group_


def test_two_cases_that_a_person_parted_are_not_linked_again() -> None:
    desk = Desk()
    play(desk, DARK)
    parted = desk.unlink("d2", case_of("d1"), incident=False)
    assert parted.outcome.code == 0
    assert not parted.links
    desk.say("d2", "للحين الكهرباء مقطوعة في السالمية قطعة 4", 5)
    desk.say("d1", "للحين الكهرباء مقطوعة عن السالمية قطعة 4", 6)
    assert not [link for case in ("d1", "d2") for link in desk.state.links[case_of(case)]]
    assert snapshot(desk.folded()) == snapshot(desk.state)
    assert desk.unlink("d2", case_of("f1"), incident=False).outcome.code == 9
    assert desk.unlink("nobody", case_of("f1"), incident=False).outcome.code == 5


def test_memory_is_bounded() -> None:
    desk = Desk(dataclasses.replace(LEVELS, most_cases=50))
    for n in range(200):
        desk.say(f"p{n}", FLOOD[n % 3][1], n)
        assert len(desk.state.needs) <= 50
    desk.say("later", "كم رسوم تجديد الرخصة", 60 * 24 * 30)
    assert len(desk.state.needs) == 1
    assert desk.together() == set()
    assert desk.state.decided["need"] == 200


def test_whatever_comes_the_log_gives_the_same_again() -> None:
    pick = random.Random(5)
    desk = Desk()
    texts = [text for event in EVENTS for _, text, _ in event]
    for n in range(150):
        name = f"p{pick.randrange(60)}"
        chance = pick.random()
        if chance < 0.85:
            words = pick.choice(texts).split()
            pick.shuffle(words)
            text = " ".join(words[: pick.randint(2, len(words))])
            desk.say(name, text, n / 3, language=pick.choice(("ar", "en", "")))
        elif chance < 0.93:
            into = case_of("other") if pick.random() < 0.5 else ""
            desk.say(name, "", n / 3, resolved=True, merged_into=into)
        elif group := desk.state.group_of.get(case_of(name)):
            desk.unlink(name, group.incident_id, key=str(n))
    assert snapshot(desk.folded()) == snapshot(desk.state)
    for group in desk.state.everything():
        for case in group.needs:
            assert desk.state.group_of[case] is group
            assert not any(
                unlinked.other_id == group.incident_id
                for unlinked in desk.state.partings.of_case.get(case, ())
            )
    assert {d.decided_ms for d in desk.log} == {NOW}
