"""Reads a picture of the wave from the rooms, once a second and the same for all who look.

What changes slowly is asked for seldom; of the minutes only the last ones are asked for again. A
question that fails leaves its part as it was and names it in `missing`: the page then says what
can't be told now. Only without the figures themselves does the reader fail.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from mawja.dedup.v1 import service_pb2 as dedup
from mawja.outreach.v1 import playbooks_pb2, proposals_pb2
from mawja.wave.v1 import contracts_pb2 as contracts
from mawja.wave.v1 import service_pb2 as wave
from mawja.wave.v1.events_pb2 import Dimension, Level

from services.console.calls import Calls, Refused
from services.console.wave.picture import (
    CHART_MS,
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    QUARTER_MS,
    SETTLING_MS,
    Health,
    Picture,
    Scope,
)
from services.runtime.clock import Millis, now_ms

EVERY_S = 1.0
_AGAIN_MS = 5 * MINUTE_MS
_SELDOM_MS = 5 * MINUTE_MS
_INCIDENTS_MS = 3_000
_HEALTH_MS = 5_000
_INCIDENTS = 200
_PAGES = 5
_PROPOSALS = 200
_TIMEOUT_S = 3.0
_SUBJECTS = (
    Dimension.DIMENSION_LINE,
    Dimension.DIMENSION_AGENCY,
    Dimension.DIMENSION_TOPIC,
    Dimension.DIMENSION_LANGUAGE,
    Dimension.DIMENSION_CHANNEL,
)


@dataclass(slots=True)
class Reader:
    """Reads one scope. `rooms` are those whose health is asked for."""

    calls: Calls
    scope: Scope
    rooms: tuple[str, ...]
    clock: Millis = now_ms
    _held: dict[str, Any] = field(default_factory=dict)
    _read_ms: dict[str, int] = field(default_factory=dict)
    _minutes: dict[int, Level] = field(default_factory=dict)
    _through_ms: int = 0

    async def pictures(self) -> AsyncIterator[Picture]:
        """A picture about once a second. Raises Refused when nothing could be read."""
        while True:
            yield await self.read()
            await asyncio.sleep(EVERY_S)

    async def read(self) -> Picture:
        """The picture as it is now. Raises Refused when nothing could be read."""
        at = self.clock()
        asked: dict[str, Awaitable[Any]] = {
            "minutes": self._ask_minutes(at),
            "quarter": self._quarter(at),
            "bursts": self._bursts(),
            "queues": self._queues(),
        }
        for name, every_ms, question in (
            ("hours", _SELDOM_MS, self._hours),
            ("catalogue", _SELDOM_MS, self._catalogue),
            ("incidents", _INCIDENTS_MS, self._incidents),
            ("health", _HEALTH_MS, self._health),
            ("in_danger", _HEALTH_MS, self._in_danger),
            ("to_decide", _HEALTH_MS, self._to_decide),
        ):
            if at - self._read_ms.get(name, 0) >= every_ms:
                asked[name] = question(at)
        answers = await asyncio.gather(*asked.values(), return_exceptions=True)
        missing = set()
        refused: Refused | None = None
        for name, answer in zip(asked, answers, strict=True):
            if isinstance(answer, Refused):
                refused = answer
                missing.add(name)
            elif isinstance(answer, BaseException):
                raise answer
            else:
                self._held[name] = answer
                self._read_ms[name] = at
        if refused is not None and not missing.isdisjoint({"minutes", "quarter"}):
            # Without its figures it would be a page of zeros that nobody counted.
            health = self._held.get("health", {})
            never = not {"minutes", "quarter"} <= self._read_ms.keys()
            if never or not health or health.get("wave") is Health.SERVING:
                raise refused
        return self._picture(at, frozenset(missing))

    def _picture(self, at: int, missing: frozenset[str]) -> Picture:
        held = self._held
        quarter, before = held.get("quarter", ((), ()))
        queues = held.get("queues")
        return Picture(
            at_ms=at,
            counted_ms=min(self._read_ms["minutes"], self._read_ms["quarter"]),
            scope=self.scope,
            minutes=dict(self._minutes),
            hours=held.get("hours", ()),
            quarter=quarter,
            before=before,
            bursts=held.get("bursts", ()),
            queues=queues.queues if queues is not None else (),
            standings=queues.standings if queues is not None else (),
            incidents=held.get("incidents", ()),
            in_danger=held.get("in_danger", 0),
            to_decide=held.get("to_decide", 0),
            catalogue=held.get("catalogue", dedup.GetCatalogueResponse()),
            health=held.get("health", {}),
            missing=missing,
        )

    async def _ask(self, method: Callable[..., Any], request: Any) -> Any:
        who = self.calls.itself(self.scope.agency)
        return await self.calls.ask(who, method, request, _TIMEOUT_S)

    async def _levels(
        self, dimension: "Dimension.ValueType", width_ms: int, from_ms: int, until_ms: int
    ) -> list[Level]:
        answer: wave.GetLevelsResponse = await self._ask(
            self.calls.wave.GetLevels,
            wave.GetLevelsRequest(
                dimension=dimension,
                subject=self.scope.agency,
                width_ms=width_ms,
                from_ms=from_ms,
                until_ms=until_ms,
                drill=self.scope.drill,
            ),
        )
        return list(answer.levels)

    @property
    def _whole(self) -> "Dimension.ValueType":
        """A liaison's whole is their agency."""
        agency = self.scope.agency
        return Dimension.DIMENSION_AGENCY if agency else Dimension.DIMENSION_ALL

    async def _ask_minutes(self, at: int) -> None:
        since = max(at - CHART_MS - MINUTE_MS, self._through_ms - _AGAIN_MS)
        found = await self._levels(self._whole, MINUTE_MS, since, at)
        # What was counted elsewhere since (a case split) is gone from the answer.
        self._minutes = {
            start: level
            for start, level in self._minutes.items()
            if at - CHART_MS - MINUTE_MS <= start < since - MINUTE_MS
        } | {level.start_ms: level for level in found}
        self._through_ms = at

    async def _quarter(self, at: int) -> tuple[list[Level], list[Level]]:
        end = at - SETTLING_MS
        dimensions = (self._whole,) if self.scope.agency else (self._whole, *_SUBJECTS)
        now = [self._levels(one, 0, end - QUARTER_MS, at) for one in dimensions]
        if self.scope.agency:
            return [level for some in await asyncio.gather(*now) for level in some], []
        *found, before = await asyncio.gather(
            *now,
            self._levels(Dimension.DIMENSION_TOPIC, 0, end - 2 * QUARTER_MS, end - QUARTER_MS),
        )
        return [level for some in found for level in some], before

    async def _hours(self, at: int) -> list[Level]:
        # Only those of this time of day: each hour begins anew every 5 minutes.
        begin = at - HOUR_MS // 2
        begin -= begin % (5 * MINUTE_MS)
        found = await self._levels(self._whole, HOUR_MS, begin - 7 * DAY_MS - DAY_MS // 2, at)
        return [level for level in found if not (begin - level.start_ms) % HOUR_MS]

    async def _bursts(self) -> list[Any]:
        request = wave.ListBurstsRequest(active=True, drill=self.scope.drill)
        answer: wave.ListBurstsResponse = await self._ask(self.calls.wave.ListBursts, request)
        return list(answer.bursts)

    async def _queues(self) -> contracts.ListQueuesResponse:
        request = contracts.ListQueuesRequest(drill=self.scope.drill)
        answer: contracts.ListQueuesResponse = await self._ask(
            self.calls.contracts.ListQueues, request
        )
        return answer

    async def _incidents(self, at: int) -> list[dedup.ShownIncident]:
        request = dedup.ListIncidentsRequest(agency=self.scope.agency, page_size=_INCIDENTS)
        found: list[dedup.ShownIncident] = []
        for _ in range(_PAGES):
            answer: dedup.ListIncidentsResponse = await self._ask(
                self.calls.dedup.ListIncidents, request
            )
            found += (one for one in answer.incidents if one.incident.drill == self.scope.drill)
            request.page_token = answer.next_page_token
            # A page that a drill fills must not hide what is real.
            if found or not request.page_token:
                break
        return found

    async def _catalogue(self, at: int) -> dedup.GetCatalogueResponse:
        answer: dedup.GetCatalogueResponse = await self._ask(
            self.calls.dedup.GetCatalogue, dedup.GetCatalogueRequest()
        )
        return answer

    async def _in_danger(self, at: int) -> int:
        request = playbooks_pb2.ListHandOversRequest(agency=self.scope.agency)
        answer = await self._ask(self.calls.playbooks.ListHandOvers, request)
        return sum(one.drill == self.scope.drill for one in answer.hand_overs)

    async def _to_decide(self, at: int) -> int:
        request = proposals_pb2.ListProposalsRequest(
            state=proposals_pb2.PROPOSAL_STATE_OPEN, page_size=_PROPOSALS
        )
        answer = await self._ask(self.calls.outreach.ListProposals, request)
        return sum(one.drill == self.scope.drill for one in answer.proposals)

    async def _health(self, at: int) -> dict[str, Health]:
        found = await asyncio.gather(*(self.calls.serving(room) for room in self.rooms))
        words = {True: Health.SERVING, False: Health.NOT_READY, None: Health.AWAY}
        return {room: words[serving] for room, serving in zip(self.rooms, found, strict=True)}
