"""Bursts: more people than usual reach out about one line, agency, topic or language. Pure.

Real contacts and drills are looked at by one `Bursts` each: neither raises, feeds or ends a burst
of the other, nor counts as what is usual for it.

Every 10 s of event time the cases of the last minute are held against what is usual: the same time
of the last seven days (the hour around it, or the hour from it on; not days on which nobody reached
the centre at all), or the two hours before the last ten minutes, whichever is more. Cases are
counted, not contacts: people who call again are no burst. A burst is raised when so many are at
least three times the usual and at least eight, and by chance (Poisson) happen once in 100,000
minutes. Without any history one case a minute is assumed, weighing as much as ten minutes of
history; so a first flood shows as soon as it is eight cases.

While a burst lasts its usual level stays what it was. It is over when for five minutes hardly more
come (half again the usual), or after two hours: then that is the usual level. Real contacts never
stop; a drill does, so its bursts are also over when nothing of it came for five minutes of the
clock.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from mawja.wave.v1.events_pb2 import Burst, Dimension

from services.runtime.unusual import LEAST, unusual, weighed
from services.wave import levels
from services.wave.book import Book
from services.wave.windows import DAY_MS, HOUR, HOUR_MS, MINUTE, MINUTE_MS, QUARTER, Hop

SLOT_MS = MINUTE.hop_ms
_CALM = 1.5
_CALM_MS = 5 * MINUTE_MS
_LONGEST_MS = 2 * HOUR_MS
_DAYS = 7
_SINCE_MS = 2 * HOUR_MS
_UNTIL_MS = 10 * MINUTE_MS
_KEPT_MS = DAY_MS
_MOST = 1_000
# Everybody who calls comes by some channel: a burst of one says nothing that its lines don't.
_CHANNEL = Dimension.DIMENSION_CHANNEL

Key = tuple[int, int]
"""Id of the subject, start."""


@dataclass(frozen=True, slots=True)
class Usual:
    """Cases a minute, and whether that is known."""

    rate: float
    known: bool


@dataclass(slots=True)
class _Going:
    """A burst that is not over. `calm_ms`: since when it is calm, 0 when it is not."""

    burst: Burst
    usual: Usual
    calm_ms: int = 0


@dataclass(slots=True)
class Bursts:
    """What is going on, among real contacts or in drills. Ask `look` every second or so."""

    book: Book
    drill: bool = False
    _going: dict[int, _Going] = field(default_factory=dict)
    _all: dict[Key, Burst] = field(default_factory=dict)
    _looked_ms: int = 0
    _newest_ms: int = 0
    _heard_ms: int = 0
    # By subject, the 5 minutes that it holds for, and cases a minute on earlier days.
    _of_days: dict[int, tuple[int, float | None]] = field(default_factory=dict)

    def look(self, now_ms: int) -> list[Burst]:
        """Looks at every minute that ended since the last look; gives the bursts that changed."""
        # What lies ahead of the clock must not hide what happens now.
        newest = self.book.newest_ms(self.drill)
        end = min(newest, now_ms - now_ms % SLOT_MS + SLOT_MS)
        if end <= 0:
            return []
        if newest != self._newest_ms:
            self._newest_ms, self._heard_ms = newest, now_ms
        elif self.drill and now_ms - self._heard_ms >= _CALM_MS:
            self._forget(now_ms)
            return self._end_all()
        begin = max(self._looked_ms, end - _SINCE_MS)
        self._looked_ms = end
        changed: dict[Key, Burst] = {}
        # The last minute looked at too: it may have been counted further.
        for at in range(begin - begin % SLOT_MS, end + SLOT_MS, SLOT_MS):
            for key, burst in self._minute(at):
                changed[key] = burst
        self._forget(end)
        return list(changed.values())

    def _end_all(self) -> list[Burst]:
        ended = [going.burst for going in self._going.values()]
        for burst in ended:
            burst.ended = True
        self._going.clear()
        return ended

    def all(self) -> list[Burst]:
        """The bursts of the last day, the latest start first."""
        return sorted(self._all.values(), key=lambda burst: (-burst.start_ms, burst.subject))

    def _minute(self, end_ms: int) -> Iterator[tuple[Key, Burst]]:
        slots = range(end_ms - MINUTE_MS, end_ms, SLOT_MS)
        counts: dict[int, int] = dict.fromkeys(self._going, 0)
        for slot_ms in slots:
            for subject, packed in self.book.slot(MINUTE.width_ms, slot_ms, self.drill).items():
                counts[subject] = counts.get(subject, 0) + levels.cases(packed)
        for subject, cases in counts.items():
            going = self._going.get(subject)
            if going is not None:
                if self._goes_on(subject, going, cases, end_ms):
                    yield (subject, going.burst.start_ms), going.burst
            elif cases >= LEAST and self.book.named(subject).dimension != _CHANNEL:
                burst = self._begins(subject, cases, end_ms)
                if burst is not None:
                    yield (subject, burst.start_ms), burst

    def _begins(self, subject: int, cases: int, end_ms: int) -> Burst | None:
        # What is usual is the larger of two, and earlier days are known at once.
        if not unusual(cases, self._days(subject, end_ms) or 0.0):
            return None
        usual = self.usual(subject, end_ms)
        if not unusual(cases, usual.rate):
            return None
        start = next(
            slot_ms
            for slot_ms in range(end_ms - MINUTE_MS, end_ms, SLOT_MS)
            if self._cases(subject, slot_ms) > _CALM * usual.rate * SLOT_MS / MINUTE_MS
        )
        # One that was over has not begun again where it was seen.
        if any(s == subject and not start > b.until_ms for (s, _), b in self._all.items()):
            return None
        named = self.book.named(subject)
        burst = Burst(
            dimension=named.dimension,
            subject=named.name,
            start_ms=start,
            raised_ms=end_ms,
            usual=usual.rate,
            known=usual.known,
            drill=self.drill,
        )
        self._going[subject] = going = _Going(burst, usual)
        self._all[subject, start] = burst
        self._goes_on(subject, going, cases, end_ms)
        return burst

    def _goes_on(self, subject: int, going: _Going, cases: int, end_ms: int) -> bool:
        """Whether anything changed."""
        burst = going.burst
        before = burst.SerializeToString()
        burst.last_minute = cases
        burst.peak = max(burst.peak, cases)
        burst.until_ms = max(burst.until_ms, end_ms)
        burst.cases = sum(
            self._cases(subject, slot) for slot in range(burst.start_ms, end_ms, SLOT_MS)
        )
        if cases > max(_CALM * going.usual.rate, 1.0):
            going.calm_ms = 0
        elif not going.calm_ms:
            going.calm_ms = end_ms
        over = going.calm_ms and end_ms - going.calm_ms >= _CALM_MS
        if over or end_ms - burst.start_ms >= _LONGEST_MS:
            burst.ended = True
            del self._going[subject]
        return burst.SerializeToString() != before

    def usual(self, subject: int, end_ms: int) -> Usual:
        """What is usual for a subject at this time."""
        found = [self._days(subject, end_ms), self._hours(subject, end_ms)]
        rates = [rate for rate in found if rate is not None]
        return Usual(max(rates, default=weighed(0, 0)), bool(rates))

    def _days(self, subject: int, end_ms: int) -> float | None:
        """At the same time of earlier days: of the hour around it and the hour from it on the one
        with more, so that a centre that opens is no burst. None when none is known."""
        at = HOUR.slot(end_ms)
        known = self._of_days.get(subject)
        if known is not None and known[0] == at:
            return known[1]
        rates = [
            rate
            for begin in (HOUR.slot(end_ms - HOUR_MS // 2), at)
            if (rate := self._same_hour(subject, begin)) is not None
        ]
        rate = max(rates, default=None)
        self._of_days[subject] = at, rate
        return rate

    def _same_hour(self, subject: int, begin_ms: int) -> float | None:
        oldest = self.book.oldest_ms(self.drill)
        begins = [begin_ms - day * DAY_MS for day in range(1, _DAYS + 1)]
        days = [HOUR.slots(begin) for begin in begins if begin >= oldest]
        # On which nobody reached the centre at all: closed, or lost, and no measure of other days.
        open_ = [slots for slots in days if any(map(self._anything, slots))] or days
        found = sum(self._cases(subject, slot, HOUR) for slots in open_ for slot in slots)
        return weighed(found, len(open_) * HOUR_MS / MINUTE_MS) if open_ else None

    def _anything(self, slot_ms: int) -> bool:
        return bool(self.book.slot(HOUR.width_ms, slot_ms, self.drill))

    def _hours(self, subject: int, end_ms: int) -> float | None:
        """In the hours before. None when none is known."""
        since = QUARTER.slot(max(self.book.oldest_ms(self.drill), end_ms - _SINCE_MS))
        until = QUARTER.slot(end_ms - _UNTIL_MS)
        if since >= until:
            return None
        slots = range(since, until, QUARTER.hop_ms)
        found = sum(self._cases(subject, at, QUARTER) for at in slots)
        return weighed(found, (until - since) / MINUTE_MS)

    def _cases(self, subject: int, slot_ms: int, hop: Hop = MINUTE) -> int:
        slot = self.book.slot(hop.width_ms, slot_ms, self.drill)
        return levels.cases(slot.get(subject, 0))

    def _forget(self, end_ms: int) -> None:
        old = [key for key, burst in self._all.items() if burst.until_ms < end_ms - _KEPT_MS]
        for key in [*old, *list(self._all)[: max(0, len(self._all) - _MOST)]]:
            burst = self._all.pop(key, None)
            if burst is not None and not burst.ended:
                self._going.pop(key[0], None)
