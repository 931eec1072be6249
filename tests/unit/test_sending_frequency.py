"""What a person got recently: kept small, and never so small that a cap opens too early."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from services.broadcast.rules.book import Cap, Kind, Lane
from services.broadcast.rules.frequency import MOST, Recent
from services.broadcast.rules.judge import Earlier, PersonFacts, judge
from tests.sending_rules import DAY_MS, HOUR_MS, RULES, at, message

ANNA, OMAR = b"a" * 16, b"o" * 16
START = at("2026-11-23 08:00", "Asia/Dubai")


def cap(name: str, most: int, window_ms: int, *, each_agency: bool = False) -> Cap:
    kinds = frozenset({Kind.INFORMATIONAL, Kind.MARKETING})
    bulk = frozenset({Lane.BULK})
    return Cap(name, frozenset({"AE"}), kinds, bulk, most, window_ms, each_agency, ())


def test_what_was_got_is_told_and_what_no_cap_counts_is_not_kept() -> None:
    recent = Recent(RULES.caps)
    recent.add(ANNA, Kind.INFORMATIONAL, Lane.BULK, "moh", START)
    recent.add(ANNA, Kind.SERVICE, Lane.NORMAL, "moh", START + 1)
    recent.add(OMAR, Kind.WARNING, Lane.URGENT, "moh", START)
    assert recent.of(ANNA) == [Earlier(START, Kind.INFORMATIONAL, Lane.BULK, "moh")]
    assert recent.of(OMAR) == []
    assert len(recent) == 1


def test_a_time_is_rounded_so_that_no_cap_opens_early() -> None:
    recent = Recent(RULES.caps)
    recent.add(ANNA, Kind.INFORMATIONAL, Lane.BULK, "moh", START + 1)
    [earlier] = recent.of(ANNA)
    assert earlier.at_ms == START + 1000


def test_what_reached_nobody_is_taken_back() -> None:
    recent = Recent(RULES.caps)
    for minute in range(3):
        recent.add(ANNA, Kind.INFORMATIONAL, Lane.BULK, "moh", START + minute * 60_000)
    recent.take_back(ANNA, Kind.INFORMATIONAL, Lane.BULK, "moh", START + 60_000)
    recent.take_back(ANNA, Kind.INFORMATIONAL, Lane.BULK, "moh", START + 90_000)
    recent.take_back(ANNA, Kind.INFORMATIONAL, Lane.BULK, "moi", START)
    recent.take_back(OMAR, Kind.INFORMATIONAL, Lane.BULK, "moh", START)
    assert [one.at_ms for one in recent.of(ANNA)] == [START, START + 120_000]
    recent.take_back(ANNA, Kind.INFORMATIONAL, Lane.BULK, "moh", START)
    recent.take_back(ANNA, Kind.INFORMATIONAL, Lane.BULK, "moh", START + 120_000)
    assert len(recent) == 0


def test_people_are_forgotten_after_the_longest_window() -> None:
    recent = Recent([cap("day", 2, DAY_MS)])
    for index in range(100):
        recent.add(index.to_bytes(16, "big"), Kind.MARKETING, Lane.BULK, "moh", START)
    recent.add(ANNA, Kind.MARKETING, Lane.BULK, "moh", START + 25 * HOUR_MS)
    assert len(recent) == 101
    recent.add(ANNA, Kind.MARKETING, Lane.BULK, "moh", START + 50 * HOUR_MS)
    assert len(recent) == 1


def test_nobody_is_forgotten_within_the_longest_window() -> None:
    recent = Recent([cap("week", 1, 7 * DAY_MS)])
    recent.add(ANNA, Kind.MARKETING, Lane.BULK, "moh", START)
    for day in range(7):
        recent.add(OMAR, Kind.MARKETING, Lane.BULK, "moh", START + day * DAY_MS)
        assert [one.at_ms for one in recent.of(ANNA)] == [START]


def test_many_agencies_do_not_make_a_person_grow_without_end() -> None:
    recent = Recent([cap("each", 20, DAY_MS, each_agency=True)])
    for index in range(1000):
        recent.add(ANNA, Kind.MARKETING, Lane.BULK, f"a{index % 50}", START + index * 1000)
    kept = recent.of(ANNA)
    assert len(kept) == MOST
    assert kept[-1].at_ms == START + 999_000


CAPS = [
    cap("two-a-day", 2, DAY_MS),
    cap("four-a-week", 4, 7 * DAY_MS),
    cap("one-each", 1, 6 * HOUR_MS, each_agency=True),
]
GOT = st.lists(
    st.tuples(
        st.sampled_from([ANNA, OMAR]),
        st.sampled_from([Kind.INFORMATIONAL, Kind.SERVICE, Kind.MARKETING]),
        st.sampled_from([Lane.BULK, Lane.NORMAL]),
        st.sampled_from(["moh", "moi"]),
        st.integers(0, 20 * 24 * 60),
    ),
    max_size=60,
)


@given(GOT, st.integers(0, 30 * 24 * 60), st.sampled_from(["moh", "moi"]))
def test_the_memory_judges_as_the_whole_history_does(
    got: Sequence[tuple[bytes, Kind, Lane, str, int]], later: int, agency: str
) -> None:
    recent = Recent(CAPS)
    whole: dict[bytes, list[Earlier]] = {ANNA: [], OMAR: []}
    last = START
    for person, kind, lane, whose, minute in sorted(got, key=lambda one: one[-1]):
        last = START + minute * 60_000
        recent.add(person, kind, lane, whose, last)
        whole[person].append(Earlier(last, kind, lane, whose))
    rules = type(RULES)(
        **{name: getattr(RULES, name) for name in RULES.__slots__} | {"caps": CAPS, "quiet": []}
    )
    asked = message(agency=agency, sender="5151" if agency == "" else "MOH", rules=rules)
    now = last + later * 60_000
    for person, earlier in whole.items():
        assert judge(rules, asked, PersonFacts(False, recent.of(person)), now) == judge(
            rules, asked, PersonFacts(False, earlier), now
        )
        assert len(recent.of(person)) <= sum(one.most + 2 for one in CAPS) + 3
