"""One input, one decision: what becomes of contacts, and of the log."""

import pytest
from mawja.dedup.v1 import events_pb2

from services.dedup import tally
from services.dedup.cases import Cases
from services.runtime import ids
from tests.dedup_desk import (
    ABANDONED,
    ALI,
    DAY,
    HOUR,
    MIN,
    MONA,
    NOW,
    OFFERED,
    RULES,
    Desk,
    S,
    snapshot,
)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_the_first_contact_opens_a_case(desk: Desk) -> None:
    decision = desk.contact("a", language="ar")
    case = decision.case
    assert decision.change == events_pb2.CASE_CHANGE_OPENED
    assert decision.link.level == events_pb2.LINK_LEVEL_FIRST
    assert decision.link.reason == "first contact of this number"
    assert case.case_id == ids.case_id(ids.contact_id("test", "a"))
    assert case.case_number == ids.case_number(case.case_id)
    assert (case.contacts, case.dialled, case.version, case.language) == (1, 1, 1, "ar")
    assert case.first_arrival_ms == case.last_contact_ms == NOW
    assert case.accepted_ms == NOW + 5


def test_a_redial_joins_and_keeps_the_place(desk: Desk) -> None:
    first = desk.contact("a")
    again = desk.contact("b", 4 * MIN)
    assert again.change == events_pb2.CASE_CHANGE_LINKED
    assert again.link.level == events_pb2.LINK_LEVEL_SAME_NEED
    assert again.link.reason == "same number, same agency, 4 min later"
    assert again.case.case_id == first.case.case_id
    assert (again.case.contacts, again.case.dialled) == (2, 2)
    assert again.case.first_arrival_ms == NOW
    assert again.case.last_contact_ms == NOW + 4 * MIN


def test_an_earlier_arrival_that_comes_late_moves_the_place_forward(desk: Desk) -> None:
    desk.contact("a")
    late = desk.contact("b", -3 * MIN)
    assert late.case.first_arrival_ms == NOW - 3 * MIN
    assert late.case.last_contact_ms == NOW
    assert desk.contact("c", MIN).case.first_arrival_ms == NOW - 3 * MIN


def test_another_need_is_another_case(desk: Desk) -> None:
    one = desk.contact("a")
    other = desk.contact("b", agency="interior")
    assert other.change == events_pb2.CASE_CHANGE_OPENED
    assert other.case.case_id != one.case.case_id
    assert "another agency" in other.link.reason
    assert desk.contact("c", agency="health").case.case_id == one.case.case_id
    assert desk.contact("d", agency="interior").case.case_id == other.case.case_id


def test_no_number_is_a_case_of_its_own(desk: Desk) -> None:
    cases = {desk.contact(name, person=b"").case.case_id for name in "abc"}
    assert len(cases) == 3


def test_people_are_never_merged(desk: Desk) -> None:
    assert desk.contact("a").case.case_id != desk.contact("b", person=MONA).case.case_id


def test_a_redelivery_changes_nothing(desk: Desk) -> None:
    desk.contact("a", shape=[1, 2, 3])
    before = desk.cases.case(0).SerializeToString()
    again = desk.contact("a", at_ms=HOUR, agency="interior")
    assert again.change == events_pb2.CASE_CHANGE_REPEATED
    assert again.link.level == events_pb2.LINK_LEVEL_SAME_DELIVERY
    assert again.case.SerializeToString() == before == desk.cases.case(0).SerializeToString()
    assert desk.total("contacts") == 1


def test_what_the_first_contact_left_out_a_later_one_fills_in(desk: Desk) -> None:
    desk.contact("a", agency="", line="109", language="", kind=0)
    case = desk.contact("b", MIN, agency="health", language="ur", life_safety=False, kind=2).case
    assert (case.agency, case.language, case.kind) == ("health", "ur", 2)
    assert desk.cases.link(0).agency == ""
    assert desk.cases.link(1).agency == "health"


def test_an_open_case_keeps_the_newest_sealed_number(desk: Desk) -> None:
    desk.contact("a")
    assert desk.contact("b", MIN, sealed_number=b"newer").case.sealed_number == b"newer"
    assert desk.contact("c", -MIN, sealed_number=b"older").case.sealed_number == b"newer"


def test_a_number_with_many_cases_is_learned_to_be_shared(desk: Desk) -> None:
    for n in range(RULES.shared_cases):
        desk.contact(f"a{n}", n * MIN, agency=f"agency-{n}")
    one = desk.contact("b", HOUR, agency="agency-1")
    assert one.change == events_pb2.CASE_CHANGE_OPENED
    assert "shared number" in one.link.reason


def test_a_number_said_to_be_shared_is(desk: Desk) -> None:
    shared = Desk(frozenset([ALI]))
    assert shared.contact("a").case.case_id != shared.contact("b", MIN).case.case_id
    assert desk.contact("a").case.case_id == desk.contact("b", MIN).case.case_id


def test_folding_the_log_gives_the_same_state(desk: Desk) -> None:
    desk.call("b", ABANDONED, HOUR)
    desk.call("z", OFFERED)
    case_id = desk.contact("a", shape=[1, 2, 3]).case.case_id
    desk.answered("a", 10 * S, 3 * MIN)
    desk.contact("b", HOUR, shape=[3, 4])
    desk.contact("b", HOUR)
    desk.contact("c", person=b"")
    desk.command("1", case_id, assign=events_pb2.Assign(assignee="ag-7"))
    desk.command("1", case_id, assign=events_pb2.Assign(assignee="ag-7"))
    desk.command("2", case_id, add_note=events_pb2.AddNote(sealed_text=b"text"))
    desk.command("3", case_id, reopen=events_pb2.Reopen())
    assert snapshot(desk.folded()) == snapshot(desk.cases)


def test_the_log_is_believed_over_todays_rules(desk: Desk) -> None:
    desk.contact("a")
    desk.log[0].case.agency = "as-it-was-decided"
    assert desk.folded().case(0).agency == "as-it-was-decided"


def test_tallies_are_dealt_out_once_and_given_back(desk: Desk) -> None:
    desk.contact("a")
    desk.contact("b", HOUR)
    tallies = desk.cases.tallies
    taken = tallies.take(3, 1)
    assert [t.bucket_ms for t in taken] == [NOW, NOW + HOUR]
    assert {(t.partition, t.through_offset, t.bucket_width_ms) for t in taken} == {
        (3, 1, tally.BUCKET_MS)
    }
    assert tallies.take(3, 1) == []
    tallies.give_back(taken)
    assert tallies.take(3, 1) == taken


def test_a_bucket_outside_the_window_is_left_as_it_was_stated(desk: Desk) -> None:
    desk.contact("a")
    desk.contact("b", 9 * DAY, person=MONA)
    desk.cases.tallies.take(0, 0)
    desk.contact("c", S, person=b"c" * 16)
    assert not desk.cases.tallies.changed
    assert len(desk.cases.tallies._buckets) == 1


def test_nothing_is_marked_while_folding_what_was_stated() -> None:
    cases = Cases(RULES)
    cases.tallies.marking = False
    desk = Desk()
    desk.contact("a")
    cases.fold(desk.log[0], 0)
    assert not cases.tallies.changed
    assert [t.rows[0].contacts for t in cases.tallies.every(0, 0)] == [1]


def test_a_drill_and_a_real_contact_are_counted_in_rows_of_their_own() -> None:
    desk = Desk()
    desk.contact("real")
    desk.contact("rehearsed", person=MONA, drill=True)
    desk.contact("rehearsed again", 1, person=MONA, drill=True)
    [tally] = desk.cases.tallies.take(0, 0)
    assert [(row.drill, row.contacts) for row in tally.rows] == [(False, 1), (True, 2)]
    folded = Cases(RULES)
    for offset, decision in enumerate(desk.log):
        folded.fold(decision, offset)
    assert list(folded.tallies.every(0, 0)) == [tally]


def test_a_log_whose_beginning_is_no_longer_kept_is_folded() -> None:
    """Retention takes the first decision on a contact away, and leaves later ones on it."""
    desk = Desk()
    old = desk.contact("one").case.case_id
    desk.call("one", OFFERED, 1 * S)
    kept = desk.contact("two", 2 * S, person=MONA).case
    asked = desk.command("noted", old, 3 * S, add_note=events_pb2.AddNote(sealed_text=b"x"))
    cases = Cases(RULES)
    for offset, decision in enumerate(desk.log[1:], start=1):
        cases.fold(decision, offset)
    assert [cases.case(n) for n in range(len(cases))] == [kept]
    assert not cases.notes
    assert cases.decided == {"contact": 1, "call": 0, "command": 0}
    # The same command again is told what it was told.
    [told] = cases.memory.told.values()
    assert told.code == asked.outcome.code
