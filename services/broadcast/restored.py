"""What follows from Kafka having been restored from a backup: nothing is sent until somebody says
so, and what was asked for before that was said is sent by nobody any more. Pure.

The log of between the backup and the loss is gone. What still waits according to the log may have
been sent in that time, and an opt-out may have come. So a message of then is stated as it would be
had its sender died: claimed, and then unknown, settled by its receipt or sent once more by a
person's decision. Who may have opted out must be imported before anything is sent at all, so the
pause holds for every lane: a repeated danger message is told from a new one by nobody here.
"""

from dataclasses import dataclass, field

from mawja.broadcast.v1.events_pb2 import QueuedMessage, Restoration

REASON = "restored"


@dataclass(slots=True)
class Restorations:
    """Of one partition, as its table tells them."""

    _known: dict[str, Restoration] = field(default_factory=dict)
    before_ms: int = 0
    """What was asked for earlier (Unix ms) may have been sent."""
    paused: bool = False
    """Whether nothing may be sent: somebody has not resumed yet."""

    def take(self, value: bytes | None) -> bool:
        """Takes up one record of the table. Gives whether sending is resumed by it. Raises
        DecodeError."""
        if value is None:
            return False
        said = Restoration.FromString(value)
        self._known[said.restoration_id] = said
        before = self.paused
        self.paused = any(not one.resumed_ms for one in self._known.values())
        self.before_ms = max(one.declared_ms for one in self._known.values())
        return before and not self.paused

    def before(self, since_ms: int) -> bool:
        """Whether something of that time (Unix ms) may have been followed by what is lost."""
        return since_ms < self.before_ms

    def doubtful(self, queued: QueuedMessage) -> bool:
        """Whether a message of the log may have been sent. Of one that a contact asked for the
        contact's time counts: outreach asks again for what it had asked for after the backup."""
        asked_ms = queued.requested_ms
        return self.before(min(asked_ms, queued.accepted_ms) if queued.accepted_ms else asked_ms)
