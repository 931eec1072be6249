"""What a batch of outreach's inputs comes to, before it is appended, shown and answered."""

from dataclasses import dataclass, field

from mawja.outreach.v1 import commands_pb2
from mawja.outreach.v1 import events_pb2 as outreach

Traced = tuple[outreach.Callback, str | None]
TracedMessage = tuple[outreach.MessageRequested, str | None]
TracedWatch = tuple[outreach.Watch, str | None]
"""A record, and the trace that it belongs to."""


@dataclass(slots=True)
class Decided:
    """Records of the logs in order, and whom to answer: (channel, command's id, reply)."""

    watched: list[TracedWatch] = field(default_factory=list)
    called: list[Traced] = field(default_factory=list)
    requested: list[TracedMessage] = field(default_factory=list)
    answers: list[tuple[str, str, commands_pb2.CallbackReply]] = field(default_factory=list)
