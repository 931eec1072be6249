"""Dead letters and replays of a partition, by what their topic says."""

from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st
from mawja.common.v1 import common_pb2

from services.runtime.letters import Letters, Place, Replayed, place_of, source_of
from services.runtime.own import Record, epoch_of
from services.runtime.produce import Header

TOPIC = "intake.contact-accepted.v1"


@dataclass
class At:
    """A record of the dead-letter topic."""

    offset: int
    topic: str = "dedup.dead-letter.v1"
    partition: int = 3
    timestamp: int = 17
    key: bytes | None = None
    value: bytes | None = None
    headers: Sequence[Header] = ()


def letter(
    offset: int, *, foreign: bool = False, replay: int | None = None
) -> common_pb2.DeadLetter:
    made = common_pb2.DeadLetter(
        topic=TOPIC, partition=3, offset=offset, value=b"bad", key=b"k", foreign=foreign
    )
    if replay is not None:
        made.replay_offset = replay
    return made


def replay(of: int, source: int, value: bytes = b"good") -> common_pb2.DeadLetter:
    return common_pb2.DeadLetter(
        topic=TOPIC,
        partition=3,
        offset=source,
        value=value,
        key=b"k",
        replay=common_pb2.Replay(letter_offset=of, subject="s", asked_ms=1),
    )


def fold(*records: common_pb2.DeadLetter) -> Letters:
    letters = Letters()
    for offset, record in enumerate(records):
        letters.take(offset, record)
    return letters


def test_a_replayed_letter_waits_no_longer() -> None:
    letters = fold(letter(5), letter(9), replay(0, 5))
    assert letters.waiting == 1
    assert (letters.replay_of(0), letters.replay_of(1)) == (2, None)


def test_the_record_to_work_on_carries_the_place_of_its_replay() -> None:
    letters = fold(letter(5), replay(0, 5, b"mended"))
    given_again = letters.replayed(At(1), replay(0, 5, b"mended"))
    assert given_again is not None
    assert (given_again.topic, given_again.offset) == ("dedup.dead-letter.v1", 1)
    assert (given_again.value, given_again.key) == (b"mended", b"k")
    assert source_of(given_again) == TOPIC
    assert place_of(given_again) == Place(TOPIC, 5, 1)
    assert epoch_of(given_again) == 0


def test_the_first_replay_counts_and_the_second_is_nothing() -> None:
    letters = fold(letter(5), replay(0, 5, b"one"), replay(0, 5, b"two"))
    assert letters.waiting == 0
    assert letters.replayed(At(1), replay(0, 5, b"one")) is not None
    assert letters.replayed(At(2), replay(0, 5, b"two")) is None


def test_a_letter_that_was_written_twice_is_one_letter() -> None:
    letters = fold(letter(5), letter(5), replay(1, 5), replay(0, 5))
    assert letters.waiting == 0
    assert letters.first(1) == 0
    assert letters.replay_of(0) == letters.replay_of(1) == 2


def test_what_breaks_a_rule_again_is_a_letter_of_its_own() -> None:
    letters = fold(letter(5), replay(0, 5), letter(5, replay=1))
    assert letters.waiting == 1
    assert letters.replay_of(2) is None
    letters.take(3, replay(2, 5))
    assert letters.waiting == 0
    again = letters.replayed(At(3), replay(2, 5))
    assert again is not None
    assert place_of(again) == Place(TOPIC, 5, 3)


def test_what_counts_for_no_reader_is_not_replayed() -> None:
    letters = fold(letter(5, foreign=True), replay(0, 5))
    assert letters.waiting == 1
    assert letters.replayed(At(1), replay(0, 5)) is None


def test_a_replay_of_no_letter_is_nothing() -> None:
    letters = fold(letter(5), replay(7, 5), replay(0, 6), replay(1, 5))
    assert letters.waiting == 1
    for offset, record in ((1, replay(7, 5)), (2, replay(0, 6)), (3, replay(1, 5))):
        assert letters.replayed(At(offset), record) is None


def test_a_reading_changes_nothing() -> None:
    reading = common_pb2.DeadLetter(
        topic=TOPIC, offset=5, reading=common_pb2.Reading(subject="s", asked_ms=1)
    )
    letters = fold(letter(5), reading)
    assert letters.waiting == 1
    assert letters.first(1) is None
    assert letters.replayed(At(1), reading) is None


def test_a_letter_on_its_way_is_counted_once() -> None:
    letters = Letters()
    assert letters.note(Place(TOPIC, 5))
    assert not letters.note(Place(TOPIC, 5))
    assert letters.waiting == 1
    assert letters.holds(Place(TOPIC, 5))
    letters.take(0, letter(5))
    assert letters.waiting == 1
    assert letters.first(0) == 0


def test_a_record_that_was_never_replayed_is_what_its_topic_says() -> None:
    record: Record = At(4, topic=TOPIC)
    assert source_of(record) == TOPIC
    assert place_of(record) == Place(TOPIC, 4)


steps = st.lists(
    st.tuples(st.sampled_from(["letter", "replay"]), st.integers(0, 6), st.integers(0, 3)),
    max_size=20,
)


@given(steps, st.integers(0, 20))
def test_every_reader_finds_the_same_and_each_letter_is_given_once(
    made: list[tuple[str, int, int]], restart: int
) -> None:
    """Whatever stands in the topic, and from wherever a reader begins to be asked."""
    records = [
        letter(number) if kind == "letter" else replay(of, number) for kind, of, number in made
    ]

    def read(known: int) -> list[Replayed]:
        letters = Letters()
        for offset, record in enumerate(records[:known]):
            letters.take(offset, record)
        found = []
        for offset, record in enumerate(records):
            letters.take(offset, record)
            one = letters.replayed(At(offset), record)
            if one is not None:
                found.append(one)
        assert 0 <= letters.waiting == len({r.offset for r in records if not _deed(r)}) - len(found)
        return found

    given_out = read(0)
    places = [one.place for one in given_out]
    assert len(set(places)) == len(places)
    assert read(min(restart, len(records))) == given_out


def _deed(record: common_pb2.DeadLetter) -> bool:
    return record.WhichOneof("deed") is not None
