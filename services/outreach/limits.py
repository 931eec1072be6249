"""How many messages of a rule somebody got, and whether they may get one more. Pure.

Counted over all cases of a person, from the log of requested messages alone.
"""

from bisect import bisect_right, insort
from collections.abc import Sequence

from mawja.outreach.v1 import events_pb2 as outreach

from services.outreach.rules import Rule
from services.outreach.switches.state import every


class Got:
    """Who got how many messages of those `rules` that have a limit for each person."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._within_ms = {
            rule.name: rule.limits.within_ms
            for rule in every(rules)
            if rule.limits and rule.limits.most
        }
        self._asked_ms: dict[tuple[str, bytes], list[int]] = {}

    def take(self, request: outreach.MessageRequested) -> None:
        """Counts a message that was requested."""
        name = request.rule.partition("@")[0]
        within_ms = self._within_ms.get(name)
        if within_ms is None:
            return
        times = self._asked_ms.setdefault((name, request.person), [])
        insort(times, request.requested_ms)
        # Late by a day at most: what is decided is decided in order, but for replays.
        del times[: bisect_right(times, times[-1] - within_ms - 86_400_000)]

    def withheld(self, rule: Rule, person: bytes, at_ms: int) -> str:
        """Why the rule's limits keep a person from its message at `at_ms`; "" when they don't."""
        limits = rule.limits
        if limits is None:
            return ""
        if not limits.in_hours(at_ms):
            return f"it is outside {limits.told()}"
        if limits.most:
            times = self._asked_ms.get((rule.name, person), ())
            got = sum(time > at_ms - limits.within_ms for time in times)
            if got >= limits.most:
                return f"the person got {got} of {limits.most} within the time of its limit"
        return ""
