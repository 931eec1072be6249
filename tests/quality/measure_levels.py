"""How well each level is seen, by text alone: the authored set goes through dedup as it is shipped.

Every scene begins at a time of its own on one day. Texts are read, contacts become cases, cases
state what they need, and incidents and links are made of that: each step works with what the one
before it made, right or wrong. Beside it stands what the last step makes of cases as they are
labelled (`measure_incidents.Stage`), which tells where it falls short.
"""

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations

from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2, needs_pb2

from services.dedup import data, languages, stating
from services.dedup.incidents import data as incident_data
from services.dedup.incidents.evidence import Evidence
from services.dedup.incidents.heard import Ear
from services.dedup.incidents.levels import OTHER_PERSON, SAME_QUESTION
from services.dedup.incidents.state import Incidents
from services.dedup.language import stop_stems
from services.dedup.levels import read as read_levels
from services.dedup.match import Rules
from services.dedup.reading import Reading
from tests.quality import measure_incidents
from tests.quality.figures import Judged
from tests.quality.measure_needs import START_MS, decided, readings
from tests.quality.scenes import NOTHING, Contact, Pair, Scene, Truth, pairs, plain_hash

SAME_NEED = "same person, same need"
OTHER = "other person, same need"
INCIDENT = "same incident"
OF_TWO = "… of two people"
QUESTION = "same question"
SWEPT = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)
"""Scores from which on a text goes on about a case, for the curve."""
_DAY_MINUTES = 1_440
Key = tuple[str, str]
"""Scene and contact."""


@dataclass(frozen=True, slots=True)
class Merge:
    """Two needs that were put into one case, and why the later contact came there."""

    pair: Pair
    score: float
    reason: str


@dataclass(frozen=True, slots=True)
class Played:
    """What dedup made of a split. `strangers`: pairs of cases of two scenes in one incident, which
    nothing labels."""

    readings: Mapping[str, Reading]
    decisions: Mapping[Key, events_pb2.CaseDecision]
    levels: Mapping[str, Sequence[Judged]]
    merges: Sequence[Merge]
    incidents: int
    strangers: int


def play(scenes: Sequence[Scene], rules: Rules | None = None) -> Played:
    """Plays scenes through all of dedup. Some 5 s for a split."""
    rules = rules or data.rules()
    read, gazetteer = readings(scenes, rules), incident_data.places()
    ear = Ear(plain_hash, stop_stems(languages.read()), gazetteer)
    pick = random.Random(1)
    begins = {scene.id: pick.randrange(_DAY_MINUTES) for scene in scenes}
    decisions: dict[Key, events_pb2.CaseDecision] = {}
    stated: list[needs_pb2.NeedStated] = []
    for one, decision in decided(scenes, rules, read, begins):
        decisions[one.scene, one.id] = decision
        stating.state(decision, ear.hear(read[one.text].said), b"")
        stated += stating.stated(decision)
    state = _incidents(
        sorted(stated, key=lambda need: need.event_ms),
        Evidence(incident_data.ordinary(plain_hash), gazetteer),
    )

    def case_of(one: Contact) -> str:
        return decisions[one.scene, one.id].case.case_id

    levels = {SAME_NEED: same_need(scenes, case_of), **_across(scenes, state, case_of)}
    merges = [
        Merge(pair, link.score, link.reason)
        for pair in pairs(scenes)
        if pair.truth is not Truth.SAME_NEED and case_of(pair.first) == case_of(pair.second)
        for link in [decisions[pair.second.scene, pair.second.id].link]
    ]
    strangers = _strangers(scenes, state, case_of)
    return Played(read, decisions, levels, merges, len(list(state.everything())), strangers)


def with_labelled_cases(scenes: Sequence[Scene]) -> dict[str, Sequence[Judged]]:
    """The levels beyond one person, of cases as they are labelled."""
    stage = measure_incidents.Stage()
    stated = [one.need for one in stage.play(scenes)]
    state = _incidents(stated, Evidence(stage.ordinary(), stage.gazetteer))
    return _across(scenes, state, measure_incidents.case_of)


def same_need(scenes: Sequence[Scene], case_of: Callable[[Contact], str]) -> list[Judged]:
    """Every pair of contacts of one person."""
    return [
        _judged(pair, pair.truth is Truth.SAME_NEED, case_of(pair.first) == case_of(pair.second))
        for pair in pairs(scenes)
        if pair.same_person
    ]


def swept(scenes: Sequence[Scene], read: Mapping[str, Reading]) -> dict[float, list[Judged]]:
    """Pairs of one person, judged at other scores than the shipped one."""
    shipped, found = data.rules(), {}
    for score in SWEPT:
        rules = replace(shipped, need_same=score, need_other=min(score, shipped.need_other))
        cases = {
            (one.scene, one.id): decision.case.case_id
            for one, decision in decided(scenes, rules, read)
        }
        found[score] = same_need(scenes, partial(_looked_up, cases))
    return found


def _looked_up(cases: Mapping[Key, str], one: Contact) -> str:
    return cases[one.scene, one.id]


def _incidents(stated: Sequence[needs_pb2.NeedStated], evidence: Evidence) -> Incidents:
    state = Incidents(evidence, read_levels())
    for offset, need in enumerate(stated):
        state.stated(need, common_pb2.Input(topic="dedup.need.v1", offset=offset), START_MS)
    return state


def _across(
    scenes: Sequence[Scene], state: Incidents, case_of: Callable[[Contact], str]
) -> dict[str, Sequence[Judged]]:
    """The levels beyond one person."""
    asked = {
        group.incident_id: group.stated(state.levels.question_share).level == SAME_QUESTION
        for group in state.everything()
    }

    def together(one: str, two: str, question: bool) -> bool:
        first, second = state.group_of.get(one), state.group_of.get(two)
        return first is not None and first is second and asked[first.incident_id] is question

    found: dict[str, list[Judged]] = {OTHER: [], INCIDENT: [], OF_TWO: [], QUESTION: []}
    for pair in pairs(scenes):
        one, two = case_of(pair.first), case_of(pair.second)
        event = pair.first.incident == pair.second.incident != NOTHING
        of_event = _judged(pair, event, one == two or together(one, two, False))
        found[INCIDENT].append(of_event)
        if pair.same_person:
            continue
        found[OF_TWO].append(of_event)
        linked = _linked_as(state, one, two)
        shared = pair.truth is Truth.SHARED_NEED
        found[OTHER].append(_judged(pair, shared, OTHER_PERSON in linked))
        question = pair.first.question == pair.second.question != NOTHING
        answered = SAME_QUESTION in linked or together(one, two, True)
        found[QUESTION].append(_judged(pair, question, answered))
    return dict(found)


def _judged(pair: Pair, true: bool, found: bool) -> Judged:
    return Judged(pair.second.scene, pair.second.language, true, found)


def _linked_as(state: Incidents, one: str, two: str) -> set[int]:
    ways = ((one, two), (two, one))
    return {link.level for a, b in ways for link in state.links.get(a, ()) if link.case_id == b}


def _strangers(scenes: Sequence[Scene], state: Incidents, case_of: Callable[[Contact], str]) -> int:
    scene_of = {case_of(contact): scene.id for scene in scenes for contact in scene.contacts}
    found = 0
    for group in state.everything():
        counts = Counter(scene_of[case] for case in group.needs)
        found += sum(a * b for a, b in combinations(counts.values(), 2))
    return found
