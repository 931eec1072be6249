"""Reads the data files of meaning: what questions ask (asks.yaml), from which score on two are the
same (limits.yaml), and what was learnt (pairs.json, written by tests/quality/train_pairs.py)."""

import json
from dataclasses import fields
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from services.dedup import languages
from services.dedup.language import meanings
from services.dedup.meaning.pairs import FACTS, Learnt, Levels, Space
from services.dedup.meaning.reading import Asking, bare, stemmed
from services.dedup.trees import Forest
from services.dedup.words import tokens
from services.runtime.errors import ConfigError
from services.runtime.yamls import list_of, texts_of, yaml_of

_NEEDED = {"frame", "asks", "doing", "sort", "apart", "not"}


def asking(text: str | None = None) -> Asking:
    """The words in asks.yaml, or in `text`. Raises ConfigError naming what is wrong."""
    where = "services/dedup/meaning/asks.yaml"
    given = yaml_of(where, _shipped("asks.yaml") if text is None else text)
    if not isinstance(given, dict) or set(given) != _NEEDED:
        raise ConfigError(f"{where}: needs {', '.join(sorted(_NEEDED))}, and nothing else")
    if not isinstance(given["asks"], dict):
        raise ConfigError(f"{where}: asks: a name and its words, one a line")
    asks: dict[str, set[str]] = {}
    for name, listed in given["asks"].items():
        for word in texts_of(f"{where}: {name}", listed):
            # Of several words together none asks by itself.
            if len(spelt := tokens(word)) == 1:
                asks.setdefault(spelt[0], set()).add(str(name))
    doing = texts_of(f"{where}: doing", given["doing"])
    if odd := set(doing) - {str(name) for name in given["asks"]}:
        raise ConfigError(f"{where}: doing: not among asks: {', '.join(sorted(odd))}")
    apart: dict[str, list[tuple[int, str]]] = {}
    for number, listed in enumerate(list_of(f"{where}: apart", given["apart"])):
        for word in texts_of(f"{where}: apart, list {number + 1}", listed):
            for token in tokens(word):
                apart.setdefault(token, []).append((number, bare(token)))
    return Asking(
        frame=_spelt(f"{where}: frame", given["frame"]),
        asks={word: frozenset(names) for word, names in asks.items()},
        sorts=frozenset(stemmed(word) for word in _spelt(f"{where}: sort", given["sort"])),
        apart={word: tuple(places) for word, places in apart.items()},
        negations=_spelt(f"{where}: not", given["not"]),
        alike=meanings(languages.read()),
        doing=frozenset(doing),
    )


def levels(text: str | None = None) -> Levels:
    """The limits in limits.yaml, or in `text`. Raises ConfigError naming what is wrong."""
    where = "services/dedup/meaning/limits.yaml"
    given = yaml_of(where, _shipped("limits.yaml") if text is None else text)
    names = [field.name for field in fields(Levels)]
    if not isinstance(given, dict) or set(given) != set(names):
        raise ConfigError(f"{where}: needs {', '.join(names)}, and nothing else")
    for name in names:
        if not isinstance(given[name], int | float) or not 0 <= given[name] <= 1:
            raise ConfigError(f"{where}: {name} must be from 0 to 1")
    return Levels(**given)


def learnt() -> Learnt:
    """What stands in pairs.json. Raises ConfigError when it was learnt for other facts."""
    given = json.loads(_shipped("pairs.json"))
    if tuple(given["facts"]) != FACTS:
        raise ConfigError("pairs.json is of another version: python -m tests.quality.train_pairs")
    trees = given["trees"]
    # JSON has no infinity: a node that parts nothing has no limit.
    over = [[np.inf if limit is None else limit for limit in tree] for tree in trees["over"]]
    return Learnt(
        questions=Space(_floats(given["questions"]["middle"]), _floats(given["questions"]["ways"])),
        contacts=Space(_floats(given["contacts"]["middle"]), _floats(given["contacts"]["ways"])),
        forest=Forest(np.array(trees["fact"]), np.array(over), np.array(trees["leaf"])),
        contact_rise=given["contacts"]["rise"],
        contact_middle=given["contacts"]["from"],
    )


def _floats(given: object) -> NDArray[np.float32]:
    return np.array(given, dtype=np.float32)


def _spelt(where: str, given: object) -> frozenset[str]:
    return frozenset(token for text in texts_of(where, given) for token in tokens(text))


def _shipped(name: str) -> str:
    return (files(__package__) / name).read_text("utf-8")
