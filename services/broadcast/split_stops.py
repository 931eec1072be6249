"""Requests to stop that a person's SMS centre has cut into parts.

A message in parts is judged when all of them are here, as one text: a first part that says only
"STOP" may go on "… by the office", and is no request; "ST" and "OP" are one. It is remembered in
memory only, between its parts: after a crash there, or when they come by two processes, the message
is not recognised and becomes a contact, which an agent reads. Hardly any message comes so: what
fits one part (70 letters in any script) is not cut by telephones, and is judged at once. Pure.
"""

from dataclasses import dataclass, field

from services.broadcast.carriers.base import InboundMessage
from services.broadcast.optout import LONGEST, is_stop
from services.runtime.smpp_text import Coded, Concat, join_coded

KEPT_MS = 10 * 60 * 1000
"""How long the first parts are remembered."""
_MOST = 10_000


@dataclass(slots=True)
class _Begun:
    since_ms: int
    parts: dict[int, Coded] = field(default_factory=dict)


class SplitStops:
    """What of messages in parts has come by one carrier."""

    def __init__(self) -> None:
        self._begun: dict[tuple[str, str, int, int], _Begun] = {}

    def take(self, message: InboundMessage, place: Concat, now_ms: int) -> bool:
        """Whether with this part all are here, and together ask us to stop. A part that is brought
        once more gives the same answer again. `now_ms`: Unix ms, of its coming."""
        if len(message.text or "") > LONGEST:
            return False
        key = (message.sender, message.destination, place.reference, place.total)
        begun = self._begun.get(key)
        if begun is None or now_ms - begun.since_ms > KEPT_MS:
            self._begun.pop(key, None)
            begun = self._begun[key] = _Begun(now_ms)
            if len(self._begun) > _MOST:
                del self._begun[next(iter(self._begun))]
        begun.parts[place.sequence] = message.coded
        if len(begun.parts) < place.total:
            return False
        whole = join_coded(begun.parts[at] for at in range(1, place.total + 1))
        return is_stop(whole or "")
