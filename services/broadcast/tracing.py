"""Which messages are traced, from their lane until a receipt settles them.

The receipt of a carrier carries no trace, so the owner of the message remembers that of its lane's
record: in memory only, of the few that are traced, the latest ones where they are many. After a
takeover a trace ends where the last owner was.
"""

import time
from dataclasses import dataclass

from mawja.broadcast.v1.events_pb2 import MessageChange

from services.broadcast.messages import CLAIMED, QUEUED, RELEASED, SUBMITTED, UNKNOWN
from services.runtime import trace

_MOST = 10_000


@dataclass(slots=True)
class _Open:
    traceparent: str
    since_ns: int
    sent: bool = False


class Traces:
    """The traced messages of one partition."""

    def __init__(self) -> None:
        self._open: dict[str, _Open] = {}

    def begin(self, message_id: str, traceparent: str) -> None:
        """A message with this trace waits in its lane."""
        if len(self._open) >= _MOST:
            del self._open[next(iter(self._open))]
        self._open[message_id] = _Open(traceparent, time.time_ns())

    def changed(self, change: MessageChange) -> None:
        """The log has this change: what it ended becomes a span."""
        one = self._open.get(change.message_id)
        # What is unknown may still be settled by its receipt.
        if one is None or change.state in (QUEUED, CLAIMED, RELEASED, UNKNOWN):
            return
        if change.state == SUBMITTED:
            if not one.sent:
                passed_on = trace.past("broadcast.send", one.traceparent, one.since_ns)
                self._open[change.message_id] = _Open(passed_on, time.time_ns(), sent=True)
            return
        del self._open[change.message_id]
        name = "broadcast.receipt" if one.sent else "broadcast.end"
        trace.past(name, one.traceparent, one.since_ns)
