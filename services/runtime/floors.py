"""Follows how full the agents are: wave's levels of the whole centre, and the centre's queue.

Drills have a floor of their own. Where nobody tells how full the agents are, nobody can tell what
they could take: who asks must not stand still because wave is away.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path

from google.protobuf.message import DecodeError
from mawja.wave.v1.contracts_pb2 import QUEUE_HOLDER_CENTRE, QueueState
from mawja.wave.v1.events_pb2 import DIMENSION_ALL, Counts, Level

from services.runtime import floor, log, staff
from services.runtime.clock import Millis, now_ms
from services.runtime.config import Settings
from services.runtime.errors import Away, ConfigError
from services.runtime.floor import Floor
from services.runtime.own import Record
from services.runtime.staff import Staff
from services.runtime.tail import whole
from services.runtime.topics import LEVEL, QUEUE_STATE, Topic

_log = log.get("floors")
_PAUSE_S = 1.0
_WIDTH_MS = 900_000
_BACK_MS = 20 * 60_000
"""Levels and queues that were told longer ago say nothing of now."""
_WHOLE_CENTRE = f"{DIMENSION_ALL}||".encode()


def staff_of(agents: int | Path) -> Staff:
    """The agents that a setting names: a number, or the file of a plan. Raises ConfigError."""
    if isinstance(agents, int):
        return staff.always(agents)
    try:
        return staff.parse(agents.read_text("utf-8"), f"MAWJA_AGENTS: {agents.name}")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"MAWJA_AGENTS: {agents} cannot be read as UTF-8 text ({type(error).__name__}); give "
            "a number of agents, or the file of a plan"
        ) from None


class Floors:
    """Run `follow` while somebody asks."""

    def __init__(
        self, settings: Settings, client_id: str, agents: Staff, clock: Millis = now_ms
    ) -> None:
        self._settings = settings
        self._client_id = client_id
        self._agents = agents
        self._clock = clock
        # By whether they are of drills.
        self._levels: dict[bool, Level] = {}
        self._queues: dict[bool, QueueState] = {}
        self._rooms: dict[bool, tuple[Floor, float | None]] = {}

    async def follow(self) -> None:
        """Follows until cancelled."""
        await asyncio.gather(
            self._follow(LEVEL, self._level), self._follow(QUEUE_STATE, self._queue)
        )

    def floor(self, drill: bool) -> Floor:
        """What is known of the agents now."""
        now = self._clock()
        level, queue = self._levels.get(drill), self._queues.get(drill)
        fresh = level is not None and level.start_ms + _WIDTH_MS > now - _BACK_MS
        counts = level.counts if level is not None and fresh else Counts()
        waiting = queue.queue_length if queue else 0
        return Floor(self._agents.at(now), counts, _WIDTH_MS, waiting)

    def room(self, drill: bool) -> float | None:
        """Calls a minute that the agents can take now beside what comes; None when nobody can
        tell."""
        now = self.floor(drill)
        known = self._rooms.get(drill)
        # Reckoning it takes milliseconds, and it is asked for by every message.
        if known is None or known[0] != now:
            known = self._rooms[drill] = (now, floor.room(now))
        return known[1]

    def why(self, drill: bool, free: float) -> str:
        """Why something waits for agents, in words. `free`: calls a minute that they can take."""
        return floor.reason(self.floor(drill), free)

    async def _follow(self, topic: Topic, take: Callable[[bytes], None]) -> None:
        client = f"{self._client_id}-{topic.name}"
        while True:
            try:
                since_ms = self._clock() - _BACK_MS if topic is LEVEL else 0
                async for records, _ in whole(self._settings, topic, client, since_ms):
                    for record in records:
                        self._one(record, take)
            except Away as error:
                _log.warning("how full the agents are can't be followed", why=str(error))
                await asyncio.sleep(_PAUSE_S)

    def _one(self, record: Record, take: Callable[[bytes], None]) -> None:
        # Most levels are of one line or topic: their keys say so.
        if record.topic == LEVEL.name and not (record.key or b"").startswith(_WHOLE_CENTRE):
            return
        # Nobody who may write there wrote what can't be read.
        try:
            take(record.value or b"")
        except DecodeError:
            _log.warning("a foreign record", topic=record.topic, offset=record.offset)

    def _level(self, value: bytes) -> None:
        level = Level.FromString(value)
        if level.dimension != DIMENSION_ALL or level.width_ms != _WIDTH_MS:
            return
        # The last window that is over: of one under way a part is missing.
        if level.start_ms + _WIDTH_MS > self._clock():
            return
        known = self._levels.get(level.drill)
        if known is None or level.start_ms >= known.start_ms:
            self._levels[level.drill] = level

    def _queue(self, value: bytes) -> None:
        queue = QueueState.FromString(value)
        if queue.holder == QUEUE_HOLDER_CENTRE and not queue.agency:
            known = self._queues.get(queue.drill)
            if known is None or queue.accepted_ms >= known.accepted_ms:
                self._queues[queue.drill] = queue
