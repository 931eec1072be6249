"""What lines play follows from what was set and ended, in any order and any number of times."""

import random

from hypothesis import given
from hypothesis import strategies as st
from mawja.outreach.v1.announcements_pb2 import Announcement, AnnouncementText

from services.runtime.announcements import (
    ASK_AGAIN_MS,
    Announcements,
    ends_ms,
    etag,
    in_order,
    played,
)

NOW = 1_800_000_000_000


def announcement(name: str, **given: object) -> Announcement:
    fields: dict[str, object] = {
        "announcement_id": name,
        "lines": ["109"],
        "texts": [
            AnnouncementText(language="ar", text=f"{name} عربي"),
            AnnouncementText(language="en", text=f"{name} English"),
        ],
        "from_ms": NOW,
        "until_ms": NOW + 60_000,
        "set_ms": NOW,
        **given,
    }
    return Announcement(**fields)  # type: ignore[arg-type]


def known(*stated: Announcement) -> Announcements:
    found = Announcements()
    for one in stated:
        copy = Announcement()
        copy.CopyFrom(one)
        found.take(copy)
    return found


SOME = st.builds(
    announcement,
    st.sampled_from("abcd"),
    lines=st.sampled_from([["109"], ["16000"], ["109", "16000"]]),
    from_ms=st.integers(NOW, NOW + 50_000),
    until_ms=st.integers(NOW + 1, NOW + 100_000),
    set_ms=st.integers(NOW, NOW + 10_000),
    urgent=st.booleans(),
    drill=st.booleans(),
)


@given(st.lists(SOME, max_size=8), st.integers(NOW, NOW + 110_000))
def test_a_rehearsal_never_plays_on_a_live_line_and_nothing_plays_out_of_its_time(
    some: list[Announcement], now: int
) -> None:
    found = known(*some)
    for line in ("109", "16000"):
        for drill in (False, True):
            for one in found.on_air(line, drill, now):
                assert one.drill is drill
                assert line in one.lines
                assert one.from_ms <= now < one.until_ms


@given(st.lists(SOME, max_size=8, unique_by=lambda one: one.announcement_id), st.randoms())
def test_an_end_holds_wherever_it_stands_and_however_often(
    some: list[Announcement], chance: random.Random
) -> None:
    ended = []
    for one in some:
        end = Announcement()
        end.CopyFrom(one)
        end.ended_ms, end.ended_by = NOW, "someone"
        ended.append(end)
    records = [*some, *ended, *ended]
    chance.shuffle(records)
    assert known(*records).all("", False, NOW) == []


@given(st.lists(SOME, max_size=8), st.integers(NOW, NOW + 110_000), st.booleans())
def test_nothing_changes_before_the_line_asks_again(
    some: list[Announcement], now: int, drill: bool
) -> None:
    found = known(*some)
    again = found.ask_again_ms("109", drill, now)
    assert now < again <= now + ASK_AGAIN_MS
    at_first = etag("109", played(found.on_air("109", drill, now)))
    for at in (now + 1, (now + again) // 2, again - 1):
        if at < again:
            assert etag("109", played(found.on_air("109", drill, at))) == at_first


def test_urgent_ones_come_first_then_the_latest_and_nothing_is_said_twice() -> None:
    early, late = announcement("early"), announcement("late", set_ms=NOW + 1)
    urgent = announcement("urgent", set_ms=NOW - 1, urgent=True)
    again = announcement("again", texts=early.texts, set_ms=NOW - 2)
    found = known(early, late, urgent, again).on_air("109", False, NOW)
    assert [one.announcement_id for one in found] == ["urgent", "late", "early"]


def test_arabic_is_first_and_rehearsals_are_marked_in_every_language() -> None:
    texts = [AnnouncementText(language=one, text="x") for one in ("ur", "en", "bn", "ar")]
    assert [text.language for text in in_order(texts)] == ["ar", "en", "bn", "ur"]
    [real] = played([announcement("a", texts=in_order(texts))])
    [drill] = played([announcement("a", texts=in_order(texts), drill=True)])
    assert [text.text for text in real.texts] == ["x"] * 4
    assert [text.text for text in drill.texts] == ["تمرين. x"] + ["DRILL. x"] * 3


def test_an_end_before_its_time_counts_and_one_after_does_not() -> None:
    assert ends_ms(announcement("a", ended_ms=NOW + 5)) == NOW + 5
    assert ends_ms(announcement("a", ended_ms=NOW + 70_000)) == NOW + 60_000


@given(SOME, SOME)
def test_another_word_is_another_etag(one: Announcement, other: Announcement) -> None:
    same = played([one]) == played([other])
    assert (etag("109", played([one])) == etag("109", played([other]))) is same
