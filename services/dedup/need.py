"""How likely a text is about a case of the same person, from signs. Pure.

Boosted trees over some thirty signs, learnt from threads that were written for it
(`tests/quality/train_need.py`): who writes again in other words, or says nothing new ("nobody has
come"), and who has another need. A text is held against all cases of its person at once: what goes
on about one is less likely about the others.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from services.dedup.signs import STEPS, CaseSigns, Signs
from services.dedup.words import CODE

_OF_CASE = (
    "again",
    "service overlap",
    "service cosine",
    "service certainty",
    "other service",
    "share of words",
    "shared words",
    "shared weight",
    "weight",
    "code",
    "minutes",
    "words",
    "enquiry",
    "more enquiry",
    "feedback",
    "more request",
    "life",
    "life of case",
    "life of both",
    "latest",
    "cases",
    "texts",
    "minutes since the first",
    "same script",
    "rarest shared word",
    "service of the last text",
)
_BESIDE = ("service cosine", "share of words", "shared weight", "rarest shared word")
NAMES = (
    *_OF_CASE,
    *(f"{name} of another case" for name in _BESIDE),
    "how much nearer by services",
    "how much nearer by words",
    "minutes since another case",
)
"""The signs, in the order of `signs_of`."""
_PLACES = tuple(map(_OF_CASE.index, _BESIDE))
_NEARNESS = tuple(map(_OF_CASE.index, ("service cosine", "shared weight")))
_MINUTES = _OF_CASE.index("minutes")
_NO_OTHER, _NEVER = -1.0, 20.0
_MOST_WEIGHT = 12.0
_MOST_WORDS = 6


@dataclass(frozen=True, slots=True)
class Seen:
    """How a contact stands to a case. `shared`, `weight`: sums over the contact's content words of
    how rare they are: of those that the case has too, and of all; `rarest`: the rarest that it has
    too. `words`: how many it shares.
    `code`: both name the same code. `latest`: no case of the person was heard of later.
    `cases`: how many cases of the person there are. Minutes are of event time."""

    shared: float
    rarest: float
    weight: float
    words: int
    code: bool
    gap_min: float
    since_first_min: float
    latest: bool
    cases: int


def seen_of(
    rarity: Mapping[int, float],
    shape: Collection[int],
    case_shape: Collection[int],
    *,
    gap_ms: int,
    since_first_ms: int,
    latest: bool,
    cases: int,
) -> Seen:
    """How a contact stands to a case: by the shapes (services/dedup/words.py) of both, and how rare
    each of the contact's words is."""
    shared = [rarity[word] for word in rarity if word in case_shape]
    return Seen(
        shared=sum(shared),
        rarest=max(shared, default=0.0),
        weight=sum(rarity.values()),
        words=len(shared),
        code=any(one & CODE and one in case_shape for one in shape),
        gap_min=gap_ms / 60_000,
        since_first_min=since_first_ms / 60_000,
        latest=latest,
        cases=cases,
    )


def signs_of(text: Signs, cases: Sequence[tuple[CaseSigns, Seen]]) -> list[list[float]]:
    """What the trees look at, for each case of the person."""
    rows = [_signs_of(text, case, seen) for case, seen in cases]
    return [[*row, *_beside(row, rows[:n] + rows[n + 1 :])] for n, row in enumerate(rows)]


def _beside(row: list[float], others: list[list[float]]) -> list[float]:
    """How a case stands to the person's other ones: to the nearest of each sign."""
    if not others:
        return [_NO_OTHER] * len(_PLACES) + [row[place] for place in _NEARNESS] + [_NEVER]
    most = {place: max(other[place] for other in others) for place in _PLACES}
    return [
        *most.values(),
        *(row[place] - most[place] for place in _NEARNESS),
        min(other[_MINUTES] for other in others),
    ]


def _signs_of(text: Signs, case: CaseSigns, seen: Seen) -> list[float]:
    overlap = sum(min(p, case.most.get(s, 0)) for s, p in text.services.items())
    dot = sum(p * case.mean.get(s, 0) for s, p in text.services.items())
    length = math.sqrt(sum(p * p for p in text.services.values()))
    length *= math.sqrt(sum(p * p for p in case.mean.values()))
    top = max(text.services, key=lambda s: text.services[s], default=0)
    certain = text.services.get(top, 0) / STEPS
    held = min(1.0, 3 * case.most.get(top, 0) / STEPS)
    return [
        text.again / STEPS,
        overlap / STEPS,
        dot / length if length else 0.0,
        certain,
        certain * (1 - held),
        seen.shared / seen.weight if seen.weight else 0.0,
        min(seen.words, _MOST_WORDS),
        min(seen.shared, _MOST_WEIGHT),
        seen.weight / 20,
        float(seen.code),
        math.log1p(max(0.0, seen.gap_min)),
        math.log1p(text.words),
        text.enquiry / STEPS,
        (text.enquiry - case.enquiry) / STEPS,
        text.feedback / STEPS,
        (text.request - case.request) / STEPS,
        text.life / STEPS,
        case.life / STEPS,
        text.life * case.life / STEPS**2,
        float(seen.latest),
        float(seen.cases > 1),
        float(case.texts),
        math.log1p(max(0.0, seen.since_first_min)),
        float(bool(text.script & case.scripts)),
        seen.rarest,
        min(text.services.get(case.last[0], 0), case.last[1]) / STEPS,
    ]
