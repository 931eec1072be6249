"""Who was erased and reaches out again begins anew; what stood before stays as a count."""

from pathlib import Path

import pytest
from mawja.dedup.v1 import events_pb2
from mawja.dedup.v1.erasures_pb2 import PersonErased

from services.dedup.cases import Cases
from services.runtime import privacy
from services.runtime.privacy import Keyring
from tests.dedup_desk import MIN, MONA, NOW, RULES, Desk

NUMBER = "+999501234567"


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    privacy.create(tmp_path, NOW)
    return Keyring(tmp_path)


@pytest.fixture
def desk(keyring: Keyring) -> Desk:
    made = Desk()
    made.cases = Cases(RULES, erased=keyring.erased)
    return made


def contact(
    desk: Desk, keyring: Keyring, name: str, at_ms: int, number: str = NUMBER
) -> events_pb2.CaseDecision:
    person = keyring.person(number)
    value = keyring.seal("number", number, NOW + at_ms, person)
    return desk.contact(name, at_ms, person=person, sealed_number=value)


def erase(keyring: Keyring, at_ms: int) -> None:
    record = PersonErased(person=keyring.person(NUMBER), erasure_id="one", erased_ms=NOW + at_ms)
    keyring.erased.take(record)


def test_who_was_erased_begins_anew(desk: Desk, keyring: Keyring) -> None:
    before = contact(desk, keyring, "a", 0).case
    contact(desk, keyring, "b", MIN)
    erase(keyring, 2 * MIN)
    after = contact(desk, keyring, "c", 3 * MIN)
    assert after.change == events_pb2.CASE_CHANGE_OPENED
    assert after.link.reason == "first contact of this number"
    assert after.case.case_id != before.case_id
    # And goes on from there.
    assert contact(desk, keyring, "d", 4 * MIN).case.case_id == after.case.case_id


def test_nobody_else_begins_anew(desk: Desk, keyring: Keyring) -> None:
    other = "+999501234568"
    before = contact(desk, keyring, "a", 0, other).case
    desk.contact("m", person=MONA)
    erase(keyring, 2 * MIN)
    assert contact(desk, keyring, "b", 3 * MIN, other).case.case_id == before.case_id
    assert desk.contact("n", 3 * MIN, person=MONA).change == events_pb2.CASE_CHANGE_LINKED


def test_what_follows_in_a_merged_case_begins_anew_too(desk: Desk, keyring: Keyring) -> None:
    first = contact(desk, keyring, "a", 0).case
    person = keyring.person(NUMBER)
    value = keyring.seal("number", NUMBER, NOW + MIN, person)
    second = desk.contact("b", MIN, person=person, sealed_number=value, agency="municipality").case
    assert second.case_id != first.case_id
    source = events_pb2.CaseRef(case_id=first.case_id)
    merge = events_pb2.Merge(source=source, seen=first)
    assert desk.command("x", second.case_id, merge=merge).outcome.code == 0
    erase(keyring, 2 * MIN)
    again = contact(desk, keyring, "c", 3 * MIN)
    assert again.case.case_id not in (first.case_id, second.case_id)
