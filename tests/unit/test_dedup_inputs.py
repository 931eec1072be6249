"""What comes from a topic is read or refused; nothing makes deciding fail."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2
from mawja.intake.v1 import events_pb2 as intake_pb2

from services.dedup import data, inputs
from services.dedup.cases import Cases, Decision
from services.dedup.reading import NOTHING
from services.runtime import ids
from services.runtime.errors import Poison

RULES = data.rules()
ID = ids.contact_id("test", "a")
NOW = 1_800_000_000_000
GOOD: dict[str, Any] = {"contact_id": ID, "channel": 1, "event_ms": NOW, "accepted_ms": NOW}


def decided(value: bytes) -> list[Decision]:
    """The decisions on a record's bytes as each kind of input, where it is one."""
    cases = Cases(RULES)
    at = common_pb2.Input(topic="t", offset=0)
    made = []
    with suppress(Poison):
        made.append(cases.contact(inputs.contact(value), NOTHING, at, NOW))
    with suppress(Poison):
        made.append(cases.call(inputs.call(value), at, NOW))
    with suppress(Poison):
        made.append(cases.command(inputs.command(value, 4), at, NOW))
    folded = Cases(RULES)
    for offset, decision in enumerate(made):
        folded.fold(Decision.FromString(decision.SerializeToString()), offset)
    return made


@given(st.binary(max_size=200))
def test_any_bytes_are_decided_or_refused(value: bytes) -> None:
    decided(value)


MILLIS = st.integers(-(2**63), 2**63 - 1) | st.just(NOW)


@given(
    st.sampled_from([ID, "", "x", ID.upper(), ID[:-1], "g" * 36, "é" * 36]),
    st.binary(max_size=20) | st.just(b"p" * 16),
    st.integers(-(2**31), 2**31 - 1) | st.just(1),
    MILLIS,
    MILLIS,
    st.text(max_size=40),
)
def test_any_fields_are_decided_or_refused(
    contact_id: str, person: bytes, enum: int, one: int, other: int, text: str
) -> None:
    decided(
        intake_pb2.ContactAccepted(
            contact_id=contact_id,
            person=person,
            channel=common_pb2.Channel.ValueType(enum),
            kind=common_pb2.ContactKind.ValueType(enum),
            event_ms=one,
            accepted_ms=other,
            agency=text,
            line=text,
            language=text,
        ).SerializeToString()
    )
    decided(
        intake_pb2.CallEvent(
            contact_id=contact_id,
            person=person,
            state=intake_pb2.CallState.ValueType(enum),
            disposition=intake_pb2.Disposition.ValueType(enum),
            event_ms=one,
            queue_wait_ms=other,
            handling_ms=other,
        ).SerializeToString()
    )


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"contact_id": "x"}, "contact_id is not a UUID"),
        ({"person": b"short"}, "person is not a hash"),
        ({"channel": 0}, "channel"),
        ({"event_ms": 0}, "event_ms is not a time"),
        ({"event_ms": 2**62}, "event_ms is not a time"),
        ({"accepted_ms": -1}, "accepted_ms is not a time"),
    ],
)
def test_a_contact_that_could_not_be_decided_is_refused(wrong: dict[str, Any], why: str) -> None:
    assert inputs.contact(intake_pb2.ContactAccepted(**GOOD).SerializeToString()).channel == 1
    with pytest.raises(Poison, match=why):
        inputs.contact(intake_pb2.ContactAccepted(**{**GOOD, **wrong}).SerializeToString())


def test_a_command_of_a_later_version_is_refused() -> None:
    envelope = common_pb2.CommandEnvelope(command_id=ID, subject="s", asked_ms=NOW)
    command = events_pb2.CaseCommand(envelope=envelope, case_id=ID)
    with pytest.raises(Poison, match="no action"):
        inputs.command(command.SerializeToString(), 4)


REF = {"case_id": ID, "partition": 3}


def asked(**action: Any) -> bytes:
    envelope = common_pb2.CommandEnvelope(command_id=ID, subject="s", asked_ms=NOW)
    return events_pb2.CaseCommand(envelope=envelope, case_id=ID, **action).SerializeToString()


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"merge": {"source": {**REF, "case_id": "x"}}}, "merge.source.case_id is not a UUID"),
        ({"merge": {"source": {**REF, "partition": 4}}}, "merge.source.partition is not one of 4"),
        ({"merge": {"source": REF, "partition": -1}}, "merge.partition is not one of 4"),
        ({"split": {"contact_ids": [ID, "x"]}}, "split.contact_ids is not a UUID"),
        ({"follow_merge": {"into": {**REF, "partition": 9}}}, "into.partition is not one of 4"),
        ({"follow_merge": {}}, "follow_merge.into.case_id is not a UUID"),
        ({"follow_split": {"source_id": "x"}}, "follow_split.source_id is not a UUID"),
        ({"follow_state": {"resolved_ms": -1}}, "resolved_ms is not a time"),
        ({"set_topic": {"agency": "health"}}, "set_topic must give an agency and a topic"),
        ({"set_topic": {"agency": "health:*", "topic": "clinic"}}, "set_topic must give"),
        ({"hear": {"source_id": ID}}, "event_ms is not a time"),
        ({"hear": {"event_ms": NOW}}, "hear.source_id is not a UUID"),
    ],
)
def test_a_command_that_could_not_be_followed_is_refused(wrong: dict[str, Any], why: str) -> None:
    with pytest.raises(Poison, match=why):
        inputs.command(asked(**wrong), 4)


@pytest.mark.parametrize(
    "action",
    [
        {"merge": {"source": REF, "partition": 3}},
        {"split": {}},
        {"follow_merge": {"into": REF}},
        {"follow_split": {"source_id": ID}},
        {"follow_state": {}},
        {"hear": {"source_id": ID, "event_ms": NOW}},
        {"set_topic": {"agency": "health", "topic": "clinic"}},
    ],
)
def test_merging_and_parting_commands_are_read_and_decided(action: dict[str, Any]) -> None:
    [decision] = decided(asked(**action))
    assert decision.outcome.code == 5
