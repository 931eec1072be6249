"""Reads dedup's small data files: its rules, and the numbers that are shared."""

import re
from dataclasses import fields, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from services.dedup.catalogue import Catalogue
from services.dedup.match import Rules
from services.dedup.tally import BUCKET_MS
from services.runtime import knowledge_file
from services.runtime.errors import ConfigError
from services.runtime.knowledge import Knowledge
from services.runtime.privacy import Keyring
from services.runtime.spans import span_ms
from services.runtime.yamls import yaml_of

_E164 = re.compile(r"\+[1-9][0-9]{6,14}")


def rules(text: str | None = None) -> Rules:
    """The thresholds in rules.yaml, or in `text`. Raises ConfigError naming what is wrong."""
    given = _mapping(text)
    names = {field.name: field.type for field in fields(Rules)}
    if set(given) != set(names):
        odd = ", ".join(sorted(set(given) ^ set(names)))
        raise ConfigError(f"services/dedup/rules.yaml: missing or not known: {odd}")
    read = Rules(**{name: _value(name, given[name], names[name] is float) for name in names})
    if read.tally_keep < read.repeat_window + BUCKET_MS:
        raise ConfigError("services/dedup/rules.yaml: tally_keep must outlast repeat_window")
    return read


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


def knowledge(path: Path | None, services: Catalogue) -> Knowledge:
    """What may be answered without an agent: the file at `path` or the shipped examples. Raises
    ConfigError also when an entry is of no service of the catalogue, or of another agency's."""
    known = knowledge_file.read(path)
    kept = {}
    for name, entry in known.entries.items():
        if services.agency_of(entry.topic) == entry.agency:
            kept[name] = entry
        elif path is not None:
            raise ConfigError(
                f"MAWJA_KNOWLEDGE: {name}: {entry.topic} is no service of {entry.agency} in the "
                "catalogue"
            )
    # A government's own catalogue may lack services that the examples are about.
    return replace(known, entries=kept)


def _mapping(text: str | None) -> dict[str, Any]:
    if text is None:
        text = (files(__package__) / "rules.yaml").read_text("utf-8")
    read = yaml_of("services/dedup/rules.yaml", text)
    if not isinstance(read, dict):
        raise ConfigError("services/dedup/rules.yaml: names and values, one a line")
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
