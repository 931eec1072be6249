"""An agency's own thresholds of the same need hold for its contacts, and for nobody else's."""

import math
from dataclasses import replace

import numpy as np
import pytest
from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2
from mawja.intake.v1 import events_pb2 as intake_pb2

from services.dedup import learnt
from services.dedup.cases import Cases, Decision
from services.dedup.match import Rules
from services.dedup.reading import Reading
from services.dedup.signs import Signs
from services.runtime import ids
from tests.dedup_desk import ALI, MIN, NOW, RULES

AGENCIES = {"police": {"need_same": 0.9}, "traffic": {"need_same": 0.3, "need_other": 0.02}}
OWN = replace(RULES, agencies=AGENCIES)
SURE, UNSURE = RULES.topic_enough, RULES.topic_enough - 0.01


def cases(rules: Rules, likely: float) -> Cases:
    """A partition where every text is as likely about every case."""
    shipped = learnt.trees()
    odds = math.log(likely / (1 - likely))
    return Cases(rules, trees=replace(shipped, leaf=np.zeros_like(shipped.leaf), bias=odds))


def contact(
    those: Cases, number: int, agency: str = "", heard: str = "", sure: float = SURE
) -> Decision:
    """A contact in words of its own. `agency`: as it was told; `heard`: as its text says."""
    at_ms = NOW + number * MIN
    accepted = intake_pb2.ContactAccepted(
        contact_id=ids.contact_id("test", str(number)),
        person=ALI,
        channel=common_pb2.CHANNEL_WEB,
        agency=agency,
        event_ms=at_ms,
        accepted_ms=at_ms,
    )
    triage = events_pb2.Triage(agency=heard, topic="a-service", topic_confidence=sure)
    words = range(10 * number, 10 * number + 5)
    reading = Reading(shape=tuple(words), signs=Signs({1: 200}, words=5), triage=triage)
    at = common_pb2.Input(topic="t", offset=number)
    return those.contact(accepted, reading, at, at_ms)


@pytest.mark.parametrize(
    ("heard", "sure", "likely", "joins"),
    [
        ("health", SURE, 0.8, True),
        ("health", SURE, 0.6, False),
        ("police", SURE, 0.8, False),
        ("police", SURE, 0.95, True),
        # What a text is not surely about sets no threshold.
        ("police", UNSURE, 0.8, True),
        ("traffic", SURE, 0.4, True),
        ("traffic", UNSURE, 0.4, False),
    ],
)
def test_where_none_was_told_the_text_says_whose_thresholds_hold(
    heard: str, sure: float, likely: float, joins: bool
) -> None:
    those = cases(OWN, likely)
    first = contact(those, 0)
    second = contact(those, 1, heard=heard, sure=sure)
    assert (second.case.case_id == first.case.case_id) is joins
    if joins:
        assert second.link.score == pytest.approx(likely)


@pytest.mark.parametrize(
    ("told", "heard", "likely", "joins"),
    [
        ("health", "traffic", 0.025, False),
        ("traffic", "health", 0.025, True),
        ("traffic", "health", 0.01, False),
    ],
)
def test_the_agency_that_was_told_counts_before_the_text(
    told: str, heard: str, likely: float, joins: bool
) -> None:
    those = cases(OWN, likely)
    first = contact(those, 0, agency=told)
    second = contact(those, 1, agency=told, heard=heard)
    assert (second.case.case_id == first.case.case_id) is joins


def test_a_told_agency_needs_its_own_score_to_join_a_case_of_none() -> None:
    for agency, joins in (("police", False), ("health", True)):
        those = cases(OWN, 0.8)
        first = contact(those, 0)
        second = contact(those, 1, agency=agency)
        assert (second.case.case_id == first.case.case_id) is joins


def test_what_agencies_decided_the_log_says_again() -> None:
    those = cases(OWN, 0.95)
    log = [contact(those, 0, heard="police"), contact(those, 1, heard="police")]
    folded = Cases(RULES)
    for offset, decision in enumerate(log):
        folded.fold(decision, offset)
    assert len(folded) == len(those) == 1
    assert folded.case(0) == those.case(0)
