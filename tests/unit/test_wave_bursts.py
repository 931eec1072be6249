"""A burst shows within a minute of its start, with and without history, and ordinary days show
none.
"""

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mawja.common.v1.common_pb2 import Channel
from mawja.dedup.v1.events_pb2 import Tally, TallyRow
from mawja.wave.v1.events_pb2 import Burst, Dimension

from services.runtime.unusual import CHANCE, LEAST, unusual
from services.wave.book import Book
from services.wave.bursts import SLOT_MS, Bursts

BASE = 1_800_000_000_000 - 1_800_000_000_000 % 3_600_000
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000


class Centre:
    """Tallies of one partition, told as they come."""

    def __init__(self) -> None:
        self.book = Book()
        self.bursts = Bursts(self.book)
        self._through = 0

    def tell(
        self, at_ms: int, cases: int, topic: str = "flood", contacts: int = 0, drill: bool = False
    ) -> None:
        self._through += 1
        row = TallyRow(
            agency="municipality",
            topic=topic,
            channel=Channel.CHANNEL_VOICE,
            cases=cases,
            contacts=contacts or cases,
            drill=drill,
        )
        tally = Tally(
            partition=int(drill),
            bucket_ms=at_ms - at_ms % SLOT_MS,
            bucket_width_ms=SLOT_MS,
            through_offset=self._through,
            rows=[row],
        )
        self.book.take(tally, at_ms)

    def play(self, from_ms: int, until_ms: int, rate: Callable[[int], int]) -> list[Burst]:
        """Tells each bucket of 10 s and looks after it; the bursts that changed, as they were."""
        found = []
        for at in range(from_ms, until_ms, SLOT_MS):
            cases = rate(at)
            if cases:
                self.tell(at, cases)
            for burst in self.bursts.look(at + SLOT_MS):
                seen = Burst()
                seen.CopyFrom(burst)
                found.append(seen)
        return found


def of_topic(found: list[Burst]) -> list[Burst]:
    return [burst for burst in found if burst.dimension == Dimension.DIMENSION_TOPIC]


@pytest.mark.parametrize("per_bucket", [2, 4, 20])
def test_without_any_history_a_burst_shows_within_a_minute(per_bucket: int) -> None:
    centre = Centre()
    found = of_topic(centre.play(BASE, BASE + 2 * MINUTE, lambda _: per_bucket))
    assert found[0].start_ms == BASE
    assert found[0].raised_ms - BASE <= MINUTE
    assert not found[0].known
    assert found[-1].cases == 12 * per_bucket


def test_with_history_a_burst_is_held_against_the_usual_level() -> None:
    centre = Centre()
    pick = random.Random(3)
    # Twelve a minute, as ever; then sixty.
    usual = centre.play(BASE, BASE + 3 * HOUR, lambda _: pick.choice((1, 2, 3)))
    # At the very start nothing is known of it; from the first hour on it is ordinary.
    assert all(burst.start_ms < BASE + 20 * MINUTE for burst in usual)
    start = BASE + 3 * HOUR
    found = of_topic(centre.play(start, start + MINUTE, lambda _: 10))
    assert found[0].raised_ms - start <= MINUTE
    assert found[0].known
    assert 10 < found[0].usual < 14


def test_the_same_hour_of_earlier_days_is_usual_too() -> None:
    centre = Centre()
    for day in range(3):
        # Every noon sixty a minute, else two.
        begin = BASE + day * DAY
        centre.play(begin, begin + HOUR, lambda _: 10)
        centre.play(begin + HOUR, begin + 3 * HOUR, lambda at: int(at // SLOT_MS % 3 == 0))
    noon = BASE + 3 * DAY
    centre.play(noon - HOUR, noon, lambda at: int(at // SLOT_MS % 3 == 0))
    found = [
        b for b in of_topic(centre.play(noon, noon + 10 * MINUTE, lambda _: 10)) if not b.ended
    ]
    assert [burst for burst in found if burst.start_ms >= noon] == []


def test_a_drill_raises_feeds_and_ends_no_real_burst() -> None:
    with_drill, without = Centre(), Centre()
    found = []
    for centre in (with_drill, without):
        # Two a minute, then thirty, then calm; a drill ten times as large through all of it.
        seen = []
        # Nor does what was rehearsed before anything happened say what is usual.
        for at in range(BASE - 2 * HOUR, BASE, SLOT_MS) if centre is with_drill else ():
            centre.tell(at, 1, drill=True)
        for at in range(BASE, BASE + 40 * MINUTE, SLOT_MS):
            minute = (at - BASE) // MINUTE
            cases = 5 if 20 <= minute < 25 else int(at // SLOT_MS % 3 == 0)
            centre.tell(at, cases)
            if centre is with_drill:
                centre.tell(at, 50, drill=True)
                centre.tell(at, 50, topic="only in the drill", drill=True)
            seen += [one.SerializeToString() for one in centre.bursts.look(at + SLOT_MS)]
        found.append(seen)
    assert found[0] == found[1] != []


def test_real_contacts_raise_feed_and_end_no_burst_of_a_drill() -> None:
    centre = Centre()
    drills = Bursts(centre.book, drill=True)
    for at in range(BASE, BASE + 3 * MINUTE, SLOT_MS):
        centre.tell(at, 50)
        assert drills.look(at + SLOT_MS) == []
    # A drill plays at its own time: an hour ago, twice as fast as the clock.
    seen = []
    for step in range(12):
        centre.tell(BASE - HOUR + step * SLOT_MS, 3, drill=True)
        seen += of_topic(drills.look(BASE + 3 * MINUTE + step * SLOT_MS // 2))
    assert seen[0].drill
    assert seen[0].start_ms == BASE - HOUR
    assert seen[-1].cases == 36
    assert not any(burst.drill for burst in centre.bursts.look(BASE + 4 * MINUTE))


def test_a_burst_of_a_drill_is_over_when_the_drill_is() -> None:
    centre = Centre()
    drills = Bursts(centre.book, drill=True)
    for at in range(BASE, BASE + 2 * MINUTE, SLOT_MS):
        centre.tell(at, 5, drill=True)
        drills.look(at + SLOT_MS)
    heard = BASE + 2 * MINUTE
    assert not any(burst.ended for burst in drills.look(heard + 5 * MINUTE - SLOT_MS))
    ended = drills.look(heard + 5 * MINUTE)
    assert {burst.ended for burst in ended} == {True}
    assert drills.look(heard + 6 * MINUTE) == []
    assert drills.look(heard + 2 * DAY) == drills.all() == []


def test_who_calls_again_is_no_burst() -> None:
    centre = Centre()
    for at in range(BASE, BASE + 5 * MINUTE, SLOT_MS):
        centre.tell(at, 0, contacts=50)
        assert centre.bursts.look(at + SLOT_MS) == []


def test_a_burst_ends_when_it_is_calm_and_may_come_again() -> None:
    centre = Centre()
    found = centre.play(BASE, BASE + 2 * MINUTE, lambda _: 5)
    found += centre.play(BASE + 2 * MINUTE, BASE + 20 * MINUTE, lambda at: int(at % MINUTE == 0))
    last = of_topic(found)[-1]
    assert last.ended
    assert last.peak == 30
    assert MINUTE <= last.until_ms - (BASE + 2 * MINUTE) <= 8 * MINUTE
    again = of_topic(centre.play(BASE + HOUR, BASE + HOUR + MINUTE, lambda _: 5))
    assert {burst.start_ms for burst in again} == {BASE + HOUR}
    assert len({burst.start_ms for burst in of_topic(centre.bursts.all())}) == 2


def test_what_lasts_becomes_usual() -> None:
    centre = Centre()
    found = of_topic(centre.play(BASE, BASE + 4 * HOUR, lambda _: 10))
    assert [burst.start_ms for burst in found if burst.ended] == [BASE]
    assert len({burst.start_ms for burst in found}) == 1


def test_a_new_process_sees_the_same_burst() -> None:
    centre = Centre()
    centre.play(BASE, BASE + 40 * MINUTE, lambda at: int(at % MINUTE == 0))
    start = BASE + 40 * MINUTE
    first = of_topic(centre.play(start, start + 10 * MINUTE, lambda _: 6))[-1]
    second = Bursts(centre.book)
    [again] = of_topic(second.look(start + 10 * MINUTE))
    assert (again.start_ms, again.cases, again.peak) == (first.start_ms, first.cases, first.peak)


def test_what_lies_ahead_of_the_clock_hides_nothing() -> None:
    centre = Centre()
    centre.book.take(
        Tally(
            partition=1,
            bucket_ms=BASE + HOUR,
            bucket_width_ms=SLOT_MS,
            through_offset=1,
            rows=[TallyRow(topic="flood", cases=1)],
        ),
        BASE,
    )
    assert of_topic(centre.play(BASE, BASE + MINUTE, lambda _: 3))


@given(st.floats(0.01, 5_000), st.integers(1, 20_000))
def test_more_is_never_less_unusual(usual: float, cases: int) -> None:
    if unusual(cases, usual):
        assert cases >= LEAST
        assert cases >= 3 * usual
        assert unusual(cases + 1, usual)


def test_an_ordinary_year_of_minutes_raises_nearly_nothing() -> None:
    pick = random.Random(1)
    for usual in (0.5, 2.0, 8.0):
        raised = 0
        for _ in range(20_000):
            # Poisson by its waiting times.
            cases, waited = 0, pick.expovariate(usual)
            while waited < 1:
                cases, waited = cases + 1, waited + pick.expovariate(usual)
            raised += unusual(cases, usual)
        assert raised <= max(1, 20_000 * CHANCE * 5)


def test_a_channel_has_no_burst_of_its_own() -> None:
    found = Centre().play(BASE, BASE + MINUTE, lambda _: 20)
    assert {burst.dimension for burst in found} == {
        Dimension.DIMENSION_ALL,
        Dimension.DIMENSION_AGENCY,
        Dimension.DIMENSION_TOPIC,
    }
