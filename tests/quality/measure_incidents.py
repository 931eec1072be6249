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

from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2, needs_pb2

from services.dedup import catalogue, data, languages, learnt
from services.dedup.incidents import data as incident_data
from services.dedup.incidents import ordinary
from services.dedup.incidents.evidence import Evidence
from services.dedup.incidents.heard import Ear
from services.dedup.incidents.levels import OTHER_PERSON, SAME_QUESTION, Levels
from services.dedup.incidents.state import Incidents
from services.dedup.language import stop_stems
from services.dedup.levels import read as read_levels
from services.dedup.reading import Limits, Reader
from services.runtime import ids
from tests.quality.beside import Beside, Foreign, points_of
from tests.quality.scenes import NOTHING, Contact, Scene, Truth, pairs, plain_hash, read

DAY_MINUTES = 1_440
START_MS = 1_800_000_000_000
MINUTE_MS = 60_000
LOOK_EVERY = 20
"""Statements between looks of the slow path: as many come in a few seconds of a surge."""


@dataclass(frozen=True, slots=True)
class Stated:
    """A contact, and what its case states because of it."""

    contact: Contact
    need: needs_pb2.NeedStated


class Stage:
    """Plays scenes. `triage`: whether a text is asked what it is about."""

    def __init__(self, triage: bool = True, seed: int = 1) -> None:
        spoken, rules = languages.read(), data.rules()
        limits = Limits(rules.life_enough, rules.topic_enough, rules.kind_enough)
        services = catalogue.read(None).agencies_of
        self.gazetteer = incident_data.places()
        self._reader = Reader(spoken, services, learnt.weights(), limits, plain_hash)
        self._ear = Ear(plain_hash, stop_stems(spoken), self.gazetteer)
        self._triage = triage
        self._seed = seed

    def ordinary(self) -> ordinary.Ordinary:
        """How ordinary words are, before anything happened."""
        return incident_data.ordinary(plain_hash)

    def play(self, scenes: Sequence[Scene], at_once: bool = False) -> list[Stated]:
        """What is stated, in order of arrival."""
        pick = random.Random(self._seed)
        found: list[tuple[int, int, Stated]] = []
        for scene in scenes:
            begin = 0 if at_once else pick.randrange(DAY_MINUTES)
            versions: Counter[str] = Counter()
            triage: dict[str, events_pb2.Triage] = {}
            for contact in scene.contacts:
                case = case_of(contact)
                versions[case] += 1
                at = begin + contact.minutes
                stated = self._state(contact, case, versions[case], at, triage)
                found.append((at, len(found), Stated(contact, stated)))
        return [stated for _, _, stated in sorted(found, key=lambda one: one[:2])]

    def _state(
        self,
        contact: Contact,
        case: str,
        version: int,
        minute: int,
        triage: dict[str, events_pb2.Triage],
    ) -> needs_pb2.NeedStated:
        reading = self._reader.read(contact.text)
        heard = self._ear.hear(reading.said)
        need = needs_pb2.NeedStated(
            case_id=case,
            case_number=ids.case_number(case),
            case_version=version,
            person=ids.derive("person", contact.scene, contact.person).encode()[:16],
            language=reading.language,
            event_ms=START_MS + minute * MINUTE_MS,
            channel=common_pb2.CHANNEL_WHATSAPP,
            shape=reading.shape,
            sounds=heard.sounds,
            places=heard.places,
            sealed_text=contact.text.encode(),
        )
        if self._triage and reading.triage is not None:
            # As a case has it: of the latest text that says something.
            if reading.triage.topic or case not in triage:
                triage[case] = reading.triage
            said = triage[case]
            need.agency, need.topic = said.agency, said.topic
            need.topic_confidence = said.topic_confidence
            need.kind, need.life_safety = said.kind, said.life_safety
            need.signs.extend(reading.signs.pack())
        return need


def case_of(contact: Contact) -> str:
    """The case that a contact belongs to: one need of one person."""
    return ids.derive("case", contact.scene, contact.need, contact.person)


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


def measure(
    scenes: Sequence[Scene],
    at_once: bool = False,
    stage: Stage | None = None,
    look_every: int = 0,
    levels: Levels | None = None,
    foreign: bool = False,
) -> Measured:
    """Plays the scenes and compares what was found with the labels. `look_every`: statements
    between looks of the slow path at what texts mean, and at the end; 0 goes without it.
    `foreign`: as if no word of one language were known in another."""
    stage = stage or Stage()
    usual = Foreign(stage.ordinary()) if foreign else stage.ordinary()
    state = Incidents(Evidence(usual, stage.gazetteer), levels or read_levels())
    played = stage.play(scenes, at_once)
    beside = None
    if look_every:
        beside = Beside(state, points_of(stated.need.sealed_text for stated in played))
    for offset, stated in enumerate(played):
        at = common_pb2.Input(topic="dedup.need.v1", offset=offset)
        need = usual.parted(stated.need) if isinstance(usual, Foreign) else stated.need
        state.stated(need, at, START_MS)
        if beside is not None:
            beside.changed()
            if offset % look_every == 0 or offset + 1 == len(played):
                beside.join()
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
    for title, at_once, stage, foreign in (
        ("each scene at its own time of one day", False, Stage(), False),
        ("all at once", True, Stage(), False),
        ("own times, without triage", False, Stage(triage=False), False),
        ("own times, no word known in another language", False, Stage(), True),
    ):
        for path, look_every in ("", 0), (", with the slow path", LOOK_EVERY):
            show(title + path, measure(scenes, at_once, stage, look_every, foreign=foreign))


def show(title: str, found: Measured) -> None:
    """Prints what came out."""
    print(title)
    print("  incidents, all labelled pairs ", found.incidents)
    print("  incidents, pairs of two cases ", found.across)
    print("  other person, same need       ", found.other_person)
    print("  same question                 ", found.questions)
    print(f"  {found.groups} incidents, {found.strangers} pairs of two scenes in one")


if __name__ == "__main__":
    main()
