"""Ownership by markers, as a model: any interleaving of owners, markers and late records."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.runtime.errors import Poison
from services.runtime.own import EPOCH, MARKER, NO_EPOCH, Epochs, epoch_of

Header = tuple[str, bytes]


@dataclass
class Stored:
    topic: str
    partition: int
    offset: int
    headers: Sequence[Header]
    timestamp: int = 0
    key: bytes | None = None
    value: bytes | None = b""


def carries(epoch: int) -> list[Header]:
    return [(EPOCH, epoch.to_bytes(8, "big"))]


# What an owner does next: takes over (appends a marker), or writes a record with its epoch. A
# frozen owner may write long after another took over.
actions = st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=60)


def history(done: list[tuple[int, bool]]) -> list[Stored]:
    epochs: dict[int, int] = {}
    log: list[Stored] = []
    for owner, takes_over in done:
        if takes_over:
            epochs[owner] = len(log)
            log.append(Stored("t", 0, len(log), [(MARKER, b"%d" % owner)]))
        elif owner in epochs:
            log.append(Stored("t", 0, len(log), carries(epochs[owner])))
    return log


def counted(log: list[Stored], epochs: Epochs) -> list[int]:
    return [r.offset for r in log if epochs.admits(r.partition, r.offset, r.headers)]


@given(actions)
def test_a_reader_admits_exactly_the_records_of_the_newest_marker_before_them(
    done: list[tuple[int, bool]],
) -> None:
    log = history(done)
    markers = [r.offset for r in log if r.headers[0][0] == MARKER]
    expected = [
        r.offset
        for r in log
        if r.headers[0][0] == EPOCH and epoch_of(r) == max(m for m in markers if m < r.offset)
    ]
    assert counted(log, Epochs()) == expected


@given(actions)
def test_every_record_counts_for_one_owner_at_a_time(done: list[tuple[int, bool]]) -> None:
    """Between two markers only one epoch's records count: at most one writer is believed."""
    log = history(done)
    admitted = set(counted(log, Epochs()))
    believed: set[int] = set()
    for record in log:
        if record.headers[0][0] == MARKER:
            believed = set()
        elif record.offset in admitted:
            believed.add(epoch_of(record))
            assert len(believed) == 1


@given(actions, st.integers(0, 60))
def test_reading_may_go_on_anywhere_with_the_epoch_kept(
    done: list[tuple[int, bool]], cut: int
) -> None:
    log = history(done)
    whole = Epochs()
    head = counted(log[:cut], whole)
    resumed = Epochs()
    if whole.epoch(0) != NO_EPOCH:
        resumed.start(0, whole.epoch(0))
    assert head + counted(log[cut:], resumed) == counted(log, Epochs())


@given(actions)
def test_the_epoch_that_a_counted_record_carries_is_enough_to_go_on_behind_it(
    done: list[tuple[int, bool]],
) -> None:
    log = history(done)
    whole = counted(log, Epochs())
    for offset in whole:
        resumed = Epochs()
        resumed.start(0, epoch_of(log[offset]))
        rest = [o for o in whole if o > offset]
        assert counted(log[offset + 1 :], resumed) == rest


@given(actions, actions)
def test_partitions_do_not_touch_each_other(
    first: list[tuple[int, bool]], second: list[tuple[int, bool]]
) -> None:
    one, two = history(first), history(second)
    for record in two:
        record.partition = 1
    together = Epochs()
    mixed = [r for pair in zip(one, two, strict=False) for r in pair]
    mixed += one[len(two) :] + two[len(one) :]
    found = [
        (r.partition, r.offset) for r in mixed if together.admits(r.partition, r.offset, r.headers)
    ]
    assert [o for p, o in found if p == 0] == counted(one, Epochs())
    assert [o for p, o in found if p == 1] == counted(
        [Stored("t", 0, r.offset, r.headers) for r in two], Epochs()
    )


@pytest.mark.parametrize(
    "headers", [[], [("traceparent", b"x")], [(EPOCH, b"")], [(EPOCH, None)]], ids=str
)
def test_a_record_without_an_epoch_is_poison(headers: list[Header]) -> None:
    with pytest.raises(Poison):
        Epochs().admits(0, 0, headers)
    with pytest.raises(Poison):
        epoch_of(Stored("t", 0, 0, headers))


def test_before_any_marker_there_is_no_epoch() -> None:
    assert Epochs().epoch(0) == NO_EPOCH
    assert Epochs().admits(0, 0, carries(0))
