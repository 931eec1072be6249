"""What a room brings to a worker, and what it is given: the agreement between the two."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from services.runtime.own import OwnedLog, Record
from services.runtime.topics import Topic


class PartitionWork(Protocol):
    """What a room does with one partition while it owns it."""

    def fold(self, record: Record) -> None:
        """Takes up one record of the room's own logs or tables. In order within a topic; pure."""

    def resume(self, topic: str) -> tuple[int, int]:
        """(offset, epoch) at which reading `topic` must go on, from what was folded; (0, NO_EPOCH)
        when the logs do not say. The group's committed offset is used when it is higher. Asked of
        the dead-letter topic too: its offsets are those of replays."""

    async def start(self) -> None:
        """Folding is over: settle what the last owner left, bring views up to date."""

    async def work(self, records: Sequence[Record]) -> None:
        """Decides and effects `records` (markers and void records are left out). When it returns,
        their effects are done, but for what `committable` holds back.

        A record of the dead-letter topic is a replay: `letters.source_of` says what it is."""

    def committable(self, topic: str, offset: int) -> int:
        """How far (at most `offset`) the input `topic` may be committed now."""

    def wants(self, topic: str) -> bool:
        """Whether more records of `topic` are welcome; False pauses reading it."""

    async def stop(self) -> None:
        """The partition is being given up; nothing may be decided after this returns."""


@dataclass(slots=True)
class Context:
    """What a partition's work is given."""

    partition: int
    logs: Mapping[str, OwnedLog]
    committed: Mapping[str, int]
    dead: Callable[[Record, str], "asyncio.Future[None]"]


@dataclass(frozen=True, slots=True)
class Plan:
    """The topics of one room's worker."""

    group: str
    inputs: tuple[Topic, ...]
    logs: tuple[Topic, ...]
    dead: Topic
    tables: tuple[Topic, ...] = ()
    max_records: int = 2000

    @property
    def reads(self) -> tuple[Topic, ...]:
        """What the worker reads and commits: its inputs, and its dead letters for their replays."""
        return (*self.inputs, self.dead)
