"""The slow path of incidents: beside the worker it looks at what texts mean, one text of each
group, the largest first, and asks that what means the same become one.

One for the process, with one thread. Nothing waits for it: what it finds goes into the topic of
commands, and is decided there when it comes. It keeps nothing: who dies before a finding is written
leaves it to the next owner, who looks at the groups anew; who dies after it has said it, and to say
it twice changes nothing.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

from services.dedup.incidents import refining
from services.dedup.incidents.group import Group
from services.dedup.incidents.refining import Refiner
from services.dedup.incidents.state import Incidents
from services.dedup.meaning.backlog import Backlog
from services.dedup.meaning.points import Point
from services.dedup.meaning.slow import Meaning, Slow
from services.runtime import log
from services.runtime.clock import now_ms
from services.runtime.errors import Away, Poison
from services.runtime.produce import Producer, acknowledged
from services.runtime.topics import INCIDENT_COMMAND

Key = tuple[int, str]
"""A group: its partition and its id."""
_LONGEST = 4_000
"""Characters of a text that are handed on: the model reads no further."""
_log = log.get("meaning")


class Looking:
    """Looks at the groups of the partitions that the process owns. `unseal` gives a sealed text and
    raises Poison when it can't."""

    def __init__(
        self, meaning: Meaning, unseal: Callable[[bytes], str], producer: Producer
    ) -> None:
        self._unseal = unseal
        self._producer = producer
        self._backlog = Backlog[Key]()
        self._refiners: dict[int, Refiner] = {}
        # The case whose text stands for a group that is looked at.
        self._asked: dict[Key, str] = {}
        self._slow = Slow(meaning, self._backlog, self._text_of, self._found, now_ms)
        self.run = self._slow.run

    def take(self, partition: int, state: Incidents) -> None:
        """The process owns a partition from now on: all its groups wait to be looked at."""
        refiner = self._refiners[partition] = Refiner(state)
        at_ms = now_ms()
        for group in refiner.groups():
            # Looked at or not while it was owned before: where it lies is not known any more.
            self._backlog.forget((partition, group.incident_id))
            self._add(partition, group, at_ms)

    def give_up(self, partition: int) -> None:
        """The process owns a partition no longer."""
        self._refiners.pop(partition, None)

    def changed(self, partition: int, incidents: Iterable[str], cases: Iterable[str]) -> None:
        """Decisions that stand in the log changed these incidents and cases."""
        if (refiner := self._refiners.get(partition)) is None:
            return
        at_ms = now_ms()
        for name in (*incidents, *cases):
            group = refiner.group(name)
            if group is None:
                self._backlog.forget((partition, name))
            else:
                self._add(partition, group, at_ms)

    def _add(self, partition: int, group: Group, at_ms: int) -> None:
        self._backlog.add((partition, group.incident_id), len(group), at_ms)

    def _text_of(self, key: Key) -> str | None:
        partition, name = key
        refiner = self._refiners.get(partition)
        group = refiner.group(name) if refiner is not None else None
        need = refiner.representative(group) if refiner is not None and group is not None else None
        if need is None:
            return None
        self._asked[key] = need.case_id
        with suppress(Poison):
            return self._unseal(need.sealed_text)[:_LONGEST]
        # Its key was destroyed: the case counts by its words, which stand in the log as hashes.
        return None

    async def _found(self, found: Sequence[tuple[Key, Point]]) -> None:
        asked, self._asked = self._asked, {}
        for partition in dict.fromkeys(partition for (partition, _), _ in found):
            if (refiner := self._refiners.get(partition)) is None:
                continue
            seen = [(key, point) for key, point in found if key[0] == partition]
            for key, point in seen:
                refiner.points.put(asked[key], point)
            near = await asyncio.to_thread(refiner.nearest, [point for _, point in seen])
            for (key, _), around in zip(seen, near, strict=True):
                await self._say(key, refiner.commands(asked[key], around, now_ms()))
                # Judging takes milliseconds; cases are decided on the same loop.
                await asyncio.sleep(0)

    async def _say(self, key: Key, commands: Iterable[refining.Command]) -> None:
        try:
            futures = [
                await self._producer.send(INCIDENT_COMMAND, key[0], command.SerializeToString())
                for command in commands
            ]
            await acknowledged(futures)
        except Away as error:
            # Whether the process goes on without Kafka is the worker's to say.
            _log.warning("what texts mean can't be told yet", why=str(error))
            self._backlog.again(key, now_ms())
