"""How far a careful reader comes: scenes labelled a second time, held against the labels.

The second reader is asked what dedup is asked, pair by pair and contact by contact, and dedup's
figures on the same scenes stand beside. `README.md` tells how the second reading was made.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tests.quality.figures import Judged, Scored, scored
from tests.quality.measure_levels import INCIDENT, OF_TWO, OTHER, QUESTION, SAME_NEED, Played
from tests.quality.scenes import NOTHING, Contact, Pair, Scene, pairs

READER = "second reader"
OURS = "Mawja"
_OURS_TEXT = f"{OURS}, by a contact's own text"
_OURS_CASE = f"{OURS}, by all that its case said so far"


@dataclass(frozen=True, slots=True)
class Beside:
    """A level on the scenes that were read twice: what the second reader finds, and what Mawja."""

    reader: Scored
    ours: Scored


@dataclass(frozen=True, slots=True)
class Compared:
    """All of it. `life`: danger to a life, by who looked."""

    scenes: int
    contacts: int
    levels: Mapping[str, Beside]
    life: Mapping[str, Scored]


def compared(scenes: Sequence[Scene], again: Sequence[Scene], played: Played) -> Compared:
    """Holds the second reading, and what was played, against the labels. `again`: those of `scenes`
    that were read twice, with the reader's labels (`scenes.read_again`)."""
    sample = {scene.id for scene in again}
    labelled = [scene for scene in scenes if scene.id in sample]
    levels = {
        level: Beside(
            scored(judged), scored([one for one in played.levels[level] if one.scene in sample])
        )
        for level, judged in read_levels(labelled, again).items()
    }
    contacts = _beside(labelled, again)
    decided = [(truth, played.decisions[truth.scene, truth.id]) for truth, _ in contacts]
    life = {
        READER: [_danger(truth, said.life) for truth, said in contacts],
        _OURS_TEXT: [_danger(truth, made.triage.life_safety) for truth, made in decided],
        _OURS_CASE: [_danger(truth, made.case.life_safety) for truth, made in decided],
    }
    return Compared(
        len(again),
        len(contacts),
        levels,
        {who: scored(judged) for who, judged in life.items()},
    )


def read_levels(labelled: Sequence[Scene], again: Sequence[Scene]) -> dict[str, list[Judged]]:
    """Each level as the second reader has it, pair by pair. Both hold the same contacts."""
    found: dict[str, list[Judged]] = {
        level: [] for level in (SAME_NEED, OTHER, INCIDENT, OF_TWO, QUESTION)
    }
    for pair, second in zip(pairs(labelled), pairs(again), strict=True):
        need = _judged(pair, second, _one_need)
        incident = _judged(pair, second, _one_incident)
        found[SAME_NEED if pair.same_person else OTHER].append(need)
        found[INCIDENT].append(incident)
        if not pair.same_person:
            found[OF_TWO].append(incident)
            found[QUESTION].append(_judged(pair, second, _one_question))
    return found


def _judged(truth: Pair, said: Pair, one: Callable[[Contact, Contact], bool]) -> Judged:
    return Judged(
        truth.second.scene,
        truth.second.language,
        one(truth.first, truth.second),
        one(said.first, said.second),
    )


def _beside(labelled: Sequence[Scene], again: Sequence[Scene]) -> list[tuple[Contact, Contact]]:
    return [
        both
        for one, other in zip(labelled, again, strict=True)
        for both in zip(one.contacts, other.contacts, strict=True)
    ]


def _danger(truth: Contact, found: bool) -> Judged:
    return Judged(truth.scene, truth.language, truth.life, found)


def _one_need(first: Contact, second: Contact) -> bool:
    return first.need == second.need


def _one_incident(first: Contact, second: Contact) -> bool:
    return first.incident == second.incident != NOTHING


def _one_question(first: Contact, second: Contact) -> bool:
    return first.question == second.question != NOTHING
