"""The ledger follows what people merge and split: contacts go, and everything still adds up."""

import pytest
from mawja.dedup.v1 import events_pb2
from mawja.intake.v1 import events_pb2 as intake_pb2
from mawja.outreach.v1 import events_pb2 as outreach_pb2

from loadtests.ledger.account import Account, Problems
from loadtests.ledger.callbacks import CallbackBook
from loadtests.ledger.cases import Cases
from loadtests.ledger.contacts import CHANGING, ContactBook
from loadtests.ledger.letters import Letters
from services.runtime import ids
from tests.dedup_desk import MIN, NOW, Desk, merge, split


def story() -> Desk:
    """Four contacts of three cases; two are merged, then one contact is split off."""
    desk = Desk()
    first = desk.contact("a", MIN)
    second = desk.contact("b", 0, agency="interior")
    desk.contact("c", 2 * MIN, agency="interior")
    desk.contact("d", 3 * MIN, agency="water")
    merge(desk, "1", second.case, first.case)
    split(desk, "2", first.case, "b")
    split(desk, "2", first.case, "b")
    assert [d.change for d in desk.log[4:]] == [
        events_pb2.CASE_CHANGE_MERGED,
        events_pb2.CASE_CHANGE_SPLIT,
        events_pb2.CASE_CHANGE_REPEATED,
    ]
    return desk


def problems_of(desk: Desk, *callbacks: outreach_pb2.Callback) -> list[str]:
    cases = Cases()
    book, called = ContactBook(cases, Letters()), CallbackBook(cases)
    for decision in desk.log:
        if decision.link.contact_id:
            contact = intake_pb2.ContactAccepted(
                contact_id=decision.link.contact_id,
                event_ms=decision.link.event_ms,
                accepted_ms=decision.link.event_ms,
            )
            book.accept(contact, None)
    for decision in desk.log:
        book.decide(decision, 0)
    for callback in callbacks:
        called.take(callback)
    account, problems = Account(), Problems()
    book.count(account)
    # Twice: a ledger that runs is asked again and again.
    for _ in range(2):
        problems = Problems()
        book.hold(account, problems)
        cases.hold(problems)
        called.hold(problems)
    return problems.found


def test_what_was_merged_and_split_adds_up() -> None:
    desk = story()
    assert problems_of(desk) == []


@pytest.mark.parametrize("missing", [4, 5])
def test_a_lost_merge_or_split_is_seen(missing: int) -> None:
    desk = story()
    del desk.log[missing]
    assert problems_of(desk)


def test_a_callback_may_keep_the_place_of_what_was_one() -> None:
    desk = story()
    other = desk.log[5].other
    kept = outreach_pb2.Callback(
        callback_id=ids.callback_id(desk.log[0].case.case_id, "x"),
        case_id=desk.log[0].case.case_id,
        version=1,
        place_ms=NOW,
    )
    went = outreach_pb2.Callback(
        callback_id=ids.callback_id(other.case_id, "x"),
        case_id=other.case_id,
        version=1,
        place_ms=NOW,
    )
    assert problems_of(desk, kept, went) == []
    kept.place_ms = NOW - MIN
    assert problems_of(desk, kept, went) == ["1 callbacks do not keep the caller's place"]


def test_the_ledger_knows_every_change_that_makes_a_case_another() -> None:
    """Else its versions run away from the ledger's, and every surge has a problem."""
    changes = set(events_pb2.CaseChange.values())
    assert changes - CHANGING == {
        events_pb2.CASE_CHANGE_UNSPECIFIED,
        events_pb2.CASE_CHANGE_REPEATED,
        events_pb2.CASE_CHANGE_CALL_WAITING,
        events_pb2.CASE_CHANGE_REFUSED,
        events_pb2.CASE_CHANGE_SHOWN,
    }
