"""Reads dedup's data files: rules, words that say nothing, numbers that are shared."""

import re
from dataclasses import dataclass, fields
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from services.dedup.match import Rules
from services.dedup.tally import BUCKET_MS
from services.dedup.words import stem, tokens
from services.runtime.errors import ConfigError
from services.runtime.privacy import Keyring
from services.runtime.spans import span_ms

_E164 = re.compile(r"\+[1-9][0-9]{6,14}")


@dataclass(frozen=True, slots=True)
class Words:
    """Stems that say nothing (`stop`, of all languages together), and by language for those in
    Latin letters the words that tell them apart (`function`)."""

    stop: frozenset[str]
    function: dict[str, frozenset[str]]


def rules(text: str | None = None) -> Rules:
    """The thresholds in rules.yaml, or in `text`. Raises ConfigError naming what is wrong."""
    given = _mapping("rules.yaml", text)
    names = {field.name: field.type for field in fields(Rules)}
    if set(given) != set(names):
        odd = ", ".join(sorted(set(given) ^ set(names)))
        raise ConfigError(f"services/dedup/rules.yaml: missing or not known: {odd}")
    read = Rules(**{name: _value(name, given[name], names[name] is float) for name in names})
    if read.tally_keep < read.repeat_window + BUCKET_MS:
        raise ConfigError("services/dedup/rules.yaml: tally_keep must outlast repeat_window")
    return read


def stop_words() -> Words:
    """The words in stopwords.yaml, in one spelling. Raises ConfigError."""
    given = _mapping("stopwords.yaml", None)
    by_language = {
        language: frozenset(token for word in listed for token in tokens(str(word)))
        for language, listed in given["words"].items()
    }
    latin = {language: by_language[language] for language in given["latin"]}
    function = {}
    for language, listed in latin.items():
        others = frozenset[str]().union(*(o for name, o in latin.items() if name != language))
        function[language] = listed - others
    every = frozenset[str]().union(*by_language.values())
    return Words(stop=frozenset(stem(word) for word in every), function=function)


def shared_numbers(path: Path | None, keyring: Keyring) -> frozenset[bytes]:
    """Hashes of the numbers in a file (E.164, one a line, # for remarks) that many people share:
    switchboards, camps, public telephones. Raises ConfigError naming the line."""
    if path is None:
        return frozenset()
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError("the file MAWJA_SHARED_NUMBERS names can't be read") from error
    hashes = set()
    for place, line in enumerate(lines, start=1):
        number = line.partition("#")[0].strip()
        if not number:
            continue
        if not _E164.fullmatch(number):
            raise ConfigError(f"MAWJA_SHARED_NUMBERS, line {place}: not a number like +97150…")
        hashes.add(keyring.person(number))
    return frozenset(hashes)


def _mapping(name: str, text: str | None) -> dict[str, Any]:
    if text is None:
        text = (files(__package__) / name).read_text("utf-8")
    try:
        read = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"services/dedup/{name} is not YAML") from error
    if not isinstance(read, dict):
        raise ConfigError(f"services/dedup/{name}: names and values, one a line")
    return read


def _value(name: str, given: object, share: bool) -> Any:
    where = f"services/dedup/rules.yaml: {name}"
    if share:
        if isinstance(given, float | int) and 0 <= given <= 1:
            return float(given)
        raise ConfigError(f"{where} must be a share from 0 to 1")
    if (length_ms := span_ms(given)) is not None:
        return length_ms
    if isinstance(given, int) and not isinstance(given, bool) and given > 0:
        return given
    raise ConfigError(f"{where} must be a count, or a time such as 90s, 20m, 36h or 7d")
