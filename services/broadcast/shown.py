"""The view of messages in Redis: what the log holds of each, and the outcomes of commands.

Redis is written behind the log, by a task of its own: nothing that sends waits for it. Where many
messages change they are written once a second: most come to their end meanwhile, and are written
once instead of three times. The offset up to which everything has been written stands in Redis too,
so that the next owner writes again only what came after.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from mawja.broadcast.v1 import events_pb2, service_pb2

from services.broadcast.messages import Message
from services.runtime import stop, wire
from services.runtime.clock import monotonic_s
from services.runtime.errors import Away
from services.runtime.replies import Replies
from services.runtime.store import Item, PartitionView
from services.runtime.views import Views

ROOM = "broadcast"
TTL_S = 7 * 24 * 3600
_GATHER_S = 0.25
_MANY, _MANY_EVERY_S = 100, 1.0
"""So many messages that changed are many."""
_MARK_EVERY_S = 1.0


def key_of(message_id: str) -> str:
    """Where a message's view stands. Its value is a GetMessageResponse."""
    return f"{ROOM}:message:{message_id}"


def mark_of(partition: int) -> str:
    """Where the offset stands up to which the partition's view has been written."""
    return f"{ROOM}:written:{partition}"


def item(message: Message) -> Item:
    """What the log holds of a message."""
    return Item(
        key_of(message.message_id),
        payload(message.durable, message.durable_ms),
        message.offset,
        ttl_s=TTL_S,
    )


def queued_item(change: events_pb2.MessageChange, queued_ms: int, epoch: int) -> Item:
    """A message that is only queued. The marker's offset makes it older than every decision."""
    return Item(
        key_of(change.message_id),
        payload(change.SerializeToString(), queued_ms),
        epoch,
        ttl_s=TTL_S,
    )


def payload(change: bytes, changed_ms: int) -> bytes:
    """A GetMessageResponse with a serialised MessageChange of `changed_ms` (Unix ms)."""
    told = service_pb2.GetMessageResponse
    return wire.messages(told.MESSAGE_FIELD_NUMBER, (change,)) + wire.number(
        told.CHANGED_MS_FIELD_NUMBER, changed_ms
    )


@dataclass(frozen=True, slots=True)
class Reply:
    """The outcome of a command, for the replica that waits at `channel`."""

    channel: str
    command_id: str
    outcome: bytes


@dataclass(slots=True)
class _Work:
    messages: dict[str, Message] = field(default_factory=dict)
    items: list[Item] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)
    upto: int = -1


class Shown:
    """Writes one partition's view. Made inside the running loop."""

    def __init__(
        self,
        view: PartitionView,
        replies: Replies,
        partition: int,
        fail: Callable[[BaseException], None],
    ) -> None:
        self._view = view
        self._replies = replies
        self._partition = partition
        self._fail = fail
        self._work = _Work()
        self._arrived = asyncio.Event()
        self._marked_s = 0.0
        self._marked = -1
        # When messages were written last.
        self._messages_s = 0.0
        # Turns of `queued`, and up to which of them Redis has what was told.
        self._told = self._there = 0
        self._task = asyncio.create_task(self._run())

    def has(self, turn: int) -> bool:
        """Whether Redis has what was told in a turn of `queued`, whatever came since."""
        return turn <= self._there

    def written(self, messages: Iterable[Message], offset: int) -> None:
        """The log has got changes of `messages`, in the record at `offset`."""
        for message in messages:
            self._work.messages[message.message_id] = message
        self._work.upto = offset
        self._arrived.set()

    def queued(self, items: Iterable[Item], replies: Iterable[Reply]) -> int:
        """Messages were queued; `replies` are told once these can be seen. Gives the turn: see
        `has`."""
        self._told += 1
        self._work.items += items
        self._work.replies += replies
        if self._work.items or self._work.replies:
            self._arrived.set()
        return self._told

    async def keep(self) -> None:
        """Notices that Redis lost the view while nothing was decided, and writes it again."""
        await self._view.keep()

    async def stop(self) -> None:
        """Writes what waits, once, and ends."""
        await stop.cancelled([self._task])
        await self._write()

    async def _run(self) -> None:
        try:
            while True:
                await self._arrived.wait()
                if not self._work.replies:
                    await asyncio.sleep(_GATHER_S)
                self._arrived.clear()
                later = self._later()
                await self._write(messages=not later)
                settled = self._view.settled
                if not settled:
                    # Redis is away: what waits is tried again.
                    await asyncio.sleep(_GATHER_S)
                # Also when `keep` has written it meanwhile: only a turn here knows that it stands.
                if later or not settled:
                    self._arrived.set()
        except Exception as error:
            self._fail(error)

    def _later(self) -> bool:
        """Whether messages wait to be written with those that change by then."""
        now_s = monotonic_s()
        if len(self._work.messages) >= _MANY and now_s - self._messages_s < _MANY_EVERY_S:
            return True
        self._messages_s = now_s
        return False

    async def _write(self, messages: bool = True) -> None:
        work, self._work, told = self._work, _Work(), self._told
        if not messages:
            self._work.messages, work.messages = work.messages, {}
            self._work.upto, work.upto = work.upto, -1
        upto = max(work.upto, self._marked)
        await self._view.put([*work.items, *map(item, work.messages.values())])
        for reply in work.replies:
            await self._replies.tell(reply.channel, reply.command_id, reply.outcome)
        if self._view.settled:
            self._there = told
        if not self._view.settled:
            # Not marked before it is written: the mark of a later turn covers this one.
            self._work.upto = max(self._work.upto, upto)
        elif upto > self._marked and monotonic_s() - self._marked_s >= _MARK_EVERY_S:
            self._marked, self._marked_s = upto, monotonic_s()
            await self._view.put([Item(mark_of(self._partition), str(upto).encode(), upto)])
        else:
            self._work.upto = max(self._work.upto, upto)


async def written_up_to(views: Views, partition: int) -> int:
    """The offset up to which an earlier owner has written the view; -1 when nobody can say."""
    try:
        [mark] = await views.get(mark_of(partition))
    except Away:
        return -1
    return int(mark) if mark else -1
