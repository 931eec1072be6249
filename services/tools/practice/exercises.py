"""Makes exercises of the texts that drills are made of: who says what, and what it is about. Pure.

How hard one is follows from what makes calls hard: a language that the centre's agents speak less,
dialect, and a life in danger that nobody says out loud. Wordings and facts are drawn anew each
time, so that nobody learns a text by heart.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mawja.common.v1 import common_pb2

from loadtests.texts import Phrasebook

_USUAL = ("ar", "en")
_PLAIN = ("plain", "formal")


@dataclass(frozen=True, slots=True)
class Made:
    """An exercise and how its caller comes: `number` (E.164, synthetic), `line` dialled, `language`
    (ISO 639). `key`: its idempotency key."""

    exercise: common_pb2.Exercise
    key: str
    number: str
    line: str
    language: str


class NoSuchExercise(ValueError):
    """Nothing fits what was asked for; the sentence says what there is."""


@dataclass(frozen=True, slots=True)
class _Kind:
    topic: str
    language: str
    style: str
    difficulty: int


def exercises(
    book: Phrasebook,
    agents: Sequence[str],
    each: int,
    seed: int,
    languages: Sequence[str] = (),
    difficulties: Sequence[int] = (),
) -> Iterator[Made]:
    """`each` exercises for every one of `agents` (token subjects), taking turns; deterministic for
    its arguments. Of an agent's exercises every difficulty that was asked for comes as often as the
    others. Raises NoSuchExercise."""
    wanted = sorted(set(difficulties)) or [1, 2, 3]
    kinds = list(_kinds(book, languages))
    by_difficulty = {hard: [k for k in kinds if k.difficulty == hard] for hard in wanted}
    possible = [hard for hard in wanted if by_difficulty[hard]]
    if not possible:
        codes = ", ".join(book.codes)
        raise NoSuchExercise(f"no exercise fits: languages are {codes}, difficulties 1 to 3")
    drawn = {agent: random.Random(f"{seed}/{agent}") for agent in agents}
    for turn in range(each):
        for place, agent in enumerate(agents):
            rng = drawn[agent]
            kind = rng.choice(by_difficulty[possible[turn % len(possible)]])
            key = f"practice/{seed}/{place}/{turn}"
            yield _made(book, kind, agent, key, rng)


def _kinds(book: Phrasebook, languages: Sequence[str]) -> Iterator[_Kind]:
    for code in languages or book.codes:
        if code not in book.languages:
            raise NoSuchExercise(f"there is no {code!r}: languages are {', '.join(book.codes)}")
        for style in book.languages[code].styles:
            for topic in book.topics.values():
                hard = 1 + (code not in _USUAL) + (style not in _PLAIN) + 2 * topic.life_safety
                yield _Kind(topic.id, code, style, min(3, hard))


def _made(book: Phrasebook, kind: _Kind, agent: str, key: str, rng: random.Random) -> Made:
    topic = book.topics[kind.topic]
    facts = book.facts(kind.language, rng)
    says = book.say(kind.language, kind.style, topic.id, facts, rng, repeat=False, long=False)
    return Made(
        common_pb2.Exercise(
            agent=agent,
            code=f"{topic.id}-{kind.language}",
            difficulty=kind.difficulty,
            says=says,
            solution=common_pb2.Solution(
                agency=topic.agency, topic=topic.id, life_safety=topic.life_safety
            ),
        ),
        key=key,
        number=f"+9995{rng.randrange(10**8):08d}",
        line=topic.line,
        language=kind.language,
    )
