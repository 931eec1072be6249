"""Held against a generated surge, whose truth is known: no need split, none merged wrongly."""

from collections import Counter, defaultdict
from functools import cache
from hashlib import blake2b

import pytest
from mawja.common.v1 import common_pb2
from mawja.intake.v1 import events_pb2 as intake_pb2

from loadtests.people import switchboards
from loadtests.steps import Submit
from loadtests.surge import script
from services.dedup import catalogue, data, languages, learnt
from services.dedup.cases import Cases
from services.dedup.reading import Limits, Reader
from services.runtime import ids
from tests.quality.scenes import plain_hash

RULES = data.rules()
NOW = 1_800_000_000_000
CALLS = 3_000


def person(number: str | None) -> bytes:
    return blake2b(number.encode(), digest_size=16).digest() if number else b""


def contact(step: Submit) -> intake_pb2.ContactAccepted:
    party = common_pb2.PARTY_ORGANISATION if step.organisation else common_pb2.PARTY_PERSON
    at_ms = NOW + int(step.at * 1000)
    return intake_pb2.ContactAccepted(
        contact_id=ids.contact_id("test", step.key),
        person=person(step.number),
        channel=common_pb2.Channel.Value(f"CHANNEL_{step.channel.upper()}"),
        kind=common_pb2.ContactKind.Value(f"CONTACT_KIND_{step.kind.upper()}"),
        party=party,
        line=step.line or "",
        agency=step.agency or "",
        language=step.language or "",
        life_safety=step.life_safety,
        event_ms=at_ms,
        accepted_ms=at_ms,
    )


@cache
def decided(seed: int) -> list[tuple[Submit, str, str]]:
    """(what was sent, its case, its language), without call events."""
    shared = frozenset(person(number) for number in switchboards(seed, CALLS))
    cases = Cases(RULES, shared, learnt.trees())
    made = []
    limits = Limits(RULES.life_enough, RULES.topic_enough, RULES.kind_enough)
    reader = Reader(
        languages.read(), catalogue.read().agencies_of, learnt.weights(), limits, plain_hash
    )
    for offset, step in enumerate(script("covid-78k", calls=CALLS, seed=seed)):
        if isinstance(step, Submit):
            reading = reader.read(step.text or "", step.language or "")
            at = common_pb2.Input(topic="t", offset=offset)
            decision = cases.contact(contact(step), reading, at, NOW)
            made.append((step, decision.case.case_id, decision.link.language))
    return made


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_one_need_of_one_person_is_one_case(seed: int) -> None:
    cases: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for step, case, _ in decided(seed):
        if step.number and not step.shared_number and not step.organisation:
            cases[step.number, step.need].add(case)
    assert len(cases) > CALLS / 5
    assert {need: found for need, found in cases.items() if len(found) > 1} == {}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_case_holds_two_needs_that_could_be_told_apart(seed: int) -> None:
    steps: defaultdict[str, list[Submit]] = defaultdict(list)
    for step, case, _ in decided(seed):
        steps[case].append(step)
    merged = [found for found in steps.values() if len({step.need for step in found}) > 1]
    # A family on one telephone, at one agency, who say nothing, are one caller to anybody.
    assert all(step.family and step.shared_number for found in merged for step in found)
    assert all(any(not step.text for step in found) for found in merged)
    assert len(merged) <= len(steps) / 1_000


def test_the_language_of_messages_is_found() -> None:
    found = Counter(
        language == step.speaks
        for step, _, language in decided(1)
        if step.text and not step.language
    )
    assert found[True] / found.total() > 0.99
