"""The book of tallies: what is counted now in every slot, however often and in whatever order
tallies come.

A tally is absolute: it states one partition's bucket whole. The book holds the last statement of
each (the highest `through_offset` wins) and adds to the running sums only the difference to the
statement before it. So sums are, at any time, sums over the last statements: a tally seen again, or
late, or after its successor, changes nothing (`tests/unit/test_wave_book.py` holds it). Drills have
sums of their own (`sums`); no question is answered from both.

Memory is bounded by event time and by the number of subjects (S: lines, agencies, topics,
languages and channels seen, and 1), not by calls:

- running sums: at most (720 + 1,560 + 8,928) slots, and a 24th more, times the subjects active in a
  slot, ~170 bytes each: ~2 MB a subject that is active all month, ~110 MB for 60 of them;
- last statements of 31 days, needed because a case's first-contact resolution may be withdrawn a
  week later: at most `unpacked_rows` rows as they are (~200 bytes each, 80 MB), the rest, least
  recently changed first, compressed by partition and hour (~10 bytes a row).

What is further back than 31 days before the newest tally is not taken up and is forgotten. Pure.
"""

import json
import zlib
from collections import OrderedDict
from collections.abc import Mapping, Set
from dataclasses import dataclass

from mawja.common.v1.common_pb2 import Channel
from mawja.dedup.v1.events_pb2 import Tally, TallyRow
from mawja.wave.v1.events_pb2 import Dimension

from services.runtime.errors import Poison
from services.wave import levels
from services.wave.sums import WHOLE, Subject, Sums, Window
from services.wave.windows import DAY_MS, HOUR, HOUR_MS, MINUTE

# A tally from further ahead than clocks disagree is damage; taken up, it would age everything else.
FUTURE_MS = DAY_MS
_FINEST_MS = MINUTE.hop_ms


@dataclass(slots=True)
class _Statement:
    """The last statement of one bucket of one partition: counts by combination."""

    through: int
    rows: dict[int, int]


# The statements of one partition and hour, by bucket.
_Block = dict[int, _Statement]
_BlockKey = tuple[int, int]


class Book:
    """Takes tallies, answers windows. Not thread-safe."""

    def __init__(self, unpacked_rows: int = 400_000) -> None:
        self._unpacked_rows = unpacked_rows
        self._rows = 0
        self._open: OrderedDict[_BlockKey, _Block] = OrderedDict()
        self._packed: dict[_BlockKey, bytes] = {}
        self._sums = {False: Sums(), True: Sums()}
        self._forgotten_before = 0
        self._newest_ms = 0
        self._subjects: list[Subject] = []
        self._ids: dict[Subject, int] = {}
        self._combinations: list[tuple[Sums, tuple[int, ...]]] = []
        self._combination_ids: dict[tuple[str, str, str, str, int, bool], int] = {}

    def newest_ms(self, drill: bool = False) -> int:
        """The end of the newest bucket counted, of drills or of real contacts; 0 without any."""
        return self._sums[drill].newest_ms

    def take(self, tally: Tally, now_ms: int) -> Set[int]:
        """Counts `tally` and returns the ids of the subjects whose counts changed, mostly none.

        `now_ms` is the clock's: raises Poison for a tally that is damaged or from the far future.
        """
        bucket = tally.bucket_ms
        self._check(tally, now_ms)
        end = bucket + tally.bucket_width_ms
        for drill in {row.drill for row in tally.rows} or {False}:
            self._sums[drill].reaches(end)
        if end > self._newest_ms:
            self._newest_ms = end
            self._forget()
        if bucket < self._forgotten_before:
            return frozenset()
        key = (tally.partition, bucket // HOUR_MS)
        block = self._block(key)
        before = block.get(bucket)
        if before is not None and before.through >= tally.through_offset:
            return frozenset()
        rows = self._counted(tally)
        old = before.rows if before is not None else {}
        block[bucket] = _Statement(tally.through_offset, rows)
        self._rows += len(rows) - len(old)
        touched: set[int] = set()
        for combination in rows.keys() | old.keys():
            change = rows.get(combination, 0) - old.get(combination, 0)
            if change:
                touched.update(self._add(bucket, combination, change))
        if self._rows > self._unpacked_rows:
            self._pack()
        return touched

    def _check(self, tally: Tally, now_ms: int) -> None:
        width = tally.bucket_width_ms
        if width <= 0 or _FINEST_MS % width or tally.bucket_ms % width:
            raise Poison(f"a tally's bucket must be a whole part of {_FINEST_MS} ms")
        if tally.bucket_ms <= 0 or tally.partition < 0:
            raise Poison("a tally names no bucket of event time")
        if tally.bucket_ms > now_ms + FUTURE_MS:
            raise Poison("a tally is of event time more than a day ahead")

    def _counted(self, tally: Tally) -> dict[int, int]:
        rows: dict[int, int] = {}
        for row in tally.rows:
            named = (row.line, row.agency, row.topic, row.language, row.channel, row.drill)
            combination = self._combination_ids.get(named)
            if combination is None:
                combination = self._new_combination(row)
                self._combination_ids[named] = combination
            rows[combination] = rows.get(combination, 0) + levels.pack(row)
        return rows

    def _new_combination(self, row: TallyRow) -> int:
        drill = row.drill
        subjects = (
            Subject(Dimension.DIMENSION_LINE, row.line, drill),
            Subject(Dimension.DIMENSION_AGENCY, row.agency, drill),
            Subject(Dimension.DIMENSION_TOPIC, row.topic, drill),
            Subject(Dimension.DIMENSION_LANGUAGE, row.language, drill),
            Subject(Dimension.DIMENSION_CHANNEL, _channel(row.channel), drill),
        )
        # What has no name (an agency not known yet) is counted in the whole only.
        named = (WHOLE[drill], *(subject for subject in subjects if subject.name))
        self._combinations.append(
            (self._sums[drill], tuple(self._id(subject) for subject in named))
        )
        return len(self._combinations) - 1

    def _id(self, subject: Subject) -> int:
        known = self._ids.setdefault(subject, len(self._subjects))
        if known == len(self._subjects):
            self._subjects.append(subject)
        return known

    def _add(self, bucket: int, combination: int, change: int) -> tuple[int, ...]:
        sums, subjects = self._combinations[combination]
        sums.add(bucket, subjects, change)
        return subjects

    # Forgetting and packing.

    def _forget(self) -> None:
        # Whole hours, so that a block is either kept whole or gone.
        before = HOUR.horizon(self._newest_ms) // HOUR_MS * HOUR_MS
        if before > self._forgotten_before:
            self._forgotten_before = before
            hour = before // HOUR_MS
            for key in [key for key in self._packed if key[1] < hour]:
                del self._packed[key]
            for key in [key for key in self._open if key[1] < hour]:
                self._rows -= _rows_of(self._open.pop(key))

    def _block(self, key: _BlockKey) -> _Block:
        block = self._open.get(key)
        if block is not None:
            self._open.move_to_end(key)
            return block
        packed = self._packed.pop(key, None)
        block = {} if packed is None else _unpack(packed)
        self._rows += _rows_of(block)
        self._open[key] = block
        return block

    def _pack(self) -> None:
        # An eighth more than needed: packing is rarer, and works on blocks that stay packed.
        while self._rows > self._unpacked_rows * 7 // 8 and len(self._open) > 1:
            key, block = self._open.popitem(last=False)
            self._rows -= _rows_of(block)
            self._packed[key] = _pack(block)

    # Answering.

    def slot(self, width_ms: int, slot_ms: int, drill: bool = False) -> Mapping[int, int]:
        """Counts by subject's id of the slot that starts at `slot_ms`, of one kind of window, of
        drills or of real contacts."""
        return self._sums[drill].slot(width_ms, slot_ms)

    def oldest_ms(self, drill: bool = False) -> int:
        """The start of the oldest slot in which anything was counted, of drills or of real
        contacts; the newest when none is."""
        return self._sums[drill].oldest_ms()

    def named(self, subject_id: int) -> Subject:
        """The subject of an id that `take` returned."""
        return self._subjects[subject_id]

    def window(self, subject_id: int, width_ms: int, start_ms: int) -> Window | None:
        """What is counted for a subject in the window of `width_ms` that starts at `start_ms`; None
        when that window is further back than its kind is kept."""
        subject = self._subjects[subject_id]
        total = self._sums[subject.drill].total(subject_id, width_ms, start_ms)
        return None if total is None else Window(subject, start_ms, width_ms, total)

    def windows(
        self,
        dimension: "Dimension.ValueType",
        subject: str,
        width_ms: int,
        from_ms: int,
        until_ms: int,
        limit: int,
        *,
        drill: bool = False,
    ) -> list[Window]:
        """The windows in which something was counted and that overlap [from_ms, until_ms), by
        subject, then start, of drills or of real contacts; an `until_ms` of 0 means up to the
        newest.

        `width_ms` names the kind; 0 makes one window of the whole span, widened to whole slots of
        the finest kind that reaches back to `from_ms`. An empty `subject` means every one of the
        dimension. Windows further back than their kind is kept are left out. Raises TooMany when
        there are more than `limit`.
        """
        sums = self._sums[drill]
        until = until_ms or sums.newest_ms
        wanted = {
            subject_id
            for known, subject_id in self._ids.items()
            if known.dimension == dimension
            and known.drill == drill
            and (not subject or known.name == subject)
        }
        if width_ms:
            found = sums.hopping(wanted, width_ms, from_ms, until, limit)
        else:
            found = sums.whole(wanted, from_ms, until)
        return sorted(
            (Window(self._subjects[one], *counted) for one, *counted in found),
            key=lambda window: (window.subject, window.start_ms),
        )


def _channel(channel: int) -> str:
    """Its name, e.g. "sms"; "" of one that is not said, or that this version does not know."""
    if channel not in Channel.values() or channel == Channel.CHANNEL_UNSPECIFIED:
        return ""
    return Channel.Name(Channel.ValueType(channel)).removeprefix("CHANNEL_").lower()


def _rows_of(block: _Block) -> int:
    return sum(len(statement.rows) for statement in block.values())


def _pack(block: _Block) -> bytes:
    # Hexadecimal keeps the empty lanes as runs of zeros, which compress to nearly nothing.
    plain = [
        (bucket, statement.through, [(c, f"{value:x}") for c, value in statement.rows.items()])
        for bucket, statement in block.items()
    ]
    return zlib.compress(json.dumps(plain, separators=(",", ":")).encode(), 1)


def _unpack(packed: bytes) -> _Block:
    return {
        bucket: _Statement(through, {c: int(value, 16) for c, value in rows})
        for bucket, through, rows in json.loads(zlib.decompress(packed))
    }
