"""Where people are found: in dedup's decisions on cases and incidents, and among the subscriptions.

Each tells of one partition at a time. The ends of the logs are taken once, before anything is read:
who comes later is not in it.
"""

from collections import Counter
from datetime import UTC, datetime
from typing import Protocol

from mawja.broadcast.v1.audiences_pb2 import Callers, Subscribers, Subscription
from mawja.dedup.v1.events_pb2 import CaseDecision
from mawja.dedup.v1.incidents_pb2 import IncidentDecision

from services.broadcast.gathering.callers import Matching, Person
from services.broadcast.gathering.incidents import Members, Membership
from services.broadcast.gathering.reading import Reading
from services.broadcast.gathering.subscribers import Subscribed
from services.runtime.clock import now_ms
from services.runtime.errors import NotFound, NotInState
from services.runtime.own import Record
from services.runtime.topics import CASE, DAY_MS, INCIDENT, SUBSCRIPTION

EARLY_MS = 6 * 60_000
"""A decision stands in the log at most so long before what it tells of has happened: intake takes
contacts that are 5 minutes ahead, and two machines' clocks may be some seconds apart."""
People = tuple[list[Person], Counter[str]]
"""Those of a partition, and what is left out, by reason."""


class Source(Protocol):
    """Where people are found."""

    async def prepare(self) -> None:
        """Before the first partition. Raises NotFound, NotInState, Away."""

    async def of(self, partition: int) -> People:
        """Those of a partition, each once. Raises Away."""


class Subscriptions:
    """People who want to hear."""

    def __init__(self, reading: Reading, asked: Subscribers, partitions: int) -> None:
        self._reading = reading
        self._asked = asked
        self._partitions = range(partitions)
        self._held: dict[int, tuple[int, int]] = {}

    async def prepare(self) -> None:
        """See Source."""
        self._held = await self._reading.reader.held(SUBSCRIPTION, self._partitions)
        self._reading.of += sum(end - begin for begin, end in self._held.values())

    async def of(self, partition: int) -> People:
        """See Source."""
        subscribed = Subscribed(self._asked)
        await self._reading.log(
            SUBSCRIPTION,
            partition,
            self._held[partition],
            lambda value: subscribed.take(Subscription.FromString(value)),
        )
        return subscribed.people()


class Cases:
    """People who reached out. `drill`, `scope`: see Matching."""

    def __init__(
        self, reading: Reading, asked: Callers, partitions: int, *, drill: bool, scope: str
    ) -> None:
        self._reading = reading
        self._asked = asked
        self._partitions = range(partitions)
        self._drill = drill
        self._scope = scope
        self._held: dict[int, tuple[int, int]] = {}
        self._starts: dict[int, int] = {}
        self._since_ms = 0
        self._members: Members | None = None

    async def prepare(self) -> None:
        """See Source: NotFound for an incident that is not there, NotInState when a log no longer
        holds what it takes."""
        held = self._held = await self._reading.reader.held(CASE, self._partitions)
        if self._asked.incident_id:
            self._members = await self._incident()
        first_ms = self._members.first_ms if self._members else 0
        self._since_ms = max(self._asked.since_ms, first_ms)
        self._starts = await self._begin()
        self._reading.of += sum(held[p][1] - self._starts[p] for p in self._partitions)

    async def of(self, partition: int) -> People:
        """See Source."""
        matching = Matching(
            self._asked,
            drill=self._drill,
            scope=self._scope,
            members=self._members.cases if self._members else None,
        )
        (begin, end), start = self._held[partition], self._starts[partition]
        await self._reading.log(
            CASE,
            partition,
            (start, end),
            lambda value: matching.take(CaseDecision.FromString(value)),
        )
        early_ms = matching.unplaced_since(self._since_ms)
        if early_ms is not None and start > begin:
            early_ms = max(0, early_ms - EARLY_MS)
            found = await self._reading.reader.offsets_at(CASE, [partition], early_ms)
            before = min(max(found[partition], begin), start), start
            self._reading.of += before[1] - before[0]
            await self._reading.log(
                CASE,
                partition,
                before,
                lambda value: matching.take_earlier(CaseDecision.FromString(value)),
            )
        return matching.callers()

    async def _incident(self) -> Members:
        reading = self._reading
        held = await reading.reader.held(INCIDENT, self._partitions)
        reading.of += sum(end - begin for begin, end in held.values())
        for partition in self._partitions:
            membership = Membership()

            def take(value: bytes, membership: Membership = membership) -> None:
                membership.take(IncidentDecision.FromString(value))

            await reading.log(INCIDENT, partition, held[partition], take)
            found = membership.members(self._asked.incident_id.lower())
            if found is not None and found.lacking:
                raise NotInState(
                    "the log of incidents no longer holds all cases of this one: ask by agency, "
                    "topic, place and time instead"
                )
            if found is not None:
                reading.read = reading.of
                return found
        raise NotFound(
            f"there is no such incident among those of the last {INCIDENT.retention_days} days"
        )

    async def _begin(self) -> dict[int, int]:
        """Where to begin in each partition so that nothing of the time asked for is missed."""
        held = self._held
        if not self._since_ms:
            return {partition: begin for partition, (begin, _) in held.items()}
        at_ms = max(0, self._since_ms - EARLY_MS)
        starts = await self._reading.reader.offsets_at(CASE, self._partitions, at_ms)
        oldest_ms = now_ms() - CASE.retention_days * DAY_MS
        for partition, (begin, end) in held.items():
            # Of what is gone only what stands first tells until when it was.
            unsure = starts[partition] <= begin if begin < end else at_ms < oldest_ms
            if begin > 0 and unsure:
                raise NotInState(await self._too_early(partition))
        return {p: min(max(starts[p], held[p][0]), held[p][1]) for p in self._partitions}

    async def _too_early(self, partition: int) -> str:
        first: list[int] = []

        def note(record: Record) -> None:
            first.append(record.timestamp)

        begin, end = self._held[partition]
        await self._reading.reader.read(CASE, partition, begin, min(begin + 1, end), note)
        said = "the log of cases no longer holds that time"
        if not first:
            return f"{said}: give a later since"
        day = datetime.fromtimestamp((first[0] + EARLY_MS) / 1000, UTC)
        return f"{said}: it begins at {day:%Y-%m-%d %H:%M} UTC; give a since after that"
