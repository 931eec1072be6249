"""Reads levels.yaml: when cases of different people are linked, and what speaks for it."""

from importlib.resources import files
from typing import Any

from services.dedup import learnt
from services.dedup.incidents.evidence import FACTS
from services.dedup.incidents.levels import (
    OTHER_PERSON,
    SAME_INCIDENT,
    SAME_QUESTION,
    Level,
    Levels,
)
from services.dedup.incidents.refining import REFINED
from services.dedup.trees import Trees
from services.runtime.errors import ConfigError
from services.runtime.spans import span_ms
from services.runtime.yamls import texts_of, yaml_of

_WHERE = "services/dedup/levels.yaml"
_LEVELS = {
    "other_person": OTHER_PERSON,
    "same_incident": SAME_INCIDENT,
    "same_question": SAME_QUESTION,
}
_NAMES = {
    "window",
    "keep",
    "most_cases",
    "join_at",
    "stay_at",
    "refine_at",
    "question_share",
    "fields",
    "levels",
}
_LARGEST = 100.0
TREES = "incident.npz"
REFINED_TREES = "refined.npz"


def read(text: str | None = None, refined: Trees | None = None) -> Levels:
    """The thresholds in levels.yaml, or in `text`; with the shipped trees of the slow path, or with
    `refined`. Raises ConfigError naming what is wrong."""
    given = text if text is not None else (files(__package__) / "levels.yaml").read_text("utf-8")
    read = _mapping(_WHERE, yaml_of(_WHERE, given), _NAMES)
    most = read["most_cases"]
    if not isinstance(most, int) or isinstance(most, bool) or most < 1:
        raise ConfigError(f"{_WHERE}: most_cases must be a count")
    listed = _mapping(f"{_WHERE}: levels", read["levels"], set(_LEVELS))
    levels = Levels(
        window=_span("window", read["window"]),
        keep=_span("keep", read["keep"]),
        most_cases=most,
        join_at=_score(f"{_WHERE}: join_at", read["join_at"]),
        stay_at=_score(f"{_WHERE}: stay_at", read["stay_at"]),
        refine_at=_score(f"{_WHERE}: refine_at", read["refine_at"]),
        question_share=_score(f"{_WHERE}: question_share", read["question_share"]),
        levels={number: _level(name, listed[name]) for name, number in _LEVELS.items()},
        fields=_fields(read["fields"]),
        refined=learnt.trees(REFINED_TREES, REFINED) if refined is None else refined,
    )
    if levels.keep < levels.window:
        raise ConfigError(f"{_WHERE}: keep must not be shorter than window")
    if levels.stay_at > levels.join_at:
        raise ConfigError(
            f"{_WHERE}: stay_at must not be above join_at, or cases would come and go"
        )
    return levels


def _level(name: str, given: object) -> Level:
    where = f"{_WHERE}: {name}"
    read = _mapping(where, given, {"link_at", "agencies", "weights"})
    agencies = read["agencies"]
    if not isinstance(agencies, dict) or not all(isinstance(code, str) for code in agencies):
        raise ConfigError(f"{where}: agencies must be codes, each with a score")
    weights = read["weights"]
    if not isinstance(weights, dict):
        raise ConfigError(f"{where}: weights must be facts, each with a number")
    if odd := set(map(str, weights)) - set(FACTS):
        raise ConfigError(f"{where}: weights: not a fact: {', '.join(sorted(odd))}")
    for fact, weight in weights.items():
        if isinstance(weight, bool) or not isinstance(weight, int | float):
            raise ConfigError(f"{where}: {fact} must be a number")
        if not abs(weight) <= _LARGEST:
            raise ConfigError(f"{where}: {fact} must be from -{_LARGEST:g} to {_LARGEST:g}")
    return Level(
        link_at=_score(f"{where}: link_at", read["link_at"]),
        agencies={code: _score(f"{where}: {code}", score) for code, score in agencies.items()},
        weights=tuple(float(weights.get(fact, 0)) for fact in FACTS),
        trees=learnt.trees(TREES, FACTS, of=f"{name}_"),
    )


def _fields(given: object) -> dict[str, str]:
    where = f"{_WHERE}: fields"
    if not isinstance(given, dict):
        raise ConfigError(f"{where} must be names, each with its agencies")
    found: dict[str, str] = {}
    for name, agencies in given.items():
        for agency in texts_of(f"{where}: {name}", agencies):
            if agency in found:
                raise ConfigError(f"{where}: {agency} stands in two of them")
            found[agency] = str(name)
    return found


def _mapping(where: str, given: object, names: set[str]) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise ConfigError(f"{where}: names and values, one a line")
    if odd := set(given) ^ names:
        raise ConfigError(f"{where}: missing or not known: {', '.join(sorted(map(str, odd)))}")
    return given


def _span(name: str, given: object) -> int:
    if (length_ms := span_ms(given)) is None:
        raise ConfigError(f"{_WHERE}: {name} must be a time such as 90s, 20m, 36h or 7d")
    return length_ms


def _score(where: str, given: object) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 <= given <= 1:
        raise ConfigError(f"{where} must be a score from 0 to 1")
    return float(given)
