"""What is turned away when more comes than can be taken, and for how long. Pure.

Life-safety contacts have a reserved share of the room and are turned away last.
"""

RESERVED_SHARE = 0.2
"""Share of the room that only life-safety contacts may use."""
SOONEST_MS = 250
LATEST_MS = 8_000


def admits(inflight: int, limit: int, life_safety: bool) -> bool:
    """Whether one more may be taken, with `inflight` under way and room for `limit`."""
    return inflight < (limit if life_safety else _ordinary(limit))


def admits_bundle(inflight: int, limit: int, count: int) -> bool:
    """Whether a bundle of `count` ordinary ones may be taken: as a whole or not at all, but one
    that would take more than a quarter of the room is taken as far as there is room."""
    room = _ordinary(limit)
    return inflight < room if count * 4 > room else inflight + count <= room


def _ordinary(limit: int) -> int:
    return int(limit * (1 - RESERVED_SHARE))


def eased(inflight: int, limit: int) -> bool:
    """Whether an overload is over: half of the room is free."""
    return inflight * 2 < limit


def retry_after_ms(turned_away: int, taken: int, elapsed_ms: int) -> int:
    """When the sender should come back, 250 ms to 8 s: when those who were turned away before it
    will have been taken, at the pace of this overload so far.

    `turned_away` and `taken` count contacts since the overload began, `elapsed_ms` ago. Who is
    taken meanwhile was turned away before or came new in somebody's place: both shorten the line.
    """
    line = turned_away - taken
    if line <= 0:
        return SOONEST_MS
    if taken <= 0:
        # No pace yet: the longer nothing is taken, the later.
        return min(LATEST_MS, max(SOONEST_MS, elapsed_ms))
    return min(LATEST_MS, max(SOONEST_MS, line * elapsed_ms // taken))
