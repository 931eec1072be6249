"""Bursts: more people than usual reach out about one line, agency, topic or language. Pure.

Every 10 s of event time the cases of the last minute are held against what is usual: the same time
of the last seven days, or the two hours before the last ten minutes, whichever is more. Cases are
counted, not contacts: people who call again are no burst. A burst is raised when so many are at
least three times the usual and at least eight, and by chance (Poisson) happen once in 100,000
minutes. Without any history one case a minute is assumed, weighing as much as ten minutes of
history; so a first flood shows as soon as it is eight cases.

While a burst lasts its usual level stays what it was. It is over when for five minutes hardly more
come (half again the usual), or after two hours: then that is the usual level.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import exp

from mawja.wave.v1.events_pb2 import Burst

from services.wave import levels
from services.wave.book import Book
from services.wave.windows import DAY_MS, HOUR, HOUR_MS, MINUTE, MINUTE_MS

SLOT_MS = MINUTE.hop_ms
LEAST = 8
TIMES = 3.0
CHANCE = 1e-5
_CALM = 1.5
_CALM_MS = 5 * MINUTE_MS
_LONGEST_MS = 2 * HOUR_MS
_DAYS = 7
_SINCE_MS = 2 * HOUR_MS
_UNTIL_MS = 10 * MINUTE_MS
_ASSUMED_CASES = 10.0
_ASSUMED_MINUTES = 10.0
_KEPT_MS = DAY_MS
_MOST = 1_000

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
    """What is going on. Ask `look` every second or so."""

    book: Book
    _going: dict[int, _Going] = field(default_factory=dict)
    _all: dict[Key, Burst] = field(default_factory=dict)
    _looked_ms: int = 0

    def look(self, now_ms: int) -> list[Burst]:
        """Looks at every minute that ended since the last look; gives the bursts that changed."""
        # What lies ahead of the clock must not hide what happens now.
        end = min(self.book.newest_ms, now_ms - now_ms % SLOT_MS + SLOT_MS)
        if end <= 0:
            return []
        begin = max(self._looked_ms, end - _SINCE_MS)
        self._looked_ms = end
        changed: dict[Key, Burst] = {}
        # The last minute looked at too: it may have been counted further.
        for at in range(begin - begin % SLOT_MS, end + SLOT_MS, SLOT_MS):
            for key, burst in self._minute(at):
                changed[key] = burst
        self._forget(end)
        return list(changed.values())

    def all(self) -> list[Burst]:
        """The bursts of the last day, the latest start first."""
        return sorted(self._all.values(), key=lambda burst: (-burst.start_ms, burst.subject))

    def _minute(self, end_ms: int) -> Iterator[tuple[Key, Burst]]:
        slots = range(end_ms - MINUTE_MS, end_ms, SLOT_MS)
        counts: dict[int, int] = dict.fromkeys(self._going, 0)
        for slot_ms in slots:
            for subject, packed in self.book.slot(MINUTE.width_ms, slot_ms).items():
                counts[subject] = counts.get(subject, 0) + levels.cases(packed)
        for subject, cases in counts.items():
            going = self._going.get(subject)
            if going is not None:
                if self._goes_on(subject, going, cases, end_ms):
                    yield (subject, going.burst.start_ms), going.burst
            elif cases >= LEAST:
                burst = self._begins(subject, cases, end_ms)
                if burst is not None:
                    yield (subject, burst.start_ms), burst

    def _begins(self, subject: int, cases: int, end_ms: int) -> Burst | None:
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
        dimension, name = self.book.named(subject)
        burst = Burst(
            dimension=dimension,
            subject=name,
            start_ms=start,
            raised_ms=end_ms,
            usual=usual.rate,
            known=usual.known,
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
        oldest = self.book.oldest_ms()
        spans: list[tuple[float, float]] = []
        since, until = max(oldest, end_ms - _SINCE_MS), end_ms - _UNTIL_MS
        if since < until:
            since -= since % SLOT_MS
            until -= until % SLOT_MS
            found = sum(self._cases(subject, at) for at in range(since, until, SLOT_MS))
            spans.append((found, (until - since) / MINUTE_MS))
        days = [
            sum(
                levels.cases(self.book.slot(HOUR.width_ms, slot).get(subject, 0))
                for slot in HOUR.slots(HOUR.slot(end_ms - day * DAY_MS - HOUR_MS // 2))
            )
            for day in range(1, _DAYS + 1)
            if end_ms - day * DAY_MS - HOUR_MS // 2 >= oldest
        ]
        if days:
            spans.append((sum(days), len(days) * HOUR_MS / MINUTE_MS))
        rates = [
            (cases + _ASSUMED_CASES) / (minutes + _ASSUMED_MINUTES) for cases, minutes in spans
        ]
        return Usual(max(rates, default=_ASSUMED_CASES / _ASSUMED_MINUTES), bool(rates))

    def _cases(self, subject: int, slot_ms: int) -> int:
        return levels.cases(self.book.slot(MINUTE.width_ms, slot_ms).get(subject, 0))

    def _forget(self, end_ms: int) -> None:
        old = [key for key, burst in self._all.items() if burst.until_ms < end_ms - _KEPT_MS]
        for key in [*old, *list(self._all)[: max(0, len(self._all) - _MOST)]]:
            burst = self._all.pop(key, None)
            if burst is not None and not burst.ended:
                self._going.pop(key[0], None)


def unusual(cases: int, usual: float) -> bool:
    """Whether so many in a minute are a burst where `usual` are usual."""
    return cases >= max(LEAST, TIMES * usual) and _tail(cases, usual) < CHANCE


def _tail(cases: int, mean: float) -> float:
    """P(X ≥ cases) of a Poisson variable; an upper bound (Chernoff's) where it is tiny."""
    if mean > 50:
        # e^(k - m) (m / k)^k, for k > m.
        ratio = mean / cases
        return float((ratio * exp(1 - ratio)) ** min(cases, 10_000)) if cases > mean else 1.0
    term, below = exp(-mean), 0.0
    for n in range(cases):
        below += term
        term *= mean / (n + 1)
    return max(0.0, 1 - below)
