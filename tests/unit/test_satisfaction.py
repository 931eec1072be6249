"""How well people were served: asked once a case is resolved, answered by one figure, which is no
need of its own; "no" opens the case again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2
from mawja.outreach.v1 import events_pb2 as outreach

from services.dedup.answers import DENIED, answer
from services.dedup.reading import Reading
from services.outreach import requests
from services.tools.scorecards.calls import Calls
from services.tools.scorecards.figures import card
from services.tools.scorecards.grouping import By, grouping
from tests.dedup_desk import ALI, DAY, HOUR, MIN, MONA, NOW, Desk, snapshot
from tests.outreach_told import SHIPPED, Logs, Told
from tests.unit.test_tools_service_scorecard import DUBAI, served

SMS = common_pb2.CHANNEL_SMS
LINKED = events_pb2.CASE_CHANGE_LINKED
RESOLVED, OPEN = events_pb2.CASE_STATE_RESOLVED, events_pb2.CASE_STATE_OPEN


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("1", 1),
        (" 5. ", 5),
        ("٤", 4),
        ("۳", 3),
        ("२", 2),
        ("\u200f5\u200f", 5),
        ("لا", DENIED),
        ("لا.", DENIED),
        ("NO", DENIED),
        ("No!", DENIED),
        ("नहीं", DENIED),
        ("نہیں", DENIED),
        ("না", DENIED),
        ("ഇല്ല", DENIED),
        ("Hindi", DENIED),
        ("0", 0),
        ("6", 0),
        ("55", 0),
        ("", 0),
        ("3 weeks", 0),
        ("no water", 0),
        ("لا يوجد ماء", 0),
    ],
)
def test_a_reply_is_one_figure_or_a_no_in_any_script(text: str, means: int) -> None:
    assert answer(text) == means


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    assert answer(text) in range(DENIED, 6)


class Asked(Desk):
    """A case that was resolved at 10 min by a call of 109, and asked about until 3 days later."""

    def __init__(self) -> None:
        super().__init__()
        self.case_id = self.contact("call", line="109").case.case_id
        served(self, "call", 0, 5, 100, good=True)
        self.answer = self.command(
            "ask", self.case_id, 10 * MIN, ask_score=events_pb2.AskScore(until_ms=NOW + 3 * DAY)
        )

    def replies(
        self, reply: int, at_ms: int = HOUR, name: str = "", **given: object
    ) -> events_pb2.CaseDecision:
        fields = {"line": "sms", "agency": "", "channel": SMS, "person": ALI, **given}
        contact = self._contact(name or f"reply-{at_ms}", at_ms, fields)
        reading = Reading(reply=reply, choice=reply if reply in (1, 2) else 0)
        return self._took(self.cases.contact(contact, reading, self._at("contact"), NOW))


def test_a_figure_is_the_answer_and_no_need() -> None:
    desk = Asked()
    assert desk.answer.change == events_pb2.CASE_CHANGE_ASKED
    before = desk.total("first_contact_resolved")
    decision = desk.replies(4)
    assert (decision.change, decision.score, decision.denied) == (LINKED, 4, False)
    assert decision.case.case_id == desk.case_id
    assert (decision.case.state, decision.case.score) == (RESOLVED, 4)
    assert "says how well" in decision.link.reason
    assert desk.total("first_contact_resolved") == before == 1
    # Said again, the last one counts.
    assert desk.replies(5, 2 * HOUR).case.score == 5
    assert snapshot(desk.folded()) == snapshot(desk.cases)


def test_a_no_opens_the_case_again() -> None:
    desk = Asked()
    decision = desk.replies(DENIED)
    assert (decision.change, decision.score, decision.denied) == (LINKED, 0, True)
    assert (decision.case.state, decision.case.score_until_ms) == (OPEN, 0)
    assert decision.case.case_id == desk.case_id
    assert desk.total("first_contact_resolved") == 0
    # Nothing is asked any more.
    assert not desk.replies(4, 2 * HOUR).score
    assert snapshot(desk.folded()) == snapshot(desk.cases)


@pytest.mark.parametrize(
    "given",
    [
        {"person": MONA},
        {"at_ms": 3 * DAY + 1},
        {"at_ms": 10 * MIN - 1},
        {"life_safety": True},
        {"drill": True},
        {"person": b""},
    ],
)
def test_only_who_was_asked_in_time_answers(given: dict[str, object]) -> None:
    decision = Asked().replies(4, **given)  # type: ignore[arg-type]
    assert (decision.score, decision.denied) == (0, False)


def test_nothing_is_an_answer_where_nobody_was_asked() -> None:
    desk = Asked()
    other = desk.contact("mona", person=MONA)
    assert not desk.replies(4, person=MONA).score
    refused = desk.command(
        "early", other.case.case_id, 0, ask_score=events_pb2.AskScore(until_ms=1)
    )
    assert refused.change == events_pb2.CASE_CHANGE_REFUSED


def test_a_later_question_which_was_meant_is_answered_first() -> None:
    desk = Asked()
    triage = events_pb2.Triage(question="one", next_question="two", question_confidence=0.8)
    contact = desk._contact("asks", 30 * MIN, {"person": ALI, "agency": "police", "channel": SMS})
    desk._took(desk.cases.contact(contact, Reading(triage=triage), desk._at("contact"), NOW))
    assert not desk.replies(2).score
    # Three was no choice.
    assert desk.replies(3, 2 * HOUR).score == 3


def test_the_scorecard_shows_it_by_everything() -> None:
    desk = Asked()
    desk.replies(2)
    desk.replies(4, 2 * HOUR)
    calls = Calls()
    for decision in desk.log:
        calls.take(decision)
    whole = card(calls).whole
    found = whole.figures()
    assert (found["satisfaction"], found["scores"]) == (4.0, 1)
    # To say how well it went is no need, and not that it came back.
    assert (found["needs"], found["first_contact_resolved_share"], found["contacts"]) == (1, 1.0, 3)
    keys: dict[By, object] = {"line": "109", "agency": "health", "language": ""}
    for by, key in keys.items():
        assert card(calls, grouping(by, DUBAI)).groups[key].scores == 1
    hour = NOW + 2 * HOUR - (NOW + 2 * HOUR) % HOUR
    assert card(calls, grouping("hour", DUBAI)).groups[hour].score_sum == 4
    later = card(calls, None, NOW + HOUR).whole
    assert (later.scores, later.needs) == (1, 0)
    assert card(calls, None, NOW + 3 * HOUR).whole.scores == 0


# What outreach does.


def run(*inputs: events_pb2.CaseDecision) -> Logs:
    return Logs().run(inputs, rules=SHIPPED)


def test_a_resolved_case_is_asked_about_once() -> None:
    told = Told(channel=SMS)
    logs = run(told.opened(), told.resolved(60), told.reopened(), told.resolved(90))
    [_, asked] = logs.messages
    assert asked.step == "satisfaction"
    assert asked.lane == common_pb2.LANE_BULK
    rule = next(rule for rule in SHIPPED if rule.name == "satisfaction")
    assert asked.score_until_ms == asked.requested_ms + rule.score_ms
    command = requests.of_message(asked)
    assert command is not None
    assert command == requests.of_message(asked)
    assert (command.case_id, command.ask_score.until_ms) == (asked.case_id, asked.score_until_ms)
    assert requests.of_message(logs.messages[0]) is None


def test_nobody_is_asked_twice_in_a_week() -> None:
    first, second = Told("ali", channel=SMS), Told("ali-2", channel=SMS)
    second.case.person = first.case.person
    logs = run(first.opened(), first.resolved(60), second.opened(), second.resolved(60))
    assert logs.steps() == ["acknowledge", "satisfaction", "acknowledge"]
    # A new owner finds the same.
    again = Logs(messages=logs.messages[:2]).run(
        [first.opened(), first.resolved(60), second.opened(), second.resolved(60)], rules=SHIPPED
    )
    assert again.steps() == logs.steps()


def test_a_completed_callback_resolves_its_case() -> None:
    callback = outreach.Callback(
        callback_id="c",
        case_id="k",
        state=outreach.CALLBACK_STATE_COMPLETED,
        outcome=outreach.CALLBACK_OUTCOME_RESOLVED,
        claimed_by="amal",
        decided_ms=NOW,
    )
    command = requests.of_callback(callback)
    assert command is not None
    assert command == requests.of_callback(callback)
    assert (command.case_id, command.envelope.subject) == ("k", "amal")
    assert command.WhichOneof("action") == "resolve"
    callback.outcome = outreach.CALLBACK_OUTCOME_NEEDS_MORE
    assert requests.of_callback(callback) is None
    callback.state = outreach.CALLBACK_STATE_GIVEN_UP
    assert requests.of_callback(callback) is None
