"""Having a view written again: it is taken away, then its owners write it from what they know.

Between the two nobody may write: an entry of the new view would be taken away with the old one. So
whoever takes it away holds a *fence* in Redis. While it stands, no owner begins; it falls by itself
when its holder dies, and nothing is taken away by one who does not hold it any more. Readers find
no sentinel from the first moment on and answer UNAVAILABLE. Pure: names and forms.
"""

from dataclasses import dataclass

FENCE_S = 10
"""Seconds after which the fence of a holder that died falls."""
KEPT_S = 3600
"""Seconds for which it stands in Redis how far the last writing came."""


def fence_key(room: str) -> str:
    """The key that keeps owners from writing the view of a room again."""
    return f"{room}:fence"


def building_key(sentinel: str) -> str:
    """Where a sentinel stands while what it stands for is being written."""
    return f"{sentinel}:rebuilding"


def progress_key(room: str, partition: int) -> str:
    """Where the owner of a partition tells how far writing its view again has come."""
    return f"rebuilt:{room}:{partition}"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far writing a view has come: entries written, and seconds since it was begun."""

    entries: int
    seconds: float

    def pack(self) -> bytes:
        """As it stands in Redis, maybe behind a version."""
        return f" {self.entries} {self.seconds:.3f}".encode()

    @classmethod
    def unpack(cls, data: bytes) -> "Progress":
        """The inverse of `pack`, whatever stands before it."""
        entries, seconds = data.decode().split()[-2:]
        return cls(int(entries), float(seconds))


@dataclass(frozen=True, slots=True)
class View:
    """A view in Redis: its fence, its sentinels (one for each partition that is written by itself),
    and what the keys of its entries begin with."""

    room: str
    fence: str
    sentinels: tuple[str, ...]
    prefix: str

    @property
    def progress(self) -> tuple[str, ...]:
        """Where those who write it tell how far they are, in the order of the sentinels."""
        return tuple(progress_key(self.room, p) for p in range(len(self.sentinels)))
