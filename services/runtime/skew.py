"""Whether this machine's clock agrees with the others', and what follows when it does not.

Redis tells its time, once a second. A wall clock that agrees is followed. One that steps away is
not: the room keeps its own steady time, which still agrees, works on and says so. When both agree
with each other and not with Redis, it is Redis's clock that has stepped (after a failover, say),
and one wrong clock must not end every service: the room works on and says so. When all three differ
nobody here can tell who is right, and the process ends: a message could be given up before its
time, or sent after it. For the same reason none begins on a clock that disagrees.
"""

import asyncio
from enum import Enum

import redis.asyncio as redis
from redis.exceptions import RedisError

from services.runtime import clock, log, metrics
from services.runtime.answering import Silence
from services.runtime.errors import Stop

LIMIT_MS = 5_000
"""How far a clock may be away: far above what time servers leave, far below what is decided by."""
_EVERY_S = 1.0
_log = log.get("clock")


class Verdict(Enum):
    """What a room does about its clocks."""

    FOLLOW = "follow"
    HOLD = "hold"
    DOUBT = "doubt"
    LOST = "lost"


def ahead_ms(clock_ms: int, asked_for_ms: int, reference_ms: int) -> int:
    """How far a clock is ahead of the reference, at least; negative: behind, 0: it may be right.

    The reference was read at an unknown moment of the `asked_for_ms` ms before `clock_ms`.
    """
    if reference_ms > clock_ms:
        return clock_ms - reference_ms
    return max(0, clock_ms - asked_for_ms - reference_ms)


def judge(wall_ahead_ms: int, steady_ahead_ms: int) -> Verdict:
    """What follows when the wall clock and steady time are so far ahead of the reference."""
    if abs(wall_ahead_ms) <= LIMIT_MS:
        return Verdict.FOLLOW
    if abs(steady_ahead_ms) <= LIMIT_MS:
        return Verdict.HOLD
    return Verdict.DOUBT if abs(wall_ahead_ms - steady_ahead_ms) <= LIMIT_MS else Verdict.LOST


class Skew:
    """Compares this process's clocks with Redis's."""

    def __init__(self, client: "redis.Redis") -> None:
        self._client = client
        self._verdict = Verdict.FOLLOW
        self._silence = Silence(metrics.REDIS_SILENT)

    async def begin(self) -> None:
        """Raises Stop when the wall clock disagrees with Redis's. One that cannot be asked is asked
        again by `watch`."""
        try:
            reading, wall_ahead_ms, _ = await self._compare()
        except RedisError as error:
            _log.warning("Redis is away: the clock is compared later", error=type(error).__name__)
            return
        if abs(wall_ahead_ms) > LIMIT_MS:
            raise Stop(_disagree(wall_ahead_ms))
        clock.follow(reading)

    async def watch(self) -> None:
        """Compares once a second for ever. Raises Stop when no clock here can be believed."""
        while True:
            await asyncio.sleep(_EVERY_S)
            try:
                reading, wall_ahead_ms, steady_ahead_ms = await self._compare()
            except RedisError:
                # Its absence is told by those who need it; steady time goes on meanwhile.
                continue
            verdict = judge(wall_ahead_ms, steady_ahead_ms)
            if verdict is Verdict.LOST:
                raise Stop(_disagree(wall_ahead_ms))
            if verdict is Verdict.FOLLOW:
                clock.follow(reading)
            if verdict is not self._verdict:
                self._verdict = verdict
                self._tell(wall_ahead_ms)

    def _tell(self, wall_ahead_ms: int) -> None:
        match self._verdict:
            case Verdict.HOLD:
                _log.error(
                    f"this machine's clock is {_far(wall_ahead_ms)} the others': set it right "
                    "(time server); this service keeps the time that it had until then"
                )
            case Verdict.DOUBT:
                _log.error(
                    f"this machine's clock is {_far(wall_ahead_ms)} Redis's, which has stepped: "
                    "set Redis's right (time server); this service keeps the time that it had"
                )
            case _:
                _log.info("this machine's clock and Redis's agree again")

    async def _compare(self) -> tuple[clock.Reading, int, int]:
        """(both clocks, how far the wall clock is ahead, how far steady time is)."""
        asked_s = clock.monotonic_s()
        seconds, micros = await self._client.time()
        self._silence.answered()
        asked_for_ms = int((clock.monotonic_s() - asked_s) * 1000) + 1
        reading = clock.read()
        reference_ms = seconds * 1000 + micros // 1000
        wall_ahead_ms = ahead_ms(reading.wall_ms, asked_for_ms, reference_ms)
        metrics.CLOCK_SKEW.set(wall_ahead_ms / 1000)
        return reading, wall_ahead_ms, ahead_ms(reading.steady_ms, asked_for_ms, reference_ms)


def _far(ahead_ms: int) -> str:
    return f"{abs(ahead_ms) / 1000:,.0f} s {'ahead of' if ahead_ms > 0 else 'behind'}"


def _disagree(wall_ahead_ms: int) -> str:
    return (
        f"this machine's clock is {_far(wall_ahead_ms)} Redis's: set right whichever is wrong "
        "(time server); nothing is decided on a clock that cannot be believed"
    )
