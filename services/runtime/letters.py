"""What the dead letters of one partition say: which of them wait, and which replay of one counts.

A letter is known by the place of the record that is in it: written twice, by an owner that died and
the next, it is one letter. The first replay of a letter counts and every later one is nothing; that
is so for every reader, because all of them read the same topic in the same order. Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from google.protobuf.message import DecodeError
from mawja.common.v1 import common_pb2

from services.runtime.own import EPOCH, Record
from services.runtime.produce import Header

_ITS_OWN = -1


class Place(NamedTuple):
    """Where a record stood: its topic, its offset, and the offset of the replay that brought it
    once more (-1: it came from its topic)."""

    topic: str
    offset: int
    replay: int = _ITS_OWN


@dataclass(slots=True)
class Replayed:
    """A dead letter's record, given to its room again. `topic` and `offset` are those of the
    replay: a decision made from it carries them as its input. `place` is where it stood once."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    place: Place
    # Of its input, which is no decision log.
    headers: Sequence[Header] = ((EPOCH, bytes(8)),)


def source_of(record: Record) -> str:
    """The topic that says what a record is: its own, or for a replay that of the dead letter."""
    return record.place.topic if isinstance(record, Replayed) else record.topic


def place_of(record: Record) -> Place:
    """The place by which the dead letter of `record` is known."""
    if isinstance(record, Replayed):
        return Place(record.place.topic, record.place.offset, record.offset)
    return Place(record.topic, record.offset)


class Letters:
    """The dead letters of one partition. Feed it every record of the topic, in order."""

    def __init__(self) -> None:
        # None: it was written here and has not been read back.
        self._offset_of: dict[Place, int | None] = {}
        self._place_at: dict[int, Place] = {}
        self._replay_of: dict[Place, int] = {}
        self._foreign: set[Place] = set()
        self._next = 0

    @staticmethod
    def read(record: Record) -> common_pb2.DeadLetter | None:
        """What a record of the topic says; None for bytes that say nothing."""
        try:
            return common_pb2.DeadLetter.FromString(record.value or b"")
        except DecodeError:
            return None

    @property
    def waiting(self) -> int:
        """Letters that nobody has replayed."""
        return len(self._offset_of) - len(self._replay_of)

    @property
    def replayable(self) -> int:
        """Letters that somebody can and should replay: what is foreign never is."""
        return len(self._offset_of.keys() - self._replay_of.keys() - self._foreign)

    def take(self, offset: int, record: common_pb2.DeadLetter) -> None:
        """Takes up the record at `offset`; again, it changes nothing."""
        if offset < self._next:
            return
        self._next = offset + 1
        deed = record.WhichOneof("deed")
        if deed is None:
            place = _place(record)
            self._place_at[offset] = place
            if self._offset_of.get(place) is None:
                self._offset_of[place] = offset
            if record.foreign:
                self._foreign.add(place)
        elif deed == "replay":
            replayed = self._place_at.get(record.replay.letter_offset)
            # Removed with its time, never there, or another's.
            if replayed is None or replayed[:2] != (record.topic, record.offset):
                return
            if replayed not in self._foreign:
                self._replay_of.setdefault(replayed, offset)

    def note(self, place: Place) -> bool:
        """The letter of `place` is being written; False when it stands already."""
        if place in self._offset_of:
            return False
        self._offset_of[place] = None
        return True

    def holds(self, place: Place) -> bool:
        """Whether there is a letter of this place."""
        return place in self._offset_of

    def first(self, offset: int) -> int | None:
        """The offset of the first letter of the same place as the one at `offset`; None when no
        letter stands there."""
        place = self._place_at.get(offset)
        return None if place is None else self._offset_of[place]

    def replay_of(self, offset: int) -> int | None:
        """The offset of the replay that counts of the letter at `offset`; None when it waits."""
        place = self._place_at.get(offset)
        return None if place is None else self._replay_of.get(place)

    def replayed(self, record: Record, read: common_pb2.DeadLetter) -> Replayed | None:
        """The record that the room is to work on, when `record`, which says `read` and has been
        taken up, is a replay that counts."""
        if read.WhichOneof("deed") != "replay":
            return None
        place = self._place_at.get(read.replay.letter_offset)
        if place is None or self._replay_of.get(place) != record.offset:
            return None
        return Replayed(
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            timestamp=record.timestamp,
            key=read.key or None,
            value=read.value,
            place=place,
        )


def _place(letter: common_pb2.DeadLetter) -> Place:
    replay = letter.replay_offset if letter.HasField("replay_offset") else _ITS_OWN
    return Place(letter.topic, letter.offset, replay)
