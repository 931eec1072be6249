"""What would have been proposed over a file of calls: the shipped detection and decisions, run over
the past. Pure, but for the file.

Calls of an interval are strewn over it by a seed, and each counts as a case of its own, so that
repeats, which real detection leaves out, count here as demand: it says rather too much.
"""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mawja.common.v1 import common_pb2
from mawja.dedup.v1.events_pb2 import Tally, TallyRow
from mawja.outreach.v1.proposals_pb2 import Proposal
from mawja.wave.v1.events_pb2 import Burst

from loadtests.shapes import read_counts
from services.outreach.proposals import assumptions_file
from services.outreach.proposals.book import Proposals
from services.outreach.proposals.evidence import Fact
from services.runtime.knowledge import Knowledge
from services.wave.book import Book
from services.wave.bursts import SLOT_MS, Bursts

_WEEK_MS = 7 * 86_400_000
_NO_KNOWLEDGE = Knowledge(examples=False, sure=1, ask=1, close=0, asking={}, entries={})
_LINE = "replay"


@dataclass(frozen=True, slots=True)
class Interval:
    """So many calls from `start_ms` (Unix ms) on, over `width_ms`, which whole slots fill."""

    start_ms: int
    width_ms: int
    calls: int


@dataclass(slots=True)
class Replayed:
    """`proposals`, each with its burst as it was logged last, in order of time; `calls` in all,
    over `weeks`."""

    weeks: float
    calls: int = 0
    proposals: list[Proposal] = field(default_factory=list)

    @property
    def per_week(self) -> float:
        """Proposals a week."""
        return len(self.proposals) / self.weeks


def read(path: Path) -> list[Interval]:
    """The intervals of a CSV of counts, e.g. `DateTime,Calls`. Raises ShapeError."""
    times, counts, step = read_counts(path)
    width_ms = max(SLOT_MS, int(step * 1000) // SLOT_MS * SLOT_MS)
    return [
        Interval(int(at * 1000) // SLOT_MS * SLOT_MS, width_ms, round(count))
        for at, count in zip(times, counts, strict=True)
    ]


def replay(intervals: list[Interval], seed: int = 1) -> Replayed:
    """What is proposed over `intervals`, in order of time; at least one."""
    last = intervals[-1]
    span_ms = last.start_ms + last.width_ms - intervals[0].start_ms
    found = Replayed(weeks=span_ms / _WEEK_MS)
    book, proposals = Book(), Proposals(_NO_KNOWLEDGE, assumptions_file.read(None))
    bursts, offset = Bursts(book), 0
    for interval in intervals:
        found.calls += interval.calls
        for tally in _tallies(interval, random.Random(seed * interval.start_ms)):
            offset += 1
            tally.through_offset = offset
            book.take(tally, tally.bucket_ms)
        end_ms = interval.start_ms + interval.width_ms
        for burst in bursts.look(end_ms):
            _hear(proposals, burst, common_pb2.Input(topic="replay", offset=offset), end_ms)
        for over in list(proposals.passed(end_ms)):
            proposals.take(over)
    found.proposals = sorted(proposals.all(), key=lambda one: one.bursts[0].start_ms)
    return found


def _tallies(interval: Interval, pick: random.Random) -> Iterator[Tally]:
    slots = interval.width_ms // SLOT_MS
    strewn = Counter(pick.randrange(slots) for _ in range(interval.calls))
    for slot, calls in sorted(strewn.items()):
        row = TallyRow(line=_LINE, cases=calls, contacts=calls)
        at_ms = interval.start_ms + slot * SLOT_MS
        yield Tally(bucket_ms=at_ms, bucket_width_ms=SLOT_MS, rows=[row])


def _hear(proposals: Proposals, burst: Burst, cause: common_pb2.Input, now_ms: int) -> None:
    seen = Burst()
    seen.CopyFrom(burst)
    if proposals.wanted(seen, now_ms):
        # All that a count says of who called.
        fact = Fact("", seen.start_ms, b"", _LINE, "", "", "", "", (), False, False, False)
        after = proposals.proposed(seen, [fact], cause, now_ms)
    else:
        after = proposals.heard(seen, cause, now_ms)
    if after is not None:
        proposals.take(after)
