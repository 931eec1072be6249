"""What could not be processed: dead letters by room, and records that nobody can read."""

from collections import Counter
from collections.abc import Iterator
from typing import TypeAlias

from mawja.common.v1 import common_pb2

from services.runtime.own import Record

Place: TypeAlias = tuple[str, int, int]
"""Topic, partition, offset."""


class Letters:
    """The dead letters, each once."""

    def __init__(self) -> None:
        self.waiting: dict[Place, str] = {}
        """Room by the place of the record that it set aside."""
        self._unreadable: set[Place] = set()

    def take(self, letter: common_pb2.DeadLetter, record: Record) -> None:
        """A room has set a record aside."""
        place = (letter.topic, letter.partition, letter.offset)
        self.waiting[place] = record.topic.partition(".")[0]

    def unreadable(self, record: Record) -> None:
        """A record is not what its topic holds."""
        self._unreadable.add((record.topic, record.partition, record.offset))

    def left_lying(self) -> Iterator[Place]:
        """Records that can't be read and that no room has set aside."""
        return (place for place in self._unreadable if place not in self.waiting)

    def by_room(self) -> Counter[str]:
        """How many letters wait, by room."""
        return Counter(self.waiting.values())
