"""What brings calls back waits until agents have room for them: stated first, sent once, also by
owners that die; and nothing waits that saves calls or that a life hangs on."""

from collections.abc import Iterable
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2 as dedup
from mawja.outreach.v1 import events_pb2 as outreach
from mawja.outreach.v1.playbooks_pb2 import Explanation

from services.outreach import shelf
from services.outreach.decide import Draft, Messages
from services.outreach.easing import Easing
from services.outreach.explaining import explained
from services.outreach.minding import Minding
from services.outreach.putting_off import of_asks
from services.outreach.rule_file import parse
from services.outreach.rules import Rule
from services.runtime.errors import ConfigError
from services.runtime.own import Record
from tests.outreach_told import CASES, NOW, SHIPPED, Told

SEC, MIN, HOUR = 1_000, 60_000, 3_600_000
SMS = common_pb2.CHANNEL_SMS
# Without hours, so that times are round.
RULES = [
    replace(rule, limits=replace(rule.limits, hours=None) if rule.limits else None)
    for rule in SHIPPED
]


class Room:
    """The owners of a partition, one after the other, as the worker wires them. `free`: calls a
    minute that agents can take; None: nobody tells."""

    def __init__(self, rules: list[Rule] = RULES) -> None:
        self.rules = rules
        self.free: float | None = 0.0
        self.inputs: list[dedup.CaseDecision] = []
        self.watches: list[outreach.Watch] = []
        self.said: list[outreach.MessageRequested] = []
        self.committed = 0
        self.takes_over(NOW)

    def takes_over(self, now_ms: int) -> None:
        easing = Easing(lambda _drill: self.free, lambda _d, free: f"room for {free:.0f}")
        self.messages = Messages(rules=self.rules)
        for request in self.said:
            self.messages.take(request)
        self.minding = Minding(0, self.rules, self.messages, easing)
        for i, watch in enumerate(self.watches):
            self.minding.fold(
                cast(Record, SimpleNamespace(offset=i)),
                outreach.Watch.FromString(watch.SerializeToString()),
            )
        self.minding.start()
        for watch in list(self.minding.watches.all()):
            self._say(self.minding.owed(watch, now_ms))
        for offset in range(self.committed, len(self.inputs)):
            self._decide(offset, now_ms, 1_000)

    def reads(self, decision: dedup.CaseDecision, now_ms: int = NOW, survive: int = 1_000) -> None:
        """`survive`: so many records reach Kafka, watches first; then the owner is dead."""
        self.inputs.append(decision)
        self._decide(len(self.inputs) - 1, now_ms, survive)
        if survive >= 1_000:
            self.committed = len(self.inputs)

    def passes(self, now_ms: int, survive: int = 1_000) -> None:
        watches, said = len(self.watches), len(self.said)
        for watch in self.minding.passed(now_ms):
            self._take(watch, now_ms)
        lost = max(0, len(self.watches) - watches + len(self.said) - said - survive)
        self._lose(watches, said, lost)

    def _decide(self, offset: int, now_ms: int, survive: int) -> None:
        decision, at = self.inputs[offset], common_pb2.Input(topic=CASES, offset=offset)
        watches, said = len(self.watches), len(self.said)
        asked = self.minding.asked(decision, at, now_ms)
        found = self.minding.watches
        watch = found.decide(decision, at, now_ms, answered=False, asked=asked)
        put_off = of_asks(watch or found.get(decision.case.case_id))
        drafts = self.messages.decide(self.rules, decision, at, now_ms, put_off)
        self._say(drafts)
        if watch is not None:
            self._take(watch, now_ms)
        lost = max(0, len(self.watches) - watches + len(self.said) - said - survive)
        self._lose(watches, said, lost)

    def _lose(self, watches: int, said: int, lost: int) -> None:
        for _ in range(lost):
            (self.said if len(self.said) > said else self.watches).pop()

    def _take(self, watch: outreach.Watch, now_ms: int) -> None:
        kept = outreach.Watch()
        kept.CopyFrom(watch)
        self.watches.append(kept)
        self.minding.take(watch)
        self._say(self.minding.owed(watch, now_ms))

    def _say(self, drafts: Iterable[Draft]) -> None:
        for draft in drafts:
            self.messages.take(draft.request)
            self.said.append(draft.request)

    def steps(self) -> list[str]:
        return [one.step.partition(":")[0] for one in self.said]


def met(name: str = "a", **given: object) -> Told:
    return Told(name, channel=SMS, **given)  # type: ignore[arg-type]


def opened_and_met(room: Room, name: str, now_ms: int = NOW, **given: object) -> Told:
    told = met(name, **given)
    room.reads(told.opened(), now_ms)
    room.reads(told.resolved(60), now_ms)
    return told


def test_a_question_how_it_was_waits_for_room_and_is_asked_once() -> None:
    room = Room()
    told = opened_and_met(room, "a")
    assert room.steps() == ["acknowledge"], "who is acknowledged does not call again"
    [ask] = room.watches[-1].asks
    assert (ask.playbook, ask.held_due_ms, ask.held_for) == ("satisfaction", NOW, "room for 0")
    assert ask.held_until_ms == NOW + 12 * HOUR
    room.passes(NOW + HOUR)
    assert room.steps() == ["acknowledge"]
    room.free = 60.0
    room.passes(NOW + 2 * HOUR)
    assert room.steps() == ["acknowledge", "satisfaction"]
    asked = room.said[-1]
    assert asked.expires_ms == NOW + 12 * HOUR, "as long as if it had not waited"
    assert asked.score_until_ms == NOW + 2 * HOUR + 72 * HOUR
    assert (asked.lane, asked.rule) == (common_pb2.LANE_BULK, "satisfaction@2")
    room.passes(NOW + 3 * HOUR)
    room.passes(NOW + 12 * HOUR)
    assert room.minding.watches.get(told.case.case_id) is None
    assert room.steps().count("satisfaction") == 1


def test_where_nobody_tells_how_full_agents_are_nothing_waits_and_nothing_is_stated() -> None:
    room = Room()
    room.free = None
    opened_and_met(room, "a")
    assert room.steps() == ["acknowledge", "satisfaction"]
    assert not [watch for watch in room.watches if watch.asks]


def test_what_finds_no_room_in_its_time_is_left_out() -> None:
    room = Room()
    told = opened_and_met(room, "a")
    room.passes(NOW + 12 * HOUR - 1)
    assert room.minding.watches.get(told.case.case_id) is not None
    room.free = 60.0
    room.passes(NOW + 12 * HOUR)
    assert room.steps() == ["acknowledge"]
    assert room.minding.watches.get(told.case.case_id) is None
    [said] = [one for one in why(room, told, NOW + 13 * HOUR) if one.playbook == "satisfaction@2"]
    assert any("left out when its time was over" in unmet for unmet in said.unmet)


def test_whose_need_comes_back_is_not_asked_how_it_was() -> None:
    room = Room()
    told = opened_and_met(room, "a")
    room.reads(told.reopened())
    assert not room.watches[-1].asks
    room.free = 60.0
    room.passes(NOW + HOUR)
    assert room.steps() == ["acknowledge"]
    room.reads(told.resolved(90), NOW + 2 * HOUR)
    assert room.steps() == ["acknowledge", "satisfaction"]


def test_who_waits_long_is_told_when_agents_have_room_and_then_as_usual() -> None:
    room, told = Room(), met()
    room.reads(told.opened())
    room.passes(NOW + 2 * HOUR)
    assert room.steps() == ["acknowledge"]
    [step] = room.watches[-1].steps
    assert (step.count, step.held_due_ms, step.held_until_ms) == (0, NOW + 2 * HOUR, NOW + 4 * HOUR)
    reasons = [one for one in why(room, told, NOW + 3 * HOUR) if one.playbook.startswith("waiting")]
    assert "put off since 60 min until agents have room" in " ".join(reasons[0].unmet)
    assert "(room for 0); left out in 60 min" in " ".join(reasons[0].unmet)
    room.free = 60.0
    room.passes(NOW + 3 * HOUR)
    assert room.said[-1].step == f"waiting-status:{NOW}:1"
    assert room.said[-1].expires_ms == NOW + 4 * HOUR
    room.free = 0.0
    room.passes(NOW + 11 * HOUR)
    room.passes(NOW + 13 * HOUR)
    [step] = room.watches[-1].steps
    assert (step.count, step.lapsed, step.held_due_ms) == (2, True, 0)
    assert len(room.said) == 2, "the second was left out"
    room.free = 60.0
    room.passes(NOW + 21 * HOUR)
    assert room.said[-1].step == f"waiting-status:{NOW}:3"


def test_who_is_answered_meanwhile_is_told_nothing() -> None:
    room, told = Room(), met()
    room.reads(told.opened())
    room.passes(NOW + 2 * HOUR)
    room.reads(told.answered(3_000), NOW + 2 * HOUR)
    room.free = 60.0
    room.passes(NOW + 3 * HOUR)
    assert room.steps() == ["acknowledge"]
    assert not any(step.held_due_ms for step in room.watches[-1].steps)


def test_who_waits_longest_goes_first_at_the_pace_of_the_room_and_drills_are_apart() -> None:
    room = Room()
    for i in range(300):
        opened_and_met(room, f"p{i}", NOW + i)
    # 6 calls a minute, and 3 in 100 call back: 200 a minute.
    room.free = 6.0
    for second in range(1, 61):
        room.passes(NOW + second * SEC)
    asked = [one.case_id for one in room.said if one.step == "satisfaction"]
    assert len(asked) == pytest.approx(200, abs=3)
    order = [one.case_id for one in room.said if one.step == "acknowledge"]
    assert asked == order[: len(asked)]
    late = opened_and_met(room, "late", NOW + 61 * SEC)
    assert late.case.case_id not in {
        one.case_id for one in room.said if one.step == "satisfaction"
    }, "others wait already"
    drill = Easing(lambda of_drill: None if of_drill else 0.0)
    assert drill.why_not(0.03, True, NOW) == ""
    assert drill.why_not(0.03, False, NOW) != ""


def test_only_what_brings_calls_back_may_wait_and_never_where_a_life_is_in_danger() -> None:
    shipped = shelf.read(None).rules
    assert {rule.name for rule in shipped if rule.brings(False)} == {
        "satisfaction",
        "waiting-status",
    }
    assert not any(rule.brings(True) for rule in shipped)


WRONG = """
centre: {ar: م, en: c}
rules:
  - name: first
    version: 1
    when: {event: %s}
    message:
      expires: 1h
      calls-back: %s
      texts: {ar: "{centre} {case_number}", en: "{centre} {case_number}"}
"""


@pytest.mark.parametrize(
    ("event", "says", "told"),
    [
        ("case-opened", '{share: 0.1, source: "x"}', "does not go with case-opened"),
        ("case-resolved", '{share: 1.1, source: "x"}', "line 9.*share: must be a share"),
        ("case-resolved", "{share: 0.1}", "source: is missing"),
        ("case-resolved", '{share: 0.1, source: ""}', "must say in 1 to 200"),
    ],
)
def test_a_share_is_refused_that_nobody_can_follow(event: str, says: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        parse(WRONG % (event, says), "rules.yaml")


def test_what_says_nothing_takes_the_centres_share() -> None:
    text = WRONG % ("case-resolved", '{share: 0.1, source: "measured"}')
    [own] = parse(text, "rules.yaml")
    assert own.brings(False) == 0.1
    usual = text.replace('      calls-back: {share: 0.1, source: "measured"}\n', "")
    assert parse(usual, "rules.yaml")[0].brings(False) == 0.0
    centre = 'calls-back: {share: 0.2, source: "ours"}' + usual
    assert parse(centre, "rules.yaml")[0].brings(False) == 0.2


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_owners_that_die_anywhere_ask_nobody_twice_and_forget_nobody(data: st.DataObject) -> None:
    room, now = Room(), NOW
    people: list[Told] = []
    for _ in range(data.draw(st.integers(1, 12))):
        now += data.draw(st.integers(1, 60)) * MIN
        what = data.draw(st.sampled_from(("new", "met", "passes", "room", "none", "over")))
        survive = data.draw(st.sampled_from((1_000, 1_000, 0, 1, 2)))
        open_ones = [one for one in people if one.case.state == dedup.CASE_STATE_OPEN]
        if what == "new":
            people.append(met(f"p{len(people)}"))
            room.reads(people[-1].opened(), now, survive)
        elif what == "met" and open_ones:
            room.reads(open_ones[0].resolved(60), now, survive)
        elif what in ("room", "none"):
            room.free = 600.0 if what == "room" else 0.0
            continue
        elif what == "passes":
            room.passes(now, survive)
        if survive < 1_000 or what == "over":
            room.takes_over(now)
            room.committed = len(room.inputs)
    # Within the time of all of them.
    room.free = 6_000.0
    room.takes_over(now)
    room.passes(now + SEC)
    room.passes(now + 2 * SEC)
    asked = [one.case_id for one in room.said if one.step == "satisfaction"]
    assert len(asked) == len(set(asked))
    ids = [one.message_id for one in room.said]
    assert len(ids) == len(set(ids))
    assert set(asked) == {
        one.case.case_id for one in people if one.case.state == dedup.CASE_STATE_RESOLVED
    }


def why(room: Room, told: Told, now_ms: int) -> list[Explanation]:
    watch = room.minding.watches.get(told.case.case_id)
    return explained(room.rules, told.case, room.messages, None, watch, now_ms)
