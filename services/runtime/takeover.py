"""Taking over partitions: owner markers into the room's logs, then everything that they say folded.

Only a partition whose logs are folded up to its own marker may be worked on: from there on nobody
else can add to them.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from services.runtime import offsets
from services.runtime.dead import DeadLetters
from services.runtime.offsets import Owned
from services.runtime.own import NO_EPOCH, Epochs, LogReader, OwnedLog, Record, counted
from services.runtime.produce import Producer
from services.runtime.tasks import together
from services.runtime.topics import Topic
from services.runtime.work import Context, PartitionWork, Plan


@dataclass(frozen=True, slots=True)
class Taken:
    """A partition whose logs and tables are folded. `epochs`: those that hold where reading of an
    input begins, by topic."""

    owned: Owned
    epochs: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Takeover:
    """How this replica takes partitions over."""

    bootstrap: str
    plan: Plan
    producer: Producer
    reader: LogReader
    make: Callable[[Context], PartitionWork]
    replica: str
    dead: DeadLetters

    async def take(self, partitions: Sequence[int]) -> dict[int, Taken]:
        """Owner markers, then folding. Raises Away, and what a room says of a damaged log."""
        plan = self.plan
        committed = await asyncio.to_thread(
            offsets.committed, self.bootstrap, plan.group, partitions
        )
        logs = {
            (topic, p): OwnedLog(self.producer, self.reader, topic, p)
            for topic in plan.logs
            for p in partitions
        }
        await together(owned_log.acquire(self.replica) for owned_log in logs.values())
        works = {
            p: self.make(
                Context(
                    partition=p,
                    logs={topic.name: logs[topic, p] for topic in plan.logs},
                    committed={name: offset for name, (offset, _) in committed[p].items()},
                    dead=self.dead.set_aside,
                )
            )
            for p in partitions
        }
        tables = await self._fold(works, logs)
        return {p: self._taken(p, work, committed[p], tables) for p, work in works.items()}

    async def _fold(
        self,
        works: Mapping[int, PartitionWork],
        logs: Mapping[tuple[Topic, int], OwnedLog],
    ) -> dict[tuple[Topic, int], int]:
        """Folds logs, tables and dead letters; returns up to where what is no log was read."""
        dead = self.plan.dead
        tables = {
            (topic, p): end
            for topic in (*self.plan.tables, dead)
            for p, end in (await self.reader.end(topic, list(works))).items()
        }
        self.dead.begin(works)
        spans = {key: (0, owned_log.epoch) for key, owned_log in logs.items()}
        spans |= {key: (0, end) for key, end in tables.items()}
        epochs = {topic.name: Epochs() for topic in self.plan.logs}

        def fold(record: Record) -> None:
            if record.topic == dead.name:
                self.dead.fold(record)
                return
            of_log = epochs.get(record.topic)
            if of_log is None or counted(of_log, record):
                works[record.partition].fold(record)

        await self.reader.read_many(spans, fold)
        return tables

    def _taken(
        self,
        partition: int,
        work: PartitionWork,
        committed: Mapping[str, tuple[int, int]],
        tables: Mapping[tuple[Topic, int], int],
    ) -> Taken:
        owned = Owned(work)
        epochs: dict[str, int] = {}
        for topic in self.plan.reads:
            # What was never committed is read from the start: as if 0 were.
            before = committed.get(topic.name, (0, NO_EPOCH))
            offset, epoch = max(before, work.resume(topic.name))
            owned.committed[topic.name] = before[0]
            owned.positions[topic.name] = owned.given[topic.name] = offset
            epochs[topic.name] = epoch
        for topic in self.plan.tables:
            owned.positions[topic.name] = tables[topic, partition]
        return Taken(owned, epochs)
