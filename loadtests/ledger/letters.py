"""What could not be processed: dead letters by room, and records that nobody can read."""

from collections import Counter
from collections.abc import Iterator
from typing import TypeAlias

from mawja.common.v1 import common_pb2

from services.runtime.own import Record

Place: TypeAlias = tuple[str, int, int]
"""Topic, partition, offset."""
_Letter: TypeAlias = tuple[Place, int]
_OWN = -1


class Letters:
    """The dead letters: each is one, however often it was written, and waits until a person gives
    it to its room again. What breaks a rule once more is another letter of the same place."""

    def __init__(self) -> None:
        self._waiting: dict[_Letter, str] = {}
        self._replayed: set[_Letter] = set()
        self._letter_at: dict[Place, _Letter] = {}
        self._unreadable: set[Place] = set()

    def take(self, letter: common_pb2.DeadLetter, record: Record) -> bool:
        """Takes up a record of a topic of dead letters; whether it gives a value to its room again,
        to be worked with like one that came the usual way."""
        deed = letter.WhichOneof("deed")
        if deed == "replay":
            at = (record.topic, record.partition, letter.replay.letter_offset)
            return self._replay(self._letter_at.get(at), letter)
        if deed is None:
            replay = letter.replay_offset if letter.HasField("replay_offset") else _OWN
            found = ((letter.topic, letter.partition, letter.offset), replay)
            self._letter_at[record.topic, record.partition, record.offset] = found
            if found not in self._replayed:
                self._waiting[found] = record.topic.partition(".")[0]
        return False

    def _replay(self, letter: _Letter | None, replay: common_pb2.DeadLetter) -> bool:
        # The first one counts, of a letter that is still kept.
        if letter is None or letter in self._replayed:
            return False
        if letter[0] != (replay.topic, replay.partition, replay.offset):
            return False
        del self._waiting[letter]
        self._replayed.add(letter)
        return True

    def unreadable(self, record: Record) -> None:
        """A record is not what its topic holds."""
        self._unreadable.add((record.topic, record.partition, record.offset))

    def __len__(self) -> int:
        return len(self._waiting)

    def waiting(self) -> set[Place]:
        """Where the records stood of which a letter waits."""
        return {place for place, _ in self._waiting}

    def given_again(self) -> set[Place]:
        """Where the records stood of which letters were given to their room again."""
        return {place for place, _ in self._replayed}

    def left_lying(self) -> set[Place]:
        """Records that can't be read and that no room has set aside."""
        return self._unreadable - self.waiting() - self.given_again()

    def by_room(self) -> Iterator[tuple[str, int]]:
        """How many letters wait, by room."""
        return iter(sorted(Counter(self._waiting.values()).items()))
