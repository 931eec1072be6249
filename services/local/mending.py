"""Starts a part again that has ended unasked, as long as that helps.

The SMS centre is the carrier's, and Valkey holds nothing but views: what runs goes on without them
and finds them again at the same address. Kafka holds what was decided, so its end is the run's.
"""

import time

from services.local.errors import LocalPartError
from services.local.listener import Listener
from services.local.supervised import RestartPolicy

POLICY = RestartPolicy(limit=5)


class Mending:
    """Looks after one part. `listener` was started."""

    def __init__(self, listener: Listener, policy: RestartPolicy = POLICY) -> None:
        self.listener = listener
        self._policy = policy
        self._in_a_row = 0
        # When it is started again: monotonic seconds; None while it runs.
        self._at_s: float | None = None

    def look(self) -> str:
        """What happened to the part, in a sentence; empty when nothing did. Called often.

        Raises LocalPartError when it ends again and again.
        """
        part, now_s = self.listener, time.monotonic()
        if part.alive():
            return ""
        if self._at_s is None:
            long = part.child.uptime_s >= self._policy.healthy_s
            self._in_a_row = 1 if long else self._in_a_row + 1
            delay_s = self._policy.delay_s(self._in_a_row)
            if delay_s is None:
                try:
                    part.check()
                except LocalPartError as error:
                    raise LocalPartError(
                        f"{error}; it was started again {self._in_a_row - 1} times in vain"
                    ) from None
                return ""
            self._at_s = now_s + delay_s
        if now_s < self._at_s:
            return ""
        code, self._at_s = part.child.exit_code, None
        part.child.start()
        return f"{part.name} ended with code {code} and was started again; see {part.child.log}"
