"""What becomes of a case of which contacts are split off, and what stays apart by it."""

import pytest
from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2

from services.runtime import ids
from tests.dedup_desk import ALI, HOUR, MIN, NOW, Desk, contact_id, merge, of, snapshot, split, two

SPLIT = events_pb2.CASE_CHANGE_SPLIT
REFUSED, REPEATED = events_pb2.CASE_CHANGE_REFUSED, events_pb2.CASE_CHANGE_REPEATED
OPEN, RESOLVED = events_pb2.CASE_STATE_OPEN, events_pb2.CASE_STATE_RESOLVED


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_contacts_become_a_case_of_their_own(desk: Desk) -> None:
    case = desk.contact("a").case
    desk.contact("b", MIN, channel=common_pb2.CHANNEL_SMS, language="ar")
    desk.contact("c", 2 * MIN)
    desk.command("r", case.case_id, assign=events_pb2.Assign(assignee="ag-7"))
    told = split(desk, "1", case, "b")
    old, new = told.case, told.other
    assert (told.change, told.outcome.code) == (SPLIT, 0)
    command_id = ids.command_id("agent", "x", "1")
    assert new.case_id == ids.split_case_id(contact_id("b"), command_id)
    assert new.case_number == ids.case_number(new.case_id)
    assert (new.contacts, new.dialled, new.version, new.state) == (1, 0, 1, OPEN)
    assert (new.first_arrival_ms, new.last_contact_ms) == (NOW + MIN, NOW + MIN)
    assert (new.channel, new.language) == (common_pb2.CHANNEL_SMS, "ar")
    assert (new.person, new.assignee, new.sealed_number) == (ALI, "", b"sealed")
    assert (old.contacts, old.dialled, old.assignee, old.version) == (2, 2, "ag-7", 5)
    assert (old.first_arrival_ms, old.last_contact_ms) == (NOW, NOW + 2 * MIN)
    assert of(desk, new.case_id) == [contact_id("b")]
    assert desk.total("cases") == 2


def test_the_place_goes_with_its_contact(desk: Desk) -> None:
    case = desk.contact("a").case
    desk.contact("b", MIN, line="999")
    told = split(desk, "1", case, "a")
    assert told.case.first_arrival_ms == NOW + MIN
    assert told.case.line == "999"
    assert told.other.first_arrival_ms == NOW
    assert told.case.case_id == case.case_id


def test_danger_stays_with_both(desk: Desk) -> None:
    case = desk.contact("a", life_safety=True).case
    desk.contact("b", MIN)
    told = split(desk, "1", case, "b")
    assert told.case.life_safety
    assert told.other.life_safety


def test_what_is_split_off_a_resolved_case_is_open(desk: Desk) -> None:
    case = desk.contact("a").case
    desk.contact("b", MIN)
    desk.command("r", case.case_id, HOUR, resolve=events_pb2.Resolve())
    told = split(desk, "1", case, "b")
    assert (told.case.state, told.other.state, told.other.resolved_ms) == (RESOLVED, OPEN, 0)


@pytest.mark.parametrize(
    ("contacts", "sentence"),
    [((), "name the contacts"), (("a", "b"), "at least one"), (("x",), "not in the case")],
)
def test_a_split_that_makes_no_sense_is_refused(
    desk: Desk, contacts: tuple[str, ...], sentence: str
) -> None:
    case = desk.contact("a").case
    desk.contact("b", MIN)
    desk.contact("c", MIN, agency="interior")
    refused = split(desk, "1", case, *contacts)
    assert (refused.change, refused.outcome.code) == (REFUSED, 9)
    assert sentence in refused.outcome.message
    other = split(desk, "2", case, "c")
    assert "not in the case" in other.outcome.message


def test_the_same_command_twice_is_one_split(desk: Desk) -> None:
    case = desk.contact("a").case
    desk.contact("b", MIN)
    first = split(desk, "1", case, "b")
    again = split(desk, "1", case, "b")
    assert (again.change, again.outcome) == (REPEATED, first.outcome)
    assert (again.case, again.other) == (first.case, first.other)
    assert len(desk.cases) == 2


def test_later_contacts_may_join_either(desk: Desk) -> None:
    case = desk.contact("a").case
    desk.contact("b", MIN)
    new = split(desk, "1", case, "b").other
    assert desk.contact("c", 2 * MIN).case.case_id in (case.case_id, new.case_id)
    assert len(desk.cases) == 2


def test_what_was_like_a_merged_case_follows_its_contacts_back(desk: Desk) -> None:
    source, into = two(desk)
    last = desk.contact("c", 2 * MIN, agency="water").case
    merge(desk, "1", source, into)
    merge(desk, "2", into, last)
    assert desk.contact("d", 3 * MIN, agency="interior").case.case_id == last.case_id
    new = split(desk, "3", last, "a").other
    assert desk.contact("e", 4 * MIN, agency="health").case.case_id == new.case_id
    for agency in ("interior", "water"):
        joined = desk.contact(f"f{agency}", 5 * MIN, agency=agency)
        assert joined.case.case_id == last.case_id
    assert snapshot(desk.folded()) == snapshot(desk.cases)


# Staying apart.


def test_what_was_split_stays_apart_until_a_person_merges_it(desk: Desk) -> None:
    case = desk.contact("a").case
    desk.contact("b", MIN)
    third = desk.contact("c", MIN, agency="interior").case
    new = split(desk, "1", case, "b").other
    apart = desk.cases.apart
    assert apart.apart(case.case_id, new.case_id)
    assert apart.apart(new.case_id, case.case_id)
    assert not apart.apart(case.case_id, third.case_id)
    # Who takes one of them in takes over what it is apart from.
    merge(desk, "2", desk.cases.case(0), third)
    assert apart.apart(third.case_id, new.case_id)
    merge(desk, "3", new, third)
    assert not apart.apart(third.case_id, new.case_id)
    assert desk.folded().apart.apart(case.case_id, new.case_id) == apart.apart(
        case.case_id, new.case_id
    )


def test_what_is_split_off_is_apart_from_what_the_rest_was(desk: Desk) -> None:
    case = desk.contact("a").case
    desk.contact("b", MIN)
    desk.contact("c", 2 * MIN)
    first = split(desk, "1", case, "b").other
    second = split(desk, "2", case, "c").other
    assert desk.cases.apart.apart(first.case_id, second.case_id)
