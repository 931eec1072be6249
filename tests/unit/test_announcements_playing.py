"""What playbooks have lines play: once for each burst, whoever sees it and however often."""

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mawja.dedup.v1.incidents_pb2 import Incident
from mawja.outreach.v1.announcements_pb2 import Announcement
from mawja.wave.v1.events_pb2 import Burst, Dimension

from services.outreach import shelf
from services.outreach.announcements.playing import (
    LATE_MS,
    Happening,
    asked,
    of_burst,
    of_incident,
)
from services.outreach.rule_file import parse
from services.outreach.rules import Announcement as Says
from services.outreach.rules import Event, Rule, Where
from services.runtime.announcements import Announcements
from services.runtime.errors import ConfigError

NOW = 1_800_000_000_000
LASTS_MS = 30 * 60_000
LINE = Dimension.DIMENSION_LINE
SAYS = Says(LASTS_MS, frozenset(), {"en": "Many call.", "ar": "كثيرون يتصلون."}, "badr", NOW)
RULE = Rule("busy", 1, Event.BURST, None, False, None, where=Where(people=30), announcement=SAYS)


def burst(subject: str = "109", start_ms: int = NOW - 60_000, **given: object) -> Burst:
    fields: dict[str, object] = {
        "dimension": LINE,
        "subject": subject,
        "start_ms": start_ms,
        "until_ms": NOW,
        "cases": 40,
        **given,
    }
    return Burst(**fields)  # type: ignore[arg-type]


def happening(found: Burst) -> Happening:
    made = of_burst(found)
    assert made is not None
    return made


def play(
    known: Announcements, found: Burst, now: int = NOW, rule: Rule = RULE
) -> list[Announcement]:
    announced = list(asked([rule], happening(found), known, now))
    for one in announced:
        known.take(one)
    return announced


def test_a_line_that_is_busy_plays_it_arabic_first_for_its_time() -> None:
    [one] = play(Announcements(), burst())
    assert list(one.lines) == ["109"]
    assert [text.language for text in one.texts] == ["ar", "en"]
    assert (one.from_ms, one.until_ms) == (NOW, NOW + LASTS_MS)
    assert (one.set_by, one.drill) == ("playbook busy@1", False)
    [rehearsed] = play(Announcements(), burst(drill=True))
    assert rehearsed.drill
    assert rehearsed.announcement_id != one.announcement_id


def test_what_is_small_or_over_or_long_ago_or_on_no_line_plays_nothing() -> None:
    known = Announcements()
    assert play(known, burst(cases=29)) == []
    assert of_burst(burst(ended=True)) is None
    assert play(known, burst(), NOW + LATE_MS + 1) == []
    assert play(known, burst(dimension=Dimension.DIMENSION_AGENCY)) == []
    everywhere = replace(RULE, announcement=replace(SAYS, lines=frozenset({"16000", "109"})))
    [one] = play(known, burst(dimension=Dimension.DIMENSION_AGENCY), rule=everywhere)
    assert list(one.lines) == ["109", "16000"]
    assert one.agency == "109"


BURSTS = st.builds(
    burst,
    st.sampled_from(["109", "16000"]),
    st.sampled_from([NOW - 60_000, NOW - 20_000]),
    cases=st.integers(0, 60),
    drill=st.booleans(),
)


@given(st.lists(BURSTS, max_size=12), st.randoms())
def test_two_replicas_that_see_bursts_in_any_order_have_each_line_play_it_once(
    bursts: list[Burst], chance: random.Random
) -> None:
    stated: list[Announcement] = []
    for _ in range(2):
        known = Announcements()
        for one in bursts:
            stated += play(known, one)
        chance.shuffle(bursts)
    together = Announcements()
    for announcement in stated:
        together.take(announcement)
    for drill in (False, True):
        for line in ("109", "16000"):
            wanted = any(b.cases >= 30 and b.subject == line and b.drill is drill for b in bursts)
            assert len(together.on_air(line, drill, NOW)) == int(wanted)


def test_what_a_person_ended_is_not_begun_again_by_another_burst_meanwhile() -> None:
    known = Announcements()
    [one] = play(known, burst())
    ended = Announcement()
    ended.CopyFrom(one)
    ended.ended_ms, ended.ended_by = NOW + 1_000, "huda"
    known.take(ended)
    later = burst(start_ms=NOW, until_ms=NOW + LASTS_MS)
    assert play(known, later, NOW + 2_000) == []
    assert play(known, burst(until_ms=NOW + LASTS_MS), NOW + LASTS_MS) == []
    assert len(play(known, later, NOW + LASTS_MS)) == 1


def test_an_incident_is_asked_about_by_its_people_and_agency() -> None:
    incident = Incident(
        incident_id="i", agency="civil-defence", people=50, open=3, life_safety=1, last_ms=NOW
    )
    found = of_incident(incident)
    assert found is not None
    rule = replace(
        RULE,
        event=Event.INCIDENT,
        where=Where(agencies=frozenset({"civil-defence"}), people=50),
        announcement=replace(SAYS, lines=frozenset({"109"})),
    )
    [one] = asked([rule], found, Announcements(), NOW)
    assert one.urgent
    assert one.agency == "civil-defence"
    assert not list(asked([rule], replace(found, drill=True, last_ms=0), Announcements(), NOW))
    for gone in (Incident(incident_id="i", open=0), Incident(open=1, joined_into="j")):
        assert of_incident(gone) is None


def test_the_shipped_playbook_speaks_on_a_busy_line_of_a_rehearsal_since_nobody_approved_it() -> (
    None
):
    rules = shelf.read(None).rules
    assert not list(asked(rules, happening(burst()), Announcements(), NOW))
    [one] = asked(rules, happening(burst(drill=True)), Announcements(), NOW)
    assert one.set_by.startswith("playbook busy-line@")
    assert not any("{" in text.text for text in one.texts)


def test_real_callers_hear_what_somebody_answers_for_from_that_day_on() -> None:
    approved = """
centre: {ar: م, en: c}
rules:
  - name: busy
    version: 1
    when: {event: burst}
    do:
      announcement:
        lasts: 30m
        approver: badr
        approved-on: 2026-11-22
        texts: {ar: "{centre}", en: "{centre}"}
"""
    [rule] = parse(approved, "rules.yaml")
    day_ms = 1_795_305_600_000
    for at_ms, plays in ((day_ms - 1, False), (day_ms, True)):
        found = happening(burst(start_ms=at_ms - 60_000, until_ms=at_ms))
        assert bool(list(asked([rule], found, Announcements(), at_ms))) is plays
    with pytest.raises(ConfigError, match="goes with approver and approved-on only"):
        parse(approved.replace("        approver: badr\n", ""), "rules.yaml")
    with pytest.raises(ConfigError, match="approved-on: must be a date"):
        parse(approved.replace("2026-11-22", "yesterday"), "rules.yaml")
