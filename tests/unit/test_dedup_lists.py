"""Lists of cases, and of those whose triage is unsure: what is on them after every change."""

import random
from collections.abc import Iterable
from typing import Any

import pytest
from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2
from mawja.intake.v1 import events_pb2 as intake_pb2

from services.dedup import views
from services.dedup.case import Case, unsure
from services.dedup.cases import Decision
from services.dedup.changes import Changes
from services.dedup.known import key_of
from services.dedup.reading import Reading
from services.dedup.views import ANY, Listing, list_index, unsure_index
from services.runtime import ids
from services.runtime.store import Item
from tests.dedup_desk import ALI, MIN, MONA, NOW, Desk, merge

OPEN, ASSIGNED = events_pb2.CASE_STATE_OPEN, events_pb2.CASE_STATE_ASSIGNED
TOPIC = events_pb2.SetTopic(agency="health", topic="clinic")
NOTE = events_pb2.AddNote(sealed_text=b"text")
UNSURE = events_pb2.Triage(agency="health", topic="clinic", topic_confidence=0.2, unsure=True)
SURE = events_pb2.Triage(agency="health", topic="clinic", topic_confidence=0.9)


class Room:
    """A partition's cases and their lists, as Redis would hold them."""

    def __init__(self) -> None:
        self.desk = Desk()
        self.lists: dict[str, dict[bytes, float]] = {}
        self.offset = 0

    def contact(self, name: str, *said: Any, **given: Any) -> Case:
        return self.took(self.decided(name, *said, **given))

    def decided(
        self, name: str, triage: events_pb2.Triage | None = UNSURE, minute: int = 0, **given: Any
    ) -> Decision:
        at_ms = NOW + minute * MIN
        fields: dict[str, Any] = {
            "contact_id": ids.contact_id("test", name),
            "person": ALI,
            "channel": common_pb2.CHANNEL_VOICE,
            "line": "109",
            "event_ms": at_ms,
            "accepted_ms": at_ms,
            **given,
        }
        at = common_pb2.Input(topic="written", offset=self.offset)
        accepted = intake_pb2.ContactAccepted(**fields)
        return self.desk.cases.contact(accepted, Reading(triage=triage), at, at_ms)

    def command(self, name: str, case: Case, **action: Any) -> Case:
        return self.took(self.desk.command(name, case.case_id, **action))

    def took(self, *decisions: Decision) -> Case:
        """Lists what a batch of decisions changed."""
        changes = Changes()
        for decision in decisions:
            moved = Listing.MOVES if self.desk.cases.moved else Listing.STAYS
            changes.add(decision, self.offset, moved)
            self.offset += 1
        self.apply(changes.items(self.desk.cases, 0))
        return decisions[-1].case

    def apply(self, items: Iterable[Item]) -> None:
        for item in items:
            for op in item.index:
                if op.score is None:
                    self.lists.get(op.index, {}).pop(op.member, None)
                else:
                    self.lists.setdefault(op.index, {})[op.member] = op.score

    def on(self, index: str) -> list[bytes]:
        listed = self.lists.get(index, {})
        return sorted(listed, key=lambda member: (listed[member], member))

    def unsure(self, state: int | str = ANY, agency: str = ANY) -> list[bytes]:
        return self.on(unsure_index(state, agency))


@pytest.fixture
def room() -> Room:
    return Room()


def test_unsure_cases_are_listed_by_first_arrival(room: Room) -> None:
    late = room.contact("a", minute=5, person=b"")
    early = room.contact("b", minute=2, person=b"")
    room.contact("c", SURE, minute=3, person=b"")
    room.contact("d", None, minute=3, person=b"")
    wanted = [key_of(early.case_id), key_of(late.case_id)]
    assert room.unsure() == room.unsure(OPEN) == room.unsure(OPEN, "") == wanted
    assert room.unsure(ASSIGNED) == []
    assert len(room.on(list_index(ANY, ANY))) == 4


def test_a_later_contact_that_is_sure_takes_its_case_off(room: Room) -> None:
    case = room.contact("a")
    assert room.unsure() == [key_of(case.case_id)]
    again = room.contact("b", SURE, minute=1)
    assert again.case_id == case.case_id
    assert room.unsure() == room.unsure(OPEN) == room.unsure(OPEN, "") == []


def test_what_was_told_surely_stays_when_a_later_text_says_little(room: Room) -> None:
    room.contact("a", SURE)
    vague = events_pb2.Triage(agency="police", topic="fine", topic_confidence=0.1, unsure=True)
    case = room.contact("b", vague, minute=1)
    assert (case.triage.topic, case.triage.agency, case.triage.unsure) == (
        "clinic",
        "health",
        False,
    )
    assert room.unsure() == []
    other = events_pb2.Triage(agency="police", topic="fine", topic_confidence=0.9)
    assert room.contact("c", other, minute=2).triage.topic == "fine"


def test_who_names_the_service_is_not_asked_for_it(room: Room) -> None:
    room.contact("a", agency="health", topic="clinic")
    assert room.unsure() == []
    case = room.contact("b", person=MONA)
    assert room.unsure() == [key_of(case.case_id)]
    room.contact("c", minute=1, person=MONA, topic="clinic")
    assert room.unsure() == []


def test_a_case_whose_agency_is_known_waits_under_it(room: Room) -> None:
    case = room.contact("a")
    named = room.contact("b", minute=1, agency="health")
    assert named.case_id == case.case_id
    assert room.unsure(agency="") == room.unsure(OPEN, "") == []
    assert room.unsure() == room.unsure(OPEN, "health") == [key_of(case.case_id)]


def test_who_was_assigned_may_still_say_it_and_a_met_need_is_off_the_list(room: Room) -> None:
    case = room.contact("a")
    room.command("1", case, assign=events_pb2.Assign(assignee="ag-7"))
    assert room.unsure(OPEN) == []
    assert room.unsure() == room.unsure(ASSIGNED, "") == [key_of(case.case_id)]
    room.command("2", case, resolve=events_pb2.Resolve())
    assert room.unsure() == room.unsure(ASSIGNED, "") == []
    room.command("3", case, reopen=events_pb2.Reopen(sealed_reason=b"why"))
    assert room.unsure() == room.unsure(OPEN, "") == [key_of(case.case_id)]


def test_what_a_person_said_it_is_about_is_asked_no_more(room: Room) -> None:
    case = room.contact("a")
    said = room.command("1", case, set_topic=TOPIC)
    assert room.unsure() == room.unsure(OPEN, "") == []
    assert room.on(list_index(OPEN, "")) == []
    assert room.on(list_index(OPEN, "health")) == [key_of(said.case_id)]
    # Nor because of what comes after it.
    room.contact("b", minute=1)
    assert room.unsure() == []


def test_a_merged_case_is_asked_about_where_it_went(room: Room) -> None:
    one = room.contact("a", agency="health")
    other = room.contact("b", minute=1, agency="interior")
    assert len(room.unsure()) == 2
    room.took(merge(room.desk, "1", other, one))
    assert room.unsure() == room.unsure(OPEN, "health") == [key_of(one.case_id)]


def test_what_comes_and_goes_in_one_batch_was_never_there(room: Room) -> None:
    opened = room.decided("a")
    stays = room.took(opened, room.desk.command("1", opened.case.case_id, add_note=NOTE))
    assert room.unsure() == [key_of(stays.case_id)]
    opened = room.decided("b", person=MONA)
    resolved = room.desk.command("2", opened.case.case_id, resolve=events_pb2.Resolve())
    room.took(opened, resolved)
    assert room.unsure() == room.unsure(OPEN) == [key_of(stays.case_id)]


@pytest.mark.parametrize("seed", range(5))
def test_lists_hold_what_the_cases_say_whatever_happens(seed: int) -> None:
    pick, room = random.Random(seed), Room()
    cases: dict[str, Case] = {}
    for step in range(150):
        deed = pick.choice(["contact", "contact", "assign", "topic", "resolve", "reopen", "merge"])
        one, other = (pick.choice([*cases.values()] or [Case()]) for _ in range(2))
        if deed == "contact" or not cases:
            triage = pick.choice([UNSURE, UNSURE, SURE, None])
            given = pick.choice([{}, {}, {"agency": "health"}, {"topic": "clinic"}])
            person = pick.choice([ALI, MONA, b"z" * 16, b""])
            room.contact(str(step), triage, pick.randrange(90), person=person, **given)
        elif deed == "merge":
            if one.person == other.person and one.case_id != other.case_id:
                room.took(merge(room.desk, str(step), one, other))
        elif deed == "assign":
            room.command(str(step), one, assign=events_pb2.Assign(assignee="ag-7"))
        elif deed == "topic":
            room.command(str(step), one, set_topic=TOPIC)
        elif deed == "resolve":
            room.command(str(step), one, resolve=events_pb2.Resolve())
        else:
            room.command(str(step), one, reopen=events_pb2.Reopen(sealed_reason=b"why"))
        stand = [room.desk.cases.case(n) for n in range(len(room.desk.cases))]
        cases = {case.case_id: case for case in stand}
        wanted: dict[str, dict[bytes, float]] = {}
        for case in stand:
            for state in (ANY, case.state):
                for agency in (ANY, case.agency):
                    places = [list_index(state, agency)]
                    places += [unsure_index(state, agency)] if unsure(case) else []
                    for place in places:
                        listed = wanted.setdefault(place, {})
                        listed[key_of(case.case_id)] = float(case.first_arrival_ms)
        held = {
            index: listed
            for index, listed in room.lists.items()
            if listed and index.split(":")[1] in ("list", "unsure")
        }
        assert held == wanted
        # Written again from memory it is the same.
        room.apply(views.everything(room.desk.cases, 0))
        assert {i: listed for i, listed in room.lists.items() if i in held} == wanted


def test_a_person_is_found_by_their_hash_and_a_withheld_number_by_none() -> None:
    room = Room()
    first = room.contact("a")
    second = room.contact("b", agency="health", topic="clinic", minute=600)
    other = room.contact("c", person=MONA)
    room.contact("w", person=b"")
    mine = {key_of(first.case_id), key_of(second.case_id)}
    assert set(room.on(views.person_index(ALI))) == mine
    assert room.on(views.person_index(MONA)) == [key_of(other.case_id)]
    assert room.on(views.person_index(b"")) == []
    again = Room()
    again.apply(views.everything(room.desk.cases, 0))
    assert set(again.on(views.person_index(ALI))) == mine
