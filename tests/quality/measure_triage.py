"""How well a text is read: its language, its service and kind, and whether a life is in danger."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mawja.dedup.v1 import events_pb2

from services.dedup import data
from services.dedup.reading import Reading
from services.dedup.signs import service_hash
from services.runtime.kinds import KINDS
from tests.quality.figures import Curve, Figure, Judged, Scored, curve, scored, share
from tests.quality.measure_levels import Key
from tests.quality.measure_needs import reader
from tests.quality.scenes import Contact, Scene

MOST_FLAGGED = 0.15
"""The share of contacts that may be put first without those who wait paying for it."""
TEXT = "a contact, by its own text"
CASE = "a contact, by all that its case said so far"
NEED = "a need, by any of its contacts"
LABELS = {
    "medical help": ("medical_help",),
    "search and rescue": ("search_and_rescue",),
    "either of them": ("medical_help", "search_and_rescue"),
}
"""What is asked of the crisis messages, and their columns."""
_DIRECT = "either, written by people in need"
_ENOUGH = 3


@dataclass(frozen=True, slots=True)
class Danger:
    """How well danger to a life is seen: at the shipped limit, and along the curve. `at_most`: the
    recall when MOST_FLAGGED of all are flagged."""

    shipped: Scored
    at_most: float
    curve: Curve


@dataclass(frozen=True, slots=True)
class Triaged:
    """What was measured. `services`: contacts that have a service of the catalogue. `sure`: the
    share of those whose service was told without asking a person; `sure_right`: the first is right
    in these. `kind_told`, `kind_right`: the same of kinds."""

    language: Figure
    languages: Mapping[str, Scored]
    services: int
    top_1: Figure
    top_3: Figure
    sure: Figure
    sure_right: Figure
    kind_told: Figure
    kind_right: Figure
    danger: Mapping[str, Danger]


def measure(
    scenes: Sequence[Scene],
    readings: Mapping[str, Reading],
    decisions: Mapping[Key, events_pb2.CaseDecision],
) -> Triaged:
    """What the readings of a split say, against its labels."""
    contacts = [one for scene in scenes for one in scene.contacts]
    first: list[tuple[str, bool]] = []
    third: list[tuple[str, bool]] = []
    sure: list[tuple[str, bool]] = []
    for scene in scenes:
        for one in scene.contacts:
            if not (right := scene.services[one.need]):
                continue
            said = readings[one.text]
            likeliest = list(said.signs.services)[:_ENOUGH]
            hashes = {service_hash(code) for code in right}
            topic = said.triage.topic if said.triage else ""
            first.append((scene.id, topic in right))
            third.append((scene.id, not hashes.isdisjoint(likeliest)))
            sure.append((scene.id, said.triage is not None and not _unsure(said.triage)))
    told = [(one, _kind(readings[one.text])) for one in contacts]
    return Triaged(
        language=share((c.scene, readings[c.text].language == c.language) for c in contacts),
        languages=_languages(contacts, readings),
        services=len(first),
        top_1=share(first),
        top_3=share(third),
        sure=share(sure),
        sure_right=share(one for one, (_, is_sure) in zip(first, sure, strict=True) if is_sure),
        kind_told=share((one.scene, bool(kind)) for one, kind in told),
        kind_right=share((one.scene, kind == KINDS[one.kind]) for one, kind in told if kind),
        danger=danger(contacts, readings, decisions),
    )


def danger(
    contacts: Sequence[Contact],
    readings: Mapping[str, Reading],
    decisions: Mapping[Key, events_pb2.CaseDecision],
) -> dict[str, Danger]:
    """Danger to a life, looked at in three ways."""
    limit = data.rules().life_enough
    own = {(one.scene, one.id): _life(readings[one.text]) for one in contacts}
    highest: dict[str, float] = {}
    so_far: dict[Key, float] = {}
    needs: dict[tuple[str, str, str], tuple[float, bool]] = {}
    for one in contacts:
        key = one.scene, one.id
        case = decisions[key].case.case_id
        so_far[key] = highest[case] = max(highest.get(case, 0.0), own[key])
        score, life = needs.get((one.scene, one.person, one.need), (0.0, False))
        needs[one.scene, one.person, one.need] = max(score, own[key]), life or one.life
    return {
        TEXT: _danger([(one.scene, own[one.scene, one.id], one.life) for one in contacts], limit),
        CASE: _danger([(c.scene, so_far[c.scene, c.id], c.life) for c in contacts], limit),
        NEED: _danger([(key[0], *value) for key, value in needs.items()], limit),
    }


def crisis(path: Path) -> dict[str, Danger]:
    """The curves on the messages of a file with the columns `message`, `genre` and those of LABELS
    (Robert Munro's *Disaster Response Messages*). Raises ValueError naming what is missing,
    OSError."""
    rules = data.rules()
    read = reader(rules)
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    needed = {"message", "genre", *(column for columns in LABELS.values() for column in columns)}
    if not rows or not needed <= rows[0].keys():
        raise ValueError(f"{path.name}: needs the columns {', '.join(sorted(needed))}")
    scores = [_life(read.read(row["message"])) for row in rows]
    every = list(zip(rows, scores, strict=True))
    found = {
        label: _danger(_labelled(every, columns), rules.life_enough)
        for label, columns in LABELS.items()
    }
    direct = [one for one in every if one[0]["genre"] == "direct"]
    found[_DIRECT] = _danger(_labelled(direct, LABELS["either of them"]), rules.life_enough)
    return found


def _labelled(
    rows: Sequence[tuple[Mapping[str, str], float]], columns: Sequence[str]
) -> list[tuple[str, float, bool]]:
    """Each by itself, with its score and whether it has one of the labels."""
    return [
        (str(number), score, any(row[column] == "1" for column in columns))
        for number, (row, score) in enumerate(rows)
    ]


def _danger(found: Sequence[tuple[str, float, bool]], limit: float) -> Danger:
    judged = [Judged(scene, "", life, score >= limit) for scene, score, life in found]
    along = curve([score for _, score, _ in found], [life for _, _, life in found])
    return Danger(scored(judged), along.recall_at(MOST_FLAGGED), along)


def _languages(contacts: Sequence[Contact], readings: Mapping[str, Reading]) -> dict[str, Scored]:
    """By language: precision and recall of its being told."""
    codes = sorted({one.language for one in contacts})
    return {code: scored(list(_told(contacts, readings, code))) for code in codes}


def _told(
    contacts: Sequence[Contact], readings: Mapping[str, Reading], code: str
) -> Iterator[Judged]:
    for one in contacts:
        yield Judged(one.scene, code, one.language == code, readings[one.text].language == code)


def _life(said: Reading) -> float:
    return (said.triage or events_pb2.Triage()).life_safety_confidence


def _kind(said: Reading) -> int:
    return (said.triage or events_pb2.Triage()).kind


def _unsure(triage: events_pb2.Triage) -> bool:
    """`Triage.unsure` is never set on danger, where nobody waits to be sure of the service."""
    return triage.topic_confidence < data.rules().topic_enough
