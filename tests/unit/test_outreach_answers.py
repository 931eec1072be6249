"""Which questions outreach answers by itself, what it asks back, and when it leaves both alone."""

from collections.abc import Callable

import pytest
from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2 as dedup

from services.broadcast.segments import split
from services.outreach.decide import Draft, Messages
from services.outreach.rules import Message, Rule
from services.runtime import ids, knowledge_file
from services.runtime.knowledge import Knowledge
from tests.outreach_answers import DAY_MS, asks, knowledge, texter
from tests.outreach_told import NOW, RULES, T0, Logs

NUMBER = ids.case_number(ids.case_id("a"))


def decide(
    decision: dedup.CaseDecision, known: Knowledge | None = None, now_ms: int = NOW
) -> list[Draft]:
    messages = Messages(known or knowledge())
    return messages.decide(RULES, decision, common_pb2.Input(offset=3), now_ms)


def steps(drafts: list[Draft]) -> list[str]:
    return [draft.request.step for draft in drafts]


def test_a_sure_question_gets_its_answer_in_place_of_the_acknowledgement() -> None:
    case = texter(drill=True)
    [draft] = decide(asks(case.opened()), knowledge(version=3))
    request = draft.request
    assert request.message_id == ids.message_id(case.case.case_id, "answer:roads")
    assert (request.step, request.rule) == ("answer:roads", "answer@1 roads@3")
    assert (request.lane, request.language) == (common_pb2.LANE_NORMAL, "en")
    assert request.agency == "roads-agency"
    assert (request.requested_ms, request.accepted_ms) == (NOW, T0 + 7)
    assert request.expires_ms == NOW + 3_600_000
    assert request.drill
    assert "answer roads\n" in draft.text
    assert case.case.case_number in draft.text
    assert "Automatic answer" in draft.text
    assert "a person will answer" in draft.text


def test_a_question_in_a_later_contact_is_answered_too() -> None:
    case = texter()
    later = asks(case.told(dedup.CASE_CHANGE_LINKED))
    [draft] = decide(later)
    assert draft.request.step == "answer:roads"
    assert draft.request.accepted_ms == later.decided_ms


def test_one_answer_of_an_entry_for_a_case_ever_and_another_of_another() -> None:
    case = texter()
    again = [asks(case.told(dedup.CASE_CHANGE_LINKED)) for _ in range(3)]
    other = asks(case.told(dedup.CASE_CHANGE_LINKED), "sandbags")
    logs = Logs(known=knowledge()).run([asks(case.opened()), *again, other, *again])
    assert logs.steps() == ["answer:roads", "answer:sandbags"]


@pytest.mark.parametrize(
    ("confidence", "following", "next_confidence", "step"),
    [
        (0.8, "", 0.0, "answer:roads"),
        (0.79, "", 0.0, "acknowledge"),
        (0.95, "shelters", 0.7, "answer:roads"),
        (0.95, "shelters", 0.8, "clarify"),
        (0.6, "shelters", 0.5, "clarify"),
        (0.49, "shelters", 0.48, "acknowledge"),
        (0.95, "nobody-knows", 0.94, "acknowledge"),
    ],
)
def test_how_sure_is_sure(
    confidence: float, following: str, next_confidence: float, step: str
) -> None:
    asked = asks(texter().opened(), "roads", confidence, following, next_confidence)
    assert steps(decide(asked)) == [step]


def test_the_clarifying_question_names_both_and_is_asked_once() -> None:
    case = texter()
    unclear = asks(case.opened(), "roads", 0.7, "shelters", 0.65, language="tl")
    [draft] = decide(unclear)
    assert (draft.request.step, draft.request.language) == ("clarify", "tl")
    assert draft.request.rule == "clarify@1 roads@1 shelters@4"
    assert draft.request.agency == "moh"
    assert "1 tungkol sa roads\n2 tungkol sa shelters\n" in draft.text
    assert "Awtomatikong" in draft.text
    again = asks(case.told(dedup.CASE_CHANGE_LINKED), "sandbags", 0.7, "roads", 0.65)
    then = asks(case.told(dedup.CASE_CHANGE_LINKED), "roads", 0.95)
    logs = Logs(known=knowledge()).run([unclear, again, then])
    assert logs.steps() == ["clarify", "answer:roads"]


@pytest.mark.parametrize(
    "known",
    [
        knowledge(valid_from_ms=NOW - 2 * DAY_MS, valid_until_ms=NOW),
        knowledge(valid_from_ms=NOW + 1, valid_until_ms=NOW + DAY_MS),
        knowledge(approval=""),
        knowledge(approval="approver: staff-7, approved_on: 2060-01-01,"),
    ],
    ids=["over", "not yet", "draft", "approved later"],
)
def test_what_is_out_of_date_or_not_approved_is_never_sent(known: Knowledge) -> None:
    opened = texter().opened()
    assert steps(decide(asks(opened), known)) == ["acknowledge"]
    for following in ("roads", "shelters"):
        first = "roads" if following == "shelters" else "shelters"
        assert steps(decide(asks(opened, first, 0.9, following, 0.85), known)) == ["acknowledge"]
    assert steps(decide(asks(opened, "shelters"), known)) == ["answer:shelters"]


def test_no_answer_is_sent_after_its_time() -> None:
    known = knowledge(valid_until_ms=NOW + 60_000)
    [draft] = decide(asks(texter().opened()), known)
    assert draft.request.expires_ms == NOW + 60_000
    unclear = asks(texter().opened(), "shelters", 0.7, "roads", 0.6)
    [draft] = decide(unclear, known)
    assert draft.request.expires_ms == NOW + 60_000


def test_what_waited_here_is_judged_by_the_time_at_which_it_would_be_sent() -> None:
    known = knowledge(valid_until_ms=NOW + 60_000)
    assert steps(decide(asks(texter().opened()), known, NOW + 60_000)) == ["acknowledge"]


def case_in_danger(decision: dedup.CaseDecision) -> None:
    decision.case.life_safety = True


def text_in_danger(decision: dedup.CaseDecision) -> None:
    decision.triage.life_safety = True


def earlier_text_in_danger(decision: dedup.CaseDecision) -> None:
    decision.case.triage.life_safety = True


@pytest.mark.parametrize("danger", [case_in_danger, text_in_danger, earlier_text_in_danger])
def test_a_life_in_danger_is_never_answered_by_itself(
    danger: Callable[[dedup.CaseDecision], None],
) -> None:
    for asked in (asks(texter().opened()), asks(texter().opened(), "roads", 0.7, "shelters", 0.7)):
        danger(asked)
        assert steps(decide(asked)) == ["acknowledge"]


def test_examples_answer_rehearsals_only() -> None:
    known = knowledge(examples=True)
    assert steps(decide(asks(texter().opened()), known)) == ["acknowledge"]
    assert steps(decide(asks(texter(drill=True).opened()), known)) == ["answer:roads"]


def test_the_shipped_file_answers_nobody_but_in_a_rehearsal() -> None:
    known = knowledge_file.read()
    asked = asks(texter().opened(), "schools-tomorrow", 1.0)
    assert steps(decide(asked, known)) == ["acknowledge"]


@pytest.mark.parametrize("line", [common_pb2.LINE_FIXED, common_pb2.LINE_UNSPECIFIED])
def test_no_answer_without_a_mobile_number(line: int) -> None:
    assert decide(asks(texter(line=line).opened())) == []


def test_a_call_gets_no_answer_by_sms() -> None:
    asked = asks(texter().told(dedup.CASE_CHANGE_LINKED), channel=common_pb2.CHANNEL_VOICE)
    assert decide(asked) == []


def test_an_entry_that_is_in_no_file_any_more_is_nothing() -> None:
    assert steps(decide(asks(texter().opened(), "gone"))) == ["acknowledge"]


@pytest.mark.parametrize("change", [dedup.CASE_CHANGE_REPEATED, dedup.CASE_CHANGE_NOTED])
def test_only_contacts_are_answered(change: dedup.CaseChange.ValueType) -> None:
    assert decide(asks(texter().told(change))) == []


@pytest.mark.parametrize(
    ("spoken", "language", "said"),
    [
        ("ar-AE", "ar", ["جواب roads"]),
        ("ar-Latn", "ar", ["جواب roads"]),
        ("hi", "hi", ["उत्तर roads"]),
        # The rule has words in Tagalog, the entry has not.
        ("fil", "mul", ["جواب roads", "answer roads"]),
        ("am", "mul", ["جواب roads", "answer roads"]),
        ("", "ar", ["جواب roads"]),
    ],
)
def test_the_answer_is_in_the_language_of_the_contact(
    spoken: str, language: str, said: list[str]
) -> None:
    # Where the contact shows none, the case's: Arabic here.
    [draft] = decide(asks(texter().opened(), language=spoken))
    assert draft.request.language == language
    assert all(one in draft.text for one in said)
    assert draft.text.count(NUMBER) == len(said)
    assert "{" not in draft.text


def test_a_crash_before_the_answer_was_logged_or_after_it_changes_nothing() -> None:
    case = texter()
    inputs = [asks(case.opened()), case.told(dedup.CASE_CHANGE_NOTED)]
    undisturbed = Logs(known=knowledge()).run(inputs)
    for kept in (0, 1):
        logs = Logs(known=knowledge()).run(inputs[:1], stop_after=1, requests_kept=kept)
        logs.committed = 0
        logs.run(inputs)
        assert logs.steps() == ["answer:roads"]
        assert logs.messages == undisturbed.messages


@pytest.mark.parametrize("following", ["", "shelters"])
def test_an_answer_that_ran_out_over_a_crash_is_not_acknowledged_as_well(following: str) -> None:
    asked = asks(texter().opened(), "roads", 0.9, following, 0.85 if following else 0)
    logs = Logs(known=knowledge()).run([asked], stop_after=1)
    assert len(logs.messages) == 1
    logs.committed, logs.known = 0, knowledge(approval="")
    assert len(logs.run([asked]).messages) == 1


# The shipped texts.


def shipped(name: str) -> Message:
    [rule] = [rule for rule in RULES if rule.name == name]
    assert isinstance(rule, Rule)
    assert rule.message is not None
    return rule.message


@pytest.mark.parametrize("name", sorted(knowledge_file.read().entries))
def test_an_answer_fits_in_five_parts_and_its_language(name: str) -> None:
    entry = knowledge_file.read().entries[name]
    for language in entry.answer:
        said, text = shipped("answer").render(language, NUMBER, {"answer": entry.answer})
        assert said == language
        assert split(text).part_count <= 5, (language, split(text).units)
    said, text = shipped("answer").render("am", NUMBER, {"answer": entry.answer})
    assert said == "mul"
    assert split(text).part_count <= 10


def test_the_longest_answer_and_the_longest_question_back_fit_in_five_parts() -> None:
    for language in shipped("answer").texts:
        latin = language in ("en", "tl")
        longest = knowledge_file.LONGEST_LATIN if latin else knowledge_file.LONGEST_OTHER
        words = {
            "answer": dict.fromkeys(shipped("answer").texts, ("a" if latin else "ك") * longest)
        }
        assert split(shipped("answer").render(language, NUMBER, words)[1]).part_count <= 5
        asked = dict.fromkeys(shipped("clarify").texts, "ك" * 60)
        text = shipped("clarify").render(language, NUMBER, {"first": asked, "second": asked})[1]
        assert split(text).part_count <= 5, language
