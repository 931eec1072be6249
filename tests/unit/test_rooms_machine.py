"""One partition through three rooms: whatever is repeated, reordered, killed, frozen or read again,
the cases are the same and each step of a case is sent once at most.

The machine plays Kafka, the carrier, and for each room an owner and the one before it, which may
wake up late. What decides is the rooms' own pure code; who counts is decided by `Epochs`.
"""

import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from mawja.broadcast.v1 import events_pb2 as broadcast
from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2 as dedup_pb2
from mawja.intake.v1 import events_pb2 as intake
from mawja.outreach.v1 import events_pb2 as outreach_pb2

from services.broadcast import messages
from services.broadcast.messages import MAY_BE_CLAIMED
from services.dedup import contacts as step
from services.dedup.cases import Cases, Decision
from services.dedup.known import uuid_of
from services.runtime import ids
from tests.dedup_desk import ABANDONED, ANSWERED, ENDED
from tests.rooms import (
    ANSWERS,
    CASE_RULES,
    DUE,
    HAS_IT,
    NOW,
    PEOPLE,
    ROOMS,
    Broadcast,
    Dedup,
    Owner,
    World,
    decided,
)


class Rooms(RuleBasedStateMachine):
    """Three rooms, each with an owner and perhaps one that is frozen."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.owners: dict[str, Owner] = {name: room(self.world) for name, room in ROOMS.items()}
        self.asleep: dict[str, Owner] = {}

    @rule(
        person=st.sampled_from(PEOPLE),
        at_s=st.integers(0, 3600),
        voice=st.sampled_from([False, False, True]),
    )
    def somebody_contacts(self, person: bytes, at_s: int, voice: bool) -> None:
        number = len(self.world.inputs["contact"])
        fact = intake.ContactAccepted(
            contact_id=ids.contact_id("test", str(number)),
            person=person,
            agency="moh",
            line="109",
            channel=common_pb2.CHANNEL_VOICE if voice else common_pb2.CHANNEL_SMS,
            number_line=common_pb2.LINE_MOBILE,
            event_ms=NOW + at_s * 1000,
            accepted_ms=NOW + at_s * 1000,
            sealed_number=b"sealed",
        )
        self.world.inputs["contact"].append(fact.SerializeToString())

    @rule(
        of=st.integers(0, 6),
        state=st.sampled_from([1, 2, 3, 3, 4, 4, 4, 5]),
        at_s=st.integers(0, 3600),
    )
    def a_call_goes_on(self, of: int, state: Any, at_s: int) -> None:
        event = intake.CallEvent(
            contact_id=ids.contact_id("test", str(of)), state=state, event_ms=NOW + at_s * 1000
        )
        self.world.inputs["call"].append(event.SerializeToString())

    @rule(pick=st.randoms(use_true_random=False), most=st.integers(0, 2))
    def somebody_merges_or_splits(self, pick: random.Random, most: int) -> None:
        """Two cases of one person; or with `most`, so many contacts of a case."""
        owner = self.owners["dedup"]
        assert isinstance(owner, Dedup)
        cases = [owner.cases.case(n) for n in range(len(owner.cases))]
        into = pick.choice(cases) if cases else None
        own = [case for case in cases if into is not None and case.person == into.person]
        if into is None or (not most and len(own) < 2):
            return
        asked = self.world.inputs["command"]
        command = dedup_pb2.CaseCommand(
            envelope=common_pb2.CommandEnvelope(
                command_id=ids.command_id("agent", "x", str(len(asked))),
                subject="agent",
                asked_ms=NOW,
            ),
            case_id=into.case_id,
        )
        if most:
            number = owner.cases.number_of(into.case_id)
            assert number is not None
            columns = owner.cases.contacts
            inside = [uuid_of(columns.id[c]) for c in columns.of_case(number)]
            chosen = pick.sample(inside, min(most, len(inside)))
            command.split.contact_ids.extend(chosen)
        else:
            command.merge.source.case_id = pick.choice(own).case_id
        asked.append(command.SerializeToString())

    @precondition(lambda self: self.world.inputs["contact"])
    @rule(pick=st.randoms(use_true_random=False))
    def a_contact_comes_again(self, pick: random.Random) -> None:
        self.world.inputs["contact"].append(pick.choice(self.world.inputs["contact"]))

    @rule(
        room=st.sampled_from(list(ROOMS)),
        steps=st.integers(1, 4),
        dies=st.sampled_from([None, 0, 1, 2]),
        answer=st.sampled_from(list(ANSWERS)),
        pick=st.randoms(use_true_random=False),
    )
    def an_owner_works(
        self, room: str, steps: int, dies: int | None, answer: str, pick: random.Random
    ) -> None:
        """It may die in its last step, of whose records the log then has `dies` at most."""
        owner = self.owners[room]
        for left in range(steps, 0, -1):
            kept = dies if dies is not None and left == 1 else 2
            assert owner.work(pick, kept, answer), "the newest owner lost its partition"
        if dies is not None:
            self.owners[room] = ROOMS[room](self.world)

    @rule(pick=st.randoms(use_true_random=False))
    def what_was_written_reaches_broadcast(self, pick: random.Random) -> None:
        for room in ("dedup", "outreach"):
            while not self.owners[room].idle():
                assert self.owners[room].work(pick, 2, "taken")

    @rule(steps=st.integers(1, 3), answer=st.sampled_from(sorted(HAS_IT)))
    def broadcast_dies_before_it_wrote_the_result(self, steps: int, answer: str) -> None:
        owner = self.owners["broadcast"]
        assert isinstance(owner, Broadcast)
        for _ in range(steps):
            if owner.ready:
                owner.work(random.Random(0), 0, answer)
                break
            owner.work(random.Random(0), 2, answer)
        self.owners["broadcast"] = ROOMS["broadcast"](self.world)

    @rule(room=st.sampled_from(list(ROOMS)))
    def an_owner_falls_asleep(self, room: str) -> None:
        self.asleep[room] = self.owners[room]
        self.owners[room] = ROOMS[room](self.world)

    @precondition(lambda self: self.asleep)
    @rule(
        pick=st.randoms(use_true_random=False),
        steps=st.integers(1, 3),
        answer=st.sampled_from(list(ANSWERS)),
    )
    def one_wakes_up_late(self, pick: random.Random, steps: int, answer: str) -> None:
        room = pick.choice(sorted(self.asleep))
        for _ in range(steps):
            if not self.asleep[room].work(pick, 2, answer):
                # It has seen the newer marker, and ends.
                del self.asleep[room]
                return

    @precondition(lambda self: self.world.sent)
    @rule(pick=st.randoms(use_true_random=False), state=st.sampled_from([1, 2, 2, 3]))
    def the_carrier_reports(self, pick: random.Random, state: Any) -> None:
        owner = self.owners["broadcast"]
        assert isinstance(owner, Broadcast)
        assert owner.receive(pick.choice(self.world.sent), state)

    @invariant()
    def nobody_gets_a_message_twice(self) -> None:
        assert max(self.world.had.values(), default=0) <= 1

    def teardown(self) -> None:
        """Everything comes to rest, with new owners: then the whole account is right."""
        pick = random.Random(0)
        for name, room in ROOMS.items():
            owner = self.owners[name] = room(self.world)
            while not owner.idle():
                assert owner.work(pick, 2, "taken")
        self.nobody_gets_a_message_twice()
        self.every_contact_is_in_one_case()
        self.each_step_is_asked_for_once()
        self.whom_nobody_answered_is_called_once()

    def whom_nobody_answered_is_called_once(self) -> None:
        """A case has one callback that is due when its last abandoned call is later than its last
        answer, whatever people merged and split; one that was merged has none."""
        dedup = self.owners["dedup"]
        assert isinstance(dedup, Dedup)
        standing = {}
        for record in self.world.callbacks.counted():
            callback = outreach_pb2.Callback.FromString(record.value or b"")
            standing[callback.callback_id] = callback
        due = Counter(c.case_id for c in standing.values() if c.state == DUE)
        assert max(due.values(), default=0) <= 1
        # Of calls that ended without an answer, or were answered and abandoned, nothing is said:
        # the machine makes them up, telephones do not.
        events = [intake.CallEvent.FromString(value) for value in self.world.inputs["call"]]
        told = {
            state: {event.contact_id for event in events if event.state == state}
            for state in (ANSWERED, ABANDONED, ENDED)
        }
        exact = not told[ENDED] and not told[ANSWERED] & told[ABANDONED]
        steps = dedup.cases.contacts.steps
        for number in range(len(dedup.cases)):
            last = {step.ABANDONED: 0, step.ANSWERED: 0}
            for contact in dedup.cases.contacts.of_case(number):
                for mark in last:
                    if steps[contact] & mark:
                        at_ms = dedup.cases.contacts.outcome_ms[contact]
                        last[mark] = max(last[mark], at_ms)
            case = dedup.cases.case(number)
            if exact and last[step.ABANDONED] > last[step.ANSWERED]:
                assert due[case.case_id] == 1
            # It may call without need: of an answer that it learnt before the first abandoned call
            # outreach knows nothing.
            assert case.state != dedup_pb2.CASE_STATE_MERGED or not due[case.case_id]

    def every_contact_is_in_one_case(self) -> None:
        dedup = self.owners["dedup"]
        assert isinstance(dedup, Dedup)
        links = [dedup.cases.link(n).contact_id for n in range(len(dedup.cases.contacts.id))]
        taken = {
            intake.ContactAccepted.FromString(value).contact_id
            for value in self.world.inputs["contact"]
        }
        assert sorted(links) == sorted(taken)
        undisturbed = Cases(CASE_RULES)
        for record in self.world.cases.counted():
            # The same inputs, decided in the same order by one who was never disturbed.
            told = Decision.FromString(record.value or b"").input
            value = self.world.inputs[told.topic][told.offset]
            at = common_pb2.Input(topic=told.topic, offset=told.offset)
            decided(undisturbed, told.topic, value, at)
        assert [undisturbed.case(n) for n in range(len(undisturbed))] == [
            dedup.cases.case(n) for n in range(len(dedup.cases))
        ]

    def each_step_is_asked_for_once(self) -> None:
        dedup, room = self.owners["dedup"], self.owners["broadcast"]
        assert isinstance(dedup, Dedup)
        assert isinstance(room, Broadcast)
        asked = [
            outreach_pb2.MessageRequested.FromString(record.value or b"")
            for record in self.world.requests.counted()
        ]
        assert max(Counter((one.case_id, one.step) for one in asked).values(), default=0) <= 1
        told = [Decision.FromString(r.value or b"") for r in self.world.cases.counted()]
        written = {
            decision.case.case_id
            for decision in told
            if decision.change == dedup_pb2.CASE_CHANGE_OPENED
            and decision.case.channel == common_pb2.CHANNEL_SMS
        }
        assert {one.case_id for one in asked if one.step == "acknowledge"} == written
        for one in asked:
            # With the carrier, or nobody can say; never forgotten.
            assert room.messages.state(one.message_id) not in MAY_BE_CLAIMED


TestRooms = Rooms.TestCase
TestRooms.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


class Careless(Broadcast):
    """Takes the claims that it finds in the log for unused ones."""

    def put(self, change: broadcast.MessageChange, kept: int = 1) -> bool:
        if change.reason == "takeover":
            change.state = messages.RELEASED
        return super().put(change, kept)


def test_the_machine_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ROOMS, "broadcast", Careless)
    # The way there is of no interest, only that there is one.
    quick = settings(
        Rooms.TestCase.settings, max_examples=500, phases=[Phase.generate], derandomize=True
    )
    with pytest.raises(AssertionError):
        run_state_machine_as_test(Rooms, settings=quick)
