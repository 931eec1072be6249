"""How well incidents are found: the authored set played as it would come, on one day or all at
once.

Each scene begins at a time of its own on one day (or all begin together); every contact states its
case as dedup would, with the service that triage would have said: right for two of three. Two
contacts count as put together when their cases are in one incident at the end, or are one case.
"""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from zlib import crc32

from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import needs_pb2

from services.dedup import catalogue, languages
from services.dedup.catalogue import Catalogue
from services.dedup.incidents import ordinary, places
from services.dedup.incidents.evidence import Evidence
from services.dedup.incidents.heard import Ear
from services.dedup.incidents.levels import OTHER_PERSON, SAME_QUESTION
from services.dedup.incidents.state import Incidents
from services.dedup.language import meanings, stop_stems
from services.dedup.levels import read as read_levels
from services.dedup.words import Shaper
from services.runtime import ids
from tests.quality.scenes import NOTHING, Contact, Scene, Truth, pairs, read

DAY_MINUTES = 1_440
START_MS = 1_800_000_000_000
MINUTE_MS = 60_000
WRONG = 0.35
"""Share of needs whose service triage says wrongly."""
_KINDS = {
    "enquiry": common_pb2.CONTACT_KIND_ENQUIRY,
    "complaint": common_pb2.CONTACT_KIND_COMPLAINT,
    "request": common_pb2.CONTACT_KIND_REQUEST,
    "feedback": common_pb2.CONTACT_KIND_FEEDBACK,
}


def plain_hash(word: str) -> int:
    """A hash without a key: texts of the set are nobody's."""
    return crc32(word.encode())


@dataclass(frozen=True, slots=True)
class Stated:
    """A contact, and what its case states because of it."""

    contact: Contact
    need: needs_pb2.NeedStated


class Stage:
    """Plays scenes. `wrong`: share of cases with a wrong service; `known`: with one at all."""

    def __init__(self, wrong: float = WRONG, known: float = 1.0, seed: int = 1) -> None:
        spoken = languages.read()
        stop = stop_stems(spoken)
        self.gazetteer = places.read()
        self._shaper = Shaper(plain_hash, stop, meanings(spoken))
        self._ear = Ear(plain_hash, stop, self.gazetteer)
        self._agency_of = _agencies(catalogue.read(None))
        self._wrong = wrong
        self._known = known
        self._seed = seed

    def ordinary(self) -> ordinary.Ordinary:
        """How ordinary words are, before anything happened."""
        return ordinary.read(plain_hash)

    def play(self, scenes: Sequence[Scene], at_once: bool = False) -> list[Stated]:
        """What is stated, in order of arrival."""
        pick = random.Random(self._seed)
        found: list[tuple[int, int, Stated]] = []
        codes = sorted(self._agency_of)
        for scene in scenes:
            begin = 0 if at_once else pick.randrange(DAY_MINUTES)
            service: dict[str, str] = {}
            versions: Counter[str] = Counter()
            for contact in scene.contacts:
                case = case_of(contact)
                versions[case] += 1
                if case not in service:
                    service[case] = self._said(pick, scene.services[contact.need], codes)
                at = begin + contact.minutes
                stated = self._state(contact, case, versions[case], at, service[case])
                found.append((at, len(found), Stated(contact, stated)))
        return [stated for _, _, stated in sorted(found, key=lambda one: one[:2])]

    def _said(self, pick: random.Random, right: frozenset[str], codes: Sequence[str]) -> str:
        if pick.random() >= self._known:
            return ""
        if pick.random() < self._wrong or not right:
            return pick.choice(codes)
        return pick.choice(sorted(right))

    def _state(
        self, contact: Contact, case: str, version: int, minute: int, service: str
    ) -> needs_pb2.NeedStated:
        heard = self._ear.hear(contact.text)
        return needs_pb2.NeedStated(
            case_id=case,
            case_number=ids.case_number(case),
            case_version=version,
            person=ids.derive("person", contact.scene, contact.person).encode()[:16],
            agency=self._agency_of.get(service, ""),
            topic=service,
            topic_confidence=1.0 if service else 0.0,
            language=contact.language,
            kind=_KINDS[contact.kind],
            life_safety=contact.life,
            event_ms=START_MS + minute * MINUTE_MS,
            channel=common_pb2.CHANNEL_WHATSAPP,
            shape=self._shaper.shape(contact.text),
            sounds=heard.sounds,
            places=heard.places,
            sealed_text=contact.text.encode(),
        )


def case_of(contact: Contact) -> str:
    """The case that a contact belongs to: one need of one person."""
    return ids.derive("case", contact.scene, contact.need, contact.person)


def _agencies(read: Catalogue) -> dict[str, str]:
    return {s.code: code for code, agency in read.agencies.items() for s in agency.services}


@dataclass(frozen=True, slots=True)
class Share:
    """Right, wrong and missed pairs."""

    right: int
    wrong: int
    missed: int

    @property
    def precision(self) -> float:
        """Of what was put together, the share that belongs together."""
        return self.right / max(1, self.right + self.wrong)

    @property
    def recall(self) -> float:
        """Of what belongs together, the share that was put together."""
        return self.right / max(1, self.right + self.missed)

    @property
    def f1(self) -> float:
        """Their harmonic mean."""
        return 2 * self.right / max(1, 2 * self.right + self.wrong + self.missed)

    def __str__(self) -> str:
        """For people."""
        of = self.right + self.missed
        return f"P {self.precision:.3f} R {self.recall:.3f} F1 {self.f1:.3f} (of {of})"


@dataclass(frozen=True, slots=True)
class Measured:
    """What came out. `incidents`: all labelled pairs of contacts; `across`: those of two cases.
    `other_person`, `questions`: pairs of cases by their links. `strangers`: pairs of cases of two
    scenes in one incident, which are not labelled."""

    incidents: Share
    across: Share
    other_person: Share
    questions: Share
    strangers: int
    groups: int


def measure(scenes: Sequence[Scene], at_once: bool = False, stage: Stage | None = None) -> Measured:
    """Plays the scenes and compares what was found with the labels."""
    stage = stage or Stage()
    levels = read_levels()
    state = Incidents(Evidence(stage.ordinary(), stage.gazetteer), levels)
    for offset, stated in enumerate(stage.play(scenes, at_once)):
        at = common_pb2.Input(topic="dedup.need.v1", offset=offset)
        state.stated(stated.need, at, START_MS)
    return compared(scenes, state)


def compared(scenes: Sequence[Scene], state: Incidents) -> Measured:
    """What a state holds together, against the labels."""
    asked = {
        group.incident_id: group.stated(state.levels.question_share).level == SAME_QUESTION
        for group in state.everything()
    }

    def together(one: str, two: str, question: bool) -> bool:
        first, second = state.group_of.get(one), state.group_of.get(two)
        return first is not None and first is second and asked[first.incident_id] is question

    labelled = list(pairs(scenes))
    every, across, other, question = [], [], [], []
    for pair in labelled:
        one, two = case_of(pair.first), case_of(pair.second)
        truth = pair.first.incident == pair.second.incident != NOTHING
        found = one == two or together(one, two, False)
        every.append((truth, found))
        if one == two:
            continue
        across.append((truth, found))
        if not pair.same_person:
            linked = _linked_as(state, one, two)
            other.append((pair.truth is Truth.SHARED_NEED, OTHER_PERSON in linked))
            same = pair.first.question == pair.second.question != NOTHING
            question.append((same, SAME_QUESTION in linked or together(one, two, True)))
    scene_of = {case_of(contact): scene.id for scene in scenes for contact in scene.contacts}
    strangers = 0
    for group in state.everything():
        counts = Counter(scene_of[case] for case in group.needs)
        strangers += sum(a * b for a, b in combinations(counts.values(), 2))
    groups = len(list(state.everything()))
    return Measured(
        _share(every), _share(across), _share(other), _share(question), strangers, groups
    )


def _linked_as(state: Incidents, one: str, two: str) -> set[int]:
    ways = ((one, two), (two, one))
    return {link.level for a, b in ways for link in state.links.get(a, ()) if link.case_id == b}


def _share(found: Sequence[tuple[bool, bool]]) -> Share:
    counts = Counter(found)
    return Share(counts[True, True], counts[False, True], counts[True, False])


def main() -> None:
    """Prints the figures of the dev split."""
    scenes = read("dev")
    for title, at_once, stage in (
        ("each scene at its own time of one day", False, Stage()),
        ("all at once", True, Stage()),
        ("own times, no service known", False, Stage(known=0.0)),
        ("own times, every service right", False, Stage(wrong=0.0)),
    ):
        found = measure(scenes, at_once, stage)
        print(title)
        print("  incidents, all labelled pairs ", found.incidents)
        print("  incidents, pairs of two cases ", found.across)
        print("  other person, same need       ", found.other_person)
        print("  same question                 ", found.questions)
        print(f"  {found.groups} incidents, {found.strangers} pairs of two scenes in one")


if __name__ == "__main__":
    main()
