"""Writes one partition's status log; what is decided during an append goes out together.

Appends must not overlap (the owner knows the offset that its next record gets), and a record that
carries many messages costs little more than one that carries one. So decisions queue up in order,
and one task appends them: claims at once, since a carrier waits for them; everything else within
`LINGER_S`, to travel with its like.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

from mawja.broadcast.v1.events_pb2 import MessageChange, StatusRecord

from services.broadcast.messages import Message, Messages
from services.runtime import wire
from services.runtime.clock import now_ms
from services.runtime.errors import Stop
from services.runtime.own import Entry, OwnedLog

LINGER_S = 0.02
_CHANGES_PER_RECORD = 500


class Decided(NamedTuple):
    """One change as it was decided: the message it belongs to, and the change serialised."""

    message: Message
    change: MessageChange
    serialised: bytes


def record_of(changes: Iterable[bytes], decided_ms: int) -> bytes:
    """A StatusRecord of serialised changes, decided at `decided_ms` (Unix ms)."""
    return wire.messages(StatusRecord.CHANGES_FIELD_NUMBER, changes) + wire.number(
        StatusRecord.DECIDED_MS_FIELD_NUMBER, decided_ms
    )


Written = Callable[[Sequence[Decided], int, int], None]
"""Told the changes of one record, when they were decided (Unix ms), and the record's offset."""


@dataclass(slots=True)
class _Batch:
    decided_ms: int
    done: "asyncio.Future[None]"
    changes: list[Decided] = field(default_factory=list)


class StatusLog:
    """The one writer of a partition's status log. Made inside the running loop."""

    def __init__(
        self,
        log: OwnedLog,
        messages: Messages,
        written: Written,
        fail: Callable[[BaseException], None],
    ) -> None:
        self._log = log
        self._messages = messages
        self._written = written
        self._fail = fail
        self._batch: _Batch | None = None
        self._waiting = asyncio.Event()
        self._hurry = asyncio.Event()
        self._failure: BaseException | None = None
        self._closing = False
        self._task = asyncio.create_task(self._run())

    @property
    def failed(self) -> bool:
        """Whether this process may no longer write here."""
        return self._failure is not None

    def put(
        self, changes: Iterable[MessageChange], *, hurry: bool = False
    ) -> "asyncio.Future[None]":
        """Decides `changes` and queues them; the future is done when the log holds them and they
        count. Await it shielded: others share it.

        Raises Illegal for a change that the table forbids, Stop or Away when the log was lost.
        """
        if self._failure is not None:
            raise self._failure
        if self._closing:
            raise Stop("the partition has been given up")
        if self._batch is None:
            self._batch = _Batch(now_ms(), asyncio.get_running_loop().create_future())
        for change in changes:
            message = self._messages.decide(change)
            self._batch.changes.append(Decided(message, change, message.latest))
        self._waiting.set()
        if hurry:
            self._hurry.set()
        return self._batch.done

    async def close(self) -> None:
        """Writes what is queued; nothing can be put any more."""
        self._closing = True
        self._waiting.set()
        self._hurry.set()
        await self._task

    async def _run(self) -> None:
        try:
            while True:
                await self._waiting.wait()
                if not self._hurry.is_set():
                    with suppress(TimeoutError):
                        async with asyncio.timeout(LINGER_S):
                            await self._hurry.wait()
                self._waiting.clear()
                self._hurry.clear()
                batch, self._batch = self._batch, None
                if batch is not None:
                    await self._write(batch)
                elif self._closing:
                    return
                if self._closing:
                    self._waiting.set()
                    self._hurry.set()
        except Exception as error:
            self._lost(error)

    async def _write(self, batch: _Batch) -> None:
        chunks = [
            batch.changes[start : start + _CHANGES_PER_RECORD]
            for start in range(0, len(batch.changes), _CHANGES_PER_RECORD)
        ]
        entries = [
            Entry(record_of((one.serialised for one in chunk), batch.decided_ms))
            for chunk in chunks
        ]
        try:
            offset = await self._log.append(entries)
            for index, chunk in enumerate(chunks):
                for one in chunk:
                    self._messages.written(
                        one.message, one.serialised, batch.decided_ms, offset + index, one.change
                    )
                self._written(chunk, batch.decided_ms, offset + index)
        except Exception as error:
            # Whoever waits for it must learn of it, or the worker waits for ever.
            self._refuse(batch, error)
            raise
        batch.done.set_result(None)

    def _lost(self, error: Exception) -> None:
        self._failure = error
        if self._batch is not None:
            self._refuse(self._batch, error)
        self._fail(error)

    @staticmethod
    def _refuse(batch: _Batch, error: Exception) -> None:
        if not batch.done.done():
            batch.done.set_exception(error)
            # Nobody may be waiting; the failure itself is told by `fail`.
            batch.done.exception()
