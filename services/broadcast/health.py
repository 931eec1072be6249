"""How well a carrier does, as the share of its messages that it should get. Pure.

What it answered in the last seconds is counted. While more than a fifth of it is bad (an error that
lies in the carrier, an answer that never came or came late) each bad answer may halve the share,
down to a floor at which what still goes there probes it. It rises by each good answer once the bad
ones are past, and slowly by time alone, so that a carrier of which nobody asks anything is asked
again. The time is passed in, as seconds of a clock that never steps.
"""

import math
from collections import deque

FLOOR = 0.02
"""The least share: so much still goes there and finds out whether it is well again."""
WINDOW_S = 10
"""Answers count for so long."""
_LEAST = 5
"""Fewer answers than these say nothing."""
_ILL = 0.2
_FALL = 0.5
_FALL_EVERY_S = 0.25
_HEAL_BY_ANSWER = 1.05
_HEAL_PER_S = 1 / 300


class Health:
    """Of one carrier."""

    __slots__ = ("_answers", "_at", "_bad", "_fell_at", "_good", "_share")

    def __init__(self) -> None:
        self._share = 1.0
        self._at = float("-inf")
        self._fell_at = float("-inf")
        # (second, good, bad), and their sums.
        self._answers: deque[tuple[int, int, int]] = deque()
        self._good = 0
        self._bad = 0

    def share(self, now_s: float) -> float:
        """The share of its messages that it should get now, FLOOR to 1."""
        if self._share < 1.0 and now_s > self._at:
            self._share = min(1.0, self._share + (now_s - self._at) * _HEAL_PER_S)
        self._at = max(self._at, now_s)
        return self._share

    def note(self, well: bool, now_s: float) -> None:
        """Takes up what it answered to one message."""
        self.share(now_s)
        self._count(well, now_s)
        ill = self._bad > _ILL * (self._good + self._bad)
        if well:
            if not ill:
                self._share = min(1.0, self._share * _HEAL_BY_ANSWER)
        elif ill and self._good + self._bad >= _LEAST and now_s - self._fell_at >= _FALL_EVERY_S:
            self._fell_at = now_s
            self._share = max(FLOOR, self._share * _FALL)

    def _count(self, well: bool, now_s: float) -> None:
        second = math.floor(now_s)
        while self._answers and self._answers[0][0] <= second - WINDOW_S:
            _, good, bad = self._answers.popleft()
            self._good -= good
            self._bad -= bad
        good, bad = (1, 0) if well else (0, 1)
        self._good += good
        self._bad += bad
        if self._answers and self._answers[-1][0] >= second:
            last, was_good, was_bad = self._answers.pop()
            second, good, bad = last, was_good + good, was_bad + bad
        self._answers.append((second, good, bad))


def stepped(share: float) -> float:
    """The share, to the nearest power of two: what goes by it changes in steps, not all the time,
    and a carrier that is nearly well counts as well. FLOOR to 1."""
    return max(FLOOR, min(1.0, 2.0 ** round(math.log2(share))))
