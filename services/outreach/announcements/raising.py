"""Follows what happens to many people, and has lines play what playbooks say to it; and proposals,
whose words lines play when the coordinator who accepts asks for it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from functools import partial

from google.protobuf.message import DecodeError
from mawja.dedup.v1.incidents_pb2 import IncidentDecision
from mawja.outreach.v1.announcements_pb2 import Announcement
from mawja.outreach.v1.proposals_pb2 import Proposal
from mawja.wave.v1.events_pb2 import Burst

from services.outreach.announcements.playing import (
    LATE_MS,
    Happening,
    asked,
    of_burst,
    of_incident,
)
from services.outreach.announcements.proposed import of_proposal
from services.outreach.announcements.setting import Setting
from services.outreach.rules import Event, Rule
from services.outreach.switches.state import every
from services.runtime import log
from services.runtime.announced import Announced
from services.runtime.clock import Millis, now_ms
from services.runtime.config import Settings
from services.runtime.errors import Away
from services.runtime.own import Record
from services.runtime.tail import tail, whole
from services.runtime.topics import BURST, INCIDENT, PROPOSAL

_PAUSE_S = 1.0
_log = log.get("outreach.announcements")


def happenings(record: Record) -> Iterator[Happening]:
    """What a record of `wave.burst.v1` or `dedup.incident.v1` tells of; nothing when it is
    damaged, which is for its own room to tell."""
    try:
        if record.topic == BURST.name:
            found = [of_burst(Burst.FromString(record.value or b""))]
        else:
            decision = IncidentDecision.FromString(record.value or b"")
            found = [of_incident(incident) for incident in decision.incidents]
    except DecodeError:
        return
    yield from (one for one in found if one is not None)


class Raising:
    """Sets what `rules` ask for. Run `tasks`."""

    def __init__(
        self,
        rules: Sequence[Rule],
        setting: Setting,
        announced: Announced,
        settings: Settings,
        replica: str,
        clock: Millis = now_ms,
    ) -> None:
        self._rules = rules
        self._setting = setting
        self._announced = announced
        self._settings = settings
        self._replica = replica
        self._clock = clock

    def tasks(self) -> list[Callable[[], Awaitable[None]]]:
        """What is to run, until cancelled: what no playbook asks for is not followed."""
        wanted = {rule.event for rule in every(self._rules) if rule.announcement is not None}
        sources = ((Event.BURST, self._bursts), (Event.INCIDENT, self._incidents))
        found = [partial(self._follow, read) for event, read in sources if event in wanted]
        return [*found, partial(self._follow, self._proposals)]

    async def _bursts(self) -> AsyncIterator[Sequence[Record]]:
        name = f"{self._replica}-bursts"
        since = self._clock() - LATE_MS
        async for records, _ in whole(self._settings, BURST, name, since):
            yield records

    async def _incidents(self) -> AsyncIterator[Sequence[Record]]:
        # One that grows is stated again; one that does not is nothing to tell callers of.
        async for records in tail(self._settings, INCIDENT, f"{self._replica}-incidents"):
            yield records

    async def _proposals(self) -> AsyncIterator[Sequence[Record]]:
        async for records, _ in whole(self._settings, PROPOSAL, f"{self._replica}-accepted"):
            yield records

    async def _follow(self, read: Callable[[], AsyncIterator[Sequence[Record]]]) -> None:
        while True:
            try:
                async for records in read():
                    for record in records:
                        await self._play(record)
            except Away as error:
                _log.warning("what happens to many can't be followed", why=str(error))
            await asyncio.sleep(_PAUSE_S)

    async def _play(self, record: Record) -> None:
        while True:
            try:
                for announcement in self._wanted(record):
                    await self._setting.set(announcement)
                return
            except Away as error:
                # A burst may not be stated again while it is the same.
                _log.warning("an announcement waits", why=str(error))
                await asyncio.sleep(_PAUSE_S)

    def _wanted(self, record: Record) -> Iterator[Announcement]:
        known, now = self._announced.known(), self._clock()
        if record.topic == PROPOSAL.name:
            made = of_proposal(Proposal.FromString(record.value or b""))
            if made is not None and made.until_ms > now and known.get(made.announcement_id) is None:
                yield made
            return
        for happening in happenings(record):
            yield from asked(self._rules, happening, known, now)
