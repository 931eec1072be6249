"""Ids against the standard library's, and the claims of case numbers about mistyping."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.runtime import ids

NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:mawja")
LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXY"
# What a person may write for another letter and is taken as that one.
SAME = {"I": "1", "L": "1", "O": "0", "U": "V"}

parts = st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=4)
cases = st.uuids().map(str)


@given(parts)
def test_ids_are_the_standard_uuid5(texts: list[str]) -> None:
    assert ids.derive(*texts) == str(uuid.uuid5(NAMESPACE, "\x1f".join(texts)))


def test_every_kind_of_id_is_its_own() -> None:
    made = {
        ids.contact_id("a", "b"),
        ids.case_id("a"),
        ids.message_id("a", "b"),
        ids.callback_id("a", "b"),
        ids.command_id("a", "b", "c"),
        ids.contact_id("ab", ""),
        ids.contact_id("", "ab"),
    }
    assert len(made) == 7


def test_ids_never_change() -> None:
    """Values of the first release: another value would make every contact a new one."""
    assert ids.contact_id("lt/x", "1") == "31dafbd6-98db-565c-96b6-11bbc4f5cf2a"
    assert ids.case_number(ids.case_id("c")) == "MW-AYJDG-Q0QQA"


@given(cases)
def test_a_case_number_reads_back(case: str) -> None:
    number = ids.case_number(case)
    assert len(number) == 14
    assert number.startswith("MW-")
    assert set(number[3:]) <= set(LETTERS) | {"-"}
    assert ids.parse_case_number(number) == number
    assert ids.parse_case_number(f"  {number.lower().replace('-', ' ')} ") == number
    assert ids.parse_case_number(number[3:]) == number


@given(cases)
def test_every_single_wrong_letter_is_caught(case: str) -> None:
    number = ids.case_number(case)[3:].replace("-", "")
    for place, right in enumerate(number):
        for wrong in "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ":
            typed = number[:place] + wrong + number[place + 1 :]
            found = ids.parse_case_number("MW" + typed)
            if SAME.get(wrong, wrong) == right:
                assert found == ids.case_number(case)
            else:
                assert found is None, (number, typed)


@given(cases)
def test_every_swap_of_neighbours_is_caught(case: str) -> None:
    number = ids.case_number(case)[3:].replace("-", "")
    for place in range(len(number) - 1):
        left, right = number[place], number[place + 1]
        typed = number[:place] + right + left + number[place + 2 :]
        if left != right:
            assert ids.parse_case_number("MW" + typed) is None, (number, typed)


def test_a_number_that_begins_like_the_prefix_needs_no_prefix() -> None:
    case = next(
        case
        for case in (ids.case_id(str(i)) for i in range(100_000))
        if ids.case_number(case)[3:5] == "MW"
    )
    number = ids.case_number(case)
    assert ids.parse_case_number(number[3:]) == number
    assert ids.parse_case_number(number) == number


@pytest.mark.parametrize("typed", ["", "MW", "MW-", "MW-12345-1234", "MW-12345-123456", "ﬀ" * 5])
def test_what_is_no_number_is_none(typed: str) -> None:
    assert ids.parse_case_number(typed) is None


@given(st.text())
def test_anything_typed_is_answered(typed: str) -> None:
    found = ids.parse_case_number(typed)
    assert found is None or ids.parse_case_number(found) == found
