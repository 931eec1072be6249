"""The carrier that fetches files: each batch of messages is one, with a manifest beside it.

    <outbox>/<carrier>-<time>-<random>.jsonl               the messages, or .csv
    <outbox>/<carrier>-<time>-<random>.manifest.json       {"file", "messages", "sha256"}

A batch counts when its manifest has its name: the messages' file is written, synced and renamed
first, the manifest after it, and the folder synced last. Only then are the messages accepted, each
under its key (message id and attempt). A file without a manifest is not to be fetched: its messages
were refused, and may stand in a later one. Who has fetched a batch deletes both. What is in the
files is personal: the folders are the carrier's and ours alone (files are made with mode 0640).

    {"id", "to", "from", "text", "parts", "reference", "not_after"}       columns of a CSV, too

Receipts are files that the carrier renames into the inbox, never writes there: with the ending of
the agreed form, the fields `id`, `to`, `status`, `error`, `at` and `reference`, and statuses as in
``http.py``. A file that Kafka has goes to `done` in the inbox, one that is no such file to `bad`. A
line that can't be read is counted and left, the others count. Both forms are in ``drops.py``.
"""

import asyncio
import logging
import os
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from services.broadcast.carriers.base import (
    Accepted,
    OnInbound,
    OnLate,
    OnReceipts,
    OutMessage,
    Refused,
    SubmitOutcome,
    Unknown,
    UnknownReason,
)
from services.broadcast.carriers.drops import Drop, read_receipts
from services.broadcast.carriers.errors import SendError
from services.broadcast.carriers.specs import FilesAccount
from services.broadcast.carriers.whole import Messenger
from services.runtime.clock import Millis

_log = logging.getLogger(__name__)

_RECEIPTS_AT_ONCE = 1000
_LOOK_EVERY_S = 0.5


@dataclass(slots=True)
class Counters:
    """What happened since the start; all only grow."""

    files: int = 0
    receipts: int = 0
    unreadable: int = 0
    """Lines of receipt files that could not be read, and files that are none."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    message: OutMessage
    write_by: float
    outcome: "asyncio.Future[SubmitOutcome]"


class FileCarrier(Messenger):
    """Two folders; see ``Messenger`` for what its methods promise."""

    def __init__(
        self,
        *,
        name: str,
        declared: Literal["test", "live"],
        outbox: Path,
        inbox: Path,
        account: FilesAccount,
        clock: Millis,
    ) -> None:
        super().__init__(name, declared)
        self.counters = Counters()
        self._outbox, self._inbox = outbox, inbox
        self._account = account
        self._clock = clock
        self._waiting: list[_Waiting] = []
        self._full = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False
        self._writable = False
        self._on_receipts: OnReceipts

    @property
    def bound(self) -> bool:
        return self._writable and not self._stopping

    async def start(
        self, on_receipts: OnReceipts, on_inbound: OnInbound, on_late: OnLate | None = None
    ) -> None:
        if self._tasks:
            raise RuntimeError(f"carrier {self.name} is started already")
        self._on_receipts = on_receipts
        self._tasks = [asyncio.create_task(self._write()), asyncio.create_task(self._look())]

    async def stop(self) -> None:
        if self._stopping or not self._tasks:
            return
        self._stopping = True
        self._full.set()
        # The last batch is written: its messages were claimed for it.
        await asyncio.wait(self._tasks[:1], timeout=5.0)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._settle(self._waiting, Refused(SendError.NOT_SENT))

    async def submit(self, message: OutMessage, *, write_by: float) -> SubmitOutcome:
        if not self._tasks:
            raise RuntimeError(f"carrier {self.name} is not started")
        if message.drill and self.declared != "test":
            return Refused(SendError.DRILL_ON_LIVE)
        if self._stopping:
            return Refused(SendError.NOT_SENT)
        waiting = _Waiting(message, write_by, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if len(self._waiting) >= self._account.batch_messages:
            self._full.set()
        return await waiting.outcome

    # --- out -------------------------------------------------------------------------------------

    async def _write(self) -> None:
        while not self._stopping or self._waiting:
            try:
                async with asyncio.timeout(self._account.batch_s):
                    await self._full.wait()
            except TimeoutError:
                pass
            if not self._stopping:
                self._full.clear()
            most = self._account.batch_messages
            batch, self._waiting = self._waiting[:most], self._waiting[most:]
            # A caller that was cancelled wants nothing written.
            batch = [one for one in batch if not one.outcome.done()]
            if batch:
                await self._batch(batch)

    async def _batch(self, batch: list[_Waiting]) -> None:
        """Writes one file. Messages whose time has passed are left out."""
        now = time.monotonic()
        self._settle([one for one in batch if one.write_by < now], Refused(SendError.NOT_SENT))
        batch = [one for one in batch if one.write_by >= now]
        if not batch or not self._writable:
            self._settle(batch, Refused(SendError.NOT_SENT))
            return
        stamp = datetime.fromtimestamp(self._clock() / 1000, UTC).strftime("%Y%m%dT%H%M%S")
        drop = Drop(self._outbox, f"{self.name}-{stamp}-{uuid.uuid4().hex}", self._account.format)
        outcome: SubmitOutcome | None = None
        try:
            write_by = min(one.write_by for one in batch)
            written = await asyncio.to_thread(drop.write, [one.message for one in batch], write_by)
        except asyncio.CancelledError:
            # The thread goes on: it may still write.
            self._settle(batch, Unknown(UnknownReason.STOPPED))
            raise
        except Exception as error:
            written = False
            _log.error("carrier %s: a batch can't be written (%s)", self.name, type(error).__name__)
            if drop.counts:
                outcome = Unknown(UnknownReason.BIND_LOST)
        if written:
            self.counters.files += 1
            for one in batch:
                self._settle([one], Accepted(one.message.key))
        else:
            self._settle(batch, outcome or Refused(SendError.NOT_SENT))

    def _settle(self, batch: Sequence[_Waiting], outcome: SubmitOutcome) -> None:
        for one in batch:
            if not one.outcome.done():
                one.outcome.set_result(outcome)

    # --- in --------------------------------------------------------------------------------------

    async def _look(self) -> None:
        """Sees whether there is room in the outbox, and what is in the inbox."""
        while True:
            try:
                self._writable = await asyncio.to_thread(self._has_room)
                for path in await asyncio.to_thread(self._brought):
                    await self._take(path)
            except Exception as error:
                # Left where it is: it is read again.
                _log.error(
                    "carrier %s: its folders can't be read, or Kafka is away (%s)",
                    self.name, type(error).__name__,
                )  # fmt: skip
            await asyncio.sleep(_LOOK_EVERY_S)

    def _has_room(self) -> bool:
        try:
            with os.scandir(self._outbox) as held:
                unfetched = sum(1 for one in held if one.name.endswith(".manifest.json"))
        except OSError:
            return False
        return unfetched < self._account.unfetched and os.access(self._outbox, os.W_OK)

    def _brought(self) -> list[Path]:
        ending = f".{self._account.format}"
        with os.scandir(self._inbox) as held:
            names = [one.name for one in held if one.is_file(follow_symlinks=False)]
        return [self._inbox / name for name in sorted(names) if name.endswith(ending)]

    async def _take(self, path: Path) -> None:
        try:
            receipts, bad = await asyncio.to_thread(read_receipts, path, self._account.format)
        except FileNotFoundError:
            # Another process of broadcast has just taken it.
            return
        except ValueError as error:
            self.counters.unreadable += 1
            _log.error("carrier %s: a file of receipts can't be read: %s", self.name, error)
            await asyncio.to_thread(_move, path, "bad")
            return
        for line, why in bad:
            self.counters.unreadable += 1
            _log.warning("carrier %s: line %d of receipts: %s", self.name, line, why)
        for start in range(0, len(receipts), _RECEIPTS_AT_ONCE):
            await self._on_receipts(receipts[start : start + _RECEIPTS_AT_ONCE])
        self.counters.receipts += len(receipts)
        await asyncio.to_thread(_move, path, "done")


def _move(path: Path, folder: str) -> None:
    target = path.parent / folder
    target.mkdir(exist_ok=True)
    try:
        # A carrier may use a name again; what was brought before is kept.
        path.rename(target / f"{path.stem}-{uuid.uuid4().hex[:8]}{path.suffix}")
    except FileNotFoundError:
        return
