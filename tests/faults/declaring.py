"""The `mawja` command, killed at an effect of `mawja restored declare`.

Run as a script: the name of an effect (SAID, EMPTIED, "" for none), the number of partitions, a
folder, and the words of the command.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from services.runtime.topics import RESTORATION
from services.tools.__main__ import main
from tests.faults.crashing import GO, Crash, arm
from tests.faults.points import RECORD, REDIS, Point

SAID, EMPTIED = "said", "emptied"


def nth(number: int) -> Callable[[Any], bool]:
    """Whether an effect is the one of that number, from 1."""
    left = iter(range(number - 1, -1, -1))
    return lambda _: next(left) == 0


def point(effect: str, partitions: int) -> Point:
    """After every partition has been told; after Redis was emptied."""
    if effect == SAID:
        return Point("mawja", effect, RECORD, RESTORATION.name, nth(partitions), most=1)
    return Point("mawja", effect, REDIS, "FLUSHDB", most=1)


if __name__ == "__main__":
    _effect, _partitions, _folder, *_words = sys.argv[1:]
    sys.argv[1:] = _words
    if _effect:
        _home = Path(_folder)
        (_home / GO).touch()
        _point = point(_effect, int(_partitions))
        arm({_point: Crash(_point, _home, "1")})
    main()
