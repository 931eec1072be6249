"""Reads spans of logs for a question, counts how far it is, and gives up when nothing comes: a
client of Kafka waits for ever for one that is gone, and other questions wait for this one.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from google.protobuf.message import DecodeError

from services.runtime.errors import Away
from services.runtime.own import Epochs, LogReader, Record, counted_from_here
from services.runtime.topics import Topic

YIELD_EVERY = 50
"""Records, some ms of work, after which others of the process have their turn."""


class Reading:
    """`read`: offsets so far, of `of`. `silent_s`: seconds without a record after which Kafka
    counts as away. Methods raise Away."""

    def __init__(self, reader: LogReader, silent_s: float = 30.0) -> None:
        self.reader = reader
        self.read = self.of = 0
        self._silent_s = silent_s

    async def log(
        self, topic: Topic, partition: int, span: tuple[int, int], take: Callable[[bytes], None]
    ) -> None:
        """Gives `take` the value of every record of a span that counts; what is deleted is empty.
        What `take` can't read (DecodeError, ValueError) is passed over: nobody who may write there
        wrote it."""
        epochs, began = Epochs(), self.read

        def each(record: Record) -> Awaitable[None] | None:
            self.read = began + record.offset + 1 - span[0]
            if not topic.log or counted_from_here(epochs, record):
                with contextlib.suppress(DecodeError, ValueError):
                    take(record.value or b"")
            return asyncio.sleep(0) if record.offset % YIELD_EVERY == 0 else None

        under_way = asyncio.ensure_future(
            self.reader.read(topic, partition, span[0], span[1], each)
        )
        try:
            while not under_way.done():
                heard = self.read
                await asyncio.wait((under_way,), timeout=self._silent_s)
                if not under_way.done() and self.read == heard:
                    raise Away("Kafka does not give the records that it says it has")
            under_way.result()
        finally:
            under_way.cancel()
        # A log may end in markers, and begin in what is gone.
        self.read = began + span[1] - span[0]
