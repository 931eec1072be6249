"""The scorecard against dedup's own tallies, its groups against the whole, and how it is told."""

import unicodedata
from collections.abc import Callable, Hashable
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mawja.common.v1 import common_pb2
from mawja.intake.v1 import events_pb2 as intake_pb2
from rich.console import Console

from services.dedup import data
from services.tools.scorecards.calls import Calls, Counted
from services.tools.scorecards.figures import DEFINITIONS, REPEAT_MS, Sums, card
from services.tools.scorecards.grouping import By, grouping
from services.tools.scorecards.telling import Asked, as_dict, render
from tests.dedup_desk import (
    ABANDONED,
    ALI,
    ANSWERED,
    DAY,
    ENDED,
    HOUR,
    MIN,
    MONA,
    NOW,
    OFFERED,
    RESOLVED,
    Desk,
    S,
    merge,
    split,
)

DUBAI = ZoneInfo("Asia/Dubai")
BYS: list[By] = ["line", "agency", "language", "hour"]
COUNTS = [
    "contacts",
    "dialled",
    "needs",
    "withheld",
    "answered",
    "answered_in_target",
    "abandoned",
    "open",
    "handled",
    "handled_in_target",
    "handling_ms",
    "first_known",
    "first_resolved",
]
UNRESOLVED = intake_pb2.DISPOSITION_UNRESOLVED


def folded(desk: Desk, drill: bool = False, begin: int = 0) -> Calls:
    calls = Calls(drill)
    for decision in desk.log[begin:]:
        calls.take(decision)
    return calls


def whole(desk: Desk, since_ms: int = 0, until_ms: int = 0) -> Sums:
    return card(folded(desk), None, since_ms, until_ms).whole


def served(desk: Desk, name: str, at_ms: int, wait_s: int, handling_s: int, good: bool) -> None:
    answered_ms = at_ms + wait_s * S
    desk.call(name, OFFERED, at_ms)
    desk.call(name, ANSWERED, answered_ms, queue_wait_ms=wait_s * S)
    desk.call(
        name,
        ENDED,
        answered_ms + handling_s * S,
        RESOLVED if good else UNRESOLVED,
        handling_ms=handling_s * S,
    )


def left(desk: Desk, name: str, at_ms: int, wait_s: int) -> None:
    desk.call(name, OFFERED, at_ms)
    desk.call(name, ABANDONED, at_ms + wait_s * S, queue_wait_ms=wait_s * S)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_the_figures_are_what_they_say(desk: Desk) -> None:
    for number, (wait_s, handling_s) in enumerate([(0, 100), (20, 240), (21, 241), (59, 300)]):
        at_ms = number * HOUR
        desk.contact(f"c{number}", at_ms, bytes([number]) * 16)
        served(desk, f"c{number}", at_ms, wait_s, handling_s, good=number != 1)
    desk.contact("gone", 0, MONA)
    left(desk, "gone", 0, 5)
    desk.contact("redial", MIN, MONA)
    left(desk, "redial", MIN, 90)
    desk.contact("still", 2 * MIN, b"")
    desk.contact("written", 0, ALI, channel=common_pb2.CHANNEL_SMS)
    found = whole(desk).figures()
    assert found == {
        "contacts": 8,
        "dialled": 7,
        "people": 6,
        "withheld": 1,
        "needs": 7,
        "answered": 4,
        "abandoned": 2,
        "open": 1,
        "answered_share": pytest.approx(4 / 6),
        "answered_in_20s_share": pytest.approx(2 / 6),
        "mean_wait_s": pytest.approx(25.0),
        "p90_wait_s": 59.0,
        "mean_handling_s": pytest.approx(220.25),
        "handled_in_4min_share": 0.5,
        "first_contact_resolved_share": 0.75,
        "satisfaction": None,
        "scores": 0,
    }
    assert set(found) == set(DEFINITIONS)


def test_nothing_measured_is_no_figure(desk: Desk) -> None:
    desk.contact("a")
    found = whole(desk).figures()
    assert [name for name, value in found.items() if value is None] == [
        "answered_share",
        "answered_in_20s_share",
        "mean_wait_s",
        "p90_wait_s",
        "mean_handling_s",
        "handled_in_4min_share",
        "first_contact_resolved_share",
        "satisfaction",
    ]


def test_who_comes_back_within_a_week_was_not_helped(desk: Desk) -> None:
    assert data.rules().repeat_window == REPEAT_MS
    desk.contact("a")
    served(desk, "a", 0, 5, 100, good=True)
    assert whole(desk).first_resolved == 1
    desk.contact("b", 2 * DAY)
    assert (whole(desk).first_known, whole(desk).first_resolved) == (1, 0)


def test_a_source_that_does_not_say_how_calls_end_measures_no_resolution(desk: Desk) -> None:
    desk.contact("a")
    desk.call("a", ANSWERED, 5 * S)
    desk.call("a", ENDED, MIN, handling_ms=55 * S)
    assert whole(desk).figures()["first_contact_resolved_share"] is None
    assert whole(desk).handled == 1


def test_what_happened_before_the_span_is_not_first_answered_in_it(desk: Desk) -> None:
    desk.contact("a")
    served(desk, "a", 0, 5, 100, good=False)
    begin = len(desk.log)
    desk.contact("b", 2 * HOUR)
    served(desk, "b", 2 * HOUR, 5, 100, good=True)
    for start in (0, begin):
        sums = card(folded(desk, begin=start), None, since_ms=NOW + HOUR).whole
        assert (sums.dialled, sums.needs, sums.answered, sums.first_known) == (1, 1, 1, 0)


def test_a_call_answered_after_the_reading_began_but_which_came_before(desk: Desk) -> None:
    desk.contact("a")
    begin = len(desk.log)
    desk.contact("b", HOUR)
    served(desk, "a", 0, 2 * 3600, 100, good=True)
    served(desk, "b", HOUR, 2 * 3600, 100, good=True)
    assert card(folded(desk, begin=begin)).whole.first_known == 0


def test_an_end_told_before_its_contact_counts(desk: Desk) -> None:
    served(desk, "a", 0, 5, 100, good=True)
    desk.contact("a")
    sums = whole(desk)
    assert (sums.dialled, sums.answered, sums.handled, sums.first_resolved) == (1, 1, 1, 1)


def test_rehearsals_and_real_contacts_never_mix(desk: Desk) -> None:
    desk.contact("a")
    for name in ("b", "c"):
        desk.contact(name, 0, MONA, drill=True)
        left(desk, name, 0, 9)
    real, rehearsed = folded(desk), folded(desk, drill=True)
    assert (len(real), real.of_other_kind) == (1, 2)
    assert (len(rehearsed), rehearsed.of_other_kind) == (2, 1)
    assert card(rehearsed).whole.abandoned == 2


def test_a_merge_and_a_split_move_needs(desk: Desk) -> None:
    first = desk.contact("a").case
    second = desk.contact("b", MIN, agency="police").case
    assert whole(desk).needs == 2
    merge(desk, "1", second, first)
    assert whole(desk).needs == 1
    split(desk, "2", desk.cases.case(0), "b")
    assert whole(desk).needs == 2
    assert whole(desk).needs == desk.total("cases")


# Anything at all.


@st.composite
def days(draw: st.DrawFn) -> Desk:
    """Some days of a small centre: calls of a few people, on some lines, with any ends."""
    desk = Desk()
    count = draw(st.integers(0, 25))
    for number in range(count):
        name, at_ms = f"c{number}", draw(st.integers(0, 6 * 24 * 60)) * MIN
        channel = draw(st.sampled_from([1, 1, 1, 2]))
        desk.contact(
            name,
            at_ms,
            draw(st.sampled_from([ALI, MONA, b"x" * 16, b""])),
            language=draw(st.sampled_from(["ar", "ar-AE", "en", ""])),
            line=draw(st.sampled_from(["109", "16000", ""])),
            agency=draw(st.sampled_from(["health", "police", ""])),
            channel=channel,
        )
        if channel != common_pb2.CHANNEL_VOICE:
            continue
        wait_s, handling_s = draw(st.integers(0, 40)), draw(st.integers(0, 500))
        match draw(st.sampled_from(["answered", "left", "answered only", "nothing", "twice"])):
            case "answered":
                served(desk, name, at_ms, wait_s, handling_s, draw(st.booleans()))
            case "left":
                left(desk, name, at_ms, wait_s)
            case "answered only":
                desk.call(name, ANSWERED, at_ms + wait_s * S, queue_wait_ms=wait_s * S)
            case "twice":
                served(desk, name, at_ms, wait_s, handling_s, good=True)
                left(desk, name, at_ms, wait_s)
                served(desk, name, at_ms, wait_s + 1, handling_s, good=False)
    for number in range(draw(st.integers(0, 2)) if len(desk.cases) > 1 else 0):
        one, other = draw(
            st.lists(st.integers(0, len(desk.cases) - 1), min_size=2, max_size=2, unique=True)
        )
        # Refused for two people's here, and then it changes nothing.
        if desk.cases.case(one).person and (
            desk.cases.case(one).person == desk.cases.case(other).person
        ):
            merge(desk, str(number), desk.cases.case(one), desk.cases.case(other))
    return desk


@settings(max_examples=60, deadline=None)
@given(desk=days(), by=st.sampled_from(BYS), since=st.none() | st.integers(0, 6 * 24))
def test_the_groups_add_up_to_the_whole(desk: Desk, by: By, since: int | None) -> None:
    since_ms = 0 if since is None else NOW + since * HOUR
    made = card(folded(desk), grouping(by, DUBAI), since_ms)
    for count in COUNTS:
        assert sum(getattr(one, count) for one in made.groups.values()) == getattr(
            made.whole, count
        ), count
    assert sorted(w for one in made.groups.values() for w in one.waits_ms) == sorted(
        made.whole.waits_ms
    )
    assert set().union(*(one.persons for one in made.groups.values())) == made.whole.persons
    assert made.whole.open >= 0


@settings(max_examples=60, deadline=None)
@given(desk=days())
def test_it_is_what_dedup_itself_counts(desk: Desk) -> None:
    sums = whole(desk)
    assert sums.contacts == desk.total("contacts")
    assert sums.needs == desk.total("cases")
    assert sums.answered == desk.total("answered")
    assert sums.answered_in_target == desk.total("answered_in_target")
    assert sums.abandoned == desk.total("abandoned")
    assert sums.handled == desk.total("handled")
    assert sums.handled_in_target == desk.total("handled_in_target")
    assert sums.handling_ms == desk.total("handling_ms")
    assert sum(sums.waits_ms) == desk.total("queue_wait_ms")
    assert sums.first_resolved == desk.total("first_contact_resolved")


# Hours and words.


@pytest.mark.parametrize(
    ("zone", "at", "begins"),
    [
        ("Asia/Dubai", "2026-11-22 10:59:59+04:00", "2026-11-22 10:00+04:00"),
        ("Asia/Kathmandu", "2026-11-22 10:14+05:45", "2026-11-22 10:00+05:45"),
        ("Europe/Berlin", "2026-10-25 02:30+01:00", "2026-10-25 02:00+01:00"),
        ("Europe/Berlin", "2026-10-25 02:30+02:00", "2026-10-25 02:00+02:00"),
    ],
)
def test_an_hour_is_one_on_the_wall(zone: str, at: str, begins: str) -> None:
    def ms(text: str) -> int:
        return int(datetime.fromisoformat(text).astimezone(UTC).timestamp() * 1000)

    desk = Desk()
    desk.contact("a", ms(at) - NOW)
    hour: Callable[[Counted], Hashable] = grouping("hour", ZoneInfo(zone))
    assert list(card(folded(desk), hour).groups) == [ms(begins)]


def shown(desk: Desk, by: By, width: int, **names: tuple[str, ...]) -> list[str]:
    calls = folded(desk)
    asked = Asked(by, 0, 0, False, DUBAI, "Asia/Dubai", calls.of_other_kind)
    console = Console(width=width)
    with console.capture() as captured:
        for one in render(card(calls, grouping(by, DUBAI)), asked, width, names):
            console.print(one)
    return captured.get().splitlines()


def cells(line: str) -> int:
    return sum(
        0
        if unicodedata.category(c) in ("Cf", "Mn")
        else 1 + (unicodedata.east_asian_width(c) in "WF")
        for c in line
    )


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_it_fits_the_terminal_and_arabic_turns_nothing(desk: Desk, width: int) -> None:
    for number, agency in enumerate(["health", "police", ""]):
        desk.contact(f"c{number}", 0, bytes([number]) * 16, agency=agency)
        served(desk, f"c{number}", 0, 25, 100, good=True)
    lines = shown(desk, "agency", width, health=("الصحة", "Health"))
    assert max(map(cells, lines)) <= width
    text = "\n".join(lines)
    assert "(not known)" in text
    assert "LIVE" in lines[0]
    # Whatever follows on the line would be displaced.
    [named] = [line for line in lines if "الصح" in line]
    before, _, after = named.partition("\u2068")
    assert "health" in before
    assert not any(unicodedata.bidirectional(c) in ("R", "AL") for c in before)
    assert after.count("\u2069") == 1


def test_a_span_without_contacts_says_where_they_are(desk: Desk) -> None:
    desk.contact("a", drill=True)
    text = " ".join(shown(desk, "line", 80))
    assert "No real contact" in text
    assert "--drill" in text


def test_a_program_gets_every_figure_with_its_definition(desk: Desk) -> None:
    desk.contact("a", line="16000")
    served(desk, "a", 0, 5, 100, good=True)
    calls = folded(desk)
    asked = Asked("line", NOW, 0, False, DUBAI, "Asia/Dubai")
    told: dict[str, Any] = as_dict(card(calls, grouping("line", DUBAI)), asked)
    assert told["since_ms"] == NOW
    assert told["until_ms"] is None
    assert set(told["definitions"]) == set(told["whole"])
    assert told["whole"]["satisfaction"] is None
    assert [one["group"] for one in told["groups"]] == ["16000"]
    assert told["targets"]["answered_share"] == {"least": 0.9}
