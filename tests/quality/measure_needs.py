"""How well the same need of the same person is recognised, by text alone: as dedup would decide.

Every person of every scene has a number of their own; no contact names an agency, so that only what
is written can tell. A pair counts for a level by `scenes.truth`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2 as dedup_pb2
from mawja.intake.v1 import events_pb2

from services.dedup import catalogue, data, languages, learnt
from services.dedup.cases import Cases
from services.dedup.match import Rules
from services.dedup.reading import Limits, Reader, Reading
from services.runtime import ids
from tests.quality.scenes import Contact, Pair, Scene, Truth, pairs, plain_hash

START_MS = 1_800_000_000_000
_MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a contact was put, how sure and why. `life`: whether its case was marked as a life in
    danger then, and whether its own text was."""

    case: str
    life: bool
    text_life: bool
    topic: str
    topic_confidence: float
    score: float
    reason: str


def reader(rules: Rules) -> Reader:
    """Dedup's reader, with a hash that needs no key."""
    limits = Limits(rules.life_enough, rules.topic_enough, rules.kind_enough)
    return Reader(
        languages.read(), catalogue.read().agencies_of, learnt.weights(), limits, plain_hash
    )


def placed(scenes: Sequence[Scene], rules: Rules | None = None) -> dict[tuple[str, str], Placed]:
    """What dedup decides on every contact, by scene and contact."""
    rules = rules or data.rules()
    return {
        (one.scene, one.id): Placed(
            decision.case.case_id,
            decision.case.life_safety,
            decision.triage.life_safety,
            decision.triage.topic,
            decision.triage.topic_confidence,
            decision.link.score,
            decision.link.reason,
        )
        for one, decision in decided(scenes, rules, readings(scenes, rules))
    }


def readings(scenes: Sequence[Scene], rules: Rules) -> dict[str, Reading]:
    """What dedup reads in every text."""
    read = reader(rules)
    return {one.text: read.read(one.text) for scene in scenes for one in scene.contacts}


def decided(
    scenes: Sequence[Scene],
    rules: Rules,
    read: Mapping[str, Reading],
    begins: Mapping[str, int] | None = None,
) -> Iterator[tuple[Contact, dedup_pb2.CaseDecision]]:
    """Every contact and the decision on it. `begins`: minute at which a scene begins, where not
    all begin together."""
    trees, begins = learnt.trees(), begins or {}
    for scene in scenes:
        cases = Cases(rules, trees=trees)
        for offset, one in enumerate(scene.contacts):
            at = common_pb2.Input(topic="quality", offset=offset)
            contact = accepted(one, begins.get(scene.id, 0))
            yield one, cases.contact(contact, read[one.text], at, START_MS)


def accepted(one: Contact, begin: int = 0) -> events_pb2.ContactAccepted:
    """The contact as intake would take it, of a scene that begins at a minute."""
    at_ms = START_MS + (begin + one.minutes) * _MINUTE_MS
    return events_pb2.ContactAccepted(
        contact_id=ids.contact_id(one.scene, one.id),
        person=blake2b(f"{one.scene}/{one.person}".encode(), digest_size=16).digest(),
        channel=common_pb2.CHANNEL_WEB,
        event_ms=at_ms,
        accepted_ms=at_ms,
    )


def judged(
    scenes: Sequence[Scene], found: dict[tuple[str, str], Placed]
) -> list[tuple[Pair, bool]]:
    """Every labelled pair, and whether both were put into one case."""
    return [
        (
            pair,
            found[pair.first.scene, pair.first.id].case
            == found[pair.second.scene, pair.second.id].case,
        )
        for pair in pairs(scenes)
    ]


def false_merges(judgements: Sequence[tuple[Pair, bool]]) -> list[Pair]:
    """Pairs of two needs that were put into one case."""
    return [pair for pair, together in judgements if together and pair.truth is not Truth.SAME_NEED]
