"""What a partition's work does with its view, whatever the room: written after the log, kept, and
nothing committed before it is written.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping

from services.runtime.errors import Stop
from services.runtime.store import Item, PartitionView

KEEP_EVERY_S = 1.0
Everything = Callable[[], Iterable[Item]]


class Keeping:
    """The view of one partition, from `start` to `stop`. `make` makes it for an epoch; `fail` ends
    the worker. `state`, where there is one, writes what else follows from the decisions: about once
    a second and in the end, and nothing is committed before it has.

    `busy` is held while decisions are under way: what is shown in between must stand in the log.
    `unsure` is set by the work while what it has decided may not be in the log."""

    def __init__(
        self,
        make: Callable[[int, Everything], PartitionView],
        fail: Callable[[BaseException], None],
        state: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.busy = asyncio.Lock()
        self.unsure = False
        self._make = make
        self._fail = fail
        self._state = state
        self._view: PartitionView | None = None
        self._positions: dict[str, int] = {}
        self._settled: dict[str, int] = {}
        self._keeper: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()

    async def start(
        self,
        epoch: int,
        everything: Everything,
        again: Iterable[Item],
        committed: Mapping[str, int],
        resumed: Mapping[str, int],
    ) -> None:
        """Takes the view over and writes `again`, what the last owner may not have shown.
        `committed`, `resumed`: by topic, the offset that the group has (0 when it has none) and
        that reading goes on at."""
        self._settled = {name: committed.get(name, 0) for name in resumed}
        self._positions = {name: max(self._settled[name], at) for name, at in resumed.items()}
        self._view = self._make(epoch, everything)
        await self._view.start()
        await self._view.put(again)
        await self._write()
        self._keeper = asyncio.create_task(self._keep())

    async def put(self, items: Iterable[Item], done: Mapping[str, int]) -> None:
        """Writes entries whose decisions the log has; `done`: by topic, one past the last input
        that is decided. Raises Stop for a past owner."""
        view = self.view
        await view.put(items)
        self._positions.update(done)
        if self._state is None:
            self._settle(view)

    def committable(self, topic: str, offset: int) -> int:
        """Up to where everything is written that follows from the decisions."""
        return min(offset, self._settled.get(topic, 0))

    async def stop(self) -> None:
        """Writes what is left."""
        self._stopping.set()
        if self._keeper is not None:
            # Not cancelled: it may be waiting for Kafka to have what it states.
            await self._keeper
        if self._view is not None:
            async with self.busy:
                await self._write()

    @property
    def view(self) -> PartitionView:
        """The view. Raises Stop before `start`."""
        if self._view is None:
            raise Stop("a partition was worked on before it was taken over")
        return self._view

    async def _keep(self) -> None:
        while not self._stopping.is_set():
            try:
                await asyncio.wait_for(self._stopping.wait(), KEEP_EVERY_S)
            except TimeoutError:
                try:
                    async with self.busy:
                        await self._write()
                except Exception as error:
                    self._fail(error)
                    return

    async def _write(self) -> None:
        if self.unsure:
            return
        if self._state is not None:
            await self._state()
        await self.view.keep()
        self._settle(self.view)

    def _settle(self, view: PartitionView) -> None:
        if view.settled:
            self._settled.update(self._positions)
