"""Incidents that grow are proposed like bursts: where, to who is in it, and once for an event."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mawja.broadcast.v1.audiences_pb2 import CALLER_STATE_OPEN
from mawja.dedup.v1 import events_pb2, incidents_pb2
from mawja.dedup.v1.incidents_pb2 import CaseCount, Incident, IncidentDecision
from mawja.outreach.v1.proposals_pb2 import Proposal
from mawja.wave.v1.events_pb2 import Burst, Dimension

from services.outreach.proposals.book import EXPIRED, SILENT_MS
from services.outreach.proposals.evidence import INCIDENT
from services.outreach.proposals.growing import KEPT_MS, Growing, burst_of
from tests import incidents_desk
from tests.proposals_desk import Desk as Book
from tests.proposals_told import ALL, LINE, NOW, TOPIC, Town, burst

FLOOD = "نفق خيطان غرق بالماي والسيارات عالقة، السيارة تنطفي وسط نفق خيطان"
POWER = "انقطعت الكهرباء عن منطقة السالمية قطعة 4 منذ ساعتين"
SECOND = 1_000
MINUTE = 60_000


class Centre:
    """People who reach out, incidents as dedup finds them, and a partition of proposals."""

    def __init__(self) -> None:
        self.dedup, self.town, self.book = incidents_desk.Desk(), Town(NOW - KEPT_MS), Book()
        self.growing, self.told = Growing(), 0

    def say(self, text: str, at_ms: int, *, topic: str = "", drill: bool = False) -> None:
        """One more person."""
        place = "Khaitan" if text == FLOOD else "Salmiya"
        agency = f"{topic}-agency" if topic else ""
        given = {"topic": topic, "agency": agency, "drill": drill}
        [case] = self.town.opens(1, at_ms=at_ms, place=place, **given)  # type: ignore[arg-type]
        need = self.dedup.need(
            case.case_id, text, (at_ms - NOW) / MINUTE, case_id=case.case_id, **given
        )
        need.person = case.person
        self.dedup.tell(need)

    def hears(self, now_ms: int, *bursts: Burst) -> list[Proposal]:
        """What is decided of bursts, and of what grew."""
        for decision in self.dedup.log[self.told :]:
            self.growing.take(decision)
        self.told = len(self.dedup.log)
        made = []
        grown = list(self.growing.bursts(self.book.book.incidents(), now_ms))
        for stated in (*bursts, *grown):
            facts = self.town.facts()
            facts.place(self.growing.incident_of(self.book.book.incidents()))
            book = self.book.book
            cause = None if stated.dimension == INCIDENT else self.book.cause()
            if book.wanted(stated, now_ms):
                after = book.proposed(stated, facts.since(stated), cause, now_ms)
            else:
                after = book.heard(stated, cause, now_ms)
            if self.book.put(after) is not None:
                assert after is not None
                made.append(after)
        return made

    def proposals(self) -> list[Proposal]:
        return list(self.book.book.all())

    def another(self) -> None:
        """Another owner in another process."""
        self.book, self.growing, self.told = self.book.again(), Growing(), 0


def flooded(count: int = 12, begin_ms: int = NOW - 40 * SECOND, topic: str = "") -> Centre:
    centre = Centre()
    for number in range(count):
        centre.say(FLOOD, begin_ms + number * SECOND, topic=topic)
    return centre


def test_an_incident_that_grows_is_proposed_with_its_place_and_to_whom_is_in_it() -> None:
    centre = flooded()
    [found] = centre.hears(NOW)
    [group] = centre.dedup.state.groups
    assert (found.dimension, found.subject) == (INCIDENT, group)
    assert found.proposed_ms - found.bursts[0].start_ms <= 60_000
    assert (found.evidence.cases, found.evidence.people) == (12, 12)
    assert [(one.value, one.cases) for one in found.evidence.places] == [("Khaitan", 12)]
    callers = found.suggestion.audience.callers
    assert (callers.incident_id, callers.state) == (group, CALLER_STATE_OPEN)
    assert found.suggestion.name.startswith("incident in Khaitan, burst of")
    assert not found.HasField("input")
    # It is stated again as it grows, and says nothing new.
    for number in range(5):
        centre.say(FLOOD, NOW + number * SECOND)
        assert centre.hears(NOW + number * SECOND) == []
    assert centre.book.book.incidents()[group].cases == 17


def test_its_topic_says_what_is_answered() -> None:
    [found] = flooded(topic="roads-topic").hears(NOW)
    assert found.suggestion.name.startswith("incident in Khaitan, roads-topic, burst of")
    assert found.suggestion.entry == "roads@1"


def test_few_people_or_the_same_who_call_again_propose_nothing() -> None:
    centre = flooded(8)
    assert centre.hears(NOW) == []
    stated = Incident(incident_id="i", cases=30, people=3, open=30, recent=30)
    stated.first_ms, stated.last_ms = NOW - 40 * SECOND, NOW
    assert burst_of(stated) is None


def test_what_comes_slowly_is_seen_over_ten_minutes() -> None:
    centre = Centre()
    made: list[int] = []
    for number in range(24):
        at_ms = NOW + number * 30 * SECOND
        centre.say(FLOOD, at_ms)
        made += [number for _ in centre.hears(at_ms + SECOND)]
    # Two a minute are no burst of any line.
    assert len(made) == 1
    assert 15 <= made[0] <= 19


@pytest.mark.parametrize(("recent", "before"), [(16, 0), (40, 30), (300, 200)])
def test_what_was_there_before_is_usual(recent: int, before: int) -> None:
    stated = Incident(incident_id="i", cases=9_999, people=9_999, open=9_999)
    stated.first_ms, stated.last_ms = NOW - 60 * MINUTE, NOW
    stated.recent, stated.before = recent, before
    assert burst_of(stated) is None
    stated.recent = max(20, 5 * before)
    assert burst_of(stated) is not None
    stated.open = 0
    assert burst_of(stated) is None


@pytest.mark.parametrize(("times", "most"), [(1.0, 0), (1.25, 1)])
def test_an_incident_that_goes_on_as_it_did_is_hardly_ever_proposed(
    times: float, most: int
) -> None:
    pick, raised = random.Random(1), 0
    stated = Incident(incident_id="i", cases=9_999, people=9_999, open=9_999)
    stated.first_ms, stated.last_ms = NOW - 600 * MINUTE, NOW
    # Eight weeks, each ten minutes of which have so many times the cases of the ten before.
    for rate in (0.2, 0.5, 2.0, 10.0):
        for _ in range(2_000):
            stated.before, stated.recent = (
                max(0, round(pick.gauss(mean, mean**0.5)))
                for mean in (10 * rate, 10 * rate * times)
            )
            raised += burst_of(stated) is not None
    assert raised <= most


def test_a_question_is_an_event_only_where_it_has_a_place() -> None:
    stated = Incident(incident_id="i", cases=20, people=20, open=20, recent=20)
    stated.level = events_pb2.LINK_LEVEL_SAME_QUESTION
    stated.first_ms, stated.last_ms = NOW - 5 * MINUTE, NOW
    # Of a centre that opens, what all ask every morning begins like this.
    assert burst_of(stated) is None
    stated.places.append(CaseCount(value="Jahra", cases=12))
    assert burst_of(stated) is not None


@pytest.mark.parametrize("first", ["burst", "incident"])
@pytest.mark.parametrize("dimension", [TOPIC, ALL])
def test_a_burst_and_an_incident_of_one_event_are_one_proposal(
    first: str, dimension: "Dimension.ValueType"
) -> None:
    centre = Centre()
    topic = "roads-topic"
    stated = burst(dimension, topic if dimension == TOPIC else "", NOW - 40 * SECOND)
    for number in range(4):
        centre.say(POWER, NOW - 30 * SECOND + number, topic=topic)
    for number in range(12):
        centre.say(FLOOD, NOW - 30 * SECOND + number, topic=topic)
        if first == "burst" and number == 3:
            centre.hears(NOW, stated)
    centre.hears(NOW)
    centre.hears(NOW, stated)
    centre.another()
    centre.hears(NOW, stated)
    [found] = centre.proposals()
    assert {one.dimension for one in found.bursts} == {INCIDENT, dimension}
    assert found.dimension == (TOPIC if first == "burst" else INCIDENT)


def test_a_wide_burst_of_something_else_is_another_event() -> None:
    centre = flooded()
    centre.town.opens(60, topic="shelters-topic", agency="shelters-agency")
    made = centre.hears(NOW, burst(LINE, "109"))
    assert [one.dimension for one in made] == [TOPIC, INCIDENT]


def test_two_incidents_that_turn_out_to_be_one_leave_one_proposal() -> None:
    centre = flooded(12, NOW - 50 * SECOND)
    for number in range(12):
        centre.say(POWER, NOW - 30 * SECOND + number)
    one, other = centre.hears(NOW)
    assert one.subject != other.subject
    [winner] = [name for name in centre.dedup.state.groups if name == other.subject]
    stated = Incident(incident_id=winner, cases=24, people=24, open=24, last_ms=NOW)
    gone = Incident(incident_id=one.subject, joined_into=winner)
    joined = IncidentDecision(
        change=incidents_pb2.INCIDENT_CHANGE_JOINED,
        incident_id=winner,
        joined=[one.subject],
        incidents=[stated, gone],
    )
    centre.growing.take(joined)
    [over] = centre.hears(NOW + SECOND)
    # The first one stays, whatever dedup calls it.
    assert (over.proposal_id, over.state, over.over) == (other.proposal_id, EXPIRED, True)
    facts = centre.town.facts()
    facts.place(centre.growing.incident_of(centre.book.book.incidents()))
    [still] = [one for one in centre.proposals() if not one.over]
    assert len(facts.of(still.bursts[0])) == 24
    assert centre.hears(NOW + 2 * SECOND) == []


def test_drills_are_apart() -> None:
    centre = flooded(topic="roads-topic")
    for number in range(12):
        centre.say(FLOOD, NOW - 30 * SECOND + number, topic="roads-topic", drill=True)
    made = centre.hears(NOW, burst(drill=True))
    assert sorted(one.drill for one in made if one.version == 1) == [False, True]
    for one in centre.proposals():
        assert {shown.drill for shown in one.bursts} == {one.drill}


def test_one_that_no_more_comes_of_is_over_and_is_proposed_anew_only_when_it_grows_anew() -> None:
    centre = flooded()
    centre.hears(NOW)
    later = NOW + SILENT_MS
    [over] = centre.book.book.passed(later)
    assert over.state == EXPIRED
    centre.book.put(over)
    for _ in range(2):
        assert centre.hears(later) == []
        centre.another()
    assert centre.hears(later + KEPT_MS) == []
    assert not centre.growing.incident_of({})


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1_000))
def test_whoever_owns_it_and_whenever_they_look_an_event_is_proposed_once(seed: int) -> None:
    pick, centre = random.Random(seed), Centre()
    for number in range(30):
        at_ms = NOW + number * SECOND
        centre.say(FLOOD, at_ms, topic="roads-topic")
        if pick.random() < 0.3:
            centre.another()
        shown = burst(pick.choice((TOPIC, ALL)), "", NOW)
        shown.subject = "roads-topic" if shown.dimension == TOPIC else ""
        centre.hears(at_ms + SECOND, *([shown] if pick.random() < 0.3 else []))
    assert len(centre.proposals()) == 1
