"""A playbook that is off begins nothing, wherever rules are looked at, and it is said why."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2 as dedup
from mawja.dedup.v1.incidents_pb2 import CaseCount
from mawja.outreach.v1.playbooks_pb2 import PlaybookSwitch
from mawja.outreach.v1.proposals_pb2 import Evidence

from services.outreach import shelf
from services.outreach.decide import Messages
from services.outreach.explaining import explained
from services.outreach.minding import Minding
from services.outreach.proposals.allowing import allowed
from services.outreach.switches.state import Switches, Working
from services.outreach.watching import OPEN
from tests.outreach_told import CASES, NOW, SHIPPED, Told

MIN = 60_000
ALWAYS = [
    replace(rule, limits=replace(rule.limits, hours=None) if rule.limits else None)
    for rule in SHIPPED
]


def switch(
    playbook: str, on: bool, name: str = "one", reason: str = "wrong text"
) -> PlaybookSwitch:
    return PlaybookSwitch(
        switch_id=name, playbook=playbook, on=on, subject="badr", switched_ms=NOW, reason=reason
    )


def test_a_playbook_is_on_until_somebody_switches_it_off_and_on_again() -> None:
    switches = Switches()
    rules = Working(SHIPPED, switches)
    assert [rule.name for rule in rules] == [rule.name for rule in SHIPPED]
    switches.take(switch("acknowledge", False), 4)
    assert "acknowledge" not in [rule.name for rule in rules]
    assert len(rules) == len(SHIPPED) - 1
    assert rules[0].name != "acknowledge"
    switches.take(switch("acknowledge", True, "two"), 5)
    assert [rule.name for rule in rules] == [rule.name for rule in SHIPPED]
    assert [one.switch_id for one in switches.of("acknowledge")] == ["two", "one"]


@given(st.permutations(range(4)), st.lists(st.integers(0, 3)))
def test_replicas_agree_in_whatever_order_and_however_often_they_learn_it(
    order: list[int], again: list[int]
) -> None:
    switches = Switches()
    for i in [*order, *again]:
        switches.take(switch("acknowledge", i == 2, str(i)), i)
    last = switches.last("acknowledge")
    assert last is not None
    assert last.switch_id == "3"
    assert not switches.on("acknowledge")
    assert len(switches.of("acknowledge")) == 4


def test_messages_are_not_asked_for_while_it_is_off_and_it_is_said_why() -> None:
    switches = Switches()
    rules = Working(ALWAYS, switches)
    decision = Told(channel=common_pb2.CHANNEL_SMS).opened()
    at = common_pb2.Input(topic=CASES, offset=1)
    messages = Messages(rules=rules)
    asked = messages.decide(rules, decision, at, NOW)
    assert [draft.request.step for draft in asked] == ["acknowledge"]
    switches.take(switch("acknowledge", False), 1)
    assert messages.decide(rules, decision, at, NOW) == []
    told = {
        one.playbook.partition("@")[0]: list(one.unmet)
        for one in explained(rules, decision.case, messages, None, None, NOW)
    }
    assert set(told) == {rule.name for rule in SHIPPED}
    assert told["acknowledge"] == ["it is switched off by badr: wrong text"]


def test_nothing_is_proposed_while_the_playbook_that_proposes_is_off() -> None:
    switches = Switches()
    rules = Working(shelf.read(None).rules, switches)
    evidence = Evidence(cases=100, people=100, agencies=[CaseCount(value="police", cases=100)])
    assert allowed(rules, evidence) is not None
    switches.take(switch("burst-proposal", False), 1)
    assert allowed(rules, evidence) is None


def test_who_waits_while_it_is_off_is_told_when_it_is_on_again() -> None:
    switches = Switches()
    minding = Minding(0, Working(ALWAYS, switches), Messages())
    switches.take(switch("waiting-status", False), 1)
    told = Told(channel=common_pb2.CHANNEL_SMS)
    at = common_pb2.Input(topic=CASES, offset=1)
    watch = minding.watches.decide(told.opened(), at, NOW, answered=False)
    assert watch is not None
    minding.take(watch)
    late = NOW + 600 * MIN
    assert list(minding.passed(late)) == []
    assert list(minding.passed(late + MIN)) == []
    switches.take(switch("waiting-status", True, "two"), 2)
    assert list(minding.passed(late + MIN + 1)) == []
    [due] = minding.passed(late + 2 * MIN)
    assert [step.playbook for step in due.steps] == ["waiting-status"]


def test_a_life_in_danger_is_handed_over_only_while_it_is_on_and_goes_on_when_it_was() -> None:
    switches = Switches()
    minding = Minding(0, Working(ALWAYS, switches), Messages())
    first = Told("danger-1")
    handed = minding.watches.decide(_danger(first), _at(1), NOW, answered=False)
    assert handed is not None
    assert handed.hand_over.state == OPEN
    minding.take(handed)
    switches.take(switch("life-safety", False), 1)
    second = minding.watches.decide(_danger(Told("danger-2")), _at(2), NOW, answered=False)
    assert second is None or not second.hand_over.state
    [again] = minding.passed(NOW + 60 * MIN)
    assert again.hand_over.told == handed.hand_over.told + 1


def _at(offset: int) -> common_pb2.Input:
    return common_pb2.Input(topic=CASES, offset=offset)


def _danger(told: Told) -> dedup.CaseDecision:
    told.case.life_safety = True
    return told.opened()
