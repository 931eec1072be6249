"""Millions of things, remembered in 16 bytes for an id and a column for each fact."""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from hashlib import blake2b

NONE = -1
_NAMES = 1_000


def key_of(uuid: str) -> bytes:
    """A UUID's 16 bytes; for an id that is none, 17 bytes that stand for it alone."""
    if len(uuid) == 36 and uuid.count("-") == 4:
        try:
            return bytes.fromhex(uuid.replace("-", ""))
        except ValueError:
            pass
    return blake2b(uuid.encode(), digest_size=17).digest()


class Numbers:
    """Things by number, from 0 in the order in which they were first heard of."""

    def __init__(self) -> None:
        self._of: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self._of)

    def get(self, key: bytes) -> int:
        """The number of a thing, or NONE."""
        return self._of.get(key, NONE)

    def add(self, key: bytes) -> tuple[int, bool]:
        """The number of a thing, and whether it is heard of for the first time."""
        count = len(self._of)
        number = self._of.setdefault(key, count)
        return number, number == count


class Names:
    """A closed list of words by number; 0 is the empty one. Whoever writes words that are not in
    the list can't make it grow for ever."""

    def __init__(self) -> None:
        self._names = [""]
        self._number = {"": 0}

    def add(self, name: str) -> int:
        """The number of a name."""
        number = self._number.get(name)
        if number is None:
            if len(self._names) == _NAMES:
                return 0
            number = self._number[name] = len(self._names)
            self._names.append(name)
        return number

    def __getitem__(self, number: int) -> str:
        return self._names[number]


class Places:
    """Which thing each record of some topics told of. Records of a partition come in order."""

    def __init__(self) -> None:
        self._partitions: dict[tuple[str, int], tuple[array[int], array[int]]] = {}

    def add(self, topic: str, partition: int, offset: int, number: int) -> None:
        """The record at a place told of thing `number`."""
        held = self._partitions.get((topic, partition))
        if held is None:
            held = self._partitions[topic, partition] = (array("q"), array("i"))
        held[0].append(offset)
        held[1].append(number)

    def find(self, topic: str, partition: int, offset: int) -> int:
        """What the record at a place told of; NONE when it is not known."""
        held = self._partitions.get((topic, partition))
        if held is None:
            return NONE
        at = bisect_left(held[0], offset)
        return held[1][at] if at < len(held[0]) and held[0][at] == offset else NONE

    def up_to(self, topic: str, partition: int, offset: int) -> Sequence[int]:
        """What the records of a partition up to one (included) told of."""
        offsets, numbers = self._partitions[topic, partition]
        return numbers[: bisect_right(offsets, offset)]

    def partitions(self) -> list[tuple[str, int]]:
        """Where records were read, as (topic, partition)."""
        return list(self._partitions)
