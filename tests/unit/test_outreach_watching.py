"""Who waits too long is told, and a person takes what is dangerous: also by owners that die."""

import contextlib
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2 as dedup
from mawja.outreach.v1 import commands_pb2
from mawja.outreach.v1 import events_pb2 as outreach
from mawja.outreach.v1.playbooks_pb2 import ExplainCaseRequest
from typer.testing import CliRunner

from services.outreach import shelf
from services.outreach.decide import Messages
from services.outreach.explaining import explained
from services.outreach.playbook_server import key_of
from services.outreach.playing import differs
from services.outreach.watching import CONFIRMED, OPEN, OVER, Watches, watched
from services.outreach.working import Refused
from services.runtime import ids, knowledge_file
from services.runtime.errors import Invalid
from services.tools.__main__ import app
from tests.outreach_told import CASES, NOW, SHIPPED, Told

HOUR, MIN = 3_600_000, 60_000
SMS, VOICE = common_pb2.CHANNEL_SMS, common_pb2.CHANNEL_VOICE
KNOWN = knowledge_file.read(None)
# Without hours, so that times are round.
RULES = [
    replace(rule, limits=replace(rule.limits, hours=None) if rule.limits else None)
    for rule in SHIPPED
]


class Room:
    """An owner's watches and messages, their logs in Kafka, and what an owner that died left."""

    def __init__(self) -> None:
        self.inputs: list[dedup.CaseDecision] = []
        self.log: list[outreach.Watch] = []
        self.messages_log: list[outreach.MessageRequested] = []
        self.followed = 0
        self.takes_over()

    def takes_over(self, torn: bool = False) -> None:
        """`torn`: the last watch reached Kafka, and the messages that follow from it did not."""
        if torn:
            del self.messages_log[len(self.messages_log) - self.followed :]
        self.followed = 0
        self.watches, self.messages = Watches(RULES), Messages(rules=RULES)
        for watch in self.log:
            self.watches.take(outreach.Watch.FromString(watch.SerializeToString()))
        for request in self.messages_log:
            self.messages.take(request)
        for watch in list(self.watches.all()):
            self._tell(watch, NOW)

    def reads(self, decision: dedup.CaseDecision, now_ms: int = NOW) -> None:
        self.inputs.append(decision)
        self.reads_again(len(self.inputs) - 1, now_ms)

    def reads_again(self, offset: int, now_ms: int = NOW) -> None:
        at = common_pb2.Input(topic=CASES, offset=offset)
        watch = self.watches.decide(self.inputs[offset], at, now_ms, answered=False)
        if watch is not None:
            self._took(watch, now_ms)

    def passes(self, now_ms: int) -> None:
        while True:
            due = [w for w in self.watches.all() if 0 < self.watches.wakes_ms(w) <= now_ms]
            if not due:
                return
            at_ms = self.watches.wakes_ms(due[0])
            changed = self.watches.passed(due[0].case_id, self.messages.withheld, at_ms)
            assert changed is not None
            self._took(changed, at_ms)

    def confirms(self, told: Told, who: str = "amal", now_ms: int = NOW, name: str = "c") -> None:
        command = commands_pb2.OutreachCommand(case_id=told.case.case_id)
        command.envelope.command_id, command.envelope.subject = name, who
        command.confirm.SetInParent()
        at = common_pb2.Input(topic="commands", offset=len(self.log))
        watch = self.watches.obey(command, at, now_ms)
        if watch is not None:
            self._took(watch, now_ms)

    def _took(self, watch: outreach.Watch, now_ms: int) -> None:
        self.log.append(watch)
        self.watches.take(watch)
        before = len(self.messages_log)
        self._tell(watch, now_ms)
        self.followed = len(self.messages_log) - before

    def _tell(self, watch: outreach.Watch, now_ms: int) -> None:
        for draft in self.watches.owed(watch, now_ms):
            if not self.messages.said(draft.request.message_id):
                self.messages.take(draft.request)
                self.messages_log.append(draft.request)

    @property
    def steps(self) -> list[str]:
        return [request.step for request in self.messages_log]


def in_danger(**given: object) -> Told:
    told = Told(**given)  # type: ignore[arg-type]
    told.case.life_safety = True
    return told


def test_who_waits_is_told_until_it_is_dealt_with() -> None:
    room, told = Room(), Told(channel=SMS)
    room.reads(told.opened())
    room.passes(NOW + 2 * HOUR - 1)
    assert not room.steps
    room.passes(NOW + 2 * HOUR)
    assert room.steps == [f"waiting-status:{NOW}:1"]
    room.passes(NOW + 10 * HOUR)
    room.reads(told.resolved(60 * 600), NOW + 11 * HOUR)
    room.passes(NOW + 100 * HOUR)
    assert [step.rpartition(":")[2] for step in room.steps] == ["1", "2"]
    assert not list(room.watches.all())
    # Who comes back waits anew.
    told.case.state, told.case.resolved_ms = dedup.CASE_STATE_OPEN, 0
    again = told.told(dedup.CASE_CHANGE_LINKED)
    again.decided_ms = NOW + 12 * HOUR
    room.reads(again, NOW + 12 * HOUR)
    room.passes(NOW + 14 * HOUR)
    assert room.steps[2] == f"waiting-status:{NOW + 12 * HOUR}:1"


def test_a_person_gets_no_more_than_the_limit_of_them() -> None:
    room = Room()
    cases = [Told(name, channel=SMS) for name in "abcdef"]
    for told in cases:
        told.case.person = b"p" * 16
        room.reads(told.opened())
    room.passes(NOW + 3 * HOUR)
    assert len(room.steps) == 3
    withheld = [step.withheld for watch in room.watches.all() for step in watch.steps]
    assert sorted(withheld) == [False] * 3 + [True] * 3


def test_a_score_is_no_waiting_and_a_no_is() -> None:
    room, told = Room(), Told(channel=SMS)
    told.case.state = dedup.CASE_STATE_RESOLVED
    score = told.told(dedup.CASE_CHANGE_LINKED)
    score.score = 4
    room.reads(score)
    assert not list(room.watches.all())
    told.case.state = dedup.CASE_STATE_OPEN
    denied = told.told(dedup.CASE_CHANGE_LINKED)
    denied.denied = True
    room.reads(denied)
    assert [watch.waiting_since_ms for watch in room.watches.all()] == [NOW]


def test_records_and_exercises_are_not_watched() -> None:
    room, recorded, exercise = Room(), in_danger(name="r"), in_danger(name="e")
    recorded.case.recorded = True
    exercise.case.exercise.SetInParent()
    room.reads(recorded.opened())
    room.reads(exercise.opened())
    assert not room.log


def test_the_next_one_is_told_until_someone_confirms() -> None:
    room, told = Room(), in_danger(line=common_pb2.LINE_UNSPECIFIED)
    room.reads(told.opened())
    to = [room.log[-1].hand_over.told_to]
    for minute in range(2, 10, 2):
        room.passes(NOW + minute * MIN)
        to.append(room.log[-1].hand_over.told_to)
    assert to == ["duty-supervisor", "shift-manager", *["head-of-centre"] * 3]
    room.confirms(told, "amal", NOW + 9 * MIN)
    room.confirms(told, "amal", NOW + 9 * MIN)
    handed = room.log[-1].hand_over
    assert (handed.state, handed.confirmed_by, handed.next_ms) == (CONFIRMED, "amal", 0)
    room.passes(NOW + HOUR)
    # The same person again, in the same danger: somebody has it.
    room.reads(told.told(dedup.CASE_CHANGE_LINKED), NOW + HOUR)
    with pytest.raises(Refused, match="nothing is handed over"):
        room.confirms(told, "badr", NOW + HOUR, "other")
    assert [watch.hand_over.state for watch in room.log].count(CONFIRMED) == 1
    room.reads(told.resolved(4000), NOW + 2 * HOUR)
    assert room.log[-1].hand_over.state == OVER
    assert not list(room.watches.all())


def test_an_agent_who_takes_the_case_or_speaks_with_them_has_it() -> None:
    room, taken, spoken = Room(), in_danger(name="t"), in_danger(name="s")
    room.reads(taken.opened())
    room.reads(spoken.opened())
    taken.case.assignee = "badr"
    room.reads(taken.told(dedup.CASE_CHANGE_ASSIGNED))
    assert room.log[-1].hand_over.confirmed_by == "badr"
    room.reads(spoken.answered(30))
    assert room.log[-1].hand_over.state == OVER
    logged = len(room.log)
    room.passes(NOW + HOUR)
    assert len(room.log) == logged


def test_everybody_is_told_once_of_a_rehearsal() -> None:
    room, told = Room(), in_danger(drill=True)
    room.reads(told.opened())
    room.passes(NOW + 24 * HOUR)
    assert [watch.hand_over.told for watch in room.log] == [1, 2, 3]
    assert room.log[-1].drill
    assert room.log[-1].hand_over.state == OPEN


def test_a_merge_ends_the_waiting_and_no_hand_over() -> None:
    room, told, stays = Room(), in_danger(name="m", channel=SMS), Told("stays", channel=SMS)
    room.reads(told.opened())
    merged = stays.told(dedup.CASE_CHANGE_MERGED)
    told.case.state = dedup.CASE_STATE_MERGED
    merged.other.CopyFrom(told.case)
    room.reads(merged)
    room.passes(NOW + 3 * MIN)
    assert room.log[-1].hand_over.told == 2


DEEDS = st.lists(
    st.tuples(
        st.sampled_from(["opened", "linked", "answered", "resolved", "confirms", "dies", "again"]),
        st.integers(0, 2),
        st.integers(0, 200),
    ),
    max_size=25,
)


@given(DEEDS, st.booleans())
@settings(max_examples=150, deadline=None)
def test_owners_that_die_say_nothing_twice_and_forget_nobody(
    deeds: list[tuple[str, int, int]], danger: bool
) -> None:
    calm, shaken = Room(), Room()
    for room in (calm, shaken):
        people = [Told(name, channel=SMS) for name in "abc"]
        now = NOW
        for what, which, minutes in deeds:
            now += minutes * MIN
            room.passes(now)
            told = people[which]
            told.case.life_safety = danger and which == 0
            match what:
                case "opened" | "linked":
                    change = dedup.CASE_CHANGE_OPENED
                    if what == "linked":
                        change = dedup.CASE_CHANGE_LINKED
                    told.case.state, told.case.resolved_ms = dedup.CASE_STATE_OPEN, 0
                    decision = told.told(change)
                    decision.decided_ms = now
                    room.reads(decision, now)
                case "answered":
                    room.reads(told.answered((now - NOW) // 1000), now)
                case "resolved":
                    room.reads(told.resolved((now - NOW) // 1000 + 1), now)
                case "confirms":
                    with contextlib.suppress(Refused):
                        room.confirms(told, now_ms=now, name=f"c{now}")
                case "dies" if room is shaken:
                    room.takes_over(torn=which == 2)
                case "again" if room is shaken:
                    room.takes_over()
                    for offset in range(len(room.inputs)):
                        room.reads_again(offset, now)
                case _:
                    pass
    assert calm.steps == shaken.steps
    ids_said = [request.message_id for request in shaken.messages_log]
    assert len(set(ids_said)) == len(ids_said)
    assert [w.SerializeToString() for w in calm.log] == [w.SerializeToString() for w in shaken.log]
    assert all(watched(watch) for watch in shaken.watches.all())


# Why.


def why(told: Told, room: Room | None = None) -> dict[str, tuple[list[str], str]]:
    room = room or Room()
    watch = room.watches.get(told.case.case_id)
    found = explained(RULES, told.case, room.messages, None, watch, NOW + HOUR)
    return {
        one.playbook.partition("@")[0]: (
            [f"{deed.what} {deed.step}" for deed in one.deeds],
            "; ".join(one.unmet),
        )
        for one in found
    }


def test_each_condition_and_what_the_log_says_is_explained() -> None:
    room, told = Room(), in_danger(channel=VOICE, line=common_pb2.LINE_FIXED)
    room.reads(told.opened())
    found = why(told, room)
    assert found["life-safety"] == (["hand-over waits for somebody to confirm"], "")
    assert "voice, not sms" in found["acknowledge"][1]
    assert "no mobile one" in found["acknowledge"][1]
    assert "hung up" in found["callback-offer"][1]
    assert "not resolved" in found["satisfaction"][1]
    assert "a life is in danger" in found["satisfaction"][1]
    assert "owed a call" in found["callback-moved"][1]
    assert "many people" in found["busy-line"][1]
    assert "knowledge file" in found["answer"][1]


def test_what_was_said_needs_no_reason() -> None:
    room, told = Room(), Told(channel=SMS)
    room.reads(told.opened())
    at = common_pb2.Input(topic=CASES, offset=0)
    for draft in room.messages.decide(RULES, told.opened(), at, NOW):
        room.messages.take(draft.request)
    room.passes(NOW + 2 * HOUR)
    found = why(told, room)
    assert found["acknowledge"] == (["message acknowledge"], "")
    deeds, unmet = found["waiting-status"]
    assert deeds == [f"message waiting-status:{NOW}:1"]
    assert "3 times in all" in unmet


def test_what_is_known_of_a_case_without_a_number_stands_where_its_contact_does() -> None:
    contact_id = ids.contact_id("hotline", "hidden")
    told = in_danger(name=contact_id, line=common_pb2.LINE_UNSPECIFIED)
    request = ExplainCaseRequest(case=told.case, contact_id=contact_id)
    assert key_of(request) == UUID(contact_id).bytes
    assert key_of(request) != UUID(told.case.case_id).bytes, "the case's own id says nothing of it"
    known = ExplainCaseRequest(case=in_danger().case, contact_id=contact_id)
    assert key_of(known) == in_danger().case.person
    with pytest.raises(Invalid, match="person"):
        key_of(ExplainCaseRequest(case=dedup.Case(person=b"short")))


# Scenes.


def test_the_scenes_of_the_shipped_playbooks_are_played_and_can_fail() -> None:
    books = shelf.read(None)
    scenes = 0
    for playbook in books.playbooks:
        for scene in playbook.scenes:
            scenes += 1
            rule, calling = playbook.rule, books.shared.calling
            assert not differs(rule.name, scene, books.rules, calling, KNOWN)
            others = [one for one in books.rules if one.name != rule.name]
            if scene.expect:
                assert differs(rule.name, scene, others, calling, KNOWN)
                assert differs(rule.name, replace(scene, expect=()), books.rules, calling, KNOWN)
    assert scenes >= 15


def test_a_scene_that_fails_is_told_with_its_line(tmp_path: Path) -> None:
    place = Path(shelf.__file__).parent / "playbooks"
    for name in ("centre.yaml", "life-safety.yaml"):
        (tmp_path / name).write_text((place / name).read_text("utf-8"), "utf-8")
    wrong = (tmp_path / "life-safety.yaml").read_text("utf-8").replace("every: 2m", "every: 3m")
    (tmp_path / "life-safety.yaml").write_text(wrong, "utf-8")
    found = CliRunner().invoke(app, ["playbook", "check", str(tmp_path)])
    assert found.exit_code == 1
    line = wrong[: wrong.index("the next one is told until")].count("\n") + 1
    told = f"life-safety.yaml: line {line}, tests: the next one is told until someone confirms: "
    assert f"{told}hand-over for case a at 120s, shift-manager is expected" in found.output
    assert f"{told}hand-over for case a at 180s, shift-manager is done" in found.output


EVENTS = """\
at,event,case,channel,language,life-safety
2026-11-22T10:00:00+04:00,contact,a,sms,ar,
2026-11-22T10:00:05+04:00,contact,b,voice,en,true
2026-11-22T10:01:05+04:00,abandoned,b,voice,en,
2026-11-22T10:03:05+04:00,confirmed,b,,,
1795330000000,contact,c,sms,ar,
"""


def test_a_replay_counts_what_would_be_done_and_sends_nothing(tmp_path: Path) -> None:
    file = tmp_path / "events.csv"
    file.write_text(EVENTS, "utf-8")
    found = CliRunner().invoke(app, ["playbook", "replay", str(file), "--each"])
    assert found.exit_code == 0, found.output
    assert "2026-11-22 10:02:05  life-safety  hand-over  b  shift-manager" in found.output
    assert "5 events were played" in found.output
    lines = tmp_path / "events.jsonl"
    lines.write_text('{"at": 1795330000000, "event": "contact", "life-safety": true}\n\n', "utf-8")
    found = CliRunner().invoke(app, ["playbook", "replay", str(lines), "--json"])
    assert '"events": 1' in found.output
    assert '"count": 3' in found.output
    lines.write_text('{"at": "noon", "event": "dance"}\n[]\n', "utf-8")
    found = CliRunner().invoke(app, ["playbook", "replay", str(lines)])
    assert found.exit_code == 1
    assert "line 1, at: must be a time" in found.output
    assert "line 1, event: must be contact" in found.output
    assert "line 2: is no JSON object" in found.output
