"""What incidents forget is forgotten everywhere, and nothing breaks on it."""

import dataclasses
import random

import pytest
from mawja.dedup.v1 import incidents_pb2

from services.dedup.incidents import evidence, views
from services.dedup.incidents.views import Shown
from services.dedup.known import key_of
from tests.incidents_desk import LEVELS, Desk, case_of, snapshot

FLOOD = "نفق خيطان غرق بالماي والسيارات عالقة وسط النفق"
AGAIN = "مياه الأمطار أغرقت نفق خيطان والسيارات عالقة فيه"
LATER = 60 * 24 * 30
JOINED = incidents_pb2.INCIDENT_CHANGE_JOINED


def test_a_case_is_forgotten_also_when_its_words_are_ordinary_by_now(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Which words are its rarest is another question by then.
    monkeypatch.setattr(evidence, "_KEPT", 1)
    pick = random.Random(1)
    desk = Desk(dataclasses.replace(LEVELS, most_cases=40))
    for n in range(300):
        said = sorted(pick.sample(range(1, 31 if n % 2 else 61), 14))
        desk.say(f"p{n}", "", n * 400, shape=said)
    assert len(desk.state.needs) <= 40
    assert snapshot(desk.folded()) == snapshot(desk.state)


def test_a_late_case_that_is_forgotten_at_once_breaks_nothing() -> None:
    desk = Desk(dataclasses.replace(LEVELS, most_cases=50))
    for n in range(49):
        desk.say(f"p{n}", "", 1000)
    desk.say("late", FLOOD, 0)
    assert desk.say("later", AGAIN, 1).change == JOINED
    assert case_of("later") not in desk.state.needs
    assert not list(desk.state.everything())
    assert snapshot(desk.folded()) == snapshot(desk.state)


def test_an_incident_of_which_nothing_is_remembered_is_listed_no_longer() -> None:
    desk, shown = Desk(), Shown(0)
    decisions = [desk.say("one", FLOOD, agency="civil-defence"), desk.say("two", AGAIN, 1)]
    incident = decisions[-1].incident_id
    state = desk.state
    list(shown.items(state, *state.changed, 1))
    decision = desk.say("new", "كم رسوم تجديد الرخصة", LATER)
    # A sweep may concern thousands: a record of the log has no room for them.
    assert not decision.incidents
    assert state.thinned == {incident}
    items = list(shown.items(state, state.thinned, (), 2, state.forgotten))
    ops = [(op.index, op.member, op.score) for item in items for op in item.index]
    assert (views.list_index(views.ANY), key_of(incident), None) in ops
    assert (views.list_index("civil-defence"), key_of(incident), None) in ops
    for name in ("one", "two"):
        assert (views.cases_index(incident), key_of(case_of(name)), None) in ops
    [kept] = [item for item in items if item.key == views.incident_key(incident)]
    assert incidents_pb2.Incident.FromString(kept.payload).cases == 0


def test_what_a_past_owner_listed_is_taken_out_by_the_next() -> None:
    desk, shown = Desk(), Shown(0)
    desk.say("one", FLOOD, agency="civil-defence")
    incident = desk.say("two", AGAIN, 1, agency="roads").incident_id
    state = desk.folded()
    for fresh in (False, True):
        shown.known(state, [incident], shown=not fresh)
    desk.say("two", "", 2, merged_into=case_of("one"))
    desk.say("one", "", 3, merged_into=case_of("two"))
    state = desk.folded()
    shown.known(state, [incident], shown=False)
    [item] = shown.items(state, [incident], (), 3)
    gone = {op.index for op in item.index if op.score is None}
    assert gone == {views.list_index(one) for one in (views.ANY, "civil-defence", "roads")}
    assert not next(iter(shown.items(state, [incident], (), 4))).index


def test_a_case_that_was_merged_leaves_the_list_of_its_incident() -> None:
    desk, shown = Desk(), Shown(0)
    desk.say("one", FLOOD)
    incident = desk.say("two", AGAIN, 1).incident_id
    desk.say("two", "", 2, merged_into=case_of("one"))
    state = desk.state
    items = list(shown.items(state, *state.changed, 2, state.forgotten))
    ops = [(op.index, op.member, op.score) for item in items for op in item.index]
    assert (views.cases_index(incident), key_of(case_of("two")), None) in ops
    [place] = [item for item in items if item.key == views.case_key(case_of("two"))]
    assert not incidents_pb2.CasePlaceView.FromString(place.payload).incident_id
