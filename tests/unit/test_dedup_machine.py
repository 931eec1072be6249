"""Whatever is repeated, reordered or interrupted, the cases come out the same.

The machine plays Kafka and a worker that may die: topics that grow (with repeats), batches that are
decided and then either stand in the log or are lost with the process. The order tests hold every
order of one story against the first.
"""

import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2
from mawja.intake.v1 import events_pb2 as intake_pb2

from services.dedup import data
from services.dedup.cases import Cases, Decision
from services.dedup.contacts import Contacts
from services.dedup.reading import NOTHING
from services.runtime import ids

RULES = data.rules()
NOW = 1_800_000_000_000
MIN = 60_000
PEOPLE = (b"a" * 16, b"m" * 16, b"")
AGENCIES = ("health", "interior")
STATES = (1, 2, 3, 4, 5)


def contact(n: int, person: bytes, agency: str, at_ms: int, voice: bool) -> bytes:
    return intake_pb2.ContactAccepted(
        contact_id=ids.contact_id("test", str(n)),
        person=person,
        agency=agency,
        line="109",
        channel=common_pb2.CHANNEL_VOICE if voice else common_pb2.CHANNEL_SMS,
        event_ms=NOW + at_ms,
        accepted_ms=NOW + at_ms,
    ).SerializeToString()


def call(n: int, state: int, at_ms: int, disposition: int = 0) -> bytes:
    return intake_pb2.CallEvent(
        contact_id=ids.contact_id("test", str(n)),
        state=intake_pb2.CallState.ValueType(state),
        event_ms=NOW + at_ms,
        disposition=intake_pb2.Disposition.ValueType(disposition),
        queue_wait_ms=at_ms % 40_000,
        handling_ms=at_ms % 400_000,
    ).SerializeToString()


def command(n: int, case_of: int, action: str) -> bytes:
    actions: dict[str, dict[str, Any]] = {
        "assign": {"assign": events_pb2.Assign(assignee="ag-1")},
        "triage": {"set_topic": events_pb2.SetTopic(agency="health", topic="clinic")},
        "resolve": {"resolve": events_pb2.Resolve()},
        "reopen": {"reopen": events_pb2.Reopen(sealed_reason=b"why")},
        "note": {"add_note": events_pb2.AddNote(sealed_text=b"text")},
    }
    return events_pb2.CaseCommand(
        envelope=common_pb2.CommandEnvelope(
            command_id=ids.command_id("agent", "x", str(n)), subject="agent", asked_ms=NOW + n
        ),
        case_id=ids.case_id(ids.contact_id("test", str(case_of))),
        **actions[action],
    ).SerializeToString()


def decide(cases: Cases, topic: str, offset: int, value: bytes) -> Decision:
    at = common_pb2.Input(topic=topic, offset=offset)
    if topic == "contact":
        return cases.contact(intake_pb2.ContactAccepted.FromString(value), NOTHING, at, NOW)
    if topic == "call":
        return cases.call(intake_pb2.CallEvent.FromString(value), at, NOW)
    return cases.command(events_pb2.CaseCommand.FromString(value), at, NOW)


def state_of(cases: Cases) -> dict[str, Any]:
    """Everything that a partition knows, but for how it numbers things inside."""
    columns = cases.contacts
    return {
        "cases": [cases.case(n).SerializeToString(deterministic=True) for n in range(len(cases))],
        "links": [cases.link(n).SerializeToString() for n in range(len(columns.id))],
        "columns": (columns.steps, columns.ended_ms, columns.outcome_ms, columns.case),
        "chains": [list(columns.of_case(n)) for n in range(len(cases))],
        "been": columns.been,
        "went": cases.known.went,
        "apart": list(cases.apart.pairs()),
        "notes": cases.notes,
        "rest": (
            cases.calls.waiting,
            cases.memory.told,
            cases.known.shapes,
            cases.calls.first_call,
            cases.calls.first_resolved,
            cases.calls.reopened_ms,
            cases.known.of_person,
        ),
        "decided": cases.decided,
        "tallies": [t.SerializeToString() for t in cases.tallies.every(0, 0)],
    }


class Worker(RuleBasedStateMachine):
    """One partition of Kafka, its log, and the worker that owns it for now."""

    def __init__(self) -> None:
        super().__init__()
        self.topics: dict[str, list[bytes]] = {"contact": [], "call": [], "command": []}
        self.log: list[bytes] = []
        self.cases = Cases(RULES)
        self.read = dict.fromkeys(self.topics, 0)
        self.made = 0

    @rule(
        person=st.sampled_from(PEOPLE),
        agency=st.sampled_from(AGENCIES),
        at_ms=st.integers(0, 60 * MIN),
        voice=st.booleans(),
    )
    def somebody_contacts(self, person: bytes, agency: str, at_ms: int, voice: bool) -> None:
        self.topics["contact"].append(contact(self.made, person, agency, at_ms, voice))
        self.made += 1

    @rule(
        ahead=st.integers(-3, 2),
        state=st.sampled_from(STATES),
        at_ms=st.integers(0, 60 * MIN),
        disposition=st.integers(0, 3),
    )
    def a_call_goes_on(self, ahead: int, state: int, at_ms: int, disposition: int) -> None:
        self.topics["call"].append(call(self.made + ahead, state, at_ms, disposition))

    @rule(
        n=st.integers(0, 30),
        case_of=st.integers(0, 8),
        action=st.sampled_from(["assign", "triage", "resolve", "reopen", "note"]),
    )
    def somebody_asks(self, n: int, case_of: int, action: str) -> None:
        self.topics["command"].append(command(n, case_of, action))

    @precondition(lambda self: any(self.topics.values()))
    @rule(pick=st.randoms(use_true_random=False))
    def a_record_is_sent_again(self, pick: random.Random) -> None:
        topic = pick.choice([t for t, records in self.topics.items() if records])
        self.topics[topic].append(pick.choice(self.topics[topic]))

    @rule(pick=st.randoms(use_true_random=False), dies=st.booleans(), kept=st.integers(0, 8))
    def a_batch(self, pick: random.Random, dies: bool, kept: int) -> None:
        decided = []
        for _ in range(8):
            waiting = [t for t in self.topics if self.read[t] < len(self.topics[t])]
            if not waiting:
                break
            topic = pick.choice(waiting)
            offset = self.read[topic]
            self.read[topic] += 1
            decision = decide(self.cases, topic, offset, self.topics[topic][offset])
            decided.append(decision.SerializeToString())
        # A process that dies in the append leaves the first few records of it, or none, or all.
        self.log += decided[:kept] if dies else decided
        if dies:
            self.restart()

    @rule()
    def restart(self) -> None:
        self.cases = self.folded()
        for topic in self.topics:
            self.read[topic] = self.cases.decided.get(topic, -1) + 1

    def folded(self) -> Cases:
        cases = Cases(RULES)
        for offset, value in enumerate(self.log):
            cases.fold(Decision.FromString(value), offset)
        return cases

    @invariant()
    def the_log_tells_everything(self) -> None:
        assert state_of(self.folded()) == state_of(self.cases)

    @invariant()
    def every_input_has_one_decision(self) -> None:
        inputs = [Decision.FromString(value).input for value in self.log]
        for topic in self.topics:
            assert [i.offset for i in inputs if i.topic == topic] == list(range(self.read[topic]))

    @invariant()
    def every_contact_is_in_one_case(self) -> None:
        taken = {
            intake_pb2.ContactAccepted.FromString(value).contact_id
            for value in self.topics["contact"][: self.read["contact"]]
        }
        links = [self.cases.link(n).contact_id for n in range(len(self.cases.contacts.id))]
        assert sorted(links) == sorted(taken)
        counted = sum(self.cases.case(n).contacts for n in range(len(self.cases)))
        assert counted == len(taken)


TestWorker = Worker.TestCase
TestWorker.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


# One story in every order.

CALLS = st.sampled_from(
    [
        [],
        [(1, 0)],
        [(1, 0), (4, 20_000)],
        [(1, 0), (2, 100), (3, 5_000)],
        [(1, 0), (3, 5_000), (5, 90_000, 1)],
        [(1, 0), (2, 100), (3, 30_000), (5, 300_000, 2)],
        [(3, 30_000), (5, 60_000, 1)],
    ]
)
STORY = st.lists(
    st.tuples(st.sampled_from(PEOPLE), st.sampled_from(AGENCIES), st.integers(0, 20 * MIN), CALLS),
    min_size=1,
    max_size=7,
)
Story = list[tuple[bytes, str, int, list[Any]]]


def records(story: Story) -> list[tuple[str, bytes]]:
    told = []
    for n, (person, agency, at_ms, calls) in enumerate(story):
        told.append(("contact", contact(n, person, agency, at_ms, bool(calls) or n % 2 == 0)))
        for state, after_ms, *disposition in calls:
            told.append(("call", call(n, state, at_ms + after_ms, *disposition)))
    return told


def outcome(story: list[tuple[str, bytes]]) -> Any:
    cases = Cases(RULES)
    for offset, (topic, value) in enumerate(story):
        decide(cases, topic, offset, value)
    members: dict[int, set[bytes]] = {}
    for key, number in cases.contacts.number_of.items():
        members.setdefault(cases.contacts.case[number], set()).add(key)
    facts = {}
    for number, found in members.items():
        case = cases.case(number)
        facts[frozenset(found)] = (
            case.state,
            case.resolved_ms,
            case.first_arrival_ms,
            case.last_contact_ms,
            case.contacts,
            case.dialled,
            case.reconnects,
            case.abandoned,
            case.answered,
        )
    counts: dict[Any, list[int]] = {}
    for stated in cases.tallies.every(0, 0):
        for row in stated.rows:
            # Where a case is counted follows from the contact that opened it.
            row.ClearField("cases")
            if row.ByteSize() > len(row.line) + len(row.agency) + 6:
                where = (stated.bucket_ms, row.agency, row.channel)
                counts[where] = [getattr(row, f.name) for f in row.DESCRIPTOR.fields][5:]
    return facts, counts


@settings(max_examples=300, deadline=None)
@given(STORY, st.randoms(use_true_random=False), st.integers(0, 6))
def test_any_order_and_any_repeat_gives_the_same_cases(
    story: Story, pick: random.Random, repeats: int
) -> None:
    told = records(story)
    shuffled = told + [pick.choice(told) for _ in range(repeats)]
    pick.shuffle(shuffled)
    assert outcome(shuffled) == outcome(told)


def test_the_story_can_fail() -> None:
    # A machine that finds nothing different would prove nothing.
    told = records([(PEOPLE[0], "health", 0, [(1, 0), (3, 5_000), (5, 90_000, 1)])])
    assert outcome(told) != outcome(told[:-1])
    assert outcome(told) != outcome(told[:-2])
    assert Contacts().id == []
