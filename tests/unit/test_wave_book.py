"""Whatever order tallies come in, and however often, the levels are those of counting once."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mawja.common.v1.common_pb2 import Channel
from mawja.dedup.v1.events_pb2 import Tally, TallyRow
from mawja.wave.v1.events_pb2 import Dimension, Level

from services.runtime.errors import Poison
from services.wave import levels
from services.wave.book import Book
from services.wave.sums import TooMany
from services.wave.windows import HOPS, HOUR_MS, MINUTE, QUARTER

BASE = 1_750_000_000_000
NOW = BASE + 24 * HOUR_MS
EVERY = (
    Dimension.DIMENSION_ALL,
    Dimension.DIMENSION_LINE,
    Dimension.DIMENSION_AGENCY,
    Dimension.DIMENSION_TOPIC,
    Dimension.DIMENSION_LANGUAGE,
    Dimension.DIMENSION_CHANNEL,
)
ROWS = st.lists(
    st.builds(
        TallyRow,
        line=st.sampled_from(["109", "16000", ""]),
        agency=st.sampled_from(["moh", "moi", ""]),
        topic=st.sampled_from(["visa", "flight"]),
        language=st.sampled_from(["ar", "en"]),
        channel=st.integers(1, 2),
        contacts=st.integers(0, 9),
        answered=st.integers(0, 9),
        answered_in_target=st.integers(0, 9),
        abandoned=st.integers(0, 9),
        first_answered=st.integers(0, 9),
        first_contact_resolved=st.integers(0, 9),
        queue_wait_ms=st.integers(0, 90_000),
        drill=st.booleans(),
    ),
    max_size=5,
)
# Two weeks, so that the finer kinds of window forget; few buckets, so that statements replace.
BUCKET = st.one_of(st.integers(0, 6), st.integers(0, 120_000).filter(lambda n: n % 17 == 0)).map(
    lambda n: BASE - BASE % 10_000 + 10_000 * n
)
TALLY = st.builds(
    lambda partition, bucket, through, rows: Tally(
        partition=partition,
        bucket_ms=bucket,
        bucket_width_ms=10_000,
        through_offset=through,
        rows=rows,
    ),
    st.integers(0, 2),
    BUCKET,
    st.integers(0, 5),
    ROWS,
)


def once(tallies: list[Tally]) -> list[Tally]:
    """What dedup says: of each partition, bucket and offset one statement, in order of offset."""
    said: dict[tuple[int, int, int], Tally] = {}
    for tally in tallies:
        said.setdefault((tally.partition, tally.bucket_ms, tally.through_offset), tally)
    return sorted(said.values(), key=lambda tally: tally.through_offset)


def answers(book: Book) -> list[bytes]:
    return [
        window.level().SerializeToString(deterministic=True)
        for dimension in EVERY
        for width in (0, *(hop.width_ms for hop in HOPS))
        for drill in (False, True)
        for window in book.windows(dimension, "", width, 0, 0, 10**6, drill=drill)
    ]


def counted(tallies: list[Tally], unpacked_rows: int = 10**6) -> Book:
    book = Book(unpacked_rows)
    for tally in tallies:
        book.take(tally, NOW + 20 * 24 * HOUR_MS)
    return book


@settings(deadline=None)
@given(
    st.lists(TALLY, min_size=1, max_size=30), st.randoms(use_true_random=False), st.integers(1, 9)
)
def test_any_order_and_repetition_gives_the_levels_of_counting_once(
    tallies: list[Tally], chance: random.Random, unpacked_rows: int
) -> None:
    said = once(tallies)
    replayed = said + [chance.choice(said) for _ in range(len(said))]
    chance.shuffle(replayed)
    assert answers(counted(replayed, unpacked_rows)) == answers(counted(said))


@settings(deadline=None)
@given(st.lists(TALLY, min_size=1, max_size=30))
def test_windows_are_the_plain_sums_of_the_last_statements(tallies: list[Tally]) -> None:
    said = once(tallies)
    book = counted(said)
    last = {(tally.partition, tally.bucket_ms): tally for tally in said}
    for drill in (False, True):
        newest = book.newest_ms(drill)
        expected: dict[tuple[str, int], int] = {}
        for tally in last.values():
            for start in range(MINUTE.horizon(newest), newest, MINUTE.hop_ms):
                if start <= tally.bucket_ms < start + MINUTE.width_ms:
                    for row in tally.rows:
                        if row.drill == drill:
                            key = (row.language, start)
                            expected[key] = expected.get(key, 0) + levels.pack(row)
        found = book.windows(
            Dimension.DIMENSION_LANGUAGE, "", MINUTE.width_ms, 0, 0, 10**6, drill=drill
        )
        assert {(w.subject.name, w.start_ms): w.counts for w in found} == {
            key: value for key, value in expected.items() if value
        }


def tally(bucket_ms: int, through: int = 1, partition: int = 0, **row: object) -> Tally:
    named = {"line": "109", "agency": "moh", "topic": "visa", "language": "ar", **row}
    return Tally(
        partition=partition,
        bucket_ms=bucket_ms,
        bucket_width_ms=10_000,
        through_offset=through,
        rows=[TallyRow(**named)],  # type: ignore[arg-type]
    )


def contacts(book: Book, width_ms: int, from_ms: int = 0, until_ms: int = 0) -> dict[int, int]:
    found = book.windows(Dimension.DIMENSION_ALL, "", width_ms, from_ms, until_ms, 10**6)
    return {window.start_ms: window.level().counts.contacts for window in found}


def test_a_later_statement_replaces_and_an_earlier_one_changes_nothing() -> None:
    book = Book()
    assert book.take(tally(BASE, 5, contacts=3), NOW)
    assert not book.take(tally(BASE, 5, contacts=3), NOW)
    assert not book.take(tally(BASE, 4, contacts=9), NOW)
    assert not book.take(tally(BASE, 6, contacts=3), NOW)
    assert book.take(tally(BASE, 7, contacts=1), NOW)
    assert set(contacts(book, MINUTE.width_ms).values()) == {1}


def test_a_withdrawn_resolution_a_week_later_is_taken_out_of_its_hour() -> None:
    book = Book(unpacked_rows=1)
    book.take(tally(BASE, 1, first_answered=1, first_contact_resolved=1), NOW)
    for day in range(1, 8):
        book.take(tally(BASE + day * 24 * HOUR_MS, 1 + day, contacts=1), NOW + day * 24 * HOUR_MS)
    book.take(tally(BASE, 9, first_answered=1), NOW + 7 * 24 * HOUR_MS)
    found = book.windows(Dimension.DIMENSION_LINE, "109", 3_600_000, BASE, BASE + 1, 100)
    assert len(found) == 12
    assert {w.level().service_levels.first_contact_resolved for w in found} == {0}


def test_fine_windows_are_forgotten_and_wide_ones_kept() -> None:
    book = Book()
    book.take(tally(BASE, contacts=1), NOW)
    book.take(tally(BASE + 3 * HOUR_MS, 2, contacts=1), NOW)
    assert len(contacts(book, MINUTE.width_ms)) == 6
    assert len(contacts(book, QUARTER.width_ms)) == 30
    assert contacts(book, 0, until_ms=BASE + HOUR_MS).popitem()[1] == 1


def test_one_window_over_the_whole_span_is_widened_to_whole_slots() -> None:
    book = Book()
    for second in range(0, 60, 10):
        book.take(tally(BASE + second * 1000, 1 + second, contacts=1), NOW)
    [window] = book.windows(Dimension.DIMENSION_ALL, "", 0, BASE + 15_000, BASE + 31_000, 1)
    assert (window.start_ms, window.width_ms) == (BASE + 10_000, 30_000)
    assert window.level().counts.contacts == 3


def test_a_drill_ages_nothing_that_is_real_and_is_in_no_answer_that_did_not_ask_for_it() -> None:
    book = Book()
    book.take(tally(BASE, contacts=1), NOW)
    before = answers(book)
    book.take(tally(BASE, 2, partition=1, contacts=5, drill=True), NOW)
    book.take(tally(BASE + 5 * HOUR_MS, 3, contacts=7, drill=True), NOW)
    real = [found for found in answers(book) if not Level.FromString(found).drill]
    assert real == before
    drills = book.windows(Dimension.DIMENSION_ALL, "", 0, 0, 0, 1, drill=True)
    assert [(w.level().counts.contacts, w.level().drill) for w in drills] == [(12, True)]


def test_what_was_told_before_drills_were_marked_is_taken_back_when_they_are() -> None:
    book = Book()
    book.take(tally(BASE, 1, contacts=5), NOW)
    book.take(tally(BASE, 2, contacts=5, drill=True), NOW)
    assert book.windows(Dimension.DIMENSION_ALL, "", 0, 0, 0, 1) == []
    assert len(book.windows(Dimension.DIMENSION_ALL, "", 0, 0, 0, 1, drill=True)) == 1


def test_what_has_no_agency_counts_in_the_whole_only() -> None:
    book = Book()
    book.take(tally(BASE, contacts=1, agency=""), NOW)
    assert book.windows(Dimension.DIMENSION_AGENCY, "", 0, 0, 0, 10) == []
    assert set(contacts(book, MINUTE.width_ms).values()) == {1}


def test_a_question_with_too_many_answers_is_refused() -> None:
    book = Book()
    book.take(tally(BASE, contacts=1), NOW)
    with pytest.raises(TooMany):
        book.windows(Dimension.DIMENSION_ALL, "", MINUTE.width_ms, 0, 0, 5)


@pytest.mark.parametrize(
    "damage",
    [
        {"bucket_ms": NOW + 25 * HOUR_MS - NOW % 10_000},
        {"bucket_ms": BASE + 1},
        {"bucket_ms": 0},
        {"bucket_width_ms": 0},
        {"bucket_width_ms": 7_000},
        {"partition": -1},
    ],
)
def test_a_damaged_tally_is_refused_and_ages_nothing(damage: dict[str, int]) -> None:
    book = Book()
    book.take(tally(BASE, contacts=1), NOW)
    before = answers(book)
    bad = tally(BASE, 9, contacts=5)
    for name, value in damage.items():
        setattr(bad, name, value)
    with pytest.raises(Poison):
        book.take(bad, NOW)
    assert answers(book) == before


def test_a_refused_row_leaves_the_statement_before_it() -> None:
    book = Book()
    book.take(tally(BASE, 1, contacts=1), NOW)
    before = answers(book)
    with pytest.raises(Poison):
        book.take(tally(BASE, 2, contacts=2, handling_ms=1 << 50), NOW)
    assert answers(book) == before
    assert book.take(tally(BASE, 2, contacts=2), NOW)


def test_memory_is_bounded_by_event_time_not_by_calls() -> None:
    book = Book(unpacked_rows=500)
    for hour in range(40 * 24):
        at = BASE + hour * HOUR_MS
        for step in range(4):
            book.take(tally(at + step * 60_000, hour, contacts=1), at + HOUR_MS)
    assert book._rows <= 500
    assert len(book._open) + len(book._packed) <= 34 * 24
    assert all(
        len(sums.slots) <= 26 / 24 * sums.hop.keep_ms / sums.hop.hop_ms
        for sums in book._sums[False].by_width.values()
    )


def test_channels_are_told_apart_by_name_and_add_up_to_the_whole() -> None:
    book = Book()
    rows = [
        TallyRow(line="109", channel=Channel.CHANNEL_VOICE, contacts=5, cases=3),
        TallyRow(line="109", channel=Channel.CHANNEL_SIGN_LANGUAGE_VIDEO, contacts=2, cases=2),
        TallyRow(line="109", contacts=1),
        TallyRow(line="109", channel=Channel.ValueType(77), contacts=1),
    ]
    bucket = BASE - BASE % 10_000
    book.take(Tally(bucket_ms=bucket, bucket_width_ms=10_000, through_offset=1, rows=rows), NOW)

    found = book.windows(Dimension.DIMENSION_CHANNEL, "", 0, bucket, 0, 100)
    shown = {one.level().subject: one.level().counts.contacts for one in found}
    assert shown == {"voice": 5, "sign_language_video": 2}
    (whole,) = book.windows(Dimension.DIMENSION_ALL, "", 0, bucket, 0, 100)
    assert whole.level().counts.contacts == 9
