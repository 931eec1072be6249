"""What becomes of two cases of one person that are merged."""

from typing import Any

import pytest
from mawja.dedup.v1 import events_pb2

from services.dedup.cases import Cases
from tests.dedup_desk import (
    ABANDONED,
    ANSWERED,
    DAY,
    HOUR,
    MIN,
    MONA,
    NOW,
    RULES,
    Desk,
    S,
    contact_id,
    merge,
    of,
    snapshot,
    split,
    two,
)

MERGED, SPLIT = events_pb2.CASE_CHANGE_MERGED, events_pb2.CASE_CHANGE_SPLIT
REFUSED, REPEATED = events_pb2.CASE_CHANGE_REFUSED, events_pb2.CASE_CHANGE_REPEATED
OPEN, RESOLVED = events_pb2.CASE_STATE_OPEN, events_pb2.CASE_STATE_RESOLVED
ASSIGNED = events_pb2.CASE_STATE_ASSIGNED


@pytest.fixture
def desk() -> Desk:
    return Desk()


# Merging.


def test_one_case_stays_and_has_what_either_had(desk: Desk) -> None:
    source, into = two(desk)
    desk.contact("c", 2 * MIN, life_safety=True, sealed_number=b"newest")
    told = merge(desk, "1", source, into, HOUR)
    case, merged = told.case, told.other
    assert (told.change, told.outcome.code) == (MERGED, 0)
    assert (case.case_id, merged.case_id) == (into.case_id, source.case_id)
    assert (case.contacts, case.dialled, case.version) == (3, 3, 2)
    # The place of who waited longer, and the danger of either.
    assert (case.first_arrival_ms, case.last_contact_ms) == (NOW, NOW + 2 * MIN)
    assert case.life_safety
    assert case.sealed_number == b"newest"
    assert case.accepted_ms == source.accepted_ms
    assert merged.state == events_pb2.CASE_STATE_MERGED
    assert (merged.contacts, merged.dialled, merged.version) == (0, 0, 3)
    assert merged.merged_into.into.case_id == into.case_id
    assert merged.merged_into.case_number == into.case_number
    assert not merged.merged_into.across
    assert not merged.sealed_number
    assert list(told.moved) == [contact_id("a"), contact_id("c")]


def test_links_stay_as_they_were_and_tell_where_they_came_to(desk: Desk) -> None:
    source, into = two(desk)
    before = [desk.cases.link(0), desk.cases.link(1)]
    merge(desk, "1", source, into)
    assert set(of(desk, into.case_id)) == {contact_id("a"), contact_id("b")}
    assert of(desk, source.case_id) == []
    assert desk.cases.link(0).came_to == source.case_id
    before[0].came_to = source.case_id
    assert [desk.cases.link(0), desk.cases.link(1)] == before


def test_what_comes_later_is_dealt_with_where_it_went(desk: Desk) -> None:
    source, into = two(desk)
    merge(desk, "1", source, into)
    # A contact that matched the one that is gone, a call of its contact, and its redelivery.
    assert desk.contact("c", 3 * MIN, agency="health").case.case_id == into.case_id
    call = desk.call("a", ANSWERED, 4 * MIN)
    assert (call.case.case_id, call.case.answered) == (into.case_id, 1)
    assert desk.contact("a").case.case_id == into.case_id
    assert [len(of(desk, case.case_id)) for case in (source, into)] == [0, 3]


@pytest.mark.parametrize(
    "action",
    [
        {"assign": events_pb2.Assign(assignee="ag-7")},
        {"resolve": events_pb2.Resolve()},
        {"reopen": events_pb2.Reopen()},
        {"add_note": events_pb2.AddNote(sealed_text=b"text")},
        {"split": events_pb2.Split(contact_ids=[contact_id("a")])},
    ],
)
def test_a_merged_case_takes_no_command_and_says_where_it_went(
    desk: Desk, action: dict[str, Any]
) -> None:
    source, into = two(desk)
    merge(desk, "1", source, into)
    refused = desk.command("2", source.case_id, **action)
    assert (refused.change, refused.outcome.code) == (REFUSED, 9)
    assert into.case_number in refused.outcome.message
    assert refused.case == desk.cases.case(0)


def test_who_asks_for_a_case_that_went_twice_is_told_the_last_one(desk: Desk) -> None:
    source, into = two(desk)
    last = desk.contact("c", 2 * MIN, agency="water").case
    merge(desk, "1", source, into)
    merge(desk, "2", desk.cases.case(1), last)
    refused = desk.command("3", source.case_id, resolve=events_pb2.Resolve())
    assert last.case_number in refused.outcome.message
    assert desk.cases.case(2).contacts == 3


def test_demand_is_counted_once_and_calls_stay(desk: Desk) -> None:
    source, into = two(desk)
    desk.answered("a", 10 * S, 50 * S)
    desk.answered("b", 2 * MIN, 3 * MIN)
    fields = ("contacts", "answered", "handled", "handling_ms")
    before = [desk.total(field) for field in fields]
    assert (desk.total("cases"), desk.total("first_answered")) == (2, 2)
    assert desk.total("first_contact_resolved") == 2
    merged = merge(desk, "1", source, into)
    assert [desk.total(field) for field in fields] == before
    assert (desk.total("cases"), desk.total("first_answered")) == (1, 1)
    # The person came back a minute after the first answer: it was none.
    assert desk.total("first_contact_resolved") == 0
    assert merged.case.reconnects == 1
    split(desk, "2", desk.cases.case(1), "a")
    assert [desk.total(field) for field in fields] == before
    assert (desk.total("cases"), desk.total("first_answered")) == (2, 2)
    assert desk.total("first_contact_resolved") == 2
    assert desk.cases.case(1).reconnects == 0


def test_the_same_case_by_hand_as_by_the_rules() -> None:
    joined, merged = Desk(), Desk()
    for desk, agency in ((joined, ""), (merged, "interior")):
        desk.contact("a", agency="health")
        desk.contact("b", 80 * S, agency=agency or "health")
        desk.answered("a", 10 * S, 50 * S)
        desk.call("b", ABANDONED, 90 * S)
    merge(merged, "1", merged.cases.case(1), merged.cases.case(0))
    by_rule, by_hand = joined.cases.case(0), merged.cases.case(0)
    for field in ("contacts", "dialled", "reconnects", "abandoned", "answered", "last_contact_ms"):
        assert getattr(by_rule, field) == getattr(by_hand, field)
    for field in ("cases", "first_answered", "first_contact_resolved", "abandoned", "contacts"):
        assert joined.total(field) == merged.total(field)


@pytest.mark.parametrize(
    ("state", "source_state", "after"),
    [
        (OPEN, OPEN, OPEN),
        (OPEN, ASSIGNED, ASSIGNED),
        (OPEN, RESOLVED, OPEN),
        (ASSIGNED, OPEN, ASSIGNED),
        (ASSIGNED, RESOLVED, ASSIGNED),
        (RESOLVED, OPEN, OPEN),
        (RESOLVED, ASSIGNED, ASSIGNED),
        (RESOLVED, RESOLVED, RESOLVED),
    ],
)
def test_a_need_that_was_open_stays_open(
    desk: Desk, state: int, source_state: int, after: int
) -> None:
    source, into = two(desk)
    for case, wanted in ((source, source_state), (into, state)):
        if wanted == ASSIGNED:
            desk.command(f"a{case.case_id}", case.case_id, assign=events_pb2.Assign(assignee="x"))
        elif wanted == RESOLVED:
            desk.command(f"r{case.case_id}", case.case_id, HOUR, resolve=events_pb2.Resolve())
    case = merge(desk, "1", source, into, DAY).case
    assert case.state == after
    assert case.assignee == ("x" if after == ASSIGNED else "")
    assert bool(case.resolved_ms) == (after == RESOLVED)


def test_who_and_why_stand_with_both(desk: Desk) -> None:
    source, into = two(desk)
    desk.command("n", source.case_id, MIN, add_note=events_pb2.AddNote(sealed_text=b"earlier"))
    merge(desk, "1", source, into, HOUR)
    notes = [
        [events_pb2.Note.FromString(note) for note in desk.cases.notes_of(case.case_id)]
        for case in (into, source)
    ]
    assert [[note.sealed_text for note in of_case] for of_case in notes] == [
        [b"earlier", b"why"]
    ] * 2
    for [_, why], other in zip(notes, (source, into), strict=True):
        assert (why.author, why.noted_ms, why.about) == ("agent", NOW + HOUR, MERGED)
        assert why.other_number == other.case_number


def test_what_is_owed_is_told(desk: Desk) -> None:
    source, into = two(desk)
    desk.call("a", ABANDONED, 30 * S)
    told = merge(desk, "1", source, into)
    assert told.owed.contact_id == contact_id("a")
    assert (told.owed.arrival_ms, told.owed.abandoned_ms) == (NOW, NOW + 30 * S)
    assert not told.HasField("other_owed")
    parted = split(desk, "2", desk.cases.case(1), "a")
    assert not parted.HasField("owed")
    assert parted.other_owed == told.owed
    desk.call("b", ANSWERED, 2 * MIN)
    again = merge(desk, "3", desk.cases.case(2), desk.cases.case(1))
    assert not again.HasField("owed")


def test_a_rehearsal_is_never_merged_with_a_person(desk: Desk) -> None:
    real, drill = desk.contact("a").case, desk.contact("b", MIN, drill=True).case
    refused = merge(desk, "1", drill, real)
    assert (refused.change, refused.outcome.code) == (REFUSED, 9)
    assert "rehearsal" in refused.outcome.message


def test_a_record_of_past_calls_is_never_merged_with_who_waits(desk: Desk) -> None:
    real, record = desk.contact("a").case, desk.contact("b", MIN, recorded=True).case
    assert (real.recorded, record.recorded) == (False, True)
    refused = merge(desk, "1", record, real)
    assert (refused.change, refused.outcome.code) == (REFUSED, 9)
    assert "records" in refused.outcome.message


def test_a_case_is_not_merged_into_itself_nor_twice(desk: Desk) -> None:
    source, into = two(desk)
    assert "itself" in merge(desk, "0", into, into).outcome.message
    merge(desk, "1", source, into)
    again = merge(desk, "2", source, into)
    assert (again.change, again.outcome.code) == (REFUSED, 9)
    back = merge(desk, "3", into, source)
    assert (back.change, back.outcome.code) == (REFUSED, 9)
    assert "ask for that one" in back.outcome.message


def test_the_same_command_twice_is_one_merge(desk: Desk) -> None:
    source, into = two(desk)
    first = merge(desk, "1", source, into)
    again = merge(desk, "1", source, into)
    assert (again.change, again.outcome) == (REPEATED, first.outcome)
    assert (again.case, again.other) == (first.case, first.other)
    refold = desk.folded()
    assert refold.memory.told == desk.cases.memory.told


# The log.


def test_folding_the_log_gives_the_same_state(desk: Desk) -> None:
    source, into = two(desk)
    desk.answered("a", 10 * S, 50 * S)
    desk.contact("c", 2 * MIN, shape=[1, 2])
    desk.call("c", ABANDONED, 3 * MIN)
    desk.command("n", source.case_id, reopen=events_pb2.Reopen(sealed_reason=b"again"))
    merge(desk, "1", source, into)
    split(desk, "2", into, "c")
    merge(desk, "3", desk.cases.case(2), into)
    split(desk, "4", into, "a", "b")
    merge(desk, "5", into, desk.contact("d", person=MONA).case)
    assert snapshot(desk.folded()) == snapshot(desk.cases)


@pytest.mark.parametrize("kept", range(9))
def test_a_log_whose_beginning_is_no_longer_kept_is_folded(kept: int) -> None:
    desk = Desk()
    source, into = two(desk)
    merge(desk, "1", source, into)
    desk.contact("c", 2 * MIN)
    desk.call("a", ANSWERED, 2 * MIN)
    split(desk, "2", into, "c")
    merge(desk, "3", desk.cases.case(2), into)
    merge(desk, "4", desk.contact("d", person=MONA).case, into)
    cases = Cases(RULES)
    for offset, decision in enumerate(desk.log[kept:], start=kept):
        cases.fold(decision, offset)
    last = desk.log[-1].case
    number = cases.number_of(last.case_id)
    assert number is not None
    assert cases.case(number) == last
    # A case is counted where any contact of it is known; a count below 0 could not be told.
    counted = sum(row.cases for t in cases.tallies.every(0, 0) for row in t.rows)
    assert counted == len(set(cases.contacts.case))


def test_a_case_of_which_the_log_keeps_no_contact_is_counted_with_its_next_one() -> None:
    desk = Desk()
    case = desk.contact("a").case
    desk.contact("b", MIN, agency="")
    desk.contact("c", MIN)
    new = split(desk, "1", case, "b").other
    desk.contact("d", 2 * MIN)
    joined = desk.log[-1].case.case_id
    source, into = (new, case) if joined == new.case_id else (case, new)
    merge(desk, "2", source, into)
    cases = Cases(RULES)
    for offset, decision in enumerate(desk.log[3:], start=3):
        cases.fold(decision, offset)
    assert sum(row.cases for t in cases.tallies.every(0, 0) for row in t.rows) == 1
