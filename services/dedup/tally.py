"""Counts of what happened, in 10-second buckets of event time: absolute, so repeats change nothing.

A pure fold of the decision log: whoever folds the same records has the same counts. Nothing is
counted in a bucket that lies more than `keep` before the latest one, so memory is bounded by the
traffic of that time; such buckets were stated long ago and stay as they were.
"""

from array import array
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2

BUCKET_MS = 10_000

CONTACTS = 0
CASES = 1
OFFERED = 2
ANSWERED = 3
ANSWERED_IN_TARGET = 4
ABANDONED = 5
HANDLED = 6
HANDLED_IN_TARGET = 7
FIRST_ANSWERED = 8
FIRST_CONTACT_RESOLVED = 9
QUEUE_WAIT_MS = 10
HANDLING_MS = 11
_FIELDS = 12
_EMPTY = bytes(8 * _FIELDS)
_FORGET_EVERY = 360
"""Buckets (an hour) that the latest one moves on before old ones are let go."""


class Row(NamedTuple):
    """What counts are kept apart by."""

    line: str
    agency: str
    topic: str
    language: str
    channel: int
    drill: bool = False


class Tallies:
    """The counts of one partition."""

    def __init__(self, keep_ms: int) -> None:
        self.rows: list[Row] = []
        self.marking = True
        self._row_index: dict[Row, int] = {}
        self._keep = keep_ms // BUCKET_MS
        self._buckets: dict[int, dict[int, array[int]]] = {}
        self._latest = 0
        self._forgotten = 0
        self._changed: set[int] = set()

    def row(self, row: Row) -> int:
        """The number of a row, the same for the same row."""
        index = self._row_index.get(row)
        if index is None:
            index = self._row_index[row] = len(self.rows)
            self.rows.append(row)
        return index

    def add(self, at_ms: int, row: int, field: int, amount: int = 1) -> None:
        """Adds `amount` (negative: takes back) to a field of the bucket that holds `at_ms`."""
        bucket = at_ms // BUCKET_MS
        if bucket > self._latest:
            self._latest = bucket
        elif bucket < self._latest - self._keep:
            return
        rows = self._buckets.get(bucket)
        if rows is None:
            rows = self._buckets[bucket] = {}
        counts = rows.get(row)
        if counts is None:
            counts = rows[row] = array("q", _EMPTY)
        counts[field] += amount
        if self.marking:
            self._changed.add(bucket)

    @property
    def changed(self) -> bool:
        """Whether buckets changed since they were last taken."""
        return bool(self._changed)

    def take(self, partition: int, through_offset: int) -> list[events_pb2.Tally]:
        """The buckets that changed, whole and in order, and forgets that they changed.

        `through_offset`: offset of the last decision that is counted.
        """
        changed, self._changed = sorted(self._changed & self._buckets.keys()), set()
        tallies = [self._tally(bucket, partition, through_offset) for bucket in changed]
        if self._latest - self._keep > self._forgotten + _FORGET_EVERY:
            self._forgotten = self._latest - self._keep
            for bucket in [b for b in self._buckets if b < self._forgotten]:
                del self._buckets[bucket]
        return tallies

    def give_back(self, tallies: Iterable[events_pb2.Tally]) -> None:
        """These were taken but did not reach anybody."""
        self._changed.update(tallied.bucket_ms // BUCKET_MS for tallied in tallies)

    def every(self, partition: int, through_offset: int) -> Iterator[events_pb2.Tally]:
        """All buckets that may still change, in order."""
        for bucket in sorted(self._buckets):
            if bucket >= self._latest - self._keep:
                yield self._tally(bucket, partition, through_offset)

    def _tally(self, bucket: int, partition: int, through_offset: int) -> events_pb2.Tally:
        rows = []
        # By content, not by number: who folds from another point numbers rows otherwise.
        for row, counts in sorted((self.rows[i], c) for i, c in self._buckets[bucket].items()):
            rows.append(
                events_pb2.TallyRow(
                    line=row.line,
                    agency=row.agency,
                    topic=row.topic,
                    language=row.language,
                    channel=common_pb2.Channel.ValueType(row.channel),
                    contacts=counts[CONTACTS],
                    cases=counts[CASES],
                    offered=counts[OFFERED],
                    answered=counts[ANSWERED],
                    answered_in_target=counts[ANSWERED_IN_TARGET],
                    abandoned=counts[ABANDONED],
                    handled=counts[HANDLED],
                    handled_in_target=counts[HANDLED_IN_TARGET],
                    first_answered=counts[FIRST_ANSWERED],
                    first_contact_resolved=counts[FIRST_CONTACT_RESOLVED],
                    queue_wait_ms=counts[QUEUE_WAIT_MS],
                    handling_ms=counts[HANDLING_MS],
                    drill=row.drill,
                )
            )
        return events_pb2.Tally(
            partition=partition,
            bucket_ms=bucket * BUCKET_MS,
            bucket_width_ms=BUCKET_MS,
            through_offset=through_offset,
            rows=rows,
        )
