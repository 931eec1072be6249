"""What a text says, read once for all that is decided on it: language, words, signs, triage. Pure.

A text is taken to pieces in one place. Whatever it holds (nothing, a megabyte, control characters,
marks of direction, no language at all) gives a reading; one that says nothing joins nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

import numpy as np
from mawja.common.v1 import common_pb2
from mawja.dedup.v1 import events_pb2

from services.dedup.answers import answer
from services.dedup.choice import choice
from services.dedup.identify import NOTHING as NO_LANGUAGE
from services.dedup.identify import Identifier
from services.dedup.language import Language, meanings, stop_stems
from services.dedup.model import Model, Vector, Weights
from services.dedup.questions import Questions
from services.dedup.sayings import Watch
from services.dedup.signs import NONE, Signs, script_of, service_hash, steps
from services.dedup.words import CODE, Shaper, sentences
from services.runtime.kinds import KINDS

_LIKELIEST = 8
_SHORTEST = 2
"""Letters of a word that can say something."""


@dataclass(frozen=True, slots=True)
class Limits:
    """From which confidence on something is said, 0 to 1."""

    life: float
    topic: float
    kind: float


@dataclass(frozen=True, slots=True)
class Reading:
    """`said`: the tokens, in order. `language`: BCP 47, "" when not known. `shape`: see `words`.
    `rarity`: of each word of the shape that is no code, how much it tells (idf). `triage`: what an
    agent is told; None when there is no text. `choice`: 1 or 2 when that is all the text says (see
    `choice`). `reply`: what it says when it answers how well somebody was served (`answers`)."""

    said: Sequence[str] = ()
    language: str = ""
    shape: Sequence[int] = ()
    rarity: Mapping[int, float] = field(default_factory=dict)
    signs: Signs = NONE
    triage: events_pb2.Triage | None = None
    choice: int = 0
    reply: int = 0


NOTHING = Reading()


class Reader:
    """Reads texts. `agencies`: the agency of each service in the catalogue. `word_hash` gives a
    keyed 32-bit hash. `questions`: what may be answered without an agent;
    `unclear`: whether of two confidences the person is asked which was meant."""

    def __init__(
        self,
        languages: Sequence[Language],
        agencies: Mapping[str, str],
        weights: Weights,
        limits: Limits,
        word_hash: Callable[[str], int],
        questions: Questions | None = None,
        unclear: Callable[[float, float], bool] = lambda first, second: False,
    ) -> None:
        alike = meanings(languages)
        self._identifier = Identifier(languages)
        self._shaper = Shaper(word_hash, stop_stems(languages), alike)
        self._model = Model(weights, alike)
        self._watch = Watch(languages)
        self._limits = limits
        self._questions = questions
        self._unclear = unclear
        self._weights = weights
        # A government's own catalogue may lack services that the model knows.
        self._services = [
            (column, name.removeprefix("service:"))
            for column, name in enumerate(weights.outputs)
            if name.startswith("service:") and name.removeprefix("service:") in agencies
        ]
        self._columns = np.array([column for column, _ in self._services], np.int64)
        self._hashes = [service_hash(code) for _, code in self._services]
        self._agencies = agencies
        self._kinds = [(kind, weights.index[f"kind:{name}"]) for name, kind in KINDS.items()]
        self._kind_columns = np.array([column for _, column in self._kinds], np.int64)

    def read(self, text: str, language: str = "") -> Reading:
        """What a text says; its source may have told its language."""
        found = self._read(text, language)
        reply = answer(text)
        return replace(found, reply=reply) if reply else found

    def _read(self, text: str, language: str) -> Reading:
        if not text.strip():
            return Reading(language=language)
        if which := choice(text):
            return Reading(language=language, choice=which)
        apart = sentences(text)
        said = list(chain.from_iterable(apart))
        guess = self._identifier.identify(text, said) if not language else NO_LANGUAGE
        language = language or guess.code
        shape, rarity = self._shaper.read(said, self._rarity)
        if all(len(token) < _SHORTEST for token in said):
            return Reading(said, language, shape)
        scores = self._model.scores(said)
        services = self._likely(scores)
        found = self._watch.look(apart)
        weights = self._weights
        life = weights.life(float(scores[weights.index["life"]]), found)
        kinds = _softmax(scores[self._kind_columns], weights.sharpness[1])
        of_kind = dict(zip((kind for kind, _ in self._kinds), map(float, kinds), strict=True))
        signs = Signs(
            {self._hashes[place]: steps(p) for place, p in services},
            steps(float(scores[weights.index["again"]])),
            steps(life),
            steps(of_kind[KINDS["enquiry"]]),
            steps(of_kind[KINDS["request"]]),
            steps(of_kind[KINDS["feedback"]]),
            sum(not word & CODE for word in shape),
            script_of(said),
        )
        triage = self._triage(services, of_kind, life, found.danger if not found.calm else "")
        triage.language, triage.language_confidence = language, guess.confidence or 1.0
        if not language:
            triage.language_confidence = 0.0
        self._ask(triage, text, said)
        return Reading(said, language, shape, rarity, signs, triage)

    def _ask(self, triage: events_pb2.Triage, text: str, said: Sequence[str]) -> None:
        """Which question of the knowledge file it is. Where a life may be in danger, none."""
        if self._questions is None or triage.life_safety:
            return
        found = self._questions.match(text, said)
        if found is not None:
            triage.question, triage.question_confidence = found.name, found.confidence
            # Told only where it will be asked: a later "1" or "2" chooses between the two.
            if not found.next_name or not self._unclear(found.confidence, found.next_confidence):
                return
            triage.next_question = found.next_name
            triage.next_question_confidence = found.next_confidence

    def _rarity(self, word: str) -> float:
        return self._model.rarity(word)

    def _likely(self, scores: Vector) -> list[tuple[int, float]]:
        """The likeliest services by place in `_services`, the likeliest first."""
        if not self._services:
            return []
        likely = _softmax(scores[self._columns], self._weights.sharpness[0])
        first = np.argsort(-likely, kind="stable")[:_LIKELIEST]
        return [(int(place), float(likely[place])) for place in first]

    def _triage(
        self,
        services: Sequence[tuple[int, float]],
        kinds: Mapping[common_pb2.ContactKind.ValueType, float],
        life: float,
        why: str,
    ) -> events_pb2.Triage:
        triage = events_pb2.Triage(
            life_safety=life >= self._limits.life, life_safety_confidence=round(life, 3)
        )
        if triage.life_safety:
            triage.life_safety_reason = why
        if services:
            place, likely = services[0]
            topic = self._services[place][1]
            triage.topic, triage.agency = topic, self._agencies[topic]
            triage.topic_confidence = round(likely, 3)
        kind = max(kinds, key=lambda one: kinds[one])
        triage.kind_confidence = round(kinds[kind], 3)
        if kinds[kind] >= self._limits.kind:
            triage.kind = kind
        triage.unsure = not triage.life_safety and triage.topic_confidence < self._limits.topic
        return triage


def _softmax(scores: Vector, sharpness: float) -> Vector:
    raised = np.exp(sharpness * (scores - scores.max()))
    return np.asarray(raised / raised.sum(), np.float32)
