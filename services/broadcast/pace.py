"""How fast a carrier may be fed: a token bucket in parts per second that gives way when told to.

The carrier's rate is agreed with it, so the bucket never exceeds it. A carrier that says
"throttled" is given less at once and gets the agreed rate back little by little. Pure: the time is
passed in, as seconds of a clock that never steps.
"""

BURST_S = 0.1
"""A bucket holds what flows in so much time: no more goes out at once."""
_GIVE_WAY = 0.5
_GIVE_WAY_EVERY_S = 0.5
_RECOVER_PER_S = 0.02
_LOWEST = 0.01


class Bucket:
    """Tokens, one for each part, at `rate` a second."""

    __slots__ = ("_at", "_gave_way_at", "_share", "_tokens", "rate")

    def __init__(self, rate: float, now_s: float) -> None:
        if rate <= 0:
            raise ValueError("a rate is more than 0 parts per second")
        self.rate = rate
        self._share = 1.0
        self._at = now_s
        self._gave_way_at = float("-inf")
        self._tokens = self._burst

    @property
    def _burst(self) -> float:
        return max(1.0, self.rate * self._share * BURST_S)

    @property
    def current_rate(self) -> float:
        """Parts per second now: the agreed rate, or less after throttling."""
        return self.rate * self._share

    def share(self, now_s: float) -> float:
        """What is left of the agreed rate after throttling, up to 1."""
        self._flow(now_s)
        return self._share

    def _flow(self, now_s: float) -> None:
        passed = max(0.0, now_s - self._at)
        self._at = max(self._at, now_s)
        flown = passed * self.current_rate
        # The share first: a full bucket must be full by the measure that `take` goes by.
        self._share = min(1.0, self._share + passed * _RECOVER_PER_S)
        self._tokens = min(self._burst, self._tokens + flown)

    def take(self, parts: int, now_s: float) -> bool:
        """Takes a token for each part, if they are there.

        A message of more parts than the bucket holds may go when it is full; the debt is paid
        before the next.
        """
        self._flow(now_s)
        if self._tokens < min(parts, self._burst) - 1e-9:
            return False
        self._tokens -= parts
        return True

    def spend(self, parts: int, now_s: float) -> None:
        """Takes a token for each part of what has gone; a debt is paid before the next."""
        self._flow(now_s)
        self._tokens -= parts

    def wait_s(self, parts: int, now_s: float) -> float:
        """Seconds until `take` would succeed, if nothing else is taken."""
        self._flow(now_s)
        return max(0.0, (min(parts, self._burst) - self._tokens) / self.current_rate)

    def throttled(self, now_s: float) -> None:
        """The carrier said that this was too fast. Many refusals of one burst count once."""
        self._flow(now_s)
        if now_s - self._gave_way_at >= _GIVE_WAY_EVERY_S:
            self._gave_way_at = now_s
            self._share = max(_LOWEST, self._share * _GIVE_WAY)
            self._tokens = min(self._tokens, 0.0)
