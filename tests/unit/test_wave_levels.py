"""Counts survive being one integer; the four service levels are their formulas."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mawja.dedup.v1.events_pb2 import TallyRow
from mawja.wave.v1.events_pb2 import Counts

from services.runtime.errors import Poison
from services.wave import levels

ROW = st.fixed_dictionaries(
    {name: st.integers(0, 2**43 if name.endswith("_ms") else 2**32 - 1) for name in levels.FIELDS}
).map(lambda fields: TallyRow(**fields))  # type: ignore[arg-type]


def plain(row: TallyRow) -> dict[str, int]:
    return {name: getattr(row, name) for name in levels.FIELDS}


@given(st.lists(ROW, min_size=1, max_size=20))
def test_a_sum_of_packed_rows_holds_the_sum_of_each_count(rows: list[TallyRow]) -> None:
    total = levels.counts(sum(levels.pack(row) for row in rows))
    assert {name: getattr(total, name) for name in levels.FIELDS} == {
        name: sum(plain(row)[name] for row in rows) for name in levels.FIELDS
    }


@given(ROW, ROW, ROW)
def test_a_difference_may_be_negative_on_its_way(a: TallyRow, b: TallyRow, c: TallyRow) -> None:
    packed = levels.pack(a) + (levels.pack(c) - levels.pack(b)) + levels.pack(b)
    assert packed == levels.pack(a) + levels.pack(c)


def test_every_count_of_a_level_is_packed() -> None:
    assert set(levels.FIELDS) == {field.name for field in Counts.DESCRIPTOR.fields}
    assert set(levels.FIELDS) < {field.name for field in TallyRow.DESCRIPTOR.fields}


def test_a_time_that_no_row_can_have_is_damage() -> None:
    with pytest.raises(Poison, match="out of range"):
        levels.pack(TallyRow(queue_wait_ms=1 << 44))


def test_the_four_levels() -> None:
    shown = levels.service_levels(
        Counts(
            offered=130,  # 20 of them still wait: they are in no level yet
            answered=90,
            abandoned=10,
            answered_in_target=72,
            handled=80,
            handled_in_target=60,
            first_answered=50,
            first_contact_resolved=45,
        )
    )
    assert shown.answered == 0.9
    assert shown.answered_in_target == 0.72
    assert shown.handled_in_target == 0.75
    assert shown.first_contact_resolved == 0.9


def test_a_level_that_nothing_was_measured_for_is_absent() -> None:
    shown = levels.service_levels(Counts(contacts=5, offered=5, abandoned=5))
    assert shown.answered == 0
    assert [field.name for field, _ in shown.ListFields()] == ["answered", "answered_in_target"]
