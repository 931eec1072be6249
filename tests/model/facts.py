"""What any reader of a log knows, whether it reads all of it or begins in the middle."""

from collections.abc import Sequence
from dataclasses import dataclass

from mawja.broadcast.v1 import events_pb2

from services.broadcast.messages import CLAIMED, FINAL, Messages
from services.runtime.own import Epochs, counted
from services.runtime.topics import MESSAGE_STATUS
from tests.model.world import Raw, Stored


@dataclass(frozen=True, slots=True)
class Facts:
    """What any reader of a log knows."""

    claims: frozenset[tuple[int, int, int, int]]
    """(epoch, attempt, first reference, parts) of every claim that counts."""
    state: int


def facts_of(log: Sequence[Raw], message_id: str) -> Facts:
    """Reads a log as any reader does, and as one does that begins in its middle."""
    epochs, messages = Epochs(), Messages()
    claims: set[tuple[int, int, int, int]] = set()
    admitted = []
    ended = False
    highest = [-1]
    for offset, (headers, value) in enumerate(log):
        record = Stored(MESSAGE_STATUS.name, offset, value, headers)
        if counted(epochs, record):
            admitted.append(offset)
            for change in events_pb2.StatusRecord.FromString(value).changes:
                assert not ended, "a final state was left"
                assert messages.fold(change, 0, offset), "a change that the table forbids"
                if change.state == CLAIMED:
                    claims.add((epochs.epoch(0), change.attempt, change.reference, change.parts))
            ended = messages.state(message_id) in FINAL
        highest.append(epochs.epoch(0))
    for cut, epoch in enumerate(highest):
        later = Epochs()
        later.start(0, epoch)
        rest = [
            offset
            for offset in range(cut, len(log))
            if counted(
                later,
                Stored(MESSAGE_STATUS.name, offset, b"", log[offset][0]),
            )
        ]
        assert rest == [offset for offset in admitted if offset >= cut], "readers differ"
    return Facts(frozenset(claims), int(messages.state(message_id)))
