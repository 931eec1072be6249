"""Whatever people merge and part, in whatever order and however often a process dies, nobody is
lost: every contact is in one case, every case can be found, and counts are what they say.

The machine plays two partitions of Kafka with an owner each. A process dies after any of its
appends: then it asks again for all that follows from its decisions.
"""

import random

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
from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2
from mawja.intake.v1 import events_pb2 as intake_pb2

from services.dedup import contacts as step
from services.dedup.case import MERGED, Case
from services.dedup.cases import Cases, Decision
from services.dedup.known import uuid_of
from services.runtime import ids
from tests.unit.test_dedup_machine import MIN, NOW, RULES, call, contact, decide, state_of

PEOPLE = ((b"a" * 16, b"b" * 16, b""), (b"m" * 16, b"n" * 16))
TOPICS = ("contact", "call", "command")


class Partition:
    """One partition: its topics, its log, and what its owner has in memory."""

    def __init__(self) -> None:
        self.topics: dict[str, list[bytes]] = {topic: [] for topic in TOPICS}
        self.log: list[bytes] = []
        self.cases = Cases(RULES)
        self.read = dict.fromkeys(TOPICS, 0)

    def waiting(self) -> list[str]:
        return [topic for topic in TOPICS if self.read[topic] < len(self.topics[topic])]

    def decide(self, pick: random.Random) -> Decision:
        topic = pick.choice(self.waiting())
        offset = self.read[topic]
        self.read[topic] += 1
        return decide(self.cases, topic, offset, self.topics[topic][offset])

    def folded(self) -> Cases:
        cases = Cases(RULES)
        for offset, value in enumerate(self.log):
            cases.fold(Decision.FromString(value), offset)
        return cases

    def restart(self) -> None:
        self.cases = self.folded()
        for topic in TOPICS:
            self.read[topic] = self.cases.decided.get(topic, -1) + 1

    def every(self) -> list[Case]:
        return [self.cases.case(number) for number in range(len(self.cases))]


class Partitions(RuleBasedStateMachine):
    """Two partitions and the people who reach out and ask."""

    def __init__(self) -> None:
        super().__init__()
        self.partitions = (Partition(), Partition())
        self.made = self.asked = 0
        self.where: dict[int, int] = {}

    @rule(
        at=st.integers(0, 1),
        person=st.integers(0, 2),
        agency=st.sampled_from(["health", "interior", "water"]),
        at_ms=st.integers(0, 60 * MIN),
    )
    def somebody_contacts(self, at: int, person: int, agency: str, at_ms: int) -> None:
        people = PEOPLE[at]
        one = contact(self.made, people[person % len(people)], agency, at_ms, self.made % 4 > 0)
        self.partitions[at].topics["contact"].append(one)
        self.where[self.made] = at
        self.made += 1

    @precondition(lambda self: self.made)
    @rule(
        pick=st.randoms(use_true_random=False),
        state=st.integers(1, 5),
        at_ms=st.integers(0, 60 * MIN),
        disposition=st.integers(0, 3),
    )
    def a_call_goes_on(self, pick: random.Random, state: int, at_ms: int, disposition: int) -> None:
        of = pick.randrange(self.made)
        event = call(of, state, at_ms, disposition)
        self.partitions[self.where[of]].topics["call"].append(event)

    @rule(pick=st.randoms(use_true_random=False), own=st.sampled_from([True, True, False]))
    def somebody_merges(self, pick: random.Random, own: bool) -> None:
        into_at = pick.randrange(2)
        source_at = into_at if own else pick.randrange(2)
        into = self.any_case(pick, into_at)
        if into is None:
            return
        others = [
            case
            for case in self.partitions[source_at].every()
            if (case.person == into.person) is own and case.case_id != into.case_id
        ]
        if not others:
            return
        source = pick.choice(others)
        command = self.command(into)
        command.merge.source.case_id, command.merge.source.partition = source.case_id, source_at
        command.merge.partition = into_at
        command.merge.seen.CopyFrom(source)
        self.partitions[into_at].topics["command"].append(command.SerializeToString())

    @rule(pick=st.randoms(use_true_random=False), most=st.integers(0, 3))
    def somebody_splits(self, pick: random.Random, most: int) -> None:
        at = pick.randrange(2)
        cases = self.partitions[at].cases
        large = [case for case in self.partitions[at].every() if case.contacts > 1]
        case = pick.choice(large) if most and large else self.any_case(pick, at)
        if case is None:
            return
        number = cases.number_of(case.case_id)
        assert number is not None
        inside = [uuid_of(cases.contacts.id[c]) for c in cases.contacts.of_case(number)]
        command = self.command(case)
        command.split.contact_ids.extend(pick.sample(inside, min(most, len(inside))))
        command.split.sealed_reason = b"why"
        self.partitions[at].topics["command"].append(command.SerializeToString())

    @rule(pick=st.randoms(use_true_random=False), action=st.integers(0, 3))
    def somebody_asks(self, pick: random.Random, action: int) -> None:
        at = pick.randrange(2)
        case = self.any_case(pick, at)
        if case is None:
            return
        command = self.command(case)
        if action == 0:
            command.assign.assignee = "ag-1"
        elif action == 1:
            command.resolve.SetInParent()
        elif action == 2:
            command.reopen.sealed_reason = b"why"
        else:
            command.add_note.sealed_text = b"text"
        self.partitions[at].topics["command"].append(command.SerializeToString())

    def any_case(self, pick: random.Random, at: int) -> Case | None:
        every = self.partitions[at].every()
        return pick.choice(every) if every else None

    def command(self, case: Case) -> events_pb2.CaseCommand:
        self.asked += 1
        return events_pb2.CaseCommand(
            envelope=common_pb2.CommandEnvelope(
                command_id=ids.command_id("agent", "x", str(self.asked)),
                subject="agent",
                asked_ms=NOW + self.asked,
            ),
            case_id=case.case_id,
        )

    @precondition(lambda self: any(p.topics["command"] for p in self.partitions))
    @rule(pick=st.randoms(use_true_random=False))
    def a_command_comes_again(self, pick: random.Random) -> None:
        topics = pick.choice([p.topics for p in self.partitions if p.topics["command"]])
        topics["command"].append(pick.choice(topics["command"]))

    @rule(
        at=st.integers(0, 1),
        pick=st.randoms(use_true_random=False),
        dies=st.booleans(),
        kept=st.integers(0, 8),
    )
    def a_batch(self, at: int, pick: random.Random, dies: bool, kept: int) -> None:
        """A process that dies leaves some of its decisions in the log, and has perhaps asked for
        some of what follows; the next one asks for all of it again."""
        partition = self.partitions[at]
        decided = []
        for _ in range(8):
            if not partition.waiting():
                break
            decided.append(partition.decide(pick))
        stands = decided[:kept] if dies else decided
        partition.log += [decision.SerializeToString() for decision in stands]
        asked = stands[: pick.randint(0, len(stands))] if dies else stands
        self.follow_up(asked)
        if dies:
            partition.restart()
            self.follow_up_again(stands)

    def follow_up_again(self, decisions: list[Decision]) -> None:
        self.follow_up(decisions)

    def follow_up(self, decisions: list[Decision]) -> None:
        for decision in decisions:
            for follow_up in decision.follow_ups:
                topics = self.partitions[follow_up.partition].topics
                topics["command"].append(follow_up.command.SerializeToString())

    @invariant()
    def the_log_tells_everything(self) -> None:
        for partition in self.partitions:
            assert state_of(partition.folded()) == state_of(partition.cases)

    @invariant()
    def a_case_says_what_its_contacts_say(self) -> None:
        for partition in self.partitions:
            cases, columns = partition.cases, partition.cases.contacts
            assert sum(case.contacts for case in partition.every()) == len(columns.id)
            for number, case in enumerate(partition.every()):
                chain = list(columns.of_case(number))
                assert all(columns.case[contact] == number for contact in chain)
                assert chain == sorted(chain, reverse=True)
                ends = [columns.ended_ms[c] for c in chain if columns.ended_ms[c]]
                soon = [
                    c
                    for c in chain
                    if columns.steps[c] & step.VOICE
                    and any(0 < columns.event_ms[c] - end <= RULES.reconnect_window for end in ends)
                ]
                assert (case.contacts, case.reconnects) == (len(chain), len(soon))
                for field, mark in (
                    ("dialled", step.VOICE),
                    ("answered", step.ANSWERED),
                    ("abandoned", step.ABANDONED),
                ):
                    found = sum(bool(columns.steps[c] & mark) for c in chain)
                    assert getattr(case, field) == found
                if chain:
                    came = [columns.event_ms[c] for c in chain]
                    assert (case.first_arrival_ms, case.last_contact_ms) == (min(came), max(came))
                else:
                    assert case.state == MERGED
                    assert not case.merged_into.across
            rows = [row for t in cases.tallies.every(0, 0) for row in t.rows]
            assert sum(row.contacts for row in rows) == len(columns.id)
            assert sum(row.cases for row in rows) == len(set(columns.case))
            answered = {
                columns.case[c] for c in range(len(columns.id)) if columns.steps[c] & step.ANSWERED
            }
            assert sum(row.first_answered for row in rows) == len(answered)
            resolved = sum(row.first_contact_resolved for row in rows)
            assert resolved == sum(cases.calls.first_resolved)

    @invariant()
    def every_decision_raises_the_versions_of_its_cases_by_one(self) -> None:
        for partition in self.partitions:
            versions: dict[str, int] = {}
            for value in partition.log:
                decision = Decision.FromString(value)
                same = decision.change in (
                    events_pb2.CASE_CHANGE_REPEATED,
                    events_pb2.CASE_CHANGE_REFUSED,
                )
                for case in (decision.case, decision.other):
                    if case.case_id:
                        expected = versions.get(case.case_id, 0) + (not same)
                        assert case.version == expected
                        versions[case.case_id] = case.version

    @invariant()
    def what_a_person_parted_is_not_one_case(self) -> None:
        for partition in self.partitions:
            for case in partition.every():
                if case.state == MERGED and case.merged_into.across:
                    other = case.merged_into.into.case_id
                    assert not partition.cases.apart.apart(case.case_id, other)

    def teardown(self) -> None:
        """Everything comes to rest: then the two partitions say the same."""
        pick = random.Random(0)
        while any(partition.waiting() for partition in self.partitions):
            for partition in self.partitions:
                if partition.waiting():
                    decision = partition.decide(pick)
                    partition.log.append(decision.SerializeToString())
                    self.follow_up([decision])
        self.the_log_tells_everything()
        self.a_case_says_what_its_contacts_say()
        every = {case.case_id: case for p in self.partitions for case in p.every()}
        linked, merged = set(), set()
        for case in every.values():
            for link in case.linked:
                linked.add((link.linked.case_id, case.case_id, link.merge_id))
            if case.state == MERGED:
                into = every[case.merged_into.into.case_id]
                if case.merged_into.across:
                    assert into.state != MERGED
                    merged.add((case.case_id, into.case_id, case.merged_into.merge_id))
        assert linked == merged
        for partition in self.partitions:
            told = [
                intake_pb2.ContactAccepted.FromString(value).contact_id
                for value in partition.topics["contact"]
            ]
            found = [uuid_of(contact_id) for contact_id in partition.cases.contacts.id]
            assert sorted(found) == sorted(told)


TestPartitions = Partitions.TestCase
TestPartitions.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)


class Forgetful(Partitions):
    """Who takes over does not ask again for what follows."""

    def follow_up_again(self, decisions: list[Decision]) -> None:
        pass


def test_the_machine_can_fail() -> None:
    # The way there is of no interest, only that there is one.
    quick = settings(
        Partitions.TestCase.settings, max_examples=500, phases=[Phase.generate], derandomize=True
    )
    with pytest.raises(AssertionError):
        run_state_machine_as_test(Forgetful, settings=quick)
