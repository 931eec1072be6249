"""That a text is Arabic makes it like no other: neither words nor meaning may say so.

A known library flagged all Arabic texts as duplicates, and to models of meaning they all lie close
together. So texts of different needs are held against each other, as if one person had written
them ten minutes apart, which is when a mistake is easiest.
"""

import random
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from services.dedup.meaning.slow import Meaning
from services.dedup.normalise import normalise
from tests.quality import baselines
from tests.quality.measure_levels import INCIDENT, OTHER, QUESTION, SAME_NEED, Played, play
from tests.quality.scenes import NOTHING, Contact, Scene, pairs, read

UNLIKE = (
    "الشارع قدام بيتنا غرقان والسيارة ما تقدر تطلع",
    "رحلتي إلى القاهرة اتلغت ومحد رد عليّ في المطار",
    "أبي أجدد إقامة عمالتي كم الرسوم؟",
    "الكهربا طافية عندنا من العصر والحر ذابح العيال",
    "دواء الضغط خلص من الصيدلية متى يتوفر؟",
    "مخالفة مرورية وصلتني على سيارة بعتها من سنة",
    "متى يفتح التسجيل في المدارس الحكومية؟",
    "ضاع جواز سفري في المطار ورحلتي بكرة",
    "ريحة غاز قوية في العمارة نطلع ولا نتم؟",
    "أشكر الموظفة اللي خلصت معاملتي بسرعة الله يعطيها العافية",
)
PAIRS = 100
SOME = 40
USUAL_LIMIT = 0.8
"""From which cosine on texts are often called the same."""
MOST_JOINED = 0.08
"""Of unlike needs of one person ten minutes apart. Nothing is right; so much is reached, where the
embedding alone, at the limit that suits it best, joins them all."""


def told(number: int, person: str, one: Contact) -> Contact:
    """A contact of a scene of its own: the second of two, ten minutes later."""
    need, minutes = f"n{person}", 0 if person == "p1" else 10
    return replace(one, scene=f"a{number}", id=f"c{person}", need=need, minutes=minutes)


def played(asked: Sequence[tuple[Contact, Contact]], same_person: bool) -> Played:
    """Two contacts a scene, of two needs that have nothing in common."""
    scenes = []
    for number, (first, second) in enumerate(asked):
        both = told(number, "p1", first), told(number, "p2", second)
        plain = [
            replace(one, person="p1" if same_person else one.need, incident="-", question="-")
            for one in both
        ]
        scenes.append(Scene(f"a{number}", "question", "two needs", "-", tuple(plain), {}))
    return play(scenes)


def joined(found: Played, level: str) -> float:
    """The share of pairs that were taken for one."""
    return float(np.mean([one.found for one in found.levels[level]]))


@pytest.fixture(scope="module")
def openers() -> list[tuple[Contact, Contact]]:
    """First contacts of needs of two scenes, of two domains, with no service in common."""
    first = [
        (scene, next(one for one in scene.contacts if one.language == "ar"))
        for scene in read("dev")
        if scene.contacts[0].language == "ar"
    ]
    pick, found = random.Random(1), list[tuple[Contact, Contact]]()
    while len(found) < PAIRS:
        (one_scene, one), (other_scene, other) = pick.sample(first, 2)
        services = one_scene.services[one.need] & other_scene.services[other.need]
        if one_scene.domain != other_scene.domain and not services:
            found.append((one, other))
    return found


@pytest.fixture(scope="module")
def written() -> list[tuple[Contact, Contact]]:
    plain = Contact("s", "c", "p", "n", "-", "-", "gulf", 0, False, "request", "")
    return [
        (replace(plain, text=one), replace(plain, text=other))
        for one, other in combinations(UNLIKE, 2)
    ]


def test_needs_of_one_person_that_are_unlike_stay_apart(
    written: list[tuple[Contact, Contact]], openers: list[tuple[Contact, Contact]]
) -> None:
    assert joined(played([*written, *openers], same_person=True), SAME_NEED) <= MOST_JOINED


def test_needs_of_two_people_that_are_unlike_are_not_linked(
    written: list[tuple[Contact, Contact]], openers: list[tuple[Contact, Contact]]
) -> None:
    found = played([*written, *openers], same_person=False)
    for level in (OTHER, INCIDENT, QUESTION):
        assert joined(found, level) <= MOST_JOINED / 2, level


def test_no_two_are_spelt_alike(openers: list[tuple[Contact, Contact]]) -> None:
    """What makes one spelling of many may not make one text of many."""
    minhash = baselines.MinHash()
    for one, other in openers:
        assert normalise(one.text) != normalise(other.text)
        assert minhash.alike(one.text, other.text) < 0.5
        assert baselines.trigram_jaccard(one.text, other.text) < 0.5


def test_the_embedding_alone_takes_them_all_for_alike_and_meaning_does_not(
    openers: list[tuple[Contact, Contact]],
) -> None:
    unlike = openers[:SOME]
    one_event = [
        (pair.first, pair.second)
        for pair in pairs(read("dev"))
        if pair.first.incident == pair.second.incident != NOTHING
        and not pair.same_person
        and pair.first.language == pair.second.language == "ar"
    ]
    one_event = random.Random(2).sample(one_event, SOME)
    alike = baselines.embedding(
        [one.text for pair in unlike for one in pair], lambda done, of: None
    )
    assert alike is not None
    near = np.array([alike(one.text, other.text) for one, other in unlike])
    assert (near > USUAL_LIMIT).mean() > 0.8, "the model is another: what it says must be looked at"
    meaning = Meaning()
    answers = [meaning.similar(one.text, other.text) for one, other in unlike]
    assert np.mean([meaning.same(answer) for answer in answers]) <= 0.05
    # Of those that have nothing to do with each other hardly any are as near as those of one event.
    assert (_alike(meaning, unlike) > np.median(_alike(meaning, one_event))).mean() <= 0.15


def _alike(meaning: Meaning, asked: Sequence[tuple[Contact, Contact]]) -> NDArray[np.float64]:
    first = meaning.points([one.text for one, _ in asked])
    second = meaning.points([other.text for _, other in asked])
    return np.array([meaning.alike(a, b) for a, b in zip(first, second, strict=True)])
