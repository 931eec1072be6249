"""Whatever agents, callers, time and crashes do: one agent has a callback at a time, its place
never moves, what is over stays over, and no caller is owed two.
"""

import contextlib
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from mawja.common.v1 import common_pb2
from mawja.outreach.v1 import commands_pb2 as asked
from mawja.outreach.v1 import events_pb2 as outreach

from services.outreach import working
from services.outreach.working import CLAIMED, DUE, LATER, OPEN, Refused
from tests.callbacks_desk import COMMANDS, HOUR, MINUTE, Desk
from tests.outreach_told import T0, Told

AGENTS = ("amal", "badr", "chitra")
ACTIONS = ("claim", "claim", "extend", "complete", "no_answer", "release", "give_up")


class Callbacks(RuleBasedStateMachine):
    """Three callers, three agents, one owner who may crash."""

    def __init__(self) -> None:
        super().__init__()
        self.desk = Desk()
        lines = (common_pb2.LINE_MOBILE, common_pb2.LINE_FIXED, common_pb2.LINE_MOBILE)
        self.cases = [
            Told(name, line=line, arrival_ms=T0 + 7_000 * i)
            for i, (name, line) in enumerate(zip("abc", lines, strict=True))
        ]
        self.cases[2].case.life_safety = True
        for case in self.cases:
            self.desk.told(case.opened())
            self.desk.told(case.abandoned(1))
        self.stood = self.stands = len(self.desk.log)

    @rule(which=st.integers(0, 2), what=st.sampled_from(["abandoned", "answered", "resolved"]))
    def somebody_calls(self, which: int, what: str) -> None:
        case = self.cases[which]
        at_s = max(1, (self.desk.now_ms - case.arrival_ms) // 1000)
        self.desk.told(getattr(case, what)(at_s))
        if what == "resolved":
            self.desk.told(case.reopened())

    @rule(agent=st.sampled_from(AGENTS), of=st.integers(0, 9), action=st.sampled_from(ACTIONS))
    def an_agent_asks(self, agent: str, of: int, action: str) -> None:
        callbacks = list(self.desk.callbacks.all())
        try:
            self.desk.asks(agent, callbacks[of % len(callbacks)].callback_id, action)
        except Refused:
            pass
        else:
            assert action != "claim" or self._held(callbacks[of % len(callbacks)]) == agent

    def _held(self, callback: outreach.Callback) -> str:
        found = self.desk.callbacks.get(callback.callback_id)
        assert found is not None
        return found.claimed_by if found.state == CLAIMED else ""

    @rule(agent=st.sampled_from(AGENTS), of=st.integers(0, 9), in_h=st.integers(0, 30))
    def an_agent_promises_a_time(self, agent: str, of: int, in_h: int) -> None:
        callbacks = list(self.desk.callbacks.all())
        start = self.desk.now_ms + in_h * HOUR
        times: Any = {"promised_from_ms": start, "promised_until_ms": start + 2 * HOUR}
        it = callbacks[of % len(callbacks)].callback_id
        with contextlib.suppress(Refused):
            self.desk.asks(agent, it, "release", **times)

    @rule(back=st.integers(1, 6))
    def a_command_comes_again(self, back: int) -> None:
        sent = self.desk.inputs[COMMANDS][-back:]
        if sent:
            with contextlib.suppress(Refused):
                self.desk.again(asked.OutreachCommand.FromString(sent[0]))

    @rule(ms=st.sampled_from([MINUTE, 5 * MINUTE, 11 * MINUTE, 4 * HOUR, 25 * HOUR]))
    def time_passes(self, ms: int) -> None:
        self.desk.waits(ms)

    @rule(lost=st.integers(0, 3))
    def the_owner_crashes(self, lost: int) -> None:
        # Records of the last batch may be lost: nobody was told of them.
        self.desk.crashes(min(lost, len(self.desk.log) - self.stood))

    @invariant()
    def the_log_is_right(self) -> None:
        stood: dict[str, outreach.Callback] = {}
        for callback in self.desk.log:
            before = stood.get(callback.callback_id)
            if before is None:
                assert callback.version == 1
            else:
                assert callback.version == before.version + 1
                assert callback.place_ms <= before.place_ms
                assert before.state in OPEN, "left what is final"
                if before.state == callback.state == CLAIMED:
                    assert before.claimed_by == callback.claimed_by, "two agents"
                if not before.moved and callback.moved:
                    assert callback.promises == before.promises + 1
            assert bool(callback.lease_until_ms) == (callback.state == CLAIMED)
            assert bool(callback.not_before_ms) == (callback.state == LATER)
            assert bool(callback.settled_ms) == (callback.state not in OPEN)
            stood[callback.callback_id] = callback
        open_ones = [one.case_id for one in stood.values() if one.state in OPEN]
        assert len(open_ones) == len(set(open_ones)), "called back twice"
        self.stood, self.stands = self.stands, len(self.desk.log)

    def teardown(self) -> None:
        """Nobody is forgotten: after long enough, whoever is owed a call can be called."""
        self.desk.waits(1)
        for _ in range(6):
            self.desk.waits(30 * HOUR)
        waiting = [one for one in self.desk.callbacks.all() if one.state in OPEN]
        assert {one.state for one in waiting} <= {DUE}
        for one in waiting:
            assert self.desk.asks("amal", one.callback_id, "claim").state == CLAIMED


TestCallbacks = Callbacks.TestCase
TestCallbacks.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)


def test_the_machine_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """Claims that are given to whoever asks last."""
    careful = working._claimed

    def careless(callback: outreach.Callback, *args: Any) -> outreach.Callback:
        taken = outreach.Callback()
        taken.CopyFrom(callback)
        taken.state = DUE if callback.state == CLAIMED else callback.state
        return careful(taken, *args)

    monkeypatch.setattr(working, "_claimed", careless)
    quick = settings(max_examples=300, phases=[Phase.generate], derandomize=True, deadline=None)
    with pytest.raises(AssertionError, match="two agents"):
        run_state_machine_as_test(Callbacks, settings=quick)
