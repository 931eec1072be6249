"""What stands around an owner: producer, reader, carrier and Redis, each waiting
for the search.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from services.broadcast.carriers.base import (
    Offered,
    OnOutcomes,
    OutPart,
    Refused,
    SubmitOutcome,
    Unknown,
    UnknownReason,
)
from services.broadcast.carriers.errors import SendError
from services.runtime.own import Record
from services.runtime.produce import Header
from services.runtime.topics import MESSAGE_STATUS, Topic
from tests.model.loop import Loop
from tests.model.world import (
    CARRIER,
    Raw,
    Stored,
)


@dataclass(slots=True)
class Producer:
    """Appends wait here until the search lets them land."""

    loop: Loop
    sends: list[Raw] = field(default_factory=list)
    futures: "list[asyncio.Future[Any]]" = field(default_factory=list)

    async def send(
        self,
        topic: Topic,
        partition: int,
        value: bytes,
        *,
        key: bytes | None = None,
        headers: Sequence[Header] = (),
    ) -> "asyncio.Future[Any]":
        assert topic == MESSAGE_STATUS, "the model holds one log"
        self.sends.append((tuple(headers), value))
        self.futures.append(self.loop.create_future())
        return self.futures[-1]


@dataclass(slots=True)
class Reader:
    """Reads wait here until the search hands them what the log holds."""

    loop: Loop
    span: tuple[int, int] | None = None
    future: "asyncio.Future[Sequence[Raw]] | None" = None

    async def read(
        self, topic: Topic, partition: int, start: int, end: int, each: Callable[[Record], object]
    ) -> None:
        self.span, self.future = (start, end), self.loop.create_future()
        records = await self.future
        for offset, (headers, value) in enumerate(records, start=start):
            found = each(Stored(topic.name, offset, value, headers))
            if found is not None and hasattr(found, "__await__"):
                await found


@dataclass(slots=True)
class Asked:
    part: OutPart
    write_by: float
    outcome: "asyncio.Future[SubmitOutcome]"


@dataclass(slots=True)
class Carrier:
    """Parts wait here until the search says what the carrier did with them."""

    loop: Loop
    asked: list[Asked] = field(default_factory=list)
    name: str = CARRIER
    bound: bool = True

    async def submit_many(
        self, parts: Sequence[OutPart], *, write_by: float | None = None
    ) -> list[SubmitOutcome]:
        assert write_by is not None, "a claim ends"
        return list(await self._ask(parts, write_by))

    def submit_then(
        self, parts: Sequence[OutPart], then: OnOutcomes, *, write_by: float
    ) -> Offered:
        together = self._ask(parts, write_by)

        def tell(done: "asyncio.Future[list[SubmitOutcome]]") -> None:
            if not done.cancelled():
                then(done.result())

        together.add_done_callback(tell)
        return together

    def _ask(
        self, parts: Sequence[OutPart], write_by: float
    ) -> "asyncio.Future[list[SubmitOutcome]]":
        asked = [Asked(part, write_by, self.loop.create_future()) for part in parts]
        self.asked += asked
        return asyncio.gather(*(one.outcome for one in asked))


class Silent:
    """Redis, of which the protocol asks nothing."""

    settled = True

    async def start(self) -> None:
        """Nothing to take over."""

    async def put(self, items: Iterable[object]) -> None:
        """Shown."""

    async def keep(self) -> None:
        """Whole."""

    async def get(self, *keys: str) -> list[bytes | None]:
        return [None for _ in keys]


ANSWERS: dict[str, SubmitOutcome] = {
    "throttled": Refused(SendError.THROTTLED),
    "invalid": Refused(SendError.INVALID_DESTINATION),
    "not-sent": Refused(SendError.NOT_SENT),
    "timeout": Unknown(UnknownReason.TIMEOUT),
    "bind-lost": Unknown(UnknownReason.BIND_LOST),
}
