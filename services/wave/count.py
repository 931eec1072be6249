"""Takes records of `dedup.tally.v1` into the book, and knows how far each partition is read.

A record that is no tally is not counted and shows as a metric: it stays where it is, in the topic,
and every start meets it again, so a dead letter would only multiply it. The next statement of the
same bucket mends what it leaves out.
"""

from collections.abc import Callable

from google.protobuf.message import DecodeError
from mawja.dedup.v1.events_pb2 import Tally

from services.runtime import log, metrics
from services.runtime.clock import Millis, now_ms
from services.runtime.errors import Poison
from services.wave.book import Book
from services.wave.publish import Publisher

_log = log.get("wave.count")
_COUNTED = metrics.TALLIES.labels("counted")
_REPEATED = metrics.TALLIES.labels("repeated")
_DAMAGED = metrics.TALLIES.labels("damaged")


class Count:
    """Counts records, in any order and any number of times.

    What changes is due to be stated if its record was written at `state_since_ms` (Kafka's
    timestamp) or later.
    """

    def __init__(self, book: Book, publisher: Publisher, clock: Millis = now_ms) -> None:
        self._book = book
        self._publisher = publisher
        self._clock: Callable[[], int] = clock
        self.state_since_ms = 0
        self.next: dict[int, int] = {}
        """The offset to read next, by partition."""

    def take(self, partition: int, offset: int, written_ms: int, value: bytes) -> None:
        """Counts one record."""
        self.next[partition] = max(offset + 1, self.next.get(partition, 0))
        try:
            tally = Tally.FromString(value)
            touched = self._book.take(tally, self._clock())
        except (DecodeError, Poison) as error:
            _DAMAGED.inc()
            _log.warning(
                "a tally is damaged and not counted",
                partition=partition,
                offset=offset,
                why=type(error).__name__ if isinstance(error, DecodeError) else str(error),
            )
            return
        (_COUNTED if touched else _REPEATED).inc()
        if touched and written_ms >= self.state_since_ms:
            self._publisher.changed(tally.bucket_ms, touched)
