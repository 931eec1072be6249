"""The authored crisis set: scenes of people who reach out, and every labelled pair in them.

A scene is a short play: a flooded underpass, a cancelled flight, and the contacts that follow. Each
contact says whose it is (`person`), what it needs (`need`, one case), what happened (`incident`)
and which standard answer would serve (`question`); from that every pair of contacts has its truth.
`README.md` beside the files tells how the set was made.
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from itertools import combinations
from pathlib import Path
from zlib import crc32

FOLDER = Path(__file__).parent / "set"
STYLES = {
    "formal": "ar",
    "gulf": "ar",
    "typo": "ar",
    "mixed": "ar",
    "arabizi": "ar-Latn",
    "en": "en",
    "hi": "hi",
    "ur": "ur",
    "bn": "bn",
    "tl": "tl",
    "ml": "ml",
}
"""How a contact is written, and the language that it is in."""
KINDS = ("enquiry", "complaint", "request", "feedback")
DOMAINS = ("health", "floods", "travel", "power", "question")
NOTHING = "-"


class Truth(Enum):
    """What two contacts have in common; of several, the strongest."""

    SAME_NEED = "same person, same need"
    SHARED_NEED = "other person, same need"
    SAME_INCIDENT = "same incident"
    SAME_QUESTION = "same question"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Contact:
    """One contact of a scene. `minutes`: since the scene's start. `life`: a life is in danger."""

    scene: str
    id: str
    person: str
    need: str
    incident: str
    question: str
    style: str
    minutes: int
    life: bool
    kind: str
    text: str

    @property
    def language(self) -> str:
        """BCP 47."""
        return STYLES[self.style]


@dataclass(frozen=True, slots=True)
class Scene:
    """What happens, and the near miss that is in it. `services`: by need, the codes of the
    catalogue that an agent could rightly choose; none where no code fits."""

    id: str
    domain: str
    title: str
    trap: str
    contacts: tuple[Contact, ...]
    services: Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class Pair:
    """Two contacts, the earlier first, and the truth about them."""

    first: Contact
    second: Contact
    truth: Truth

    @property
    def same_person(self) -> bool:
        """Whether both come from the same telephone."""
        return self.first.person == self.second.person


def plain_hash(word: str) -> int:
    """A hash without a key, for measuring and learning: the texts of the set are nobody's."""
    return crc32(word.encode())


def read(split: str) -> tuple[Scene, ...]:
    """The scenes of a split ("dev" or "test"). Raises ValueError naming file, line and rule."""
    folder = FOLDER / split
    scenes: list[Scene] = []
    for path in sorted(folder.glob("scenes-*.tsv")):
        contacts = _contacts(folder / path.name.replace("scenes", "contacts"))
        needs = _needs(folder / path.name.replace("scenes", "needs"))
        for line, row in _rows(path):
            where = f"{path.name}, line {line}"
            _check(where, "domain", row["domain"], DOMAINS)
            mine = tuple(one for one in contacts if one.scene == row["scene"])
            services = needs.get(row["scene"], {})
            if not mine:
                raise ValueError(f"{where}: the scene has no contacts")
            if {one.need for one in mine} != set(services):
                raise ValueError(f"{where}: each need of the scene must stand once in needs-*.tsv")
            scenes.append(
                Scene(row["scene"], row["domain"], row["title"], row["trap"], mine, services)
            )
    if len({scene.id for scene in scenes}) != len(scenes):
        raise ValueError(f"{folder.name}: two scenes have one id")
    return tuple(scenes)


def read_again(split: str, scenes: Sequence[Scene]) -> tuple[Scene, ...]:
    """The scenes of a split that were labelled a second time, as the second reader has them: need,
    incident, question and life are theirs, and nobody chose services. Raises ValueError naming the
    file and what is wrong."""
    path = FOLDER / "readers" / f"{split}.tsv"
    said: dict[tuple[str, str], dict[str, str]] = {}
    for line, row in _rows(path):
        where = f"{path.name}, line {line}"
        _check(where, "life", row["life"], ("0", "1"))
        if (row["scene"], row["contact"]) in said:
            raise ValueError(f"{where}: the contact stands there twice")
        said[row["scene"], row["contact"]] = row
    sample = {scene for scene, _ in said}
    found = [scene for scene in scenes if scene.id in sample]
    if said.keys() != {(one.scene, one.id) for scene in found for one in scene.contacts}:
        raise ValueError(f"{path.name}: must label every contact of its scenes, and no others")
    return tuple(
        replace(
            scene,
            contacts=tuple(_labelled(one, said[one.scene, one.id]) for one in scene.contacts),
            services={},
        )
        for scene in found
    )


def _labelled(one: Contact, row: Mapping[str, str]) -> Contact:
    return replace(
        one,
        need=row["need"],
        incident=row["incident"],
        question=row["question"],
        life=row["life"] == "1",
    )


@dataclass(frozen=True, slots=True)
class Example:
    """A contact by itself, to learn from. `service`: a code of the catalogue, or "-"."""

    service: str
    life: bool
    kind: str
    style: str
    text: str


def examples() -> tuple[Example, ...]:
    """The texts to learn from. Raises ValueError naming file, line and rule."""
    found = []
    for path in sorted((FOLDER / "train").glob("[ls]*.tsv")):
        for line, row in _rows(path):
            where = f"{path.name}, line {line}"
            _check(where, "style", row["style"], tuple(STYLES))
            _check(where, "kind", row["kind"], KINDS)
            _check(where, "life", row["life"], ("0", "1"))
            found.append(
                Example(row["service"], row["life"] == "1", row["kind"], row["style"], row["text"])
            )
    return tuple(found)


def pairs(scenes: Sequence[Scene]) -> Iterator[Pair]:
    """Every pair of contacts of one scene."""
    for scene in scenes:
        for first, second in combinations(scene.contacts, 2):
            yield Pair(first, second, truth(first, second))


def truth(first: Contact, second: Contact) -> Truth:
    """What two contacts of one scene have in common."""
    if first.need == second.need:
        return Truth.SAME_NEED if first.person == second.person else Truth.SHARED_NEED
    if first.incident == second.incident != NOTHING:
        return Truth.SAME_INCIDENT
    if first.question == second.question != NOTHING:
        return Truth.SAME_QUESTION
    return Truth.NOTHING


def incidents(scenes: Sequence[Scene]) -> dict[tuple[str, str], list[Contact]]:
    """The contacts of each incident, by scene and incident."""
    found: dict[tuple[str, str], list[Contact]] = {}
    for scene in scenes:
        for contact in scene.contacts:
            if contact.incident != NOTHING:
                found.setdefault((scene.id, contact.incident), []).append(contact)
    return found


def _contacts(path: Path) -> list[Contact]:
    contacts = []
    for line, row in _rows(path):
        where = f"{path.name}, line {line}"
        _check(where, "style", row["style"], tuple(STYLES))
        _check(where, "kind", row["kind"], KINDS)
        _check(where, "life", row["life"], ("0", "1"))
        if not row["text"].strip():
            raise ValueError(f"{where}: text must not be empty")
        contacts.append(
            Contact(
                scene=row["scene"],
                id=row["contact"],
                person=row["person"],
                need=row["need"],
                incident=row["incident"],
                question=row["question"],
                style=row["style"],
                minutes=int(row["minutes"]),
                life=row["life"] == "1",
                kind=row["kind"],
                text=row["text"],
            )
        )
    return contacts


def _needs(path: Path) -> dict[str, dict[str, frozenset[str]]]:
    needs: dict[str, dict[str, frozenset[str]]] = {}
    for line, row in _rows(path):
        of_scene = needs.setdefault(row["scene"], {})
        if row["need"] in of_scene:
            raise ValueError(f"{path.name}, line {line}: the need stands there twice")
        codes = {row["service"], *row["also"].split()} - {NOTHING}
        of_scene[row["need"]] = frozenset(codes)
    return needs


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    with path.open(encoding="utf-8", newline="") as file:
        for row in (reader := csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)):
            if None in row or None in row.values():
                raise ValueError(f"{path.name}, line {reader.line_num}: columns are missing or odd")
            yield reader.line_num, row


def _check(where: str, field: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{where}: {field} must be one of {', '.join(allowed)}")
