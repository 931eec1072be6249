"""Messages that wait in memory for a carrier: urgent before normal before bulk, bounded. Pure.

Each lane has a queue for each carrier, so that a carrier that is away holds up only its own; what
waits for it does not count as filling the lane, up to a point. The lane topics in Kafka hold the
rest: a full lane is not read further, and the other lanes are.
"""

import heapq
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TypeAlias

from mawja.broadcast.v1 import events_pb2
from mawja.common.v1 import common_pb2

from services.broadcast.routes import Route
from services.broadcast.wording import Cut

Lane: TypeAlias = common_pb2.Lane.ValueType
URGENT, NORMAL, BULK = common_pb2.LANE_URGENT, common_pb2.LANE_NORMAL, common_pb2.LANE_BULK
LANES: tuple[Lane, ...] = (URGENT, NORMAL, BULK)
"""In the order in which they are served."""
LIMIT = 5_000
"""Messages of one lane of one partition that are held in memory."""
_NEVER_MS = 1 << 62
_WITH_AWAY = 3
"""So many times as many, where carriers that are away keep theirs waiting."""


@dataclass(slots=True, eq=False)
class Waiting:
    """One message that waits, the lane topic's offset it was read at, and its carrier's name.

    Of a carrier that is not well: `ranks` are the message's routes, once they were looked up,
    `judged` the version of the shares by which it stays, `tried` the carriers that have refused it,
    and `shut` those of them that always will. `cut`: the text of a campaign's message, which stands
    nowhere else, for its carrier.
    """

    message: events_pb2.QueuedMessage
    offset: int
    carrier: str
    ranks: Sequence[Sequence[Route]] | None = None
    judged: int = -1
    tried: frozenset[str] = frozenset()
    shut: frozenset[str] = frozenset()
    cut: Cut | None = None


class Lanes:
    """The lanes of one partition."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._here: dict[str, Waiting] = {}
        self._counts: dict[Lane, int] = dict.fromkeys(LANES, 0)
        self._counts_at: Counter[tuple[Lane, str]] = Counter()
        self._of_campaigns: Counter[tuple[str, Lane, str]] = Counter()
        self._carriers: set[str] = set()
        self._queues: dict[tuple[Lane, str], deque[Waiting]] = defaultdict(deque)
        # (due, order of entry, who): messages that wait before they are tried again.
        self._later: list[tuple[float, int, Waiting]] = []
        self._entered = 0
        # Nothing that waits expires before (Unix ms).
        self._open_ms = _NEVER_MS
        self.away: AbstractSet[str] = frozenset()
        """The carriers that have had no bind for a while, as the sender saw them last."""

    def __len__(self) -> int:
        return len(self._here)

    def __contains__(self, message_id: str) -> bool:
        return message_id in self._here

    def __iter__(self) -> Iterator[Waiting]:
        return iter(list(self._here.values()))

    def get(self, message_id: str) -> Waiting | None:
        """The message, when it waits here."""
        return self._here.get(message_id)

    def count(self, lane: Lane) -> int:
        """How many wait in a lane."""
        return self._counts[lane]

    def of_campaigns(self, agency: str, lane: Lane, *, away: bool) -> int:
        """How many messages of an agency's campaigns wait in a lane: for carriers that are away, or
        for the others."""
        return sum(
            self._of_campaigns[agency, lane, carrier]
            for carrier in self._carriers
            if (carrier in self.away) is away
        )

    def full(self, lane: Lane) -> bool:
        """Whether the lane holds as many as it should. What is added all the same is held.

        The messages of carriers that are away don't take the others' places, up to a point.
        """
        count = self._counts[lane]
        if count < self._limit or count >= _WITH_AWAY * self._limit:
            return count >= self._limit
        return count - sum(self._counts_at[lane, carrier] for carrier in self.away) >= self._limit

    def add(self, waiting: Waiting) -> bool:
        """Puts a message at the end of its queue; False when it waits already."""
        if not self._enter(waiting):
            return False
        self._queues[waiting.message.lane, waiting.carrier].append(waiting)
        return True

    def put_back(self, waiting: Waiting, due_s: float) -> None:
        """A message that was taken waits again, until `due_s` (monotonic seconds) at least."""
        if self._enter(waiting):
            self._entered += 1
            heapq.heappush(self._later, (due_s, self._entered, waiting))

    def _enter(self, waiting: Waiting) -> bool:
        if waiting.message.message_id in self._here:
            return False
        self._here[waiting.message.message_id] = waiting
        self._open_ms = min(self._open_ms, waiting.message.expires_ms)
        self._counts[waiting.message.lane] += 1
        self._counts_at[waiting.message.lane, waiting.carrier] += 1
        if waiting.message.campaign_id:
            self._carriers.add(waiting.carrier)
            self._of_campaigns[_of(waiting)] += 1
        return True

    def wake(self, now_s: float) -> None:
        """Those whose time has come stand at the front of their queues again, in their order."""
        awake = []
        while self._later and self._later[0][0] <= now_s:
            awake.append(heapq.heappop(self._later)[2])
        for waiting in reversed(awake):
            self._queues[waiting.message.lane, waiting.carrier].appendleft(waiting)

    def first(self, lane: Lane, carrier: str) -> Waiting | None:
        """The next message of a queue, which stays in it."""
        queue = self._queues.get((lane, carrier))
        return queue[0] if queue else None

    def take(self, lane: Lane, carrier: str) -> Waiting:
        """Takes out the message that `first` gives. Raises IndexError when there is none."""
        waiting = self._queues[lane, carrier].popleft()
        self._leave(waiting)
        return waiting

    def _leave(self, waiting: Waiting) -> None:
        del self._here[waiting.message.message_id]
        self._counts[waiting.message.lane] -= 1
        self._counts_at[waiting.message.lane, waiting.carrier] -= 1
        if waiting.message.campaign_id:
            self._of_campaigns[_of(waiting)] -= 1

    def move(self, lane: Lane, carrier: str, to: Callable[[Waiting], str]) -> None:
        """Goes through a queue: a message for which `to` names another carrier goes to the end of
        that one's queue."""
        moving = [
            (waiting, name)
            for waiting in self._queues.get((lane, carrier), ())
            if (name := to(waiting))
        ]
        if not moving:
            return
        for waiting, name in moving:
            self._leave(waiting)
            waiting.carrier = name
            self._enter(waiting)
            self._queues[lane, name].append(waiting)
        self._queues[lane, carrier] = deque(
            one for one in self._queues[lane, carrier] if one.carrier == carrier
        )

    def expire(self, now_ms: int) -> list[Waiting]:
        """Takes out what has waited until its end."""
        if now_ms < self._open_ms:
            return []
        gone = [one for one in self._here.values() if one.message.expires_ms <= now_ms]
        self._remove_all(gone)
        ends = (one.message.expires_ms for one in self._here.values())
        self._open_ms = min(ends, default=_NEVER_MS)
        return gone

    def remove_people(self, people: AbstractSet[bytes]) -> list[Waiting]:
        """Takes out the messages to `people`, wherever they stand, that they may refuse."""
        gone = [
            one
            for one in self._here.values()
            if one.message.person in people and not one.message.overrides_opt_out
        ]
        self._remove_all(gone)
        return gone

    def remove_campaign(self, campaign_id: str) -> None:
        """Takes out what waits of a campaign: its audience has them still."""
        self._remove_all(
            [one for one in self._here.values() if one.message.campaign_id == campaign_id]
        )

    def _remove_all(self, gone: list[Waiting]) -> None:
        for waiting in gone:
            self._leave(waiting)
        if gone:
            # Without this a queue that nobody serves would keep what has left it.
            for key, queue in self._queues.items():
                self._queues[key] = deque(one for one in queue if self._waits(one))
            self._later = [one for one in self._later if self._waits(one[2])]
            heapq.heapify(self._later)

    def _waits(self, waiting: Waiting) -> bool:
        return self._here.get(waiting.message.message_id) is waiting


def _of(waiting: Waiting) -> tuple[str, Lane, str]:
    return waiting.message.agency, waiting.message.lane, waiting.carrier


class Held:
    """Offsets of one topic whose records still matter: nothing past the lowest is committed."""

    def __init__(self) -> None:
        self._offsets: list[int] = []
        self._held: dict[int, int] = {}

    def hold(self, offset: int) -> None:
        """The record at `offset` is still needed; may be said several times."""
        if offset not in self._held:
            heapq.heappush(self._offsets, offset)
        self._held[offset] = self._held.get(offset, 0) + 1

    def release(self, offset: int) -> None:
        """One need of the record at `offset` is gone."""
        left = self._held.get(offset, 0) - 1
        if left > 0:
            self._held[offset] = left
        else:
            self._held.pop(offset, None)

    def up_to(self, position: int) -> int:
        """How far, at most `position`, may be committed."""
        while self._offsets and self._offsets[0] not in self._held:
            heapq.heappop(self._offsets)
        return min(position, self._offsets[0]) if self._offsets else position
