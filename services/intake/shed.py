"""What is turned away when more comes than can be taken, and for how long. Pure.

Life-safety contacts have a reserved share of the room and are turned away last.
"""

RESERVED_SHARE = 0.2
"""Share of the room that only life-safety contacts may use."""
_RETRY_MS = 250


def admits(inflight: int, limit: int, life_safety: bool) -> bool:
    """Whether one more may be taken, with `inflight` under way and room for `limit`."""
    return inflight < (limit if life_safety else int(limit * (1 - RESERVED_SHARE)))


def retry_after_ms(refused_in_a_row: int) -> int:
    """When the sender should come back: later the more were refused in a row, at most 8 s."""
    return int(min(8_000, _RETRY_MS * (1 + refused_in_a_row / 500)))
